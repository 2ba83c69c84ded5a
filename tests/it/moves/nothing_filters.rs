//! Hosts on which nothing filters, and the default-deny set that may be turned on there.

use super::hosts::finish;
use super::{
    ANSWERS, Family, Login, Machine, Protocol, Suite, apply, assert_as_before, assert_open, code, confirm,
    document, fingerprint, seconds, wait,
};

/// A machine without a filter, on which a service waits that nobody asked for.
pub fn open_host(suite: Suite) -> Machine {
    let machine = Machine::boot(suite);
    machine.install();
    let asked = format!("{ANSWERS}\n[firewall]\ndefault_deny = true\nenable_at_boot = true\n");
    machine.put("/root/answers.toml", asked, 0o600);
    machine.put(
        "/etc/systemd/system/printer.service",
        "[Service]\nExecStart=/usr/bin/python3 -m http.server --bind :: 9100\n[Install]\nWantedBy=multi-user.target\n",
        0o644,
    );
    // Three empty chains, as Debian ships them: loaded now, but not at boot.
    machine.ok(&["nft", "-f", "/etc/nftables.conf"]);
    machine.ok(&["systemctl", "enable", "--quiet", "--now", "printer"]);
    wait("the printer", seconds(15), || {
        (state(&machine, Family::V4) == "open").then_some(())
    });
    machine
}

/// What a stranger finds on the port that nobody asked for.
fn state(machine: &Machine, family: Family) -> String {
    let found = machine.scan(Protocol::Tcp, "9100", family);
    found
        .into_iter()
        .next()
        .map(|(_, state)| state)
        .unwrap_or_default()
}

fn assert_state(machine: &Machine, expected: &str, when: &str) {
    for family in [Family::V4, Family::V6] {
        assert_eq!(state(machine, family), expected, "{family:?} {when}");
    }
}

#[test]
fn a_default_deny_set_cuts_off_what_it_named_and_comes_back_after_a_reboot_until_it_is_taken_back() {
    let mut machine = open_host(Suite::Bookworm);
    let before = fingerprint(&machine);
    let plan = machine.ok(&["faspwall", "plan", "-f", "/root/answers.toml"]);
    assert!(plan.contains("refused from now on: TCP/9100 python3"), "{plan}");
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 120);
    assert_state(&machine, "open", "in trial 1");
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["default_deny"], true, "{trial}");
    assert_state(&machine, "filtered", "in trial 2");
    assert_open(&machine, &[33001]);
    first.assert_alive("in trial 2");
    finish(&machine, 33001, trial);
    first.assert_alive("after the commit");
    assert_state(&machine, "filtered", "after the commit");
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{again}");
    machine.put("/root/without.toml", ANSWERS, 0o600);
    let without = machine.ok(&["faspwall", "plan", "-f", "/root/without.toml"]);
    assert!(
        without.contains("the default-deny set of before is taken away"),
        "{without}"
    );
    drop(first);
    machine.reboot();
    assert_state(&machine, "filtered", "after a reboot");
    assert_open(&machine, &[33001]);
    assert_eq!(
        machine.ok(&["systemctl", "is-enabled", "nftables"]).trim(),
        "enabled"
    );
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    finish(&machine, 22, back);
    assert_state(&machine, "open", "after the way back");
    let unit = machine.run(&["systemctl", "is-enabled", "nftables"]);
    assert_eq!(unit.stdout.trim(), "disabled");
    assert_as_before(&machine, &before, "after the way back");
}

#[test]
fn an_unconfirmed_default_deny_set_opens_by_itself_with_every_process_dead() {
    let machine = open_host(Suite::Trixie);
    let trial = apply(&machine, 25);
    document(&confirm(&machine, 33001, &code(&trial)));
    assert_state(&machine, "filtered", "in trial 2");
    machine.sh("systemctl stop 'faspwall-guard*.timer' 'faspwall-guard*.service'; rm /usr/local/bin/faspwall /usr/bin/faspwall 2>/dev/null; true");
    // Nobody is left who could open it but the kernel.
    wait("the kernel to open it", seconds(90), || {
        (state(&machine, Family::V4) == "open" && state(&machine, Family::V6) == "open").then_some(())
    });
    assert!(machine.ssh(22, Family::V4, "true").ok());
}
