//! Proof through the new door: who may confirm, what a confirmation starts, and more time.

use std::time::Duration;

use super::detect::session::{comes_from_here, session};
use super::journal::Transaction;
use super::{Engine, EngineError};
use crate::backend::nftables::render::refresh;
use crate::facts::{Session, Via};
use crate::step::{Invocation, Tool};
use crate::transaction::{Entry, Outcome, Progress, State, Trial, TxnId};

/// A window is never stretched beyond this many seconds from now.
const LONGEST_S: u64 = 900;

/// So many wrong codes end the use of a transaction's code: a million codes cannot be tried in a window.
const MOST_WRONG: usize = 5;

/// Whether two codes are the same; it takes as long wherever they differ.
fn is_same(one: &str, other: &str) -> bool {
    let differing = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differing == 0
}

/// What the person typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// `faspwall confirm [CODE]` in a session of its own.
    Session(Option<String>),
    /// The word `keep` in the wizard that shows the countdown of this trial.
    Keep(TxnId, u8),
}

/// What came of a confirmation.
#[derive(Debug, Clone)]
pub enum Confirmed {
    /// Trial 2 is live and wants a confirmation of its own.
    Trial2(Box<Trial>),
    /// Permanent.
    Committed(Box<Outcome>),
}

impl Engine<'_> {
    /// Takes a confirmation and goes on to trial 2 or the commit.
    pub fn confirm(&self, proof: &Proof, report: &mut dyn FnMut(Progress)) -> Result<Confirmed, EngineError> {
        self.need_root("confirm")?;
        let meant = self.meant(proof)?;
        let _lock = self.lock(Duration::from_secs(10))?;
        let transaction = self.waiting()?;
        let State::Waiting(trial) = transaction.state else {
            return Err(EngineError::Refused(String::from(
                "the transaction waits for no confirmation",
            )));
        };
        let by = self.proven(&transaction, proof)?;
        if meant != Some((transaction.id.clone(), trial)) {
            return Err(EngineError::Refused(format!(
                "This was typed before trial {trial} of {} began, as when somebody else confirms at the same moment: it says nothing about what is shut now. Nothing was changed; the countdown goes on. Type: faspwall status",
                transaction.id
            )));
        }
        self.note(
            &transaction.id,
            &Entry::Confirmed {
                trial,
                by,
                at: self.stamp(),
            },
        )?;
        if trial == 1 && !transaction.change.trial_2.is_empty() {
            self.arm(&transaction.id, transaction.window_s + 30)
                .map_err(|error| self.give_up(&transaction.id, error))?;
            self.trial(&transaction.id, 2, report)?;
            let live = self.loaded(&transaction.id)?;
            return Ok(Confirmed::Trial2(Box::new(self.trial_view(&live))));
        }
        self.commit(&transaction.id, report)
            .map(|outcome| Confirmed::Committed(Box::new(outcome)))
    }

    /// The trial for which a confirmation was typed: the one that waits at that moment. While it stands before the lock,
    /// another one may be taken, and begin a trial that nobody has looked at.
    fn meant(&self, proof: &Proof) -> Result<Option<(TxnId, u8)>, EngineError> {
        if let Proof::Keep(id, trial) = proof {
            return Ok(Some((id.clone(), *trial)));
        }
        let open = self.open()?;
        Ok(open.and_then(|open| match open.state {
            State::Waiting(trial) => Some((open.id, trial)),
            _ => None,
        }))
    }

    /// Commits without waiting: for hosts that are set up unattended. Trials are still walked, so that every step and
    /// its undo is the same.
    pub fn commit_unconfirmed(
        &self,
        id: &TxnId,
        by: &str,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, EngineError> {
        let _lock = self.lock(Duration::from_secs(10))?;
        let transaction = self.waiting()?;
        if transaction.id != *id {
            return Err(EngineError::Refused(format!(
                "{id} was undone before it could be kept, and {} has been begun. Type: faspwall status",
                transaction.id
            )));
        }
        let confirmed = |trial| {
            let entry = Entry::Confirmed {
                trial,
                by: by.to_owned(),
                at: self.stamp(),
            };
            self.note(id, &entry)
        };
        confirmed(1)?;
        if !transaction.change.trial_2.is_empty() {
            self.trial(id, 2, report)?;
            confirmed(2)?;
        }
        self.commit(id, report)
    }

    /// The open transaction in a live window; otherwise the reason why there is none.
    fn waiting(&self) -> Result<Transaction, EngineError> {
        let Some(open) = self.open()? else {
            let last = self.transactions().pop();
            let told = last.map(|t| match t.state {
                State::Committed => format!("{} is already permanent ({})", t.id, t.reason()),
                _ => format!("{} was undone ({})", t.id, t.reason()),
            });
            return Err(EngineError::Refused(format!(
                "no change waits for a confirmation{}. Nothing was changed. Type: faspwall status",
                told.map(|t| format!(": {t}")).unwrap_or_default()
            )));
        };
        let due = open
            .deadline()
            .is_none_or(|d| d.boot != self.boot_id() || d.at_ms <= self.uptime_ms());
        if due {
            return Err(EngineError::Refused(format!(
                "too late: the time of {} has run out, and it is being undone. Nothing was kept. Type: faspwall status",
                open.id
            )));
        }
        if !matches!(open.state, State::Waiting(_)) {
            return Err(EngineError::Refused(format!(
                "{} waits for no confirmation now: its steps are running or were interrupted. Type: faspwall status",
                open.id
            )));
        }
        Ok(open)
    }

    /// Who confirms, or why that proves nothing.
    fn proven(&self, transaction: &Transaction, proof: &Proof) -> Result<String, EngineError> {
        let refuse = |text: String| {
            Err(EngineError::Refused(format!(
                "{text} Nothing was changed; the countdown goes on."
            )))
        };
        let session = session(self.system);
        if let Proof::Session(Some(code)) = proof
            && code != "keep"
        {
            if transaction.wrong_codes() >= MOST_WRONG {
                return refuse(format!(
                    "{MOST_WRONG} wrong codes were typed: no code counts for {} any more. Type: faspwall rollback, and apply again; or at the console: faspwall confirm keep.",
                    transaction.id
                ));
            }
            if !is_same(code, &transaction.code) {
                self.note(&transaction.id, &Entry::WrongCode { at: self.stamp() })?;
                return refuse(String::from("That is not the code of this transaction."));
            }
        }
        let local = session.as_ref().is_some_and(Session::is_local);
        let in_wizard = matches!(proof, Proof::Keep(..));
        if local && (in_wizard || *proof == Proof::Session(Some(String::from("keep")))) {
            return Ok(String::from("the local console"));
        }
        let Some(door) = transaction.change.door else {
            return Ok(who(session.as_ref()));
        };
        let since = transaction.waiting_since().unwrap_or(0);
        let Some(session) = session else {
            return refuse(String::from("How you are connected could not be found out."));
        };
        if in_wizard {
            return self.witness(transaction, door).or_else(refuse);
        }
        if session.via == Via::Unknown {
            return refuse(format!(
                "How you are connected is not known ({}): that proves nothing about TCP/{door}. Log in anew: ssh -p {door} ..., and confirm there.",
                session.evidence
            ));
        }
        if local {
            return refuse(String::from(
                "This is a local console: it proves nothing about the network. To keep the change all the same: faspwall confirm keep",
            ));
        }
        if session.server_port != Some(door) {
            let came = session
                .server_port
                .map_or(String::from("no TCP port"), |p| format!("TCP/{p}"));
            return refuse(format!(
                "You are connected over {came}: that proves nothing about TCP/{door}. Log in anew: ssh -p {door} ..., and confirm there."
            ));
        }
        if comes_from_here(self.system, &session) {
            return refuse(format!(
                "This login on TCP/{door} comes from this host itself: it has not passed the network, where the port may still be shut. Log in from another machine: ssh -p {door} ..., and confirm there."
            ));
        }
        if session.started_ms.is_none_or(|started| started < since) {
            return refuse(format!(
                "This login on TCP/{door} is older than the trial: an open connection lives on whatever the rules say. Log in once more on port {door} and confirm there; where your ssh shares one connection among logins (ControlMaster), a new one needs: ssh -o ControlPath=none -p {door} ..."
            ));
        }
        Ok(who(Some(&session)))
    }

    /// A login that speaks for whoever types the word beside it, or why none of those that were seen does.
    fn witness(&self, transaction: &Transaction, door: u16) -> Result<String, String> {
        let seen = self.seen_on(transaction, door);
        if let Some(login) = seen.counted.first() {
            let ip = login.client.ip();
            return Ok(format!("{} from {ip} on port {door}", login.user));
        }
        if seen.others.is_empty() {
            return Err(format!(
                "No new login on port {door} has been seen since this trial began: an open session proves nothing, and neither does a new one on a connection that is shared (ControlMaster). In a new window: ssh -o ControlPath=none -p {door} ..."
            ));
        }
        Err(format!(
            "No login of yours on port {door} has been seen since this trial began: {}. In a new window, from another machine: ssh -o ControlPath=none -p {door} ...",
            seen.why_not().join("; ")
        ))
    }

    /// Gives an open transaction more time: the guard, and the kernel's own timers.
    pub fn extend(&self, seconds: u64) -> Result<Trial, EngineError> {
        self.need_root("extend")?;
        let _lock = self.lock(Duration::from_secs(10))?;
        let transaction = self.waiting()?;
        let left_ms = transaction
            .deadline()
            .map_or(0, |d| d.at_ms.saturating_sub(self.uptime_ms()));
        let total = (left_ms / 1000 + seconds).min(LONGEST_S);
        let mut text = refresh(&transaction.change.clocks, total);
        if transaction.state == State::Waiting(2) {
            text.push_str(&refresh(&transaction.change.deny, total));
        }
        // The kernel's timers first: without them there is nothing to be extended, and the guard keeps its time.
        self.system
            .run_ok(&Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text))
            .map_err(|error| {
                EngineError::Refused(format!(
                    "the trial's rules are no longer in the kernel; was the firewall loaded anew? ({error}). The countdown goes on. Type: faspwall rollback, and apply again"
                ))
            })?;
        for step in &transaction.change.timed {
            self.perform(&step.clone().lasting(total))?;
        }
        self.arm(&transaction.id, total)?;
        let live = self.loaded(&transaction.id)?;
        Ok(self.trial_view(&live))
    }
}

/// A session in words.
pub fn who(session: Option<&Session>) -> String {
    match session {
        Some(s) => {
            let user = s.user.as_deref().unwrap_or("root");
            match (s.client, s.server_port) {
                (Some(client), Some(port)) => format!("{user} from {client} on port {port}"),
                (Some(client), None) => format!("{user} from {client}"),
                _ => format!("{user} at a local console"),
            }
        }
        None => String::from("root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_as_itself_and_as_no_other() {
        assert!(is_same("012345", "012345"));
        for other in ["", "0", "01234", "0123456", "112345", "012346"] {
            assert!(!is_same(other, "012345"), "{other}");
        }
    }
}
