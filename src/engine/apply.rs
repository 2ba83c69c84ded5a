//! From a prepared change to a live trial: lock, fingerprint, dry runs, snapshot, journal, guard, then the first step.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::journal::Transaction;
use super::kernel::observe;
use super::{Engine, EngineError};
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::inspect::fingerprint;
use crate::backend::nftables::render::gaps;
use crate::change::Change;
use crate::step::Step;
use crate::system::SystemError;
use crate::transaction::{Entry, JOURNAL_VERSION, Outcome, Phase, Progress, State, TxnId};

/// How many steps take longer than a window allows for: the guard's time is set anew once the trial is live.
const SLACK_S: u64 = 30;

/// What an apply is told.
#[derive(Debug, Clone)]
pub struct Order {
    /// The transaction's name, as in the preview.
    pub id: TxnId,
    /// Seconds of each confirm window.
    pub window_s: u64,
    /// Who asks, such as `root from 10.0.0.7`.
    pub by: String,
}

impl Engine<'_> {
    /// Carries a change to trial 1. On any failure everything is taken back.
    pub fn apply(
        &self,
        change: &Change,
        order: &Order,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(), EngineError> {
        self.need_root("apply")?;
        self.refuse_while_open()?;
        let _lock = self.lock(Duration::from_millis(500))?;
        if let Some(open) = self.open()? {
            return Err(EngineError::Open {
                id: open.id,
                state: String::from("it was begun this moment"),
            });
        }
        if let Some(other) = self.elsewhere()
            && let Some(open) = other.open()?
        {
            return Err(EngineError::OpenElsewhere {
                id: open.id,
                state: String::from("it was begun this moment"),
                dir: other.state_dir.display().to_string(),
            });
        }
        let before = observe(self.system).map_err(untouched("read the ruleset once more"))?;
        if fingerprint(&before.ruleset) != change.fingerprint {
            return Err(EngineError::RulesetChanged(Vec::new()));
        }
        self.untouched(change)?;
        self.relied_on(change)?;
        for check in &change.check {
            self.perform(&check.step).map_err(untouched(&check.say))?;
        }
        self.take_snapshot(&order.id, &before)
            .map_err(untouched("keep a snapshot"))?;
        let code = format!("{:06}", self.system.random()? % 1_000_000);
        let begin = Entry::Begin {
            version: JOURNAL_VERSION,
            txn: order.id.clone(),
            at: self.stamp(),
            by: order.by.clone(),
            change: Box::new(change.clone()),
            code,
            window_s: order.window_s,
        };
        self.announce(&order.id)
            .map_err(untouched("tell every faspwall here what is begun"))?;
        self.note(&order.id, &begin)
            .map_err(untouched("write down what is to be done"))?;
        let run = || -> Result<(), EngineError> {
            self.arm(&order.id, order.window_s + SLACK_S)?;
            Ok(())
        };
        if let Err(error) = run() {
            return Err(self.give_up(&order.id, error));
        }
        self.trial(&order.id, 1, report)
    }

    /// Fails when a transaction is open. One whose time has run out, or that an earlier boot left behind, is undone
    /// first: that was promised to whoever began it.
    pub fn refuse_while_open(&self) -> Result<(), EngineError> {
        if let Some(other) = self.elsewhere() {
            other.refuse_own_open().map_err(|error| match error {
                EngineError::Open { id, state } => EngineError::OpenElsewhere {
                    id,
                    state,
                    dir: other.state_dir.display().to_string(),
                },
                error => error,
            })?;
        }
        self.refuse_own_open()
    }

    fn refuse_own_open(&self) -> Result<(), EngineError> {
        if let Some(left) = self.incomplete() {
            let _lock = self.lock_to_undo(Duration::from_secs(30))?;
            return self.recover(&left.id, "its undo had not been complete");
        }
        let Some(open) = self.open()? else { return Ok(()) };
        if self.is_due(&open) {
            let _lock = self.lock_to_undo(Duration::from_secs(30))?;
            return self.recover(&open.id, "its time had run out and no guard was left to undo it");
        }
        self.refuse_open(&open)
    }

    fn refuse_open(&self, open: &Transaction) -> Result<(), EngineError> {
        if !open.state.is_open() {
            return Ok(());
        }
        let state = match open.state {
            State::Waiting(trial) => format!("trial {trial} waits for its confirmation"),
            _ => String::from("its steps are running, or were interrupted"),
        };
        Err(EngineError::Open {
            id: open.id.clone(),
            state,
        })
    }

    fn recover(&self, id: &TxnId, reason: &str) -> Result<(), EngineError> {
        let transaction = self.loaded(id)?;
        // While we waited for the lock it may have been confirmed, extended or only just begun.
        if !self.is_due(&transaction) && !transaction.is_incomplete() {
            return self.refuse_open(&transaction);
        }
        let outcome = self.rollback(&transaction, reason)?;
        if outcome.remaining.is_empty() {
            return Ok(());
        }
        Err(EngineError::Incomplete {
            what: format!("{id}: {reason}"),
            outcome: Box::new(outcome),
        })
    }

    /// Performs the steps of trial 1 or 2 and opens the window. The lock must be held.
    pub(super) fn trial(
        &self,
        id: &TxnId,
        trial: u8,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(), EngineError> {
        let phase = if trial == 1 { Phase::Trial1 } else { Phase::Trial2 };
        let mut live = || -> Result<(), EngineError> {
            let transaction = self.loaded(id)?;
            self.walk(&transaction, phase, report)?;
            check_open(&self.live_ruleset()?, &transaction)?;
            // The full window counts from the moment in which the trial is live; kernel timers began a moment earlier.
            self.arm(id, transaction.window_s)?;
            self.note(
                id,
                &Entry::Waiting {
                    trial,
                    since_ms: self.uptime_ms(),
                    at: self.stamp(),
                },
            )
        };
        live().map_err(|error| self.give_up(id, error))
    }

    /// The transaction, which must be there.
    pub(super) fn loaded(&self, id: &TxnId) -> Result<Transaction, EngineError> {
        self.load(id)?
            .ok_or_else(|| EngineError::Refused(format!("the journal of {id} is gone")))
    }

    /// Performs all actions of a phase, each noted before and after.
    pub(super) fn walk(
        &self,
        transaction: &Transaction,
        phase: Phase,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(), EngineError> {
        let actions = transaction.change.actions(phase);
        report(Progress::Steps {
            phase,
            say: actions.iter().map(|a| a.say.clone()).collect(),
        });
        for (number, action) in actions.iter().enumerate() {
            if self.stop.load(Ordering::SeqCst) {
                return Err(EngineError::Refused(String::from("stopped by the operator")));
            }
            report(Progress::Started {
                number,
                command: action.step.to_string(),
            });
            let start = self.system.boottime();
            self.act(&transaction.id, phase, number, action)?;
            let millis = (self.system.boottime().saturating_sub(start)).as_millis();
            report(Progress::Finished {
                number,
                millis: u64::try_from(millis).unwrap_or(0),
            });
        }
        Ok(())
    }

    /// After a failure: everything back, and the failure told together with what came of that.
    pub(super) fn give_up(&self, id: &TxnId, error: EngineError) -> EngineError {
        let what = error.to_string();
        let undone = self.loaded(id).and_then(|t| self.rollback(&t, &what));
        match undone {
            Ok(outcome) => incomplete_or_back(what, outcome),
            Err(worse) => EngineError::Refused(format!(
                "{what}. Undo could not be started either: {worse}. Type: faspwall rollback {id}"
            )),
        }
    }
}

/// "Live" is never said of a port that some chain still drops: the ruleset was read back.
pub(super) fn check_open(live: &Ruleset, transaction: &Transaction) -> Result<(), EngineError> {
    match gaps(live, &transaction.change.requirements).first() {
        None => Ok(()),
        Some((requirement, reason)) => Err(EngineError::Refused(format!(
            "{}/{} is still shut although the rules are in place: {reason}",
            requirement.protocol.to_string().to_uppercase(),
            requirement.ports
        ))),
    }
}

/// For what fails while the host is still as it was.
impl Engine<'_> {
    /// Refuses to write or remove files in places where others could say which file that is. Looked at before anything
    /// is done: an undo must not stumble over it.
    fn relied_on(&self, change: &Change) -> Result<(), EngineError> {
        let phases = [Phase::Check, Phase::Trial1, Phase::Trial2, Phase::Commit];
        let actions = phases.into_iter().flat_map(|phase| change.actions(phase));
        for step in actions.flat_map(|action| std::iter::once(&action.step).chain(&action.undo)) {
            let looked = match step {
                Step::Write { path, .. } | Step::Remove(path) => self.system.relied_on(path),
                // The file may be the product's: its owner can change what is in it, but not lead us to another one.
                Step::Revise { path, .. } => self.rely_on_places_of(path),
                _ => Ok(()),
            };
            looked.map_err(|error| {
                EngineError::Refused(format!(
                    "{error}. Nothing was changed. Take it from the others (chown root, chmod go-w), and apply again"
                ))
            })?;
        }
        Ok(())
    }
}

impl Engine<'_> {
    /// The directory in which a file is named, and the one in which it lies.
    fn rely_on_places_of(&self, path: &Path) -> Result<(), SystemError> {
        let target = self.system.resolve(path).unwrap_or_else(|| path.to_owned());
        for dir in [path, &target].into_iter().filter_map(Path::parent) {
            self.system.relied_on(dir)?;
        }
        Ok(())
    }
}

fn untouched(what: &str) -> impl Fn(EngineError) -> EngineError {
    move |error| match error {
        EngineError::System(source) => EngineError::Check {
            what: what.to_owned(),
            source,
        },
        other => other,
    }
}

fn incomplete_or_back(what: String, outcome: Outcome) -> EngineError {
    let outcome = Box::new(outcome);
    if outcome.remaining.is_empty() {
        EngineError::RolledBack { what, outcome }
    } else {
        EngineError::Incomplete { what, outcome }
    }
}
