//! Writes nft text: the rules that let a requirement through, the timed sets of the trial, the deny of closed ports.

use std::collections::BTreeSet;
use std::fmt::Write;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::inspect::{families, is_inbound, path_chains, translating_chains};
use super::model::{Chain, Ruleset};
use super::packet::{Family, Kind, Packet};
use super::reach;
use crate::facts::Session;
use crate::plan::{Port22, Requirement};
use crate::port::{Direction, PortRange, Protocol};

/// Our table for what is kept.
pub const TABLE: &str = "faspwall";
/// Our table while a trial is live.
pub const TRIAL_TABLE: &str = "faspwall_trial";
/// Our table while sshd changes ports.
pub const BRIDGE_TABLE: &str = "faspwall_bridge";
/// Runs before every filter of others, and before conntrack-dependent ones.
const FIRST: i32 = -300;
/// A connection's first packet and nothing else: an open session is never hurt, tracked or not.
const FIRST_PACKET: &str = "tcp flags & (fin | syn | rst | ack) == syn";

/// This host may go on talking to itself.
const STRANGER: &str = "iifname != \"lo\"";

/// A set whose elements the kernel takes out by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// `inet filter`
    pub table: String,
    /// Name of the set.
    pub set: String,
    /// Ports or ranges.
    pub elements: Vec<String>,
}

/// A rule and the chain whose top it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// `inet filter input`
    pub chain: String,
    /// `inet filter`
    pub table: String,
    /// Id of the requirement.
    pub need: String,
    /// Matches, without verdict and comment.
    pub matches: String,
    /// The set that times it, with the port expression it is compared to.
    pub protocol: Protocol,
    /// `dport` or `sport`.
    pub field: &'static str,
    /// The ports, for the timed set.
    pub ports: String,
    /// What would drop the packet here without the rule.
    pub because: String,
}

fn packet(requirement: &Requirement, family: Family, kind: Kind) -> Packet<'_> {
    Packet {
        protocol: requirement.protocol,
        family,
        port: requirement.ports.first(),
        kind,
        group: requirement.group,
        peers: &requirement.peers,
        outbound: requirement.direction == Direction::Out,
    }
}

/// For an inbound need the opening packet comes in and the reply goes out; for an outbound one it is the other way
/// round.
fn kind_for(requirement: &Requirement, chain: &Chain) -> Kind {
    match (requirement.direction, is_inbound(chain)) {
        (Direction::In, true) | (Direction::Out, false) => Kind::Opening,
        _ => Kind::Reply,
    }
}

fn numbers(value: &Value, range: PortRange, found: &mut BTreeSet<u16>) {
    match value {
        Value::Number(number) => {
            let port = number.as_u64().and_then(|n| u16::try_from(n).ok());
            let near = port.map(|p| [p.saturating_sub(1), p, p.saturating_add(1)]);
            found.extend(near.into_iter().flatten().filter(|p| range.contains(*p)));
        }
        Value::Array(items) => items.iter().for_each(|item| numbers(item, range, found)),
        Value::Object(map) => map.values().for_each(|item| numbers(item, range, found)),
        _ => {}
    }
}

/// The ports of a range that a ruleset may treat differently from their neighbours, its ends among them.
fn telling_ports(ruleset: &Ruleset, range: PortRange) -> Vec<u16> {
    let mut found = BTreeSet::from([range.first(), range.last()]);
    if range.first() != range.last() {
        let rules = ruleset.rules.iter().flat_map(|rule| &rule.expressions);
        let elements = ruleset.sets.iter().flat_map(|set| &set.elements);
        for value in rules.chain(elements) {
            numbers(value, range, &mut found);
        }
    }
    found.into_iter().collect()
}

/// What could drop this requirement's packets in this chain.
fn obstacle(ruleset: &Ruleset, chain: &Chain, requirement: &Requirement, ports: &[u16]) -> Option<String> {
    let kind = kind_for(requirement, chain);
    let wanted = |family: &&Family| {
        let of_family = |net: &IpNet| matches!(net, IpNet::V4(_)) == (**family == Family::V4);
        // A group has one family, and nobody sends to it in the other.
        requirement.group.as_ref().is_none_or(of_family)
            && (requirement.peers.is_empty() || requirement.peers.iter().any(of_family))
    };
    families(&chain.family).iter().filter(wanted).find_map(|family| {
        ports.iter().find_map(|port| {
            let packet = Packet {
                port: *port,
                ..packet(requirement, *family, kind)
            };
            reach::fate(ruleset, chain, packet).dropped_by
        })
    })
}

/// What sends this requirement's packets to another port or host.
fn diversion(ruleset: &Ruleset, chain: &Chain, requirement: &Requirement, ports: &[u16]) -> Option<String> {
    if requirement.direction == Direction::Out {
        return None;
    }
    families(&chain.family).iter().find_map(|family| {
        ports.iter().find_map(|port| {
            let packet = Packet {
                port: *port,
                ..packet(requirement, *family, Kind::Opening)
            };
            reach::diverted(ruleset, chain, packet)
        })
    })
}

/// Requirements that the ruleset does not let through, each with the chain and the rule that is in the way.
pub fn gaps<'r>(ruleset: &Ruleset, requirements: &'r [Requirement]) -> Vec<(&'r Requirement, String)> {
    let chains = path_chains(ruleset);
    requirements
        .iter()
        .filter_map(|requirement| {
            let ports = telling_ports(ruleset, requirement.ports);
            let named = |chain: &Chain, reason: String| {
                let text = format!("{} {} {}: {reason}", chain.family, chain.table, chain.name);
                (requirement, text)
            };
            let dropped = chains.iter().find_map(|chain| {
                let reason = obstacle(ruleset, chain, requirement, &ports)?;
                Some(named(chain, reason))
            });
            dropped.or_else(|| {
                translating_chains(ruleset).find_map(|chain| {
                    let reason = diversion(ruleset, chain, requirement, &ports)?;
                    Some(named(chain, reason))
                })
            })
        })
        .collect()
}

fn nets(peers: &[IpNet], v4: bool) -> String {
    let chosen: Vec<String> = peers
        .iter()
        .filter(|net| matches!(net, IpNet::V4(_)) == v4)
        .map(ToString::to_string)
        .collect();
    match chosen.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        many => format!("{{ {} }}", many.join(", ")),
    }
}

/// The address matches of a rule; one text for each family that needs its own rule. Empty text: no address match.
fn address_matches(peers: &[IpNet], group: Option<IpNet>, field: &str, family: &str) -> Vec<String> {
    let sees = |v4: bool| families(family).contains(if v4 { &Family::V4 } else { &Family::V6 });
    let group_match = group.map(|g| match g {
        IpNet::V4(_) => (true, format!("ip daddr {g} ")),
        IpNet::V6(_) => (false, format!("ip6 daddr {g} ")),
    });
    if peers.is_empty() {
        return match group_match {
            Some((v4, text)) => {
                if sees(v4) {
                    vec![text]
                } else {
                    Vec::new()
                }
            }
            None => vec![String::new()],
        };
    }
    [(true, "ip"), (false, "ip6")]
        .into_iter()
        .filter(|(v4, _)| sees(*v4) && !nets(peers, *v4).is_empty())
        .filter_map(|(v4, word)| {
            let group_text = match &group_match {
                Some((group_v4, text)) if *group_v4 == v4 => text.clone(),
                Some(_) => return None,
                None => String::new(),
            };
            Some(format!("{group_text}{word} {field} {} ", nets(peers, v4)))
        })
        .collect()
}

/// The rules that are missing: one for each requirement, chain and, with source networks, address family.
pub fn place(ruleset: &Ruleset, requirements: &[Requirement]) -> Vec<Placed> {
    let mut placed = Vec::new();
    let ports: Vec<Vec<u16>> = requirements
        .iter()
        .map(|requirement| telling_ports(ruleset, requirement.ports))
        .collect();
    for chain in path_chains(ruleset) {
        for (requirement, ports) in requirements.iter().zip(&ports) {
            let Some(because) = obstacle(ruleset, chain, requirement, ports) else {
                continue;
            };
            let opening = kind_for(requirement, chain) == Kind::Opening;
            let field = if opening { "dport" } else { "sport" };
            // The far end of the connection, whichever side opened it.
            let address = if is_inbound(chain) { "saddr" } else { "daddr" };
            let group = if opening { requirement.group } else { None };
            for addresses in address_matches(&requirement.peers, group, address, &chain.family) {
                placed.push(Placed {
                    chain: format!("{} {} {}", chain.family, chain.table, chain.name),
                    table: format!("{} {}", chain.family, chain.table),
                    need: requirement.id.clone(),
                    matches: format!(
                        "{addresses}{} {field} {}",
                        requirement.protocol, requirement.ports
                    ),
                    protocol: requirement.protocol,
                    field,
                    ports: requirement.ports.to_string(),
                    because: because.clone(),
                });
            }
        }
    }
    placed
}

/// Name of the timed set for a protocol, in tables of others.
pub fn set_name(protocol: Protocol) -> String {
    format!("faspwall_{protocol}")
}

/// The timed sets that a list of rules needs.
pub fn timed_sets(placed: &[Placed]) -> Vec<Timed> {
    let mut sets: Vec<Timed> = Vec::new();
    for rule in placed {
        let name = set_name(rule.protocol);
        let index = sets
            .iter()
            .position(|s| s.table == rule.table && s.set == name)
            .unwrap_or_else(|| {
                sets.push(Timed {
                    table: rule.table.clone(),
                    set: name,
                    elements: Vec::new(),
                });
                sets.len() - 1
            });
        if let Some(set) = sets.get_mut(index)
            && !set.elements.contains(&rule.ports)
        {
            set.elements.push(rule.ports.clone());
        }
    }
    sets
}

/// Trial 1: timed sets, the clock, and the accepts that look their port up in them.
pub fn trial_1(placed: &[Placed], tag: &str, seconds: u64) -> String {
    let mut text = format!(
        "add table inet {TRIAL_TABLE}\nadd set inet {TRIAL_TABLE} clock {{ type inet_service; flags timeout; }}\n"
    );
    for set in timed_sets(placed) {
        let _ = writeln!(
            text,
            "add set {} {} {{ type inet_service; flags interval,timeout; }}",
            set.table, set.set
        );
    }
    text.push_str(&fill(&clock_and(timed_sets(placed)), seconds));
    for rule in placed.iter().rev() {
        let _ = writeln!(
            text,
            "insert rule {} {} {} {} @{} accept comment \"{tag}:trial:{}\"",
            rule.chain,
            rule.matches,
            rule.protocol,
            rule.field,
            set_name(rule.protocol),
            rule.need
        );
    }
    text
}

/// The clock that the countdown is read from, and the other timed sets.
pub fn clock_and(mut sets: Vec<Timed>) -> Vec<Timed> {
    sets.insert(
        0,
        Timed {
            table: format!("inet {TRIAL_TABLE}"),
            set: String::from("clock"),
            elements: vec![String::from("1")],
        },
    );
    sets
}

/// Puts the elements into timed sets.
fn fill(sets: &[Timed], seconds: u64) -> String {
    let mut text = String::new();
    for set in sets {
        let elements: Vec<String> = set
            .elements
            .iter()
            .map(|e| format!("{e} timeout {seconds}s"))
            .collect();
        let _ = writeln!(
            text,
            "add element {} {} {{ {} }}",
            set.table,
            set.set,
            elements.join(", ")
        );
    }
    text
}

/// Gives timed sets a new time: emptied and filled again in one transaction, so that there is no moment without.
pub fn refresh(sets: &[Timed], seconds: u64) -> String {
    let mut text = String::new();
    for set in sets {
        let _ = writeln!(text, "flush set {} {}", set.table, set.set);
    }
    text.push_str(&fill(sets, seconds));
    text
}

/// The set that shuts ports in trial 2.
pub fn deny_set(ports: &[u16]) -> Timed {
    Timed {
        table: format!("inet {TRIAL_TABLE}"),
        set: String::from("shut"),
        elements: ports.iter().map(ToString::to_string).collect(),
    }
}

/// Trial 2: the timed deny. When its elements run out, the rule matches nothing, whoever is alive or dead.
pub fn trial_2(ports: &[u16], spared: &[IpNet], tag: &str, seconds: u64) -> String {
    let mut text = format!(
        "add table inet {TRIAL_TABLE}\n\
         add set inet {TRIAL_TABLE} shut {{ type inet_service; flags timeout; }}\n\
         add chain inet {TRIAL_TABLE} shut {{ type filter hook input priority {FIRST}; policy accept; }}\n"
    );
    text.push_str(&fill(&[deny_set(ports)], seconds));
    for addresses in spared_matches(spared) {
        let _ = writeln!(
            text,
            "add rule inet {TRIAL_TABLE} shut {STRANGER} {addresses}tcp dport @shut {FIRST_PACKET} counter drop comment \"{tag}:trial:shut\""
        );
    }
    text
}

/// "Everyone but these": one match a family; a family with nobody to spare is shut for all.
fn spared_matches(spared: &[IpNet]) -> Vec<String> {
    if spared.is_empty() {
        return vec![String::new()];
    }
    [(true, "ipv4", "ip"), (false, "ipv6", "ip6")]
        .into_iter()
        .map(|(v4, family, word)| match nets(spared, v4) {
            none if none.is_empty() => format!("meta nfproto {family} "),
            some => format!("{word} saddr != {some} "),
        })
        .collect()
}

/// The rules that are kept, as a file for the boot and as the batch for now: the same text.
pub fn permanent(placed: &[Placed], port_22: &Port22, closing: &[u16], tag: &str, with_deny: bool) -> String {
    let mut text = String::new();
    for rule in placed.iter().rev() {
        let _ = writeln!(
            text,
            "insert rule {} {} accept comment \"{tag}:{}\"",
            rule.chain, rule.matches, rule.need
        );
    }
    if with_deny && !closing.is_empty() {
        let spared: &[IpNet] = if let Port22::Restrict(nets) = port_22 {
            nets
        } else {
            &[]
        };
        let ports: Vec<String> = closing.iter().map(ToString::to_string).collect();
        let ports = if let [one] = ports.as_slice() {
            one.clone()
        } else {
            format!("{{ {} }}", ports.join(", "))
        };
        let _ = write!(
            text,
            "table inet {TABLE} {{\n\tchain shut {{\n\t\ttype filter hook input priority {FIRST}; policy accept;\n"
        );
        for addresses in spared_matches(spared) {
            let _ = writeln!(
                text,
                "\t\t{STRANGER} {addresses}tcp dport {ports} {FIRST_PACKET} counter drop comment \"{tag}:shut\""
            );
        }
        text.push_str("\t}\n}\n");
    }
    text
}

/// While sshd itself changes ports nobody may meet a closed door: new connections to `from` are answered by a helper
/// sshd on `to`.
pub fn bridge(ruleset: &Ruleset, from: u16, to: u16, tag: &str) -> String {
    let mut text = format!(
        "add table inet {BRIDGE_TABLE}\n\
         add chain inet {BRIDGE_TABLE} turn {{ type nat hook prerouting priority dstnat; policy accept; }}\n\
         add rule inet {BRIDGE_TABLE} turn tcp dport {from} {FIRST_PACKET} redirect to :{to}\n"
    );
    let Ok(ports) = crate::port::PortRange::single(to) else {
        return text;
    };
    let helper = Requirement {
        id: String::from("bridge"),
        direction: Direction::In,
        protocol: Protocol::Tcp,
        ports,
        peers: Vec::new(),
        group: None,
        why: String::new(),
        source: String::new(),
    };
    for rule in place(ruleset, &[helper]) {
        // Only what came through the turn-off: the helper's own port stays shut to strangers.
        let turned = if rule.field == "dport" {
            "ct status dnat "
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "insert rule {} {turned}{} accept comment \"{tag}:trial:bridge\"",
            rule.chain, rule.matches
        );
    }
    text
}

/// A rule for the operator's own connection, so that nothing in a trial can come between.
pub fn pin(placed: &[Placed], session: &Session) -> Vec<Placed> {
    let (Some(client), Some(from), Some(to)) = (session.client, session.client_port, session.server_port)
    else {
        return Vec::new();
    };
    let (word, v4) = if client.is_ipv4() {
        ("ip", true)
    } else {
        ("ip6", false)
    };
    let mut pins: Vec<Placed> = Vec::new();
    for rule in placed {
        let family = rule.table.split(' ').next().unwrap_or_default();
        let sees = families(family).contains(if v4 { &Family::V4 } else { &Family::V6 });
        if !sees || pins.iter().any(|p| p.chain == rule.chain) || rule.protocol != Protocol::Tcp {
            continue;
        }
        let inbound = rule.field == "dport";
        let matches = if inbound {
            format!("{word} saddr {client} tcp sport {from} tcp dport {to}")
        } else {
            format!("{word} daddr {client} tcp dport {from} tcp sport {to}")
        };
        pins.push(Placed {
            need: String::from("pin"),
            matches,
            ports: to.to_string(),
            ..rule.clone()
        });
    }
    pins
}

#[cfg(test)]
mod tests;
