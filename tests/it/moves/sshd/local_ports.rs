//! The new port lies among those that this host gives to its own connections.

use std::io::Read;
use std::process::Stdio;

use super::super::{Family, Machine, Suite, fingerprint, seconds, server, wait};
use super::{back, forget_bans, forth, refused, shape};

const FILE: &str = "/etc/sysctl.d/60-faspwall.conf";

/// A connection to port 22 of this host whose own end is the new port, without the option that lets a listener beside it.
/// It ends without lingering.
const CONNECTED: &str = "import socket, struct, time\ns = socket.socket()\ns.bind(('127.0.0.1', 33001))\n\
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n\
    s.connect(('127.0.0.1', 22))\nprint('ready', flush=True)\ntime.sleep(600)\n";

fn reserved(machine: &Machine) -> String {
    let list = machine.ok(&["cat", "/proc/sys/net/ipv4/ip_local_reserved_ports"]);
    list.trim().to_owned()
}

#[test]
fn the_new_ports_are_kept_from_connections_over_a_reboot_and_not_after_the_way_back() {
    let mut machine = server(Suite::Trixie);
    forget_bans(&machine);
    let what = "reserved ports";
    shape(&machine, "systemctl restart ssh");
    machine.put(
        "/etc/sysctl.d/10-theirs.conf",
        "net.ipv4.ip_local_reserved_ports = 40000-40002\n",
        0o644,
    );
    machine.ok(&["sysctl", "-qp", "/etc/sysctl.d/10-theirs.conf"]);

    let mut holder = machine
        .command(&["python3", "-c", CONNECTED])
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter starts");
    let mut line = [0; 6];
    let out = holder.stdout.as_mut().expect("a pipe");
    out.read_exact(&mut line).expect("ready");
    let told = refused(&machine, "a connection on the new port");
    assert!(
        told.contains("own end of a connection: python3") && told.contains("to 127.0.0.1:22"),
        "{told}"
    );
    holder.kill().expect("ours");
    holder.wait().expect("it ends");
    machine.sh("pkill -f '[s].connect'; true");
    wait("the connection to be gone", seconds(20), || {
        machine
            .ok(&["ss", "-Htan", "sport = :33001"])
            .is_empty()
            .then_some(())
    });

    let before = fingerprint(&machine);
    let shown = machine.ssh(22, Family::V4, "faspwall plan -f /root/answers.toml --diff");
    assert!(
        shown
            .stdout
            .contains("+net.ipv4.ip_local_reserved_ports = 33001,40000-40002"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("FW020"), "{shown:?}");
    forth(&machine, what);
    assert_eq!(reserved(&machine), "33001,40000-40002");
    machine.reboot();
    assert_eq!(reserved(&machine), "33001,40000-40002");
    machine.sh("echo 33001,40000-40002,50000 >/proc/sys/net/ipv4/ip_local_reserved_ports");
    back(&machine, &before, what);
    assert_eq!(
        (machine.get(FILE), reserved(&machine)),
        (None, "40000-40002,50000".to_owned())
    );
}

/// Others than sshd answer on 22 as well.
#[test]
fn a_program_that_shares_port_22_is_named_in_the_plan() {
    let machine = server(Suite::Bookworm);
    machine.sh("sed -i '1i ListenAddress 0.0.0.0' /etc/ssh/sshd_config; systemctl restart ssh");
    let serve = "import socket, time\ns = socket.socket(socket.AF_INET6)\ns.setsockopt(41, 26, 1)\ns.bind(('::', 22))\n\
                 s.listen()\ntime.sleep(600)\n";
    machine.put("/root/git.py", serve, 0o600);
    machine.ok(&["systemd-run", "-q", "--unit=git", "python3", "/root/git.py"]);
    wait("the other server", seconds(10), || {
        machine.ok(&["ss", "-Hltn"]).contains("[::]:22 ").then_some(())
    });
    let plan = machine.ssh(22, Family::V4, "faspwall plan -f /root/answers.toml");
    assert!(
        plan.stdout.contains("FW022") && plan.stdout.contains("TCP/22 is served by python3"),
        "{plan:?}"
    );
}
