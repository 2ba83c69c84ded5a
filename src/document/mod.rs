//! TOML with a place for every mistake: the reader that the catalogue and the answers share.
//!
//! A derived reader stops at the first mistake and names keys that the operator never wrote. This one walks the
//! document by hand, keeps going, and remembers where each value stood, so that later checks can point at it too.

mod reader;

use std::fmt;

use crate::harmless;

pub use reader::{Found, Reader, Section};

/// A position in a file; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the operator named it.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// The place of a byte of `text`.
    pub fn of(file: &str, text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A mistake and its place; printed on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem<F> {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub fault: F,
}

impl<F: fmt::Display> fmt::Display for Problem<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, harmless::line(&self.fault.to_string()))
    }
}

impl<F: fmt::Debug + fmt::Display> std::error::Error for Problem<F> {}

/// What can be wrong with the form of any document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Shape {
    /// The parser's own words.
    #[error("this is not TOML: {0}; write   key = value   lines under [section] headings")]
    Syntax(String),
    /// Bytes that are no UTF-8.
    #[error("this byte is not UTF-8 text; save the file as UTF-8")]
    NotText,
    /// A key that means nothing here.
    #[error("unknown key {key:?} in {section}; {hint}")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The section it stands in.
        section: String,
        /// The key that was probably meant, or all that there are.
        hint: String,
    },
    /// A key that must be there.
    #[error("{key:?} is missing in {section}; write   {key} = {example}")]
    Missing {
        /// The key.
        key: String,
        /// The section it belongs into.
        section: String,
        /// A value that would be right.
        example: String,
    },
    /// A value of another type.
    #[error("{key} is {found}, but {wanted} is wanted; write   {example}")]
    WrongType {
        /// The key with its section, such as `ssh.port`.
        key: String,
        /// The type that is there.
        found: &'static str,
        /// The type that is wanted.
        wanted: &'static str,
        /// A line that would be right.
        example: String,
    },
    /// A word that is none of the possible ones.
    #[error("{key} = {found:?} is not possible; {hint}")]
    NoSuchWord {
        /// The key with its section.
        key: String,
        /// The word as written.
        found: String,
        /// The word that was probably meant, or all that there are.
        hint: String,
    },
}

/// `did you mean "x"?`, or the list of what is possible.
pub fn hint<'a>(word: &str, possible: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, possible.clone()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            let all: Vec<_> = possible.collect();
            if all.is_empty() {
                "nothing can stand here".to_owned()
            } else {
                format!("possible: {}", all.join(", "))
            }
        }
    }
}

/// The candidate that differs from `word` by few typing mistakes, if there is one.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    candidates
        .map(|candidate| {
            (
                distance(&word, &candidate.to_lowercase().chars().collect::<Vec<_>>()),
                candidate,
            )
        })
        .min_by_key(|(steps, _)| *steps)
        .filter(|(steps, candidate)| *steps <= candidate.chars().count().min(word.len()) / 3)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(ca != cb))
                .min(rows[i][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a = 1\nü = \"é\" # x\n";
        assert_eq!(Place::of("f", text, 0).to_string(), "f:1:1");
        let x = text.find('x').expect("there");
        assert_eq!(Place::of("f", text, x).to_string(), "f:2:11");
        assert_eq!(Place::of("f", text, 9999).to_string(), "f:3:1");
        assert_eq!(Place::of("f", "é", 1).to_string(), "f:1:1");
    }

    #[test]
    fn the_nearest_word_is_found_and_a_strange_one_is_not() {
        let words = ["close", "keep", "restrict"];
        assert_eq!(nearest("clsoe", words.into_iter()), Some("close"));
        assert_eq!(nearest("KEEP", words.into_iter()), Some("keep"));
        assert_eq!(nearest("open", words.into_iter()), None);
        assert_eq!(nearest("", words.into_iter()), None);
    }
}
