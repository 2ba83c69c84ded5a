//! A recorded host in the place of the real one. It answers what was recorded, stands still in time, and cannot be
//! changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::recording::layout::{self, LayoutError};
use super::recording::{Call, Recording};
use super::{Lock, Output, System, SystemError, summary};
use crate::step::{Invocation, Signal, Tool};

/// Why a recorded host cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// What is in the directory is no recording.
    #[error("{} is no recorded host: {source}", dir.display())]
    Layout {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        source: LayoutError,
    },
}

/// A recorded host.
pub struct Replay {
    dir: PathBuf,
    recording: Recording,
    /// The host that this runs on; only for waiting.
    desk: &'static dyn System,
    /// Questions that nobody had asked the real host.
    unanswered: Mutex<BTreeSet<String>>,
}

impl Replay {
    /// Opens the recording in a directory of `desk`.
    pub fn open(desk: &'static dyn System, dir: &Path) -> Result<Self, ReplayError> {
        let mut read = |name: &str| {
            let path = dir.join(name);
            // A recording that came from elsewhere must not point at files of this host.
            if dir_is_linked(desk, dir, name) {
                return None;
            }
            desk.read_text(&path)
        };
        let recording = layout::recording(&mut read).map_err(|source| ReplayError::Layout {
            dir: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            recording,
            desk,
            unanswered: Mutex::default(),
        })
    }

    /// Where faspwall keeps its journals on the recorded host.
    pub fn state_dir(&self) -> &Path {
        &self.recording.about.state_dir
    }

    /// The questions that were asked and have no answer in the recording, sorted.
    pub fn unanswered(&self) -> Vec<String> {
        let questions = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        questions.iter().cloned().collect()
    }

    fn missed(&self, question: String) {
        let mut questions = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        questions.insert(question);
    }

    /// A recorded answer; a question that has none counts as answered with "not there".
    fn answer<V: Clone + Default>(&self, known: Option<&V>, question: &str, about: &Path) -> V {
        known.cloned().unwrap_or_else(|| {
            self.missed(format!("{question} {}", about.display()));
            V::default()
        })
    }

    fn refused<T>(&self, what: &str) -> Result<T, SystemError> {
        Err(SystemError::Recorded(format!(
            "{what}: refused, {} is a recorded host and nothing can be changed on it",
            self.dir.display()
        )))
    }
}

/// Whether a part of the name, below the recording's directory, is a symbolic link.
fn dir_is_linked(desk: &dyn System, dir: &Path, name: &str) -> bool {
    let mut path = dir.to_owned();
    Path::new(name).components().any(|part| {
        path.push(part);
        desk.read_link(&path).is_some()
    })
}

impl System for Replay {
    fn run(&self, call: &Invocation) -> Result<Output, SystemError> {
        let key = Call {
            argv: call.argv(),
            stdin: call.stdin.clone(),
        };
        match self.recording.calls.get(&key) {
            Some(ended) => ended.clone().answer(call.tool),
            None => {
                let question = summary(call);
                self.missed(question.clone());
                Err(SystemError::Recorded(format!(
                    "{question} was not run when this host was recorded"
                )))
            }
        }
    }

    fn run_on_terminal(&self, call: &Invocation, _: &[(String, String)]) -> Result<Option<i32>, SystemError> {
        self.refused(&summary(call))
    }

    fn become_program(&self, call: &Invocation) -> SystemError {
        SystemError::Missing { tool: call.tool }
    }

    fn die_with_parent(&self) -> Result<(), SystemError> {
        self.refused("an end with the parent")
    }

    fn run_as_init(&self, call: &Invocation) -> Result<Option<i32>, SystemError> {
        self.refused(&summary(call))
    }

    fn detach(&self, call: &Invocation) -> Result<(), SystemError> {
        self.refused(&summary(call))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SystemError> {
        match self.recording.files.get(path) {
            Some(content) => content.clone().answer(path),
            None => {
                self.missed(format!("read {}", path.display()));
                Ok(None)
            }
        }
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let names = self.answer(self.recording.dirs.get(dir), "list", dir);
        names.into_iter().map(|name| dir.join(name)).collect()
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        self.answer(self.recording.links.get(path), "the target of", path)
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        self.answer(self.recording.resolved.get(path), "the real path of", path)
    }

    fn owner(&self, path: &Path) -> Option<u32> {
        self.answer(self.recording.owners.get(path), "the owner of", path)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.answer(self.recording.modes.get(path), "the mode of", path)
    }

    fn replace(&self, path: &Path, _: &[u8], _: u32) -> Result<(), SystemError> {
        self.refused(&format!("writing {}", path.display()))
    }

    fn append(&self, path: &Path, _: &[u8]) -> Result<(), SystemError> {
        self.refused(&format!("writing {}", path.display()))
    }

    fn remove(&self, path: &Path) -> Result<(), SystemError> {
        self.refused(&format!("removing {}", path.display()))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), SystemError> {
        self.refused(&format!("removing {}", path.display()))
    }

    fn make_dir(&self, path: &Path, _: u32) -> Result<(), SystemError> {
        self.refused(&format!("making {}", path.display()))
    }

    fn lock(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        self.refused(&format!("locking {}", path.display()))
    }

    fn locate(&self, tool: Tool) -> Option<PathBuf> {
        let known = self.recording.programs.get(tool.name());
        self.answer(known, "where is", Path::new(tool.name()))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.answer(self.recording.env.get(name), "the variable", Path::new(name))
    }

    fn pid(&self) -> u32 {
        self.recording.about.pid
    }

    fn ids(&self) -> (u32, u32) {
        (self.recording.about.uid, self.recording.about.gid)
    }

    fn is_root(&self) -> bool {
        self.recording.about.uid == 0
    }

    fn signal(&self, pid: u32, _: Signal) -> Result<(), SystemError> {
        self.refused(&format!("a signal to process {pid}"))
    }

    fn boottime(&self) -> Duration {
        Duration::from_millis(self.recording.about.boottime_ms)
    }

    fn now(&self) -> jiff::Timestamp {
        self.recording.about.at.parse().unwrap_or_default()
    }

    fn sleep(&self, time: Duration) {
        self.desk.sleep(time);
    }

    fn random(&self) -> Result<u64, SystemError> {
        self.refused("a random number")
    }

    fn ignore_hang_up(&self) {}

    fn become_independent(&self) {}

    fn recorded(&self) -> Option<&Path> {
        Some(&self.dir)
    }
}
