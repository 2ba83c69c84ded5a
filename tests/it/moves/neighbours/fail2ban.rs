//! fail2ban as Debian packages it: what it watches after the move, after an undo, and when it does not run. Debian 12 bans
//! with iptables, Debian 13 with nftables; here both stand beside native rules.

use std::collections::BTreeMap;

use super::super::hosts::finish;
use super::super::killed::killer;
use super::super::{
    Family, Machine, Protocol, RULES, Suite, apply, assert_as_before, assert_open, code, confirm, document,
    fingerprint, ruleset, seconds, server, until_over, wait,
};

/// Banned before the move, and after it. They become addresses of the test's end of the cable.
const EARLY: &str = "192.0.2.6";
const LATE: &str = "192.0.2.7";
/// Never banned.
const STRANGER: &str = "192.0.2.8";

/// A server beside whose rules nobody bans yet; fail2ban is installed and not started.
fn with_fail2ban_at_rest(suite: Suite) -> Machine {
    let machine = server(suite);
    let (before, rest) = RULES.split_once("table inet f2b-table").expect("a table of bans");
    let (_, after) = rest.split_once("table ip containers").expect("the next table");
    let rules = format!("{before}table ip containers{after}");
    machine.put("/etc/nftables.conf", rules, 0o755);
    machine.ok(&["systemctl", "restart", "nftables"]);
    // Without the log that rsyslog would write, the jail of Debian 12 does not start.
    machine.put("/var/log/auth.log", "", 0o640);
    machine
}

/// The same with fail2ban at work.
fn guarded(suite: Suite) -> Machine {
    let machine = with_fail2ban_at_rest(suite);
    start(&machine);
    machine
}

fn start(machine: &Machine) {
    machine.ok(&["systemctl", "start", "fail2ban"]);
    wait("the sshd jail", seconds(20), || {
        let asked = machine.run(&["fail2ban-client", "status", "sshd"]);
        asked.ok().then_some(())
    });
}

fn ban(machine: &Machine, whom: &str) {
    machine.ok(&["fail2ban-client", "set", "sshd", "banip", whom]);
}

/// What a packet from that address to each of the two ports meets.
fn met_by(machine: &Machine, from: &str) -> BTreeMap<u16, String> {
    machine.verdicts(Protocol::Tcp, &[22, 33001].into(), from)
}

/// Waits until packets from that address meet this on the two ports: fail2ban bans in a thread of its own.
fn assert_met(machine: &Machine, from: &str, on_22: &str, on_33001: &str, when: &str) {
    let wanted = BTreeMap::from([(22, on_22.to_owned()), (33001, on_33001.to_owned())]);
    let start = std::time::Instant::now();
    loop {
        let met = met_by(machine, from);
        if met == wanted {
            return;
        }
        let rules = machine.ok(&["nft", "list", "ruleset"]);
        assert!(start.elapsed() < seconds(10), "{from}, {when}: {met:?}\n{rules}");
    }
}

/// Waits until its rule in the kernel is about these ports. Packets cannot tell where another chain drops them first.
fn assert_watched(machine: &Machine, wanted: &str, when: &str) {
    let jail = |line: &&str| line.contains("@addr-set-sshd") || line.contains("jump f2b-sshd");
    let start = std::time::Instant::now();
    loop {
        let rules = ruleset(machine);
        let about = format!(" dport {wanted} ");
        if rules.lines().find(jail).is_some_and(|line| line.contains(&about)) {
            return;
        }
        assert!(start.elapsed() < seconds(10), "{wanted}, {when}:\n{rules}");
    }
}

/// Who is banned, in order.
fn banned(machine: &Machine) -> Vec<String> {
    let told = machine.ok(&["fail2ban-client", "get", "sshd", "banip"]);
    let mut all: Vec<String> = told.split_whitespace().map(str::to_owned).collect();
    all.sort();
    all
}

/// The lines of its files for single jails, and a sum over all of its configuration.
fn files(machine: &Machine) -> String {
    machine.sh("cd /etc/fail2ban; grep -r '' jail.d; find . -type f | sort | xargs sha256sum | sha256sum")
}

/// How often it has read the jail again since it was started.
fn reloads(machine: &Machine) -> usize {
    let log = machine.get("/var/log/fail2ban.log").unwrap_or_default();
    log.matches("Reload jail sshd").count()
}

fn moved(machine: &Machine) {
    let trial = apply(machine, 120);
    finish(machine, 33001, trial);
}

fn back(machine: &Machine) {
    let trial = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    finish(machine, 22, trial);
}

/// The advice of that code in a plan, from a login on that port.
fn advice(machine: &Machine, port: u16, code: &str) -> Option<serde_json::Value> {
    let ran = machine.ssh(port, Family::V4, "faspwall plan -f /root/answers.toml --json");
    let plan: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let all = plan["advice"].as_array().expect("a list").clone();
    all.into_iter().find(|advice| advice["code"] == code)
}

/// There and back: bans cover the port that sshd has, and nobody is let off by the move.
fn bans_follow_sshd(suite: Suite) {
    let machine = guarded(suite);
    let at_first = files(&machine);
    // Before anybody is banned fail2ban has no rule by which it could be seen.
    let told = advice(&machine, 22, "FW011").expect("what becomes of the jail");
    assert_eq!(told["severity"], "note", "{told}");
    ban(&machine, EARLY);
    assert_met(&machine, EARLY, "reject", "drop", "before the move");
    assert_met(&machine, STRANGER, "accept", "drop", "before the move");

    moved(&machine);
    let told = advice(&machine, 33001, "FW011");
    assert!(told.is_none(), "it watches the port already: {told:?}");
    let watched = machine.get("/etc/fail2ban/jail.d/zz-faspwall.local");
    assert!(
        watched
            .as_deref()
            .is_some_and(|text| text.ends_with("[sshd]\nport = ssh,33001\n")),
        "{watched:?}"
    );
    assert_met(&machine, EARLY, "drop", "reject", "banned before the move");
    ban(&machine, LATE);
    assert_met(&machine, LATE, "drop", "reject", "banned after the move");
    assert_met(&machine, STRANGER, "drop", "accept", "after the move");

    back(&machine);
    assert_eq!(files(&machine), at_first, "after the way back");
    assert_eq!(banned(&machine), [EARLY, LATE]);
    for whom in [EARLY, LATE] {
        assert_met(&machine, whom, "reject", "drop", "after the way back");
    }
    assert_met(&machine, STRANGER, "accept", "drop", "after the way back");
    assert_watched(&machine, "22", "after the way back");
}

#[test]
fn bans_of_nftables_follow_sshd_to_its_new_port_and_back() {
    bans_follow_sshd(Suite::Trixie);
}

#[test]
fn bans_of_iptables_follow_sshd_to_its_new_port_and_back() {
    bans_follow_sshd(Suite::Bookworm);
}

#[test]
fn an_undo_leaves_fail2ban_as_it_was_with_the_bans_made_meanwhile() {
    let machine = guarded(Suite::Trixie);
    ban(&machine, EARLY);
    assert_met(&machine, EARLY, "reject", "drop", "before");
    let (at_first, before) = (files(&machine), fingerprint(&machine));

    // Nobody confirms: fail2ban has heard of nothing.
    apply(&machine, 10);
    until_over(&machine, 25);
    assert_as_before(&machine, &before, "after the unconfirmed trial");
    assert_eq!(files(&machine), at_first);
    assert_eq!(reloads(&machine), 0);

    // The commit ends where fail2ban reads its new jail; somebody is banned before that is undone.
    let trial = apply(&machine, 120);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    let fault = killer(&machine, "/usr/bin/fail2ban-client", "reload*", 1);
    let ran = confirm(&machine, 33001, &code(&trial));
    assert!(!ran.ok(), "{ran:?}");
    wait("fail2ban to have read it", seconds(20), || {
        (reloads(&machine) == 1).then_some(())
    });
    drop(fault);
    ban(&machine, LATE);
    assert_watched(&machine, "{ 22, 33001 }", "in the commit");
    let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
    assert_eq!(undone["state"], "rolled-back", "{undone}");
    assert_eq!(files(&machine), at_first);
    assert_eq!(banned(&machine), [EARLY, LATE]);
    assert_open(&machine, &[22]);
    for whom in [EARLY, LATE] {
        assert_met(&machine, whom, "reject", "drop", "after the undo");
    }
    assert_watched(&machine, "22", "after the undo");
}

#[test]
fn fail2ban_that_does_not_run_is_neither_told_nor_started() {
    let machine = with_fail2ban_at_rest(Suite::Trixie);
    let at_first = files(&machine);
    let assert_at_rest = |when: &str| {
        let state = machine.run(&["systemctl", "is-active", "fail2ban"]).stdout;
        assert_eq!(state.trim(), "inactive", "{when}");
        assert!(!machine.sh("ps -eo comm").contains("fail2ban"), "{when}");
    };
    moved(&machine);
    assert_at_rest("after the move");
    assert_eq!(files(&machine), at_first);
    back(&machine);
    assert_at_rest("after the way back");

    // One that was stopped since it was told.
    start(&machine);
    moved(&machine);
    assert_ne!(files(&machine), at_first);
    machine.ok(&["systemctl", "stop", "fail2ban"]);
    back(&machine);
    assert_at_rest("after the way back without it");
    assert_eq!(files(&machine), at_first);
}

/// The port over which the admin is connected is none of those on which the jail bans.
fn own_ban_is_named(suite: Suite, whom: &[&str]) {
    let machine = guarded(suite);
    machine.sh(
        "printf 'Port 22\\nPort 2222\\n' >/etc/ssh/sshd_config.d/ports.conf; systemctl reload ssh
         for chain in 'gate early' 'filter input'; do nft insert rule inet $chain tcp dport 2222 accept; done",
    );
    let own = machine.address(Family::V4).trim_end_matches('2').to_owned() + "1";
    for whom in whom {
        let whom = whom.replace("OWN", &own);
        ban(&machine, &whom);
        assert_met(&machine, &own, "reject", "drop", &whom);
        let before = fingerprint(&machine);
        let told = advice(&machine, 2222, "FW011").expect("a word about the ban");
        assert_eq!(told["severity"], "blocker", "{whom}: {told}");
        let ran = machine.ssh(2222, Family::V4, "faspwall apply -f /root/answers.toml");
        assert_eq!(ran.status, Some(9), "{whom}: {ran:?}");
        let wanted = format!("{own}, from where you are connected");
        assert!(ran.stderr.contains(&wanted), "{whom}: {ran:?}");
        assert_as_before(&machine, &before, &whom);
        // What it says lifts the ban.
        let text = told["text"].as_str().expect("text");
        let (_, command) = text.split_once("first:   ").expect("a command");
        machine.sh(command);
        assert_met(&machine, &own, "accept", "drop", "after the ban");
    }
    let told = advice(&machine, 2222, "FW011").expect("what becomes of the jail");
    assert_eq!(told["severity"], "note", "{told}");
}

#[test]
fn a_ban_by_nftables_of_ones_own_address_is_named_before_anything_changes() {
    own_ban_is_named(Suite::Trixie, &["OWN"]);
}

#[test]
fn a_ban_by_iptables_of_ones_own_address_or_network_is_named_before_anything_changes() {
    own_ban_is_named(Suite::Bookworm, &["OWN", "10.98.0.0/16"]);
}
