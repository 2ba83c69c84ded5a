//! A recorded host: every question that was asked of one, with the answer, as plain readable files.
//!
//! `faspwall capture DIR` writes such a directory and `faspwall --machine DIR` reads it. What the files mean is told in
//! `tests/machines/README.md`. A recording is text: bytes that are not UTF-8 are replaced when they are taken down.
//!
//! * [`Recording`]: questions and answers in memory.
//! * [`layout`]: the same as names and contents of files, and back.
//! * [`redact`]: takes secrets out before anything is written.

pub mod layout;
mod names;
pub mod redact;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Output, SystemError};
use crate::step::Tool;

/// The version of the format. A directory of a newer version is refused.
pub const SCHEMA: u32 = 1;

/// What is true of a recording as a whole; the file `machine.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Version of the format.
    pub schema: u32,
    /// The program that recorded it, such as `faspwall 0.1.0`.
    pub recorded_by: String,
    /// The time of day, RFC 3339.
    pub at: String,
    /// Milliseconds since boot at that time.
    pub boottime_ms: u64,
    /// Number of the process that asked.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Where faspwall keeps its journals on that host.
    pub state_dir: PathBuf,
    /// What was taken out, such as `2 private keys`.
    #[serde(default)]
    pub replaced: Vec<String>,
    /// The name of a recording beside this one that has the same text wherever a file is missing here. `capture` never
    /// writes it: it keeps a collection of similar hosts small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
}

/// A call of a program as far as it decides what is printed: the time limit does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Name and arguments.
    pub argv: Vec<String>,
    /// What it was given on standard input.
    pub stdin: Option<String>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It ran to its end.
    Printed(Output),
    /// The program is not installed.
    Missing,
    /// It could not be started, or gave no answer in time: the message.
    Failed(String),
}

impl Ended {
    /// The same as whoever asked gets it.
    pub fn answer(self, tool: Tool) -> Result<Output, SystemError> {
        match self {
            Self::Printed(output) => Ok(output),
            Self::Missing => Err(SystemError::Missing { tool }),
            Self::Failed(why) => Err(SystemError::Recorded(why)),
        }
    }
}

/// What reading a file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Its text.
    Text(String),
    /// There is no such file.
    Absent,
    /// It could not be read: the reason.
    Unreadable(String),
}

impl Content {
    /// The same as whoever asked gets it.
    pub fn answer(self, path: &Path) -> Result<Option<Vec<u8>>, SystemError> {
        match self {
            Self::Text(text) => Ok(Some(text.into_bytes())),
            Self::Absent => Ok(None),
            Self::Unreadable(why) => Err(SystemError::File {
                what: "read",
                path: path.to_owned(),
                source: io::Error::other(why),
            }),
        }
    }
}

/// Questions and answers. A question that was asked twice keeps its first answer, so that all answers are of one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// What is true of all of it.
    pub about: About,
    /// Programs that were run.
    pub calls: BTreeMap<Call, Ended>,
    /// Files that were read.
    pub files: BTreeMap<PathBuf, Content>,
    /// Directories that were listed, with the names in them.
    pub dirs: BTreeMap<PathBuf, Vec<String>>,
    /// Symbolic links that were read.
    pub links: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Paths whose links were followed.
    pub resolved: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Owners of files.
    pub owners: BTreeMap<PathBuf, Option<u32>>,
    /// Permission bits of files.
    pub modes: BTreeMap<PathBuf, Option<u32>>,
    /// Where programs are, by their names.
    pub programs: BTreeMap<String, Option<PathBuf>>,
    /// Variables of the environment.
    pub env: BTreeMap<String, Option<String>>,
}
