//! Network interfaces: their addresses, and by which of them strangers come in.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::PROBE_LIMIT;
use crate::backend::nftables::Ruleset;
use crate::facts::Link;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// Names that container engines and virtual machine managers give to links of their own.
const INTERNAL: [&str; 26] = [
    "docker",
    "br-",
    "veth",
    "virbr",
    "vnet",
    "cni",
    "flannel",
    "cali",
    "cilium",
    "kube",
    "nodelocaldns",
    "weave",
    "podman",
    "nerdctl",
    "lxc",
    "lxd",
    "incusbr",
    "mpqemubr",
    "vboxnet",
    "vmnet",
    "tap",
    "fwbr",
    "fwln",
    "fwpr",
    "ve-",
    "vb-",
];
/// The words after `ip` that print everything about every link.
const ALL: [&str; 4] = ["-j", "-d", "address", "show"];
/// Kinds that lead nowhere.
const DEAD_ENDS: [&str; 3] = ["dummy", "ifb", "nlmon"];

/// Addresses of this host that others may reach, IPv4 first.
pub fn addresses(system: &dyn System) -> Vec<IpAddr> {
    parse_addresses(&ask(system, &ALL))
}

/// What `ip` printed of this host's links, their addresses and its default routes. Each answer serves all who ask.
#[derive(Debug)]
pub struct Printed {
    links: String,
    routes: [String; 2],
}

impl Printed {
    /// Asks.
    pub fn read(system: &dyn System) -> Self {
        let route = |family| {
            let words = ["-j", family, "route", "show", "table", "all", "exact", "default"];
            ask(system, &words)
        };
        Self {
            routes: ["-4", "-6"].map(route),
            links: ask(system, &ALL),
        }
    }

    /// The same as [`addresses`].
    pub fn addresses(&self) -> Vec<IpAddr> {
        parse_addresses(&self.links)
    }

    /// The interfaces of this host. `reached` is the address by which the operator came: its link counts as outside,
    /// whatever it is called.
    pub fn links(&self, reached: Option<IpAddr>) -> Vec<Link> {
        parse_links(&self.links, &self.routes, reached)
    }

    /// Tells a ruleset what its matches on interfaces and own addresses mean on this host.
    pub fn known_to(&self, ruleset: &mut Ruleset) {
        ruleset.know(&self.links(None), self.addresses());
    }
}

fn ask(system: &dyn System, words: &[&str]) -> String {
    let call = Invocation::new(Tool::Ip, words.iter().copied()).within(PROBE_LIMIT);
    system.run(&call).map(|output| output.stdout).unwrap_or_default()
}

fn objects(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap_or_default()
}

fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(link: &Value, wanted: &str) -> bool {
    let flags = link.get("flags").and_then(Value::as_array);
    flags
        .into_iter()
        .flatten()
        .any(|flag| flag.as_str() == Some(wanted))
}

/// Addresses in what `ip -j address` printed, of the links that are up.
pub fn parse_addresses(json: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = objects(json)
        .iter()
        .filter(|link| flag(link, "UP") && !is_internal(text(link, "ifname")))
        .filter_map(|link| link.get("addr_info")?.as_array())
        .flatten()
        .filter(|address| text(address, "scope") == "global" && address["temporary"] != true)
        .filter_map(|address| text(address, "local").parse().ok())
        .collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.dedup();
    found
}

/// Links in what `ip -j -d address show` and two `ip -j route show` printed.
pub fn parse_links(json: &str, routes: &[String], reached: Option<IpAddr>) -> Vec<Link> {
    let routes: Vec<Value> = routes.iter().flat_map(|text| objects(text)).collect();
    objects(json)
        .iter()
        .filter(|link| !text(link, "ifname").is_empty())
        .map(|object| {
            let mut link = Link {
                name: text(object, "ifname").to_owned(),
                kind: object["linkinfo"]["info_kind"].as_str().map(str::to_owned),
                addresses: link_addresses(object),
                default_route: routes
                    .iter()
                    .any(|route| leaves_by(route, text(object, "ifname"))),
                outside: false,
            };
            link.outside = is_outside(object, &link, reached);
            link
        })
        .collect()
}

fn link_addresses(object: &Value) -> Vec<IpNet> {
    let addresses = object.get("addr_info").and_then(Value::as_array);
    addresses
        .into_iter()
        .flatten()
        .filter_map(|address| {
            let length = u8::try_from(address["prefixlen"].as_u64()?).ok()?;
            IpNet::new(text(address, "local").parse().ok()?, length).ok()
        })
        .collect()
}

/// Whether this default route sends packets out by the link; one that only refuses them has no link.
fn leaves_by(route: &Value, name: &str) -> bool {
    let hops = route.get("nexthops").and_then(Value::as_array);
    let by_hop = hops.into_iter().flatten().any(|hop| text(hop, "dev") == name);
    matches!(text(route, "type"), "" | "unicast") && (text(route, "dev") == name || by_hop)
}

fn is_outside(object: &Value, link: &Link, reached: Option<IpAddr>) -> bool {
    if flag(object, "LOOPBACK") {
        return false;
    }
    if link.default_route
        || reached.is_some_and(|reached| link.addresses.iter().any(|net| net.addr() == reached))
    {
        return true;
    }
    // Packets for this host come up by the bridge or bond, not by its ports; a VRF hands them on as they are.
    let port = !text(object, "master").is_empty() && object["linkinfo"]["info_slave_kind"] != "vrf";
    let dead_end = link.kind.as_deref().is_some_and(|kind| DEAD_ENDS.contains(&kind));
    flag(object, "UP") && !port && !dead_end && !is_internal(&link.name)
}

/// Links that only containers and virtual machines on this host use.
fn is_internal(name: &str) -> bool {
    name == "lo" || INTERNAL.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recorded(reached: Option<&str>) -> Vec<Link> {
        let json = include_str!("../../../tests/machines/debian-12-links/ip-address.json");
        let routes = [
            include_str!("../../../tests/machines/debian-12-links/ip-route.json").to_owned(),
            include_str!("../../../tests/machines/debian-12-links/ip-6-route.json").to_owned(),
        ];
        parse_links(
            json,
            &routes,
            reached.map(|text| text.parse().expect("an address")),
        )
    }

    fn names(links: &[Link], chosen: impl Fn(&Link) -> bool) -> Vec<&str> {
        links
            .iter()
            .filter(|l| chosen(l))
            .map(|l| l.name.as_str())
            .collect()
    }

    #[test]
    fn only_addresses_that_others_reach_are_named() {
        let text = include_str!("../../../tests/machines/debian-13/ip-address.json");
        let found: Vec<String> = parse_addresses(text).iter().map(IpAddr::to_string).collect();
        assert_eq!(found, ["10.99.22.2", "fd99:22::2"]);
    }

    #[test]
    fn links_of_a_host_with_containers_bridges_and_a_tunnel_are_told_apart() {
        let links = recorded(None);
        assert_eq!(names(&links, |l| l.default_route), ["ens5", "br0"]);
        // p1, p2 and the rest are the far ends of the cables of the recording.
        let outside = names(&links, |l| l.outside && !l.name.starts_with('p'));
        assert_eq!(outside, ["ens5", "br0", "tun0"]);
        let ens5 = links.iter().find(|l| l.name == "ens5").expect("recorded");
        let addresses: Vec<String> = ens5.addresses.iter().map(IpNet::to_string).take(2).collect();
        assert_eq!(addresses, ["203.0.113.20/24", "2001:db8:1::20/64"]);
        let kind = |name: &str| links.iter().find(|l| l.name == name).and_then(|l| l.kind.clone());
        assert_eq!((kind("docker0").as_deref(), kind("lo")), (Some("bridge"), None));
    }

    #[test]
    fn the_link_that_the_operator_came_in_by_is_outside_whatever_its_name() {
        let outside = |reached| names(&recorded(reached), |l| l.outside).contains(&"docker0");
        assert!(outside(Some("172.17.0.1")));
        assert!(!outside(Some("203.0.113.20")));
        assert!(names(&recorded(Some("127.0.0.1")), |l| l.name == "lo" && l.outside).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s).{0,120}") {
            let _ = parse_addresses(&text);
            let _ = parse_links(&text, std::slice::from_ref(&text), None);
        }
    }
}
