//! Faults in the middle of a move: a clear error, the right exit status, the host as before.

use super::{
    Family, Machine, Ran, Suite, apply, assert_as_before, assert_open, code, confirm, document, fingerprint,
    ruleset, server, status,
};

/// Where the real program waits while a test's own stands in its place. Its name stays: others know it by that.
pub const REAL: &str = "/usr/libexec/real";

/// Replaces a program by one that fails on purpose.
pub struct Fault<'m> {
    machine: &'m Machine,
    program: &'static str,
}

impl<'m> Fault<'m> {
    /// Calls whose arguments match the shell pattern are counted; `width` of them fail, from that number on.
    fn new(machine: &'m Machine, program: &'static str, pattern: &str, at: u32, width: u32) -> Self {
        machine.put("/run/fault.count", "0\n", 0o644);
        let last = at.saturating_add(width - 1);
        let body = format!(
            "case \"$*\" in\n{pattern})\n\tn=$(($(cat /run/fault.count) + 1))\n\techo $n >/run/fault.count\n\
             \tif [ $n -ge {at} ] && [ $n -le {last} ]; then\n\t\techo 'broken on purpose' >&2\n\t\texit 1\n\tfi\n\
             \t;;\nesac\n"
        );
        Self::script(machine, program, &body)
    }

    /// Runs this piece of shell before the real program.
    pub fn script(machine: &'m Machine, program: &'static str, body: &str) -> Self {
        machine.sh(&format!("mkdir -p {REAL}; mv {program} {REAL}/"));
        let name = program.rsplit('/').next().expect("a name");
        machine.put(
            program,
            // Under the name it was called by: sshd starts itself anew by that.
            format!("#!/bin/bash\n{body}exec -a \"$0\" {REAL}/{name} \"$@\"\n"),
            0o755,
        );
        Self { machine, program }
    }

    /// Leaves it as it is, for a machine that loses its power now.
    pub fn stay(self) {
        std::mem::forget(self);
    }

    /// How many calls were counted.
    pub fn calls(&self) -> u32 {
        let count = self.machine.get("/run/fault.count").expect("a count");
        count.trim().parse().expect("a number")
    }
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        let name = self.program.rsplit('/').next().expect("a name");
        self.machine.run(&["mv", &format!("{REAL}/{name}"), self.program]);
    }
}

/// Walks the whole move; the first call that fails ends it.
pub fn walk(machine: &Machine) -> Ran {
    // The faults are meant for the host, not for its copy.
    let order = "faspwall apply -f /root/answers.toml --confirm-within 60s --no-rehearsal --json";
    let ran = machine.ssh(22, Family::V4, order);
    if !ran.ok() {
        return ran;
    }
    let code = code(&document(&ran));
    let ran = confirm(machine, 33001, &code);
    if !ran.ok() {
        return ran;
    }
    confirm(machine, 33001, &code)
}

/// Takes a committed move back at a local console.
pub fn go_back(machine: &Machine) {
    document(&machine.run(&["faspwall", "rollback", "--json"]));
    for _ in 0..2 {
        document(&machine.run(&["faspwall", "confirm", "keep", "--json"]));
    }
}

/// Lets one call after the other fail until the move succeeds without meeting the fault; returns how many calls were
/// made to fail.
fn fail_at_every_call(
    machine: &Machine,
    program: &'static str,
    pattern: &str,
    width: u32,
    wanted: &[i32],
) -> u32 {
    let before = fingerprint(machine);
    let mut number = 1;
    loop {
        let fault = Fault::new(machine, program, pattern, number, width);
        let ran = walk(machine);
        let met = fault.calls() >= number;
        drop(fault);
        if ran.ok() {
            assert!(!status(machine)["applied"].is_null());
            go_back(machine);
        } else {
            eprintln!("{program} call {number}: {:?} {}", ran.status, ran.stderr);
            // What systemd runs itself complains into the journal, and systemd says so.
            let told = ["broken on purpose", "Job for ssh.service failed"];
            assert!(
                told.iter().any(|words| ran.stderr.contains(words)),
                "call {number}: {ran:?}"
            );
            assert!(
                ran.status.is_some_and(|s| wanted.contains(&s)),
                "call {number}: {ran:?}"
            );
        }
        assert_as_before(machine, &before, &format!("after call {number}: {ran:?}"));
        if !met {
            return number - 1;
        }
        number += 1;
    }
}

#[test]
fn nft_failing_at_any_change_leaves_the_host_as_before() {
    let machine = server(Suite::Bookworm);
    // A batch that deletes by handle is tried three times, because handles change under it.
    let calls = fail_at_every_call(&machine, "/usr/sbin/nft", "'-f -'", 3, &[6]);
    assert!(calls >= 6, "only {calls} calls of nft were seen");
}

#[test]
fn nft_failing_at_any_look_leaves_the_host_as_before() {
    let machine = server(Suite::Bookworm);
    let calls = fail_at_every_call(&machine, "/usr/sbin/nft", "*list*|'-c -f -'", 1, &[5, 6, 9]);
    assert!(calls >= 6, "only {calls} calls of nft were seen");
}

#[test]
fn sshd_refusing_a_configuration_leaves_the_host_as_before() {
    let machine = server(Suite::Bookworm);
    let calls = fail_at_every_call(&machine, "/usr/sbin/sshd", "-t*|-T*", 1, &[6, 9]);
    assert!(calls >= 3, "only {calls} calls of sshd were seen");
}

#[test]
fn systemd_refusing_any_order_leaves_the_host_as_before() {
    let machine = server(Suite::Bookworm);
    let calls = fail_at_every_call(&machine, "/usr/bin/systemd-run", "*", 1, &[6]);
    assert!(calls >= 5, "only {calls} calls of systemd-run were seen");
    let calls = fail_at_every_call(
        &machine,
        "/usr/bin/systemctl",
        "reload*|enable*|is-active*",
        1,
        &[6],
    );
    assert!(calls >= 3, "only {calls} calls of systemctl were seen");
}

#[test]
fn an_sshd_that_ends_instead_of_reading_its_new_configuration_is_started_again_as_before() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let body = "if [ \"$1\" = reload ] && ! [ -e /run/ended ]; then touch /run/ended; exec /usr/libexec/real/systemctl stop ssh; fi\n";
    let fault = Fault::script(&machine, "/usr/bin/systemctl", body);
    let ran = walk(&machine);
    drop(fault);
    assert_eq!(ran.status, Some(6), "{ran:?}");
    assert!(
        ran.stderr
            .contains("sshd did not come to listen within 8 s on TCP/33001"),
        "{ran:?}"
    );
    assert_as_before(&machine, &before, "after the undo");
    assert_open(&machine, &[22]);
}

#[test]
fn an_undo_that_could_not_be_completed_is_told_and_can_be_tried_again() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let fault = Fault::new(&machine, "/usr/sbin/nft", "'-f -'", 3, 1_000_000);
    let ran = walk(&machine);
    assert_eq!(ran.status, Some(7), "{ran:?}");
    assert!(
        ran.stderr.contains("faspwall rollback 20"),
        "what to type: {ran:?}"
    );
    let id = status(&machine)["interrupted"].clone();
    assert!(id.is_string(), "{id}");
    let again = machine.run(&["faspwall", "rollback"]);
    assert_eq!(again.status, Some(7), "{again:?}");
    drop(fault);
    let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
    assert_eq!(undone["transaction"], id);
    assert_eq!(undone["restored"], "equal", "{undone}");
    assert_as_before(&machine, &before, "after the second undo");
    assert!(status(&machine)["interrupted"].is_null());
}

#[test]
fn without_nft_nothing_is_begun() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    machine.sh("mv /usr/sbin/nft /root/nft");
    let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml --json");
    machine.sh("mv /root/nft /usr/sbin/nft");
    assert_eq!(ran.status, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("nft"), "{ran:?}");
    assert_as_before(&machine, &before, "after the undo");
}

#[test]
fn of_two_applies_at_once_one_wins_and_the_other_says_so() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let order = [
        "faspwall",
        "apply",
        "-f",
        "/root/answers.toml",
        "--confirm-within",
        "60s",
        "--json",
    ];
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| machine.run(&order));
        let other = scope.spawn(|| machine.run(&order));
        (one.join().expect("no panic"), other.join().expect("no panic"))
    });
    let (winner, loser) = if one.ok() { (one, other) } else { (other, one) };
    let trial = document(&winner);
    assert_eq!(loser.status, Some(8), "{loser:?}");
    assert!(loser.stderr.contains("Nothing"), "{loser:?}");
    assert_open(&machine, &[22, 33001]);
    let third = machine.run(&order);
    assert_eq!(third.status, Some(8), "{third:?}");
    let id = trial["transaction"].as_str().expect("an id");
    assert!(
        third.stderr.contains(id) && third.stderr.contains("faspwall rollback"),
        "{third:?}"
    );
    let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
    assert_eq!(undone["transaction"], trial["transaction"]);
    assert_as_before(&machine, &before, "after the undo");
}

#[test]
fn a_lock_file_that_somebody_left_behind_is_in_nobodys_way() {
    let machine = server(Suite::Bookworm);
    machine.put("/var/lib/faspwall/lock", "4711\n", 0o644);
    let trial = apply(&machine, 60);
    assert_eq!(trial["trial"], 1);
    document(&machine.run(&["faspwall", "rollback", "--json"]));
}

#[test]
fn a_ruleset_that_changes_between_preview_and_apply_is_not_touched() {
    let machine = server(Suite::Bookworm);
    // Somebody adds a rule while the second look, that of the apply, is on its way.
    let body = "if [ \"$*\" = '-j list ruleset' ]; then\n\tn=$(($(cat /run/looks) + 1))\n\techo $n >/run/looks\n\
                \tif [ $n = 2 ]; then /usr/libexec/real/nft add rule inet filter input tcp dport 7070 accept; fi\nfi\n";
    machine.put("/run/looks", "0\n", 0o644);
    let fault = Fault::script(&machine, "/usr/sbin/nft", body);
    let ran = machine.ssh(
        22,
        Family::V4,
        "faspwall apply -f /root/answers.toml --no-rehearsal --json",
    );
    drop(fault);
    assert_eq!(ran.status, Some(9), "{ran:?}");
    assert!(ran.stderr.contains("changed by somebody else"), "{ran:?}");
    let rules = ruleset(&machine);
    assert!(
        rules.contains("tcp dport 7070 accept") && !rules.contains("faspwall"),
        "{rules}"
    );
    assert_open(&machine, &[22]);
}

#[test]
fn a_port_that_another_program_uses_is_left_to_it() {
    let machine = server(Suite::Bookworm);
    machine.put("/root/squat.py", SQUATTER, 0o644);
    let mut before = String::new();
    for address in ["::", "10.0.0.1", "127.0.0.1"] {
        machine.sh("ip address replace 10.0.0.1/32 dev lo");
        machine.sh(&format!(
            "systemd-run -q --unit=squatter --collect python3 /root/squat.py {address}; \
             until ss -Hltn | grep -q ':33001 '; do sleep 0.02; done"
        ));
        before = fingerprint(&machine);
        let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml --json");
        assert_eq!(ran.status, Some(9), "{address}: {ran:?}");
        assert!(
            ran.stderr.contains("TCP/33001 is already used by python3"),
            "{address}: {ran:?}"
        );
        assert_as_before(&machine, &before, address);
        machine.sh("systemctl stop squatter; while ss -Hltn | grep -q ':33001 '; do sleep 0.02; done");
    }
    // It comes after the preview was made, just before the trial's sshd.
    let body = "case \"$*\" in *faspwall-door*)\n\t/usr/libexec/real/systemd-run -q --unit=squatter --collect \
                python3 /root/squat.py ::\n\tuntil ss -Hltn | grep -q ':33001 '; do sleep 0.02; done;;\nesac\n";
    let fault = Fault::script(&machine, "/usr/bin/systemd-run", body);
    let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml --json");
    drop(fault);
    assert_eq!(ran.status, Some(6), "{ran:?}");
    assert!(ran.stderr.contains("the port is held by python3"), "{ran:?}");
    assert_eq!(
        fingerprint(&machine).replace("*:33001\n", ""),
        before.replace("127.0.0.1:33001\n", "")
    );
}

/// Listens on TCP/33001 of an address and says nothing.
const SQUATTER: &str = "import socket, sys, time\n\
    family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n\
    s = socket.socket(family)\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
    s.bind((sys.argv[1], 33001))\ns.listen()\ntime.sleep(600)\n";
