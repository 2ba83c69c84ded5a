//! The same answers on the same starting policy mean the same on every firewall, on every port.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::iptables::server as with_iptables;
use super::{ANSWERS, Family, Machine, Suite, document};

const NATIVE: &str = "#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 22 accept
	}
}
";

/// With a list of networks, a stretch of ports, and 22 for a network of its own: of the two strangers that a sweep sends,
/// one family's is in the first, the other's in the second.
const NAMED: &str = "schema = 1\nrole = \"connect-server\"\n\n[ssh]\nport = 33001\nlegacy_22 = \"restrict\"\n\
    restrict_22_to = [\"2001:db8:9::/48\"]\n\n[fasp]\nudp = \"33001-33010\"\n\n\
    [firewall]\nsources = [\"198.51.100.0/24\", \"2001:db8:feed::/48\"]\n";

/// The same for both families of iptables.
fn tables(icmp: &str) -> String {
    format!(
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
         -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n\
         -A INPUT -p {icmp} -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
    )
}

/// A machine that drops everything but SSH, by the named firewall.
fn host(firewall: &str) -> Machine {
    if let Some(variant) = firewall.strip_prefix("iptables-") {
        let machine = with_iptables(Suite::Bookworm, variant, &tables("icmp"), &tables("ipv6-icmp"));
        machine.put("/root/answers.toml", ANSWERS, 0o600);
        return machine;
    }
    let machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.put("/root/answers.toml", ANSWERS, 0o600);
    match firewall {
        "nftables" => {
            machine.put("/etc/nftables.conf", NATIVE, 0o755);
            machine.ok(&["systemctl", "enable", "--quiet", "--now", "nftables"]);
        }
        "ufw" => {
            machine.ok(&["ufw", "allow", "22/tcp"]);
            machine.ok(&["ufw", "--force", "enable"]);
            machine.ok(&["systemctl", "enable", "--quiet", "ufw"]);
        }
        _ => {
            machine.ok(&["systemctl", "enable", "--quiet", "--now", "firewalld"]);
            super::firewalld::wait_for_daemon(&machine);
        }
    }
    machine
}

/// What a sweep says of each protocol and family: opened, closed, unasked.
fn rows(rehearsal: &Value) -> BTreeMap<String, Value> {
    let rows = rehearsal["sweep"].as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| {
            let name = format!("{} {}", row["protocol"], row["family"]).replace('"', "");
            (name, json!([row["opened"], row["closed"], row["unasked"]]))
        })
        .collect()
}

/// Of each protocol and family what is opened, what is closed, and nothing that nobody asked for.
fn asked(of_each: [(&str, &[&str], &[&str]); 4]) -> BTreeMap<String, Value> {
    of_each
        .map(|(kind, opened, closed)| (kind.to_owned(), json!([opened, closed, []])))
        .into()
}

/// What a rehearsal with a sweep says of all ports.
fn sweep(machine: &Machine, firewall: &str, answers: &str) -> BTreeMap<String, Value> {
    machine.put("/root/swept.toml", answers, 0o600);
    let words = [
        "faspwall",
        "rehearse",
        "-f",
        "/root/swept.toml",
        "--sweep",
        "--json",
    ];
    let rehearsal = document(&machine.run(&words));
    assert_eq!(rehearsal["ok"], true, "{firewall}: {rehearsal:#}");
    rows(&rehearsal)
}

/// Only these ports, of all, are let in over each protocol, in both families; somebody answers on those of TCP.
fn assert_let_in(machine: &Machine, tcp: u16, udp: &[u16], firewall: &str) {
    for family in [Family::V4, Family::V6] {
        let seen = machine.scan_all(family);
        assert_eq!(
            seen.keys().collect::<Vec<_>>(),
            [&tcp],
            "{firewall}, TCP over {family:?}"
        );
        let udp: BTreeSet<u16> = udp.iter().copied().collect();
        let heard = machine.let_in_over_udp(family);
        assert_eq!(heard, udp, "{firewall}, UDP over {family:?}");
    }
}

fn means_the_same(firewall: &str) {
    let plain = asked([
        ("tcp ipv4", &["33001"], &["22"]),
        ("tcp ipv6", &["33001"], &["22"]),
        ("udp ipv4", &["33001"], &[]),
        ("udp ipv6", &["33001"], &[]),
    ]);
    let named = asked([
        ("tcp ipv4", &["33001"], &["22"]),
        ("tcp ipv6", &[], &[]),
        ("udp ipv4", &["33001-33010"], &[]),
        ("udp ipv6", &[], &[]),
    ]);
    let machine = host(firewall);
    assert_eq!(sweep(&machine, firewall, ANSWERS), plain, "{firewall}");
    assert_eq!(
        sweep(&machine, firewall, NAMED),
        named,
        "{firewall}, with networks"
    );
    assert_let_in(&machine, 22, &[], firewall);
    let words = [
        "faspwall",
        "apply",
        "-f",
        "/root/answers.toml",
        "--no-confirm",
        "--json",
    ];
    let ran = machine.run(&words);
    assert!(ran.ok(), "{firewall}: {}{}", ran.stdout, ran.stderr);
    assert_let_in(&machine, 33001, &[33001], firewall);
}

#[test]
fn the_same_answers_mean_the_same_on_every_port_of_nftables() {
    means_the_same("nftables");
}

#[test]
fn the_same_answers_mean_the_same_on_every_port_of_the_nft_variant_of_iptables() {
    means_the_same("iptables-nft");
}

#[test]
fn the_same_answers_mean_the_same_on_every_port_of_the_old_iptables() {
    means_the_same("iptables-legacy");
}

#[test]
fn the_same_answers_mean_the_same_on_every_port_of_ufw() {
    means_the_same("ufw");
}

#[test]
fn the_same_answers_mean_the_same_on_every_port_of_firewalld() {
    means_the_same("firewalld");
}
