//! The same answers on the same starting policy mean the same on every firewall, on every port.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::iptables::server as with_iptables;
use super::{ANSWERS, Family, Machine, Suite, document, seconds, wait};

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
            // Its service counts as started a moment before its rules are loaded.
            wait("firewalld has loaded its rules", seconds(30), || {
                machine.run(&["firewall-cmd", "--state"]).ok().then_some(())
            });
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

#[test]
fn the_same_answers_mean_the_same_on_every_firewall_and_every_port() {
    let asked = BTreeMap::from([
        (String::from("tcp ipv4"), json!([["33001"], ["22"], []])),
        (String::from("tcp ipv6"), json!([["33001"], ["22"], []])),
        (String::from("udp ipv4"), json!([["33001"], [], []])),
        (String::from("udp ipv6"), json!([["33001"], [], []])),
    ]);
    let firewalls = ["nftables", "iptables-nft", "iptables-legacy", "ufw", "firewalld"];
    for firewall in firewalls {
        let machine = host(firewall);
        let words = [
            "faspwall",
            "rehearse",
            "-f",
            "/root/answers.toml",
            "--sweep",
            "--json",
        ];
        let rehearsal = document(&machine.run(&words));
        assert_eq!(rehearsal["ok"], true, "{firewall}: {rehearsal:#}");
        assert_eq!(rows(&rehearsal), asked, "{firewall}");
        let before = machine.scan_all(Family::V4);
        assert_eq!(before.keys().collect::<Vec<_>>(), [&22], "{firewall}");
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
        for family in [Family::V4, Family::V6] {
            let open = machine.scan_all(family);
            assert_eq!(open.keys().collect::<Vec<_>>(), [&33001], "{firewall}");
        }
    }
}
