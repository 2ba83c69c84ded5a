//! Text of others as a person may see it. Names of programs, users, links and files, comments of rules, and what tools
//! print are chosen by others: a terminal obeys control characters in them, and a person is deceived by the invisible
//! ones that turn the order of letters around.

/// Characters that a terminal obeys, or that make a text look like another one: controls of C0 and C1, marks of
/// direction, joiners and breaks without a width.
pub fn is_tricky(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text of several lines: line ends and tabs stay, every other such character becomes `?`.
pub fn lines(text: &str) -> String {
    let good = |c: char| !is_tricky(c) || matches!(c, '\n' | '\t');
    text.chars().map(|c| if good(c) { c } else { '?' }).collect()
}

/// Text for one line: what would end it becomes a blank, every other such character `?`.
pub fn line(text: &str) -> String {
    let good = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_tricky(c) => '?',
        c => c,
    };
    text.trim().chars().map(good).collect()
}

/// JSON with such characters escaped, so that nothing of it is lost: JSON itself asks that of the oldest ones only.
pub fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_tricky(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_title_a_colour_a_link_and_letters_turned_around_are_only_letters() {
        let hostile =
            "\x1b]0;owned\x07 \x1b[31mred \u{9b}2J \u{202e}txt.exe\u{2066} a\u{200b}b\r\nfaspwall: done";
        assert_eq!(
            line(hostile),
            "?]0;owned? ?[31mred ?2J ?txt.exe? a?b  faspwall: done"
        );
        assert_eq!(lines("a\tb\r\nc\x08"), "a\tb?\nc?");
        assert_eq!(line("Grüße, 世界"), "Grüße, 世界");
    }

    proptest! {
        #[test]
        fn nothing_tricky_is_left(text in "(?s).{0,200}") {
            prop_assert!(!line(&text).chars().any(is_tricky));
            let escaped = json(&serde_json::to_string(&text).expect("JSON"));
            prop_assert!(!escaped.chars().any(is_tricky));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).expect("JSON"), text.clone());
            prop_assert!(!lines(&text).chars().any(|c| is_tricky(c) && !matches!(c, '\n' | '\t')));
        }
    }
}
