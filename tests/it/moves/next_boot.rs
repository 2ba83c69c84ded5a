//! The promise that a reboot leaves the old state or the new one, where the files that a boot loads are not what is in
//! force: a change that the next boot would undo, or turn into a locked door, is refused with the reason.

use super::firewalld;
use super::{
    Family, Machine, Suite, apply, assert_as_before, assert_open, code, confirm, document, fingerprint,
    server,
};

/// An apply in a login on TCP/22 is refused with these words, and leaves everything as it is.
fn assert_refused(machine: &Machine, texts: &[&str]) {
    let before = fingerprint(machine);
    let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml");
    assert_eq!(ran.status, Some(9), "{ran:?}");
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(texts.iter().all(|text| told.contains(text)), "{texts:?}: {told}");
    assert_as_before(machine, &before, "after the refusal");
}

fn move_over(machine: &Machine) {
    let trial = apply(machine, 120);
    let trial = document(&confirm(machine, 33001, &code(&trial)));
    let done = document(&confirm(machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
}

#[test]
fn a_firewall_that_was_stopped_and_starts_at_boot_is_refused_until_it_is_loaded() {
    let mut machine = server(Suite::Bookworm);
    machine.ok(&["systemctl", "stop", "nftables"]);
    let texts = [
        "after a reboot",
        "chain inet filter input, at the next boot",
        "policy drop",
        "nft -f /etc/nftables.conf",
    ];
    assert_refused(&machine, &texts);
    machine.ok(&["nft", "-f", "/etc/nftables.conf"]);
    move_over(&machine);
    machine.reboot();
    assert_open(&machine, &[33001]);
    // The file is changed once more, and not loaded: the way back would lock out at the next boot.
    machine.sh("sed -i '/the door/d' /etc/nftables.conf");
    let before = fingerprint(&machine);
    let ran = machine.ssh(33001, Family::V4, "faspwall rollback");
    assert_eq!(ran.status, Some(9), "{ran:?}");
    assert!(ran.stdout.contains("after a reboot"), "{ran:?}");
    assert_as_before(&machine, &before, "after the refusal");
}

#[test]
fn a_zone_of_firewalld_that_takes_the_operator_at_the_next_boot_is_refused() {
    let mut machine = firewalld::guarded(Suite::Bookworm);
    let client = machine.ssh(22, Family::V4, "set -- $SSH_CLIENT; echo $1");
    let client = client.stdout.trim();
    machine.ok(&[
        "firewall-cmd",
        "--permanent",
        "--zone=drop",
        &format!("--add-source={client}"),
    ]);
    assert_refused(
        &machine,
        &[
            "after a reboot",
            client,
            "at the next boot",
            "firewall-cmd --reload",
        ],
    );
    machine.ok(&[
        "firewall-cmd",
        "--permanent",
        "--zone=drop",
        &format!("--remove-source={client}"),
    ]);
    move_over(&machine);
    firewalld::reboot(&mut machine);
    assert_open(&machine, &[33001]);
}
