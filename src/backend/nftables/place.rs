//! Which rules are missing: for each wanted port the chains that could drop it, and the rule that goes to their top.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde_json::Value;

use super::inspect::{families, is_inbound, path_chains, translating_chains};
use super::model::{Chain, Ruleset};
use super::packet::{Family, Kind, Packet};
use super::reach;
use crate::backend::ufw::ipv6;
use crate::facts::Session;
use crate::plan::Requirement;
use crate::port::{Direction, PortRange, Protocol};

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
    /// How many rules of others at the top of the chain it goes below: those that ban certain sources.
    pub below: usize,
}

impl Placed {
    /// How the rule begins: at the top of its chain, or after the last rule there that bans.
    pub fn verb(&self) -> String {
        match self.below.checked_sub(1) {
            None => format!("insert rule {}", self.chain),
            Some(last) => format!("add rule {} index {last}", self.chain),
        }
    }
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
        later: false,
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
    // The first packet of a connection walks through NAT chains, and no other.
    let first_only = chain.base.as_ref().is_some_and(|base| base.kind == "nat");
    if first_only && kind == Kind::Reply {
        return None;
    }
    let packets: &[bool] = if first_only { &[false] } else { &[false, true] };
    let wanted = |family: &&Family| {
        let of_family = |net: &IpNet| matches!(net, IpNet::V4(_)) == (**family == Family::V4);
        // A group has one family, and nobody sends to it in the other.
        requirement.group.as_ref().is_none_or(of_family)
            && (requirement.peers.is_empty() || requirement.peers.iter().any(of_family))
    };
    families(&chain.family).iter().filter(wanted).find_map(|family| {
        ports.iter().find_map(|port| {
            far_ends(requirement, *family).into_iter().find_map(|peers| {
                // A connection is of no use when what follows its first packet is lost.
                packets.iter().find_map(|&later| {
                    let packet = Packet {
                        port: *port,
                        peers,
                        later,
                        ..packet(requirement, *family, kind)
                    };
                    reach::fate(ruleset, chain, packet).dropped_by
                })
            })
        })
    })
}

/// Below how many rules of a chain, which ban certain sources, an accept for this requirement still does all its work.
fn below_bans(ruleset: &Ruleset, found: &Obstructed<'_>) -> usize {
    let (chain, requirement) = (found.chain, found.requirement);
    if !found.opening || !is_inbound(chain) {
        return 0;
    }
    let kind = kind_for(requirement, chain);
    let ports = telling_ports(ruleset, requirement.ports);
    let (mut free, mut all) = (usize::MAX, BTreeSet::new());
    for family in families(&chain.family) {
        for port in &ports {
            for peers in far_ends(requirement, *family) {
                for later in [false, true] {
                    let packet = Packet {
                        port: *port,
                        peers,
                        later,
                        ..packet(requirement, *family, kind)
                    };
                    let (here, bans) = reach::bans(ruleset, chain, packet);
                    free = free.min(here);
                    all.extend(bans);
                }
            }
        }
    }
    all.range(..=free).next_back().copied().unwrap_or(0)
}

/// Each network of the far end for itself: one rule may let in one, and the next rule another.
fn far_ends(requirement: &Requirement, family: Family) -> Vec<&[IpNet]> {
    if requirement.peers.is_empty() {
        return vec![&[]];
    }
    let of_family = |net: &&IpNet| matches!(net, IpNet::V4(_)) == (family == Family::V4);
    let nets = requirement.peers.iter().filter(of_family);
    nets.map(std::slice::from_ref).collect()
}

/// What sends this requirement's packets to another port or host.
fn diversion(ruleset: &Ruleset, chain: &Chain, requirement: &Requirement, ports: &[u16]) -> Option<String> {
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

/// The base chains that wanted packets walk through: not those of a family that the operator has switched off.
fn asked_chains(ruleset: &Ruleset) -> Vec<&Chain> {
    let mut chains = path_chains(ruleset);
    chains.retain(|chain| !ipv6::is_off_in(ruleset, chain));
    chains
}

/// Requirements that the ruleset does not let through, each with the chain and the rule that is in the way.
pub fn gaps<'r>(ruleset: &Ruleset, requirements: &'r [Requirement]) -> Vec<(&'r Requirement, String)> {
    let chains = asked_chains(ruleset);
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
                translating_chains(ruleset, requirement.direction).find_map(|chain| {
                    let reason = diversion(ruleset, chain, requirement, &ports)?;
                    Some(named(chain, reason))
                })
            })
        })
        .collect()
}

pub(super) fn nets(peers: &[IpNet], v4: bool) -> String {
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

/// A chain that could drop a requirement's packets.
#[derive(Debug, Clone)]
pub struct Obstructed<'r> {
    /// The chain whose top needs an accept.
    pub chain: &'r Chain,
    /// The requirement.
    pub requirement: &'r Requirement,
    /// Whether it is the opening packet that walks this chain, else the reply.
    pub opening: bool,
    /// What would drop the packet.
    pub because: String,
}

/// Every base chain that could drop a wanted packet, in the order in which packets walk them.
pub fn obstructed<'r>(ruleset: &'r Ruleset, requirements: &'r [Requirement]) -> Vec<Obstructed<'r>> {
    let mut found = Vec::new();
    let ports: Vec<Vec<u16>> = requirements
        .iter()
        .map(|requirement| telling_ports(ruleset, requirement.ports))
        .collect();
    for chain in asked_chains(ruleset) {
        for (requirement, ports) in requirements.iter().zip(&ports) {
            let Some(because) = obstacle(ruleset, chain, requirement, ports) else {
                continue;
            };
            found.push(Obstructed {
                chain,
                requirement,
                opening: kind_for(requirement, chain) == Kind::Opening,
                because,
            });
        }
    }
    found
}

/// The matches by which an inbound requirement is let in by a chain that sees both families; none for an outbound one.
pub(super) fn inbound_matches(requirement: &Requirement) -> Vec<String> {
    if requirement.direction == Direction::Out {
        return Vec::new();
    }
    address_matches(&requirement.peers, requirement.group, "saddr", "inet")
        .into_iter()
        .map(|addresses| format!("{addresses}{} dport {}", requirement.protocol, requirement.ports))
        .collect()
}

/// The rules that are missing: one for each requirement, chain and, with source networks, address family.
pub fn place(ruleset: &Ruleset, requirements: &[Requirement]) -> Vec<Placed> {
    let mut placed = Vec::new();
    for found in obstructed(ruleset, requirements) {
        let (chain, requirement) = (found.chain, found.requirement);
        let field = if found.opening { "dport" } else { "sport" };
        let below = below_bans(ruleset, &found);
        // The far end of the connection, whichever side opened it.
        let address = if is_inbound(chain) { "saddr" } else { "daddr" };
        let group = if found.opening { requirement.group } else { None };
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
                because: found.because.clone(),
                below,
            });
        }
    }
    placed
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
            below: 0,
            matches,
            ports: to.to_string(),
            ..rule.clone()
        });
    }
    pins
}

#[cfg(test)]
mod tests;
