//! One fault at one call: how the host gets there, what happens there, and what is asked of it afterwards.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::host::{DIR, Host, Outcome};
use crate::boxes::{Family, seconds};

/// A call that the seam has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The command that runs.
    pub role: String,
    /// The line of the journal that was written last.
    pub stage: String,
    /// What the call does.
    pub what: String,
    /// How often it was made in that stage.
    pub number: u32,
}

impl Point {
    /// Of a line of a trace.
    pub fn read(line: &str) -> Option<Self> {
        let mut parts = line.split('\t').map(str::to_owned);
        Some(Self {
            role: parts.next()?,
            stage: parts.next()?,
            what: parts.next()?,
            number: parts.next()?.parse().ok()?,
        })
    }

    fn journal(&self) -> bool {
        self.what.starts_with("journal ")
    }

    /// Whether the journal had begun.
    pub fn started(&self) -> bool {
        self.stage != "start"
    }

    /// A call that only looks.
    pub fn looks(&self) -> bool {
        const LOOKS: [&str; 8] = [
            "ip -j",
            "nft -j list",
            "nft list",
            "systemctl is-active",
            "sshd -T",
            "nft -c",
            "sshd -t",
            "firewall-cmd --state",
        ];
        self.what.contains("-save") || LOOKS.iter().any(|look| self.what.starts_with(look))
    }

    fn writes(&self) -> bool {
        ["write ", "remove ", "append ", "signal"]
            .iter()
            .any(|start| self.what.starts_with(start))
    }

    /// The faults that can meet this call; `first` of its stage meets those that come from outside, too.
    pub fn faults(&self, first: bool) -> Vec<Fault> {
        use Fault::{
            BothKilled, Broken, ClockBack, ClockForward, DiskFull, FailAfter, FailBefore, Garble,
            GuardKilled, Hang, HangUp, KillAfter, KillBefore, LinkDown, Power, Stop,
        };
        let mut faults = Vec::new();
        if self.what.starts_with("make ") {
            return faults;
        }
        if self.journal() {
            faults.extend([KillBefore, FailBefore]);
        } else if self.looks() {
            faults.extend([FailBefore, Hang, Garble]);
        } else if self.writes() {
            faults.extend([KillBefore, KillAfter, FailBefore, Broken]);
        } else {
            faults.extend([KillBefore, KillAfter, FailBefore, FailAfter, Broken, Hang, Garble]);
        }
        let walks = ["apply", "confirm"].contains(&self.role.as_str());
        if first && walks && !self.stage.ends_with("done") && self.stage != "start" {
            faults.extend([
                Stop,
                ClockForward,
                ClockBack,
                GuardKilled,
                BothKilled,
                HangUp,
                LinkDown,
                DiskFull,
                Power,
            ]);
        }
        faults
    }
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9 before the call.
    KillBefore,
    /// kill -9 after the call.
    KillAfter,
    /// Stopped as by Ctrl-Z; killed when it has been looked at.
    Stop,
    /// The call fails and has done nothing.
    FailBefore,
    /// The call has done all and fails.
    FailAfter,
    /// The program fails from here on.
    Broken,
    /// The program gives no answer.
    Hang,
    /// The program prints rubbish.
    Garble,
    /// The clock is set a year ahead.
    ClockForward,
    /// The clock is set a year back.
    ClockBack,
    /// The guard is killed.
    GuardKilled,
    /// The guard is killed, and the program with -9.
    BothKilled,
    /// The login that runs it is cut off.
    HangUp,
    /// The cable is pulled out.
    LinkDown,
    /// The disk of the state directory is full.
    DiskFull,
    /// The power goes.
    Power,
}

impl Fault {
    /// All of them, as the columns of a table.
    pub const ALL: [Self; 16] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::Stop,
        Self::GuardKilled,
        Self::BothKilled,
        Self::FailBefore,
        Self::FailAfter,
        Self::Broken,
        Self::Hang,
        Self::Garble,
        Self::DiskFull,
        Self::ClockForward,
        Self::ClockBack,
        Self::HangUp,
        Self::LinkDown,
        Self::Power,
    ];

    /// As the tables and the seam name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::Stop => "stop",
            Self::FailBefore => "fail-before",
            Self::FailAfter => "fail-after",
            Self::Broken => "broken",
            Self::Hang => "hang",
            Self::Garble => "garble",
            Self::ClockForward => "clock-forward",
            Self::ClockBack => "clock-back",
            Self::GuardKilled => "guard-killed",
            Self::BothKilled => "both-killed",
            Self::HangUp => "hang-up",
            Self::LinkDown => "link-down",
            Self::DiskFull => "disk-full",
            Self::Power => "power",
        }
    }

    /// What the seam does: for what comes from outside the process waits.
    fn seam(self) -> &'static str {
        match self {
            Self::GuardKilled
            | Self::BothKilled
            | Self::HangUp
            | Self::LinkDown
            | Self::DiskFull
            | Self::Power => "pause",
            inside => inside.name(),
        }
    }
}

/// A fault at a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Where.
    pub point: Point,
    /// What.
    pub fault: Fault,
}

impl Case {
    fn orders(&self) -> Value {
        let Point {
            role,
            stage,
            what,
            number,
        } = &self.point;
        json!({"aim": {"role": role, "stage": stage, "what": what, "number": number, "fault": self.fault.seam()}})
    }
}

/// The last call of a move: everything is done but to say so.
pub const LAST: &str = "journal committed";
/// The last call that the check at boot looks at: what comes after it no longer needs to be taken back.
pub const LAST_AT_BOOT: &str = "systemctl disable --quiet faspwall-recover.service";

/// How a case ended.
pub type Verdict = Result<Outcome, String>;

impl Host {
    /// Walks into the fault; `None` when it was not met. `turn` chooses among the ways to mend.
    pub fn attack(&mut self, case: &Case, turn: usize) -> Option<Verdict> {
        let full = case.fault == Fault::DiskFull;
        if full {
            self.machine
                .sh("mount -t tmpfs -o size=8m,mode=700 tmpfs /var/lib/faspwall");
        }
        let met = match case.point.role.as_str() {
            "apply" | "confirm" => self.walk_into(case),
            _ => self.undo_into(case),
        };
        let verdict = met.map(|met| met.then(|| self.judge(turn)));
        if full {
            self.machine.sh("umount -l /var/lib/faspwall");
        }
        match verdict {
            Err(error) => Some(Err(error)),
            Ok(verdict) => verdict,
        }
    }

    /// The whole move, up to the fault. Whether it was met.
    fn walk_into(&mut self, case: &Case) -> Result<bool, String> {
        self.order(&case.orders());
        for program in ["apply", "confirm", "confirm"] {
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
            }
        }
        Ok(self.mark("met").is_some())
    }

    /// A move that is killed at its very end, then undone up to the fault.
    fn undo_into(&mut self, case: &Case) -> Result<bool, String> {
        let boots = case.point.role == "recover";
        self.cut_off(if boots { LAST_AT_BOOT } else { LAST })?;
        match case.point.role.as_str() {
            "rollback" => {
                self.order(&case.orders());
                self.run("rollback");
            }
            "guard" => {
                let mut orders = case.orders();
                orders["ahead_s"] = json!(1000);
                self.order(&orders);
                self.hurry_guard();
                self.until_quiet();
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
        for program in ["apply", "confirm", "confirm"] {
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

    /// Runs one command of the move whose process may stop at the fault; there the world outside strikes.
    fn walk_and_wait(&mut self, program: &str, case: &Case) -> Result<bool, String> {
        let mut child = self.begin(program, case.fault);
        let start = Instant::now();
        loop {
            if let Some(pid) = self.mark("paused") {
                self.strike(case.fault, pid.trim(), &mut child)?;
                return Ok(true);
            }
            if let Ok(Some(status)) = child.try_wait() {
                if self.mark("paused").is_some() {
                    continue;
                }
                if status.success() {
                    return Ok(false);
                }
                return Err(format!("{program} failed before its fault was met"));
            }
            if start.elapsed() > seconds(60) {
                return Err(format!("{program} neither ended nor met its fault"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// At a console, or in a login from outside where that is to be cut off.
    pub fn begin(&self, program: &str, fault: Fault) -> Child {
        let words = Self::words(program).join(" ");
        let outside = [Fault::HangUp, Fault::LinkDown].contains(&fault);
        let mut command = if outside {
            let code = || {
                crate::moves::status(&self.machine)["open"]["code"]
                    .as_str()
                    .map(str::to_owned)
            };
            let (port, words) = match program {
                "apply" => (22, words),
                _ => (33001, words.replace("keep", &code().unwrap_or_default())),
            };
            let words = self.machine.ssh_words(port, Family::V4, &["-tt"], &words);
            let mut command = std::process::Command::new(&words[0]);
            command.args(&words[1..]);
            command
        } else {
            self.machine.command(&Self::words(program))
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts")
    }

    /// What happens while process `pid` of the machine waits; afterwards that process is over.
    fn strike(&mut self, fault: Fault, pid: &str, child: &mut Child) -> Result<(), String> {
        // While nothing moves, too, nobody may be locked out.
        if fault != Fault::Power {
            self.reachable()?;
        }
        let go = || self.machine.put(&format!("{DIR}/go"), "", 0o600);
        let kill = || self.machine.run(&["kill", "-9", pid]);
        let no_guard = "systemctl stop 'faspwall-guard-*.timer' 'faspwall-guard-*.service'";
        match fault {
            Fault::Stop => {
                kill();
                // Stopped together with its child, the nsenter above it would never collect it.
                let _ = child.kill();
                let _ = child.wait();
            }
            Fault::GuardKilled => {
                self.machine.sh(no_guard);
                go();
            }
            Fault::BothKilled => {
                self.machine.sh(no_guard);
                kill();
            }
            Fault::HangUp => {
                let _ = child.kill();
                go();
            }
            Fault::LinkDown => {
                self.machine.link(false);
                go();
            }
            Fault::DiskFull => {
                self.machine
                    .run(&["dd", "if=/dev/zero", "of=/var/lib/faspwall/filler", "bs=4k"]);
                go();
            }
            _ => {
                self.lose_power();
                let _ = child.kill();
            }
        }
        let start = Instant::now();
        let there = || self.machine.run(&["kill", "-0", pid]).ok();
        while fault != Fault::Power && there() {
            if start.elapsed() > seconds(90) {
                return Err(format!("process {pid} goes on for ever after {fault:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        match fault {
            Fault::LinkDown => {
                self.machine.link(true);
                let _ = child.kill();
            }
            Fault::DiskFull => drop(self.machine.run(&["rm", "/var/lib/faspwall/filler"])),
            _ => {}
        }
        let _ = child.wait();
        Ok(())
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
        if !pending
            && told["applied"].is_string() == (outcome == Outcome::Committed)
            && outcome == Outcome::Before
        {
            self.forget();
            return Ok(outcome);
        }
        self.reachable()?;
        let after = crate::moves::status(&self.machine);
        if after["interrupted"].is_string() || after["open"].is_object() {
            return Err(format!("something stays open: {after}"));
        }
        if after["applied"].is_string() != (outcome == Outcome::Committed) {
            return Err(format!("the host is as {outcome:?}, and status says {after}"));
        }
        if outcome == Outcome::Committed {
            self.go_back();
            if self.settle(seconds(8)) != Ok(Outcome::Before) {
                return Err(String::from("MIXED after the way back"));
            }
        }
        self.forget();
        Ok(outcome)
    }

    /// Whether a transaction has a journal.
    fn began(&self) -> bool {
        self.machine
            .run(&["sh", "-c", "cat /var/lib/faspwall/2*/journal.jsonl | grep -q ."])
            .ok()
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
            let ran = self.run("apply");
            self.no_orders();
            if !ran.ok() {
                return Err(format!(
                    "the next apply does not clear away what was left: {ran:?}"
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
