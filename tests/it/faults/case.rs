//! One fault at one call: how the host gets there, what happens there, and what is asked of it afterwards.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::host::{Host, Outcome};
use super::point::{Case, Fault};
use super::watch::{LONGEST, Watch};
use crate::boxes::seconds;

/// The last call of a move: everything is done but to say so.
pub const LAST: &str = "journal committed";
/// The last call that the check at boot looks at: what comes after it no longer needs to be taken back.
pub const LAST_AT_BOOT: &str = "systemctl disable --quiet faspwall-recover.service";

/// How a case ended.
pub type Verdict = Result<Outcome, String>;

/// How a case ended, and for how long nobody was answered meanwhile.
#[derive(Debug, Clone)]
pub struct End {
    /// How it ended.
    pub verdict: Verdict,
    /// The longest silence.
    pub silence: Duration,
    /// How often somebody asked from outside.
    pub asked: usize,
    /// How long it took.
    pub took: Duration,
}

/// The state directory on a small disk of its own, and back; what is in force stays known.
const SMALL_DISK: &str = "cp -a /var/lib/faspwall /root/state; mount -t tmpfs -o size=8m,mode=700 tmpfs /var/lib/faspwall; \
     cp -a /root/state/. /var/lib/faspwall/; rm -r /root/state";
const LARGE_DISK: &str = "cp -a /var/lib/faspwall /root/state; umount -l /var/lib/faspwall; rm -rf /var/lib/faspwall; \
     cp -a /root/state /var/lib/faspwall; rm -r /root/state";

impl Host {
    /// Walks into the fault; `None` when it was not met. `turn` chooses among the ways to mend.
    pub fn attack(&mut self, case: &Case, turn: usize) -> Option<End> {
        let began = Instant::now();
        let full = case.fault == Fault::DiskFull;
        if full {
            self.machine.sh(SMALL_DISK);
        }
        self.watch = Some(Watch::begin(&self.addresses));
        let met = match case.point.of_undo() {
            true => self.undo_into(case),
            false => self.walk_into(case),
        };
        let verdict = met.map(|met| met.then(|| self.judge(turn)));
        let (silence, asked) = self.watch.take().map(Watch::end).unwrap_or_default();
        if full {
            self.machine.sh(LARGE_DISK);
        }
        let mut verdict = match verdict {
            Err(error) => Err(error),
            Ok(verdict) => verdict?,
        };
        if let Ok(outcome) = verdict {
            self.state = outcome;
        }
        if silence > LONGEST {
            let before = verdict.map_or_else(|error| error, |outcome| format!("{outcome:?}"));
            verdict = Err(format!(
                "no sshd greets on 22 or 33001 for {silence:?}; afterwards: {before}"
            ));
        }
        Some(End {
            verdict,
            silence,
            asked,
            took: began.elapsed(),
        })
    }

    /// The whole move or way back, up to the fault. Whether it was met.
    fn walk_into(&mut self, case: &Case) -> Result<bool, String> {
        self.order(&case.orders());
        for program in self.course(case.point.of_way_back()) {
            if case.fault.seam() == "pause" || case.fault == Fault::Stop {
                if self.walk_and_wait(program, case)? {
                    return Ok(true);
                }
            } else {
                let ran = self.run(program);
                if self.mark("met").is_some()
                    && ![Fault::ClockBack, Fault::ClockForward].contains(&case.fault)
                {
                    return Ok(true);
                }
                if !ran.ok() {
                    return Err(format!(
                        "the {program} of a case whose fault was not met yet: {ran:?}"
                    ));
                }
                if crate::moves::document(&ran)["state"] == "committed" {
                    break;
                }
            }
        }
        Ok(self.mark("met").is_some())
    }

    /// A move that is killed at its very end, then undone up to the fault.
    fn undo_into(&mut self, case: &Case) -> Result<bool, String> {
        let boots = case.point.role == "recover";
        self.cut_off(if boots { LAST_AT_BOOT } else { LAST })?;
        let waits = case.fault.seam() == "pause" || case.fault == Fault::Stop;
        match case.point.role.as_str() {
            "rollback" => {
                self.order(&case.orders());
                if waits {
                    return self.walk_and_wait("rollback", case);
                }
                self.run("rollback");
            }
            "guard" => {
                let mut orders = case.orders();
                orders["ahead_s"] = json!(1000);
                self.order(&orders);
                self.hurry_guard();
                if waits {
                    return self.await_and_strike(case);
                }
                self.until_quiet();
            }
            _ if waits => {
                self.order(&case.orders());
                self.pull_the_plug();
                self.machine.switch_on();
                return self.await_and_strike(case);
            }
            _ => {
                self.order(&case.orders());
                self.lose_power();
            }
        }
        Ok(self.mark("met").is_some())
    }

    /// A move that is killed before that call.
    pub fn cut_off(&self, call: &str) -> Result<(), String> {
        self.order(&json!({"aim": {"role": "confirm", "stage": "", "what": call, "number": 1, "fault": "kill-before"}}));
        for program in self.course(false) {
            let ran = self.run(program);
            if self.mark("met").is_some() {
                return Ok(());
            }
            if !ran.ok() {
                return Err(format!("the {program} of a move to be cut off: {ran:?}"));
            }
        }
        Err(String::from("the end of the move was never met"))
    }

    /// Starts the guard of what is open before its time, with clocks that say it has come; whether there is one.
    pub fn hurry_guard(&self) -> bool {
        let told = crate::moves::status(&self.machine);
        let timer = told["guard"].as_str().unwrap_or_default();
        let armed = self
            .machine
            .run(&["systemctl", "is-active", "--quiet", timer])
            .ok();
        let service = timer.replace(".timer", ".service");
        armed && self.machine.run(&["systemctl", "start", &service]).ok()
    }

    /// Waits until no guard works any more, whichever way it ended; one that waits for the kernel's clock takes a minute.
    pub fn until_quiet(&self) {
        let start = Instant::now();
        let busy = "systemctl list-units --plain --no-legend 'faspwall-guard-*.service' | awk '{print $3 $4}' | grep -Eq 'activ|running|auto'";
        while self.machine.run(&["sh", "-c", busy]).ok() && start.elapsed() < seconds(90) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is asked after every fault: nobody is locked out, the next start tells what there is to do, and doing it
    /// leaves the host as before or as committed.
    fn judge(&mut self, turn: usize) -> Verdict {
        self.reachable()?;
        self.no_orders();
        let told = crate::moves::status(&self.machine);
        let pending = told["interrupted"].is_string() || told["open"].is_object();
        if pending {
            self.assert_told(&told)?;
            // By turns, so that each of them meets every kind of fault.
            self.mend(turn)?;
        } else if told["events"].as_array().is_none_or(Vec::is_empty) && self.began() {
            return Err(format!("status does not tell what happened: {told}"));
        }
        let outcome = self
            .settle(seconds(8))
            .map_err(|diff| format!("MIXED, status said {told}; {diff}"))?;
        if pending {
            self.reachable()?;
        }
        // Where nothing was open nothing was done, and the first answer still holds.
        let after = match pending {
            true => crate::moves::status(&self.machine),
            false => told.clone(),
        };
        if after["interrupted"].is_string() || after["open"].is_object() {
            return Err(format!("something stays open: {after}"));
        }
        if self.applied(&after) != (outcome == Outcome::Committed) {
            return Err(format!("the host is as {outcome:?}, and status says {after}"));
        }
        self.forget_but(&after);
        Ok(outcome)
    }

    /// Whether the last transaction has a journal, and one that is not part of what the host is like before.
    fn began(&self) -> bool {
        let mut names = self.transactions();
        names.sort();
        let last = names.pop().filter(|name| !self.kept.contains(name));
        let journal = last.and_then(|name| {
            self.machine
                .get(&format!("/var/lib/faspwall/{name}/journal.jsonl"))
        });
        journal.is_some_and(|text| !text.is_empty())
    }

    /// A person is told what happened and what to type.
    fn assert_told(&self, told: &Value) -> Result<(), String> {
        let text = self.machine.run(&["faspwall", "status"]).stdout;
        let wanted = if told["interrupted"].is_string() {
            ["INTERRUPTED", "faspwall rollback"]
        } else {
            ["confirm", "trial"]
        };
        match wanted.iter().find(|word| !text.contains(**word)) {
            None => Ok(()),
            Some(word) => Err(format!("status does not say {word:?}: {text}")),
        }
    }

    /// By hand, by the guard, or by the next apply.
    fn mend(&self, turn: usize) -> Result<(), String> {
        if turn % 3 == 1 {
            self.order(&json!({"ahead_s": 1000}));
            let guarded = self.hurry_guard();
            self.until_quiet();
            self.no_orders();
            if guarded {
                return Ok(());
            }
        }
        if turn % 3 == 2 {
            self.order(&json!({"ahead_s": 1000}));
            let ran = self.run(self.firewall.first());
            self.no_orders();
            // After the undo of a way back there is nothing for it to do, and close-22 says so as a refusal.
            let told = crate::moves::status(&self.machine);
            let cleared = told["interrupted"].is_null() && told["open"].is_null();
            if cleared && (ran.ok() || self.firewall.first() != "apply") {
                return Ok(());
            }
            if !ran.ok() {
                return Err(format!(
                    "the next {} does not clear away what was left: {ran:?}",
                    self.firewall.first()
                ));
            }
        }
        let ran = self.run("rollback");
        if ran.ok() {
            Ok(())
        } else {
            Err(format!("rollback: {ran:?}"))
        }
    }
}
