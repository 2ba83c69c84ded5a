//! A rehearsal in words: one row for each thing that was tried, for the page, the line mode and the command line alike.

use std::net::IpAddr;

use super::{cell, counted, took};
use crate::facts::Facts;
use crate::matrix::{Blocker, Cell, Family, Rehearsal, SweepRow, Verdict};
use crate::port::Direction;
use crate::tui::{Attempt, Tone};

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What it is for: `ssh`, `closing 22`, `control`.
    pub name: String,
    /// Where the packet came from, or went to.
    pub from: String,
    /// `TCP/33001`
    pub port: String,
    /// `open`, `shut`, `as before`.
    pub wanted: String,
    /// On the host as it is.
    pub before: String,
    /// With the change.
    pub after: String,
    /// `Good`, `Bad`, or `Plain` for what could not be tried.
    pub tone: Tone,
    /// What blocks it, and what to do about that.
    pub below: Vec<String>,
    /// How it was tried, in sentences.
    pub how: String,
}

impl Test {
    /// The last column.
    pub fn result(&self) -> &'static str {
        match self.tone {
            Tone::Good => "ok",
            Tone::Bad => "FAILED",
            _ => "skipped",
        }
    }
}

/// What is at the head of the columns.
pub const HEAD: [&str; 7] = ["test", "from", "port", "wanted", "before", "after", "result"];

/// A row of the table; the column of addresses takes what the others leave.
pub fn columns(width: u16, cells: [&str; 7]) -> String {
    const FIXED: [usize; 7] = [14, 0, 9, 9, 7, 7, 7];
    let rest = usize::from(width)
        .saturating_sub(FIXED.iter().sum::<usize>() + FIXED.len() - 1)
        .max(12);
    let line: Vec<String> = cells
        .iter()
        .zip(FIXED)
        .map(|(text, width)| cell(text, if width == 0 { rest } else { width }))
        .collect();
    line.join(" ")
}

/// Everything that was tried, in the order in which it is shown.
pub fn tests(rehearsal: &Rehearsal, facts: &Facts) -> Vec<Test> {
    let client = facts.session.as_ref().and_then(|session| session.client);
    let mut blockers: Vec<&Blocker> = rehearsal.blockers.iter().collect();
    let mut tests: Vec<Test> = rehearsal.failed.iter().map(|why| broken_step(why)).collect();
    // Who asked for all ports wants to see them first.
    tests.extend(rehearsal.sweep.iter().map(sweep));
    tests.extend(
        rehearsal
            .cells
            .iter()
            .map(|cell| packet(cell, client, &mut blockers)),
    );
    tests.extend(after_boot(&rehearsal.cells, client, &mut blockers));
    let port = facts
        .session
        .as_ref()
        .and_then(|session| session.server_port)
        .or_else(|| facts.ssh.ports.first().copied());
    tests.push(flow(rehearsal.flow_tracked, port, "seen by conntrack"));
    tests.push(flow(rehearsal.flow_untracked, port, "not seen by it"));
    tests.push(undo(&rehearsal.undo));
    tests.extend(blockers.into_iter().map(blocked));
    tests
}

fn verdict(verdict: Verdict) -> String {
    verdict.to_string()
}

fn tone(ok: bool) -> Tone {
    if ok { Tone::Good } else { Tone::Bad }
}

fn blocked_by(blocker: &Blocker) -> Vec<String> {
    vec![
        format!("blocked in {}: {}", blocker.layer, blocker.rule),
        blocker.hint.clone(),
    ]
}

/// `TCP/33001`
fn port_of(cell: &Cell) -> String {
    format!("{}/{}", cell.protocol.to_string().to_uppercase(), cell.port)
}

/// What blocks a port: told once, at the first red cell of it.
fn blocked_there(port: &str, blockers: &mut Vec<&Blocker>) -> Vec<String> {
    let mut below = Vec::new();
    blockers.retain(|blocker| {
        if blocker.port == port {
            below.extend(blocked_by(blocker));
        }
        blocker.port != port
    });
    below
}

/// The other end of a packet's way, and whether it comes from there or goes there.
fn far_end(cell: &Cell, client: Option<IpAddr>) -> (String, &'static str) {
    let you = client.is_some_and(|client| client.to_canonical().to_string() == cell.from);
    match cell.direction {
        Direction::In if you => (format!("{} (you)", cell.from), "from"),
        Direction::In => (cell.from.clone(), "from"),
        Direction::Out => (format!("out to {}", cell.from), "to"),
    }
}

/// The next boot: one row when it leaves everything as the change does, else one for each packet that fares otherwise.
fn after_boot(cells: &[Cell], client: Option<IpAddr>, blockers: &mut Vec<&Blocker>) -> Vec<Test> {
    const NAME: &str = "after a reboot";
    const HOW: &str = "All rules were taken away in the copy, and what this host loads at boot was loaded there from its \
                       files as the change leaves them. Then the wanted ports were tried again.";
    let asked = cells.iter().filter(|cell| cell.boot.is_some()).count();
    let red: Vec<&Cell> = cells.iter().filter(|cell| !cell.ok_at_boot()).collect();
    if asked > 0 && red.is_empty() {
        let from = "wanted ports";
        return vec![other(NAME, from, "the same", "same", Tone::Good, HOW)];
    }
    red.into_iter()
        .map(|cell| {
            let port = port_of(cell);
            let (from, _) = far_end(cell, client);
            let wanted = if cell.wanted == Some(true) { "open" } else { "shut" };
            let after = cell.boot.map_or_else(String::new, verdict);
            Test {
                before: verdict(cell.before),
                below: blocked_there(&port, blockers),
                port,
                ..other(NAME, &from, wanted, &after, Tone::Bad, HOW)
            }
        })
        .collect()
}

fn packet(cell: &Cell, client: Option<IpAddr>, blockers: &mut Vec<&Blocker>) -> Test {
    let port = port_of(cell);
    let ok = cell.ok_now();
    let below = if ok {
        Vec::new()
    } else {
        blocked_there(&port, blockers)
    };
    let (from, way) = far_end(cell, client);
    let (wanted, reason) = match cell.wanted {
        Some(true) => ("open", "It must get through with the change."),
        Some(false) => ("shut", "It must not get through with the change."),
        None => (
            "as before",
            "Nobody asked for this port: the change must make no difference.",
        ),
    };
    let family = match cell.family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    };
    Test {
        name: match cell.id.as_str() {
            "close-22" => "closing 22".to_owned(),
            id => id.to_owned(),
        },
        how: format!(
            "A packet {way} {} to {port} over {family}, once with the rules as they are and once with the change. {reason} \
             Without the change: {}. With it: {}.",
            cell.from,
            in_full(cell.before),
            in_full(cell.after)
        ),
        from,
        port,
        wanted: wanted.to_owned(),
        before: verdict(cell.before),
        after: verdict(cell.after),
        tone: tone(ok),
        below,
    }
}

fn in_full(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "it arrived, and its answer came back",
        Verdict::Drop => "it, or its answer, was lost without a word",
        Verdict::Reject => "it was refused with an answer",
    }
}

/// The row of something that is no packet.
fn other(name: &str, from: &str, wanted: &str, after: &str, tone: Tone, how: &str) -> Test {
    Test {
        name: name.to_owned(),
        from: from.to_owned(),
        port: String::new(),
        wanted: wanted.to_owned(),
        before: String::new(),
        after: after.to_owned(),
        tone,
        below: Vec::new(),
        how: how.to_owned(),
    }
}

/// A step that failed in the copy.
fn broken_step(why: &str) -> Test {
    Test {
        below: vec![why.to_owned()],
        ..other(
            "the change",
            "made in the copy",
            "done",
            "failed",
            Tone::Bad,
            "The steps of the change were performed in the copy, in their order. One of them failed; it would fail on the \
             host as well.",
        )
    }
}

fn flow(went_on: Option<bool>, port: Option<u16>, tracked: &str) -> Test {
    let (after, tone) = match went_on {
        Some(true) => ("stays", Tone::Good),
        Some(false) => ("CUT", Tone::Bad),
        None => ("-", Tone::Plain),
    };
    let how = "A session on the present SSH port was opened before the change, and bytes went both ways through it after \
               each step: once with its connection known to the kernel's connection tracking, once without.";
    Test {
        port: port.map_or_else(String::new, |port| format!("TCP/{port}")),
        ..other("open session", tracked, "stays", after, tone, how)
    }
}

fn undo(differences: &[String]) -> Test {
    let equal = differences.is_empty();
    let how =
        "The change was taken back in the copy, and the rules were compared with those before, line by line.";
    Test {
        below: differences.to_vec(),
        ..other(
            "undo",
            "as before?",
            "equal",
            if equal { "equal" } else { "differs" },
            tone(equal),
            how,
        )
    }
}

fn sweep(row: &SweepRow) -> Test {
    let protocol = row.protocol.to_string().to_uppercase();
    let family = match row.family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    };
    let listed = |ports: &[String]| {
        if ports.is_empty() {
            "none".to_owned()
        } else {
            ports.join(", ")
        }
    };
    let how = format!(
        "Every one of the 65,535 {protocol} ports was tried over {family}, without the change and with it. Opened: {}. \
         Shut: {}.",
        listed(&row.opened),
        listed(&row.closed)
    );
    let mut below = vec![format!(
        "opened: {}   shut: {}",
        listed(&row.opened),
        listed(&row.closed)
    )];
    if !row.unasked.is_empty() {
        below.push(format!("not asked for: {}", listed(&row.unasked)));
    }
    Test {
        port: protocol.clone(),
        below,
        ..other(
            "all ports",
            family,
            "as asked",
            if row.unasked.is_empty() { "yes" } else { "more" },
            tone(row.unasked.is_empty()),
            &how,
        )
    }
}

/// A blocker of a port that no red cell names.
fn blocked(blocker: &Blocker) -> Test {
    Test {
        port: blocker.port.clone(),
        below: blocked_by(blocker),
        ..other(
            "blocked",
            &blocker.layer,
            "open",
            "",
            Tone::Bad,
            "The rule was found by taking rules away in the copy, and by the counters and the trace of the kernel.",
        )
    }
}

/// `12 tests: 11 ok, 1 failed, 0 skipped`
pub fn tally(tests: &[Test]) -> String {
    let count = |tone: Tone| tests.iter().filter(|test| test.tone == tone).count();
    format!(
        "{}: {} ok, {} failed, {} skipped",
        counted(tests.len(), "test"),
        count(Tone::Good),
        count(Tone::Bad),
        count(Tone::Plain)
    )
}

/// Why a change is not applied after its rehearsal; `None` when it may be.
pub fn refusal(attempt: Option<&Attempt>, facts: &Facts) -> Option<String> {
    let done = match attempt {
        None => return Some("it has not been rehearsed yet".to_owned()),
        Some(Attempt::Running { .. }) => return Some("the rehearsal is under way".to_owned()),
        Some(Attempt::Unavailable(_)) => return None,
        Some(Attempt::Broken(_)) => return Some("the rehearsal broke off".to_owned()),
        Some(Attempt::Done(done)) => done,
    };
    if done.ok() {
        return None;
    }
    let tests = tests(done, facts);
    let red: Vec<&Test> = tests.iter().filter(|test| test.tone == Tone::Bad).collect();
    Some(match red.as_slice() {
        [] => "the rehearsal was not passed".to_owned(),
        [one] => in_brief(one),
        [first, rest @ ..] => format!("{}, and {} more", in_brief(first), rest.len()),
    })
}

fn in_brief(test: &Test) -> String {
    let wanted = format!("wanted {}, got {}", test.wanted, test.after);
    [test.name.as_str(), test.port.as_str(), wanted.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a rehearsal cannot see, on this host and on every host.
pub fn not_tried(rehearsal: &Rehearsal) -> Vec<String> {
    const ALWAYS: &str = "firewalls outside this host (cloud security group, router)";
    let mut list = rehearsal.not_rehearsed.clone();
    // Who sees one line only shall see this one.
    list.sort_by_key(|line| !line.contains("cloud"));
    if !list.first().is_some_and(|line| line.contains("cloud")) {
        list.insert(0, ALWAYS.to_owned());
    }
    list
}

/// The whole rehearsal as lines of text, for a file, the line mode and the command line.
pub fn rehearsal_report(rehearsal: &Rehearsal, facts: &Facts, width: u16) -> Vec<String> {
    let tests = tests(rehearsal, facts);
    let mut text = vec![columns(width, HEAD).trim_end().to_owned()];
    for test in &tests {
        text.push(row(test, width));
        text.extend(test.below.iter().map(|line| format!("    {line}")));
    }
    text.push(format!("{}, {}", tally(&tests), took(rehearsal.millis)));
    text.push("Not tested:".to_owned());
    text.extend(not_tried(rehearsal).iter().map(|line| format!("  {line}")));
    text
}

/// One test as a row of the table.
pub fn row(test: &Test, width: u16) -> String {
    let cells = [
        test.name.as_str(),
        &test.from,
        &test.port,
        &test.wanted,
        &test.before,
        &test.after,
        test.result(),
    ];
    columns(width, cells).trim_end().to_owned()
}

/// The whole rehearsal as sentences, for who hears it.
pub fn spoken(rehearsal: &Rehearsal, facts: &Facts) -> Vec<String> {
    let tests = tests(rehearsal, facts);
    let mut text = Vec::new();
    for test in &tests {
        let part = |name: &str, text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("{name} {text}")
            }
        };
        let wanted = part("wanted", &test.wanted);
        let before = part("before", &test.before);
        let after = part("after", &test.after);
        let parts = [&test.name, &test.from, &test.port, &wanted, &before, &after];
        let parts: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        text.push(format!("{}: {}", test.result(), parts.join(", ")));
        text.extend(test.below.iter().map(|line| format!("  {line}")));
    }
    text.push(format!("{}.", tally(&tests)));
    text.extend(
        not_tried(rehearsal)
            .iter()
            .map(|line| format!("Not tested: {line}")),
    );
    text
}
