//! How the operator is connected: every way that a real login can take.

use faspwall::facts::{Session, Via};

use super::{add_joe, machine, second_sshd, session_in};
use crate::boxes::{Console, Family, Machine, Suite, Terminal, seconds, wait};

/// The peer's ports of connections that are established on a port of the machine.
fn peers(machine: &Machine, port: u16) -> Vec<u16> {
    let port = format!("sport = :{port}");
    machine
        .ok(&["ss", "-Htn", "state", "established", &port])
        .lines()
        .filter_map(|line| line.rsplit(':').next()?.trim().parse().ok())
        .collect()
}

fn own_end(machine: &Machine, family: Family) -> String {
    let theirs = machine.address(family);
    let network = theirs.strip_suffix('2').expect("machines end in 2");
    format!("{network}1")
}

fn over_ssh(machine: &Machine, session: &Session, via: Via, port: u16, family: Family) {
    assert_eq!(session.via, via, "{session:?}");
    assert_eq!(session.server_port, Some(port), "{session:?}");
    let address = |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    assert_eq!(address(session.server), machine.address(family), "{session:?}");
    assert_eq!(address(session.client), own_end(machine, family), "{session:?}");
    assert!(
        session.pid.is_some() && session.started_ms.is_some(),
        "{session:?}"
    );
}

#[test]
fn a_login_is_found_whatever_stands_between() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let machine = machine(suite);
        add_joe(&machine);
        for family in [Family::V4, Family::V6] {
            for command in [
                "ask /run/a session",
                "env -i PATH=$PATH ask /run/a session",
                "SSH_CONNECTION='192.0.2.1 1 192.0.2.2 22' ask /run/a session",
                "su joe -c 'sudo -n ask /run/a session'",
                "setsid -w ask /run/a session",
                "tmux -L w new-session -d 'sleep 100'; ask /run/a session",
            ] {
                let port = machine.ssh(22, family, &format!("echo $SSH_CONNECTION; {command}"));
                assert!(port.ok(), "{command}: {port:?}");
                let session = session_in(&machine, "/run/a");
                over_ssh(&machine, &session, Via::Ssh, 22, family);
                let client_port = session.client_port.expect("a port").to_string();
                assert!(
                    port.stdout.contains(&client_port),
                    "{command}: {port:?} {session:?}"
                );
                assert_eq!(session.user.as_deref(), Some("root"), "{command}");
            }
        }
        a_plain_user(&machine);
        another_terminal(&machine);
        from_beside(&machine);
    }
}

/// A user may not look into sshd: the environment counts, if such a connection is open.
fn a_plain_user(machine: &Machine) {
    let login = machine.ssh_words(22, Family::V4, &["-T", "-l", "joe"], "ask /tmp/a session");
    machine_ssh(&login);
    let session = session_in(machine, "/tmp/a");
    over_ssh(machine, &session, Via::Ssh, 22, Family::V4);
    assert_eq!(session.user.as_deref(), Some("joe"));
    assert!(session.evidence.contains("SSH_CONNECTION"), "{session:?}");

    let sudo = machine.ssh_words(
        22,
        Family::V4,
        &["-tt", "-l", "joe"],
        "sudo -n ask /run/a session",
    );
    machine_ssh(&sudo);
    let session = session_in(machine, "/run/a");
    over_ssh(machine, &session, Via::Ssh, 22, Family::V4);
    assert_eq!(session.user.as_deref(), Some("joe"));
    assert!(session.evidence.contains("holds the connection"), "{session:?}");

    let lying = "SSH_CONNECTION='192.0.2.1 1 192.0.2.2 22' setsid -f ask /tmp/a session; sleep 1";
    machine_ssh(&machine.ssh_words(22, Family::V4, &["-T", "-l", "joe"], lying));
    let session = session_in(machine, "/tmp/a");
    // It counts as remote, but as no connection: it can neither be pinned nor prove anything.
    assert!(session.is_remote(), "{session:?}");
    assert_eq!(
        (session.client_port, session.started_ms),
        (None, None),
        "{session:?}"
    );
    assert!(
        session.evidence.contains("no such connection is open"),
        "{session:?}"
    );
}

fn machine_ssh(words: &[String]) {
    let output = std::process::Command::new(&words[0])
        .args(&words[1..])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("ssh starts");
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// systemd starts the program, so the line of parents ends at process 1; the terminal leads on.
fn another_terminal(machine: &Machine) {
    let terminal = machine.terminal(22, "systemd-run -q --pty --wait ask /run/a session");
    let session = session_in(machine, "/run/a");
    assert_eq!(terminal.end(seconds(10)), 0);
    over_ssh(machine, &session, Via::Ssh, 22, Family::V4);
}

/// No login at all: as with `machinectl shell`, a container's exec, a hypervisor's agent.
fn from_beside(machine: &Machine) {
    machine.ok(&["ask", "/run/a", "session"]);
    let session = session_in(machine, "/run/a");
    assert_eq!(session.via, Via::Local, "{session:?}");
    assert!(!session.is_remote());
    // A login to another network namespace does not come through this host's firewall.
    let login = machine.ssh(22, Family::V4, "unshare -n ask /run/a session");
    assert!(login.ok(), "{login:?}");
    let session = session_in(machine, "/run/a");
    assert_eq!(session.via, Via::Local, "{session:?}");
    assert!(
        session.evidence.contains("another network namespace"),
        "{session:?}"
    );
}

/// A login from the host to itself shows nothing about the way from outside: the outer login counts.
#[test]
fn a_login_from_the_host_itself_leads_to_the_one_from_outside() {
    let machine = machine(Suite::Trixie);
    machine.sh("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && \
         cat /root/.ssh/id_ed25519.pub >>/root/.ssh/authorized_keys");
    second_sshd(&machine, 33001, &[]);
    let inner = "ssh -o StrictHostKeyChecking=no -p 33001";
    for (target, options) in [("localhost", ""), ("$(hostname -I | cut -d' ' -f1)", "-tt")] {
        let login = machine.ssh(
            22,
            Family::V4,
            &format!("{inner} {options} {target} 'ask /run/a session; ask /run/b logins 33001 0'"),
        );
        let session = session_in(&machine, "/run/a");
        over_ssh(&machine, &session, Via::Ssh, 22, Family::V4);
        assert!(
            session.evidence.contains("from this host itself"),
            "{login:?} {session:?}"
        );
        assert_eq!(super::answer(&machine, "/run/b"), "", "no proof from outside");
    }
    // Through a forwarding of a login: the far end of it decides.
    let forwarded = machine.ssh(
        22,
        Family::V6,
        &format!("{inner} -o ProxyCommand='ssh -o StrictHostKeyChecking=no -W localhost:33001 localhost' x 'ask /run/a session'"),
    );
    let session = session_in(&machine, "/run/a");
    assert_eq!(session.server_port, Some(22), "{forwarded:?} {session:?}");
    over_ssh(&machine, &session, Via::Ssh, 22, Family::V6);
    // From a console, no login is left.
    machine.sh(&format!("{inner} localhost ask /run/a session"));
    assert_eq!(session_in(&machine, "/run/a").via, Via::Local);
}

/// Leaves its login and its terminal, makes a terminal of its own and runs the rest of its words there, as dtach does.
const LEFT_BEHIND: &str = "import os, pty, sys
if os.fork(): sys.exit()
os.setsid()
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
try:
    while os.read(terminal, 4096): pass
except OSError: pass
os.waitpid(pid, 0)
";

/// Whoever types there may be anywhere.
#[test]
fn what_a_login_has_left_behind_is_neither_a_console_nor_a_connection() {
    let machine = machine(Suite::Trixie);
    add_joe(&machine);
    machine.put("/root/left.py", LEFT_BEHIND, 0o644);
    // Without the variable, as after sudo -i; the login ends before the question is put.
    let bare = "env -i PATH=$PATH";
    for command in [
        format!("{bare} setsid -f sh -c 'sleep 0.5; ask /run/a session'"),
        format!("{bare} python3 /root/left.py sh -c 'sleep 0.5; ask /run/a session'"),
        format!("{bare} systemd-run -q --collect ask /run/a session"),
    ] {
        let login = machine.ssh(22, Family::V4, &format!("{command} </dev/null >/dev/null 2>&1"));
        assert!(login.ok(), "{command}: {login:?}");
        let session = session_in(&machine, "/run/a");
        assert_eq!(session.via, Via::Unknown, "{command}: {session:?}");
        assert!(
            !session.is_remote() && !session.is_local(),
            "{command}: {session:?}"
        );
        assert!(
            session.evidence.contains("cannot be told"),
            "{command}: {session:?}"
        );
    }
}

/// A login at one of the kernel's terminals, and what sudo makes of that terminal.
#[test]
fn a_login_at_a_console_is_one_also_behind_sudo() {
    let machine = machine(Suite::Trixie);
    add_joe(&machine);
    for command in [
        "ask /run/a session",
        "runuser -u joe -- sudo -n ask /run/a session",
        "script -qec 'ask /run/a session' /dev/null",
        "run0 ask /run/a session",
    ] {
        let console = Console::start(&machine, command);
        let session = session_in(&machine, "/run/a");
        console.end(seconds(20));
        assert_eq!(session.via, Via::Console, "{command}: {session:?}");
        assert!(session.is_local(), "{command}: {session:?}");
    }
    // A program that was merely put onto the console of an empty seat is nobody's login.
    let put = "env -i PATH=$PATH setsid -f setsid -c ask /run/a session </root/tty >/dev/null 2>&1";
    let login = machine.ssh(22, Family::V4, put);
    assert!(login.ok(), "{login:?}");
    let session = session_in(&machine, "/run/a");
    assert_eq!(session.via, Via::Unknown, "{session:?}");
}

/// Whoever owns a socket may have put anything behind it: root does not talk to it.
#[test]
fn a_users_tmux_is_asked_with_that_users_rights() {
    let machine = machine(Suite::Bookworm);
    add_joe(&machine);
    let joe = machine.ssh_words(22, Family::V4, &["-tt", "-l", "joe"], "tmux new-session -s w");
    let attached = Terminal::start(80, 24, &joe);
    attached.wait_for("joe@", seconds(15));
    machine.sh("mv /usr/bin/tmux /usr/bin/tmux.real");
    machine.put(
        "/usr/bin/tmux",
        "#!/bin/sh\necho $(id -u) $(id -g) $(id -G) >>/tmp/asked\nexec /usr/bin/tmux.real \"$@\"\n",
        0o755,
    );
    machine.sh("install -m 666 /dev/null /tmp/asked");
    attached.text("sudo -n ask /run/a session");
    attached.keys(&["Enter"]);
    let session = session_in(&machine, "/run/a");
    over_ssh(&machine, &session, Via::Tmux, 22, Family::V4);
    let id = machine.sh("id -u joe");
    let id = id.trim();
    assert_eq!(machine.sh("sort -u /tmp/asked").trim(), format!("{id} {id} {id}"));
    // A socket of somebody else is not asked at all; the terminals tell.
    machine.sh("rm /tmp/asked; chown root: /tmp/tmux-$(id -u joe)/default");
    attached.text("sudo -n ask /run/a session");
    attached.keys(&["Enter"]);
    let session = session_in(&machine, "/run/a");
    over_ssh(&machine, &session, Via::Tmux, 22, Family::V4);
    assert!(machine.get("/tmp/asked").is_none(), "root has asked joe's tmux");
}

#[test]
fn in_tmux_the_attached_client_counts_and_not_the_environment() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let machine = machine(suite);
        second_sshd(&machine, 33001, &[]);
        // The login that starts tmux goes; its environment stays.
        let login = machine.ssh(
            22,
            Family::V4,
            "echo $SSH_CONNECTION; tmux new-session -d -s w; true",
        );
        assert!(login.ok(), "{login:?}");
        wait("the first login to be gone", seconds(10), || {
            peers(&machine, 22).is_empty().then_some(())
        });
        let in_pane = |line: &str| machine.ok(&["tmux", "send-keys", "-t", "w", line, "Enter"]);

        in_pane("ask /run/a session");
        let session = session_in(&machine, "/run/a");
        assert_eq!(
            (session.via, session.server_port),
            (Via::Tmux, None),
            "{session:?}"
        );
        assert!(session.evidence.contains("no client is attached"), "{session:?}");

        let attached = machine.terminal(33001, "tmux attach-session -t w");
        wait("the client to be attached", seconds(10), || {
            (machine.ok(&["tmux", "list-clients"]).lines().count() == 1).then_some(())
        });
        // By asking tmux; with an empty environment too; and by looking at its terminals when there is no tmux to ask.
        for prepare in ["true", "unset TMUX", "mv /usr/bin/tmux /usr/bin/tmux.away"] {
            in_pane(&format!("{prepare}; ask /run/a session"));
            let session = session_in(&machine, "/run/a");
            over_ssh(&machine, &session, Via::Tmux, 33001, Family::V4);
            let client = session.client_port.expect("a port");
            assert!(peers(&machine, 33001).contains(&client), "{prepare}: {session:?}");
        }
        machine.ok(&["mv", "/usr/bin/tmux.away", "/usr/bin/tmux"]);
        machine.ok(&["tmux", "kill-server"]);
        attached.end(seconds(10));
    }
}

#[test]
fn screen_mosh_and_the_shells_of_systemd_lead_to_the_login_behind_them() {
    let machine = machine(Suite::Trixie);
    second_sshd(&machine, 33001, &[]);

    let login = machine.ssh(22, Family::V4, "TERM=xterm screen -dmS w bash; true");
    assert!(login.ok(), "{login:?}");
    wait("the first login to be gone", seconds(10), || {
        peers(&machine, 22).is_empty().then_some(())
    });
    let in_window = |line: &str| {
        let line = format!("{line}\n");
        machine.ok(&["screen", "-S", "w", "-p", "0", "-X", "stuff", &line])
    };
    in_window("ask /run/a session");
    let session = session_in(&machine, "/run/a");
    assert_eq!(
        (session.via, session.server_port),
        (Via::Screen, None),
        "{session:?}"
    );
    let attached = machine.terminal(33001, "TERM=xterm screen -r w");
    wait("the client to be attached", seconds(10), || {
        machine
            .run(&["screen", "-ls"])
            .stdout
            .contains("(Attached)")
            .then_some(())
    });
    in_window("ask /run/a session");
    let session = session_in(&machine, "/run/a");
    over_ssh(&machine, &session, Via::Screen, 33001, Family::V4);
    in_window("exit");
    attached.end(seconds(10));

    // Their processes are children of systemd: only the terminal leads back.
    for shell in ["run0", "machinectl -q shell root@.host"] {
        let terminal = machine.terminal(22, &format!("{shell} /usr/local/bin/ask /run/a session"));
        let session = session_in(&machine, "/run/a");
        assert_eq!(terminal.end(seconds(10)), 0, "{shell}");
        over_ssh(&machine, &session, Via::Ssh, 22, Family::V4);
    }

    let terminal = machine.mosh(22);
    wait("the login that started mosh to be gone", seconds(10), || {
        peers(&machine, 22).is_empty().then_some(())
    });
    terminal.wait_for("#", seconds(10));
    terminal.text("ask /run/a session");
    terminal.keys(&["Enter"]);
    let session = session_in(&machine, "/run/a");
    let client = session.client.map(|ip| ip.to_string()).unwrap_or_default();
    assert_eq!(
        (session.via, session.server_port),
        (Via::Mosh, None),
        "{session:?}"
    );
    assert_eq!(client, own_end(&machine, Family::V4), "{session:?}");
    assert!(session.is_remote(), "{session:?}");
}
