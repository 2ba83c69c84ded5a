//! Makes a confirmed change permanent, reads everything back, and only then says so.

use std::path::Path;
use std::time::Duration;

use super::apply::check_open;
use super::detect::sockets::tcp_listeners;
use super::detect::sshd::in_force;
use super::journal::Transaction;
use super::listening::Wanted;
use super::{Engine, EngineError};
use crate::backend::nftables::shut::{has_our_deny, is_shut_but_for};
use crate::change::Change;
use crate::facts::{BackendId, SshdConfig};
use crate::sshd::config::Effective;
use crate::step::Step;
use crate::system::Lock;
use crate::transaction::{Entry, Outcome, Phase, Progress, TxnId};

/// Seconds after which the guard takes an unfinished commit back.
const COMMIT_WINDOW_S: u64 = 180;
/// Held by ufw while it changes its files (`create_lock` in its util.py).
const UFW_LOCK: &str = "/run/ufw.lock";
/// How long one of its calls may take before we give up.
const UFW_PATIENCE: Duration = Duration::from_secs(10);

impl Engine<'_> {
    /// Commits. The lock must be held, the confirmation noted.
    pub(super) fn commit(
        &self,
        id: &TxnId,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, EngineError> {
        let run = |report: &mut dyn FnMut(Progress)| -> Result<Transaction, EngineError> {
            self.arm(id, COMMIT_WINDOW_S)?;
            let transaction = self.loaded(id)?;
            let _ufw = self.lock_of_ufw(&transaction.change)?;
            self.untouched(&transaction.change)?;
            self.walk(&transaction, Phase::Commit, report)?;
            self.end_second_sshds(id);
            self.verify(&transaction)?;
            Ok(transaction)
        };
        let transaction = run(report).map_err(|error| self.give_up(id, error))?;
        self.note(
            id,
            &Entry::Committed {
                at: self.stamp(),
                notes: Vec::new(),
            },
        )?;
        if let Some(text) = &transaction.change.notice {
            // Without the text the change is as good; faspwall notice prints it too.
            drop(self.system.replace(&self.notice_path(id), text.as_bytes(), 0o600));
        }
        let transaction = self.load(id)?.unwrap_or(transaction);
        self.disarm(&transaction);
        self.prune_quietly();
        Ok(self.outcome_of(&transaction))
    }

    /// While files of ufw are written, ufw itself waits: each of the two would lose what the other one writes. Where
    /// there is no such lock, nobody waits.
    pub(super) fn lock_of_ufw(&self, change: &Change) -> Result<Option<Lock>, EngineError> {
        if !change.before.kept.contains_key(&BackendId::Ufw) {
            return Ok(None);
        }
        let until = self.system.boottime() + UFW_PATIENCE;
        loop {
            match self.system.lock_record(Path::new(UFW_LOCK)) {
                Ok(Some(lock)) => return Ok(Some(lock)),
                Err(_) => return Ok(None),
                Ok(None) if self.system.boottime() >= until => {
                    return Err(EngineError::Refused(format!(
                        "somebody changes ufw at this moment, and has done so for {} s ({UFW_LOCK} is held). Let that end, and apply again",
                        UFW_PATIENCE.as_secs()
                    )));
                }
                Ok(None) => self.system.sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Fails when a file to be written is no longer what it was when the change was previewed: what somebody wrote since
    /// would be lost.
    pub(super) fn untouched(&self, change: &Change) -> Result<(), EngineError> {
        let written = change.before.files.iter().map(|(path, before, _)| (path, before));
        let rewritten = change
            .before
            .rewritten
            .iter()
            .map(|(path, before)| (path, before));
        for (path, before) in written.chain(rewritten) {
            if self.system.read_text(path) != *before {
                return Err(EngineError::Refused(format!(
                    "{} was changed by somebody since the preview was made, and faspwall would have overwritten that. Look at the new preview and apply again",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Reads rules, files and sshd's ports back.
    fn verify(&self, transaction: &Transaction) -> Result<(), EngineError> {
        let live = self.live_ruleset()?;
        check_open(&live, transaction)?;
        let change = &transaction.change;
        for port in &change.closing {
            let ours = has_our_deny(&live);
            let wanted_shut = change.closed.contains(&format!("TCP/{port}"));
            // On a host that filters nothing a port is shut as soon as nobody listens on it.
            let deserted = tcp_listeners(self.system, *port).is_empty();
            if wanted_shut && !ours && !deserted && !is_shut_but_for(&live, *port, &change.spared) {
                return Err(EngineError::Refused(format!(
                    "TCP/{port} is still open after the commit"
                )));
            }
        }
        for (path, _, after) in &change.before.files {
            if self.system.read_text(path) != *after {
                return Err(EngineError::Refused(format!(
                    "{} does not hold what was written to it",
                    path.display()
                )));
            }
        }
        self.reserved(change)?;
        if change.before.ssh_ports == change.before.ssh_ports_after {
            return Ok(());
        }
        self.sshd_is_there(change)?;
        if change.before.ssh_socket {
            return Ok(());
        }
        let ports = self.configured_ports(change)?;
        if ports == change.before.ssh_ports_after {
            Ok(())
        } else {
            Err(EngineError::Refused(format!(
                "sshd's configuration now names the ports {ports:?} instead of {:?}",
                change.before.ssh_ports_after
            )))
        }
    }

    /// Fails unless sshd, or systemd for it, listens as the steps of the commit have waited for.
    fn sshd_is_there(&self, change: &Change) -> Result<(), EngineError> {
        let holder = if change.before.ssh_socket {
            "systemd"
        } else {
            "sshd"
        };
        for port in &change.before.ssh_ports_after {
            let waits = |step: &&Step| matches!(step, Step::AwaitTcp { listening: true, .. });
            let steps = change.commit.iter().map(|action| &action.step).filter(waits);
            let wanted = steps
                .filter_map(Wanted::of)
                .find(|wanted| wanted.port == *port && wanted.comm == holder)
                .unwrap_or_else(|| Wanted::anywhere(*port, holder));
            self.listens(&wanted)?;
        }
        Ok(())
    }

    /// On which ports sshd would listen for others if it were started now.
    fn configured_ports(&self, change: &Change) -> Result<Vec<u16>, EngineError> {
        let mut words = change.before.ssh_options.clone();
        if !words.iter().any(|word| word == "-f") {
            words.extend(["-f".into(), change.before.ssh_config.display().to_string()]);
        }
        let answer = in_force(self.system, &words, false, &[]).map_err(EngineError::Refused)?;
        let effective = Effective::parse(&answer);
        let config = SshdConfig {
            ports: effective.ports(),
            listen_addresses: effective.listen_addresses(),
            ..SshdConfig::default()
        };
        Ok(config.listening())
    }
}
