//! A text field.

use super::Handled;
use crate::tui::Key;

/// A one-line text field. It holds printable ASCII only: ports, networks, paths and words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    pub(super) text: String,
    /// Byte and column at once, because the text is ASCII.
    pub(super) cursor: usize,
    limit: usize,
}

impl Field {
    /// A field that holds `text` and at most `limit` characters, the cursor behind the text.
    pub fn new(text: &str, limit: usize) -> Self {
        let mut field = Self {
            text: String::new(),
            cursor: 0,
            limit,
        };
        field.insert(text);
        field
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the text.
    pub fn set(&mut self, text: &str) {
        *self = Self::new(text, self.limit);
    }

    /// Types or pastes text. Line ends become commas, so that a pasted list of networks stays a list.
    pub fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n");
        for sign in text.trim_end_matches(['\r', '\n']).chars() {
            let sign = match sign {
                '\r' | '\n' => ',',
                '\t' => ' ',
                other => other,
            };
            if (sign.is_ascii_graphic() || sign == ' ') && self.text.len() < self.limit {
                self.text.insert(self.cursor, sign);
                self.cursor += 1;
            }
        }
    }

    /// Edits with a key.
    pub fn handle(&mut self, key: Key) -> Handled {
        match key {
            Key::Char(sign) => self.insert(sign.encode_utf8(&mut [0; 4])),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            Key::Backspace | Key::Delete => {}
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pasted_list_stays_a_list() {
        let mut field = Field::new("", 60);
        field.insert("192.0.2.0/24\r\n198.51.100.0/24\n");
        assert_eq!(field.text(), "192.0.2.0/24,198.51.100.0/24");
    }

    #[test]
    fn a_field_edits_where_its_cursor_is() {
        let mut field = Field::new("3301", 5);
        for key in [Key::Left, Key::Left, Key::Char('0'), Key::Char('9')] {
            field.handle(key);
        }
        assert_eq!(field.text(), "33001");
        field.handle(Key::Backspace);
        field.handle(Key::Delete);
        assert_eq!(field.text(), "331");
    }

    proptest! {
        #[test]
        fn no_input_breaks_a_field(text in ".{0,20}", keys in proptest::collection::vec(0u8..8, 0..20)) {
            let mut field = Field::new(&text, 10);
            for key in keys {
                field.handle([Key::Left, Key::Right, Key::Home, Key::End, Key::Backspace, Key::Delete,
                    Key::Char('é'), Key::Char('7')][usize::from(key)]);
                prop_assert!(field.text().len() <= 10 && field.text().is_ascii());
            }
        }
    }
}
