//! Changing values of `aspera.conf` in place: what is not a changed value stays byte for byte as it was, comments,
//! indentation and line ends included.
//!
//! Reading for advice is lenient; changing is strict. A file that is not well-formed is not touched, and the error names
//! the line.

mod tree;

use std::ops::Range;

use tree::{Node, Tree};

/// A value that shall stand in the file. Paths are below the root, in the schema's lower-case names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where it stands.
    pub place: Place,
    /// The value.
    pub value: String,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The text of an element. It is made where it is missing; where it stands more than once, each gets the value.
    Element(&'static [&'static str]),
    /// An attribute of an element below the root. Where it is missing, nothing is added.
    Attribute {
        /// The element.
        element: &'static str,
        /// The attribute, as the manuals spell it.
        name: &'static str,
    },
    /// The multicast port of every trunk that is on.
    Trunks,
}

/// Why the file cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is not well-formed XML.
    #[error("line {line}: {what}")]
    Broken {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The root is another one.
    #[error("line {line}: the outermost element is <{found}>, not <CONF>")]
    Root {
        /// The line, from 1.
        line: usize,
        /// Its name.
        found: String,
    },
    /// A value that cannot be told from what is around it.
    #[error("line {line}: <{name}> holds more than one value")]
    NoValue {
        /// The line, from 1.
        line: usize,
        /// The element.
        name: String,
    },
}

/// The text with these values in it; the same text when it holds them already.
pub fn edited(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    // The sign with which editors of Windows begin a file is no part of the document.
    let (mark, text) = match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    };
    let mut text = text.to_owned();
    // Also a file that needs no change must be one that could be changed.
    Tree::read(&text)?;
    for edit in edits {
        text = match edit.place {
            Place::Element(path) => with_element(&text, path, &edit.value)?,
            Place::Attribute { element, name } => with_attribute(&text, element, name, &edit.value)?,
            Place::Trunks => with_trunks(&text, &edit.value)?,
        };
    }
    Tree::read(&text)?;
    Ok(format!("{mark}{text}"))
}

/// One stretch of the text that is replaced.
struct Patch {
    range: Range<usize>,
    text: String,
}

fn patched(text: &str, mut patches: Vec<Patch>) -> String {
    patches.sort_by_key(|patch| std::cmp::Reverse(patch.range.start));
    let mut text = text.to_owned();
    for patch in patches {
        text.replace_range(patch.range, &patch.text);
    }
    text
}

/// `1` and `true` say the same, so neither is a reason to write.
fn same(found: &str, wanted: &str) -> bool {
    let truth = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    };
    found == wanted || truth(wanted).is_some_and(|wanted| truth(found) == Some(wanted))
}

fn with_element(text: &str, path: &[&str], value: &str) -> Result<String, EditError> {
    let tree = Tree::read(text)?;
    let there = tree.at(path);
    if there.is_empty() {
        return Ok(with_new(text, &tree, path, value));
    }
    let mut patches = Vec::new();
    for node in there {
        patches.extend(set(&tree, node, value)?);
    }
    Ok(patched(text, patches))
}

/// The patch that gives an element its value; `None` when it has it.
fn set(tree: &Tree<'_>, node: &Node, value: &str) -> Result<Option<Patch>, EditError> {
    let text = tree.text;
    let no_value = || EditError::NoValue {
        line: tree.line(node.start.start),
        name: node.name.clone(),
    };
    if node.children > 0 {
        return Err(no_value());
    }
    let full: Vec<&Range<usize>> = node
        .texts
        .iter()
        .filter(|range| !text[(*range).clone()].trim().is_empty())
        .collect();
    match full.as_slice() {
        [] if node.empty => {
            let (head, _) = text[node.start.clone()].rsplit_once('/').unwrap_or_default();
            let replaced = format!("{}>{value}</{}>", head.trim_end(), node.name);
            Ok(Some(Patch {
                range: node.start.clone(),
                text: replaced,
            }))
        }
        [] => {
            // Blanks alone are no value, and would become a part of it.
            let only = node.texts.first().filter(|_| node.texts.len() == 1);
            let at = node.start.end;
            let range = only.filter(|only| only.start == at).cloned().unwrap_or(at..at);
            Ok(Some(Patch {
                range,
                text: value.to_owned(),
            }))
        }
        [one] => {
            let found = &text[(*one).clone()];
            let bare = found.trim();
            let inner = bare
                .strip_prefix("<![CDATA[")
                .and_then(|bare| bare.strip_suffix("]]>"))
                .map_or(bare, str::trim);
            if same(inner, value) {
                return Ok(None);
            }
            let start = one.start + (found.len() - found.trim_start().len());
            Ok(Some(Patch {
                range: start..start + bare.len(),
                text: value.to_owned(),
            }))
        }
        _ => Err(no_value()),
    }
}

/// Puts a missing element in, and those around it that are missing as well: at the end of the innermost one that is
/// there, in the style of the file.
fn with_new(text: &str, tree: &Tree<'_>, path: &[&str], value: &str) -> String {
    let (depth, around) = (0..path.len())
        .rev()
        .find_map(|depth| Some((depth, *tree.at(&path[..depth]).last()?)))
        .unwrap_or((0, tree.root()));
    let missing = &path[depth..];
    let eol = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let unit = tree.unit();
    let own_line = tree.indent(around.start.start);
    if around.empty {
        let (head, _) = text[around.start.clone()].rsplit_once('/').unwrap_or_default();
        let inner = match own_line {
            Some(indent) => format!(
                "{eol}{}{eol}{indent}",
                lines(missing, value, &format!("{indent}{unit}"), unit, eol)
            ),
            None => nested(missing, value),
        };
        let replaced = format!("{}>{inner}</{}>", head.trim_end(), around.name);
        return patched(
            text,
            vec![Patch {
                range: around.start.clone(),
                text: replaced,
            }],
        );
    }
    let patch = match tree.indent(around.end.start) {
        Some(closing) => {
            let child = tree.first_child_indent(around);
            let indent = child.unwrap_or_else(|| format!("{closing}{unit}"));
            let at = around.end.start - closing.len();
            Patch {
                range: at..at,
                text: format!("{}{eol}", lines(missing, value, &indent, unit, eol)),
            }
        }
        None => Patch {
            range: around.end.start..around.end.start,
            text: nested(missing, value),
        },
    };
    patched(text, vec![patch])
}

/// `<a><b>value</b></a>`
fn nested(names: &[&str], value: &str) -> String {
    names.iter().rev().fold(value.to_owned(), |inner, name| {
        format!("<{name}>{inner}</{name}>")
    })
}

/// The same on lines of its own, without the last line end.
fn lines(names: &[&str], value: &str, indent: &str, unit: &str, eol: &str) -> String {
    match names {
        [] => String::new(),
        [name] => format!("{indent}<{name}>{value}</{name}>"),
        [name, inner @ ..] => {
            let deeper = lines(inner, value, &format!("{indent}{unit}"), unit, eol);
            format!("{indent}<{name}>{eol}{deeper}{eol}{indent}</{name}>")
        }
    }
}

fn with_attribute(text: &str, element: &str, name: &str, value: &str) -> Result<String, EditError> {
    let tree = Tree::read(text)?;
    let mut patches = Vec::new();
    for node in tree.at(&[element]) {
        if let Some(range) = tree.attribute(node, name)
            && !same(text[range.clone()].trim(), value)
        {
            patches.push(Patch {
                range,
                text: value.to_owned(),
            });
        }
    }
    Ok(patched(text, patches))
}

fn with_trunks(text: &str, value: &str) -> Result<String, EditError> {
    let mut text = text.to_owned();
    let count = Tree::read(&text)?.at(&["trunks", "trunk"]).len();
    for number in 0..count {
        let tree = Tree::read(&text)?;
        let trunks = tree.at(&["trunks", "trunk"]);
        let Some(trunk) = trunks.get(number) else { continue };
        let on = tree.child(trunk, "on");
        if !on.is_some_and(|on| same(tree.value(on), "true")) {
            continue;
        }
        let patch = match tree.child(trunk, "mcast_port") {
            Some(port) => set(&tree, port, value)?.into_iter().collect(),
            // It stands beside the one that says that the trunk is on.
            None => on.map(|on| beside(&tree, on, value)).into_iter().collect(),
        };
        text = patched(&text, patch);
    }
    Ok(text)
}

/// `<mcast_port>` after another element, on a line of its own where that one has its own.
fn beside(tree: &Tree<'_>, node: &Node, value: &str) -> Patch {
    let eol = if tree.text.contains("\r\n") { "\r\n" } else { "\n" };
    let indent = tree.indent(node.start.start);
    let lead = indent.map_or_else(String::new, |indent| format!("{eol}{indent}"));
    Patch {
        range: node.end.end..node.end.end,
        text: format!("{lead}<mcast_port>{value}</mcast_port>"),
    }
}

#[cfg(test)]
mod tests;
