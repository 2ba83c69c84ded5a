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
//! `FASPWALL_FAULT_MINUTES` ends it earlier: the cases are in an order of which any beginning meets as many steps as
//! there can be. What was found lies in `target/faults`; `faults::the_table_is_written` makes `tests/faults/RESULTS.md`
//! of it.

mod case;
mod host;
mod picture;
mod point;
mod sees;
mod stopped;
mod strike;
mod table;
mod watch;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use case::{End, LAST, LAST_AT_BOOT};
use host::{Firewall, Host, Outcome};
use point::{Case, Fault, Point, in_order};
use serde_json::json;
use table::Book;

use crate::boxes::seconds;
use crate::moves::document;

/// The calls of a clean move, those of the way back, and those of an undo by hand and by the guard and of the check at boot.
fn calls(host: &mut Host) -> Vec<Point> {
    let trace = json!({"trace": true});
    let mut text = host.trace.clone();
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
    let ours = ["apply", "close-22", "confirm", "rollback", "guard", "recover"];
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
        if ours.contains(&point.command()) && !points.iter().any(again) {
            points.push(point);
        }
    }
    points
}

/// Meets one fault and tells of it; after a bad end the next one gets a fresh machine.
fn attack(host: &mut Host, case: &Case, turn: usize) -> Option<End> {
    let end = catch_unwind(AssertUnwindSafe(|| host.attack(case, turn)));
    match &end {
        Ok(Some(end)) => match &end.verdict {
            Ok(outcome) => {
                let (took, silence) = (end.took.as_millis(), end.silence.as_millis());
                eprintln!("{outcome:?} {took} ms, silence {silence} ms, {case:?}");
                return Some(end.clone());
            }
            Err(error) => eprintln!("BAD {case:?}, turn {turn}:\n{error}\n"),
        },
        Ok(None) => eprintln!("not met: {case:?}"),
        Err(_) => eprintln!("HARNESS {case:?}, turn {turn}"),
    }
    *host = Host::boot(host.firewall);
    end.ok().flatten()
}

/// What once left a host that was neither as before nor as committed, or locked everybody out: command, call, fault.
const ONCE_BAD: [(&str, &str, Fault); 10] = [
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
        "systemctl disable --quiet faspwall-recover.service",
        Fault::FailBefore,
    ),
    (
        "confirm",
        "systemctl stop --quiet 'faspwall-guard",
        Fault::FailBefore,
    ),
];

#[test]
fn a_part_of_all_faults_leaves_the_host_as_before_or_as_committed() {
    let mut host = Host::boot(Firewall::Nftables);
    let all = in_order(&calls(&mut host), 0);
    let once_bad = ONCE_BAD.map(|(role, what, fault)| {
        let it = |case: &&Case| {
            case.point.role == role && case.point.what.starts_with(what) && case.fault == fault
        };
        let found = all.iter().find(it).cloned();
        found.unwrap_or_else(|| panic!("{role}, {what}, {fault:?} is not among the cases"))
    });
    let part = once_bad.into_iter().chain(all.into_iter().take(20)).collect();
    let mut met = 0;
    let bad = attack_all(&mut host, part, |_, end| {
        met += 1;
        assert!(end.asked > 0, "nobody asked from outside");
        true
    });
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(met >= 20, "only {met} faults were met");
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
    let end = host.attack(&case, 0).expect("a fault that is met");
    assert_eq!(end.verdict, Ok(Outcome::Before));
}

/// A socket that was stopped is started on its new port again where systemd did not hear of the old one: until the undo is
/// complete an sshd of the undo stands in, also where the service has taken the directory of sshd along.
#[test]
fn an_undo_that_systemd_does_not_hear_of_leaves_an_sshd_at_the_old_port() {
    let mut host = Host::boot(Firewall::Socket);
    let case = Case {
        point: Point {
            role: String::from("rollback"),
            stage: String::from("rolling-back"),
            what: String::from("systemctl daemon-reload"),
            number: 1,
        },
        fault: Fault::Hang,
    };
    let end = host.attack(&case, 0).expect("a fault that is met");
    assert!(end.silence < seconds(12), "{end:?}");
    assert!(host.reachable().is_ok(), "{end:?}");
}

/// How many cases of ways back follow one another: each of them mostly leaves a host that can be met by the next one.
const IN_A_ROW: usize = 8;

/// Meets these faults until there are no more or `next` says no; what ended badly.
fn attack_all(host: &mut Host, cases: Vec<Case>, mut next: impl FnMut(&Case, &End) -> bool) -> Vec<String> {
    let (mut back, mut forth): (VecDeque<Case>, VecDeque<Case>) =
        cases.into_iter().partition(|case| case.point.of_way_back());
    let (all_back, all_forth) = (back.len(), forth.len());
    let (mut bad, mut turn, mut row) = (Vec::new(), 0, 0);
    loop {
        // Both go on in step: as far as one of them is, as far is the other.
        let behind = (all_back - back.len()) * all_forth < (all_forth - forth.len()) * all_back;
        let wanted = if forth.is_empty() || (behind && row == 0) || (row > 0 && row < IN_A_ROW) {
            back.pop_front().or_else(|| forth.pop_front())
        } else {
            forth.pop_front()
        };
        let Some(case) = wanted else { return bad };
        row = if case.point.of_way_back() {
            row % IN_A_ROW + 1
        } else {
            0
        };
        if let Err(error) = host.turn_to(case.point.of_way_back()) {
            eprintln!("BAD before {case:?}:\n{error}");
            bad.push(error);
            *host = Host::boot(host.firewall);
            continue;
        }
        turn += 1;
        if let Some(end) = attack(host, &case, turn) {
            let go_on = next(&case, &end);
            bad.extend(end.verdict.err());
            if !go_on {
                return bad;
            }
        }
    }
}

/// Which of how many equal shares is asked for: `FASPWALL_FAULT_SHARE=0/2`, where two attacks run beside each other.
fn share() -> (usize, usize) {
    let text = std::env::var("FASPWALL_FAULT_SHARE").unwrap_or_else(|_| String::from("0/1"));
    let (share, of) = text.split_once('/').expect("a share such as 0/2");
    (share.parse().expect("a number"), of.parse().expect("a number"))
}

/// Every fault at every call that was not met before.
fn all_of(firewall: Firewall) {
    let minutes = std::env::var("FASPWALL_FAULT_MINUTES").ok();
    let minutes = minutes.and_then(|text| text.parse().ok()).unwrap_or(24 * 60);
    let end = Instant::now() + seconds(60 * minutes);
    let book = Book::open(firewall);
    let mut host = Host::boot(firewall);
    let points = calls(&mut host);
    let offset = table::ALL.iter().position(|other| *other == firewall);
    let all = in_order(&points, offset.unwrap_or_default());
    book.keep(&host.steps, &all);
    let known = book.rows();
    let (share, of) = share();
    let rest: Vec<Case> = all
        .into_iter()
        .filter(|case| !known.iter().any(|row| row.good() && row.is_of(case)))
        .skip(share)
        .step_by(of)
        .collect();
    eprintln!("{}: {} cases", firewall.name(), rest.len());
    let bad = attack_all(&mut host, rest, |case, result| {
        book.note(case, result);
        Instant::now() < end
    });
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
#[ignore = "hours: the whole attack"]
fn all_of_a_socket_on_debian_13() {
    all_of(Firewall::Socket);
}

#[test]
#[ignore = "hours: the whole attack"]
fn all_of_close_22() {
    all_of(Firewall::Close22);
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
