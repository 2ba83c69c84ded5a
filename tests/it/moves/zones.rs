//! firewalld's zones: whoever loses port 22 in one of them finds the new port there.

use super::firewalld::guarded;
use super::{Family, Machine, Protocol, Suite, apply, assert_open, code, confirm, document};
use crate::boxes::{key, seconds, wait};

/// Whoever comes through the tunnel once it is up.
const TUNNEL: &str = "set -e\n\
    ip netns add road\n\
    ip link add tun9 type veth peer name far netns road\n\
    ip address add 10.77.0.1/24 dev tun9; ip address add fd77::1/64 dev tun9 nodad; ip link set tun9 up\n\
    ip -n road address add 10.77.0.2/24 dev far; ip -n road address add fd77::2/64 dev far nodad\n\
    ip -n road link set far up\n";

fn from_the_road(machine: &Machine, command: &str) -> super::Ran {
    machine.run(&["ip", "netns", "exec", "road", "bash", "-c", command])
}

/// A zone is bound to a link that is not there while SSH moves, such as that of a VPN.
fn tunnel(suite: Suite) {
    let machine = guarded(suite);
    machine.sh("firewall-cmd -q --zone=work --add-interface=tun9; firewall-cmd -q --permanent --zone=work --add-interface=tun9; ! ip link show tun9");
    let trial = apply(&machine, 120);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    assert_open(&machine, &[33001]);
    for when in ["", "--permanent"] {
        let work = machine.sh(&format!("firewall-cmd {when} --zone=work --list-all"));
        for text in ["33001/tcp", "33001/udp", "port port=\"22\" protocol=\"tcp\" drop"] {
            assert!(work.contains(text), "{when} {text}: {work}");
        }
    }
    machine.sh(TUNNEL);
    let secret = std::fs::read_to_string(key()).expect("the key of the tests");
    machine.put("/root/road-key", secret, 0o600);
    for host in ["10.77.0.1", "fd77::1"] {
        wait("the tunnel", seconds(20), || {
            let login = format!(
                "ssh -i /root/road-key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                 -o ConnectTimeout=3 -p 33001 root@{host} 'echo $SSH_CONNECTION'"
            );
            let ran = from_the_road(&machine, &login);
            (ran.ok() && ran.stdout.contains(&format!(" {host} 33001"))).then_some(())
        });
        // Nobody listens there any more: a host that let the packet in would refuse it at once.
        let knock = |port: u16| {
            from_the_road(
                &machine,
                &format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{host}/{port}'"),
            )
            .status
        };
        assert_eq!(knock(22), Some(124), "22 over {host}");
        assert_eq!(
            knock(8080),
            Some(1),
            "8080 over {host}: let in, and nobody listens"
        );
    }
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{again}");
    let seen = machine.scan(Protocol::Tcp, "22,33001,7", Family::V6);
    assert_eq!((seen[&22].as_str(), seen[&7].as_str()), ("filtered", "filtered"));
}

#[test]
fn whoever_comes_by_a_tunnel_that_was_down_while_ssh_moved_finds_the_new_port_on_debian_12() {
    tunnel(Suite::Bookworm);
}

#[test]
fn whoever_comes_by_a_tunnel_that_was_down_while_ssh_moved_finds_the_new_port_on_debian_13() {
    tunnel(Suite::Trixie);
}

#[test]
fn a_port_that_was_open_for_a_while_only_stays_open() {
    let machine = guarded(Suite::Trixie);
    machine.sh("firewall-cmd -q --zone=dmz --add-port=33001/tcp --timeout=120");
    let trial = apply(&machine, 120);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    let ports = || machine.sh("firewall-cmd --zone=dmz --list-ports");
    assert!(
        ports().contains("33001/tcp"),
        "it has run out too early: {}",
        ports()
    );
    wait("the end of the timed port", seconds(130), || {
        (!ports().contains("33001/tcp")).then_some(())
    });
    assert_open(&machine, &[33001]);
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{again}");
    machine.sh("firewall-cmd -q --reload");
    assert_open(&machine, &[33001]);
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{again}");
}
