//! Where every element of the file stands, to the byte. Only a well-formed file has an answer.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::EditError;
use crate::harmless;

/// An element.
#[derive(Debug)]
pub(super) struct Node {
    /// Its name as it is written.
    pub name: String,
    parent: Option<usize>,
    number: usize,
    /// Its start tag, or the whole of an empty one.
    pub start: Range<usize>,
    /// Its end tag; of an empty one the place behind it.
    pub end: Range<usize>,
    /// Whether it is written `<name/>`.
    pub empty: bool,
    /// The stretches of text in it; a comment divides them.
    pub texts: Vec<Range<usize>>,
    /// How many elements are in it.
    pub children: usize,
}

/// The file.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    pub text: &'t str,
    nodes: Vec<Node>,
}

impl<'t> Tree<'t> {
    /// Reads a well-formed file.
    pub fn read(text: &'t str) -> Result<Self, EditError> {
        let mut tree = Self {
            text,
            nodes: Vec::new(),
        };
        // The reader would pass over it in silence, and every place would be three bytes off.
        if text.starts_with('\u{feff}') {
            return Err(tree.broken(0, String::from("it begins with more than one byte order mark")));
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = true;
        let mut open: Vec<usize> = Vec::new();
        let mut from = 0;
        loop {
            let event = reader.read_event();
            let to = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let span = from..to.min(text.len());
            match event {
                Ok(Event::Eof) => break,
                Ok(Event::Start(start)) => {
                    tree.check_attributes(start.attributes().map(|a| a.map(drop)), &span)?;
                    open.push(tree.push(start.name().as_ref(), &open, span, false)?);
                }
                Ok(Event::Empty(start)) => {
                    tree.check_attributes(start.attributes().map(|a| a.map(drop)), &span)?;
                    tree.push(start.name().as_ref(), &open, span, true)?;
                }
                Ok(Event::End(_)) => {
                    if let Some(node) = open.pop().and_then(|number| tree.nodes.get_mut(number)) {
                        node.end = span;
                    }
                }
                Ok(Event::Text(_) | Event::CData(_) | Event::GeneralRef(_)) => tree.words(&open, span)?,
                Ok(_) => {}
                Err(error) => {
                    let at = usize::try_from(reader.error_position()).unwrap_or(to);
                    return Err(tree.broken(at, error.to_string()));
                }
            }
            from = to;
        }
        if let Some(node) = open.last().and_then(|number| tree.nodes.get(*number)) {
            return Err(tree.broken(node.start.start, format!("<{}> is never closed", node.name)));
        }
        match tree.nodes.first() {
            None => Err(tree.broken(0, String::from("there is no element in it"))),
            Some(root) if !root.name.eq_ignore_ascii_case("conf") => Err(EditError::Root {
                line: tree.line(root.start.start),
                found: harmless::line(&root.name),
            }),
            Some(_) => Ok(tree),
        }
    }

    fn broken(&self, at: usize, what: String) -> EditError {
        EditError::Broken {
            line: self.line(at),
            what: harmless::line(&what),
        }
    }

    fn check_attributes<E: ToString>(
        &self,
        mut attributes: impl Iterator<Item = Result<(), E>>,
        span: &Range<usize>,
    ) -> Result<(), EditError> {
        match attributes.find_map(Result::err) {
            Some(error) => Err(self.broken(span.start, error.to_string())),
            None => Ok(()),
        }
    }

    fn push(
        &mut self,
        name: &str,
        open: &[usize],
        span: Range<usize>,
        empty: bool,
    ) -> Result<usize, EditError> {
        let number = self.nodes.len();
        if open.is_empty() && number > 0 {
            let what = format!("<{name}> stands outside of <{}>", self.root().name);
            return Err(self.broken(span.start, what));
        }
        if let Some(parent) = open.last().and_then(|parent| self.nodes.get_mut(*parent)) {
            parent.children += 1;
        }
        self.nodes.push(Node {
            name: name.to_owned(),
            parent: open.last().copied(),
            number,
            end: span.end..span.end,
            start: span,
            empty,
            texts: Vec::new(),
            children: 0,
        });
        Ok(number)
    }

    /// Text: one stretch with the text right before it.
    fn words(&mut self, open: &[usize], span: Range<usize>) -> Result<(), EditError> {
        let Some(node) = open.last().and_then(|number| self.nodes.get_mut(*number)) else {
            let stray = self.text[span.clone()].trim();
            return match stray.chars().next() {
                Some(_) => Err(self.broken(span.start, String::from("text outside of <CONF>"))),
                None => Ok(()),
            };
        };
        match node.texts.last_mut() {
            Some(last) if last.end == span.start => last.end = span.end,
            _ => node.texts.push(span),
        }
        Ok(())
    }

    /// The outermost element.
    pub fn root(&self) -> &Node {
        &self.nodes[0]
    }

    /// The line of a place, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// Every element at a path below the root, in order. Names are compared without regard to case, as reading does.
    pub fn at(&self, path: &[&str]) -> Vec<&Node> {
        self.nodes.iter().filter(|node| self.is_at(node, path)).collect()
    }

    fn is_at(&self, node: &Node, path: &[&str]) -> bool {
        let parent = node.parent.and_then(|parent| self.nodes.get(parent));
        match (path, parent) {
            ([], None) => true,
            ([outer @ .., last], Some(parent)) => {
                node.name.eq_ignore_ascii_case(last) && self.is_at(parent, outer)
            }
            _ => false,
        }
    }

    /// The last child of a name.
    pub fn child(&self, node: &Node, name: &str) -> Option<&Node> {
        let fits = |child: &&Node| child.parent == Some(node.number) && child.name.eq_ignore_ascii_case(name);
        self.nodes.iter().rfind(fits)
    }

    /// The text of an element without the blanks around it.
    pub fn value(&self, node: &Node) -> &str {
        let mut full = node.texts.iter().map(|range| self.text[range.clone()].trim());
        full.rfind(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The blanks before a tag that begins its line; `None` when something else stands before it.
    pub fn indent(&self, at: usize) -> Option<&'t str> {
        let before = &self.text[..at];
        let line = before.rfind('\n')? + 1;
        let indent = &before[line..];
        indent.trim().is_empty().then_some(indent)
    }

    /// How the elements in this one are indented, when they stand on lines of their own.
    pub fn first_child_indent(&self, node: &Node) -> Option<String> {
        let child = self
            .nodes
            .iter()
            .find(|child| child.parent == Some(node.number))?;
        self.indent(child.start.start).map(str::to_owned)
    }

    /// One step of indentation in this file.
    pub fn unit(&self) -> &'t str {
        let first = self.nodes.iter().find(|node| node.parent == Some(0));
        let outer = self.indent(self.root().start.start).unwrap_or_default();
        first
            .and_then(|node| self.indent(node.start.start)?.strip_prefix(outer))
            .filter(|unit| !unit.is_empty())
            .unwrap_or("  ")
    }

    /// Where the value of an attribute stands, without its quotes. The start tag was found well-formed before.
    pub fn attribute(&self, node: &Node, wanted: &str) -> Option<Range<usize>> {
        let tag = &self.text[node.start.clone()];
        let mut at = 1 + node.name.len();
        loop {
            let rest = tag.get(at..)?;
            let (key, _) = rest.split_once('=')?;
            let equals = at + key.len() + 1;
            let value = tag.get(equals..)?;
            let quote = value.find(['"', '\''])?;
            let sign = value[quote..].chars().next()?;
            let from = equals + quote + 1;
            let length = tag.get(from..)?.find(sign)?;
            if key.trim().eq_ignore_ascii_case(wanted) {
                let start = node.start.start + from;
                return Some(start..start + length);
            }
            at = from + length + 1;
        }
    }
}
