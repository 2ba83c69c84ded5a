//! Takes a transaction back: stored undo steps, newest first, then a comparison with the snapshot.

use std::time::Duration;

use super::guard::LOST_POWER;
use super::journal::Transaction;
use super::listening::Wanted;
use super::snapshot::Aftermath;
use super::{Engine, EngineError};
use crate::change::assemble::COMMIT_SHUT_SECONDS;
use crate::harmless;
use crate::step::{Action, Invocation, Step, Tool};
use crate::transaction::{Entry, Outcome, Phase, State, TxnId};

/// How often an undo tries a step: what failed may have stood in the way of itself, such as a reload before the file was
/// back, and what fails for a moment only shall not leave anything behind.
const ATTEMPTS: usize = 3;
/// How long each try of an undo waits for an sshd after a step that failed, before another one takes its place.
const DOUBTFUL: Duration = Duration::from_millis(300);

impl Engine<'_> {
    /// Undoes an open transaction. The lock must be held. All undo steps are tried, whatever fails.
    pub(super) fn rollback(&self, transaction: &Transaction, reason: &str) -> Result<Outcome, EngineError> {
        let id = &transaction.id;
        // A journal that cannot be written, as on a full disk, is no reason to leave anything in place.
        drop(self.note(
            id,
            &Entry::RollingBack {
                reason: reason.to_owned(),
                at: self.stamp(),
            },
        ));
        // Read again: the caller's copy may be older than the last step that was begun.
        let transaction = self.load(id)?.unwrap_or_else(|| transaction.clone());
        let actions: Vec<&Action> = transaction.begun();
        // One who never lets go of it must not keep an undo from being done.
        let _ufw = self.lock_of_ufw(&transaction.change).ok();
        // They hold ports that sshd itself is about to take.
        self.end_stand_ins(&transaction);
        self.unshut(&transaction);
        let steps: Vec<&Step> = actions
            .iter()
            .rev()
            .flat_map(|action| &action.undo)
            .filter(|step| !matches!(step, Step::Unshut(_)))
            .collect();
        let remaining: Vec<Step> = self
            .undo(&transaction, &steps)
            .into_iter()
            .filter_map(|number| steps.get(number).map(|&step| step.clone()))
            .collect();
        if remaining.is_empty() {
            self.end_second_sshds(id);
        } else {
            self.stand_in(&transaction);
        }
        self.disarm(&transaction);
        let Aftermath { mut differs, anew } = self.look_back(id);
        if actions.is_empty() {
            differs.clear();
        }
        let reason = &with_reloads(reason, &anew);
        let at = self.stamp();
        let noted = self.note(
            id,
            &Entry::RolledBack {
                reason: reason.to_owned(),
                differs: differs.clone(),
                remaining: remaining.clone(),
                at: at.clone(),
            },
        );
        let mut outcome = Outcome {
            txn: id.clone(),
            kept: false,
            reason: reason.to_owned(),
            at,
            opened: transaction.change.opened.clone(),
            closed: transaction.change.closed.clone(),
            differs,
            remaining: remaining.iter().map(ToString::to_string).collect(),
            files: Vec::new(),
            log: self.journal_path(id).display().to_string(),
            left_to_do: Vec::new(),
            notice: None,
            keep_22_until: None,
        };
        if let Err(error) = noted {
            let hint = format!("faspwall rollback {id}   # once the journal can be written again: {error}");
            outcome.remaining.push(hint);
        }
        self.tell(&outcome);
        Ok(outcome)
    }

    /// Lets people in through the old port before anything else is taken back. Where that fails, the kernel's clock opens
    /// it, and until then the new port stays as it is: with both of them shut, everybody would be locked out.
    fn unshut(&self, transaction: &Transaction) {
        let actions = transaction.begun();
        let steps = actions.iter().rev().flat_map(|action| &action.undo);
        let failed = steps
            .filter(|step| matches!(step, Step::Unshut(_)))
            .filter(|step| (0..ATTEMPTS).all(|_| self.perform(step).is_err()))
            .count();
        let Some(until) = (failed > 0).then(|| self.shut_until(transaction)).flatten() else {
            return;
        };
        let left = until.saturating_sub(self.system.boottime());
        self.wall(format!(
            "faspwall: the undo of {} waits {} s, because nft cannot open again what the trial has shut: the kernel does so by itself then. Until then the new ports stay open.",
            transaction.id,
            left.as_secs()
        ));
        while self.system.boottime() < until {
            self.system.sleep(Duration::from_millis(100));
        }
    }

    /// When the kernel has opened by itself what trial 2 shut, in time since boot; `None` when another boot has done so.
    fn shut_until(&self, transaction: &Transaction) -> Option<Duration> {
        let boot = self.boot_id();
        let now = self.uptime_ms();
        let window = transaction.window_s * 1000;
        let proved = |entry: &&Entry| !matches!(entry, Entry::Confirmed { trial: 2, .. });
        let trial = || transaction.entries.iter().take_while(proved);
        let deadline = trial()
            .filter_map(|entry| match entry {
                Entry::Armed {
                    deadline_ms,
                    boot: of,
                    ..
                } if *of == boot => Some(*deadline_ms),
                _ => None,
            })
            .max()?;
        let live = trial().find_map(|entry| match entry {
            Entry::Waiting {
                trial: 2, since_ms, ..
            } => Some(*since_ms),
            _ => None,
        });
        let committing = transaction.entries.iter().any(|entry| {
            matches!(
                entry,
                Entry::Intent {
                    phase: Phase::Commit,
                    ..
                }
            )
        });
        let shut_anew = if committing {
            now + COMMIT_SHUT_SECONDS * 1000
        } else {
            0
        };
        let until = deadline.max(live.unwrap_or(now) + window).max(shut_anew);
        Some(Duration::from_millis(until))
    }

    /// Performs undo steps, whatever fails; the numbers of those that did, however often they were tried.
    fn undo(&self, transaction: &Transaction, steps: &[&Step]) -> Vec<usize> {
        let mut failed = self.undo_once(transaction, steps, false);
        // Steps build on one another and may be done twice: from the first that failed on, all of them are done again.
        for _ in 1..ATTEMPTS {
            if let Some(&first) = failed.first() {
                let again = self.undo_once(transaction, steps.get(first..).unwrap_or_default(), true);
                failed = again.into_iter().map(|number| first + number).collect();
            }
        }
        failed
    }

    fn undo_once(&self, transaction: &Transaction, steps: &[&Step], again: bool) -> Vec<usize> {
        let mut failed = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let waits = matches!(step, Step::AwaitTcp { listening: true, .. });
            let result = match Wanted::of(step) {
                // What has failed may be why sshd never comes, while the firewall has shut the port that it still serves.
                Some(wanted) if waits && (again || !failed.is_empty()) => {
                    let result = self.await_listening(&wanted, DOUBTFUL);
                    if result.is_err() {
                        self.stand_in(transaction);
                    }
                    result
                }
                _ => self.perform(step),
            };
            if result.is_err() {
                failed.push(number);
            } else if again && number == 0 {
                // What had failed works now, and so may sshd. Until then nobody shall wait while the rest is tried again.
                self.end_stand_ins(transaction);
            }
        }
        failed
    }

    /// Says on every terminal of this host that a change was undone: its author may be waiting on any of them.
    fn tell(&self, outcome: &Outcome) {
        let text = format!(
            "faspwall: the change {} was undone ({}). {}.",
            outcome.txn,
            harmless::line(&outcome.reason),
            if outcome.remaining.is_empty() {
                "The old rules and ports are back"
            } else {
                "Some steps failed: faspwall status"
            }
        );
        self.wall(text);
    }

    pub(super) fn wall(&self, text: String) {
        let call = Invocation::new(Tool::Wall, Vec::<String>::new()).with_stdin(text);
        drop(self.system.run(&call));
    }

    /// Undo on request: the open transaction now, whoever began it, or once more one whose undo is not complete.
    pub fn undo_open(&self, id: Option<&TxnId>, reason: &str) -> Result<Outcome, EngineError> {
        self.need_root("rollback")?;
        let _lock = self.lock_to_undo(Duration::from_secs(30))?;
        let open = self.open()?.or_else(|| self.incomplete());
        let transaction = open.filter(|t| id.is_none_or(|id| *id == t.id));
        let Some(transaction) = transaction else {
            let kept = self.transactions().pop().filter(|t| t.state == State::Committed);
            return Err(EngineError::Refused(kept.map_or_else(
                || {
                    String::from(
                        "no transaction is open: there is nothing to undo. faspwall snapshots lists what was kept",
                    )
                },
                // Somebody may have confirmed it while this waited for the lock.
                |kept| {
                    format!(
                        "nothing is open to be undone: {} is permanent now ({}). To go back from it, type once more: faspwall rollback",
                        kept.id,
                        kept.reason()
                    )
                },
            )));
        };
        let outcome = self.rollback(&transaction, reason)?;
        if outcome.remaining.is_empty() {
            Ok(outcome)
        } else {
            Err(EngineError::Incomplete {
                what: reason.to_owned(),
                outcome: Box::new(outcome),
            })
        }
    }

    /// The boot-time check: before the firewall and sshd start, only files can and need be put back; rules and doors of
    /// the last boot are gone with it.
    pub fn recover_at_boot(&self) -> Result<Option<TxnId>, EngineError> {
        let _lock = self.lock(std::time::Duration::from_secs(5))?;
        let Some(transaction) = self.open()? else {
            return Ok(None);
        };
        let reason = LOST_POWER;
        drop(self.note(
            &transaction.id,
            &Entry::RollingBack {
                reason: reason.into(),
                at: self.stamp(),
            },
        ));
        let begun = transaction.begun();
        let undo = begun.iter().rev().flat_map(|action| &action.undo);
        let of_files = |step: &&Step| {
            matches!(
                step,
                Step::Write { .. } | Step::Revise { .. } | Step::Remove(_) | Step::Try(_) | Step::Tune { .. }
            )
        };
        let files: Vec<&Step> = undo.filter(of_files).collect();
        // Where a file cannot be put back, those written before it stay as well: firewall and sshd go together at every
        // moment of a commit, but an old firewall and an sshd on its new port do not.
        // Settings of the kernel are no files, but a file may have been read already; they stand in nobody's way.
        let failed = |step: &&Step| {
            let stuck = (0..ATTEMPTS).all(|_| self.perform(step).is_err());
            stuck && !matches!(step, Step::Tune { .. })
        };
        let stuck = files.iter().position(failed).unwrap_or(files.len());
        let remaining: Vec<Step> = files.iter().skip(stuck).map(|&step| step.clone()).collect();
        let entry = Entry::RolledBack {
            reason: reason.into(),
            differs: Vec::new(),
            remaining,
            at: self.stamp(),
        };
        self.note(&transaction.id, &entry)?;
        Ok(Some(transaction.id))
    }
}

/// The reason of an undo, with a word on what others have loaded anew since the change began.
fn with_reloads(reason: &str, anew: &[String]) -> String {
    if anew.is_empty() {
        return reason.to_owned();
    }
    format!(
        "{reason}; somebody has loaded {} anew meanwhile, as a reload does: what stood there only until a reload is gone",
        anew.join(", ")
    )
}
