//! Proof by a new login: only an authenticated one counts.

use std::net::TcpStream;

use super::{add_joe, ask, machine, second_sshd};
use crate::boxes::{Family, Machine, Suite, Terminal, seconds, wait};

fn logins(machine: &Machine, since_ms: u64) -> Vec<String> {
    ask(machine, &format!("logins 33001 {since_ms}"))
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

fn since_boot_ms(machine: &Machine) -> u64 {
    let uptime = machine.get("/proc/uptime").expect("/proc/uptime");
    let seconds = uptime.split('.').next().expect("seconds").parse::<u64>();
    (seconds.expect("a number") + 1) * 1000
}

#[test]
fn only_authenticated_logins_on_the_port_count() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let machine = machine(suite);
        add_joe(&machine);
        second_sshd(&machine, 33001, &[]);
        assert_eq!(logins(&machine, 0), [""; 0]);

        // A scanner, and somebody who is asked for a password.
        let address = machine.address(Family::V4);
        let scanner = TcpStream::connect((address.as_str(), 33001)).expect("the port is open");
        let asked = crate::detect::password_prompt(&machine, 33001, "joe");
        asked.wait_for("assword:", seconds(10));
        // A login on the other port.
        let elsewhere = machine.terminal(22, "sleep 1000");
        wait("the login on 22", seconds(10), || {
            let found = ask(&machine, "logins 22 0");
            found.starts_with("root 10.98.").then_some(())
        });
        assert_eq!(logins(&machine, 0), [""; 0]);

        let root = machine.terminal(33001, "sleep 1000");
        wait("the login of root", seconds(10), || {
            (logins(&machine, 0) == ["root"]).then_some(())
        });
        asked.text("secret");
        asked.keys(&["Enter"]);
        let found = wait("the login of joe", seconds(10), || {
            let text = ask(&machine, "logins 33001 0");
            text.contains("joe ").then_some(text)
        });
        assert_eq!(found.lines().count(), 2, "{found}");
        for line in found.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words[2], format!("{address}:33001"), "{found}");
            let outside = format!(
                "{}.1:",
                address
                    .strip_suffix(".2")
                    .expect("the machine's end of the cable")
            );
            assert!(words[1].starts_with(&outside), "{found}");
        }
        // Whoever was there before does not prove anything.
        assert_eq!(logins(&machine, since_boot_ms(&machine) + 1000), [""; 0]);
        drop((scanner, elsewhere, root));
    }
}

#[test]
fn authenticated_logins_through_dropbear_count_for_their_own_user() {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let machine = machine(suite);
        add_joe(&machine);
        machine.sh("mkdir -p /etc/dropbear; systemd-run -q --unit=bear dropbear -F -E -R -p 33001");
        let address = machine.address(Family::V4);
        let scanner = wait("dropbear", seconds(10), || {
            TcpStream::connect((address.as_str(), 33001)).ok()
        });
        let asked = crate::detect::password_prompt(&machine, 33001, "joe");
        asked.wait_for("assword:", seconds(10));
        assert_eq!(logins(&machine, 0), [""; 0]);
        let root = machine.terminal(33001, "sleep 1000");
        wait("the login of root", seconds(10), || {
            (logins(&machine, 0) == ["root"]).then_some(())
        });
        drop((root, scanner));
        asked.text("secret");
        asked.keys(&["Enter"]);
        wait("the login of joe alone", seconds(10), || {
            (logins(&machine, 0) == ["joe"]).then_some(())
        });
        // A program that brings root's rights: its caller stays who he is.
        let words = machine.ssh_words(33001, Family::V4, &["-tt", "-l", "joe"], "exec su root");
        let rights = Terminal::start(80, 24, &words);
        wait("the program with root's rights", seconds(10), || {
            let users = machine.sh("ps -eo euser,ruser,comm | awk '$3 == \"su\" {print $1, $2}'");
            (users == "root joe\n").then_some(())
        });
        assert_eq!(logins(&machine, 0), ["joe"; 2]);
        drop(rights);
        assert_eq!(logins(&machine, since_boot_ms(&machine) + 1000), [""; 0]);
    }
}

/// Takes a connection under a server's name and the title of an authenticated login, with a process below it.
const FALSE_LOGIN: &str = "import ctypes, socket, subprocess, sys, time\n\
    ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)\n\
    s = socket.create_server(('0.0.0.0', 33001))\nc, _ = s.accept()\ns.close()\n\
    subprocess.Popen(['sleep', '1000'])\nopen('/tmp/taken', 'w').close()\ntime.sleep(1000)\n";

#[test]
fn a_program_that_bears_the_name_and_the_title_of_sshd_is_no_login() {
    let machine = machine(Suite::Trixie);
    machine.put("/srv/false.py", FALSE_LOGIN, 0o644);
    for (user, name) in [("nobody", "sshd"), ("root", "sshd"), ("root", "dropbear")] {
        let uid = format!("--uid={user}");
        let start = &format!("exec -a 'sshd: root@pts/0' python3 /srv/false.py {name}");
        machine.sh("rm -f /tmp/taken");
        machine.ok(&["systemd-run", "-q", "--unit=false", &uid, "bash", "-c", start]);
        let address = machine.address(Family::V4);
        let held = wait("the false sshd", seconds(10), || {
            TcpStream::connect((address.as_str(), 33001)).ok()
        });
        wait("the connection", seconds(10), || machine.get("/tmp/taken"));
        assert_eq!(logins(&machine, 0), [""; 0], "{user} {name}");
        machine.ok(&["systemctl", "stop", "false"]);
        drop(held);
    }
}

#[test]
fn whoever_holds_a_listening_port_is_named() {
    let machine = machine(Suite::Trixie);
    assert_eq!(ask(&machine, "listeners 33001"), "");
    assert_eq!(ask(&machine, "listeners 22"), "sshd\n");
    let mut other = machine.command(&["nc", "-6", "-l", "33001"]).spawn().expect("nc");
    wait("nc", seconds(5), || {
        ask(&machine, "listeners 33001").starts_with("nc").then_some(())
    });
    other.kill().expect("ours");
    other.wait().expect("ours");
    // A login on the port is no listener.
    second_sshd(&machine, 33002, &[]);
    let login = machine.terminal(33002, "sleep 1000");
    wait("the login", seconds(10), || {
        (!ask(&machine, "logins 33002 0").is_empty()).then_some(())
    });
    machine.sh("kill $(cat /run/second-33002.pid)");
    wait("the daemon to be gone", seconds(5), || {
        ask(&machine, "listeners 33002").is_empty().then_some(())
    });
    assert!(!ask(&machine, "logins 33002 0").is_empty());
    drop(login);
}
