//! From where alone a port is let in, where the rules of a host do not let it in for everyone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::address::net_of;
use super::inspect::{NOBODYS_PORT, families, is_inbound, path_chains};
use super::model::{Chain, Ruleset};
use super::packet::{Family, Kind, Packet};
use super::reach;
use crate::backend::ufw::ipv6;
use crate::facts::{Link, Narrow};
use crate::port::Protocol;

/// Hosts that nobody writes a rule for; the first one that no rule names stands for everyone.
const STRANGERS: [&str; 8] = [
    "5.45.96.9",
    "23.20.0.9",
    "77.88.3.9",
    "151.101.0.9",
    "181.30.0.9",
    "2a02:2e0:3::9",
    "2600:1f00:3::9",
    "2407:30c0:3::9",
];
/// How many networks and links that rules name are tried.
const TRIED: usize = 24;

/// From where alone TCP to `port` comes in; `None` where it is open to everyone, shut for all, or no rule speaks of it.
pub fn narrow(ruleset: &Ruleset, port: u16, links: &[Link]) -> Option<Narrow> {
    let chains: Vec<&Chain> = path_chains(ruleset)
        .into_iter()
        .filter(|chain| is_inbound(chain) && !ipv6::is_off_in(ruleset, chain))
        .collect();
    let named = named_networks(ruleset);
    let ways = ways(ruleset, links);
    let mut found = Narrow::default();
    for family in [Family::V4, Family::V6] {
        let Some(stranger) = stranger(family, &named).filter(|_| is_spoken(ruleset, &chains, family)) else {
            continue;
        };
        let mut shut = Vec::new();
        for way in &ways {
            let way_in = WayIn {
                ruleset: &way.ruleset,
                chains: &chains,
                family,
            };
            if way_in.shut(&[stranger], port) {
                shut.push(way_in);
            } else if way.everyone {
                return None;
            } else if way_in.open(&[stranger], port) && way_in.shut(&[stranger], NOBODYS_PORT) {
                found.links.extend(way.name.clone());
            }
        }
        let of_family = |net: &&IpNet| matches!(net, IpNet::V4(_)) == (family == Family::V4);
        for net in named.iter().filter(of_family).take(TRIED) {
            let one = std::slice::from_ref(net);
            // Let in for this port, not by a rule for everything that comes from there.
            let only_it = |way: &WayIn<'_>| way.open(one, port) && way.shut(one, NOBODYS_PORT);
            if shut.iter().any(only_it) {
                found.networks.push(*net);
            }
        }
    }
    found.links.sort();
    found.links.dedup();
    let speaks = !found.networks.is_empty() || !found.links.is_empty();
    speaks.then_some(found)
}

/// Whether this host speaks a family; where its addresses are not known, whether a chain looks at it.
fn is_spoken(ruleset: &Ruleset, chains: &[&Chain], family: Family) -> bool {
    let addresses = &ruleset.addresses;
    if addresses.is_empty() {
        return chains
            .iter()
            .any(|chain| families(&chain.family).contains(&family));
    }
    addresses
        .iter()
        .any(|address| address.is_ipv4() == (family == Family::V4))
}

/// A link by which packets come in, and the rules as they are for those.
struct Way<'r> {
    name: Option<String>,
    /// Whether everyone comes by it.
    everyone: bool,
    ruleset: Cow<'r, Ruleset>,
}

fn ways<'r>(ruleset: &'r Ruleset, links: &[Link]) -> Vec<Way<'r>> {
    let about_links = |expression: &Value| {
        let left = expression.get("match").and_then(|m| m.get("left"));
        let key = left.and_then(|left| left.get("meta")?.get("key")?.as_str());
        matches!(key, Some("iif" | "iifname")) || expression.get("vmap").is_some()
    };
    let mut expressions = ruleset.rules.iter().flat_map(|rule| &rule.expressions);
    let outside: Vec<&Link> = links.iter().filter(|link| link.outside).collect();
    if outside.len() < 2 || !expressions.any(about_links) {
        return vec![Way {
            name: None,
            everyone: true,
            ruleset: Cow::Borrowed(ruleset),
        }];
    }
    let default = outside.iter().any(|link| link.default_route);
    let way = |link: &&Link| Way {
        name: Some(link.name.clone()),
        everyone: link.default_route || !default,
        ruleset: Cow::Owned(Ruleset {
            links: vec![link.name.clone()],
            ..ruleset.clone()
        }),
    };
    outside.iter().take(TRIED).map(way).collect()
}

/// Networks that rules name as the source, themselves or by a set.
fn named_networks(ruleset: &Ruleset) -> BTreeSet<IpNet> {
    let mut found = BTreeSet::new();
    for rule in &ruleset.rules {
        for condition in rule.expressions.iter().filter_map(|e| e.get("match")) {
            let left = condition.get("left");
            let field = left.and_then(|left| left.get("payload")?.get("field")?.as_str());
            let (Some("saddr"), Some(right)) = (field, condition.get("right")) else {
                continue;
            };
            let values = match (right.get("set").and_then(Value::as_array), right.as_str()) {
                (Some(values), _) => values.as_slice(),
                (None, Some(name)) if name.starts_with('@') => {
                    let set = ruleset.set_of(&rule.family, &rule.table, name.trim_start_matches('@'));
                    set.map(|set| set.elements.as_slice()).unwrap_or_default()
                }
                _ => std::slice::from_ref(right),
            };
            found.extend(values.iter().take(TRIED).filter_map(net_of));
        }
    }
    found.retain(|net| net.prefix_len() > 0);
    found
}

fn stranger(family: Family, named: &BTreeSet<IpNet>) -> Option<IpNet> {
    let all = STRANGERS.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let mut of_family = all.filter(|address| address.is_ipv4() == (family == Family::V4));
    let unnamed = |address: &IpAddr| !named.iter().any(|net| net.contains(address));
    of_family.find(unnamed).map(IpNet::from)
}

struct WayIn<'r> {
    ruleset: &'r Ruleset,
    chains: &'r [&'r Chain],
    family: Family,
}

impl WayIn<'_> {
    fn fates(&self, peers: &[IpNet], port: u16) -> Vec<reach::Fate> {
        let packet = Packet {
            peers,
            ..Packet::inbound(Protocol::Tcp, self.family, port, Kind::Opening)
        };
        let sees = |chain: &&&Chain| families(&chain.family).contains(&self.family);
        let chains = self.chains.iter().filter(sees);
        chains
            .map(|chain| reach::fate(self.ruleset, chain, packet))
            .collect()
    }

    /// Nothing could drop it.
    fn open(&self, peers: &[IpNet], port: u16) -> bool {
        self.fates(peers, port)
            .iter()
            .all(|fate| fate.dropped_by.is_none())
    }

    /// Something drops it, whatever else there is.
    fn shut(&self, peers: &[IpNet], port: u16) -> bool {
        self.fates(peers, port).iter().any(|fate| fate.certain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::iptables::{Variant, save};

    fn link(name: &str, default_route: bool) -> Link {
        Link {
            name: name.to_owned(),
            default_route,
            outside: true,
            ..Link::default()
        }
    }

    fn of(rules: &str, links: &[Link]) -> Option<Narrow> {
        let text = format!(
            "*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
             -A INPUT -i lo -j ACCEPT\n{rules}COMMIT\n"
        );
        let mut ruleset = save::read(&text, "ip", Variant::Nft);
        ruleset.know(links, vec!["192.0.2.9".parse().expect("an address")]);
        narrow(&ruleset, 22, links)
    }

    fn networks(rules: &str) -> Vec<String> {
        let found = of(rules, &[link("eth0", true)]).unwrap_or_default();
        assert_eq!(found.links, [""; 0]);
        found.networks.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_networks_that_ssh_is_limited_to_are_named() {
        let ssh = "-p tcp -m tcp --dport 22 -j ACCEPT\n";
        let two = format!("-A INPUT -s 10.0.0.0/8 {ssh}-A INPUT -s 192.168.7.1/32 {ssh}");
        assert_eq!(networks(&two), ["10.0.0.0/8", "192.168.7.1/32"]);
        // By a chain of its own, and beside a network that everything comes in from, and one that is banned.
        let jump = format!(
            "-A INPUT -s 172.16.0.0/12 -j ACCEPT\n-A INPUT -s 9.9.9.9/32 -j DROP\n-A INPUT -s 10.0.0.0/8 -j mine\n-A mine {ssh}"
        );
        assert_eq!(networks(&jump), ["10.0.0.0/8"]);
    }

    #[test]
    fn where_ssh_is_open_to_everyone_or_nobody_speaks_of_it_nothing_is_narrow() {
        let ssh = "-p tcp -m tcp --dport 22 -j ACCEPT\n";
        for rules in [
            format!("-A INPUT -s 10.0.0.0/8 {ssh}-A INPUT {ssh}"),
            format!("-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT {ssh}"),
            String::from("-A INPUT -s 10.0.0.0/8 -j ACCEPT\n"),
            String::from("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT\n"),
            format!("-A INPUT -m limit --limit 3/min {ssh}"),
            format!("-A INPUT -i eth0 {ssh}"),
            String::new(),
        ] {
            assert_eq!(of(&rules, &[link("eth0", true)]), None, "{rules}");
        }
    }

    #[test]
    fn the_links_that_ssh_is_limited_to_are_named() {
        let both = [link("wan0", true), link("lan0", false)];
        let ssh = |name: &str| format!("-A INPUT -i {name} -p tcp -m tcp --dport 22 -j ACCEPT\n");
        let found = of(&ssh("lan0"), &both).expect("limited");
        assert_eq!((found.links, found.networks), (vec!["lan0".to_owned()], vec![]));
        assert_eq!(of(&ssh("wan0"), &both), None, "the way of everyone");
        assert_eq!(
            of("-A INPUT -i lan0 -j ACCEPT\n", &both),
            None,
            "no rule about it"
        );
    }
}
