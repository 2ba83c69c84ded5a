//! Hosts without systemd: sshd runs by itself, the guard is a process that leaves its login.

use super::power::lose_power_in_commit;
use super::{
    ANSWERS, Family, Login, Machine, RULES, Suite, apply, assert_as_before, assert_open, code, confirm,
    datagram_arrives, document, fingerprint, status, until_over,
};

fn plain_server() -> Machine {
    let machine = Machine::boot_without_systemd(Suite::Bookworm);
    machine.install();
    machine.put("/etc/nftables.conf", RULES, 0o755);
    machine.put("/root/answers.toml", ANSWERS, 0o600);
    machine.ok(&["nft", "-f", "/etc/nftables.conf"]);
    machine
}

/// Everything is as before, and no process of ours is left.
fn assert_nothing_left(machine: &Machine, before: &str, when: &str) {
    assert_as_before(machine, before, when);
    super::wait("the end of the guard", super::seconds(5), || {
        (!machine.sh("ps -eo comm").contains("faspwall")).then_some(())
    });
    // What two faspwalls know each other by stays; pid files and the like are gone.
    let left = "ls /run/faspwall | grep -vx -e lock -e open || true";
    assert_eq!(machine.sh(left), "", "{when}");
}

#[test]
fn without_systemd_ssh_moves_and_everything_is_kept_and_comes_back() {
    let mut machine = plain_server();
    let before = fingerprint(&machine);
    let mut first = Login::open(&machine, 22);
    assert_open(&machine, &[22]);
    let seen = document(&machine.ssh(22, Family::V4, "faspwall detect --json"));
    assert_eq!(seen["ssh"]["activation"]["kind"], "plain", "{seen}");

    let trial = apply(&machine, 120);
    assert_open(&machine, &[22, 33001]);
    let guards = machine.sh("ps -eo comm,args | grep -c '^faspwall .*--watch' || true");
    assert!(
        guards.trim().parse::<u32>().is_ok_and(|n| n >= 1),
        "no guard is alive"
    );
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_open(&machine, &[33001]);
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    first.assert_alive("after the commit");
    for round in ["now", "after a reboot"] {
        assert_open(&machine, &[33001]);
        for family in [Family::V4, Family::V6] {
            assert!(datagram_arrives(&machine, family), "{round} {family:?}");
            assert!(machine.ssh(33001, family, "true").ok(), "{round} {family:?}");
        }
        let now = status(&machine);
        assert_eq!(now["drift"], serde_json::json!([]), "{now}");
        if round == "now" {
            machine.reboot();
        }
    }

    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    let back = document(&confirm(&machine, 22, &code(&back)));
    let back = document(&confirm(&machine, 22, &code(&back)));
    assert_eq!(back["state"], "committed", "{back}");
    assert_open(&machine, &[22]);
    assert_nothing_left(&machine, &before, "after the way back");
}

/// Starts sshd anew with these words of a shell, and returns when it listens.
fn start_sshd(machine: &Machine, command: &str) {
    machine.sh("kill $(cat /run/sshd.pid); while ss -Hltn | grep -q :22; do :; done");
    machine.sh(&format!("{command}; until ss -Hltn | grep -q :22; do :; done"));
}

#[test]
fn without_systemd_what_its_sshd_was_started_with_or_lacks_is_named_before_anything_changes() {
    let machine = plain_server();
    start_sshd(&machine, "/usr/sbin/sshd -p 22 -o UseDNS=no");
    let before = fingerprint(&machine);
    let ran = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml");
    assert_eq!(ran.status, Some(9), "{ran:?}");
    for words in ["sshd was started with -p 22", "Change it where sshd is started"] {
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    assert_nothing_left(&machine, &before, "a port of the command line");

    start_sshd(&machine, "/usr/sbin/sshd && rmdir /run/sshd");
    assert_eq!(machine.ssh(22, Family::V4, "true").status, Some(255));
    let ran = machine.run(&["faspwall", "apply", "-f", "/root/answers.toml"]);
    assert_eq!(ran.status, Some(9), "{ran:?}");
    let remedy = "run this again:   mkdir -m 0755 /run/sshd";
    assert!(ran.stderr.contains(remedy), "{ran:?}");
    assert_nothing_left(&machine, &before, "a directory that sshd misses");
    machine.ok(&["mkdir", "-m", "0755", "/run/sshd"]);
    apply(&machine, 120);
    assert_open(&machine, &[22, 33001]);
}

/// What a cron does at a boot, and nothing else of it.
const CRON: &str = "#!/bin/sh\nfor file in /etc/cron.d/*; do\n\t[ -f \"$file\" ] && sed -n 's/^@reboot root //p' \"$file\" \
                    | env -i PATH=/usr/bin:/bin HOME=/root SHELL=/bin/sh sh\ndone\nwhile :; do sleep 1; done\n";

#[test]
fn without_systemd_cron_has_an_interrupted_commit_undone_after_the_boot() {
    let mut machine = plain_server();
    machine.sh("mkdir -p /etc/cron.d && sed -i 's,^: >/run/up,/usr/sbin/cron \\&\\n&,' /sbin/plain-init");
    machine.put("/usr/sbin/cron", CRON, 0o755);
    machine.reboot();
    let before = fingerprint(&machine);
    lose_power_in_commit(&mut machine, "/usr/sbin/sshd", "-t*");
    let told = until_over(&machine, 60);
    assert!(told["applied"].is_null(), "{told}");
    assert!(
        told["events"].to_string().contains("the machine went down"),
        "{told}"
    );
    assert_as_before(&machine, &before, "after the boot");
    assert_open(&machine, &[22]);
    let left = machine.get("/etc/cron.d/faspwall-recover");
    assert!(left.is_none(), "the check is still there: {left:?}");
}

#[test]
fn without_systemd_an_unconfirmed_move_leaves_nothing_behind() {
    let machine = plain_server();
    let before = fingerprint(&machine);
    for trials in [1, 2] {
        let trial = apply(&machine, 10);
        let mut door = Login::open(&machine, 33001);
        if trials == 2 {
            document(&confirm(&machine, 33001, &code(&trial)));
            assert_open(&machine, &[33001]);
        }
        until_over(&machine, 25);
        door.assert_alive("a login through the trial's door");
        drop(door);
        assert_open(&machine, &[22]);
        assert_nothing_left(&machine, &before, &format!("unconfirmed in trial {trials}"));
    }
}
