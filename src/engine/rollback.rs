//! Takes a transaction back: stored undo steps, newest first, then a comparison with the snapshot.

use super::journal::Transaction;
use super::{Engine, EngineError};
use crate::harmless;
use crate::step::{Action, Invocation, Step, Tool};
use crate::transaction::{Entry, Outcome, TxnId};

/// How often the check at boot tries to put a file back.
const BOOT_ATTEMPTS: usize = 3;

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
        let steps: Vec<&Step> = actions.iter().rev().flat_map(|action| &action.undo).collect();
        let mut failed = self.undo(&steps);
        // What failed once may have stood in the way of itself, such as a reload before the file was back. Steps build on
        // one another and may be done twice: from the first that failed on, all of them are done again.
        if let Some(&first) = failed.first() {
            let again = self.undo(steps.get(first..).unwrap_or_default());
            failed = again.into_iter().map(|number| first + number).collect();
        }
        let remaining: Vec<Step> = failed
            .into_iter()
            .filter_map(|number| steps.get(number).map(|&step| step.clone()))
            .collect();
        if remaining.is_empty() {
            self.end_second_sshds(id);
        } else {
            self.stand_in(&transaction);
        }
        self.disarm(&transaction);
        let differs = if actions.is_empty() {
            Vec::new()
        } else {
            self.compare(id)
        };
        let reason = &self.with_reloads(id, reason);
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

    /// The reason of an undo, with a word on what others have loaded anew since the change began.
    fn with_reloads(&self, id: &TxnId, reason: &str) -> String {
        let anew = self.made_anew(id);
        if anew.is_empty() {
            return reason.to_owned();
        }
        format!(
            "{reason}; somebody has loaded {} anew meanwhile, as a reload does: what stood there only until a reload is gone",
            anew.join(", ")
        )
    }

    /// Performs undo steps, whatever fails; the numbers of those that did.
    fn undo(&self, steps: &[&Step]) -> Vec<usize> {
        let failed = steps
            .iter()
            .enumerate()
            .filter(|(_, step)| self.perform(step).is_err());
        failed.map(|(number, _)| number).collect()
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
        drop(
            self.system
                .run(&Invocation::new(Tool::Wall, Vec::<String>::new()).with_stdin(text)),
        );
    }

    /// Undo on request: the open transaction now, whoever began it, or once more one whose undo is not complete.
    pub fn undo_open(&self, id: Option<&TxnId>, reason: &str) -> Result<Outcome, EngineError> {
        self.need_root("rollback")?;
        let _lock = self.lock(std::time::Duration::from_secs(30))?;
        let open = self.open()?.or_else(|| self.incomplete());
        let transaction = open.filter(|t| id.is_none_or(|id| *id == t.id));
        let Some(transaction) = transaction else {
            return Err(EngineError::Refused(String::from(
                "no transaction is open: there is nothing to undo. faspwall snapshots lists what was kept",
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
        let reason = "the machine went down before the change was complete";
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
                Step::Write { .. } | Step::Revise { .. } | Step::Remove(_) | Step::Try(_)
            )
        };
        let files: Vec<&Step> = undo.filter(of_files).collect();
        // Where a file cannot be put back, those written before it stay as well: firewall and sshd go together at every
        // moment of a commit, but an old firewall and an sshd on its new port do not.
        let failed = |step: &&Step| (0..BOOT_ATTEMPTS).all(|_| self.perform(step).is_err());
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
