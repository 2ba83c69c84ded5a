//! Text that is broken to the width of the screen.

/// Breaks text between words so that no line is longer than `width`; longer words are cut. Line ends are kept.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        // What fits stays as it is: columns in it are meant.
        if paragraph.chars().count() <= width {
            lines.push(paragraph.trim_end().to_owned());
            continue;
        }
        let indent = paragraph.len() - paragraph.trim_start_matches(' ').len();
        let mut line = " ".repeat(indent.min(width - 1));
        let mut empty = true;
        for word in paragraph.split_whitespace() {
            let mut word = word;
            while !word.is_empty() {
                let used = line.chars().count();
                let gap = usize::from(!empty);
                let length = word.chars().count();
                if used + gap + length <= width {
                    line.push_str(if empty { "" } else { " " });
                    line.push_str(word);
                    empty = false;
                    break;
                }
                if empty {
                    let cut = word
                        .char_indices()
                        .nth((width - used).max(1))
                        .map_or(word.len(), |(at, _)| at);
                    let (head, tail) = word.split_at(cut);
                    line.push_str(head);
                    word = tail;
                }
                lines.push(std::mem::replace(&mut line, " ".repeat(indent.min(width - 1))));
                empty = true;
            }
        }
        lines.push(line);
    }
    lines
}

/// A cell of a table: filled to `width` columns, and cut with `~` when it is longer.
pub fn cell(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}~")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_breaks_between_words_and_keeps_its_indent() {
        assert_eq!(
            wrap("  one two three", 9),
            ["  one two".to_owned(), "  three".into()]
        );
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
    }

    #[test]
    fn a_cell_that_is_cut_says_so() {
        assert_eq!(cell("abc", 5), "abc  ");
        assert_eq!(cell("abcdef", 5), "abcd~");
    }

    proptest! {
        #[test]
        fn no_wrapped_line_is_too_long(text in "[ -~äé\n]{0,80}", width in 1usize..30) {
            for line in wrap(&text, width) {
                prop_assert!(line.chars().count() <= width, "{line:?}");
            }
        }
    }
}
