//! Whether a zone lets a packet in, by its own rules: in firewalld's order, the first that fits decides.
//!
//! Rich rules with a priority below zero, then those that refuse, then those that accept together with services and
//! ports, then rich rules with a priority above zero, then the zone's target.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::rich::{Action, End, Rich, What};
use super::zone::{Service, Target, Zone};
use crate::backend::nftables::packet::Family;
use crate::port::{PortRange, Protocol};

/// The packet that is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port of this host.
    pub port: u16,
    /// IPv4 or IPv6.
    pub family: Family,
    /// The network it comes from; `None` is everyone.
    pub from: Option<IpNet>,
    /// The group it goes to.
    pub group: Option<IpNet>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Let in.
    Open,
    /// Refused because nothing lets it in: a port or a rule that accepts changes that.
    Shut,
    /// Refused by a rule that stands before everything that accepts.
    Refused(String),
}

impl Access {
    /// Whether it is let in.
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

/// How much of what is asked about a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    All,
    Some,
    None,
}

/// Services by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services(pub BTreeMap<String, Service>);

impl Services {
    /// The ports that services of these names stand for, those that they include as well; not those for certain
    /// destinations.
    fn covers(&self, name: &str, probe: &Probe) -> bool {
        // Services may include each other, and each other's.
        let mut seen = BTreeSet::from([name]);
        let mut waiting = vec![name];
        while let Some(service) = waiting.pop() {
            let Some(service) = self.0.get(service) else {
                continue;
            };
            let protocol = service.protocols.contains(&probe.protocol.to_string());
            if !service.limited && (protocol || in_ports(&service.ports, probe)) {
                return true;
            }
            let more = service.includes.iter().map(String::as_str);
            waiting.extend(more.filter(|name| seen.insert(name)));
        }
        false
    }

    /// Every range of ports that is named in a zone, for finding the ones that are treated differently.
    pub fn ranges<'a>(&'a self, zone: &'a Zone) -> impl Iterator<Item = PortRange> + 'a {
        let of_rules = zone.rich.iter().filter_map(|rule| match &rule.what {
            What::Port(ports, _) => Some(*ports),
            _ => None,
        });
        let of_services = self.0.values().flat_map(|service| &service.ports);
        let ports = zone.ports.iter().chain(of_services).map(|(ports, _)| *ports);
        ports.chain(of_rules)
    }
}

fn in_ports(ports: &[(PortRange, String)], probe: &Probe) -> bool {
    let protocol = probe.protocol.to_string();
    let fits = |(range, of): &(PortRange, String)| *of == protocol && range.contains(probe.port);
    ports.iter().any(fits)
}

/// Follows the packet through a zone.
pub fn access(services: &Services, zone: &Zone, probe: &Probe) -> Access {
    let mut rules: Vec<&Rich> = zone.rich.iter().collect();
    // Firewalld puts refusals of one priority before the accepts of the same.
    rules.sort_by_key(|rule| (rule.priority, rule.action != Action::Refuse));
    let early = rules.iter().filter(|rule| rule.priority <= 0);
    for rule in early {
        if let Some(access) = decided(services, rule, probe) {
            return access;
        }
    }
    let protocol = probe.protocol.to_string();
    if zone.services.iter().any(|name| services.covers(name, probe))
        || in_ports(&zone.ports, probe)
        || zone.protocols.contains(&protocol)
    {
        return Access::Open;
    }
    for rule in rules.iter().filter(|rule| rule.priority > 0) {
        match decided(services, rule, probe) {
            Some(Access::Open) => return Access::Open,
            // A port that is opened stands before it.
            Some(_) => return Access::Shut,
            None => {}
        }
    }
    if zone.target == Target::Accept {
        Access::Open
    } else {
        Access::Shut
    }
}

/// What a rule says about the packet, if it is about all of what is asked.
fn decided(services: &Services, rule: &Rich, probe: &Probe) -> Option<Access> {
    let fit = fit(services, rule, probe);
    match (rule.action, fit) {
        (Action::Accept, Fit::All) if !rule.more => Some(Access::Open),
        (Action::Refuse, Fit::All) => Some(Access::Refused(rule.text())),
        // All but some: that is a rule about everyone, not a ban.
        (Action::Refuse, Fit::Some) if rule.source.as_ref().is_some_and(|s| s.inverted) => {
            Some(Access::Refused(rule.text()))
        }
        _ => None,
    }
}

fn fit(services: &Services, rule: &Rich, probe: &Probe) -> Fit {
    let about = match &rule.what {
        What::Everything => true,
        What::Port(ports, protocol) => in_ports(&[(*ports, protocol.clone())], probe),
        What::Service(name) => services.covers(name, probe),
        What::Protocol(name) => *name == probe.protocol.to_string(),
        What::Other => false,
    };
    if !about || rule.family.is_some_and(|family| family != probe.family) {
        return Fit::None;
    }
    let from = of_end(rule.source.as_ref(), probe.from);
    let to = of_end(rule.destination.as_ref(), probe.group);
    match (from, to) {
        (Fit::None, _) | (_, Fit::None) => Fit::None,
        (Fit::All, Fit::All) => Fit::All,
        _ => Fit::Some,
    }
}

/// How much of a network (`None`: of everyone) an end of a rule covers.
fn of_end(end: Option<&End>, asked: Option<IpNet>) -> Fit {
    let Some(end) = end else { return Fit::All };
    let Some(net) = end.net else { return Fit::Some };
    let plain = match asked {
        _ if net.prefix_len() == 0 => Fit::All,
        None => Fit::Some,
        Some(asked) if net.contains(&asked) => Fit::All,
        Some(asked) if asked.contains(&net) => Fit::Some,
        Some(_) => Fit::None,
    };
    match (end.inverted, plain) {
        (false, plain) => plain,
        (true, Fit::All) => Fit::None,
        (true, Fit::None) => Fit::All,
        (true, Fit::Some) => Fit::Some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::firewalld::zone::service_of_file;

    #[test]
    fn services_that_include_each_other_are_looked_at_once() {
        let all: String = (0..40)
            .map(|number| format!("<include service=\"s{number}\"/>"))
            .collect();
        let mut services = Services::default();
        for number in 0..40 {
            let port = if number == 39 {
                "<port port=\"33001\" protocol=\"tcp\"/>"
            } else {
                ""
            };
            let text = format!("<service>{all}{port}</service>");
            services.0.insert(format!("s{number}"), service_of_file(&text));
        }
        let probe = |port| Probe {
            protocol: Protocol::Tcp,
            port,
            family: Family::V4,
            from: None,
            group: None,
        };
        assert!(services.covers("s0", &probe(33001)));
        assert!(!services.covers("s0", &probe(22)));
    }
}
