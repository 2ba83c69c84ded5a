//! The write-ahead journal: one directory a transaction, one line an entry, on the disk before the act.

use std::path::PathBuf;

use super::{Engine, EngineError};
use crate::change::Change;
use crate::change::assemble::RUN_DIR;
use crate::harmless;
use crate::step::Action;
use crate::transaction::{Entry, JOURNAL_VERSION, Phase, State, TxnId};

/// How many transactions are kept when nobody prunes.
const KEEP: usize = 50;
/// Names the transaction that was begun last since the host booted, and its state directory.
const ANNOUNCED: &str = "open";

/// A transaction as its journal tells it.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Its name.
    pub id: TxnId,
    /// Its entries, oldest first.
    pub entries: Vec<Entry>,
    /// What follows from them.
    pub state: State,
    /// What it does.
    pub change: Change,
    /// Confirm code.
    pub code: String,
    /// Seconds of a confirm window.
    pub window_s: u64,
    /// When it began.
    pub at: String,
    /// Who began it.
    pub by: String,
}

/// The guard's latest orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// Milliseconds of CLOCK_BOOTTIME.
    pub at_ms: u64,
    /// The boot they belong to.
    pub boot: String,
    /// The guard's name.
    pub guard: String,
}

impl Transaction {
    /// The deadline in force.
    pub fn deadline(&self) -> Option<Deadline> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Armed {
                deadline_ms,
                boot,
                guard,
                ..
            } => Some(Deadline {
                at_ms: *deadline_ms,
                boot: boot.clone(),
                guard: guard.clone(),
            }),
            _ => None,
        })
    }

    /// Every guard that was armed.
    pub fn guards(&self) -> Vec<String> {
        let mut guards: Vec<String> = self
            .entries
            .iter()
            .filter_map(|e| {
                if let Entry::Armed { guard, .. } = e {
                    Some(guard.clone())
                } else {
                    None
                }
            })
            .collect();
        guards.dedup();
        guards
    }

    /// How often somebody typed a code that is not its own.
    pub fn wrong_codes(&self) -> usize {
        let wrong = |entry: &&Entry| matches!(entry, Entry::WrongCode { .. });
        self.entries.iter().filter(wrong).count()
    }

    /// When the live trial began, in milliseconds since boot.
    pub fn waiting_since(&self) -> Option<u64> {
        self.entries.iter().rev().find_map(|e| {
            if let Entry::Waiting { since_ms, .. } = e {
                Some(*since_ms)
            } else {
                None
            }
        })
    }

    /// The actions that were begun, oldest first.
    pub fn begun(&self) -> Vec<&Action> {
        let mut actions = Vec::new();
        for entry in &self.entries {
            if let Entry::Intent { phase, number } = entry
                && let Some(action) = self.change.actions(*phase).get(*number)
            {
                actions.push(action);
            }
        }
        actions
    }

    /// Whether its undo ended with steps that failed.
    pub fn is_incomplete(&self) -> bool {
        matches!(self.entries.last(), Some(Entry::RolledBack { remaining, .. }) if !remaining.is_empty())
    }

    /// How it ended, or why it was undone.
    pub fn reason(&self) -> String {
        self.entries
            .iter()
            .rev()
            .find_map(|entry| match entry {
                Entry::RolledBack { reason, .. } | Entry::RollingBack { reason, .. } => Some(reason.clone()),
                Entry::Confirmed { by, .. } => Some(format!("confirmed by {by}")),
                _ => None,
            })
            .unwrap_or_default()
    }
}

/// The entries of a journal, or the line that is none and why. A last line that was cut off by a power loss does not
/// count: what it announced was not begun.
pub fn read(bytes: &[u8]) -> Result<Vec<Entry>, (usize, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut entries: Vec<Entry> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(entry) => entries.push(entry),
            Err(_) if number + 1 == lines.len() && !text.ends_with('\n') => break,
            Err(error) => return Err((number + 1, harmless::line(&error.to_string()))),
        }
    }
    Ok(entries)
}

fn second_of(id: &TxnId) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", id.as_str()).ok()?;
    Some(
        time.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second(),
    )
}

impl Engine<'_> {
    /// Where the text for the users of this host is kept.
    pub fn notice_path(&self, id: &TxnId) -> PathBuf {
        self.dir(id).join("notice.txt")
    }

    /// Directory of a transaction.
    pub fn dir(&self, id: &TxnId) -> PathBuf {
        self.state_dir.join(id.as_str())
    }

    /// Journal of a transaction.
    pub fn journal_path(&self, id: &TxnId) -> PathBuf {
        self.dir(id).join("journal.jsonl")
    }

    /// Writes an entry and returns once it is on the disk.
    pub fn note(&self, id: &TxnId, entry: &Entry) -> Result<(), EngineError> {
        // Whoever looks at the file with a plain tool sees what others named their rules and programs.
        let mut line = harmless::json(&serde_json::to_string(entry).unwrap_or_default());
        line.push('\n');
        Ok(self.system.append(&self.journal_path(id), line.as_bytes())?)
    }

    /// Reads a transaction.
    pub fn load(&self, id: &TxnId) -> Result<Option<Transaction>, EngineError> {
        let path = self.journal_path(id);
        let Some(bytes) = self.system.read(&path)? else {
            return Ok(None);
        };
        let entries = read(&bytes).map_err(|(line, what)| EngineError::Journal {
            path: path.display().to_string(),
            line,
            what,
        })?;
        let Some(Entry::Begin {
            version,
            change,
            code,
            window_s,
            at,
            by,
            ..
        }) = entries.first().cloned()
        else {
            return Ok(None);
        };
        if version > JOURNAL_VERSION {
            return Err(EngineError::Journal {
                path: path.display().to_string(),
                line: 1,
                what: format!("written by a newer faspwall (format {version})"),
            });
        }
        let state = entries.iter().fold(State::default(), State::after);
        let mut change = change;
        for entry in &entries {
            if let Entry::KeepUntil { until, .. } = entry {
                change.keep_22_until = *until;
            }
        }
        Ok(Some(Transaction {
            id: id.clone(),
            entries,
            state,
            change: *change,
            code,
            window_s,
            at,
            by,
        }))
    }

    /// Names of all transactions, oldest first.
    pub fn ids(&self) -> Vec<TxnId> {
        let names = self.system.list(&self.state_dir);
        names
            .iter()
            .filter_map(|p| p.file_name())
            .filter_map(|n| TxnId::new(&n.to_string_lossy()))
            .collect()
    }

    /// All transactions that can be read, oldest first.
    pub fn transactions(&self) -> Vec<Transaction> {
        self.ids()
            .iter()
            .filter_map(|id| self.load(id).ok().flatten())
            .collect()
    }

    /// The open transaction, if there is one.
    pub fn open(&self) -> Result<Option<Transaction>, EngineError> {
        for id in self.ids().iter().rev() {
            if let Some(transaction) = self.load(id)?
                && transaction.state.is_open()
            {
                return Ok(Some(transaction));
            }
        }
        Ok(None)
    }

    /// Tells every faspwall on this host, whatever its state directory, where the transaction is kept that begins now.
    pub(super) fn announce(&self, id: &TxnId) -> Result<(), EngineError> {
        let text = format!("{id}\n{}", self.state_dir.display());
        let path = PathBuf::from(RUN_DIR).join(ANNOUNCED);
        Ok(self.system.replace(&path, text.as_bytes(), 0o644)?)
    }

    /// An engine of the state directory that was announced last, where it is another one.
    pub(super) fn elsewhere(&self) -> Option<Self> {
        let text = self.system.read_text(&PathBuf::from(RUN_DIR).join(ANNOUNCED))?;
        let dir = PathBuf::from(text.split_once('\n')?.1);
        let same = self.system.resolve(&dir) == self.system.resolve(&self.state_dir);
        (!same && dir.is_absolute()).then(|| Self {
            state_dir: dir,
            ..self.clone()
        })
    }

    /// The latest transaction, if its undo is not complete: what is left can be tried again.
    pub fn incomplete(&self) -> Option<Transaction> {
        let last = self.ids().pop()?;
        self.load(&last).ok().flatten().filter(Transaction::is_incomplete)
    }

    /// A name for a new transaction: the time of day, in UTC, never one that was used. Names are the order of things, so
    /// it comes after all others, also when the clock was set back.
    pub fn new_id(&self) -> TxnId {
        let newest = self.ids().pop().and_then(|id| second_of(&id));
        let now = self.system.now().as_second();
        let mut second = newest.map_or(now, |newest| now.max(newest + 1));
        loop {
            let text = jiff::Timestamp::from_second(second)
                .map(|t| t.strftime("%Y%m%d-%H%M%S").to_string())
                .unwrap_or_default();
            match TxnId::new(&text) {
                Some(id) if self.system.mode(&self.dir(&id)).is_none() => return id,
                _ => second += 1,
            }
        }
    }

    /// Removes the oldest ended transactions, all but `keep`; returns what was removed. The one in force stays, or there
    /// would be no way back.
    pub fn prune(&self, keep: usize) -> Result<Vec<TxnId>, EngineError> {
        let all = self.transactions();
        let in_force = self.in_force().map(|t| t.id);
        let ended: Vec<&Transaction> = all.iter().filter(|t| !t.state.is_open()).collect();
        let surplus = ended.len().saturating_sub(keep);
        let mut removed = Vec::new();
        for transaction in ended
            .into_iter()
            .take(surplus)
            .filter(|t| Some(&t.id) != in_force.as_ref())
        {
            self.system.remove_dir(&self.dir(&transaction.id))?;
            removed.push(transaction.id.clone());
        }
        Ok(removed)
    }

    /// Keeps the state directory from growing for ever.
    pub(super) fn prune_quietly(&self) {
        drop(self.prune(KEEP));
    }

    /// Writes that an action begins, performs it, and writes that it is done.
    pub(super) fn act(
        &self,
        id: &TxnId,
        phase: Phase,
        number: usize,
        action: &Action,
    ) -> Result<(), EngineError> {
        self.note(id, &Entry::Intent { phase, number })?;
        self.perform(&action.step).map_err(|error| EngineError::Step {
            say: action.say.clone(),
            source: Box::new(error),
        })?;
        self.note(id, &Entry::Done { phase, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::System;
    use crate::system::real::RealSystem;

    #[test]
    fn a_new_name_comes_after_all_others_though_the_clock_was_set_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let system = RealSystem;
        let engine = Engine::new(&system, dir.path().to_owned());
        let future = TxnId::new("20991231-235959").expect("an id");
        system.make_dir(&engine.dir(&future), 0o700).expect("made");
        assert_eq!(engine.new_id().as_str(), "21000101-000000");
    }
}
