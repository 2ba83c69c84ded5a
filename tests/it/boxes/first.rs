//! The machines themselves: what the other tests rely on.

use super::{Family, Machine, Protocol, Suite, seconds};

/// The ruleset of a small server: everything is dropped but replies, pings and SSH. A second chain, of a program that
/// bans addresses for a while, comes before it.
const DEFAULT_DROP: &str = "#!/usr/sbin/nft -f
flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iif \"lo\" accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 22 accept
		tcp dport 8080 accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
}
table inet bans {
	set addr-set-sshd {
		type ipv4_addr
		flags timeout
		elements = { 203.0.113.9 timeout 1d }
	}
	chain f2b-chain {
		type filter hook input priority filter - 1; policy accept;
		tcp dport 22 ip saddr @addr-set-sshd reject
	}
}
";

#[test]
fn a_machine_boots_logs_in_filters_and_keeps_it_over_reboots() {
    let mut machine = Machine::boot(Suite::Bookworm);
    assert!(
        machine
            .get("/etc/os-release")
            .expect("os-release")
            .contains("bookworm")
    );
    for family in [Family::V4, Family::V6] {
        let login = machine.ssh(22, family, "echo $SSH_CONNECTION; id -un");
        assert!(
            login.ok() && login.stdout.contains("root"),
            "{family:?}: {login:?}"
        );
        assert_eq!(machine.scan(Protocol::Tcp, "22,33001", family)[&33001], "closed");
    }

    machine.put("/etc/nftables.conf", DEFAULT_DROP, 0o755);
    machine.ok(&["systemctl", "enable", "--now", "nftables"]);
    let as_expected = |machine: &Machine| {
        for family in [Family::V4, Family::V6] {
            let tcp = machine.scan(Protocol::Tcp, "22,8080,33001", family);
            assert_eq!(tcp[&22], "open", "{family:?}");
            assert_eq!(tcp[&8080], "closed", "{family:?}: accepted, nobody listens");
            assert_eq!(tcp[&33001], "filtered", "{family:?}");
            assert!(machine.ssh(22, family, "true").ok(), "{family:?}");
            assert_eq!(machine.ssh(33001, family, "true").status, Some(255));
        }
        let udp = machine.scan(Protocol::Udp, "33001", Family::V4);
        assert_eq!(udp[&33001], "open|filtered");
        assert!(
            machine
                .ok(&["nft", "list", "ruleset"])
                .contains("203.0.113.9 timeout 1d")
        );
    };
    as_expected(&machine);

    machine.reboot();
    as_expected(&machine);

    machine.put("/root/note", "written before the power went", 0o600);
    machine.power_loss();
    assert!(machine.root().join("root/note").exists());
    machine.power_on();
    as_expected(&machine);

    machine.link(false);
    assert_eq!(
        machine
            .run(&["cat", "/sys/class/net/host0/carrier"])
            .stdout
            .trim(),
        "0"
    );
    machine.link(true);
    assert!(machine.ssh(22, Family::V6, "true").ok());
}

#[test]
fn somebody_can_log_in_and_type() {
    let machine = Machine::boot(Suite::Trixie);
    let terminal = machine.terminal(22, "python3 -q");
    terminal.wait_for(">>>", seconds(10));
    terminal.text("print('number', 6 * 7)");
    terminal.keys(&["Enter"]);
    let screen = terminal.wait_for("number 42", seconds(5));
    assert_eq!(screen.lines().count(), 24);
    assert!(terminal.picture().contains("number 42"));
    terminal.resize(60, 15);
    terminal.text("import os, sys; print('size', tuple(os.get_terminal_size()))");
    terminal.keys(&["Enter"]);
    terminal.wait_for("size (60, 15)", seconds(5));
    terminal.text("sys.exit(7)");
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(5)), 7);
    assert_eq!(machine.feed(&["tr", "a-z", "A-Z"], "fed"), "FED");
    machine.install();
}
