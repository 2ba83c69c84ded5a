//! Carries changes out: detect, prepare, apply, confirm, guard, roll back, recover.
//!
//! The engine performs steps that others wrote; it renders nothing. Everything it does is in the journal before it is
//! done, so that another process, or the next boot, can take it back.

pub mod apply;
pub mod commit;
pub mod confirm;
pub mod detect;
pub mod go_back;
pub mod guard;
mod iptables;
pub mod journal;
pub mod kernel;
mod listening;
mod local_ports;
mod lock;
pub mod perform;
pub mod prepare;
pub mod rollback;
pub mod snapshot;
mod stand_in;
pub mod status;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::system::{System, SystemError};
use crate::transaction::{Outcome, TxnId};

/// The engine on a host.
#[derive(Clone)]
pub struct Engine<'s> {
    /// The host.
    pub system: &'s dyn System,
    /// Where journals and snapshots are kept: `/var/lib/faspwall` unless told otherwise.
    pub state_dir: PathBuf,
    /// Set from another thread to stop between two steps; what was done is then undone.
    pub stop: Arc<AtomicBool>,
}

/// Why something was not done. Every text says what happened, what was left, and what to type next.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Needs root.
    #[error("{0} needs root. Nothing was changed. Type: sudo faspwall ...")]
    Privilege(&'static str),
    /// Another transaction waits or was interrupted.
    #[error(
        "transaction {id} is still open ({state}). Nothing new was begun. Type: faspwall confirm CODE on the new port, or \
         faspwall rollback {id}"
    )]
    Open {
        /// Which.
        id: TxnId,
        /// Its state in words.
        state: String,
    },
    /// The same, begun by a faspwall that keeps its state elsewhere.
    #[error(
        "transaction {id} is still open ({state}); it was begun with --state-dir {dir}. Nothing new was begun. Type: \
         faspwall --state-dir {dir} confirm CODE on the new port, or faspwall --state-dir {dir} rollback {id}"
    )]
    OpenElsewhere {
        /// Which.
        id: TxnId,
        /// Its state in words.
        state: String,
        /// Where its journal is.
        dir: String,
    },
    /// Another faspwall is at work.
    #[error(
        "another faspwall is changing this host at this moment ({path} is locked{holder}). Nothing was changed{advice}"
    )]
    Locked {
        /// The lock file.
        path: String,
        /// By whom, where it can be told.
        holder: String,
        /// What to type.
        advice: String,
    },
    /// The plan cannot be carried out here.
    #[error("{}", .0.join("\n"))]
    Obstacles(Vec<String>),
    /// No firewall that can be used.
    #[error("{0}")]
    NoFirewall(String),
    /// The ruleset is not the one that the plan was made from.
    #[error("the ruleset was changed by somebody else since the preview was made. Nothing was done. Look at the new preview and apply again{}",
        if .0.is_empty() { String::new() } else { format!(":\n{}", .0.join("\n")) })]
    RulesetChanged(Vec<String>),
    /// A native dry run failed.
    #[error("failed at \"{what}\", before anything was changed: {source}")]
    Check {
        /// What was checked.
        what: String,
        /// The complaint.
        source: SystemError,
    },
    /// A confirmation or request that cannot be taken.
    #[error("{0}")]
    Refused(String),
    /// A step failed.
    #[error("failed at \"{say}\": {source}")]
    Step {
        /// What the step says of itself.
        say: String,
        /// The complaint.
        source: Box<EngineError>,
    },
    /// A step failed and everything was taken back.
    #[error("{what}\nEverything was taken back, {}\nThe whole story: {}", restored(.outcome), .outcome.log)]
    RolledBack {
        /// What failed.
        what: String,
        /// The undo.
        outcome: Box<Outcome>,
    },
    /// Undo could not be completed.
    #[error("{what}\nNot everything could be taken back. Mend the cause and type: faspwall rollback {}\nThat does what is left:\n{}\nThe whole story: {}", .outcome.txn, .outcome.remaining.join("\n"), .outcome.log)]
    Incomplete {
        /// What failed.
        what: String,
        /// The undo.
        outcome: Box<Outcome>,
    },
    /// The journal is damaged or from a newer version.
    #[error("{path} line {line}: {what}. The transaction is left as it is")]
    Journal {
        /// The journal file.
        path: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// The host refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// How the host compares to the snapshot, in words.
pub fn restored(outcome: &Outcome) -> String {
    if outcome.differs.is_empty() {
        String::from("restored: equal to the snapshot")
    } else {
        format!(
            "restored, but these lines differ from the snapshot:\n{}",
            outcome.differs.join("\n")
        )
    }
}

impl<'s> Engine<'s> {
    /// An engine with its state in `state_dir`.
    pub fn new(system: &'s dyn System, state_dir: PathBuf) -> Self {
        Self {
            system,
            state_dir,
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    fn need_root(&self, what: &'static str) -> Result<(), EngineError> {
        if self.system.is_root() {
            Ok(())
        } else {
            Err(EngineError::Privilege(what))
        }
    }

    /// The state directory and the runtime directory, made when they are missing.
    fn make_dirs(&self) -> Result<(), EngineError> {
        self.system.make_dir(&self.state_dir, 0o700)?;
        // The journals hold what root will do: nobody else may put one there, and the codes in them are nobody else's.
        let theirs = self.system.owner(&self.state_dir) != Some(self.system.ids().0);
        let safe = if theirs {
            Err(String::from("it belongs to another user"))
        } else {
            self.system
                .seclude(&self.state_dir)
                .map_err(|error| error.to_string())
        };
        if let Err(why) = safe {
            return Err(EngineError::Refused(format!(
                "{} belongs to somebody else, or others may write to it ({why}): journals are not safe there, and the guard would not read them. Nothing was changed. Leave --state-dir out, or choose one below directories that belong to root alone, such as /var/lib/faspwall",
                self.state_dir.display()
            )));
        }
        self.system
            .make_dir(std::path::Path::new(crate::change::assemble::RUN_DIR), 0o755)?;
        Ok(self
            .system
            .relied_on(std::path::Path::new(crate::change::assemble::RUN_DIR))?)
    }

    /// The time of day, RFC 3339, whole seconds.
    pub fn stamp(&self) -> String {
        let now = self.system.now();
        jiff::Timestamp::from_second(now.as_second())
            .unwrap_or(now)
            .to_string()
    }

    /// Milliseconds since boot.
    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.system.boottime().as_millis()).unwrap_or(u64::MAX)
    }

    fn boot_id(&self) -> String {
        let path = std::path::Path::new("/proc/sys/kernel/random/boot_id");
        self.system.read_text(path).unwrap_or_default().trim().to_owned()
    }
}
