//! What is found out about sshd: who starts it, where it listens, what it is set to.

use faspwall::facts::Activation;

use super::{facts, machine, second_sshd};
use crate::boxes::{Machine, Suite, seconds, wait};

#[test]
fn sshd_as_a_service_with_drop_ins_is_understood() {
    for (suite, version) in [
        (Suite::Bookworm, "OpenSSH_9.2"),
        (Suite::Trixie, "OpenSSH_10.0p2"),
    ] {
        let machine = machine(suite);
        machine.put("/etc/ssh/sshd_config.d/20-b.conf", "Port 2222\n", 0o644);
        machine.put(
            "/etc/ssh/sshd_config.d/10-a.conf",
            "Port 22\nMatch User joe\n  X11Forwarding no\n",
            0o644,
        );
        machine.ok(&["systemctl", "reload", "ssh"]);
        second_sshd(&machine, 33001, &["-o", "ListenAddress=127.0.0.1"]);
        wait("sshd on 2222", seconds(5), || {
            (!super::ask(&machine, "listeners 2222").is_empty()).then_some(())
        });
        let facts = facts(&machine);
        let ssh = &facts.ssh;
        assert_eq!(ssh.daemon, version);
        assert_eq!(ssh.program.as_deref(), Some("/usr/sbin/sshd".as_ref()));
        assert_eq!(
            ssh.ports,
            [22, 2222],
            "33001 listens on the loopback address only"
        );
        assert_eq!(ssh.args, ["-D"]);
        assert_eq!(ssh.activation, Activation::Service("ssh.service".into()));
        let main_pid = machine.ok(&["systemctl", "show", "-p", "MainPID", "--value", "ssh"]);
        assert_eq!(ssh.pid.map(|p| p.to_string()).as_deref(), Some(main_pid.trim()));
        let names: Vec<_> = ssh.config.files.iter().map(|(path, _)| path.to_str()).collect();
        assert_eq!(
            names,
            [
                Some("/etc/ssh/sshd_config"),
                Some("/etc/ssh/sshd_config.d/10-a.conf"),
                Some("/etc/ssh/sshd_config.d/20-b.conf")
            ]
        );
        assert_eq!(
            (ssh.config.ports.as_slice(), &ssh.config.error),
            ([22, 2222].as_slice(), &None)
        );
        assert_eq!(
            facts.addresses.first().map(ToString::to_string).as_deref(),
            Some(&*v4(&machine))
        );
        assert!(facts.os.systemd && facts.privileged && facts.os.id == "debian");

        machine.put("/etc/ssh/sshd_config.d/30-c.conf", "Prot 1\n", 0o644);
        let config = super::facts(&machine).ssh.config;
        assert!(
            config.error.as_deref().is_some_and(|e| e.contains("30-c.conf")),
            "{config:?}"
        );
        assert_eq!(config.ports, [22, 2222]);
    }
}

fn v4(machine: &Machine) -> String {
    machine.address(crate::boxes::Family::V4)
}

#[test]
fn sshd_behind_a_socket_and_without_systemd_is_understood() {
    let machine = machine(Suite::Trixie);
    machine.ok(&["systemctl", "disable", "--now", "ssh.service"]);
    let none = facts(&machine).ssh;
    assert_eq!(
        (none.activation, none.pid, none.ports.len()),
        (Activation::None, None, 0)
    );
    assert!(none.daemon.starts_with("OpenSSH_10"));
    // The directory that sshd -T wants went with the service; asking must not bring it back.
    assert_eq!(
        (none.config.error, none.config.ports.as_slice()),
        (None, [22].as_slice())
    );
    assert_eq!(none.config.listen_addresses, ["[::]:22", "0.0.0.0:22"]);
    assert!(!machine.run(&["test", "-e", "/run/sshd"]).ok());
    assert_eq!(machine.ok(&["systemctl", "--failed", "--no-legend"]), "");

    machine.ok(&["systemctl", "enable", "--now", "ssh.socket"]);
    let idle = facts(&machine).ssh;
    assert_eq!(idle.activation, Activation::Socket("ssh.socket".into()));
    assert_eq!((idle.ports.as_slice(), idle.pid), ([22].as_slice(), None));
    assert!(machine.ssh(22, crate::boxes::Family::V6, "true").ok());
    let used = facts(&machine).ssh;
    assert_eq!(used.activation, Activation::Socket("ssh.socket".into()));
    assert!(used.pid.is_some() && used.ports == [22] && used.config.error.is_none());

    machine.ok(&["systemctl", "disable", "--now", "ssh.socket", "ssh.service"]);
    machine.sh("mkdir -p /run/sshd");
    second_sshd(&machine, 33001, &["-o", "Port=33002"]);
    let plain = facts(&machine).ssh;
    assert_eq!(
        plain.activation,
        Activation::Plain(Some("/run/second-33001.pid".into()))
    );
    assert_eq!(plain.ports, plain.config.ports);
    assert!(plain.ports.contains(&33001), "{plain:?}");
}
