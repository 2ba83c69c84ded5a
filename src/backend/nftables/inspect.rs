//! What the kernel's ruleset says about this host, for the screens and for the choice of the chains that get a rule.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::model::{Chain, ModelError, Ruleset};
use super::packet::{Family, Kind, Packet};
use super::reach;
use crate::facts::{ChainFact, Foreign, InboundDefault};
use crate::port::{Direction, Protocol};

/// A port that no catalogue, no vendor and no usual service knows: what happens to it is what happens by default.
pub const NOBODYS_PORT: u16 = 49_877;

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The ruleset itself.
    pub ruleset: Ruleset,
    /// Base chains on the way in (ingress, prerouting, input) and out (output), in the order in which they are walked.
    pub chains: Vec<ChainFact>,
    /// Objects of others.
    pub foreign: Vec<Foreign>,
    /// What happens to a packet that no rule names.
    pub inbound_default: InboundDefault,
}

/// Reads `nft -j list ruleset` of a host whose addresses are not known.
pub fn inspect(json: &str) -> Result<Inspection, ModelError> {
    inspect_on(json, &[])
}

/// Reads `nft -j list ruleset` of a host with these addresses.
pub fn inspect_on(json: &str, addresses: &[IpAddr]) -> Result<Inspection, ModelError> {
    let mut ruleset = Ruleset::parse(json)?;
    ruleset.addresses = addresses.to_vec();
    Ok(inspect_view(ruleset))
}

/// What a ruleset says that has been read already.
pub fn inspect_view(ruleset: Ruleset) -> Inspection {
    let chains = path_chains(&ruleset)
        .into_iter()
        .map(|chain| chain_fact(&ruleset, chain))
        .collect();
    Inspection {
        chains,
        foreign: foreign(&ruleset),
        inbound_default: inbound_default(&ruleset),
        ruleset,
    }
}

/// Digest of everything in the ruleset that decides about packets: equal digests, equal treatment.
pub fn fingerprint(ruleset: &Ruleset) -> String {
    let mut hash = Sha256::new();
    for line in ruleset.lines() {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base chains that an inbound packet or its reply walks through, earliest first. NAT chains take no accept, unless their
/// policy drops what none of their rules translates.
pub fn path_chains(ruleset: &Ruleset) -> Vec<&Chain> {
    let rank = |hook: &str| match hook {
        "ingress" => Some(0),
        "prerouting" => Some(1),
        "input" => Some(2),
        "output" => Some(3),
        "postrouting" => Some(4),
        "egress" => Some(5),
        _ => None,
    };
    let mut chains: Vec<(i32, i64, &Chain)> = ruleset
        .chains
        .iter()
        .filter(|chain| matches!(chain.family.as_str(), "inet" | "ip" | "ip6" | "netdev"))
        .filter(|chain| {
            let mut tables = ruleset.tables.iter();
            !tables.any(|t| t.dormant && t.family == chain.family && t.name == chain.table)
        })
        .filter_map(|chain| {
            let base = chain.base.as_ref()?;
            let filters = matches!(base.kind.as_str(), "filter" | "route")
                || (base.kind == "nat" && base.policy == "drop");
            filters
                .then(|| rank(&base.hook).map(|rank| (rank, base.priority, chain)))
                .flatten()
        })
        .collect();
    chains.sort_by_key(|(rank, priority, _)| (*rank, *priority));
    chains.into_iter().map(|(_, _, chain)| chain).collect()
}

/// Chains of others that may send a packet elsewhere before it is filtered: one that comes in, or one that leaves.
pub fn translating_chains(ruleset: &Ruleset, direction: Direction) -> impl Iterator<Item = &Chain> {
    let hook = match direction {
        Direction::In => "prerouting",
        Direction::Out => "output",
    };
    ruleset.chains.iter().filter(move |chain| {
        matches!(chain.family.as_str(), "inet" | "ip" | "ip6")
            && !chain.table.starts_with("faspwall")
            && chain
                .base
                .as_ref()
                .is_some_and(|base| base.kind == "nat" && base.hook == hook)
    })
}

/// Whether packets towards this host walk the chain (else: packets that leave it).
pub fn is_inbound(chain: &Chain) -> bool {
    chain
        .base
        .as_ref()
        .is_some_and(|b| matches!(b.hook.as_str(), "ingress" | "prerouting" | "input"))
}

/// The address families that a table of this family sees.
pub fn families(family: &str) -> &'static [Family] {
    match family {
        "ip" => &[Family::V4],
        "ip6" => &[Family::V6],
        _ => &[Family::V4, Family::V6],
    }
}

fn chain_fact(ruleset: &Ruleset, chain: &Chain) -> ChainFact {
    let kind = if is_inbound(chain) {
        Kind::Opening
    } else {
        Kind::Reply
    };
    let dropped_by = families(&chain.family).iter().find_map(|family| {
        let packet = Packet::inbound(Protocol::Tcp, *family, NOBODYS_PORT, kind);
        reach::fate(ruleset, chain, packet).dropped_by
    });
    let base = chain.base.as_ref();
    ChainFact {
        family: chain.family.clone(),
        table: chain.table.clone(),
        chain: chain.name.clone(),
        hook: base.map(|b| b.hook.clone()).unwrap_or_default(),
        priority: base.map_or(0, |b| b.priority),
        policy: base.map(|b| b.policy.clone()).unwrap_or_default(),
        drops: dropped_by,
        owner: owner(ruleset, &chain.family, &chain.table),
    }
}

/// Who made a table, told by names and by what only iptables-nft writes.
pub fn owner(ruleset: &Ruleset, family: &str, table: &str) -> Option<String> {
    let known = match table {
        "firewalld" | "firewalld_policy_drop" => Some("firewalld"),
        "f2b-table" => Some("fail2ban"),
        "fw4" => Some("OpenWrt"),
        "kube-proxy" => Some("kube-proxy"),
        "libvirt_network" => Some("libvirt"),
        "docker-bridges" => Some("docker"),
        "proxmox-firewall" | "proxmox-firewall-guests" => Some("Proxmox"),
        _ if table == "faspwall" || table.starts_with("faspwall_") => Some("faspwall"),
        _ if table.starts_with("crowdsec") => Some("crowdsec"),
        _ if table.starts_with("wg-quick-") => Some("wg-quick"),
        _ if table.ends_with(" (legacy)") => Some("iptables-legacy"),
        _ => None,
    };
    if known.is_some() {
        return known.map(str::to_owned);
    }
    let compat = ruleset
        .rules
        .iter()
        .filter(|rule| rule.glance.of_iptables())
        .any(|rule| rule.family == family && rule.table == table);
    let capitals = ruleset.chains.iter().any(|c| {
        c.family == family
            && c.table == table
            && c.base.is_some()
            && c.name.chars().all(|l| l.is_ascii_uppercase())
    });
    let iptables_table =
        matches!(table, "filter" | "nat" | "mangle" | "raw" | "security") && family != "inet";
    let native = ruleset
        .tables
        .iter()
        .any(|t| t.native && t.family == family && t.name == table);
    (compat || (capitals && iptables_table && !native)).then(|| String::from("iptables-nft"))
}

fn foreign(ruleset: &Ruleset) -> Vec<Foreign> {
    let mut counts: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
    // Asked once for each table: the answer looks at all of its rules.
    let owners: BTreeMap<(&str, &str), String> = ruleset
        .tables
        .iter()
        .map(|t| {
            let owner = owner(ruleset, &t.family, &t.name);
            let name = owner.unwrap_or_else(|| format!("table {} {}", t.family, t.name));
            ((t.family.as_str(), t.name.as_str()), name)
        })
        .collect();
    let whose = |family: &str, table: &str| {
        let known = owners.get(&(family, table)).cloned();
        known.unwrap_or_else(|| format!("table {family} {table}"))
    };
    for rule in ruleset.rules.iter().filter(|rule| !rule.is_ours()) {
        *counts
            .entry((whose(&rule.family, &rule.table), "rules"))
            .or_default() += 1;
    }
    for set in ruleset.sets.iter().filter(|set| !set.is_ours()) {
        let elements = set.elements.iter().filter(|e| **e != Value::Null).count();
        *counts
            .entry((whose(&set.family, &set.table), "set elements"))
            .or_default() += elements;
    }
    let present = counts.into_iter().filter(|(_, count)| *count > 0);
    present
        .map(|((owner, kind), count)| Foreign {
            owner,
            kind: kind.to_owned(),
            count,
        })
        .collect()
}

/// What happens to a packet from outside that no rule names.
pub fn inbound_default(ruleset: &Ruleset) -> InboundDefault {
    let mut result = InboundDefault::Accept;
    for chain in path_chains(ruleset).into_iter().filter(|chain| is_inbound(chain)) {
        for family in families(&chain.family) {
            let packet = Packet::inbound(Protocol::Tcp, *family, NOBODYS_PORT, Kind::Opening);
            match reach::fate(ruleset, chain, packet).dropped_by {
                Some(reason) if reason.ends_with("reject") && result == InboundDefault::Accept => {
                    result = InboundDefault::Reject;
                }
                Some(reason) if !reason.ends_with("reject") => return InboundDefault::Drop,
                _ => {}
            }
        }
    }
    result
}
