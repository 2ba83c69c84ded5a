//! Where sshd listens: lines in the main file, in drop-ins, with addresses, with ports of their own.

use super::super::connected::add_joe;
use super::super::{Family, Login, Machine, Suite, assert_as_before, document, fingerprint, server};
use super::{assert_doors, assert_moved, back, forget_bans, forth, refused, shape};

#[test]
fn ports_and_addresses_move_wherever_they_are_written() {
    let mut machine = server(Suite::Bookworm);
    forget_bans(&machine);
    // The machine gets its address only after sshd has started.
    machine.put(
        "/etc/sysctl.d/50-bind.conf",
        "net.ipv4.ip_nonlocal_bind=1\nnet.ipv6.ip_nonlocal_bind=1\n",
        0o644,
    );
    machine.ok(&["sysctl", "-qp", "/etc/sysctl.d/50-bind.conf"]);
    let (v4, v6) = (machine.address(Family::V4), machine.address(Family::V6));

    let what = "addresses with ports of their own";
    shape(
        &machine,
        &format!(
            "cd /etc/ssh; printf 'ListenAddress {v4}:22\n' >>sshd_config\n\
             printf 'PasswordAuthentication no\n' >sshd_config.d/50-cloud-init.conf\n\
             printf 'ListenAddress [{v6}]:22\nListenAddress 127.0.0.1:22\n' >sshd_config.d/60-v6.conf\n\
             systemctl restart ssh"
        ),
    );
    let before = fingerprint(&machine);
    forth(&machine, what);
    let (new4, new6) = (format!("{v4}:33001"), format!("[{v6}]:33001"));
    assert_doors(&machine, &["127.0.0.1:22", &new4, &new6], what);
    machine.reboot();
    assert_moved(&machine, &format!("{what}, after a reboot"));
    back(&machine, &before, what);

    let what = "a main file without Include, addresses without ports, a Match at its end";
    shape(
        &machine,
        &format!(
            "cd /etc/ssh; grep -v ^Include sshd_config >new; mv new sshd_config\n\
             printf 'Port 22\nListenAddress {v4}\nListenAddress {v6}\nMatch User joe\n\tX11Forwarding no\n' >>sshd_config\n\
             systemctl restart ssh"
        ),
    );
    let before = fingerprint(&machine);
    forth(&machine, what);
    assert_doors(&machine, &[&new4, &new6], what);
    machine.reboot();
    assert_moved(&machine, &format!("{what}, after a reboot"));
    back(&machine, &before, what);

    let what = "addresses without ports, and no line that names a port";
    shape(
        &machine,
        &format!(
            "printf 'ListenAddress {v4}\nListenAddress {v6}\n' >>/etc/ssh/sshd_config; systemctl restart ssh"
        ),
    );
    let before = fingerprint(&machine);
    forth(&machine, what);
    assert_doors(&machine, &[&new4, &new6], what);
    machine.reboot();
    assert_moved(&machine, &format!("{what}, after a reboot"));
    back(&machine, &before, what);
}

#[test]
fn a_match_block_that_forbids_the_new_port_is_named_before_anything_changes() {
    let mut machine = server(Suite::Trixie);
    for (lines, wanted) in [
        (
            "Match User root LocalPort 33001\\n\\tX11Forwarding no\\n\\tAllowUsers aspera\\n",
            Some("/etc/ssh/sshd_config.d/70-doors.conf line 3 says \"AllowUsers aspera\""),
        ),
        (
            "Match LocalPort 33001\\n\\tForceCommand internal-sftp\\n",
            Some("70-doors.conf line 2 says \"ForceCommand internal-sftp\""),
        ),
        (
            "Match LocalPort 33001\\n\\tRefuseConnection yes\\n",
            Some("line 2 says \"RefuseConnection yes\""),
        ),
        ("Match User joe LocalPort 33001\\n\\tDenyUsers *\\n", None),
        ("Match LocalPort 22\\n\\tMaxAuthTries 3\\n", None),
    ] {
        shape(
            &machine,
            &format!("printf '{lines}' >/etc/ssh/sshd_config.d/70-doors.conf; systemctl restart ssh"),
        );
        match wanted {
            Some(wanted) => {
                let told = refused(&machine, lines);
                assert!(
                    told.contains(wanted) && told.contains("root could not log in"),
                    "{told}"
                );
            }
            None => {
                let seen =
                    document(&machine.ssh(22, Family::V4, "faspwall plan -f /root/answers.toml --json"));
                assert_eq!(seen["changed"], true, "{lines}: {seen}");
            }
        }
    }
    whoever_uses_sudo_is_asked_about(&machine);
    hosts_deny_is_named(&machine);
    one_family_is_taken(&machine);
    // What holds for other ports and other users is in nobody's way.
    machine.sh(
        "printf 'Match User joe LocalPort 33001\\n\\tDenyUsers *\\n' >>/etc/ssh/sshd_config.d/70-doors.conf",
    );
    machine.ok(&["systemctl", "restart", "ssh"]);
    forget_bans(&machine);
    let before = fingerprint(&machine);
    forth(&machine, "Match blocks");
    machine.reboot();
    assert_moved(&machine, "Match blocks, after a reboot");
    back(&machine, &before, "Match blocks");
}

/// The login that is to confirm is not root's, whoever asks.
fn whoever_uses_sudo_is_asked_about(machine: &Machine) {
    add_joe(machine);
    shape(
        machine,
        "printf 'Match User joe LocalPort 33001\\n\\tDenyUsers *\\n' >/etc/ssh/sshd_config.d/70-doors.conf; systemctl restart ssh",
    );
    let order = "sudo faspwall apply -f /root/answers.toml --json";
    let told = machine.ssh_as("joe", 22, Family::V4, order);
    let why = "70-doors.conf line 2 says \"DenyUsers *\"";
    assert_eq!(told.status, Some(9), "{told:?}");
    assert!(
        told.stderr.contains(why) && told.stderr.contains("joe could not log in"),
        "{told:?}"
    );
    shape(
        machine,
        "printf 'Match LocalPort 22\\n\\tMaxAuthTries 3\\n' >/etc/ssh/sshd_config.d/70-doors.conf; systemctl restart ssh",
    );
}

/// A line that turns away the login that is to confirm; the one that asks was let in before.
fn hosts_deny_is_named(machine: &Machine) {
    let mut login = Login::start(
        machine,
        22,
        "read go; faspwall apply -f /root/answers.toml 2>&1; echo status $?",
    );
    machine.put("/etc/hosts.deny", "# nobody\nsshd: ALL EXCEPT 192.0.2.\n", 0o644);
    login.say("go");
    let told = login.hear_until("status");
    assert!(
        told.contains("/etc/hosts.deny line 2") && told.ends_with("status 9"),
        "{told}"
    );
    machine.put("/etc/hosts.deny", "# nobody\n", 0o644);
}

/// sshd would start and listen on the other family alone.
fn one_family_is_taken(machine: &Machine) {
    const HOLD: &str = "import socket, time\ns = socket.create_server(('0.0.0.0', 33001))\nprint('ready', flush=True)\ntime.sleep(600)\n";
    let mut holder = machine
        .command(&["python3", "-c", HOLD])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("nsenter starts");
    let mut line = [0; 6];
    std::io::Read::read_exact(holder.stdout.as_mut().expect("a pipe"), &mut line).expect("ready");
    let told = refused(machine, "a port that is taken on one family");
    assert!(told.contains("TCP/33001 is already used by python3"), "{told}");
    machine.sh("pkill -f '[c]reate_server'");
    holder.wait().expect("it ends");
}

#[test]
fn options_of_the_command_line_move_in_the_file_that_holds_them() {
    let machine = server(Suite::Bookworm);
    forget_bans(&machine);
    for (what, script) in [
        (
            "-p in /etc/default/ssh",
            "echo 'SSHD_OPTS=\"-p 22 -o UseDNS=no\"' >/etc/default/ssh; systemctl restart ssh",
        ),
        (
            "-o Port in a drop-in of the unit",
            "echo SSHD_OPTS= >/etc/default/ssh; mkdir -p /etc/systemd/system/ssh.service.d\n\
             printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/sshd -D -oPort=22\\n' >/etc/systemd/system/ssh.service.d/port.conf\n\
             systemctl daemon-reload; systemctl restart ssh",
        ),
    ] {
        shape(&machine, script);
        let before = fingerprint(&machine);
        let mut first = Login::open(&machine, 22);
        forth(&machine, what);
        assert_doors(&machine, &["0.0.0.0:33001", "[::]:33001"], what);
        first.assert_alive(what);
        back(&machine, &before, what);
    }
}

/// What is allowed on 22 alone would be allowed to nobody, or to everybody, on the new port.
#[test]
fn restrictions_that_are_tied_to_the_present_port_stop_the_move_until_they_are_accepted() {
    let machine = server(Suite::Bookworm);
    shape(
        &machine,
        "printf 'Match User visitor LocalPort 22\\n\\tForceCommand internal-sftp\\n\\tMaxAuthTries 3\\n' \
         >/etc/ssh/sshd_config.d/70-doors.conf; systemctl restart ssh",
    );
    let told = refused(&machine, "a restriction of port 22");
    let line = "/etc/ssh/sshd_config.d/70-doors.conf line 2: ForceCommand internal-sftp (Match LocalPort 22)";
    assert!(told.contains("FW021") && told.contains(line), "{told}");
    let plan = |more: &str| {
        let command = format!("faspwall plan -f /root/answers.toml --json {more}");
        machine.ssh(22, Family::V4, &command)
    };
    assert_eq!(document(&plan("--accept FW021"))["changed"], true);
    machine.sh(
        "cd /etc/ssh/sshd_config.d; sed 's/LocalPort 22/LocalPort 33001/' 70-doors.conf >71-new.conf
         systemctl restart ssh",
    );
    let seen = document(&plan(""));
    assert_eq!(seen["changed"], true, "{seen}");
    assert!(!seen.to_string().contains("FW021"), "{seen}");
}

/// Everybody is turned away by such an sshd, the one who is to confirm as well.
#[test]
fn a_directory_that_sshd_misses_is_named_before_anything_changes_with_what_makes_it() {
    let machine = server(Suite::Bookworm);
    machine.ok(&["rmdir", "/run/sshd"]);
    assert_eq!(machine.ssh(22, Family::V4, "true").status, Some(255));
    let before = fingerprint(&machine);
    for command in ["plan", "apply"] {
        let ran = machine.run(&["faspwall", command, "-f", "/root/answers.toml"]);
        assert_eq!(ran.status, Some(9), "{command}: {ran:?}");
        let (_, remedy) = ran
            .stderr
            .split_once("run this again:   ")
            .expect("what makes it");
        assert_eq!(remedy.trim(), "mkdir -m 0755 /run/sshd");
        assert_as_before(&machine, &before, command);
    }
    machine.ok(&["mkdir", "-m", "0755", "/run/sshd"]);
    forth(&machine, "a directory that was missing");
}

/// A unit that does not say how its sshd reads its files anew; and somebody on the port that the helper usually has.
#[test]
fn a_service_without_a_reload_is_told_by_a_signal_and_the_helper_takes_a_free_port() {
    let machine = server(Suite::Bookworm);
    forget_bans(&machine);
    let what = "no ExecReload";
    shape(
        &machine,
        "mkdir -p /etc/systemd/system/ssh.service.d\n\
         printf '[Service]\\nExecReload=\\n' >/etc/systemd/system/ssh.service.d/reload.conf\n\
         systemctl daemon-reload; systemctl restart ssh",
    );
    assert_eq!(
        machine
            .ok(&["systemctl", "show", "-P", "CanReload", "ssh"])
            .trim(),
        "no"
    );
    machine.put("/root/hold.py", HOLD_61022, 0o600);
    machine.ok(&["systemd-run", "-q", "--unit=hold", "python3", "/root/hold.py"]);
    super::super::wait("the holder", super::super::seconds(10), || {
        machine.ok(&["ss", "-Hltn"]).contains(":61022 ").then_some(())
    });
    let before = fingerprint(&machine);
    let pid = || machine.ok(&["systemctl", "show", "-P", "MainPID", "ssh"]);
    let first = pid();
    let mut login = Login::open(&machine, 22);
    forth(&machine, what);
    login.assert_alive(what);
    assert_eq!(pid(), first, "it was not started anew");
    back(&machine, &before, what);
    login.assert_alive(what);
}

const HOLD_61022: &str =
    "import socket, time\ns = socket.create_server(('0.0.0.0', 61022))\ntime.sleep(1000)\n";
