//! The move on hosts that differ from the usual one.

use serde_json::Value;

use super::{
    Family, Login, Machine, Protocol, Ran, Suite, apply, assert_as_before, assert_open, code, confirm,
    document, fingerprint, server,
};

/// Walks a change that was begun to its end, with confirmations through that port.
pub fn finish(machine: &Machine, port: u16, mut told: Value) -> Value {
    while told["state"] == "awaiting-confirmation" {
        told = document(&confirm(machine, port, &code(&told)));
    }
    assert_eq!(told["state"], "committed", "{told}");
    told
}

/// There, and back again.
pub fn there_and_back(machine: &Machine) {
    let first = Login::open(machine, 22);
    with_logins(machine, &mut [first]);
}

/// The same with logins that are open already.
fn with_logins(machine: &Machine, logins: &mut [Login]) {
    let mut alive = |when: &str| logins.iter_mut().for_each(|login| login.assert_alive(when));
    let before = fingerprint(machine);
    let trial = apply(machine, 120);
    assert_open(machine, &[22, 33001]);
    let trial = document(&confirm(machine, 33001, &code(&trial)));
    assert_open(machine, &[33001]);
    alive("in trial 2");
    let done = document(&confirm(machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    assert_open(machine, &[33001]);
    for family in [Family::V4, Family::V6] {
        assert!(machine.ssh(33001, family, "true").ok(), "{family:?}");
    }
    alive("after the commit");
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    finish(machine, 22, back);
    assert_open(machine, &[22]);
    assert_as_before(machine, &before, "after the way back");
    alive("after the way back");
}

#[test]
fn a_config_without_drop_ins_is_edited_in_place_and_put_back_byte_by_byte() {
    let machine = server(Suite::Bookworm);
    machine.put(
        "/etc/ssh/sshd_config",
        "# by hand\nPort 22\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nUsePAM yes\n\
         Match User nobody\n  X11Forwarding no\n",
        0o600,
    );
    machine.ok(&["systemctl", "restart", "ssh"]);
    there_and_back(&machine);
    let mode = machine.ok(&["stat", "-c", "%a", "/etc/ssh/sshd_config"]);
    assert_eq!(mode.trim(), "600");
}

#[test]
fn replies_are_let_out_where_the_output_chain_drops() {
    let machine = server(Suite::Bookworm);
    let rules = super::RULES.replace(
        "type filter hook output priority filter; policy accept;",
        "type filter hook output priority filter; policy drop;\n\t\toif \"lo\" accept\n\t\tmeta l4proto { icmp, ipv6-icmp } accept\n\
         \t\ttcp sport 22 accept",
    );
    machine.put("/etc/nftables.conf", rules, 0o755);
    machine.ok(&["nft", "-f", "/etc/nftables.conf"]);
    there_and_back(&machine);
}

/// The kernel picks no session up in the middle: one that began before the rules came counts as invalid for ever, and lives
/// because 22 is let in above the rule that drops such packets.
#[test]
fn a_session_that_counts_as_invalid_lives_through_it_all() {
    let machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.put("/root/answers.toml", super::ANSWERS, 0o600);
    machine.sh("nft flush ruleset; sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0");
    let mut early = Login::open(&machine, 22);
    let rules = super::RULES.replace(
        "\t\tct state established,related accept\n\t\tct state invalid drop\n",
        "\t\tct state invalid counter comment \"lost\"\n\t\ttcp dport 22 accept\n\t\tct state invalid drop\n\
         \t\tct state established,related accept\n",
    );
    machine.put("/etc/nftables.conf", rules, 0o755);
    machine.ok(&["systemctl", "enable", "--quiet", "--now", "nftables"]);
    early.assert_alive("behind the rules");
    let counted = machine.ok(&["nft", "list", "chain", "inet", "filter", "input"]);
    let lost = counted
        .lines()
        .find(|line| line.contains("\"lost\""))
        .expect("a rule");
    assert!(!lost.contains("packets 0 "), "it counts as known: {lost}");
    let later = Login::open(&machine, 22);
    with_logins(&machine, &mut [early, later]);
}

/// Logs in as somebody who becomes root with sudo.
fn as_admin(machine: &Machine, port: u16, command: &str) -> Ran {
    machine.ssh_as("admin", port, Family::V6, &format!("sudo {command}"))
}

#[test]
fn somebody_who_uses_sudo_moves_ssh_and_proves_it() {
    let machine = server(Suite::Bookworm);
    machine.sh("useradd -m -s /bin/bash admin && mkdir -p /home/admin/.ssh \
         && cp /root/.ssh/authorized_keys /home/admin/.ssh/ && chown -R admin: /home/admin/.ssh \
         && echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin && chmod 440 /etc/sudoers.d/admin");
    let order = "faspwall apply -f /root/answers.toml --json";
    let trial = document(&as_admin(&machine, 22, order));
    let code = code(&trial);
    let wrong_door = as_admin(&machine, 22, &format!("faspwall confirm {code}"));
    assert_eq!(wrong_door.status, Some(9), "{wrong_door:?}");
    let trial = document(&as_admin(
        &machine,
        33001,
        &format!("faspwall confirm {code} --json"),
    ));
    assert_eq!(trial["trial"], 2, "{trial}");
    let done = document(&as_admin(
        &machine,
        33001,
        &format!("faspwall confirm {code} --json"),
    ));
    assert_eq!(done["state"], "committed", "{done}");
    let by = done["reason"].as_str().expect("text");
    assert!(by.contains("admin from fd98:"), "{by}");
    assert_open(&machine, &[33001]);
}

#[test]
fn of_all_65535_ports_only_the_wanted_ones_change() {
    let machine = server(Suite::Bookworm);
    let before = machine.scan_all(Family::V4);
    let trial = apply(&machine, 120);
    let during = machine.scan_all(Family::V4);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    let after = machine.scan_all(Family::V4);
    assert_eq!(before.get(&22).map(String::as_str), Some("open"), "{before:?}");
    let mut wanted = before.clone();
    wanted.insert(33001, String::from("open"));
    assert_eq!(during, wanted);
    wanted.remove(&22);
    assert_eq!(after, wanted);
    let udp = machine.scan(Protocol::Udp, "32999-33003", Family::V4);
    for (port, state) in udp {
        assert_eq!(state == "closed", port == 33001, "UDP/{port} is {state}");
    }
}
