//! Who owns the inbound rules: native rules are taken on, everything else is refused and left alone.

use faspwall::facts::{BackendId, Facts, InboundDefault};

use super::{ask, facts, machine};
use crate::boxes::{Machine, Suite, seconds, wait};

const NATIVE: &str = "table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iif lo accept
    tcp dport 22 accept
  }
}
";

fn refused(facts: &Facts, owner: &str, command: &str) {
    assert_eq!(facts.backend, None, "{owner}");
    let refusal = facts.refusal.as_deref().unwrap_or_default();
    for part in [owner, command, "Nothing was changed"] {
        assert!(refusal.contains(part), "{part:?} in {refusal:?}");
    }
}

/// What looking must leave as it is.
fn state(machine: &Machine) -> String {
    machine.sh(
        "nft list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names; \
         systemctl list-units --all --plain --no-legend --type=service,socket,mount | sort; \
         find /etc /run/sshd /var/lib -newer /run/mark -type f; lsmod 2>/dev/null | wc -l",
    )
}

#[test]
fn native_rules_are_taken_on_and_looking_changes_nothing() {
    let machine = machine(Suite::Bookworm);
    let empty = facts(&machine);
    assert_eq!((empty.backend, empty.refusal), (Some(BackendId::Nftables), None));
    assert_eq!(empty.inbound_default, InboundDefault::Accept);
    assert_eq!(empty.boot.file.as_deref(), Some("/etc/nftables.conf".as_ref()));
    assert_eq!(
        (empty.boot.unit.as_deref(), empty.boot.enabled),
        (Some("nftables.service"), Some(false))
    );

    machine.feed(&["nft", "-f", "-"], NATIVE);
    // What fail2ban and docker put beside native rules is none of our business, and does not stop us.
    machine.sh(
        "iptables-nft -N f2b-sshd; iptables-nft -A f2b-sshd -s 192.0.2.7 -j REJECT; \
         iptables-nft -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd; iptables-nft -P FORWARD DROP; \
         systemctl enable -q nftables; touch /run/mark",
    );
    let before = state(&machine);
    let native = facts(&machine);
    assert_eq!(state(&machine), before);
    assert_eq!(native.backend, Some(BackendId::Nftables), "{:?}", native.refusal);
    assert_eq!(native.inbound_default, InboundDefault::Drop);
    assert_eq!(native.boot.enabled, Some(true));
    let input = native
        .chains
        .iter()
        .find(|c| c.table == "filter" && c.family == "inet");
    assert_eq!(input.and_then(|c| c.drops.as_deref()), Some("policy drop"));
    let fact = native
        .backends
        .iter()
        .find(|b| b.id == BackendId::Nftables)
        .expect("there");
    assert_eq!(
        (fact.version.as_deref(), fact.active, fact.owner),
        (Some("1.0.6"), true, true)
    );

    // Whoever is not root sees less, and is told so.
    machine.sh("useradd -m joe; su joe -c 'ask /tmp/a facts'");
    let facts: Facts = serde_json::from_str(&super::answer(&machine, "/tmp/a")).expect("JSON");
    assert!(!facts.privileged && facts.backend.is_none());
    assert_eq!(
        (facts.ssh.ports.as_slice(), facts.ssh.pid.is_some()),
        ([22].as_slice(), true)
    );
    assert!(facts.refusal.is_some_and(|r| r.contains("sudo")));
}

#[test]
fn hosts_of_other_firewalls_are_refused_with_the_way_out() {
    let machine = machine(Suite::Trixie);
    machine.ok(&["ufw", "--force", "enable"]);
    refused(&facts(&machine), "ufw", "ufw allow");
    machine.ok(&["nft", "flush", "ruleset"]);
    refused(&facts(&machine), "comes back", "ufw allow");
    machine.ok(&["ufw", "--force", "disable"]);
    assert_eq!(
        facts(&machine).backend,
        Some(BackendId::Nftables),
        "leftovers of ufw own nothing"
    );

    machine.sh("nft flush ruleset; systemctl start firewalld");
    wait("firewalld's table", seconds(20), || {
        machine
            .ok(&["nft", "list", "tables"])
            .contains("firewalld")
            .then_some(())
    });
    refused(&facts(&machine), "firewalld", "firewall-cmd --permanent");
    machine.sh("systemctl stop firewalld; nft flush ruleset; systemctl enable -q firewalld");
    refused(&facts(&machine), "starts at boot", "firewall-cmd --permanent");
    machine.sh("systemctl disable -q firewalld");

    machine.sh("iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT; iptables-nft -A INPUT -j REJECT");
    refused(&facts(&machine), "iptables (nft variant)", "iptables -I INPUT");
    machine.sh("nft flush ruleset; ip6tables-legacy -P INPUT DROP");
    refused(
        &facts(&machine),
        "iptables (legacy variant)",
        "iptables-legacy -I INPUT",
    );
    machine.sh("ip6tables-legacy -P INPUT ACCEPT");
    assert_eq!(
        facts(&machine).backend,
        Some(BackendId::Nftables),
        "an empty legacy table owns nothing"
    );

    machine.sh("mv /usr/sbin/nft /usr/sbin/nft.away");
    let facts = facts(&machine);
    assert_eq!(facts.backend, None);
    assert!(facts.refusal.is_some_and(|r| r.contains("package nftables")));
    assert!(!ask(&machine, "session").is_empty());
}
