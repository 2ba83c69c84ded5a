//! The rules that let a requirement through and shut a port, in the words and the order in which `iptables-save`
//! prints them: what is written to a file is what a later save writes again.

use std::fmt::Write;

use ipnet::IpNet;

use super::Variant;
use super::sweep::CHAIN;
use crate::backend::nftables::inspect::is_inbound;
use crate::backend::nftables::place::Obstructed;
use crate::facts::{Facts, Session};
use crate::plan::Requirement;
use crate::port::{PortRange, Protocol};
use crate::step::{NativeRule, Tool, UNTIL};

/// A rule before it is told where it goes and what it is marked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// The program that takes it: it tells family and variant.
    pub tool: Tool,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// `-p tcp -m tcp --dport 33001`
    pub matches: String,
    /// Id of the requirement, for the mark.
    pub need: String,
    /// `ACCEPT`, `DROP`, ...
    pub target: String,
}

impl Native {
    /// The rule with its mark, at the end of its chain (`-A`) or at the top (`-I`).
    pub fn line(&self, verb: &str, tag: &str) -> String {
        let blank = if self.matches.is_empty() { "" } else { " " };
        format!(
            "{verb} {}{blank}{} -m comment --comment \"{tag}:{}\" -j {}",
            self.chain, self.matches, self.need, self.target
        )
    }

    /// The rule as it goes in for a trial: at the top, for a while.
    pub fn timed(&self, tag: &str) -> NativeRule {
        let timed = Self {
            matches: format!("{} -m time --datestop {UNTIL}", self.matches),
            ..self.clone()
        };
        NativeRule {
            tool: self.tool,
            table: self.table.clone(),
            rule: timed.line("-I", tag),
        }
    }
}

/// The restore program of a family and variant on this host.
pub fn tool(facts: &Facts, v4: bool, variant: Variant) -> Tool {
    let saves = &facts.observations.outputs;
    let has = |tool: Tool| saves.contains_key(tool.name());
    // Where the variants have no names of their own, the save was made by the plain one.
    let plain = has(Tool::IptablesSave) || has(Tool::Ip6tablesSave);
    match (plain, v4, variant) {
        (true, true, _) => Tool::IptablesRestore,
        (true, false, _) => Tool::Ip6tablesRestore,
        (false, true, Variant::Nft) => Tool::IptablesNftRestore,
        (false, false, Variant::Nft) => Tool::Ip6tablesNftRestore,
        (false, true, Variant::Legacy) => Tool::IptablesLegacyRestore,
        (false, false, Variant::Legacy) => Tool::Ip6tablesLegacyRestore,
    }
}

fn ports(range: PortRange) -> String {
    if range.first() == range.last() {
        range.first().to_string()
    } else {
        format!("{}:{}", range.first(), range.last())
    }
}

/// `-p udp -m udp --dport 33001:33100`
fn port_match(protocol: Protocol, field: &str, range: PortRange) -> String {
    format!("-p {protocol} -m {protocol} --{field} {}", ports(range))
}

/// The matches of a requirement in one family: one text for each network of the far end. `inbound`: the packet comes
/// in; `opening`: it is the first one of the connection.
pub fn matches(requirement: &Requirement, v4: bool, inbound: bool, opening: bool) -> Vec<String> {
    let of_family = |net: &IpNet| matches!(net, IpNet::V4(_)) == v4;
    let group = requirement.group.filter(|_| opening);
    if requirement.group.as_ref().is_some_and(|group| !of_family(group)) {
        return Vec::new();
    }
    let port = port_match(
        requirement.protocol,
        if opening { "dport" } else { "sport" },
        requirement.ports,
    );
    let group = group.map(|group| format!("-d {group} ")).unwrap_or_default();
    if requirement.peers.is_empty() {
        return vec![format!("{group}{port}")];
    }
    let far_end = if inbound { "-s" } else { "-d" };
    // A group stands where the far end of what this host sends would stand.
    let both = !group.is_empty() && !inbound;
    requirement
        .peers
        .iter()
        .filter(|net| of_family(net))
        .map(|net| {
            let net = if both {
                String::new()
            } else {
                format!("{far_end} {net} ")
            };
            format!("{net}{group}{port}")
        })
        .collect()
}

/// Accepts for one chain that could drop a requirement's packets.
pub fn accepts(facts: &Facts, found: &Obstructed<'_>) -> Vec<Native> {
    let v4 = found.chain.family == "ip";
    let (variant, table) = Variant::of(&found.chain.table);
    let inbound = is_inbound(found.chain);
    let mut all = matches(found.requirement, v4, inbound, found.opening);
    all.dedup();
    all.into_iter()
        .map(|matches| Native {
            tool: tool(facts, v4, variant),
            table: table.to_owned(),
            chain: found.chain.name.clone(),
            matches,
            need: found.requirement.id.clone(),
            target: String::from("ACCEPT"),
        })
        .collect()
}

/// A rule for the operator's own connection in each chain of TCP rules, so that nothing in a trial can come between.
pub fn pins(session: &Session, rules: &[Native]) -> Vec<Native> {
    let (Some(client), Some(from), Some(to)) = (session.client, session.client_port, session.server_port)
    else {
        return Vec::new();
    };
    let mut pins: Vec<Native> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.matches.contains("-p tcp ")) {
        let same_place =
            |pin: &Native| pin.tool == rule.tool && pin.table == rule.table && pin.chain == rule.chain;
        if is_v4(rule.tool) != client.is_ipv4() || pins.iter().any(same_place) {
            continue;
        }
        let net = IpNet::from(client);
        let matches = if rule.matches.contains("--dport ") {
            format!("-s {net} -p tcp -m tcp --sport {from} --dport {to}")
        } else {
            format!("-d {net} -p tcp -m tcp --sport {to} --dport {from}")
        };
        pins.push(Native {
            matches,
            need: String::from("pin"),
            ..rule.clone()
        });
    }
    pins
}

/// Whether a program is the one for IPv4.
pub fn is_v4(tool: Tool) -> bool {
    !tool.name().starts_with("ip6")
}

/// A connection's first packet and nothing else: an open session is never hurt, tracked or not. This host may go on
/// talking to itself.
fn first_packet(port: u16) -> String {
    format!("! -i lo -p tcp -m tcp --dport {port} --tcp-flags FIN,SYN,RST,ACK SYN")
}

/// The rules that shut TCP ports for all but the spared networks of the family. Several of those need a chain.
pub fn deny(tool: Tool, closing: &[u16], spared: &[IpNet]) -> Vec<Native> {
    let spared: Vec<&IpNet> = spared
        .iter()
        .filter(|net| matches!(net, IpNet::V4(_)) == is_v4(tool))
        .collect();
    let native = |chain: &str, matches: String, target: &str| Native {
        tool,
        table: String::from("filter"),
        chain: chain.to_owned(),
        matches,
        need: String::from(SHUT),
        target: target.to_owned(),
    };
    let mut rules = Vec::new();
    for port in closing {
        let mut matches = String::new();
        if let [one] = spared.as_slice() {
            let _ = write!(matches, "! -s {one} ");
        }
        matches.push_str(&first_packet(*port));
        let target = if spared.len() > 1 { CHAIN } else { "DROP" };
        rules.push(native("INPUT", matches, target));
    }
    if spared.len() > 1 && !closing.is_empty() {
        for net in spared {
            rules.push(native(CHAIN, format!("-s {net}"), "RETURN"));
        }
        rules.push(native(CHAIN, String::new(), "DROP"));
    }
    rules
}

/// What the rules of a deny are marked with, after the transaction.
pub const SHUT: &str = "shut";

#[cfg(test)]
mod tests;
