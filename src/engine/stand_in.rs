//! A host whose undo got stuck is neither as before nor as committed: the firewall may let in one port and sshd listen on
//! the other. Until the undo is complete an sshd therefore listens on all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Engine;
use super::detect::sockets::tcp_listeners;
use super::journal::Transaction;
use crate::change::assemble::RUN_DIR;
use crate::step::{Invocation, Signal, Step, Tool};
use crate::transaction::TxnId;

/// How long the port of an sshd that was told to end may stay taken.
const FREE: Duration = Duration::from_secs(3);

/// The ports of sshd before and after the change.
fn doors(transaction: &Transaction) -> BTreeSet<u16> {
    let before = &transaction.change.before;
    if before.ssh_ports == before.ssh_ports_after {
        return BTreeSet::new();
    }
    let ports = before.ssh_ports.iter().chain(&before.ssh_ports_after);
    ports.chain(&transaction.change.door).copied().collect()
}

fn pid_file(id: &TxnId, port: u16) -> PathBuf {
    PathBuf::from(format!("{RUN_DIR}/stand-in-{port}-{id}.pid"))
}

impl Engine<'_> {
    fn silent(&self, port: u16) -> bool {
        tcp_listeners(self.system, port).is_empty()
    }

    /// Starts an sshd on every door at which nobody answers. What cannot be started here is not worth a complaint: the
    /// undo that failed has one already.
    pub(super) fn stand_in(&self, transaction: &Transaction) {
        let id = &transaction.id;
        let config = transaction.change.before.ssh_config.display().to_string();
        for port in doors(transaction).into_iter().filter(|port| self.silent(*port)) {
            let args = [
                "-f".to_owned(),
                config.clone(),
                "-p".into(),
                port.to_string(),
                "-o".into(),
                format!("PidFile={}", pid_file(id, port).display()),
            ];
            // In a unit of its own it outlives the login that asked for the undo.
            let unit = [
                format!("--unit=faspwall-stand-in-{port}-{id}"),
                "--collect".into(),
                "--quiet".into(),
                "--property=KillMode=process".into(),
                // A service of sshd that was stopped has taken it along, and no sshd lets anybody in without it.
                "--property=RuntimeDirectory=sshd".into(),
                "--property=RuntimeDirectoryPreserve=yes".into(),
                format!("--description=faspwall: sshd on {port} until the undo of {id} is complete"),
                "--".into(),
            ];
            let program = self
                .system
                .locate(Tool::Sshd)
                .map(|path| path.display().to_string());
            let daemon = program
                .into_iter()
                .chain([String::from("-D")])
                .chain(args.clone());
            let call = Invocation::new(Tool::SystemdRun, unit.into_iter().chain(daemon));
            if !self.runs_systemd() || self.system.run_ok(&call).is_err() {
                // Without -D it leaves its terminal and its login by itself.
                drop(self.system.run(&Invocation::new(Tool::Sshd, args)));
            }
        }
    }

    /// Ends a listener of ours; logins through it live on. Whether there was one.
    fn end(&self, pid_file: &Path) -> bool {
        let there = self.system.read_text(pid_file).is_some();
        if there {
            drop(self.perform(&Step::SignalPidFile {
                pid_file: pid_file.to_owned(),
                comm: String::from("sshd"),
                signal: Signal::Term,
            }));
        }
        there
    }

    /// The trial's sshd and the helper of the handover were told to end; where nobody passed that on, they are told again.
    pub(super) fn end_second_sshds(&self, id: &TxnId) {
        for name in ["door", "bridge"] {
            self.end(&PathBuf::from(format!("{RUN_DIR}/{name}-{id}.pid")));
        }
    }

    /// Ends what an earlier undo had started.
    pub(super) fn end_stand_ins(&self, transaction: &Transaction) {
        for port in doors(transaction) {
            let pid_file = pid_file(&transaction.id, port);
            if !self.end(&pid_file) {
                continue;
            }
            let until = self.system.boottime() + FREE;
            while !self.silent(port) && self.system.boottime() < until {
                self.system.sleep(Duration::from_millis(5));
            }
            drop(self.system.remove(&pid_file));
        }
    }
}
