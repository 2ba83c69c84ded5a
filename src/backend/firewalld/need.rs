//! Which entries a zone lacks for what is wanted, and what stands in the way of them.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::access::{Access, Probe, access};
use super::line::{Entry, FIRST};
use super::rich::{Action, Rich, family_of};
use super::state::State;
use super::zone::Zone;
use crate::backend::nftables::packet::Family;
use crate::plan::Requirement;
use crate::port::{Direction, PortRange, Protocol};

/// What a zone needs for one requirement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// Entries to add.
    pub add: Vec<Entry>,
    /// Rules that refuse what is wanted before anything could let it in.
    pub refused_by: Vec<String>,
}

/// The ports of a range that a zone may treat differently from their neighbours.
fn telling(state: &State, zone: &Zone, range: PortRange) -> Vec<u16> {
    let mut ports = BTreeSet::from([range.first(), range.last()]);
    if range.first() != range.last() {
        for other in state.services.ranges(zone) {
            let edges = [
                other.first().saturating_sub(1),
                other.first(),
                other.last(),
                other.last().saturating_add(1),
            ];
            ports.extend(edges.into_iter().filter(|port| range.contains(*port)));
        }
    }
    ports.into_iter().collect()
}

/// Who may send it, by family: each network of the request, or everyone.
fn senders(requirement: &Requirement) -> Vec<(Family, Option<IpNet>)> {
    let both = [Family::V4, Family::V6];
    let mut senders: Vec<(Family, Option<IpNet>)> = if requirement.peers.is_empty() {
        both.map(|family| (family, None)).to_vec()
    } else {
        let nets = requirement.peers.iter();
        nets.map(|net| (family_of(net), Some(*net))).collect()
    };
    if let Some(group) = &requirement.group {
        senders.retain(|(family, _)| *family == family_of(group));
    }
    senders
}

/// What a zone needs so that a requirement is met in it, now or for the next start. What is open for a while only does
/// not meet it.
pub fn need(state: &State, zone: &Zone, permanent: bool, requirement: &Requirement) -> Need {
    let mut need = Need::default();
    if requirement.direction == Direction::Out {
        return need;
    }
    let lasting = state.lasting(permanent, zone);
    let ports = telling(state, zone, requirement.ports);
    let mut shut: Vec<(Family, Option<IpNet>)> = Vec::new();
    for (family, from) in senders(requirement) {
        for port in &ports {
            let probe = Probe {
                protocol: requirement.protocol,
                port: *port,
                family,
                from,
                group: requirement.group,
            };
            match access(&state.services, &lasting, &probe) {
                Access::Open => {}
                Access::Shut if !shut.contains(&(family, from)) => shut.push((family, from)),
                Access::Shut => {}
                Access::Refused(rule) if need.refused_by.contains(&rule) => {}
                Access::Refused(rule) => need.refused_by.push(rule),
            }
        }
    }
    need.add = entries(zone, requirement, &shut);
    need
}

fn entries(zone: &Zone, requirement: &Requirement, shut: &[(Family, Option<IpNet>)]) -> Vec<Entry> {
    let rule = || Rich::port(requirement.ports, requirement.protocol, Action::Accept);
    let name = requirement.protocol.to_string();
    // Firewalld would join the ranges, and taking ours out again would cut into theirs.
    let touches = zone
        .ports
        .iter()
        .any(|(range, of)| *of == name && range.overlaps(requirement.ports));
    match (requirement.group, shut) {
        (_, []) => Vec::new(),
        (None, [(_, None), ..]) if touches => vec![beside(requirement)],
        (None, [(_, None), ..]) => vec![Entry::Port(requirement.ports, requirement.protocol)],
        (group, shut) => shut
            .iter()
            .map(|(_, from)| {
                let rule = from.map_or_else(rule, |net| rule().from(net, false));
                Entry::Rich(group.map_or(rule.clone(), |group| rule.to(group)))
            })
            .collect(),
    }
}

/// The accept that stands beside a port of others.
pub fn beside(requirement: &Requirement) -> Entry {
    Entry::Rich(Rich::port(
        requirement.ports,
        requirement.protocol,
        Action::Accept,
    ))
}

/// Whether a zone lets anybody use a TCP port.
pub fn lets_anybody_use(state: &State, zone: &Zone, port: u16) -> bool {
    let everyone = [Family::V4, Family::V6].into_iter().any(|family| {
        let probe = Probe {
            protocol: Protocol::Tcp,
            port,
            family,
            from: None,
            group: None,
        };
        state.open(zone, &probe)
    });
    let sources = zone.rich.iter().filter_map(|rule| rule.source.as_ref()?.net);
    let some = |net: IpNet| {
        let probe = Probe {
            protocol: Protocol::Tcp,
            port,
            family: family_of(&net),
            from: Some(net),
            group: None,
        };
        state.open(zone, &probe)
    };
    everyone || sources.into_iter().any(some) || zone_rules_accept(zone)
}

/// Rules that accept from a set or a hardware address: who that is cannot be told.
fn zone_rules_accept(zone: &Zone) -> bool {
    zone.rich.iter().any(|rule| {
        let unknown = rule
            .source
            .as_ref()
            .is_some_and(|source| source.net.is_none() || source.inverted);
        rule.action == Action::Accept && unknown
    })
}

/// The rules that shut a TCP port for everyone but some networks. More than one network of a family cannot be spared
/// by one rule: those are let in first, and everyone else is refused after them.
pub fn refusals(port: u16, spared: &[IpNet]) -> Vec<Entry> {
    let Ok(ports) = PortRange::single(port) else {
        return Vec::new();
    };
    let refuse = || Rich::port(ports, Protocol::Tcp, Action::Refuse).at(FIRST);
    if spared.is_empty() {
        return vec![Entry::Rich(refuse())];
    }
    let mut entries = Vec::new();
    for family in [Family::V4, Family::V6] {
        let nets: Vec<IpNet> = spared
            .iter()
            .copied()
            .filter(|net| family_of(net) == family)
            .collect();
        match nets.as_slice() {
            [] => {
                let mut rule = refuse();
                rule.family = Some(family);
                entries.push(rule);
            }
            [one] => entries.push(refuse().from(*one, true)),
            many => {
                for net in many {
                    let rule = Rich::port(ports, Protocol::Tcp, Action::Accept);
                    entries.push(rule.at(FIRST).from(*net, false));
                }
                let mut rule = refuse().at(FIRST + 1);
                rule.family = Some(family);
                entries.push(rule);
            }
        }
    }
    entries.into_iter().map(Entry::Rich).collect()
}
