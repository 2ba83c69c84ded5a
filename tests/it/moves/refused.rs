//! Confirmations that prove nothing: refused with the reason, nothing changed, the countdown goes on.

use serde_json::Value;

use super::{
    Family, Login, Machine, Ran, Suite, apply, assert_as_before, assert_open, code, confirm, document,
    fingerprint, ruleset, server, status, until_over,
};

/// Refused with that status and a reason that holds the words.
fn assert_refused(ran: &Ran, status: i32, words: &str) {
    assert_eq!(ran.status, Some(status), "{ran:?}");
    assert!(ran.stderr.contains(words), "{words:?} is not the reason: {ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
}

/// What must not change by a refusal.
fn picture(machine: &Machine) -> (String, Value) {
    let open = status(machine)["open"].clone();
    (ruleset(machine), serde_json::json!([open["txn"], open["trial"]]))
}

#[test]
fn a_confirmation_that_proves_nothing_is_refused_with_the_reason_and_changes_nothing() {
    let machine = server(Suite::Bookworm);
    machine.sh("useradd -m -s /bin/bash visitor && mkdir -p /home/visitor/.ssh \
         && cp /root/.ssh/authorized_keys /home/visitor/.ssh/ && chown -R visitor: /home/visitor/.ssh");
    let mut old = Login::open(&machine, 22);
    let trial = apply(&machine, 120);
    let right = code(&trial);
    let wrong = if right == "123456" { "654321" } else { "123456" };
    let before = picture(&machine);

    let over_22 = confirm(&machine, 22, &right);
    assert_refused(&over_22, 9, "connected over TCP/22");
    assert!(
        over_22.stderr.contains("ssh -p 33001"),
        "what to do instead: {over_22:?}"
    );
    assert_refused(&confirm(&machine, 33001, wrong), 9, "not the code");
    let visitor = machine.ssh_as("visitor", 33001, Family::V4, &format!("faspwall confirm {right}"));
    assert_refused(&visitor, 4, "needs root");
    let local = machine.run(&["faspwall", "confirm", &right]);
    assert_refused(&local, 9, "local console");
    assert!(local.stderr.contains("faspwall confirm keep"), "{local:?}");
    assert_eq!(picture(&machine), before);
    assert_open(&machine, &[22, 33001]);

    // A login on the door from trial 1 says nothing about trial 2.
    let mut early = Login::start(
        &machine,
        33001,
        "read word; faspwall confirm $word 2>&1; echo status $?; cat",
    );
    let trial = document(&confirm(&machine, 33001, &right));
    assert_eq!(trial["trial"], 2, "{trial}");
    let before = picture(&machine);
    early.say(&right);
    let said = early.hear_until("status ");
    assert!(said.ends_with("status 9"), "{said}");
    assert!(
        said.contains("older than the trial") && said.contains("ssh -o ControlPath=none -p 33001"),
        "{said}"
    );
    assert_eq!(picture(&machine), before);
    assert_open(&machine, &[33001]);
    old.assert_alive("after all refusals");
    let done = document(&confirm(&machine, 33001, &right));
    assert_eq!(done["state"], "committed", "{done}");
}

#[test]
fn the_word_keep_is_taken_at_a_local_console_only() {
    let machine = server(Suite::Bookworm);
    // A directory that others may look into is taken back before anything is kept there.
    machine.sh("mkdir -p /var/lib/faspwall && chmod 755 /var/lib/faspwall");
    let trial = apply(&machine, 120);
    let loose =
        "find /var/lib/faspwall ! -type l \\( -type d ! -perm 700 -o -type f ! -perm 600 -o ! -user root \\)";
    assert_eq!(machine.sh(loose).trim(), "", "what others can read");
    let before = picture(&machine);
    let remote = confirm(&machine, 22, "keep");
    assert_eq!(remote.status, Some(9), "{remote:?}");
    // Codes cannot be tried one after the other: after five wrong ones not even the right one counts.
    let right = code(&trial);
    let wrong = if right == "123456" { "654321" } else { "123456" };
    for _ in 0..5 {
        assert_refused(&machine.run(&["faspwall", "confirm", wrong]), 9, "not the code");
    }
    assert_refused(&confirm(&machine, 33001, &right), 9, "no code counts");
    assert_eq!(picture(&machine), before);
    for state in ["awaiting-confirmation", "committed"] {
        let kept = document(&machine.run(&["faspwall", "confirm", "keep", "--json"]));
        assert_eq!(kept["state"], state, "{kept}");
    }
    assert_eq!(status(&machine)["applied"], trial["transaction"]);
    assert_open(&machine, &[33001]);
}

#[test]
fn what_a_login_has_left_behind_keeps_nothing() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    // As a shell of dtach or zellij, or a task of Ansible's: nobody can tell who is at its other end.
    let left = |words: &str| {
        let all = format!(
            "{words} </dev/null >/root/said 2>&1; echo status $? >>/root/said; mv /root/said /root/told"
        );
        machine.put("/root/left.sh", format!("sleep 0.5; {all}"), 0o600);
        let away = "env -i PATH=$PATH setsid -f sh /root/left.sh </dev/null >/dev/null 2>&1";
        assert!(machine.ssh(22, Family::V4, away).ok());
        let told = super::wait("the end of what was left behind", super::seconds(30), || {
            machine.get("/root/told")
        });
        machine.ok(&["rm", "/root/told"]);
        told
    };
    let said = left("faspwall apply -f /root/answers.toml --no-confirm --no-rehearsal");
    assert!(
        said.contains("--accept lockout-risk") && said.ends_with("status 9\n"),
        "{said}"
    );
    assert_as_before(&machine, &before, "after the refusal");
    let trial = apply(&machine, 120);
    let before = picture(&machine);
    for word in ["keep", &code(&trial)] {
        let said = left(&format!("faspwall confirm {word}"));
        assert!(
            said.contains("is not known") && said.contains("ssh -p 33001") && said.ends_with("status 9\n"),
            "{word}: {said}"
        );
    }
    assert_eq!(picture(&machine), before);
}

/// The guard has no sudo's environment: what it would not rely on must not be relied on when the change begins.
#[test]
fn a_state_directory_below_the_home_of_whoever_uses_sudo_is_refused() {
    let machine = server(Suite::Bookworm);
    machine.sh("useradd -m -s /bin/bash joe && echo 'joe ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/joe");
    let before = fingerprint(&machine);
    let apply_it = "sudo -n faspwall --state-dir /home/joe/kept apply -f /root/answers.toml --json";
    let ran = machine.run(&["runuser", "-u", "joe", "--", "sh", "-c", apply_it]);
    assert_eq!(ran.status, Some(9), "{ran:?}");
    assert!(
        ran.stderr.contains("/home/joe belongs to user") && ran.stderr.contains("Leave --state-dir out"),
        "{ran:?}"
    );
    assert_as_before(&machine, &before, "after the refusal");
}

#[test]
fn a_confirmation_after_the_deadline_is_refused() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let trial = apply(&machine, 10);
    // The guard is kept from its work: the deadline counts, not who enforces it.
    machine.sh("systemctl stop 'faspwall-guard*.timer'");
    super::wait("the deadline", super::seconds(15), || {
        (!status(&machine)["interrupted"].is_null()).then_some(())
    });
    // The port is timed by the kernel too: a moment later nobody comes in through it any more.
    super::wait("33001 to be shut", super::seconds(10), || {
        let ran = confirm(&machine, 33001, &code(&trial));
        assert!(matches!(ran.status, Some(9 | 255)), "{ran:?}");
        (ran.status == Some(255)).then_some(())
    });
    let late = confirm(&machine, 22, &code(&trial));
    assert_refused(&late, 9, "too late");
    document(&machine.run(&["faspwall", "rollback", "--json"]));
    let none = confirm(&machine, 22, &code(&trial));
    assert_refused(&none, 9, "no change waits");
    assert_as_before(&machine, &before, "after the undo");
    until_over(&machine, 5);
}

#[test]
fn a_change_that_was_begun_with_another_state_directory_is_in_the_way_too() {
    let machine = server(Suite::Bookworm);
    let elsewhere = "faspwall --state-dir /var/lib/other";
    let apply_it = "apply -f /root/answers.toml --confirm-within 120s --json";
    let waiting = machine.ssh(22, Family::V4, &format!("{elsewhere} {apply_it}"));
    let trial = document(&waiting);
    let txn = trial["transaction"].as_str().expect("a name").to_owned();
    let before = picture(&machine);
    let second = machine.ssh(22, Family::V4, &format!("faspwall {apply_it}"));
    assert_eq!(second.status, Some(8), "{second:?}");
    let way_out = format!("faspwall --state-dir /var/lib/other rollback {txn}");
    assert!(second.stderr.contains(&way_out), "{second:?}");
    assert_eq!(picture(&machine), before);
    let undone = machine.ssh(22, Family::V4, &format!("{elsewhere} rollback --json"));
    assert_eq!(document(&undone)["restored"], "equal", "{undone:?}");
    // What has ended is in nobody's way.
    let trial = apply(&machine, 120);
    assert_eq!(trial["state"], "awaiting-confirmation", "{trial}");
}
