//! Two people act at the same moment: one of them comes first, the other one is told, and the host is in one state.

use std::process::{Child, Stdio};

use super::super::{
    Family, Login, Machine, Suite, apply, assert_as_before, assert_open, code, fingerprint, server, status,
};
use crate::boxes::{Console, Ran, Seat, seconds, wait};
use crate::lab::wizard::{fill, to_the_trial};

/// Holds faspwall's lock until it is let go: whoever comes meanwhile waits there with all the others.
struct Gate(Child);

impl Gate {
    fn shut(machine: &Machine) -> Self {
        let hold = [
            "flock",
            "/run/faspwall/lock",
            "sh",
            "-c",
            "touch /run/held; read go",
        ];
        let holder = machine.command(&hold).stdin(Stdio::piped()).spawn();
        let gate = Self(holder.expect("nsenter starts"));
        wait("the lock to be held", seconds(10), || machine.get("/run/held"));
        machine.ok(&["rm", "/run/held"]);
        gate
    }

    /// Waits until so many of ours stand before it, and opens it.
    fn open(mut self, machine: &Machine, number: usize) {
        wait("all of them to come", seconds(10), || {
            let found = machine.run(&["pgrep", "-fc", "^faspwall (confirm|rollback)"]);
            (found.stdout.trim() == number.to_string()).then_some(())
        });
        drop(self.0.stdin.take());
        self.0.wait().expect("it ends");
    }
}

/// A login that waits for a word, and then runs the command.
fn ready(machine: &Machine, port: u16, command: &str) -> Login {
    Login::start(
        machine,
        port,
        &format!("read go; {command} 2>&1; echo status $?; cat"),
    )
}

/// What these logins say when all of them begin at once: `status` is last.
fn at_once<const N: usize>(machine: &Machine, mut logins: [Login; N]) -> [String; N] {
    let gate = Gate::shut(machine);
    logins.iter_mut().for_each(|login| login.say("go"));
    gate.open(machine, N);
    logins.each_mut().map(|login| login.hear_until("status "))
}

/// Exactly one has done it; the other one was refused for that reason.
fn assert_one_of_two(said: [String; 2], words: &str) {
    let done = |text: &&String| text.ends_with("status 0");
    assert_eq!(said.iter().filter(done).count(), 1, "{said:?}");
    let refused = said.iter().find(|text| !done(text)).expect("the other one");
    assert!(
        refused.contains(words) && refused.ends_with("status 9"),
        "{words:?} is not told: {refused}"
    );
}

#[test]
fn of_two_codes_that_are_typed_at_once_one_counts_for_each_trial() {
    let machine = server(Suite::Bookworm);
    let mut first = Login::open(&machine, 22);
    let confirm = format!("faspwall confirm {}", code(&apply(&machine, 240)));
    let two = || [0, 1].map(|_| ready(&machine, 33001, &confirm));
    assert_one_of_two(at_once(&machine, two()), "older than the trial");
    assert_eq!(status(&machine)["open"]["trial"], 2);
    assert_open(&machine, &[33001]);
    assert_one_of_two(at_once(&machine, two()), "is already permanent");
    let now = status(&machine);
    assert!(now["open"].is_null() && now["applied"].is_string(), "{now}");
    assert_eq!(now["drift"], serde_json::json!([]), "{now}");
    assert_open(&machine, &[33001]);
    assert!(machine.ssh(33001, Family::V6, "true").ok());
    first.assert_alive("after it all");
}

/// No login tells for which trial the word is meant: whoever typed it has not seen the one that the other has begun.
#[test]
fn of_two_words_keep_that_are_typed_at_once_one_counts_for_each_trial() {
    let machine = server(Suite::Bookworm);
    apply(&machine, 240);
    for (words, state) in [
        ("before trial 2", "awaiting-confirmation"),
        ("is already permanent", "committed"),
    ] {
        let gate = Gate::shut(&machine);
        let two = [0, 1].map(|_| {
            let mut command = machine.command(&["faspwall", "confirm", "keep", "--json"]);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            child.expect("nsenter starts")
        });
        gate.open(&machine, 2);
        let ended = two.map(|child| Ran::from(child.wait_with_output().expect("it ends")));
        let told = ended.map(|ran| {
            assert_eq!(ran.ok(), ran.stdout.contains(state), "{ran:?}");
            format!("{}status {}", ran.stderr, ran.status.unwrap_or(255))
        });
        assert_one_of_two(told, words);
    }
    assert_open(&machine, &[33001]);
}

#[test]
fn of_two_changes_that_are_begun_at_once_one_is_live() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let order = "faspwall apply -f /root/answers.toml --confirm-within 120s";
    // Whoever begins a change does not stand before the lock for long.
    let mut two = [0, 1].map(|_| ready(&machine, 22, order));
    two.iter_mut().for_each(|login| login.say("go"));
    let said = two.each_mut().map(|login| login.hear_until("status "));
    let (live, other): (Vec<&String>, Vec<&String>) =
        said.iter().partition(|text| text.ends_with("status 0"));
    assert_eq!(live.len(), 1, "{said:?}");
    let now = status(&machine);
    let name = now["open"]["txn"].as_str().expect("a name");
    let told = other[0].contains(name) || other[0].contains("another faspwall is changing this host");
    assert!(told && other[0].ends_with("status 8"), "{said:?}");
    assert_open(&machine, &[22, 33001]);
    assert!(machine.ssh(22, Family::V4, "faspwall rollback").ok());
    assert_as_before(&machine, &before, "after the undo");
}

/// The wizard shows trial 1 while somebody else begins trial 2; and what it is doing when another one takes its time.
#[test]
fn a_word_in_the_wizard_counts_for_the_trial_on_its_page_and_waits_for_others() {
    let machine = server(Suite::Trixie);
    let console = Console::start(&machine, "faspwall");
    to_the_trial(&console);
    let gate = Gate::shut(&machine);
    fill(&console, "keep");
    let screen = console.wait_for("another faspwall is changing this host", seconds(20));
    assert!(screen.contains("TRIAL 1"), "{screen}");
    gate.open(&machine, 0);
    let gate = Gate::shut(&machine);
    let mut other = machine.command(&["faspwall", "confirm", "keep"]);
    let other = other.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    fill(&console, "keep");
    gate.open(&machine, 1);
    let other = other.expect("nsenter starts").wait_with_output();
    let other = Ran::from(other.expect("it ends"));
    assert!(other.ok() || other.stderr.contains("before trial 2"), "{other:?}");
    console.wait_for("TRIAL 2", seconds(20));
    assert_eq!(status(&machine)["open"]["trial"], 2);
    fill(&console, "keep");
    console.wait_for("KEPT", seconds(30));
    assert_open(&machine, &[33001]);
}

#[test]
fn a_confirmation_and_an_undo_at_once_leave_the_new_state_or_the_old_one() {
    let machine = server(Suite::Trixie);
    let before = fingerprint(&machine);
    for trial in [1, 2, 2] {
        let confirm = format!("faspwall confirm {}", code(&apply(&machine, 240)));
        if trial == 2 {
            assert!(machine.ssh(33001, Family::V4, &confirm).ok());
        }
        let undoing = if trial == 1 { 22 } else { 33001 };
        let pair = [(33001, confirm.as_str()), (undoing, "faspwall rollback")];
        let [confirmed, undone] = at_once(
            &machine,
            pair.map(|(port, command)| ready(&machine, port, command)),
        );
        let now = status(&machine);
        assert!(
            now["open"].is_null() && now["interrupted"].is_null(),
            "{now}\n{confirmed}\n{undone}"
        );
        if now["applied"].is_null() {
            assert!(undone.ends_with("status 0"), "{undone}");
            // Trial 2 may have begun before it was undone.
            let told = confirmed.contains("was undone") && confirmed.ends_with("status 9");
            assert!(
                told || trial == 1 && confirmed.ends_with("status 0"),
                "{confirmed}"
            );
            assert_open(&machine, &[22]);
            assert_as_before(&machine, &before, "after the undo");
        } else {
            assert_eq!(trial, 2, "kept in trial 1: {confirmed}\n{undone}");
            assert!(confirmed.ends_with("status 0"), "{confirmed}");
            let told = undone.contains("is permanent now") && undone.contains("faspwall rollback");
            assert!(told && undone.ends_with("status 9"), "{undone}");
            assert_open(&machine, &[33001]);
            break;
        }
    }
}
