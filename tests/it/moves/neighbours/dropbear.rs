//! dropbear as Debian packages it serves SSH: faspwall says what to do by hand, changes the firewall alone, and takes a
//! login through dropbear for proof.

use super::super::hosts::finish;
use super::super::{
    ANSWERS, Family, Login, Machine, Ran, Suite, apply, assert_as_before, assert_open, code, confirm,
    document, fingerprint, server, status,
};
use crate::boxes::{PACKAGES_DIR, seconds, wait};

/// A server where OpenSSH is switched off and dropbear listens on TCP/22 alone.
fn with_dropbear(suite: Suite) -> Machine {
    let machine = server(suite);
    machine.sh(&format!(
        "systemctl disable --quiet --now ssh.service ssh.socket 2>/dev/null; \
         DEBIAN_FRONTEND=noninteractive dpkg -i {PACKAGES_DIR}/dropbear_*.deb >/dev/null 2>&1"
    ));
    assert_listens(&machine, &["0.0.0.0:22", "[::]:22"]);
    // What only lives in the kernel does not come back with a reboot.
    machine.ok(&["systemctl", "restart", "nftables"]);
    machine
}

/// Waits until dropbear, and nobody else for SSH, listens there.
fn assert_listens(machine: &Machine, wanted: &[&str]) {
    wait(&format!("dropbear on {wanted:?}"), seconds(10), || {
        let text = machine.sh("ss -Hltnp | awk '/dropbear|sshd|systemd/ {print $4}' | sort");
        (text.lines().collect::<Vec<_>>() == wanted).then_some(())
    });
}

/// What belongs to dropbear: its files with sums, owners and times, and the process that listens.
fn of_dropbear(machine: &Machine) -> String {
    machine.sh(
        "find /etc/dropbear /etc/default/dropbear /etc/init.d/dropbear $(systemctl show -P FragmentPath dropbear) -type f \
         | sort | xargs stat -c '%n %a %U %s %y %i'; find /etc/dropbear /etc/default/dropbear -type f | sort | xargs sha256sum
         systemctl show -P MainPID -P DropInPaths dropbear",
    )
}

fn asked(machine: &Machine, command: &str) -> Ran {
    machine.ssh(
        22,
        Family::V4,
        &format!("faspwall {command} -f /root/answers.toml"),
    )
}

/// A plan that cannot be made; what it says in all.
fn refused(machine: &Machine) -> String {
    let before = fingerprint(machine);
    let ran = asked(machine, "plan");
    assert_eq!(ran.status, Some(9), "{ran:?}");
    let apply = asked(machine, "apply");
    assert_eq!(apply.status, Some(9), "{apply:?}");
    assert_as_before(machine, &before, "after what was refused");
    format!("{}{}", ran.stdout, ran.stderr)
}

fn dropbear_is_told_about_and_left_alone(suite: Suite) {
    let mut machine = with_dropbear(suite);
    let seen = document(&machine.ssh(22, Family::V4, "faspwall detect --json"));
    assert_eq!(seen["ssh"]["daemon"], "dropbear", "{seen}");
    assert_eq!(seen["ssh"]["session"]["server_port"], 22, "{seen}");

    // It is not moved; and as long as it does not listen there, the firewall is not changed either.
    let step = "add -p 33001 to DROPBEAR_EXTRA_ARGS in /etc/default/dropbear";
    let told = refused(&machine);
    for words in [
        "dropbear is not moved by faspwall",
        step,
        "Then set daemon = \"leave\"",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("It is made to"), "{told}");
    let leave = ANSWERS.replace("[ssh]\n", "[ssh]\ndaemon = \"leave\"\n");
    machine.put("/root/answers.toml", leave, 0o600);
    let told = refused(&machine);
    for words in ["dropbear does not listen on TCP/33001", step, "shut everyone out"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("daemon = \"move\""), "nothing leads there: {told}");

    // What it tells is done.
    let mut first = Login::open(&machine, 22);
    machine.sh("echo 'DROPBEAR_EXTRA_ARGS=\"-p 33001\"' >>/etc/default/dropbear; systemctl restart dropbear");
    assert_listens(
        &machine,
        &["0.0.0.0:22", "0.0.0.0:33001", "[::]:22", "[::]:33001"],
    );
    first.assert_alive("after the restart of dropbear");
    assert_open(&machine, &[22]);
    let (before, theirs) = (fingerprint(&machine), of_dropbear(&machine));

    let trial = apply(&machine, 120);
    assert_open(&machine, &[22, 33001]);
    let wrong_door = confirm(&machine, 22, &code(&trial));
    assert_eq!(wrong_door.status, Some(9), "{wrong_door:?}");
    let mut second = Login::open(&machine, 33001);
    let seen = status(&machine)["open"]["logins"].to_string();
    assert!(seen.contains("root from 10.98."), "who may say \"keep\": {seen}");
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_open(&machine, &[33001]);
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    for login in [&mut first, &mut second] {
        login.assert_alive("after the commit");
    }
    assert_eq!(of_dropbear(&machine), theirs, "after the commit");
    drop((first, second));
    machine.reboot();
    assert_open(&machine, &[33001]);
    for family in [Family::V4, Family::V6] {
        assert!(machine.ssh(33001, family, "true").ok(), "{family:?}");
    }
    let now = status(&machine);
    assert_eq!(now["drift"], serde_json::json!([]), "{now}");

    let theirs = of_dropbear(&machine);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    finish(&machine, 22, back);
    assert_open(&machine, &[22]);
    assert_as_before(&machine, &before, "after the way back");
    assert_eq!(of_dropbear(&machine), theirs, "after the way back");
}

#[test]
fn dropbear_of_debian_12_is_told_about_and_left_alone() {
    dropbear_is_told_about_and_left_alone(Suite::Bookworm);
}

#[test]
fn dropbear_of_debian_13_is_told_about_and_left_alone() {
    dropbear_is_told_about_and_left_alone(Suite::Trixie);
}
