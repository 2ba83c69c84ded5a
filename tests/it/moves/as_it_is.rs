//! What a rehearsal says of a host where something stands in the way is what nmap finds on that host, cell by cell, and
//! what shuts a port is named as the firewall's own tool prints it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::firewalld::guarded;
use super::{Login, Machine, Protocol, Suite, seconds, ufw, wait};

/// Rehearses in a login that was there before the machine was changed: some changes keep new ones out.
fn rehearsed(machine: &Machine, then: &str) -> Value {
    let mut login = Login::start(
        machine,
        22,
        "read go; faspwall rehearse -f /root/answers.toml --json > /root/told.json 2> /root/said; \
         echo $? > /root/status; exec cat",
    );
    machine.sh(then);
    login.say("go");
    let status = wait("the rehearsal", seconds(150), || {
        machine.get("/root/status").filter(|text| text.ends_with('\n'))
    });
    let said = machine.get("/root/said").unwrap_or_default();
    assert_eq!(status.trim(), "9", "{said}");
    let told = machine.get("/root/told.json").expect("a document");
    drop(login);
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}\n{said}"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().expect("text")
}

/// Each inbound cell, before the change or as the host is, against a scan from the cell's own sender.
fn assert_found_by_nmap(machine: &Machine, told: &Value) {
    // Refusals must not be counted out against each other.
    machine.sh(
        "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000",
    );
    let cells = told["cells"].as_array().expect("cells");
    let inbound: Vec<&Value> = cells.iter().filter(|cell| cell["direction"] == "in").collect();
    let mut asked: BTreeMap<(&str, &str), BTreeSet<u16>> = BTreeMap::new();
    let port = |cell: &Value| u16::try_from(cell["port"].as_u64().expect("a number")).expect("a port");
    for cell in &inbound {
        let sender = (text(cell, "from"), text(cell, "protocol"));
        asked.entry(sender).or_default().insert(port(cell));
    }
    assert!(asked.len() >= 4, "both families and protocols: {asked:?}");
    for ((from, protocol), ports) in asked {
        let of = if protocol == "tcp" {
            Protocol::Tcp
        } else {
            Protocol::Udp
        };
        let found = machine.verdicts(of, &ports, from);
        for cell in &inbound {
            if (text(cell, "from"), text(cell, "protocol")) == (from, protocol) {
                assert_eq!(cell["before"], found[&port(cell)].as_str(), "{cell}: {found:?}");
            }
        }
    }
}

fn assert_named(told: &Value, port: &str, layer: &str, rule: &str) {
    let blockers = told["blockers"].as_array().expect("blockers");
    let named = |blocker: &Value| {
        text(blocker, "port") == port
            && text(blocker, "layer").contains(layer)
            && text(blocker, "rule").contains(rule)
    };
    assert!(blockers.iter().any(named), "{blockers:#?}");
}

fn assert_obstacle(told: &Value, words: &str) {
    assert_eq!(told["ok"], false, "{told:#}");
    let obstacles = told["obstacles"].as_array().expect("obstacles");
    assert!(
        obstacles
            .iter()
            .any(|text| text.as_str().is_some_and(|text| text.contains(words))),
        "{obstacles:#?}"
    );
    for cell in told["cells"].as_array().expect("cells") {
        assert_eq!(cell["before"], cell["after"], "{cell}");
    }
}

/// The operator's network is put into the zone block, and a rule of a low priority refuses a port for everyone.
fn firewalld(suite: Suite) {
    let machine = guarded(suite);
    let network = format!("10.98.{}.0/24", machine.number());
    let early = "rule priority=\"-10\" port port=\"8443\" protocol=\"tcp\" reject";
    let told = rehearsed(
        &machine,
        &format!(
            "set -e; firewall-cmd -q --zone=block --add-source={network}\n\
             firewall-cmd -q --zone=dmz --add-rich-rule='{early}'"
        ),
    );
    assert_obstacle(&told, "into the zone block, which lets nobody in");
    assert_obstacle(&told, early);
    let block = format!("zone block (source {network}) of firewalld");
    assert_named(&told, "TCP/33001", &block, "target: %%REJECT%%");
    assert_named(&told, "TCP/8443", "zone dmz of firewalld", early);
    assert_found_by_nmap(&machine, &told);
}

#[test]
fn nmap_finds_what_is_played_of_zones_that_refuse_on_debian_12() {
    firewalld(Suite::Bookworm);
}

#[test]
fn nmap_finds_what_is_played_of_zones_that_refuse_on_debian_13() {
    firewalld(Suite::Trixie);
}

/// The operator's network stands in a set, for now only, that a zone drops: the plan cannot know that, the packets can.
fn in_a_set(suite: Suite) {
    let machine = guarded(suite);
    let ban = "rule source ipset=\"bad\" drop";
    let early = "rule priority=\"-10\" source ipset=\"bad\" port port=\"8443\" protocol=\"tcp\" reject";
    machine.sh(
        "set -e; firewall-cmd -q --permanent --new-ipset=bad --type=hash:net; firewall-cmd -q --reload\n\
         firewall-cmd -q --zone=dmz --change-interface=host0",
    );
    let told = rehearsed(
        &machine,
        &format!(
            "set -e; firewall-cmd -q --zone=dmz --add-rich-rule='{ban}'\n\
             firewall-cmd -q --zone=dmz --add-rich-rule='{early}'\n\
             firewall-cmd -q --ipset=bad --add-entry=10.98.{}.0/24",
            machine.number()
        ),
    );
    assert_eq!(told["obstacles"], serde_json::json!([]), "{told:#}");
    assert_named(&told, "TCP/33001", "zone dmz of firewalld", ban);
    assert_named(&told, "TCP/8443", "zone dmz of firewalld", early);
    assert_found_by_nmap(&machine, &told);
}

#[test]
fn a_set_that_holds_the_operator_is_named_with_zone_and_rule_on_debian_12() {
    in_a_set(Suite::Bookworm);
}

#[test]
fn a_set_that_holds_the_operator_is_named_with_zone_and_rule_on_debian_13() {
    in_a_set(Suite::Trixie);
}

/// `before.rules` drops a port in front of all that ufw adds.
fn ufw(suite: Suite) {
    let machine = ufw::server(suite);
    let told = rehearsed(
        &machine,
        "sed -i '/^# allow MULTICAST mDNS/i -A ufw-before-input -p tcp --dport 33001 -j DROP' /etc/ufw/before.rules\n\
         ufw reload",
    );
    assert_obstacle(&told, "/etc/ufw/before.rules");
    assert_named(
        &told,
        "TCP/33001",
        "chain ufw-before-input",
        "-A ufw-before-input -p tcp -m tcp --dport 33001 -j DROP",
    );
    assert_found_by_nmap(&machine, &told);
}

#[test]
fn nmap_finds_what_is_played_of_before_rules_on_debian_12() {
    ufw(Suite::Bookworm);
}

#[test]
fn nmap_finds_what_is_played_of_before_rules_on_debian_13() {
    ufw(Suite::Trixie);
}
