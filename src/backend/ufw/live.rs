//! ufw's chains as the kernel has them, and how their rules get from one state to another in a single batch.
//!
//! ufw itself flushes its chains and loads them anew whenever a rule is inserted, changed or deleted, and with them goes
//! what others put there at run time. So its live rules are changed one by one here, next to the file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::decide::{admits, blocks, lets_through};
use super::rules_file::RulesFile;
use super::tuple::{Traffic, Tuple, Verb, anywhere, network};
use crate::backend::iptables::save::words;
use crate::backend::nftables::model::Ruleset;
use crate::facts::InboundDefault;
use crate::port::Protocol;
use crate::step::IptablesRule;

/// A rule of iptables as a chain and what it says, the same however it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Canonical {
    /// The chain.
    pub chain: String,
    options: Vec<String>,
}

/// An option of `-m recent` and others that iptables-save adds although nobody wrote it.
fn unsaid(name: &str, value: &str) -> bool {
    match name {
        "-m" | "--match" | "--rsource" => true,
        "--name" => value == "DEFAULT",
        "--mask" => matches!(
            value,
            "255.255.255.255" | "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        ),
        "--limit-burst" => value == "5",
        "--reject-with" => matches!(value, "icmp-port-unreachable" | "icmp6-port-unreachable"),
        _ => false,
    }
}

fn plain(name: &str, value: &str) -> String {
    match name {
        "-s" | "-d" => network(value).map_or_else(|| value.to_owned(), |net| net.trunc().to_string()),
        "--limit" => value.replace("/second", "/sec").replace("/minute", "/min"),
        "-p" if value == "icmpv6" => String::from("ipv6-icmp"),
        _ => value.to_owned(),
    }
}

/// Options with their values; a `!` belongs to the option that follows.
fn options(words: &[String]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut not = "";
    for word in words {
        let option = word.starts_with('-') && word.parse::<IpAddr>().is_err();
        let free = all.last().is_some_and(|(name, value)| {
            value.is_empty() && matches!(name.as_str(), "--comment" | "--log-prefix")
        });
        if word == "!" {
            not = "! ";
        } else if option && !free {
            all.push((format!("{not}{word}"), String::new()));
            not = "";
        } else if let Some((_, value)) = all.last_mut() {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(word);
        }
    }
    all
}

/// Takes a line apart: `-A CHAIN ...`.
pub fn canonical(line: &str) -> Option<Canonical> {
    let mut all = words(line).into_iter();
    let command = all.next()?;
    if !matches!(command.as_str(), "-A" | "-I") {
        return None;
    }
    let chain = all.next()?;
    let words: Vec<String> = all.collect();
    let mut options: Vec<String> = options(&words)
        .into_iter()
        .filter(|(name, value)| !unsaid(name, value))
        .map(|(name, value)| format!("{name} {}", plain(&name, &value)))
        .collect();
    options.sort();
    Some(Canonical { chain, options })
}

/// A line as a rule of ufw, as far as that decides about a packet; `None` for one that decides nothing.
fn as_tuple(line: &str, v6: bool) -> Option<Tuple> {
    let mut all = words(line).into_iter().skip(2);
    let words: Vec<String> = all.by_ref().collect();
    let options: BTreeMap<String, String> = options(&words).into_iter().collect();
    let value = |name: &str| options.get(name).cloned();
    let target = value("-j").or_else(|| value("-g"))?;
    let conditional = [
        "--ctstate",
        "--limit",
        "--update",
        "--set",
        "--match-set",
        "--dst-type",
    ];
    let verb = match target.as_str() {
        "ACCEPT" if conditional.iter().any(|name| options.contains_key(*name)) => return None,
        "ACCEPT" => Verb::Allow,
        "DROP" => Verb::Deny,
        "REJECT" => Verb::Reject,
        target if target.ends_with("-user-limit") => Verb::Limit,
        _ => return None,
    };
    let everyone = anywhere(v6).to_owned();
    let port = |one: &str, several: &str| {
        value(one)
            .or_else(|| value(several))
            .unwrap_or_else(|| String::from("any"))
    };
    Some(Tuple {
        route: false,
        verb,
        log: String::new(),
        protocol: value("-p").unwrap_or_else(|| String::from("any")),
        dport: port("--dport", "--dports"),
        dst: value("-d").unwrap_or_else(|| everyone.clone()),
        sport: port("--sport", "--sports"),
        src: value("-s").unwrap_or(everyone),
        apps: None,
        outbound: line.contains("-user-output "),
        link_in: value("-i").unwrap_or_default(),
        link_out: value("-o").unwrap_or_default(),
        comment: String::new(),
    })
}

/// A rule as the kernel has it, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRule {
    /// `-A CHAIN ...` as iptables-save prints it.
    pub line: String,
    /// The same, however it is written.
    pub rule: Option<Canonical>,
    /// What it decides about packets, if anything.
    pub tuple: Option<Tuple>,
}

impl LiveRule {
    fn new(line: &str, v6: bool) -> Self {
        Self {
            line: line.to_owned(),
            rule: canonical(line),
            tuple: as_tuple(line, v6),
        }
    }
}

/// The rules of the chains of one family; marked ones of ours are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    chains: BTreeMap<String, Vec<LiveRule>>,
    v6: bool,
}

impl Live {
    /// What the kernel has of that family, in the table where ufw's chains are.
    pub fn read(ruleset: &Ruleset, table: &str, v6: bool) -> Self {
        let family = if v6 { "ip6" } else { "ip" };
        let mut live = Self {
            chains: BTreeMap::new(),
            v6,
        };
        for chain in &ruleset.chains {
            if chain.family == family && chain.table == table {
                live.chains.insert(chain.name.clone(), Vec::new());
            }
        }
        for rule in &ruleset.rules {
            let theirs = rule.family == family && rule.table == table && !rule.tagged("faspwall");
            if let (true, Some(line)) = (theirs, rule.native())
                && let Some(chain) = live.chains.get_mut(&rule.chain)
            {
                chain.push(LiveRule::new(line, v6));
            }
        }
        live
    }

    /// Its rules of one chain.
    pub fn chain(&self, name: &str) -> &[LiveRule] {
        self.chains.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The rules of a chain that decide about packets, with their places.
    fn tuples(&self, chain: &str) -> impl Iterator<Item = (usize, &Tuple)> {
        let all = self.chain(chain).iter().enumerate();
        all.filter_map(|(at, rule)| Some((at, rule.tuple.as_ref()?)))
    }

    /// Whether the chain lets that traffic through before anything in it could keep it out.
    /// `unsaid` is what becomes of packets that no rule names.
    pub fn lets_through(&self, chain: &str, traffic: &Traffic, unsaid: InboundDefault) -> bool {
        lets_through(self.tuples(chain).map(|(_, tuple)| tuple), traffic, unsaid)
    }

    /// The place before the first rule that keeps that traffic out; the end of the chain when there is none.
    pub fn place_for(&self, chain: &str, traffic: &Traffic) -> usize {
        let first = self.tuples(chain).find(|(_, tuple)| blocks(tuple, traffic));
        first.map_or(self.chain(chain).len(), |(at, _)| at)
    }

    fn count(&self, wanted: &Canonical) -> usize {
        let rules = self.chain(&wanted.chain).iter();
        rules.filter(|rule| rule.rule.as_ref() == Some(wanted)).count()
    }

    /// Its rules after one file gave way to another, and what has to be done for it.
    pub fn moved(&self, from: &RulesFile, to: &RulesFile) -> (Self, Vec<IptablesRule>) {
        let mut after = self.clone();
        let file: Vec<Line<'_>> = lines_of(to);
        let touched = touched(from, to);
        for change in &touched {
            for _ in change.to..change.from {
                after.drop_first(&change.rule);
            }
        }
        for (index, line) in file.iter().enumerate() {
            let Some(change) = touched.iter().find(|change| change.rule == line.rule) else {
                continue;
            };
            let wanted = (self.count(&change.rule) + change.to).saturating_sub(change.from);
            if after.count(&change.rule) < wanted {
                after.insert_by_file(&file, index);
            }
        }
        let rules = touched.iter().map(|change| after.state_of(change)).collect();
        (after, rules)
    }

    /// How these rules stand now.
    pub fn as_is(&self, from: &RulesFile, to: &RulesFile) -> Vec<IptablesRule> {
        let touched = touched(from, to);
        touched.iter().map(|change| self.state_of(change)).collect()
    }

    /// How many of a rule there are, and where the first of them stands.
    fn state_of(&self, change: &Change) -> IptablesRule {
        let lines = self.chain(&change.rule.chain);
        IptablesRule {
            rule: change.line.clone(),
            count: self.count(&change.rule),
            at: self.place(&change.rule).unwrap_or(lines.len()),
        }
    }

    fn place(&self, rule: &Canonical) -> Option<usize> {
        let mut rules = self.chain(&rule.chain).iter();
        rules.position(|live| live.rule.as_ref() == Some(rule))
    }

    fn drop_first(&mut self, rule: &Canonical) {
        if let (Some(at), Some(chain)) = (self.place(rule), self.chains.get_mut(&rule.chain)) {
            chain.remove(at);
        }
    }

    /// Puts a line of a file where its neighbours in the file stand. One of ours also goes before what others put there
    /// at run time and what would make it void.
    fn insert_by_file(&mut self, file: &[Line<'_>], index: usize) {
        let Some(line) = file.get(index) else { return };
        let beside = |other: &&Line<'_>| other.rule.chain == line.rule.chain;
        let after = file.iter().skip(index + 1).filter(beside);
        let before = file.iter().take(index).rev().filter(beside);
        let mut at = after
            .filter_map(|other| self.place(&other.rule))
            .next()
            .or_else(|| {
                let mut places = before.filter_map(|other| self.place(&other.rule));
                places.next().map(|place| place + 1)
            })
            .unwrap_or(self.chain(&line.rule.chain).len());
        if line.ours {
            at = at.min(self.void_by(file, line));
        }
        let rule = LiveRule::new(line.text, self.v6);
        if let Some(chain) = self.chains.get_mut(&line.rule.chain) {
            chain.insert(at.min(chain.len()), rule);
        }
    }

    /// The place before the first rule of no file that decides the opposite of one of ours.
    fn void_by(&self, file: &[Line<'_>], line: &Line<'_>) -> usize {
        let chain = &line.rule.chain;
        let end = self.chain(chain).len();
        let own = as_tuple(line.text, self.v6).and_then(|tuple| Some((traffic_of(&tuple)?, tuple.verb)));
        let Some((traffic, verb)) = own else { return end };
        let stops = |other: &Tuple| match verb {
            Verb::Allow => blocks(other, &traffic),
            _ => admits(other, &traffic),
        };
        let foreign = |at: usize| {
            let rule = self.chain(chain).get(at).and_then(|live| live.rule.as_ref());
            !file.iter().any(|known| Some(&known.rule) == rule)
        };
        let mut stopping = self
            .tuples(chain)
            .filter(|(at, other)| stops(other) && foreign(*at));
        stopping.next().map_or(end, |(at, _)| at)
    }
}

/// A line of a file.
struct Line<'f> {
    text: &'f str,
    rule: Canonical,
    ours: bool,
}

fn lines_of(file: &RulesFile) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for block in &file.blocks {
        let ours = block.tuple().is_some_and(|tuple| tuple.ours());
        let rules = block.lines().filter_map(|text| Some((text, canonical(text)?)));
        lines.extend(rules.map(|(text, rule)| Line { text, rule, ours }));
    }
    lines
}

/// A rule that one file has more often than the other.
struct Change {
    rule: Canonical,
    line: String,
    from: usize,
    to: usize,
}

fn touched(from: &RulesFile, to: &RulesFile) -> Vec<Change> {
    let (from, to) = (lines_of(from), lines_of(to));
    let mut counts: BTreeMap<&Canonical, (usize, usize)> = BTreeMap::new();
    for line in &from {
        counts.entry(&line.rule).or_default().0 += 1;
    }
    for line in &to {
        counts.entry(&line.rule).or_default().1 += 1;
    }
    let mut changes = Vec::new();
    for line in from.iter().chain(&to) {
        // Each of them once, in the order of the files.
        if let Some((before, after)) = counts.remove(&line.rule)
            && before != after
        {
            changes.push(Change {
                rule: line.rule.clone(),
                line: line.text.to_owned(),
                from: before,
                to: after,
            });
        }
    }
    changes
}

/// The packets that a simple rule speaks of.
fn traffic_of(tuple: &Tuple) -> Option<Traffic> {
    let protocol = match tuple.protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let net = |text: &str| network(text).filter(|net| net.prefix_len() > 0);
    let (far, near) = if tuple.outbound {
        (&tuple.dst, &tuple.src)
    } else {
        (&tuple.src, &tuple.dst)
    };
    Some(Traffic {
        outbound: tuple.outbound,
        protocol,
        ports: tuple.dport.replace(':', "-").parse().ok()?,
        peer: net(far),
        group: net(near),
    })
}

#[cfg(test)]
mod tests;
