//! The walk over a document: values by key and type, mistakes noted on the way.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Place, Problem, Shape, hint};

/// A table of the document and the name it goes by in messages.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    table: &'a DeTable<'a>,
    name: &'a str,
    offset: usize,
}

impl<'a> Section<'a> {
    /// The table, with the name that keys are reported under (empty for the top of the file).
    pub fn new(table: &'a DeTable<'a>, name: &'a str, offset: usize) -> Self {
        Self { table, name, offset }
    }

    /// Its keys, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// A key with the name of its section, such as `ssh.port`.
    pub fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn title(&self) -> String {
        if self.name.is_empty() {
            "the top of the file".to_owned()
        } else {
            format!("[{}]", self.name)
        }
    }
}

/// A table found under a key. It owns its name, so that a [`Section`] can be borrowed from it.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    table: &'a DeTable<'a>,
    path: String,
    offset: usize,
}

impl Found<'_> {
    /// The table as a section.
    pub fn section(&self) -> Section<'_> {
        Section::new(self.table, &self.path, self.offset)
    }

    /// The byte it begins at.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// Collects mistakes of type `F` while a document is read.
#[derive(Debug)]
pub struct Reader<'t, F> {
    file: &'t str,
    text: &'t str,
    problems: Vec<(usize, F)>,
    offsets: BTreeMap<String, usize>,
}

/// Mistakes of one file that are told.
const MOST: usize = 100;

impl<'t, F: From<Shape>> Reader<'t, F> {
    /// A reader of `text`, which came from `file`.
    pub fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            problems: Vec::new(),
            offsets: BTreeMap::new(),
        }
    }

    /// Parses the text; what cannot be parsed is noted, and the rest is read all the same.
    pub fn parse(&mut self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            self.problem(offset, Shape::Syntax(message));
        }
        table
    }

    /// Notes a mistake at a byte of the text.
    pub fn problem(&mut self, offset: usize, fault: impl Into<F>) {
        self.problems.push((offset, fault.into()));
    }

    /// Notes a mistake at the value that was read under `path`, or at the nearest section above it.
    pub fn problem_at(&mut self, path: &str, fault: impl Into<F>) {
        self.problem(self.offset_of(path), fault);
    }

    /// Where the value of `path` (or the section above it) stands.
    pub fn offset_of(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(offset) = self.offsets.get(path) {
                return *offset;
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return 0,
            }
        }
    }

    /// Lets later mistakes that are known by `path` point at the value that was read under `other`.
    pub fn stands_at(&mut self, path: String, other: &str) {
        let offset = self.offset_of(other);
        self.offsets.insert(path, offset);
    }

    /// What was noted, in the order of the file, one for each place and text. A file that is nothing of the kind has a
    /// mistake in every line: the first hundred say so.
    pub fn finish(self) -> Vec<Problem<F>>
    where
        F: fmt::Display + PartialEq,
    {
        let mut problems = self.problems;
        problems.sort_by_key(|(offset, _)| *offset);
        problems.dedup();
        problems
            .into_iter()
            .take(MOST)
            .map(|(offset, fault)| Problem {
                place: Place::of(self.file, self.text, offset),
                fault,
            })
            .collect()
    }

    /// Notes every key of the section that is not in `known`.
    pub fn only(&mut self, section: Section<'_>, known: &[&str]) {
        for (key, _) in section.table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let fault = Shape::UnknownKey {
                    key: name.to_owned(),
                    section: section.title(),
                    hint: hint(name, known.iter().copied()),
                };
                self.problem(key.span().start, fault);
            }
        }
    }

    /// A string.
    pub fn text<'a>(&mut self, section: Section<'a>, key: &str, example: &str) -> Option<&'a str> {
        let value = section.value(key)?;
        self.note(section, key, value);
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(section, key, value, "text in quotes", example);
        }
        text
    }

    /// A string that must be there and not be empty.
    pub fn required<'a>(&mut self, section: Section<'a>, key: &str, example: &str) -> Option<&'a str> {
        match section.value(key) {
            None => {
                let fault = Shape::Missing {
                    key: key.to_owned(),
                    section: section.title(),
                    example: example.to_owned(),
                };
                self.problem(section.offset, fault);
                None
            }
            Some(value) => {
                let text = self.text(section, key, &format!("{key} = {example}"))?;
                if text.trim().is_empty() {
                    let fault = Shape::Missing {
                        key: key.to_owned(),
                        section: section.title(),
                        example: example.to_owned(),
                    };
                    self.problem(value.span().start, fault);
                    return None;
                }
                Some(text)
            }
        }
    }

    /// A whole number. One that does not fit is returned as the largest there is.
    pub fn number(&mut self, section: Section<'_>, key: &str, example: &str) -> Option<i64> {
        let value = section.value(key)?;
        self.note(section, key, value);
        match value.get_ref().as_integer() {
            Some(digits) => Some(i64::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i64::MAX)),
            None => {
                self.wrong_type(section, key, value, "a whole number", example);
                None
            }
        }
    }

    /// A string, or a whole number as it was written.
    pub fn text_or_number(&mut self, section: Section<'_>, key: &str, example: &str) -> Option<String> {
        let value = section.value(key)?;
        if value.get_ref().is_integer() {
            return self
                .number(section, key, example)
                .map(|number| number.to_string());
        }
        self.text(section, key, example).map(str::to_owned)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, section: Section<'_>, key: &str, example: &str) -> Option<bool> {
        let value = section.value(key)?;
        self.note(section, key, value);
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(section, key, value, "true or false", example);
        }
        flag
    }

    /// A list of strings, each with its path for later mistakes.
    pub fn texts<'a>(
        &mut self,
        section: Section<'a>,
        key: &str,
        example: &str,
    ) -> Option<Vec<(String, &'a str)>> {
        let value = section.value(key)?;
        self.note(section, key, value);
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(section, key, value, "a list of texts", example);
            return None;
        };
        let mut texts = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let path = format!("{}[{number}]", section.path(key));
            self.offsets.insert(path.clone(), item.span().start);
            match item.get_ref().as_str() {
                Some(text) => texts.push((path, text)),
                None => self.wrong_type(section, key, item, "a list of texts", example),
            }
        }
        Some(texts)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, section: Section<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        let example = words
            .first()
            .map_or(String::new(), |(word, _)| format!("{key} = \"{word}\""));
        let found = self.text(section, key, &example)?;
        let hit = words
            .iter()
            .find_map(|(word, value)| (*word == found).then_some(*value));
        if hit.is_none() {
            let path = section.path(key);
            let fault = Shape::NoSuchWord {
                key: path.clone(),
                found: found.to_owned(),
                hint: hint(found, words.iter().map(|(word, _)| *word)),
            };
            self.problem_at(&path, fault);
        }
        hit
    }

    /// One of a few words, which must be there.
    pub fn required_word<T: Copy>(
        &mut self,
        section: Section<'_>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let example = words.first().map_or("", |(word, _)| word);
        self.required(section, key, &format!("{example:?}"))?;
        self.word(section, key, words)
    }

    /// A table under a key.
    pub fn table<'a>(&mut self, section: Section<'a>, key: &str) -> Option<Found<'a>> {
        let value = section.value(key)?;
        self.note(section, key, value);
        let path = section.path(key);
        match value.get_ref().as_table() {
            Some(table) => Some(Found {
                table,
                path,
                offset: value.span().start,
            }),
            None => {
                self.wrong_type(section, key, value, "a section", &format!("[{path}]"));
                None
            }
        }
    }

    /// A table under a key of another one that was found, independent of the borrow of its name.
    pub fn table_owned<'a>(&mut self, parent: &Found<'a>, key: &str) -> Option<Found<'a>> {
        let value = parent.table.get(key)?;
        let path = format!("{}.{key}", parent.path);
        self.offsets.insert(path.clone(), value.span().start);
        match value.get_ref().as_table() {
            Some(table) => Some(Found {
                table,
                path,
                offset: value.span().start,
            }),
            None => {
                self.wrong_type(parent.section(), key, value, "a section", &format!("[{path}]"));
                None
            }
        }
    }

    /// The tables of an array of tables.
    pub fn tables<'a>(&mut self, section: Section<'a>, key: &str) -> Vec<Found<'a>> {
        let Some(value) = section.value(key) else {
            return Vec::new();
        };
        self.note(section, key, value);
        let path = section.path(key);
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(section, key, value, "a list of sections", &format!("[[{path}]]"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref().as_table() {
                Some(table) => tables.push(Found {
                    table,
                    path: path.clone(),
                    offset: item.span().start,
                }),
                None => self.wrong_type(section, key, item, "a list of sections", &format!("[[{path}]]")),
            }
        }
        tables
    }

    fn note(&mut self, section: Section<'_>, key: &str, value: &Spanned<DeValue<'_>>) {
        self.offsets.insert(section.path(key), value.span().start);
    }

    fn wrong_type(
        &mut self,
        section: Section<'_>,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &'static str,
        example: &str,
    ) {
        let fault = Shape::WrongType {
            key: section.path(key),
            found: type_name(value.get_ref()),
            wanted,
            example: example.to_owned(),
        };
        self.problem(value.span().start, fault);
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text in quotes",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a broken number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_reported_in_the_order_of_the_file() {
        let text = "b = 1\na = \"x\"\n[c]\nd = true\n";
        let mut reader = Reader::<Shape>::new("f", text);
        let document = reader.parse();
        let top = Section::new(document.get_ref(), "", 0);
        reader.only(top, &["a", "c"]);
        assert_eq!(reader.number(top, "a", "a = 1"), None);
        let found = reader.table(top, "c").expect("a table");
        assert_eq!(reader.text(found.section(), "d", "d = \"x\""), None);
        let lines: Vec<_> = reader
            .finish()
            .iter()
            .map(|problem| problem.to_string())
            .collect();
        assert_eq!(
            lines,
            [
                "f:1:1: unknown key \"b\" in the top of the file; possible: a, c",
                "f:2:5: a is text in quotes, but a whole number is wanted; write   a = 1",
                "f:4:5: c.d is true or false, but text in quotes is wanted; write   d = \"x\"",
            ]
        );
    }
}
