//! Whether a rule lets in more than was asked for: read from what the tools print, not from what we meant to write.

use std::net::IpAddr;

use faspwall::plan::Requirement;
use faspwall::port::{Direction, PortRange};
use ipnet::IpNet;

/// Lines of `after` that are not in `before` and accept what nobody asked for.
pub fn too_wide(before: &str, after: &str, asked: &[Requirement]) -> Vec<String> {
    let mut known: Vec<&str> = before.lines().map(str::trim).collect();
    let mut wide = Vec::new();
    let mut way = Way::Unknown;
    for line in after.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        way = match words.as_slice() {
            ["chain", ..] => Way::Unknown,
            ["type", _, "hook", hook, ..] => Way::of(hook),
            ["-A", chain, ..] => Way::of(&chain.to_lowercase()),
            _ => way,
        };
        if let Some(at) = known.iter().position(|old| *old == line) {
            known.swap_remove(at);
            continue;
        }
        // A table that a tool makes for its first rule has chains that accept by policy.
        let heading = line.starts_with("type ") || line.starts_with(':');
        let accepts = words.iter().any(|word| ["accept", "ACCEPT"].contains(word));
        // The operator's own connection, both its ends.
        let one = |keys: &[&str]| values(&words, keys).len() == 1;
        let pin =
            one(&["sport", "--sport"]) && one(&["dport", "--dport"]) && one(&["saddr", "-s", "daddr", "-d"]);
        if accepts && !heading && !pin && !asked.iter().any(|one| covers(one, way, &words)) {
            wide.push(line.to_owned());
        }
    }
    wide
}

/// The way of the packets that a chain sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
    Unknown,
}

impl Way {
    fn of(hook: &str) -> Self {
        match hook {
            "input" | "prerouting" | "ingress" => Self::In,
            "output" | "postrouting" => Self::Out,
            _ => Self::Unknown,
        }
    }
}

/// Whether a requirement asks for all that the rule lets through.
fn covers(asked: &Requirement, way: Way, words: &[&str]) -> bool {
    let protocol = asked.protocol.to_string();
    let inside = |word: &&str| {
        let ports = word.replace(':', "-").parse::<PortRange>();
        ports.is_ok_and(|ports| asked.ports.first() <= ports.first() && ports.last() <= asked.ports.last())
    };
    // Replies come from the port that was asked for.
    let replies = match way {
        Way::In => asked.direction == Direction::Out,
        Way::Out => asked.direction == Direction::In,
        Way::Unknown => words.contains(&"sport") || words.contains(&"--sport"),
    };
    let keys: &[&str] = if replies {
        &["sport", "--sport", "--sports"]
    } else {
        &["dport", "--dport", "--dports"]
    };
    let ports = values(words, keys);
    let addresses = values(words, &["saddr", "-s", "daddr", "-d"]);
    let known = |word: &&str| {
        let address = |word: &str| word.parse::<IpAddr>().map(IpNet::from);
        let net = word.parse::<IpNet>().or_else(|_| address(word));
        let places = asked.peers.iter().chain(&asked.group);
        net.is_ok_and(|net| places.clone().any(|place| place.contains(&net)))
    };
    words.contains(&protocol.as_str())
        && !ports.is_empty()
        && ports.iter().all(inside)
        && (asked.peers.is_empty() || (!addresses.is_empty() && addresses.iter().all(known)))
}

/// The values behind any of these words: one, or a set in braces, or a list with commas.
fn values<'w>(words: &[&'w str], keys: &[&str]) -> Vec<&'w str> {
    let mut found = Vec::new();
    let mut at = words.iter();
    while let Some(word) = at.next() {
        if !keys.contains(word) {
            continue;
        }
        match at.next() {
            Some(&"{") => found.extend(at.by_ref().take_while(|word| **word != "}").copied()),
            Some(value) => found.push(*value),
            None => {}
        }
    }
    found
        .into_iter()
        .flat_map(|value| value.split(','))
        // A set of the trial's clock narrows the rule further.
        .filter(|value| !value.is_empty() && !value.starts_with('@'))
        .collect()
}
