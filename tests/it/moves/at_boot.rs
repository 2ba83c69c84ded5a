//! What runs at boot decides whether anything can be kept.

use super::hosts::finish;
use super::{Family, Suite, apply, assert_as_before, assert_open, fingerprint, server};

#[test]
fn a_script_that_would_wipe_the_rules_at_boot_stops_the_move_and_the_move_goes_on_without_it() {
    let mut machine = server(Suite::Bookworm);
    let script =
        "#!/bin/sh\niptables -F\niptables -P INPUT DROP\niptables -A INPUT -p tcp --dport 22 -j ACCEPT\n";
    machine.put("/etc/rc.local", script, 0o755);
    let before = fingerprint(&machine);
    let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml --json");
    assert_eq!(ran.status, Some(5), "{ran:?}");
    let told = format!("{}{}", ran.stdout, ran.stderr);
    for words in [
        "/etc/rc.local",
        "line 2: iptables -F",
        "iptables -I INPUT -p tcp --dport 33001 -j ACCEPT",
    ] {
        assert!(told.contains(words), "{words:?} in {told}");
    }
    assert_as_before(&machine, &before, "after the refusal");
    assert_open(&machine, &[22]);

    machine.ok(&["rm", "/etc/rc.local"]);
    let trial = apply(&machine, 120);
    finish(&machine, 33001, trial);
    machine.reboot();
    assert_open(&machine, &[33001]);
}
