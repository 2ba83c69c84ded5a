//! The dead-man's switch: a process of its own that fires by deadline, and by nothing else.
//!
//! Where systemd runs it is a transient timer: process 1 keeps it, no kill of ours can reach it. Elsewhere a watcher
//! leaves the login's session and control group. Both read the journal when they wake: the deadline that stands there
//! counts, so an extension only needs a new entry and, for systemd, a new timer.

use std::path::Path;
use std::time::Duration;

use super::journal::Transaction;
use super::{Engine, EngineError};
use crate::step::{Invocation, Tool};
use crate::system::SystemError;
use crate::transaction::{Entry, State, TxnId};

/// How long a guard waits for an undo that is at work: nobody else would do it again should that fail.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Why a transaction of an earlier boot is undone.
pub(super) const LOST_POWER: &str = "the machine went down before the change was complete";
/// How long a guard may take to show that it lives.
const READY: Duration = Duration::from_secs(10);

impl Engine<'_> {
    /// Arms a guard for `seconds` from now, sees it alive, and writes so.
    pub(super) fn arm(&self, id: &TxnId, seconds: u64) -> Result<u64, EngineError> {
        let deadline_ms = self.uptime_ms() + seconds * 1000;
        let number = self.load(id)?.map_or(0, |t| t.guards().len());
        let armed = if self.runs_systemd() {
            self.arm_timer(id, number, seconds)
        } else {
            // The watcher reads its orders from the journal: they must stand there first.
            self.note_armed(id, deadline_ms, &format!("watcher-{number}"))?;
            self.arm_watcher(id, number)
        };
        let guard = armed.map_err(|error| EngineError::Step {
            say: String::from("arm the guard that undoes the change at its deadline"),
            source: Box::new(error),
        })?;
        self.note_armed(id, deadline_ms, &guard)?;
        Ok(deadline_ms)
    }

    fn note_armed(&self, id: &TxnId, deadline_ms: u64, guard: &str) -> Result<(), EngineError> {
        let entry = Entry::Armed {
            deadline_ms,
            boot: self.boot_id(),
            guard: guard.to_owned(),
            at: self.stamp(),
        };
        self.note(id, &entry)
    }

    pub(super) fn runs_systemd(&self) -> bool {
        self.system.mode(Path::new("/run/systemd/system")).is_some()
            && self.system.locate(Tool::SystemdRun).is_some()
    }

    fn state_dir_text(&self) -> String {
        self.state_dir.display().to_string()
    }

    fn arm_timer(&self, id: &TxnId, number: usize, seconds: u64) -> Result<String, EngineError> {
        let unit = format!("faspwall-guard-{id}-{number}");
        let program = self
            .system
            .locate(Tool::Faspwall)
            .map(|p| p.display().to_string())
            .ok_or(SystemError::Missing { tool: Tool::Faspwall })?;
        // systemd's default accuracy is a minute: too late for a locked-out person.
        let args = [
            format!("--unit={unit}"),
            "--collect".into(),
            "--quiet".into(),
            format!("--on-active={seconds}s"),
            "--timer-property=AccuracySec=100ms".into(),
            // Killed in the middle of undo, it begins anew: every undo step may be done twice.
            "--property=Restart=on-failure".into(),
            "--property=RestartSec=2s".into(),
            format!("--description=faspwall: undo {id} unless it is confirmed"),
            "--".into(),
            program,
            "--state-dir".into(),
            self.state_dir_text(),
            "guard".into(),
            id.to_string(),
        ];
        self.system.run_ok(&Invocation::new(Tool::SystemdRun, args))?;
        let timer = format!("{unit}.timer");
        let look = Invocation::new(Tool::Systemctl, ["is-active", "--quiet", &timer]);
        if let Err(error) = self.system.run_ok(&look) {
            // It may live all the same, and nobody would know of it.
            drop(
                self.system
                    .run(&Invocation::new(Tool::Systemctl, ["stop", "--quiet", &timer])),
            );
            return Err(error.into());
        }
        Ok(timer)
    }

    fn arm_watcher(&self, id: &TxnId, number: usize) -> Result<String, EngineError> {
        let ready = self.dir(id).join(format!("guard-{number}.pid"));
        let args = [
            "--state-dir".to_owned(),
            self.state_dir_text(),
            "guard".into(),
            id.to_string(),
            "--watch".into(),
            number.to_string(),
        ];
        self.system.detach(&Invocation::new(Tool::Faspwall, args))?;
        let until = self.system.boottime() + READY;
        loop {
            if let Some(pid) = self
                .system
                .read_text(&ready)
                .and_then(|t| t.trim().parse::<u32>().ok())
                && self.alive(pid)
            {
                return Ok(format!("process {pid}"));
            }
            if self.system.boottime() >= until {
                return Err(EngineError::Refused(String::from(
                    "it did not come to life within 10 seconds. Is faspwall's own file still where it was started from?",
                )));
            }
            self.system.sleep(Duration::from_millis(10));
        }
    }

    /// Whether a process is there and is a faspwall.
    pub(super) fn alive(&self, pid: u32) -> bool {
        self.system
            .read_text(Path::new(&format!("/proc/{pid}/comm")))
            .is_some_and(|c| c.trim().starts_with("faspwall"))
    }

    /// Takes all timers of a transaction away, also one that was started and never written down. Watchers end by
    /// themselves when they see that it is over.
    pub(super) fn disarm(&self, transaction: &Transaction) {
        if self.runs_systemd() {
            let all = format!("faspwall-guard-{}-*.timer", transaction.id);
            let stop = Invocation::new(Tool::Systemctl, ["stop", "--quiet", &all]);
            // One that stays finds nothing to do when its time comes, and goes: once more is enough.
            if self.system.run_ok(&stop).is_err() {
                drop(self.system.run(&stop));
            }
            let of_an_earlier_boot = transaction.deadline().is_some_and(|d| d.boot != self.boot_id());
            if of_an_earlier_boot {
                // A boot check that was killed would be listed as failed for as long as the machine runs.
                let forget = ["reset-failed", "--quiet", "faspwall-recover.service"];
                drop(self.system.run(&Invocation::new(Tool::Systemctl, forget)));
            }
        }
    }

    /// What a timer starts: undo if the deadline in force has passed.
    pub fn guard_once(&self, id: &TxnId) -> Result<(), EngineError> {
        let Some(_lock) = self.lock_when_due(id, PATIENCE)? else {
            return Ok(());
        };
        let Some(transaction) = self.load(id)? else {
            return Ok(());
        };
        if self.is_due(&transaction) {
            let earlier = transaction.deadline().is_some_and(|d| d.boot != self.boot_id());
            let reason = if earlier {
                LOST_POWER
            } else {
                "not confirmed before the deadline"
            };
            self.rollback(&transaction, reason)?;
        }
        Ok(())
    }

    /// Whether the promised time of undo has passed.
    pub(super) fn is_due(&self, transaction: &Transaction) -> bool {
        let Some(deadline) = transaction.deadline() else {
            return transaction.state.is_open();
        };
        // 200 ms: a timer may fire a hair before the clock we compare with.
        let passed = self.uptime_ms() + 200 >= deadline.at_ms || deadline.boot != self.boot_id();
        transaction.state.is_open() && passed
    }

    /// The watcher of hosts without systemd: shows that it lives, sleeps until the deadline, looks again.
    pub fn guard_watch(&self, id: &TxnId, number: usize) -> Result<(), EngineError> {
        self.system.become_independent();
        let ready = self.dir(id).join(format!("guard-{number}.pid"));
        self.system
            .replace(&ready, format!("{}\n", self.system.pid()).as_bytes(), 0o600)?;
        loop {
            let Some(transaction) = self.load(id)? else {
                return Ok(());
            };
            // An extension starts a watcher of its own: this one may go.
            // Each is noted twice, before it is started and once it has been seen alive.
            let superseded = transaction.guards().len() > number + 3;
            if !transaction.state.is_open() || (superseded && transaction.state != State::RollingBack) {
                return Ok(());
            }
            if self.is_due(&transaction) {
                return self.guard_once(id);
            }
            let left = transaction
                .deadline()
                .map_or(0, |d| d.at_ms.saturating_sub(self.uptime_ms()));
            // Short naps: the transaction may be over long before the deadline, and then nothing of ours shall linger.
            self.system.sleep(Duration::from_millis(left.clamp(50, 2_000)));
        }
    }
}
