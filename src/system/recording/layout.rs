//! A recording as files: `machine.toml`, `answers.jsonl` with one line for each question, and a file for each answer
//! that is longer than a line. A text that would play tricks on a terminal never stands in a file of its own: it stays
//! in the index, where such characters are escaped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::names::{Names, is_inside};
use super::{About, Call, Content, Ended, Recording, SCHEMA};
use crate::harmless::{self, is_tricky};
use crate::system::Output;

/// The file with what is true of the whole recording.
pub const ABOUT: &str = "machine.toml";
/// The index.
pub const INDEX: &str = "answers.jsonl";

/// Longest text that stands in the index itself.
const SHORT: usize = 400;

/// Why a directory cannot be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file is not there.
    #[error("{0} is not there: is this a directory that faspwall capture wrote?")]
    Missing(String),
    /// `machine.toml` is wrong.
    #[error("{ABOUT}: {0}")]
    About(String),
    /// It was written by a later version.
    #[error("{ABOUT}: the recording has format {0}, this faspwall reads up to {SCHEMA}: use a newer one")]
    Newer(u32),
    /// A line of the index is wrong.
    #[error("{INDEX} line {line}: {what}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// A text: in the line itself, or in a file beside the index.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Short(String),
    File { file: String },
}

/// One line of the index.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Run {
        run: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stdin: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<i32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out: Option<Text>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        err: Option<Text>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
        #[serde(default, skip_serializing_if = "is_false")]
        missing: bool,
    },
    Read {
        read: PathBuf,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Text>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    List {
        list: PathBuf,
        names: Vec<String>,
    },
    Links {
        links: PathBuf,
        to: BTreeMap<String, Option<PathBuf>>,
    },
    Link {
        link: PathBuf,
        to: Option<PathBuf>,
    },
    Resolve {
        resolve: PathBuf,
        to: Option<PathBuf>,
    },
    Owner {
        owner: PathBuf,
        is: Option<u32>,
    },
    Mode {
        mode: PathBuf,
        is: Option<String>,
    },
    Program {
        program: String,
        at: Option<PathBuf>,
    },
    Variable {
        variable: String,
        is: Option<String>,
    },
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The files of a recording by their names, relative to its directory.
pub fn files(recording: &Recording) -> Result<BTreeMap<String, String>, LayoutError> {
    let mut writer = Writer::default();
    for (call, ended) in &recording.calls {
        let line = writer.run(call, ended);
        writer.line(&line);
    }
    for (path, content) in &recording.files {
        let line = writer.read(path, content);
        writer.line(&line);
    }
    for line in directories(recording).iter().chain(&small(recording)) {
        writer.line(line);
    }
    let about = toml::to_string(&recording.about)
        .map_err(|error| LayoutError::About(harmless::line(&error.to_string())))?;
    writer.files.insert(ABOUT.to_owned(), about);
    writer.files.insert(INDEX.to_owned(), writer.index);
    Ok(writer.files)
}

#[derive(Debug, Default)]
struct Writer {
    names: Names,
    index: String,
    files: BTreeMap<String, String>,
}

impl Writer {
    fn line(&mut self, line: &Line) {
        // Lists, texts and numbers: nothing that JSON has no form for.
        let json = serde_json::to_string(line).unwrap_or_default();
        self.index.push_str(&harmless::json(&json));
        self.index.push('\n');
    }

    fn run(&mut self, call: &Call, ended: &Ended) -> Line {
        let (mut status, mut out, mut err, mut failed) = (None, None, None, None);
        match ended {
            Ended::Printed(output) => {
                status = output.status;
                out = self.text(&output.stdout, |names| names.of_call(&call.argv, ".out"));
                err = self.text(&output.stderr, |names| names.of_call(&call.argv, ".err"));
            }
            Ended::Failed(why) => failed = Some(why.clone()),
            Ended::Missing => {}
        }
        Line::Run {
            run: call.argv.clone(),
            stdin: call.stdin.clone(),
            status,
            out,
            err,
            failed,
            missing: *ended == Ended::Missing,
        }
    }

    fn read(&mut self, path: &Path, content: &Content) -> Line {
        let (mut text, mut failed) = (None, None);
        match content {
            Content::Text(content) if content.is_empty() => text = Some(Text::Short(String::new())),
            Content::Text(content) => text = self.text(content, |names| names.of_file(path)),
            Content::Unreadable(why) => failed = Some(why.clone()),
            Content::Absent => {}
        }
        Line::Read {
            read: path.to_owned(),
            text,
            failed,
        }
    }

    fn text(&mut self, text: &str, name: impl FnOnce(&mut Names) -> String) -> Option<Text> {
        if text.is_empty() {
            return None;
        }
        let one_line = !text.trim_end_matches('\n').contains('\n');
        if (one_line && text.len() <= SHORT) || !is_plain(text) {
            return Some(Text::Short(text.to_owned()));
        }
        let file = name(&mut self.names);
        self.files.insert(file.clone(), text.to_owned());
        Some(Text::File { file })
    }
}

/// Listings. One whose entries are links that were all read takes one line for all of them: `/proc/PID/fd`.
fn directories(recording: &Recording) -> Vec<Line> {
    let mut lines = Vec::new();
    for (dir, names) in &recording.dirs {
        let target = |name: &String| {
            let to = recording.links.get(&dir.join(name))?;
            Some((name.clone(), to.clone()))
        };
        let to: Option<BTreeMap<String, Option<PathBuf>>> = names.iter().map(target).collect();
        lines.push(match to.filter(|to| !to.is_empty()) {
            Some(to) => Line::Links {
                links: dir.clone(),
                to,
            },
            None => Line::List {
                list: dir.clone(),
                names: names.clone(),
            },
        });
    }
    let grouped = |path: &Path| {
        let listed = path.parent().and_then(|dir| recording.dirs.get(dir));
        listed.is_some_and(|names| {
            let all = |name: &String| recording.links.contains_key(&path.with_file_name(name));
            names.iter().all(all) && names.iter().any(|name| path.ends_with(name))
        })
    };
    for (link, to) in recording.links.iter().filter(|(path, _)| !grouped(path)) {
        lines.push(Line::Link {
            link: link.clone(),
            to: to.clone(),
        });
    }
    lines
}

fn small(recording: &Recording) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(recording.resolved.iter().map(|(path, to)| Line::Resolve {
        resolve: path.clone(),
        to: to.clone(),
    }));
    lines.extend(recording.owners.iter().map(|(path, is)| Line::Owner {
        owner: path.clone(),
        is: *is,
    }));
    lines.extend(recording.modes.iter().map(|(path, is)| Line::Mode {
        mode: path.clone(),
        is: is.map(|mode| format!("{mode:04o}")),
    }));
    lines.extend(recording.programs.iter().map(|(name, at)| Line::Program {
        program: name.clone(),
        at: at.clone(),
    }));
    lines.extend(recording.env.iter().map(|(name, is)| Line::Variable {
        variable: name.clone(),
        is: is.clone(),
    }));
    lines
}

/// Reads a recording. `read` gives the content of a file of its directory.
pub fn recording(read: &mut dyn FnMut(&str) -> Option<String>) -> Result<Recording, LayoutError> {
    let about = about(read, ABOUT)?;
    let twin = match &about.like {
        None => None,
        Some(name) => Some(twin(read, name)?),
    };
    let mut read = |name: &str| read(name).or_else(|| read(&format!("{}/{name}", twin.as_deref()?)));
    let index = read(INDEX).ok_or_else(|| LayoutError::Missing(INDEX.to_owned()))?;
    let mut recording = Recording {
        about,
        ..Recording::default()
    };
    for (number, line) in index.lines().enumerate() {
        let wrong = |what: String| LayoutError::Line {
            line: number + 1,
            what: harmless::line(&what),
        };
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        recording.take(line, &mut read).map_err(wrong)?;
    }
    Ok(recording)
}

fn about(read: &mut dyn FnMut(&str) -> Option<String>, name: &str) -> Result<About, LayoutError> {
    let text = read(name).ok_or_else(|| LayoutError::Missing(name.to_owned()))?;
    let about: About =
        toml::from_str(&text).map_err(|error| LayoutError::About(harmless::line(&error.to_string())))?;
    if about.schema > SCHEMA {
        return Err(LayoutError::Newer(about.schema));
    }
    Ok(about)
}

/// Where the texts of a similar recording are. Nothing but another recording may be read beside this one.
fn twin(read: &mut dyn FnMut(&str) -> Option<String>, name: &str) -> Result<String, LayoutError> {
    if !is_inside(name) || name.contains('/') {
        return Err(LayoutError::About(harmless::line(&format!(
            "like = {name:?} is no name of a directory"
        ))));
    }
    let dir = format!("../{name}");
    about(read, &format!("{dir}/{ABOUT}")).map(|_| dir)
}

impl Recording {
    fn take(&mut self, line: Line, read: &mut dyn FnMut(&str) -> Option<String>) -> Result<(), String> {
        match line {
            Line::Run {
                run: argv,
                stdin,
                status,
                out,
                err,
                failed,
                missing,
            } => {
                let ended = match (failed, missing) {
                    (Some(why), _) => Ended::Failed(why),
                    (None, true) => Ended::Missing,
                    (None, false) => Ended::Printed(Output {
                        status,
                        stdout: full(out, read)?,
                        stderr: full(err, read)?,
                    }),
                };
                self.calls.insert(Call { argv, stdin }, ended);
            }
            Line::Read {
                read: path,
                text,
                failed,
            } => {
                let content = match (text, failed) {
                    (Some(text), _) => Content::Text(full(Some(text), read)?),
                    (None, Some(why)) => Content::Unreadable(why),
                    (None, None) => Content::Absent,
                };
                self.files.insert(path, content);
            }
            line => self.take_small(line)?,
        }
        Ok(())
    }

    fn take_small(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::List { list, names } => drop(self.dirs.insert(list, names)),
            Line::Links { links, to } => {
                self.dirs.insert(links.clone(), to.keys().cloned().collect());
                let paths = to.into_iter().map(|(name, to)| (links.join(name), to));
                self.links.extend(paths);
            }
            Line::Link { link, to } => drop(self.links.insert(link, to)),
            Line::Resolve { resolve, to } => drop(self.resolved.insert(resolve, to)),
            Line::Owner { owner, is } => drop(self.owners.insert(owner, is)),
            Line::Mode { mode, is } => {
                let octal = |text: String| {
                    u32::from_str_radix(&text, 8).map_err(|_| format!("{text:?} are no permission bits"))
                };
                self.modes.insert(mode, is.map(octal).transpose()?);
            }
            Line::Program { program, at } => drop(self.programs.insert(program, at)),
            Line::Variable { variable, is } => drop(self.env.insert(variable, is)),
            Line::Run { .. } | Line::Read { .. } => {}
        }
        Ok(())
    }
}

fn full(text: Option<Text>, read: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    match text {
        None => Ok(String::new()),
        Some(Text::Short(text)) => Ok(text),
        Some(Text::File { file }) if !is_inside(&file) => {
            Err(format!("{file:?} leads out of the recording: nothing was read"))
        }
        Some(Text::File { file }) => read(&file).ok_or_else(|| format!("{file} is not there")),
    }
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| is_tricky(c) && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests;
