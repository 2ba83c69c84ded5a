//! sshd in every shape in which it is met: the move, a login that always finds a door, a reboot, and the way back.

mod beside;
mod local_ports;
mod places;
mod socket;

use std::time::Duration;

use super::login_loop::Loop;
use super::{
    Family, Machine, apply, assert_as_before, assert_open, code, confirm, document, fingerprint, status,
};

/// Time between two logins of the loop: several shapes are tried in one test, beside other tests.
const PACE: Duration = Duration::from_millis(40);

/// Makes `/etc/ssh` what it was at the first call, lays a shape over it with a script, and lets sshd read it.
fn shape(machine: &Machine, script: &str) {
    machine.sh(
        "systemctl reset-failed ssh.service; test -d /root/ssh || cp -a /etc/ssh /root/ssh; rm -rf /etc/ssh; cp -a /root/ssh /etc/ssh; \
         echo 'MaxStartups 2000:30:4000' >>/etc/ssh/sshd_config",
    );
    // From 9.8 on sshd turns away for a while who comes again and again without a name, as the loop does.
    machine.sh(
        "dpkg --compare-versions $(dpkg-query -Wf '${Version}' openssh-server) lt 1:9.8 || \
         echo 'PerSourcePenalties no' >>/etc/ssh/sshd_config",
    );
    machine.sh(script);
}

/// Fails the test unless sshd, or systemd for it, listens on exactly these addresses and ports, as `ss` names them.
fn assert_doors(machine: &Machine, wanted: &[&str], what: &str) {
    let text = machine.sh("ss -Hltnp | awk '/sshd|systemd/ {print $4}' | sort -u");
    let (mut found, mut wanted): (Vec<&str>, Vec<&str>) = (text.lines().collect(), wanted.to_vec());
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "{what}");
}

/// What lives in the kernel alone does not come back with a reboot.
fn forget_bans(machine: &Machine) {
    machine.ok(&[
        "nft",
        "delete element inet f2b-table addr-set-sshd { 198.51.100.7 }",
    ]);
}

/// From 22 to 33001.
fn forth(machine: &Machine, what: &str) {
    assert_open(machine, &[22]);
    let logins = Loop::start(machine, PACE);
    let trial = apply(machine, 120);
    assert_open(machine, &[22, 33001]);
    let trial = document(&confirm(machine, 33001, &code(&trial)));
    let done = document(&confirm(machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{what}: {done}");
    logins.assert_always_answered(machine, &format!("{what}, the move"));
    assert_moved(machine, what);
}

/// 33001 is served over both families, 22 is shut, and nothing has drifted.
fn assert_moved(machine: &Machine, what: &str) {
    assert_open(machine, &[33001]);
    for family in [Family::V4, Family::V6] {
        assert!(machine.ssh(33001, family, "true").ok(), "{what} {family:?}");
    }
    let now = status(machine);
    assert_eq!(now["drift"], serde_json::json!([]), "{what}: {now}");
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{what}: {again}");
}

/// Back to 22; everything is as it was.
fn back(machine: &Machine, before: &str, what: &str) {
    let logins = Loop::start(machine, PACE);
    let trial = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    let trial = document(&confirm(machine, 22, &code(&trial)));
    let done = document(&confirm(machine, 22, &code(&trial)));
    assert_eq!(done["state"], "committed", "{what}: {done}");
    logins.assert_always_answered(machine, &format!("{what}, the way back"));
    assert_open(machine, &[22]);
    assert_as_before(machine, before, &format!("{what}, after the way back"));
}

/// An apply that must be refused before anything changes; returns what it says.
fn refused(machine: &Machine, what: &str) -> String {
    let before = fingerprint(machine);
    let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml --json");
    assert_eq!(ran.status, Some(9), "{what}: {ran:?}");
    assert_as_before(machine, &before, what);
    format!("{}{}", ran.stdout, ran.stderr)
}
