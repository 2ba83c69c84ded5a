//! What an unlucky host, a crash or a hasty operator can do to a move: nobody is locked out, nothing of others is lost.

use std::time::Instant;

use super::{ANSWERS, RULES, apply, assert_open, code, confirm, document, fingerprint, server, status};
use crate::boxes::{Family, Machine, Suite, seconds, wait};

const TAKES_THE_PORT: &str = "
import socket, time
while True:
    held = []
    try:
        for family, address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
            one = socket.socket(family)
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(41, 26, 1)
            one.bind((address, 33001))
            one.listen()
        time.sleep(1000)
    except OSError:
        for one in held:
            one.close()
        time.sleep(0.0005)
";

/// The same by somebody without any right: he binds, and calls himself sshd once nobody looks whether the port is free.
const CALLS_ITSELF_SSHD: &str = "        import ctypes
        time.sleep(1)
        ctypes.CDLL(None).prctl(15, b'sshd', 0, 0, 0)
        time.sleep(1000)
";

/// Listens on that address and port under sshd's name.
const HOLDS_UNDER_THE_NAME: &str = "import ctypes, socket, sys, time\n\
    ctypes.CDLL(None).prctl(15, b'sshd', 0, 0, 0)\n\
    s = socket.create_server((sys.argv[1], int(sys.argv[2])))\ntime.sleep(1000)\n";

/// Runs a program of Python inside as nobody, under that unit.
fn as_nobody(machine: &Machine, unit: &str, program: &str, words: &[&str]) {
    let path = format!("/srv/{unit}.py");
    machine.put(&path, program, 0o644);
    let unit = format!("--unit={unit}");
    let run = ["systemd-run", "-q", &unit, "--uid=nobody", "python3", &path];
    machine.ok(&[&run[..], words].concat());
}

/// systemd forgets a unit a moment after it has stopped.
fn assert_as(machine: &Machine, before: &str) {
    let start = Instant::now();
    while fingerprint(machine) != before && start.elapsed() < seconds(10) {}
    assert_eq!(fingerprint(machine), before);
}

#[test]
fn an_sshd_that_could_not_get_its_new_port_answers_on_the_old_one_again() {
    let machine = server(Suite::Bookworm);
    let before = machine.get("/etc/ssh/sshd_config");
    let trial = apply(&machine, 60);
    document(&confirm(&machine, 33001, &code(&trial)));
    machine.put("/root/grab.py", TAKES_THE_PORT, 0o600);
    machine.ok(&["systemd-run", "-q", "--unit=grab", "python3", "/root/grab.py"]);
    let ran = confirm(&machine, 33001, &code(&trial));
    assert_eq!(ran.status, Some(6), "{ran:?}");
    assert!(ran.stderr.contains("held by python3"), "{ran:?}");
    assert!(machine.ssh(22, Family::V4, "true").ok());
    assert_eq!(machine.ok(&["systemctl", "is-active", "ssh"]).trim(), "active");
    assert_eq!(machine.get("/etc/ssh/sshd_config"), before);
}

#[test]
fn a_user_who_calls_his_program_sshd_and_takes_the_port_is_not_taken_for_sshd() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let trial = apply(&machine, 60);
    document(&confirm(&machine, 33001, &code(&trial)));
    let program = TAKES_THE_PORT.replace("        time.sleep(1000)\n", CALLS_ITSELF_SSHD);
    as_nobody(&machine, "grab", &program, &[]);
    let ran = confirm(&machine, 33001, &code(&trial));
    assert_eq!(ran.status, Some(6), "{ran:?}");
    assert!(
        ran.stderr.contains("held by") && ran.stderr.contains("of user 65534"),
        "{ran:?}"
    );
    machine.ok(&["systemctl", "stop", "grab"]);
    assert_as(&machine, &before);
    assert_open(&machine, &[22]);

    // The helper of the handover, on one family only: logins of the other one would have been turned to a stranger.
    let trial = apply(&machine, 60);
    document(&confirm(&machine, 33001, &code(&trial)));
    as_nobody(&machine, "helper", HOLDS_UNDER_THE_NAME, &["0.0.0.0", "61022"]);
    wait("the false helper", seconds(10), || {
        machine.ok(&["ss", "-Hltn"]).contains(":61022 ").then_some(())
    });
    let ran = confirm(&machine, 33001, &code(&trial));
    assert_eq!(ran.status, Some(6), "{ran:?}");
    let told = "of user 65534, which only bears that name";
    assert!(
        ran.stderr.contains("TCP/61022 over IPv4") && ran.stderr.contains(told),
        "{ran:?}"
    );
    machine.ok(&["systemctl", "stop", "helper"]);
    assert_as(&machine, &before);
    assert_open(&machine, &[22]);

    // Named before the plan already.
    as_nobody(&machine, "squatter", HOLDS_UNDER_THE_NAME, &["0.0.0.0", "33001"]);
    wait("the squatter", seconds(10), || {
        machine.ok(&["ss", "-Hltn"]).contains(":33001 ").then_some(())
    });
    let ran = machine.run(&["faspwall", "plan", "-f", "/root/answers.toml"]);
    assert!(
        ran.stderr.contains("TCP/33001 is already used by sshd"),
        "{ran:?}"
    );
}

#[test]
fn a_login_from_the_host_itself_proves_nothing() {
    let machine = server(Suite::Bookworm);
    machine.sh(
        "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id; cat /root/.ssh/id.pub >>/root/.ssh/authorized_keys",
    );
    let trial = apply(&machine, 60);
    for address in ["127.0.0.1", "::1", &machine.address(Family::V4)] {
        let login = format!(
            "ssh -i /root/.ssh/id -o StrictHostKeyChecking=no -p 33001 root@{address} faspwall confirm {}",
            code(&trial)
        );
        let ran = machine.ssh(22, Family::V4, &login);
        assert_eq!(ran.status, Some(9), "{address}: {ran:?}");
    }
    assert_eq!(status(&machine)["open"]["trial"], 1);
}

#[test]
fn a_journal_that_was_cut_off_is_undone_all_the_same() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    apply(&machine, 60);
    machine.sh("printf '{\"entry\":\"int' >>$(echo /var/lib/faspwall/2*/journal.jsonl)");
    machine.ok(&["faspwall", "rollback"]);
    assert_as(&machine, &before);
}

#[test]
fn a_disk_that_cannot_be_written_does_not_stop_the_undo() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    machine.sh("mkdir -p /var/lib/faspwall; mount -t tmpfs -o mode=700 tmpfs /var/lib/faspwall");
    apply(&machine, 60);
    machine.sh("mount -o remount,ro /var/lib/faspwall");
    let ran = machine.run(&["faspwall", "rollback"]);
    assert_eq!(ran.status, Some(7), "{ran:?}");
    assert!(ran.stderr.contains("can be written again"), "{ran:?}");
    assert_as(&machine, &before);
    machine.sh("mount -o remount,rw /var/lib/faspwall; faspwall rollback");
    assert!(status(&machine)["interrupted"].is_null());
}

#[test]
fn a_guard_that_is_killed_in_the_middle_of_undo_begins_anew() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    apply(&machine, 10);
    let killer = "#!/bin/sh\ncase \"$*\" in *stop*faspwall-door*) \
                  [ -e /root/killed ] || { touch /root/killed; kill -9 $PPID; exit 1; };; esac\n\
                  exec /usr/bin/systemctl \"$@\"\n";
    machine.put("/usr/local/sbin/systemctl", killer, 0o755);
    wait("the end of the undo", seconds(40), || {
        let over = machine.get("/root/killed").is_some() && status(&machine)["open"].is_null();
        (over && status(&machine)["interrupted"].is_null()).then_some(())
    });
    assert_as(&machine, &before);
}

#[test]
fn what_an_admin_writes_during_the_trial_is_not_overwritten() {
    let machine = server(Suite::Bookworm);
    let trial = apply(&machine, 60);
    document(&confirm(&machine, 33001, &code(&trial)));
    let edited = format!("{RULES}# by the admin\n");
    machine.put("/etc/nftables.conf", &edited, 0o755);
    let ran = confirm(&machine, 33001, &code(&trial));
    assert_eq!(ran.status, Some(6), "{ran:?}");
    assert_eq!(machine.get("/etc/nftables.conf"), Some(edited));
    assert_open(&machine, &[22]);
}

#[test]
fn only_our_own_file_is_read_at_boot() {
    let machine = server(Suite::Bookworm);
    let unused = "insert rule inet filter input tcp dport 9999 accept\n";
    machine.put("/etc/nftables.d/unused.nft", unused, 0o644);
    let ran = machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--no-confirm"]);
    assert!(ran.ok(), "{ran:?}");
    assert_open(&machine, &[33001]);
    machine.ok(&["systemctl", "restart", "nftables"]);
    assert_open(&machine, &[33001]);
    assert!(!machine.ok(&["nft", "list", "ruleset"]).contains("9999"));
}

#[test]
fn an_include_line_above_the_table_is_found_before_the_next_boot() {
    let machine = server(Suite::Bookworm);
    let early = RULES.replace(
        "flush ruleset\n",
        "flush ruleset\ninclude \"/etc/nftables.d/*.nft\"\n",
    );
    machine.put("/etc/nftables.conf", early, 0o755);
    machine.ok(&["systemctl", "restart", "nftables"]);
    let before = fingerprint(&machine);
    let words = ["faspwall", "apply", "-f", "/root/answers.toml", "--no-confirm"];
    // On the copy already; and, where that is left out, before the commit is complete.
    let ran = machine.run(&words);
    assert_eq!(ran.status, Some(9), "{ran:?}");
    assert!(
        ran.stdout
            .contains("nft accepts /etc/nftables.conf as it stands now"),
        "{ran:?}"
    );
    assert_as(&machine, &before);
    let ran = machine.run(&[&words[..], &["--no-rehearsal"]].concat());
    assert_eq!(ran.status, Some(6), "{ran:?}");
    assert_as(&machine, &before);
}

#[test]
fn an_sshd_that_has_not_read_its_files_is_not_moved() {
    let machine = server(Suite::Bookworm);
    machine.put("/etc/ssh/sshd_config.d/10-new.conf", "Port 33001\n", 0o644);
    let ran = machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--no-confirm"]);
    assert_ne!(ran.status, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("it has not read them"), "{ran:?}");
    assert_open(&machine, &[22]);
}

#[test]
fn another_sshd_keeps_its_port() {
    let machine = server(Suite::Bookworm);
    machine.sh("printf 'Port 2222\\nPidFile /run/other.pid\\n' >/etc/ssh/other; \
         systemd-run -q --unit=other /usr/sbin/sshd -D -f /etc/ssh/other");
    wait("the other sshd", seconds(10), || {
        machine.ok(&["ss", "-Hltn"]).contains(":2222 ").then_some(())
    });
    let ran = machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--no-confirm"]);
    assert!(ran.ok(), "{ran:?}");
    let drop_in = machine
        .get("/etc/ssh/sshd_config.d/00-faspwall.conf")
        .expect("written");
    assert!(
        drop_in.contains("Port 33001") && !drop_in.contains("2222"),
        "{drop_in}"
    );
}

#[test]
fn networks_and_a_multicast_group_can_be_chosen() {
    let machine = server(Suite::Bookworm);
    let answers = format!(
        "{ANSWERS}\n[vlink]\nudp = 55001\ngroup = \"224.0.0.0/4\"\n\n[firewall]\nsources = [\"10.98.0.0/16\", \"fd98::/16\"]\n"
    );
    machine.put("/root/answers.toml", answers, 0o600);
    let trial = apply(&machine, 60);
    document(&confirm(&machine, 33001, &code(&trial)));
    let kept = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(kept["state"], "committed", "{kept}");
    assert_open(&machine, &[33001]);
}

#[test]
fn on_a_host_that_filters_nothing_the_way_back_is_open_by_rollback_and_by_new_answers() {
    let machine = server(Suite::Bookworm);
    let open = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n}\n";
    machine.put("/etc/nftables.conf", open, 0o755);
    machine.ok(&["systemctl", "restart", "nftables"]);
    let before = fingerprint(&machine);
    let there = || {
        let trial = apply(&machine, 60);
        document(&confirm(&machine, 33001, &code(&trial)));
        document(&confirm(&machine, 33001, &code(&trial)));
        assert!(!machine.ssh(22, Family::V4, "true").ok());
    };
    there();
    let trial = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    document(&confirm(&machine, 22, &code(&trial)));
    document(&confirm(&machine, 22, &code(&trial)));
    assert_as(&machine, &before);

    there();
    let answers = ANSWERS.replace("33001", "22").replace("close", "keep");
    machine.put(
        "/root/back.toml",
        format!("accept = [\"FW001\"]\n{answers}"),
        0o600,
    );
    let trial = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/back.toml --json"));
    document(&confirm(&machine, 22, &code(&trial)));
    assert!(machine.ssh(22, Family::V6, "true").ok());
}

#[test]
fn a_terminal_that_is_gone_stops_nothing_and_names_of_programs_cannot_command_it() {
    let machine = server(Suite::Bookworm);
    let titled = "import ctypes, socket, time\n\
                  ctypes.CDLL(None).prctl(15, b'\\x1b[2Jx\\x07', 0, 0, 0)\n\
                  s = socket.socket(); s.bind(('0.0.0.0', 33001)); s.listen(); time.sleep(1000)\n";
    machine.put("/root/titled.py", titled, 0o600);
    machine.ok(&["systemd-run", "-q", "--unit=titled", "python3", "/root/titled.py"]);
    wait("the program", seconds(10), || {
        machine.ok(&["ss", "-Hltn"]).contains(":33001 ").then_some(())
    });
    let ran = machine.run(&["faspwall", "plan", "-f", "/root/answers.toml"]);
    assert!(ran.stderr.contains("already used by ?[2Jx?"), "{ran:?}");
    assert!(
        !format!("{}{}", ran.stdout, ran.stderr).contains('\u{1b}'),
        "{ran:?}"
    );
    machine.ok(&["systemctl", "stop", "titled"]);

    machine.sh("(faspwall apply -f /root/answers.toml; echo $? >/root/status) 2>&1 | true");
    wait("the end of apply", seconds(20), || {
        machine.get("/root/status").filter(|s| !s.is_empty())
    });
    assert_eq!(machine.get("/root/status").as_deref(), Some("0\n"));
    assert_eq!(status(&machine)["open"]["trial"], 1);

    machine.ok(&["systemctl", "reload", "nftables"]);
    let ran = machine.run(&["faspwall", "extend", "300s"]);
    assert!(ran.stderr.contains("was the firewall loaded anew?"), "{ran:?}");
    let journal = machine.sh("grep -c armed /var/lib/faspwall/2*/journal.jsonl");
    assert_eq!(journal.trim(), "2", "the guard keeps its time");
}

#[test]
fn a_state_directory_that_others_can_write_to_is_refused() {
    let machine = server(Suite::Bookworm);
    machine.sh("mkdir -m 777 /root/open; mkdir -m 700 /root/theirs; chown nobody /root/theirs; mkdir -m 700 /root/linked; ln -s /etc/shadow /root/linked/lock");
    for dir in ["open", "theirs", "linked"] {
        let ran = machine.run(&[
            "faspwall",
            "--state-dir",
            &format!("/root/{dir}"),
            "apply",
            "-f",
            "/root/answers.toml",
            "--no-confirm",
        ]);
        assert!(!ran.ok(), "{dir}: {ran:?}");
    }
    assert_open(&machine, &[22]);
}
