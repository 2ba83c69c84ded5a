//! The packet whose way is followed, and what a rule's match says of it.
//!
//! The answer has three values. A match on something that an ordinary newcomer's packet may or may not have (an
//! interface, a mark, a rate) is [`Answer::Maybe`]; a match on his address alone is [`Answer::OneSource`], because a
//! rule that bans certain addresses is not what keeps a port shut for the rest.

mod known;
mod untracked;

use ipnet::IpNet;
use serde_json::Value;

use self::known::Known;
use super::address::{Cover, cover};
use super::model::{Ruleset, Set};
use super::target::target_in;
use crate::port::Protocol;

/// Address family of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// Which packet of the connection is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first one, towards the port.
    Opening,
    /// The answer, from the port.
    Reply,
}

/// A packet of an ordinary stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'p> {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// IPv4 or IPv6.
    pub family: Family,
    /// The server's port.
    pub port: u16,
    /// Opening or reply.
    pub kind: Kind,
    /// The multicast group that it goes to.
    pub group: Option<IpNet>,
    /// The networks in which the far end is; empty: anywhere.
    pub peers: &'p [IpNet],
    /// Whether this host opens the connection.
    pub outbound: bool,
    /// Whether it is a later packet of its side, once both have spoken.
    pub later: bool,
}

impl Packet<'static> {
    /// The packet of an inbound connection to one port, from anywhere.
    pub fn inbound(protocol: Protocol, family: Family, port: u16, kind: Kind) -> Self {
        Self {
            protocol,
            family,
            port,
            kind,
            group: None,
            peers: &[],
            outbound: false,
            later: false,
        }
    }
}

/// Whether a match holds for the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// For some packets.
    Maybe,
    /// For certain source addresses.
    OneSource,
}

impl Answer {
    /// Both must hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::OneSource, _) | (_, Self::OneSource) => Self::OneSource,
            (Self::Maybe, _) | (_, Self::Maybe) => Self::Maybe,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Maybe, _) | (_, Self::Maybe) => Self::Maybe,
            (Self::OneSource, _) | (_, Self::OneSource) => Self::OneSource,
            (Self::No, Self::No) => Self::No,
        }
    }

    /// The opposite. "Everyone but certain sources" is a policy, not a ban.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe | Self::OneSource => Self::Maybe,
        }
    }

    fn of(known: bool) -> Self {
        if known { Self::Yes } else { Self::No }
    }
}

/// Where a match stands: needed to find the sets it names.
#[derive(Debug, Clone, Copy)]
pub struct Place<'r> {
    /// The ruleset.
    pub ruleset: &'r Ruleset,
    /// Family of the table.
    pub family: &'r str,
    /// The table.
    pub table: &'r str,
}

impl Place<'_> {
    /// Whether a value names a set of ours, such as `"@faspwall_open"`.
    pub fn ours(self, value: &Value) -> bool {
        let name = value.as_str().and_then(|name| name.strip_prefix('@'));
        let set = name.and_then(|name| self.ruleset.set_of(self.family, self.table, name));
        set.is_some_and(Set::is_ours)
    }
}

impl Packet<'_> {
    /// Whether a `match` expression holds.
    pub fn matches(self, place: Place<'_>, expression: &Value) -> Answer {
        let (Some(left), Some(right)) = (expression.get("left"), expression.get("right")) else {
            return Answer::Maybe;
        };
        let operator = expression.get("op").and_then(Value::as_str).unwrap_or("==");
        if untracked::is_state(left) && untracked::may_be(self, place.ruleset) {
            return Answer::Maybe;
        }
        if loopback_only(left, right) {
            return if operator == "!=" { Answer::Yes } else { Answer::No };
        }
        if let Some(masked) = left.get("&").and_then(Value::as_array) {
            return self.masked(masked, operator, right);
        }
        match operator {
            "==" | "in" => self.compare(place, left, right, operator == "in"),
            // `ip daddr != 10.0.0.0/8` is about packets of IPv4 alone, and `tcp dport != 22` about TCP.
            "!=" if self.lacks(left) => Answer::No,
            "!=" => self.compare(place, left, right, false).opposite(),
            "<" | ">" | "<=" | ">=" => self.ordered(left, operator, right),
            _ => Answer::Maybe,
        }
    }

    /// Whether the packet has no such header, so that a rule that looks into it is not for this packet.
    fn lacks(self, left: &Value) -> bool {
        let one = |left: &Value| left.get("payload").is_some() && matches!(self.known(left), Known::Absent);
        let parts = left.get("concat").and_then(Value::as_array);
        parts.map_or_else(|| one(left), |parts| parts.iter().any(one))
    }

    fn masked(self, masked: &[Value], operator: &str, right: &Value) -> Answer {
        let [left, mask] = masked else {
            return Answer::Maybe;
        };
        let Known::Flags(set) = self.known(left) else {
            return Answer::Maybe;
        };
        let (mask, wanted) = (words(mask), words(right));
        if right.as_u64().is_some_and(|n| n != 0) || right.is_object() {
            return Answer::Maybe;
        }
        let seen: Vec<&str> = set
            .iter()
            .copied()
            .filter(|flag| mask.iter().any(|m| m == flag))
            .collect();
        let same = seen.len() == wanted.len() && seen.iter().all(|flag| wanted.iter().any(|w| w == flag));
        match operator {
            "==" => Answer::of(same),
            "!=" => Answer::of(!same),
            _ => Answer::Maybe,
        }
    }

    fn ordered(self, left: &Value, operator: &str, right: &Value) -> Answer {
        let (Known::Number(a), Some(b)) = (self.known(left), right.as_u64()) else {
            return Answer::Maybe;
        };
        Answer::of(match operator {
            "<" => a < b,
            ">" => a > b,
            "<=" => a <= b,
            _ => a >= b,
        })
    }

    /// Whether the left side equals the right one, or one of a set.
    pub fn compare(self, place: Place<'_>, left: &Value, right: &Value, flags: bool) -> Answer {
        if let Some(parts) = left.get("concat").and_then(Value::as_array) {
            return self.concatenation(place, parts, right);
        }
        let known = self.known(left);
        match known {
            Known::Peer | Known::Group => return self.address(place, &known, right),
            Known::Link => return link(place, right),
            _ => {}
        }
        if let Some(elements) = elements_of(place, right) {
            return elements.iter().fold(Answer::No, |sum, element| {
                sum.or(of_element(place.ours(right), element, |value| {
                    self.compare(place, left, value, flags)
                }))
            });
        }
        if right.as_str().is_some_and(|name| name.starts_with('@')) {
            return match known {
                Known::Absent => Answer::No,
                Known::Target => self.target_in_set(place, right),
                _ => Answer::Maybe,
            };
        }
        if let (true, Some(alternatives)) = (flags, right.as_array()) {
            return alternatives.iter().fold(Answer::No, |sum, one| {
                sum.or(self.compare(place, left, one, flags))
            });
        }
        match known {
            Known::Absent => Answer::of(right.as_bool() == Some(false)),
            Known::Present => right.as_bool().map_or(Answer::Maybe, Answer::of),
            Known::Target => target_in(&place.ruleset.addresses, self.family, right),
            Known::Number(number) => number_in(number, right),
            Known::Ephemeral => ephemeral_in(right),
            Known::Word(word) => match right.as_str() {
                Some(text) => Answer::of(text == word || (word == "ipv6" && text == "ip6")),
                None => right
                    .as_u64()
                    .map_or(Answer::Maybe, |n| Answer::of(protocol_number(word) == Some(n))),
            },
            Known::Flags(set) => match right.as_str() {
                Some(flag) => Answer::of(set.contains(&flag)),
                None => Answer::Maybe,
            },
            Known::Peer | Known::Group | Known::Link | Known::Unknown => Answer::Maybe,
        }
    }

    /// Whether an address lies in what the right side names. A rule for every address is no ban.
    fn address(self, place: Place<'_>, known: &Known, right: &Value) -> Answer {
        let values: Vec<&Value> = match (right.get("set").and_then(Value::as_array), right.as_str()) {
            (Some(elements), _) => elements.iter().map(element_value).collect(),
            (None, Some(name)) if name.starts_with('@') => {
                let name = name.trim_start_matches('@');
                match place.ruleset.set_of(place.family, place.table, name) {
                    // What stands in it may be gone in a moment.
                    Some(set) if !set.comes_and_goes() => set.elements.iter().map(element_value).collect(),
                    _ => return Answer::OneSource,
                }
            }
            _ => vec![right],
        };
        let everywhere: IpNet = match self.family {
            Family::V4 => ipnet::Ipv4Net::default().into(),
            Family::V6 => ipnet::Ipv6Net::default().into(),
        };
        let of_family = |net: &&IpNet| matches!(net, IpNet::V4(_)) == (self.family == Family::V4);
        let mut nets: Vec<IpNet> = match (known, self.group) {
            (Known::Group, Some(group)) => vec![group],
            _ => self.peers.iter().filter(of_family).copied().collect(),
        };
        if nets.is_empty() {
            nets.push(everywhere);
        }
        match cover(&nets, &values) {
            Cover::All => Answer::Yes,
            Cover::None => Answer::No,
            Cover::Some => Answer::OneSource,
            Cover::Unknown => Answer::Maybe,
        }
    }

    /// Whether an address of this host stands in a named set; one that programs fill may hold anything by then.
    fn target_in_set(self, place: Place<'_>, right: &Value) -> Answer {
        let name = right.as_str().and_then(|name| name.strip_prefix('@'));
        let set = name.and_then(|name| place.ruleset.set_of(place.family, place.table, name));
        match set {
            Some(set) if !set.flags.iter().any(|f| f == "dynamic" || f == "timeout") => {
                set.elements.iter().fold(Answer::No, |sum, element| {
                    let own = &place.ruleset.addresses;
                    sum.or(target_in(own, self.family, element_value(element)))
                })
            }
            _ => Answer::Maybe,
        }
    }

    fn concatenation(self, place: Place<'_>, parts: &[Value], right: &Value) -> Answer {
        let one = |value: &Value| -> Answer {
            match value.get("concat").and_then(Value::as_array) {
                Some(values) if values.len() == parts.len() => {
                    parts.iter().zip(values).fold(Answer::Yes, |sum, (part, value)| {
                        sum.and(self.compare(place, part, value, false))
                    })
                }
                _ => Answer::Maybe,
            }
        };
        match elements_of(place, right) {
            Some(elements) => elements.iter().fold(Answer::No, |sum, element| {
                sum.or(of_element(place.ours(right), element, one))
            }),
            None => one(right),
        }
    }
}

/// `iif lo`, in any spelling: never the way of a stranger.
fn loopback_only(left: &Value, right: &Value) -> bool {
    let key = left
        .get("meta")
        .and_then(|m| m.get("key"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    matches!(key, "iif" | "iifname" | "oif" | "oifname") && right.as_str() == Some("lo")
}

/// Whether the links that strangers use are among those that the right side names.
fn link(place: Place<'_>, right: &Value) -> Answer {
    let links = &place.ruleset.links;
    let one = std::slice::from_ref(right);
    let elements = match right.as_str() {
        Some(name) if name.starts_with('@') => elements_of(place, right),
        _ => Some(
            right
                .get("set")
                .and_then(Value::as_array)
                .map_or(one, Vec::as_slice),
        ),
    };
    let names: Option<Vec<&str>> =
        elements.and_then(|all| all.iter().map(|e| element_value(e).as_str()).collect());
    let (Some(names), false) = (names, links.is_empty()) else {
        return Answer::Maybe;
    };
    let named = |link: &&String| {
        names.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => link.starts_with(beginning),
            None => *name == link.as_str(),
        })
    };
    match links.iter().filter(named).count() {
        0 => Answer::No,
        some if some == links.len() => Answer::Yes,
        _ => Answer::Maybe,
    }
}

/// Whether the port of a client may be among these.
fn ephemeral_in(right: &Value) -> Answer {
    let (low, high) = match right.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([low, high]) => (low.as_u64(), high.as_u64()),
        _ => (right.as_u64(), right.as_u64()),
    };
    match (low, high) {
        (_, Some(high)) if high < 1024 => Answer::No,
        (Some(low), Some(high)) if low <= 1024 && high >= 65535 => Answer::Yes,
        _ => Answer::Maybe,
    }
}

fn number_in(number: u64, right: &Value) -> Answer {
    if let Some(single) = right.as_u64() {
        return Answer::of(single == number);
    }
    match right.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([low, high]) => match (low.as_u64(), high.as_u64()) {
            (Some(low), Some(high)) => Answer::of((low..=high).contains(&number)),
            _ => Answer::Maybe,
        },
        _ => Answer::Maybe,
    }
}

fn protocol_number(word: &str) -> Option<u64> {
    match word {
        "tcp" => Some(6),
        "udp" => Some(17),
        _ => None,
    }
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(word) => vec![word.clone()],
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Value::Object(map) => map.get("|").map(words).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The elements of an anonymous or a named set; `None` when the value is no set or the set is not known.
fn elements_of<'r>(place: Place<'r>, right: &'r Value) -> Option<&'r [Value]> {
    if let Some(elements) = right.get("set") {
        return elements.as_array().map(Vec::as_slice);
    }
    let name = right.as_str()?.strip_prefix('@')?;
    // A set of addresses is a question of who asks, whatever stands in it now.
    let set = place.ruleset.set_of(place.family, place.table, name)?;
    let addresses = set
        .elements
        .iter()
        .any(|e| element_value(e).as_str().is_some_and(|t| t.contains(['.', ':'])));
    (!addresses && !set.elements.is_empty()).then_some(set.elements.as_slice())
}

/// Whether an element is the value that is looked for. One that the kernel takes out by itself is there for a while only,
/// and counts if it is `ours`: a trial is meant to end.
pub fn of_element(ours: bool, element: &Value, is_it: impl FnOnce(&Value) -> Answer) -> Answer {
    let answer = is_it(element_value(element));
    let timed = |key: &str| element.get("elem").is_some_and(|e| e.get(key).is_some());
    if answer == Answer::Yes && !ours && (timed("timeout") || timed("expires")) {
        Answer::Maybe
    } else {
        answer
    }
}

/// An element without its timeout, comment or counter.
fn element_value(element: &Value) -> &Value {
    element.get("elem").and_then(|e| e.get("val")).unwrap_or(element)
}
