//! Faults at every step of every backend: whatever is killed, fails, hangs, lies or loses its power, and wherever, the
//! host is afterwards as before or as committed, an sshd greets from outside, and the next start tells what to do.
//!
//! A build with the feature `fault-injection` counts every call that changes the host, starts a program or writes a line
//! of the journal, and lets one of them go wrong. A clean move tells which calls there are; each of them is then met by
//! each fault that fits it. The whole attack takes hours and goes on where it was left:
//!
//! ```text
//! cargo nextest run --features fault-injection --run-ignored only -E 'test(/^faults::all_of_/)'
//! ```
//!
//! `FASPWALL_FAULT_MINUTES` ends it earlier, with the cases spread over all steps and faults. What was found lies in
//! `target/faults`; `faults::the_table_is_written` makes `tests/faults/RESULTS.md` of it.

mod case;
mod host;
mod table;

use std::time::Instant;

use case::{Case, Fault, LAST, LAST_AT_BOOT, Point, Verdict};
use host::{Firewall, Host, Outcome};
use serde_json::{Value, json};
use table::Book;

use crate::boxes::{seconds, wait};
use crate::moves::document;

/// What a clean move does.
struct Calls {
    /// Its calls, and those of an undo by hand and by the guard and of the check at boot.
    points: Vec<Point>,
    /// What each step of the journal says of itself: `trial1 0` and so on.
    steps: Vec<(String, String)>,
}

fn calls(host: &mut Host) -> Calls {
    let trace = json!({"trace": true});
    host.order(&trace);
    for program in ["apply", "confirm", "confirm"] {
        document(&host.run(program));
    }
    let mut text = host.mark("trace").expect("a trace");
    let steps = steps(host);
    host.no_orders();
    host.go_back();
    for role in ["rollback", "guard", "recover"] {
        host.cut_off(if role == "recover" { LAST_AT_BOOT } else { LAST })
            .expect("a move that is cut off");
        match role {
            "rollback" => {
                host.order(&trace);
                document(&host.run("rollback"));
            }
            "guard" => {
                host.order(&json!({"trace": true, "ahead_s": 1000}));
                assert!(host.hurry_guard(), "no guard");
                host.until_quiet();
            }
            _ => {
                host.order(&trace);
                host.lose_power();
            }
        }
        let seen = host.mark("trace").expect("a trace");
        text.extend(
            seen.lines()
                .filter(|line| line.starts_with(role))
                .map(|line| format!("{line}\n")),
        );
        host.no_orders();
        if host.settle(seconds(10)) != Ok(Outcome::Before) {
            panic!("{role} without a fault: {:?}", host.settle(seconds(1)));
        }
        host.forget();
    }
    let mut points: Vec<Point> = Vec::new();
    for point in text.lines().filter_map(Point::read) {
        // A look that a command takes again and again is one look.
        let again = |other: &Point| {
            *other == point
                || (point.looks()
                    && other.role == point.role
                    && other.what == point.what
                    && other.started() == point.started())
        };
        if !points.iter().any(again) {
            points.push(point);
        }
    }
    Calls { points, steps }
}

fn steps(host: &Host) -> Vec<(String, String)> {
    let journal = host.machine.sh("head -n 1 /var/lib/faspwall/2*/journal.jsonl");
    let begin: Value = serde_json::from_str(&journal).expect("a journal");
    let mut steps = Vec::new();
    for (phase, name) in [("trial1", "trial_1"), ("trial2", "trial_2"), ("commit", "commit")] {
        for (number, action) in begin["change"][name]
            .as_array()
            .expect("actions")
            .iter()
            .enumerate()
        {
            let say = action["say"].as_str().expect("what it says");
            steps.push((format!("{phase} {number}"), say.to_owned()));
        }
    }
    steps
}

/// Every fault at every call.
fn cases(points: &[Point]) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut stages: Vec<(&str, &str)> = Vec::new();
    for point in points {
        let stage = (point.role.as_str(), point.stage.as_str());
        let first = !stages.contains(&stage);
        stages.push(stage);
        for fault in point.faults(first) {
            cases.push(Case {
                point: point.clone(),
                fault,
            });
        }
    }
    // What happens early costs little time: four of those, then one of the others.
    let (early, late): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| case.point.role == "apply");
    let (mut early, mut late) = (spread(early).into_iter(), spread(late).into_iter());
    let mut mixed = Vec::new();
    loop {
        let some: Vec<Case> = early.by_ref().take(4).chain(late.by_ref().take(1)).collect();
        if some.is_empty() {
            return mixed;
        }
        mixed.extend(some);
    }
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

/// Meets one fault and tells of it; after a bad end the next one gets a fresh machine.
fn attack(host: &mut Host, case: &Case, turn: usize) -> Option<Verdict> {
    let began = Instant::now();
    let verdict = host.attack(case, turn);
    match &verdict {
        Some(Ok(outcome)) => {
            eprintln!("{outcome:?} {:?} {case:?}", began.elapsed());
            return verdict;
        }
        Some(Err(error)) => eprintln!("BAD {case:?}, turn {turn}:\n{error}\n"),
        None => eprintln!("not met: {case:?}"),
    }
    *host = Host::boot(host.firewall);
    verdict
}

/// What once left a host that was neither as before nor as committed, or locked everybody out: command, call, fault.
const ONCE_BAD: [(&str, &str, Fault); 9] = [
    ("recover", "remove /etc/ssh/sshd_config.d/", Fault::Broken),
    (
        "recover",
        "systemctl stop --quiet faspwall-bridge",
        Fault::KillBefore,
    ),
    ("rollback", "nft -j list ruleset", Fault::FailBefore),
    ("rollback", "nft -f -", Fault::Broken),
    ("rollback", "systemctl reload-or-restart", Fault::Broken),
    ("rollback", "write /etc/nftables.d/faspwall.nft", Fault::Broken),
    ("rollback", "remove /etc/ssh/sshd_config.d/", Fault::Broken),
    ("confirm", "systemctl stop --quiet faspwall-bridge", Fault::Broken),
    (
        "confirm",
        "systemctl stop --quiet 'faspwall-guard",
        Fault::FailBefore,
    ),
];

#[test]
fn a_part_of_all_faults_leaves_the_host_as_before_or_as_committed() {
    let mut host = Host::boot(Firewall::Nftables);
    let all = cases(&calls(&mut host).points);
    let once_bad = ONCE_BAD.map(|(role, what, fault)| {
        let it = |case: &&Case| {
            case.point.role == role && case.point.what.starts_with(what) && case.fault == fault
        };
        let found = all.iter().find(it).cloned();
        found.unwrap_or_else(|| panic!("{role}, {what}, {fault:?} is not among the cases"))
    });
    let part: Vec<Case> = once_bad.into_iter().chain(all.into_iter().take(20)).collect();
    let verdicts: Vec<Verdict> = part
        .iter()
        .enumerate()
        .filter_map(|(turn, case)| attack(&mut host, case, turn))
        .collect();
    let bad: Vec<&String> = verdicts
        .iter()
        .filter_map(|verdict| verdict.as_ref().err())
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(verdicts.len() >= 20, "only {} faults were met", verdicts.len());
}

/// Where nft holds none of the accepts, an undo without nft could take them away while the kernel still shuts the old port.
#[test]
fn an_undo_without_nft_waits_until_the_kernel_has_opened_the_old_port() {
    let mut host = Host::boot(Firewall::Ufw);
    let case = Case {
        point: Point {
            role: String::from("confirm"),
            stage: String::from("commit 0"),
            what: String::from("nft -f -"),
            number: 1,
        },
        fault: Fault::Broken,
    };
    assert_eq!(host.attack(&case, 0), Some(Ok(Outcome::Before)));
}

/// Stops the commit once that step is done, and returns the number of its process.
fn stop_commit_after(host: &Host, say: &str) -> (std::process::Child, String) {
    host.no_orders();
    for program in ["apply", "confirm"] {
        document(&host.run(program));
    }
    let all = steps(host);
    let (stage, _) = all
        .iter()
        .find(|(stage, of)| stage.starts_with("commit") && of == say)
        .unwrap_or_else(|| panic!("no step says {say:?}: {all:?}"));
    host.order(&json!({"aim": {
        "role": "confirm", "stage": stage, "what": format!("journal {stage} done"), "number": 1, "fault": "stop",
    }}));
    let child = host.begin("confirm", Fault::Stop);
    let pid = wait("the commit to stop", seconds(60), || host.mark("paused"));
    (child, pid.trim().to_owned())
}

/// A commit is stopped where sshd has left the old port, and nobody lets it go on. Once its time has run out it is ended
/// and undone, by the guard or by whoever asks for it, and at no moment is anybody locked out.
fn a_stopped_commit_is_undone(firewall: Firewall) {
    let host = Host::boot(firewall);
    for (say, by) in [
        ("turn new logins to sshd again", "the guard"),
        ("take what was only for the trial away", "rollback"),
    ] {
        let when = format!("{}, stopped after {say:?}, undone by {by}", firewall.name());
        let (mut child, pid) = stop_commit_after(&host, say);
        host.reachable().unwrap_or_else(|error| panic!("{when}: {error}"));
        if by == "rollback" {
            let early = host.run("rollback");
            assert_eq!(early.status, Some(8), "{when}: {early:?}");
            for words in [
                format!("process {pid}"),
                format!("kill -CONT {pid}"),
                String::from("faspwall rollback"),
            ] {
                assert!(early.stderr.contains(&words), "{when}: no {words:?} in {early:?}");
            }
        }
        host.order(&json!({"ahead_s": 1000}));
        std::thread::scope(|scope| {
            let undo = scope.spawn(|| {
                if by == "rollback" {
                    document(&host.run("rollback"));
                } else {
                    assert!(host.hurry_guard(), "{when}: no guard");
                    host.until_quiet();
                }
            });
            let mut samples = 0;
            while !undo.is_finished() {
                host.reachable().unwrap_or_else(|error| panic!("{when}: {error}"));
                samples += 1;
            }
            undo.join().expect("the undo");
            assert!(samples > 5, "{when}: only {samples} looks from outside");
        });
        assert_eq!(host.settle(seconds(20)), Ok(Outcome::Before), "{when}");
        host.reachable().unwrap_or_else(|error| panic!("{when}: {error}"));
        let there = host.machine.run(&[
            "sh",
            "-c",
            &format!("grep -q '^State:.[RSDT]' /proc/{pid}/status"),
        ]);
        assert!(!there.ok(), "{when}: process {pid} lives on");
        let _ = child.kill();
        let _ = child.wait();
        host.no_orders();
        host.forget();
    }
}

#[test]
fn a_stopped_commit_is_ended_and_undone_on_nftables() {
    a_stopped_commit_is_undone(Firewall::Nftables);
}

#[test]
fn a_stopped_commit_is_ended_and_undone_on_iptables() {
    a_stopped_commit_is_undone(Firewall::IptablesLegacy);
}

#[test]
fn a_stopped_commit_is_ended_and_undone_on_firewalld() {
    a_stopped_commit_is_undone(Firewall::Firewalld);
}

/// Every fault at every call that was not met before.
fn all_of(firewall: Firewall) {
    let minutes = std::env::var("FASPWALL_FAULT_MINUTES").ok();
    let minutes = minutes.and_then(|text| text.parse().ok()).unwrap_or(24 * 60);
    let book = Book::open(firewall);
    let mut host = Host::boot(firewall);
    let calls = calls(&mut host);
    book.keep_steps(&calls.steps);
    // Several attacks may run beside each other, each from another place on.
    let mut rest = cases(&calls.points);
    let length = rest.len();
    eprintln!("{}: {length} cases", firewall.name());
    rest.rotate_left(usize::try_from(std::process::id()).unwrap_or_default() * 101 % length);
    let end = Instant::now() + seconds(60 * minutes);
    let mut bad = Vec::new();
    for (turn, case) in rest.iter().enumerate() {
        if Instant::now() > end {
            break;
        }
        if !book.knows(case)
            && let Some(verdict) = attack(&mut host, case, turn)
        {
            book.note(case, &verdict);
            bad.extend(verdict.err());
        }
    }
    assert!(
        bad.is_empty(),
        "{} faults ended badly:\n{}",
        bad.len(),
        bad.join("\n")
    );
}

#[test]
#[ignore = "hours: the whole attack"]
fn all_of_nftables() {
    all_of(Firewall::Nftables);
}

#[test]
#[ignore = "hours: the whole attack"]
fn all_of_iptables_nft() {
    all_of(Firewall::IptablesNft);
}

#[test]
#[ignore = "hours: the whole attack"]
fn all_of_iptables_legacy() {
    all_of(Firewall::IptablesLegacy);
}

#[test]
#[ignore = "hours: the whole attack"]
fn all_of_ufw() {
    all_of(Firewall::Ufw);
}

#[test]
#[ignore = "hours: the whole attack"]
fn all_of_firewalld() {
    all_of(Firewall::Firewalld);
}

#[test]
#[ignore = "after the whole attack"]
fn the_table_is_written() {
    let text = table::table();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/RESULTS.md");
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("tests/faults");
    std::fs::write(path, &text).expect("the table");
    println!("{text}");
}
