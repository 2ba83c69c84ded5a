//! What can be attacked: calls that the seam has seen, faults that fit them, and the order of the cases.

use serde_json::{Value, json};

/// Begins the role of a command that takes a kept change back.
pub const BACK: &str = "back-";

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

    /// The command as its own process calls it.
    pub fn command(&self) -> &str {
        self.role.trim_start_matches(BACK)
    }

    /// Whether it belongs to the way back of a change that was kept.
    pub fn of_way_back(&self) -> bool {
        self.role.starts_with(BACK)
    }

    /// Whether it belongs to the undo of a move that was cut off.
    pub fn of_undo(&self) -> bool {
        ["rollback", "guard", "recover"].contains(&self.role.as_str())
    }

    /// The step of the journal to which it belongs; an undo is one step, so that there each call counts as one.
    pub fn step(&self) -> String {
        let (role, what) = (self.command(), &self.what);
        let stage = self.stage.trim_end_matches(" done");
        let way = if self.of_way_back() { "way back, " } else { "" };
        let own = match (self.role.as_str(), stage) {
            ("rollback", "start" | "rolling-back") => format!("undo by hand: {what}"),
            ("guard", "start" | "rolling-back") => format!("undo by the guard: {what}"),
            ("recover", "start" | "rolling-back") => format!("check at boot: {what}"),
            (_, "start") if role == "confirm" => String::from("confirm: who is it"),
            (_, "start") => format!("{role}: detection, dry runs, snapshot"),
            (_, "begin") => format!("{role}: arm the guard"),
            (_, "armed") => format!("{role}: the guard is armed"),
            (_, "rolled-back") => format!("{role}: undone"),
            (_, "waiting 1") => String::from("trial 1 waits"),
            (_, "waiting 2") => String::from("trial 2 waits"),
            (_, "confirmed 1") => String::from("trial 1 is confirmed"),
            (_, "confirmed 2") => String::from("trial 2 is confirmed"),
            _ => stage.to_owned(),
        };
        format!("{way}{own}")
    }

    /// The faults that can meet this call; `first` of its step meets those that come from outside, too.
    pub fn faults(&self, first: bool) -> Vec<Fault> {
        use Fault::{
            BothKilled, Broken, ClockBack, ClockForward, DiskFull, FailAfter, FailBefore, Garble,
            GuardKilled, Hang, HangUp, KillAfter, KillBefore, LinkDown, Power, Stop,
        };
        const OUTSIDE: [Fault; 9] = [
            Stop,
            ClockForward,
            ClockBack,
            GuardKilled,
            BothKilled,
            HangUp,
            LinkDown,
            DiskFull,
            Power,
        ];
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
        if !first {
            return faults;
        }
        match self.role.as_str() {
            // A guard and a check at boot have no login, and before a boot is over nothing comes over the cable.
            "guard" => faults.extend([BothKilled, LinkDown, Power]),
            "recover" => faults.push(Power),
            _ if self.stage.ends_with("done") || (self.stage == "start" && self.role != "rollback") => {}
            _ => faults.extend(OUTSIDE),
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
    pub fn seam(self) -> &'static str {
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
    /// The orders to the seam.
    pub fn orders(&self) -> Value {
        let Point {
            stage, what, number, ..
        } = &self.point;
        let role = self.point.command();
        json!({"aim": {"role": role, "stage": stage, "what": what, "number": number, "fault": self.fault.seam()}})
    }
}

/// Every fault at every call. Any beginning of it meets as many steps as there can be, and each fault as often as any
/// other: each step by one fault, then by a second one, until it has met all that fit it; then each call by all of them.
pub fn in_order(points: &[Point], offset: usize) -> Vec<Case> {
    let (mut steps, rest) = steps_of(points);
    let mut met = [0_usize; Fault::ALL.len()];
    let place = |fault: Fault| Fault::ALL.iter().position(|other| *other == fault);
    let mut rounds: Vec<Vec<Case>> = Vec::new();
    while steps.iter().any(|cases| !cases.is_empty()) {
        let mut round = Vec::new();
        for (number, cases) in steps
            .iter_mut()
            .enumerate()
            .filter(|(_, cases)| !cases.is_empty())
        {
            let rarest = (0..cases.len()).min_by_key(|at| {
                let place = place(cases[*at].fault).expect("a fault");
                (met[place], (place + number + offset) % Fault::ALL.len())
            });
            let case = cases.remove(rarest.expect("a case"));
            met[place(case.fault).expect("a fault")] += 1;
            round.push(case);
        }
        rounds.push(round);
    }
    rounds.push(rest);
    rounds.into_iter().flat_map(spread).collect()
}

/// The first case of each fault, step by step, and all others.
fn steps_of(points: &[Point]) -> (Vec<Vec<Case>>, Vec<Case>) {
    let mut steps: Vec<(String, Vec<Case>)> = Vec::new();
    let mut rest = Vec::new();
    for point in points {
        let step = point.step();
        let at = steps
            .iter()
            .position(|(name, _)| *name == step)
            .unwrap_or_else(|| {
                steps.push((step, Vec::new()));
                steps.len() - 1
            });
        let cases = &mut steps[at].1;
        for fault in point.faults(!outside_met(cases)) {
            let case = Case {
                point: point.clone(),
                fault,
            };
            match cases.iter().any(|other| other.fault == fault) {
                true => rest.push(case),
                false => cases.push(case),
            }
        }
    }
    (steps.into_iter().map(|(_, cases)| cases).collect(), rest)
}

/// Whether these cases have one that comes from outside.
fn outside_met(cases: &[Case]) -> bool {
    cases
        .iter()
        .any(|case| [Fault::Power, Fault::BothKilled].contains(&case.fault))
}

/// In an order of which any part is spread over all.
fn spread(cases: Vec<Case>) -> Vec<Case> {
    let stride = [7919, 7907, 7901]
        .into_iter()
        .find(|stride| cases.is_empty() || !cases.len().is_multiple_of(*stride));
    let stride = stride.expect("a stride");
    (0..cases.len())
        .map(|n| cases[n * stride % cases.len()].clone())
        .collect()
}
