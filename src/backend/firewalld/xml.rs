//! Just enough of XML for the files of firewalld. Reading never fails: what is not closed ends with the text, and what
//! is no element is passed over.

use std::ops::Range;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes, in order.
    pub attributes: Vec<(String, String)>,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The elements of one name in it.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element of one name in it.
    pub fn first(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// Elements may not lie deeper than this; firewalld's own need four.
const DEPTH: usize = 32;

/// The outermost element; an empty one when there is none.
pub fn parse(text: &str) -> Element {
    let mut open: Vec<Element> = vec![Element::default()];
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let end = end_of_tag(rest);
        let tag = rest.get(1..end).unwrap_or_default();
        rest = rest.get(end..).unwrap_or_default().trim_start_matches('>');
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if tag.starts_with('/') {
            close(&mut open);
        } else {
            let element = element(tag.trim_end_matches('/'));
            open.push(element);
            if tag.ends_with('/') || open.len() > DEPTH {
                close(&mut open);
            }
        }
    }
    while open.len() > 1 {
        close(&mut open);
    }
    let outer = open.pop().unwrap_or_default();
    outer.children.into_iter().next().unwrap_or_default()
}

/// Where comments stand. One that is never closed goes on to the end.
pub fn comments(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| Some(at + rest.find('<')?)) {
        let rest = text.get(start..).unwrap_or_default();
        let comment = rest.strip_prefix("<!--");
        let length = match comment {
            Some(inner) => inner.find("-->").map_or(rest.len(), |end| end + 7),
            None => end_of_tag(rest),
        };
        at = start + length;
        if comment.is_some() {
            found.push(start..at);
        }
    }
    found
}

/// Puts the innermost open element into the one around it.
fn close(open: &mut Vec<Element>) {
    if open.len() > 1
        && let Some(done) = open.pop()
        && let Some(around) = open.last_mut()
    {
        around.children.push(done);
    }
}

/// Where the tag that the text begins with ends: at its `>`, which may stand in a quoted value as well.
fn end_of_tag(text: &str) -> usize {
    let mut quote: Option<char> = None;
    for (at, letter) in text.char_indices() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter == '>' => return at,
            None => {}
        }
    }
    text.len()
}

fn element(tag: &str) -> Element {
    let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            break;
        };
        let body = after.get(1..).unwrap_or_default();
        let (value, next) = body.split_once(quote).unwrap_or((body, ""));
        attributes.push((key.trim().to_owned(), plain(value)));
        rest = next;
    }
    Element {
        name: name.trim().to_owned(),
        attributes,
        children: Vec::new(),
    }
}

fn plain(value: &str) -> String {
    value
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_attributes_comments_and_quoted_brackets_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<!-- <zone> -->\n<zone target='DROP'>\n <a b=\"x > y &amp; z\"/>\n <c><d e = '1'/></c>\n</zone>";
        let zone = parse(text);
        assert_eq!(zone.name, "zone");
        assert_eq!(zone.attribute("target"), Some("DROP"));
        assert_eq!(zone.first("a").and_then(|a| a.attribute("b")), Some("x > y & z"));
        let inner = zone.first("c").and_then(|c| c.first("d"));
        assert_eq!(inner.and_then(|d| d.attribute("e")), Some("1"));
        assert_eq!(zone.named("a").count(), 1);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[<>/!?a-c \"'=&;-]{0,80}") {
            let _ = parse(&text);
        }
    }
}
