//! From bytes to keys. Pure: the time that passes is told from outside.
//!
//! crossterm takes an `ESC` at the end of a read for the Esc key, so that an arrow key whose bytes come in two packets
//! goes *back* and types a letter. Here a sequence that is not complete waits; only when nothing follows for a while
//! ([`Decoder::timeout`]) is it the Esc key.

use std::time::Duration;

use crate::harmless::is_tricky;
use crate::tui::Key;

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// Pasted text.
    Paste(String),
}

/// Puts keys together.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes of a sequence that is not complete.
    pending: Vec<u8>,
    /// The text between the marks of a bracketed paste.
    paste: Option<Vec<u8>>,
    /// The last byte was a carriage return: a line feed after it belongs to the same Enter.
    after_return: bool,
}

/// What a beginning of the pending bytes is.
enum Scan {
    /// Not complete.
    More,
    /// That many bytes mean this; `None` means nothing here.
    Found(usize, Option<Key>),
    /// That many bytes begin a paste.
    PasteBegins(usize),
}

/// Pastes longer than this are cut: nobody means to paste a megabyte into a wizard.
const PASTE_LIMIT: usize = 64 * 1024;
/// A paste whose end does not come within this time has lost it.
const PASTE_PATIENCE: Duration = Duration::from_secs(1);
/// Sequences longer than this are none.
const SEQUENCE_LIMIT: usize = 32;
const PASTE_END: &[u8] = b"\x1b[201~";

impl Decoder {
    /// Takes what one read brought.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Input> {
        let mut inputs = Vec::new();
        if self.paste.is_none() && self.pending.is_empty() && looks_pasted(bytes) {
            inputs.push(Input::Paste(printable(bytes)));
            return inputs;
        }
        self.pending.extend_from_slice(bytes);
        loop {
            if self.paste.is_some() {
                if !self.take_paste(&mut inputs) {
                    return inputs;
                }
                continue;
            }
            if self.pending.is_empty() {
                return inputs;
            }
            match scan(&self.pending) {
                Scan::More => return inputs,
                Scan::PasteBegins(length) => {
                    self.pending.drain(..length);
                    self.paste = Some(Vec::new());
                }
                Scan::Found(length, key) => {
                    let first = self.pending[0];
                    self.pending.drain(..length);
                    let doubled = first == b'\n' && self.after_return;
                    self.after_return = first == b'\r';
                    if let (Some(key), false) = (key, doubled) {
                        inputs.push(Input::Key(key));
                    }
                }
            }
        }
    }

    /// How long to wait for the rest before [`Decoder::timeout`]; `None` when nothing is incomplete.
    pub fn patience(&self, escape: Duration) -> Option<Duration> {
        match (&self.paste, self.pending.is_empty()) {
            (Some(_), _) => Some(PASTE_PATIENCE),
            (None, false) => Some(escape),
            (None, true) => None,
        }
    }

    /// Nothing came for a while: a lone `ESC` is the Esc key, any other beginning is thrown away.
    pub fn timeout(&mut self) -> Vec<Input> {
        if let Some(text) = self.paste.take() {
            self.pending.clear();
            return vec![Input::Paste(printable(&text))];
        }
        let escape = self.pending == [0x1b];
        self.pending.clear();
        if escape {
            vec![Input::Key(Key::Esc)]
        } else {
            Vec::new()
        }
    }

    /// Moves pending bytes into the paste; returns whether its end was found.
    fn take_paste(&mut self, inputs: &mut Vec<Input>) -> bool {
        let Some(text) = &mut self.paste else {
            return false;
        };
        let end = self
            .pending
            .windows(PASTE_END.len())
            .position(|window| window == PASTE_END);
        if let Some(end) = end {
            text.extend(self.pending.drain(..end));
            self.pending.drain(..PASTE_END.len());
            inputs.push(Input::Paste(printable(text)));
            self.paste = None;
            return true;
        }
        // The last bytes may be the beginning of the end mark.
        let safe = self.pending.len().saturating_sub(PASTE_END.len() - 1);
        text.extend(self.pending.drain(..safe));
        text.truncate(PASTE_LIMIT);
        false
    }
}

/// Whether one read brought text, a line end, and text again: a paste on a terminal that does not mark pastes. Typed
/// one by one, the line ends would press buttons.
fn looks_pasted(bytes: &[u8]) -> bool {
    let line_end = |byte: &u8| *byte == b'\r' || *byte == b'\n';
    let plain = |bytes: &[u8]| bytes.iter().any(u8::is_ascii_graphic);
    !bytes.contains(&0x1b)
        && match bytes.iter().position(line_end) {
            Some(at) => plain(&bytes[..at]) && plain(&bytes[at..]),
            None => false,
        }
}

/// Pasted bytes as text without control characters other than line ends and tabs.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|sign| !is_tricky(*sign) || ['\n', '\r', '\t'].contains(sign))
        .collect()
}

/// Reads the first key of bytes that are not empty.
fn scan(bytes: &[u8]) -> Scan {
    match bytes {
        [0x1b] => Scan::More,
        [0x1b, 0x1b, ..] => Scan::Found(1, Some(Key::Esc)),
        [0x1b, b'[', rest @ ..] => control_sequence(rest),
        [0x1b, b'O', rest @ ..] => match rest.first() {
            None => Scan::More,
            Some(last) => Scan::Found(3, keypad(*last)),
        },
        // Esc and then Enter or Tab, in one packet of a slow line.
        [0x1b, 0..=0x1f, ..] => Scan::Found(1, Some(Key::Esc)),
        // Alt with a letter: no key of ours, and not Esc followed by a letter.
        [0x1b, letter, ..] => Scan::Found((1 + utf8_length(*letter).max(1)).min(bytes.len()), None),
        [byte, ..] if *byte < 0x20 || *byte == 0x7f => Scan::Found(1, control(*byte)),
        [byte, ..] => character(*byte, bytes),
        [] => Scan::More,
    }
}

/// How many bytes a UTF-8 character has that begins with this byte; 0 when none begins so.
fn utf8_length(byte: u8) -> usize {
    match byte {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 0,
    }
}

fn character(first: u8, bytes: &[u8]) -> Scan {
    let length = utf8_length(first);
    if length == 0 {
        return Scan::Found(1, None);
    }
    let Some(whole) = bytes.get(..length) else {
        let broken = bytes[1..].iter().any(|byte| byte & 0xc0 != 0x80);
        return if broken { Scan::Found(1, None) } else { Scan::More };
    };
    match std::str::from_utf8(whole) {
        // Controls of C1 and signs that cannot be seen are nothing to type.
        Ok(text) => {
            let sign = text.chars().next().filter(|sign| !is_tricky(*sign));
            Scan::Found(length, sign.map(Key::Char))
        }
        Err(_) => Scan::Found(1, None),
    }
}

/// Control characters, and what stands for keys that a terminal may not send.
fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x08 | 0x7f => Key::Backspace,
        0x02 => Key::PageUp,
        0x06 => Key::PageDown,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x01..=0x1a => Key::Ctrl(char::from(byte + b'a' - 1)),
        _ => return None,
    })
}

/// `ESC [`, parameters, and a last byte (ECMA-48); also `ESC [ [ A`, which the Linux console sends for F1.
fn control_sequence(rest: &[u8]) -> Scan {
    if let [b'[', after @ ..] = rest {
        return match after.first() {
            None => Scan::More,
            Some(last @ b'A'..=b'E') => Scan::Found(4, Some(Key::F(last - b'A' + 1))),
            Some(_) => Scan::Found(4, None),
        };
    }
    let Some(end) = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return if rest.len() > SEQUENCE_LIMIT {
            Scan::Found(2 + rest.len(), None)
        } else {
            Scan::More
        };
    };
    let (parameters, last) = (&rest[..end], rest[end]);
    if !(0x40..=0x7e).contains(&last) {
        // Broken off by another key: that one is read next.
        return Scan::Found(2 + end, None);
    }
    let length = 2 + end + 1;
    let number = parameters
        .split(|byte| *byte == b';')
        .next()
        .and_then(|first| std::str::from_utf8(first).ok())
        .and_then(|first| first.parse::<u16>().ok());
    if last == b'~' && number == Some(200) {
        return Scan::PasteBegins(length);
    }
    Scan::Found(
        length,
        match last {
            b'~' => number.and_then(numbered),
            b'Z' => Some(Key::BackTab),
            other => keypad(other),
        },
    )
}

/// The last byte of `ESC [` and `ESC O` sequences.
fn keypad(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        b'P'..=b'S' => Key::F(last - b'P' + 1),
        b'p'..=b'y' => Key::Char(char::from(last - b'p' + b'0')),
        b'k' => Key::Char('+'),
        b'm' => Key::Char('-'),
        b'n' => Key::Char('.'),
        _ => return None,
    })
}

/// `ESC [ n ~`
fn numbered(number: u16) -> Option<Key> {
    Some(match number {
        1 | 7 => Key::Home,
        3 => Key::Delete,
        4 | 8 => Key::End,
        5 => Key::PageUp,
        6 => Key::PageDown,
        11 => Key::F(1),
        12 => Key::F(2),
        13 => Key::F(3),
        14 => Key::F(4),
        15 => Key::F(5),
        17 => Key::F(6),
        18 => Key::F(7),
        19 => Key::F(8),
        20 => Key::F(9),
        21 => Key::F(10),
        23 => Key::F(11),
        24 => Key::F(12),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Input> {
        let mut decoder = Decoder::default();
        let mut inputs = decoder.feed(bytes);
        inputs.extend(decoder.timeout());
        inputs
    }

    fn one(key: Key) -> Vec<Input> {
        vec![Input::Key(key)]
    }

    #[test]
    fn keys_of_many_terminals_are_known() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x1b[1;5C", Key::Right),
            (b"\x1b[Z", Key::BackTab),
            (b"\x1bOP", Key::F(1)),
            (b"\x1b[[A", Key::F(1)),
            (b"\x1b[11~", Key::F(1)),
            (b"\x1b[21~", Key::F(10)),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b[5;2~", Key::PageUp),
            (b"\x7f", Key::Backspace),
            (b"\x08", Key::Backspace),
            (b"\r", Key::Enter),
            (b"\n", Key::Enter),
            (b"\x0e", Key::Down),
            (b"\x0c", Key::Ctrl('l')),
            (b"\x1b", Key::Esc),
            ("ü".as_bytes(), Key::Char('ü')),
        ] {
            assert_eq!(keys(bytes), one(key), "{bytes:?}");
        }
    }

    #[test]
    fn an_arrow_key_in_two_packets_is_an_arrow_key() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert!(decoder.patience(Duration::ZERO).is_some());
        assert_eq!(decoder.feed(b"["), []);
        assert_eq!(decoder.feed(b"B"), one(Key::Down));
        assert!(decoder.patience(Duration::ZERO).is_none());
    }

    #[test]
    fn enter_may_be_sent_as_two_bytes() {
        assert_eq!(keys(b"\r\n"), one(Key::Enter));
        assert_eq!(keys(b"\r\r").len(), 2);
        assert_eq!(keys(b"\n\n").len(), 2);
    }

    #[test]
    fn alt_is_no_key_of_ours() {
        assert_eq!(keys(b"\x1bb"), []);
    }

    #[test]
    fn a_paste_arrives_as_one_text_however_it_is_cut() {
        let text = b"\x1b[200~192.0.2.0/24\r\n2001:db8::/32\r\x1b[201~x";
        for cut in 0..text.len() {
            let mut decoder = Decoder::default();
            let mut inputs = decoder.feed(&text[..cut]);
            inputs.extend(decoder.feed(&text[cut..]));
            assert_eq!(
                inputs,
                [
                    Input::Paste("192.0.2.0/24\r\n2001:db8::/32\r".into()),
                    Input::Key(Key::Char('x'))
                ],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn lines_pasted_into_a_terminal_without_marks_press_nothing() {
        assert_eq!(
            keys(b"192.0.2.0/24\r198.51.100.0/24\r"),
            [Input::Paste("192.0.2.0/24\r198.51.100.0/24\r".into())]
        );
        assert_eq!(keys(b"33001\r").len(), 6);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_wait_forever(chunks in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..12), 0..8))
        {
            let mut decoder = Decoder::default();
            for chunk in &chunks {
                decoder.feed(chunk);
            }
            decoder.timeout();
            prop_assert!(decoder.patience(Duration::ZERO).is_none());
        }

        #[test]
        fn where_the_packets_are_cut_does_not_matter(cuts in proptest::collection::vec(1usize..4, 0..12)) {
            let text = b"\x1b[Ax\x1bOP\x1b[15~\xc3\xbc\r\x1b[Z";
            let mut decoder = Decoder::default();
            let mut inputs = Vec::new();
            let mut rest = &text[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                inputs.extend(decoder.feed(head));
                rest = tail;
            }
            inputs.extend(decoder.feed(rest));
            prop_assert_eq!(inputs, keys(text));
        }
    }
}
