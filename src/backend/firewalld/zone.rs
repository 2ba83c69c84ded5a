//! Zones, as `firewall-cmd --list-all-zones` prints them at run time and as their files hold them for the next boot.

use ipnet::IpNet;

use super::rich::{self, Rich, What};
use super::xml::{self, Element};
use crate::port::PortRange;

/// What becomes of a packet that a zone says nothing about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Target {
    /// Refused, like everything that no zone lets in.
    #[default]
    Default,
    /// Let in.
    Accept,
    /// Dropped or refused on purpose.
    Refuse,
}

/// A zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Its target.
    pub target: Target,
    /// Links bound to it; a `+` at the end stands for anything.
    pub interfaces: Vec<String>,
    /// Networks, hardware addresses and sets (`ipset:NAME`) bound to it.
    pub sources: Vec<String>,
    /// Services let in.
    pub services: Vec<String>,
    /// Ports let in, with the protocol as it is written.
    pub ports: Vec<(PortRange, String)>,
    /// Protocols let in.
    pub protocols: Vec<String>,
    /// Rich rules.
    pub rich: Vec<Rich>,
    /// Lines of everything else that changes what is let in, to be compared.
    pub others: Vec<String>,
}

impl Zone {
    /// The networks bound to it that are known.
    pub fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.sources.iter().filter_map(|source| rich::net(source))
    }

    /// Whether something is bound to it, so that packets come to it.
    pub fn bound(&self) -> bool {
        !self.interfaces.is_empty() || !self.sources.is_empty()
    }

    /// Whether a link is bound to it.
    pub fn has_link(&self, link: &str) -> bool {
        self.interfaces.iter().any(|name| {
            let beginning = name.strip_suffix('+');
            beginning.map_or(name == link, |beginning| link.starts_with(beginning))
        })
    }

    /// Whether it lets anybody in at all. One that does not is a ban.
    pub fn lets_in(&self) -> bool {
        self.target == Target::Accept
            || !self.services.is_empty()
            || !self.ports.is_empty()
            || !self.protocols.is_empty()
            || self
                .rich
                .iter()
                .any(|rule| rule.action == rich::Action::Accept && !matches!(rule.what, What::Other))
    }
}

impl Zone {
    /// The same without what it lets in that the later form of it does not; what it refuses stays.
    #[must_use]
    pub fn lasting(&self, later: &Self) -> Self {
        let mut zone = self.clone();
        zone.services.retain(|one| later.services.contains(one));
        zone.protocols.retain(|one| later.protocols.contains(one));
        zone.rich
            .retain(|rule| rule.action != rich::Action::Accept || later.rich.contains(rule));
        zone.ports = within(&self.ports, &later.ports);
        // Firewalld joins ranges that overlap.
        zone.ports.extend(within(&later.ports, &self.ports));
        zone
    }
}

/// The ranges that lie within others.
fn within(ports: &[(PortRange, String)], others: &[(PortRange, String)]) -> Vec<(PortRange, String)> {
    let lies = |(range, protocol): &&(PortRange, String)| {
        others.iter().any(|(other, of)| {
            of == protocol && other.contains(range.first()) && other.contains(range.last())
        })
    };
    ports.iter().filter(lies).cloned().collect()
}

/// The zones that `firewall-cmd --list-all-zones` lists, and the one it marks as the default (firewalld 2 and later).
pub fn listed(text: &str) -> (Vec<Zone>, Option<String>) {
    let mut zones: Vec<Zone> = Vec::new();
    let mut default = None;
    let mut key = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with([' ', '\t']) {
            let name = line.split_whitespace().next().unwrap_or_default();
            let marks = line.get(name.len()..).unwrap_or_default();
            if marks.contains("default") {
                default = Some(name.to_owned());
            }
            zones.push(Zone {
                name: name.to_owned(),
                ..Zone::default()
            });
            key.clear();
            continue;
        }
        let Some(zone) = zones.last_mut() else { continue };
        let trimmed = line.trim();
        if line.starts_with('\t') {
            take(zone, &key, trimmed);
        } else if let Some((name, value)) = trimmed.split_once(':') {
            name.clone_into(&mut key);
            if !value.trim().is_empty() {
                take(zone, &key, value.trim());
            }
        }
    }
    (zones, default)
}

fn take(zone: &mut Zone, key: &str, value: &str) {
    let words = || value.split_whitespace().map(str::to_owned);
    match key {
        "target" => zone.target = target(value),
        "interfaces" => zone.interfaces.extend(words()),
        "sources" => zone.sources.extend(words()),
        "services" => zone.services.extend(words()),
        "protocols" => zone.protocols.extend(words()),
        "ports" => zone.ports.extend(value.split_whitespace().filter_map(|word| {
            let (ports, protocol) = word.split_once('/')?;
            Some((rich::range(ports)?, protocol.to_owned()))
        })),
        "rich rules" => zone.rich.push(Rich::parse(value)),
        "source-ports" => zone
            .others
            .extend(words().map(|word| format!("source port {word}"))),
        "forward-ports" => zone.others.push(forwarded(value)),
        "icmp-blocks" => zone
            .others
            .extend(words().map(|word| format!("icmp block {word}"))),
        "masquerade" if rich::yes(value) => zone.others.push(String::from("masquerade")),
        "icmp-block-inversion" if rich::yes(value) => zone.others.push(String::from("icmp block inversion")),
        _ => {}
    }
}

/// `port=80:proto=tcp:toport=8080:toaddr=`
fn forwarded(text: &str) -> String {
    let value = |key: &str| {
        let mut parts = text.split(':').filter_map(|part| part.split_once('='));
        parts
            .find(|(name, _)| *name == key)
            .map_or("", |(_, value)| value)
    };
    forward(value("port"), value("proto"), value("toport"), value("toaddr"))
}

fn forward(port: &str, protocol: &str, to_port: &str, to_address: &str) -> String {
    format!("forward port {port}/{protocol} to {to_address}:{to_port}")
}

fn target(word: &str) -> Target {
    match word {
        "ACCEPT" => Target::Accept,
        "DROP" | "%%REJECT%%" | "REJECT" => Target::Refuse,
        _ => Target::Default,
    }
}

/// A zone from its file.
pub fn of_file(name: &str, text: &str) -> Zone {
    let outer = xml::parse(text);
    let mut zone = Zone {
        name: name.to_owned(),
        target: target(outer.attribute("target").unwrap_or_default()),
        ..Zone::default()
    };
    for child in &outer.children {
        take_element(&mut zone, child);
    }
    zone
}

fn take_element(zone: &mut Zone, child: &Element) {
    let of = |key: &str| child.attribute(key).unwrap_or_default();
    match child.name.as_str() {
        "interface" => zone.interfaces.push(of("name").to_owned()),
        "source" => {
            let set = child.attribute("ipset").map(|set| format!("ipset:{set}"));
            let other = child.attribute("address").or(child.attribute("mac"));
            zone.sources.extend(set.or(other.map(str::to_owned)));
        }
        "service" => zone.services.push(of("name").to_owned()),
        "protocol" => zone.protocols.push(of("value").to_owned()),
        "port" => zone.ports.extend(rich::port_of(child)),
        "rule" => zone.rich.push(Rich::of_element(child)),
        "source-port" => {
            let text = format!("source port {}/{}", of("port"), of("protocol"));
            zone.others.push(text);
        }
        "forward-port" => {
            let text = forward(of("port"), of("protocol"), of("to-port"), of("to-addr"));
            zone.others.push(text);
        }
        "icmp-block" => zone.others.push(format!("icmp block {}", of("name"))),
        "masquerade" => zone.others.push(String::from("masquerade")),
        "icmp-block-inversion" => zone.others.push(String::from("icmp block inversion")),
        _ => {}
    }
}

/// What a service stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its ports.
    pub ports: Vec<(PortRange, String)>,
    /// Its protocols.
    pub protocols: Vec<String>,
    /// Other services that it includes.
    pub includes: Vec<String>,
    /// Whether it is for certain destinations only.
    pub limited: bool,
}

/// A service from its file.
pub fn service_of_file(text: &str) -> Service {
    let outer = xml::parse(text);
    let value = |child: &Element, key: &str| child.attribute(key).unwrap_or_default().to_owned();
    Service {
        ports: outer.named("port").filter_map(rich::port_of).collect(),
        protocols: outer.named("protocol").map(|p| value(p, "value")).collect(),
        includes: outer.named("include").map(|i| value(i, "service")).collect(),
        limited: outer.first("destination").is_some(),
    }
}
