//! Asks a host on behalf of somebody and takes down every question with its answer. It refuses to change anything, and
//! its clocks stand still: the recording is of one moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::recording::{About, Call, Content, Ended, Recording, SCHEMA};
use super::{Lock, Output, System, SystemError};
use crate::step::{Invocation, Signal, Tool};

/// A host that is being recorded.
pub struct Recorder<'s> {
    system: &'s dyn System,
    now: jiff::Timestamp,
    boottime: Duration,
    taken: Mutex<Recording>,
}

impl<'s> Recorder<'s> {
    /// Nothing is asked yet but who we are and what time it is.
    pub fn new(system: &'s dyn System, recorded_by: &str, state_dir: &Path) -> Self {
        let (uid, gid) = system.ids();
        let (now, boottime) = (system.now(), system.boottime());
        let about = About {
            schema: SCHEMA,
            recorded_by: recorded_by.to_owned(),
            at: now.to_string(),
            boottime_ms: u64::try_from(boottime.as_millis()).unwrap_or(u64::MAX),
            pid: system.pid(),
            uid,
            gid,
            state_dir: state_dir.to_owned(),
            replaced: Vec::new(),
            like: None,
        };
        Self {
            system,
            now,
            boottime,
            taken: Mutex::new(Recording {
                about,
                ..Recording::default()
            }),
        }
    }

    /// What was asked and answered until now.
    pub fn into_recording(self) -> Recording {
        self.taken.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first answer to a question counts, also for whoever asks again.
    fn once<K: Ord, V: Clone>(
        &self,
        place: impl Fn(&mut Recording) -> &mut BTreeMap<K, V>,
        key: K,
        ask: impl FnOnce() -> V,
    ) -> V {
        let known = |taken: &mut Recording| place(taken).get(&key).cloned();
        // The lock is not held while the host is asked: the probes of a detection run beside each other.
        if let Some(answer) = known(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner)) {
            return answer;
        }
        let answer = ask();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        place(&mut taken).entry(key).or_insert(answer).clone()
    }
}

fn refused<T>(what: &str) -> Result<T, SystemError> {
    Err(SystemError::Recorded(format!(
        "{what}: refused, a host that is being recorded is only looked at"
    )))
}

impl System for Recorder<'_> {
    fn run(&self, call: &Invocation) -> Result<Output, SystemError> {
        let key = Call {
            argv: call.argv(),
            stdin: call.stdin.clone(),
        };
        let ended = self.once(
            |taken| &mut taken.calls,
            key,
            || match self.system.run(call) {
                Ok(output) => Ended::Printed(output),
                Err(SystemError::Missing { .. }) => Ended::Missing,
                Err(error) => Ended::Failed(error.to_string()),
            },
        );
        ended.answer(call.tool)
    }

    fn run_on_terminal(&self, _: &Invocation, _: &[(String, String)]) -> Result<Option<i32>, SystemError> {
        refused("a program on the terminal")
    }

    fn become_program(&self, call: &Invocation) -> SystemError {
        SystemError::Missing { tool: call.tool }
    }

    fn die_with_parent(&self) -> Result<(), SystemError> {
        refused("an end with the parent")
    }

    fn run_as_init(&self, _: &Invocation) -> Result<Option<i32>, SystemError> {
        refused("a program as process 1")
    }

    fn detach(&self, _: &Invocation) -> Result<(), SystemError> {
        refused("a program in the background")
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SystemError> {
        let content = self.once(
            |taken| &mut taken.files,
            path.to_owned(),
            || match self.system.read(path) {
                Ok(Some(bytes)) => Content::Text(String::from_utf8_lossy(&bytes).into_owned()),
                Ok(None) => Content::Absent,
                Err(SystemError::File { source, .. }) => Content::Unreadable(source.to_string()),
                Err(error) => Content::Unreadable(error.to_string()),
            },
        );
        content.answer(path)
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let names = self.once(
            |taken| &mut taken.dirs,
            dir.to_owned(),
            || self.system.list(dir).into_iter().filter_map(name).collect(),
        );
        names.into_iter().map(|name| dir.join(name)).collect()
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        let ask = || self.system.read_link(path);
        self.once(|taken| &mut taken.links, path.to_owned(), ask)
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let ask = || self.system.resolve(path);
        self.once(|taken| &mut taken.resolved, path.to_owned(), ask)
    }

    fn owner(&self, path: &Path) -> Option<u32> {
        let ask = || self.system.owner(path);
        self.once(|taken| &mut taken.owners, path.to_owned(), ask)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        let ask = || self.system.mode(path);
        self.once(|taken| &mut taken.modes, path.to_owned(), ask)
    }

    fn replace(&self, path: &Path, _: &[u8], _: u32) -> Result<(), SystemError> {
        refused(&format!("writing {}", path.display()))
    }

    fn append(&self, path: &Path, _: &[u8]) -> Result<(), SystemError> {
        refused(&format!("writing {}", path.display()))
    }

    fn remove(&self, path: &Path) -> Result<(), SystemError> {
        refused(&format!("removing {}", path.display()))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), SystemError> {
        refused(&format!("removing {}", path.display()))
    }

    fn make_dir(&self, path: &Path, _: u32) -> Result<(), SystemError> {
        refused(&format!("making {}", path.display()))
    }

    fn lock(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        refused(&format!("locking {}", path.display()))
    }

    fn locate(&self, tool: Tool) -> Option<PathBuf> {
        let ask = || self.system.locate(tool);
        self.once(|taken| &mut taken.programs, tool.name().to_owned(), ask)
    }

    fn env(&self, name: &str) -> Option<String> {
        let ask = || self.system.env(name);
        self.once(|taken| &mut taken.env, name.to_owned(), ask)
    }

    fn pid(&self) -> u32 {
        self.system.pid()
    }

    fn ids(&self) -> (u32, u32) {
        self.system.ids()
    }

    fn is_root(&self) -> bool {
        self.system.is_root()
    }

    fn signal(&self, pid: u32, _: Signal) -> Result<(), SystemError> {
        refused(&format!("a signal to process {pid}"))
    }

    fn boottime(&self) -> Duration {
        self.boottime
    }

    fn now(&self) -> jiff::Timestamp {
        self.now
    }

    fn sleep(&self, time: Duration) {
        self.system.sleep(time);
    }

    fn random(&self) -> Result<u64, SystemError> {
        self.system.random()
    }

    fn ignore_hang_up(&self) {}

    fn become_independent(&self) {}
}
