//! Whether a rule lets in more than was asked for: read from what the tools print, not from what we meant to write.

use std::net::IpAddr;

use faspwall::plan::{Plan, Port22, Requirement};
use faspwall::port::{Direction, PortRange};
use ipnet::IpNet;

/// What was changed that nobody asked for: accepts that let in more, refusals that shut more, and rules of others that
/// are gone although they said something else as well.
pub fn than_asked(before: &str, after: &str, plan: &Plan) -> Vec<String> {
    let mut wide = Vec::new();
    let asked = &plan.requirements;
    for Rule { chain, way, line } in beyond(after, before) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wanted = || asked.iter().any(|one| covers(one, way, &words));
        if accepts(&words) && !pin(&words) && !is_spared(plan, &words) && !wanted() {
            wide.push(format!("lets in: {line}"));
        }
        if refuses(&words)
            && !is_closing(plan, &words)
            && !(chain == OURS && only_for_the_old_port(after, plan))
        {
            wide.push(format!("shuts: {line}"));
        }
    }
    for Rule { way, line, .. } in beyond(before, after) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let whole =
            |one: &Requirement| covers(one, way, &words) && !(one.peers.is_empty() && has_address(&words));
        if refuses(&words) && !asked.iter().any(whole) {
            wide.push(format!("refuses no more: {line}"));
        }
        if accepts(&words) && !is_closing(plan, &words) {
            wide.push(format!("lets in no more: {line}"));
        }
    }
    wide
}

/// A chain of iptables that only we write.
const OURS: &str = "faspwall";

/// Whether everything that comes to our chain speaks of the old port that is to be shut.
fn only_for_the_old_port(rules: &str, plan: &Plan) -> bool {
    let jumps: Vec<Vec<&str>> = rules
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| {
            words
                .windows(2)
                .any(|pair| ["-j", "jump"].contains(&pair[0]) && pair[1] == OURS)
        })
        .collect();
    !jumps.is_empty() && jumps.iter().all(|words| is_closing(plan, words))
}

/// A rule as it is printed.
struct Rule<'t> {
    /// Name of its chain.
    chain: &'t str,
    /// The way of the packets that it sees.
    way: Way,
    line: &'t str,
}

/// Rules of one text that are not in the other.
fn beyond<'t>(text: &'t str, other: &str) -> Vec<Rule<'t>> {
    let mut known: Vec<&str> = other.lines().map(str::trim).collect();
    let mut found = Vec::new();
    let (mut chain, mut way) = ("", Way::Unknown);
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["chain" | "-A", name, ..] = words.as_slice() {
            chain = name;
        }
        way = match words.as_slice() {
            ["chain", name, ..] => Way::of(&name.to_lowercase()),
            ["type", _, "hook", hook, ..] => Way::of(hook),
            ["-A", chain, ..] => Way::of(&chain.to_lowercase()),
            _ => way,
        };
        if let Some(at) = known.iter().position(|old| *old == line) {
            known.swap_remove(at);
        } else if !(line.starts_with("type ") || line.starts_with(':')) {
            // A table that a tool makes for its first rule has chains that accept by policy.
            found.push(Rule { chain, way, line });
        }
    }
    found
}

fn accepts(words: &[&str]) -> bool {
    words.iter().any(|word| ["accept", "ACCEPT"].contains(word))
}

fn refuses(words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| ["drop", "reject", "DROP", "REJECT"].contains(word))
}

fn has_address(words: &[&str]) -> bool {
    ["saddr", "-s", "daddr", "-d"]
        .iter()
        .any(|key| words.contains(key))
}

/// The operator's own connection, both its ends.
fn pin(words: &[&str]) -> bool {
    let one = |keys: &[&str]| values(words, keys).len() == 1;
    one(&["sport", "--sport"]) && one(&["dport", "--dport"]) && has_address(words)
}

/// Whether a rule lets in to the old port those who are spared, and nobody else.
fn is_spared(plan: &Plan, words: &[&str]) -> bool {
    let Port22::Restrict(nets) = &plan.port_22 else {
        return false;
    };
    let from = values(words, &["saddr", "-s"]);
    is_closing(plan, words) && !from.is_empty() && from.iter().all(|word| within(nets, word))
}

/// Whether an address or network is part of one of these.
fn within<'n>(nets: impl IntoIterator<Item = &'n IpNet>, word: &str) -> bool {
    let address = |word: &str| word.parse::<IpAddr>().map(IpNet::from);
    let net = word.parse::<IpNet>().or_else(|_| address(word));
    net.is_ok_and(|net| nets.into_iter().any(|place| place.contains(&net)))
}

/// Whether a rule speaks of the old port that is to be shut and of nothing else.
fn is_closing(plan: &Plan, words: &[&str]) -> bool {
    let closes = plan.ssh_port != 22 && plan.port_22 != Port22::Keep;
    let ports = values(words, &["dport", "--dport", "--dports"]);
    // The port may be in a set whose elements time out.
    let old = ports.iter().all(|port| *port == "22") && words.iter().any(|word| word.ends_with("dport"));
    closes && words.contains(&"tcp") && old
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
        // Chains of ufw and of firewalld bear the way in their names.
        let has = |words: &[&str]| words.iter().any(|word| hook.contains(word));
        if has(&["input", "prerouting", "ingress", "filter_in_", "in_"]) {
            Self::In
        } else if has(&["output", "postrouting"]) {
            Self::Out
        } else {
            Self::Unknown
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
    // nft prints two halves of a network as one.
    let places: Vec<IpNet> = asked.peers.iter().chain(&asked.group).copied().collect();
    let places = IpNet::aggregate(&places);
    let known = |word: &&str| within(&places, word);
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
