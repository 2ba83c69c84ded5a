//! One faspwall at a time, and how one that hangs is ended: an undo that was promised waits for nobody for ever.
//!
//! A process that was stopped (Ctrl-Z), that waits for its terminal (Ctrl-S) or for a disk that does not answer holds its
//! locks for as long as it likes. Once the time of its change has run out it is killed, and its change undone: every step
//! of an undo may follow a step that was cut off in the middle.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::detect::processes::{self, Process, Processes};
use super::journal::Transaction;
use super::{Engine, EngineError};
use crate::change::assemble::RUN_DIR;
use crate::step::{Signal, Tool};
use crate::system::Lock;
use crate::transaction::{State, TxnId};

/// How long a faspwall at work has once the time of its change has run out: it may be about to write down a later one.
const GRACE: Duration = Duration::from_secs(10);
/// How long an undo may take before another one ends it and begins anew. It waits for the kernel's own clock at times,
/// and for programs that do not answer.
const UNDO_LIMIT: Duration = Duration::from_secs(45 * 60);
/// How long what a killed faspwall had started may go on: it is most likely at its end.
const CHILDREN_LIMIT: Duration = Duration::from_secs(5);
/// How long the kernel may take to let go of a killed process's locks.
const RELEASE: Duration = Duration::from_secs(2);

/// `Try again`, or what to do about one that does not go on.
fn advice(pid: u32, stopped: bool, left_s: Option<u64>) -> String {
    let end = match left_s {
        Some(0) => String::from("Its time has run out: faspwall rollback ends it and undoes its change"),
        Some(left) => format!(
            "Left alone, it is ended and its change undone in {left} s. To do so now: kill -9 {pid}; faspwall rollback"
        ),
        None => format!("To end it: kill -9 {pid}; faspwall status"),
    };
    if stopped {
        format!(". Process {pid} is stopped (Ctrl-Z), and goes on with: kill -CONT {pid}. {end}")
    } else {
        format!(". Try again in a few seconds. Should process {pid} hang: {end}")
    }
}

impl Engine<'_> {
    /// Takes the locks of this host and of the state directory, waiting up to `patience`.
    pub fn lock(&self, patience: Duration) -> Result<Lock, EngineError> {
        self.make_dirs()?;
        let until = self.system.boottime() + patience;
        let mut held = Vec::new();
        let paths = self.lock_paths();
        loop {
            let Some(path) = paths.get(held.len()) else {
                return Ok(Lock::all(held));
            };
            if let Some(lock) = self.system.lock(path)? {
                held.push(lock);
                continue;
            }
            if self.system.boottime() >= until {
                return Err(self.locked(path));
            }
            self.system.sleep(Duration::from_millis(50));
        }
    }

    /// Always in this order: of the host, then of the state directory, which another faspwall may know by the name.
    fn lock_paths(&self) -> [PathBuf; 2] {
        [PathBuf::from(RUN_DIR).join("lock"), self.state_dir.join("lock")]
    }

    /// Who holds the lock, and what to type.
    fn locked(&self, path: &Path) -> EngineError {
        let holder = self.holder();
        let left_s = self.open().ok().flatten().map(|open| match open.deadline() {
            Some(_) if self.is_due(&open) => 0,
            Some(deadline) => {
                deadline.at_ms.saturating_sub(self.uptime_ms()).div_ceil(1000) + GRACE.as_secs()
            }
            None => 0,
        });
        EngineError::Locked {
            path: path.display().to_string(),
            holder: holder
                .as_ref()
                .map_or_else(String::new, |p| format!(" by process {}", p.pid)),
            advice: holder.map_or_else(
                || String::from(". Try again in a few seconds"),
                |p| advice(p.pid, self.is_stopped(p.pid), left_s),
            ),
        }
    }

    /// The lock, for an undo: a faspwall whose time has run out, and that holds it all the same, is ended.
    pub(super) fn lock_to_undo(&self, patience: Duration) -> Result<Lock, EngineError> {
        let overdue = self.open()?.or_else(|| self.incomplete());
        let lock = match overdue.filter(|t| self.may_be_undone(t)) {
            Some(transaction) => self.lock_when_due(&transaction.id, patience)?,
            None => None,
        };
        lock.map_or_else(|| self.lock(patience), Ok)
    }

    /// The same for one transaction; `None` when there is nothing to undo any more, or not yet.
    pub(super) fn lock_when_due(&self, id: &TxnId, patience: Duration) -> Result<Option<Lock>, EngineError> {
        let start = self.system.boottime();
        loop {
            let locked = match self.lock(GRACE.min(patience)) {
                Err(error @ EngineError::Locked { .. }) => error,
                other => return other.map(Some),
            };
            let transaction = self.load(id)?.filter(|t| self.may_be_undone(t));
            let Some(transaction) = transaction else {
                return Ok(None);
            };
            let waited = self.system.boottime().saturating_sub(start);
            if let Some(ended) = self.end_holder(&transaction, waited) {
                match self.lock(RELEASE) {
                    // The kernel does not get it out of a call, such as an fsync on a disk that does not answer. It has
                    // been sent a KILL: it will never do anything again.
                    Err(EngineError::Locked { .. }) if self.holder().is_some_and(|p| p == ended) => {
                        return Ok(Some(Lock::all(Vec::new())));
                    }
                    Err(EngineError::Locked { .. }) => {}
                    other => return other.map(Some),
                }
            }
            if self.system.boottime().saturating_sub(start) >= patience {
                return Err(locked);
            }
        }
    }

    fn may_be_undone(&self, transaction: &Transaction) -> bool {
        self.is_due(transaction) || transaction.is_incomplete()
    }

    /// Ends the faspwall that holds the lock, with what it has started; `None` when it is left alone.
    fn end_holder(&self, transaction: &Transaction, waited: Duration) -> Option<Process> {
        let holder = self.holder()?;
        let undoing = transaction.state == State::RollingBack || transaction.is_incomplete();
        // An undo at work is what all of this is for.
        if undoing && waited < UNDO_LIMIT && !self.is_stopped(holder.pid) {
            return None;
        }
        let started = self.started_by(&holder);
        // Numbers pass on: right before the act it must still be the same process, a faspwall of ours.
        if !self.is_faspwall(holder.pid) || self.process(holder.pid).as_ref() != Some(&holder) {
            return None;
        }
        self.system.signal(holder.pid, Signal::Kill).ok()?;
        self.wall(format!(
            "faspwall: process {} held up the undo of {} although its time had run out, and was ended.",
            holder.pid, transaction.id
        ));
        self.end_children(started);
        Some(holder)
    }

    /// Programs that a faspwall runs; not its guards, which are faspwalls too.
    fn started_by(&self, holder: &Process) -> Vec<Process> {
        let all = Processes::read(self.system);
        let own = |p: &&Process| p.parent == holder.pid && !p.comm.starts_with("faspwall");
        let mut found: Vec<Process> = Vec::new();
        for child in all.all().filter(own) {
            found.push(child.clone());
            found.extend(all.descendants(child.pid).into_iter().cloned());
        }
        found
    }

    /// Lets them come to their end; ends those that do not.
    fn end_children(&self, mut children: Vec<Process>) {
        let until = self.system.boottime() + CHILDREN_LIMIT;
        while !children.is_empty() {
            children.retain(|child| {
                self.process(child.pid)
                    .is_some_and(|now| now.started_ms == child.started_ms)
                    && self.state(child.pid) != Some('Z')
            });
            let late = self.system.boottime() >= until;
            for child in children.iter().filter(|c| late || self.is_stopped(c.pid)) {
                drop(self.system.signal(child.pid, Signal::Kill));
            }
            if late {
                return;
            }
            self.system.sleep(Duration::from_millis(20));
        }
    }

    /// The process that holds one of the locks, as the kernel tells it beside each open file (proc_pid_fdinfo(5)).
    fn holder(&self) -> Option<Process> {
        let real = |path: PathBuf| self.system.resolve(&path).unwrap_or(path);
        let paths = self.lock_paths().map(real);
        let holds = |process: &&Process| {
            let files = processes::open_files(self.system, process.pid);
            files.iter().any(|(number, target)| {
                let info = PathBuf::from(format!("/proc/{}/fdinfo/{number}", process.pid));
                paths.iter().any(|path| path.as_os_str() == target.as_str())
                    && self
                        .system
                        .read_text(&info)
                        .is_some_and(|text| text.contains("FLOCK"))
            })
        };
        let all = Processes::read(self.system);
        let own = self.system.pid();
        all.all().filter(|p| p.pid != own).find(holds).cloned()
    }

    /// Whether a process runs this program, for the same user.
    fn is_faspwall(&self, pid: u32) -> bool {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let exe = self.system.read_link(&dir.join("exe"));
        let text = exe.map(|path| path.display().to_string()).unwrap_or_default();
        // So the kernel calls a program in whose place a newer one stands.
        let path = PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text));
        let own = self.system.locate(Tool::Faspwall);
        path.file_name().is_some()
            && own.is_some_and(|own| own.file_name() == path.file_name())
            && self.system.owner(&dir) == Some(self.system.ids().0)
    }

    fn process(&self, pid: u32) -> Option<Process> {
        let text = self.system.read_text(Path::new(&format!("/proc/{pid}/stat")))?;
        processes::parse_stat(&text)
    }

    /// Its state: the letter after its name.
    fn state(&self, pid: u32) -> Option<char> {
        let text = self.system.read_text(Path::new(&format!("/proc/{pid}/stat")))?;
        text.rsplit_once(')')?.1.trim_start().chars().next()
    }

    fn is_stopped(&self, pid: u32) -> bool {
        matches!(self.state(pid), Some('T' | 't'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_depends_on_the_time_that_is_left() {
        let hanging = advice(812, false, Some(93));
        assert!(
            hanging.contains("in 93 s") && hanging.contains("kill -9 812; faspwall rollback"),
            "{hanging}"
        );
        let late = advice(812, false, Some(0));
        assert!(
            late.contains("faspwall rollback ends it") && !late.contains("kill"),
            "{late}"
        );
        let stopped = advice(812, true, Some(93));
        assert!(
            stopped.contains("is stopped") && stopped.contains("kill -CONT 812"),
            "{stopped}"
        );
    }
}
