//! A commit that is stopped and never goes on: its time runs out all the same.

use serde_json::{Value, json};

use super::host::{Firewall, Host, Outcome};
use super::point::Fault;
use crate::boxes::{seconds, wait};
use crate::moves::document;

/// The steps of the open change: `commit 3`, and what it says.
fn steps(host: &Host) -> Vec<(String, String)> {
    let journal = host.machine.sh("head -n 1 /var/lib/faspwall/2*/journal.jsonl");
    let begin: Value = serde_json::from_str(&journal).expect("a journal");
    let actions = begin["change"]["commit"].as_array().expect("actions");
    let say = |action: &Value| action["say"].as_str().expect("what it says").to_owned();
    let steps = actions.iter().enumerate();
    steps
        .map(|(number, action)| (format!("commit {number}"), say(action)))
        .collect()
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
    let child = host.begin("confirm", Fault::Stop, false);
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
