//! Writes nft text: the rules that let a requirement through, the timed sets of the trial, the deny of closed ports.

use std::fmt::Write;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::place::nets;
pub use super::place::{Placed, gaps, pin, place};
use super::wall::{Gates, kept_wall};
use crate::plan::Requirement;
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
pub(super) const FIRST_PACKET: &str = "tcp flags & (fin | syn | rst | ack) == syn";

/// This host may go on talking to itself.
const STRANGER: &str = "iifname != \"lo\"";

/// Takes tables of ours away in one transaction, whether they are there or not: nothing needs to be looked up first.
pub fn without_tables(tables: &[&str]) -> String {
    tables.iter().fold(String::new(), |mut text, table| {
        let _ = writeln!(text, "add table inet {table}\ndelete table inet {table}");
        text
    })
}

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
    for set in &mut sets {
        set.elements = apart(std::mem::take(&mut set.elements));
    }
    sets
}

/// Ports and ranges that do not overlap, for nft refuses two elements that do: one need may lie inside another's range.
fn apart(elements: Vec<String>) -> Vec<String> {
    let ranges: Vec<Option<PortRange>> = elements.iter().map(|text| text.parse().ok()).collect();
    let Some(mut ranges) = ranges.into_iter().collect::<Option<Vec<PortRange>>>() else {
        return elements;
    };
    ranges.sort_by_key(|range| (range.first(), range.last()));
    let mut joined: Vec<PortRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.first() <= last.last() => {
                let end = last.last().max(range.last());
                *last = PortRange::new(last.first(), end).unwrap_or(range);
            }
            _ => joined.push(range),
        }
    }
    joined.iter().map(ToString::to_string).collect()
}

/// The table of the trial, with the clock that the countdown is read from.
pub fn clock(seconds: u64) -> String {
    format!(
        "add table inet {TRIAL_TABLE}\nadd set inet {TRIAL_TABLE} clock {{ type inet_service; flags timeout; }}\n{}",
        fill(&clock_and(Vec::new()), seconds)
    )
}

/// Each rule goes above the one before it. Those that are counted from the top go first: what is put there moves them.
fn last_first(placed: &[Placed]) -> impl Iterator<Item = &Placed> {
    let of = |counted: bool| {
        placed
            .iter()
            .rev()
            .filter(move |rule| (rule.below > 0) == counted)
    };
    of(true).chain(of(false))
}

/// Trial 1: timed sets, and the accepts that look their port up in them.
pub fn trial_1(placed: &[Placed], tag: &str, seconds: u64) -> String {
    let mut text = String::new();
    for set in timed_sets(placed) {
        let _ = writeln!(
            text,
            "add set {} {} {{ type inet_service; flags interval,timeout; }}",
            set.table, set.set
        );
    }
    text.push_str(&fill(&timed_sets(placed), seconds));
    for rule in last_first(placed) {
        let _ = writeln!(
            text,
            "{} {} {} {} @{} accept comment \"{tag}:trial:{}\"",
            rule.verb(),
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
pub(super) fn fill(sets: &[Timed], seconds: u64) -> String {
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

/// What the timed deny needs before its rules; it may all be there already.
fn shut_table() -> String {
    format!(
        "add table inet {TRIAL_TABLE}\n\
         add set inet {TRIAL_TABLE} shut {{ type inet_service; flags timeout; }}\n"
    )
}

/// Ends the timed deny before its time. That it has ended already, or never began, is no failure.
pub fn unshut() -> String {
    shut_table() + &format!("flush set inet {TRIAL_TABLE} shut\n")
}

/// Trial 2: the timed deny. When its elements run out, the rule matches nothing, whoever is alive or dead.
pub fn trial_2(ports: &[u16], spared: &[IpNet], tag: &str, seconds: u64) -> String {
    let mut text = shut_table();
    let _ = writeln!(
        text,
        "add chain inet {TRIAL_TABLE} shut {{ type filter hook input priority {FIRST}; policy accept; }}"
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

/// The addresses that are spared, one match a family.
pub(super) fn spared_accepts(spared: &[IpNet]) -> impl Iterator<Item = String> {
    let families = [(true, "ip"), (false, "ip6")];
    families.into_iter().filter_map(|(v4, word)| {
        let nets = nets(spared, v4);
        (!nets.is_empty()).then(|| format!("{word} saddr {nets} "))
    })
}

/// The rules that are kept, as a file for the boot and as the batch for now: the same text.
pub fn permanent(
    placed: &[Placed],
    spared: &[IpNet],
    closing: &[u16],
    gates: Option<&Gates>,
    tag: &str,
) -> String {
    let mut text = String::new();
    for rule in last_first(placed) {
        let _ = writeln!(
            text,
            "{} {} accept comment \"{tag}:{}\"",
            rule.verb(),
            rule.matches,
            rule.need
        );
    }
    if closing.is_empty() && gates.is_none() {
        return text;
    }
    let _ = writeln!(text, "table inet {TABLE} {{");
    if !closing.is_empty() {
        let ports: Vec<String> = closing.iter().map(ToString::to_string).collect();
        let ports = if let [one] = ports.as_slice() {
            one.clone()
        } else {
            format!("{{ {} }}", ports.join(", "))
        };
        let _ = write!(
            text,
            "\tchain shut {{\n\t\ttype filter hook input priority {FIRST}; policy accept;\n"
        );
        for addresses in spared_matches(spared) {
            let _ = writeln!(
                text,
                "\t\t{STRANGER} {addresses}tcp dport {ports} {FIRST_PACKET} counter drop comment \"{tag}:shut\""
            );
        }
        text.push_str("\t}\n");
    }
    if let Some(gates) = gates {
        text.push_str(&kept_wall(gates, tag));
    }
    text.push_str("}\n");
    text
}

/// While sshd itself changes ports nobody may meet a closed door: new connections to `from` are answered by a helper
/// sshd on `to`.
pub fn bridge(from: u16, to: u16) -> String {
    format!(
        "add table inet {BRIDGE_TABLE}\n\
         add chain inet {BRIDGE_TABLE} turn {{ type nat hook prerouting priority dstnat; policy accept; }}\n\
         add rule inet {BRIDGE_TABLE} turn tcp dport {from} {FIRST_PACKET} redirect to :{to}\n"
    )
}

/// The helper's port as a need of its own; `None` for port 0.
pub fn helper(port: u16) -> Option<Requirement> {
    Some(Requirement {
        id: String::from("bridge"),
        direction: Direction::In,
        protocol: Protocol::Tcp,
        ports: crate::port::PortRange::single(port).ok()?,
        peers: Vec::new(),
        group: None,
        why: String::new(),
        source: String::new(),
    })
}

/// Accepts for the helper's port. Only what came through the turn-off: to strangers the port itself stays shut.
pub fn bridge_accepts(placed: &[Placed], tag: &str) -> String {
    let mut text = String::new();
    for rule in placed {
        let turned = if rule.field == "dport" {
            "ct status dnat "
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "insert rule {} {turned}{} accept comment \"{tag}:trial:bridge:helper\"",
            rule.chain, rule.matches
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_a_clock_do_not_overlap() {
        let joined = |texts: &[&str]| apart(texts.iter().map(ToString::to_string).collect());
        assert_eq!(
            joined(&["9091", "9092", "5000-10000", "22", "9999-10001"]),
            ["22", "5000-10001"]
        );
        assert_eq!(joined(&["33002", "33001"]), ["33001", "33002"]);
        assert!(joined(&[]).is_empty());
    }
}
