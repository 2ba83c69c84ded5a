//! A default-deny set for a host on which nothing filters: what was asked for comes in, everything else is dropped.
//!
//! Only packets that open something are dropped, a TCP connection's first one among them: an open session is never
//! hurt, whether the kernel has tracked it or not. On trial the drop looks the packet's family up in a set whose
//! elements the kernel takes out by itself: then it drops nothing, whoever is alive or dead.

use std::fmt::Write;

use ipnet::IpNet;

use super::place::inbound_matches;
use super::render::{FIRST_PACKET, TRIAL_TABLE, Timed, fill, spared_accepts};
use crate::facts::Facts;
use crate::plan::Requirement;
use crate::port::{Direction, Protocol};

/// What comes in besides the ports of the plan: answers, this host itself, errors and neighbours, an address by DHCP.
const ESSENTIALS: [&str; 7] = [
    "ct state established,related accept",
    "iifname \"lo\" accept",
    "icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } accept",
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, \
     nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect, mld-listener-query } accept",
    "ip protocol igmp accept",
    "udp sport 67 udp dport 68 accept",
    "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
];
const HOOK: &str = "type filter hook input priority filter; policy accept;";

/// What a wall lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gates(Vec<String>);

impl Gates {
    /// The ports of the plan, the ports on which sshd listens and which are not to be shut, and, for those that are,
    /// the networks that are spared.
    pub fn new(facts: &Facts, requirements: &[Requirement], closing: &[u16], spared: &[IpNet]) -> Self {
        let mut lines = Vec::new();
        for requirement in requirements {
            for matches in inbound_matches(requirement) {
                lines.push(format!("{matches} accept"));
            }
        }
        let planned = |port: u16| {
            requirements.iter().any(|r| {
                r.protocol == Protocol::Tcp
                    && r.peers.is_empty()
                    && r.ports.contains(port)
                    && r.direction == Direction::In
            })
        };
        for port in facts
            .ssh
            .ports
            .iter()
            .filter(|port| !closing.contains(port) && !planned(**port))
        {
            lines.push(format!("tcp dport {port} accept"));
        }
        for port in closing {
            lines.extend(
                spared_accepts(spared).map(|addresses| format!("{addresses}tcp dport {port} accept")),
            );
        }
        Self(lines)
    }
}

/// The set by which the trial's wall is timed.
pub fn wall_set() -> Timed {
    Timed {
        table: format!("inet {TRIAL_TABLE}"),
        set: String::from("wall"),
        elements: vec![String::from("ipv4"), String::from("ipv6")],
    }
}

/// What the timed wall needs before its rules; it may all be there already.
fn wall_table() -> String {
    format!(
        "add table inet {TRIAL_TABLE}\n\
         add set inet {TRIAL_TABLE} wall {{ type nf_proto; flags timeout; }}\n"
    )
}

/// Ends the timed wall before its time. That it has ended already, or never began, is no failure.
pub fn unshut_wall() -> String {
    wall_table() + &format!("flush set inet {TRIAL_TABLE} wall\n")
}

/// Trial 2: the timed wall. `helper` is the port of the sshd that answers while sshd itself changes ports.
pub fn trial_wall(gates: &Gates, helper: Option<u16>, tag: &str, seconds: u64) -> String {
    let mut text = wall_table();
    let _ = writeln!(text, "add chain inet {TRIAL_TABLE} wall {{ {HOOK} }}");
    text.push_str(&fill(&[wall_set()], seconds));
    let helper = helper.map(|port| format!("ct status dnat tcp dport {port} accept"));
    let rules = ESSENTIALS.iter().map(|line| (*line).to_owned()).chain(helper);
    for rule in rules.chain(gates.0.iter().cloned()) {
        let _ = writeln!(text, "add rule inet {TRIAL_TABLE} wall {rule}");
    }
    for drop in drops("meta nfproto @wall ", &format!("{tag}:trial:wall")) {
        let _ = writeln!(text, "add rule inet {TRIAL_TABLE} wall {drop}");
    }
    text
}

/// The chain that is kept, for the table of what we keep.
pub fn kept_wall(gates: &Gates, tag: &str) -> String {
    let mut text = format!("\tchain wall {{\n\t\t{HOOK}\n");
    let rules = ESSENTIALS.iter().map(|line| (*line).to_owned());
    for rule in rules
        .chain(gates.0.iter().cloned())
        .chain(drops("", &format!("{tag}:wall")))
    {
        let _ = writeln!(text, "\t\t{rule}");
    }
    text.push_str("\t}\n");
    text
}

/// Whether a kept text holds a wall.
pub fn has_wall(kept: &str) -> bool {
    kept.lines().any(|line| line.trim() == "chain wall {")
}

fn drops(condition: &str, comment: &str) -> [String; 2] {
    [
        format!("{FIRST_PACKET} {condition}counter drop comment \"{comment}\""),
        format!("meta l4proto != tcp {condition}counter drop comment \"{comment}\""),
    ]
}
