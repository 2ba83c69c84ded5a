//! The ruleset as `nft -j list ruleset` prints it, reduced to what a packet's way needs.
//!
//! Reading never fails on an object that is not understood: it is kept out and left alone. Only a text that is no JSON
//! at all is an error.

use std::net::IpAddr;

use serde_json::Value;

use super::glance::Glance;
use crate::facts::Link;

/// A ruleset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Tables, in the kernel's order.
    pub tables: Vec<Table>,
    /// Chains.
    pub chains: Vec<Chain>,
    /// Rules, in the order in which they are walked within their chain.
    pub rules: Vec<Rule>,
    /// Sets and maps.
    pub sets: Vec<Set>,
    /// Addresses of this host that packets from outside can bear; empty when they are not known.
    pub addresses: Vec<IpAddr>,
    /// Names of the links by which strangers come in; empty when they are not known.
    pub links: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `inet`, `ip`, `ip6`, `netdev`, `bridge`, `arp`.
    pub family: String,
    /// Name.
    pub name: String,
    /// Whether another process owns it (`flags owner`): it cannot be changed by us.
    pub owned: bool,
    /// Whether it is switched off (`flags dormant`): its chains see no packet.
    pub dormant: bool,
    /// Whether iptables says that it cannot read it, whatever its name: only nft can change it.
    pub native: bool,
    /// The kernel's number for it: one that is made anew gets another. `None` for one that was not read from nft.
    pub handle: Option<u64>,
}

/// Where a base chain is hooked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `filter`, `nat`, `route`.
    pub kind: String,
    /// `ingress`, `prerouting`, `input`, ...
    pub hook: String,
    /// Priority.
    pub priority: i64,
    /// `accept` or `drop`.
    pub policy: String,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Family of its table.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Name.
    pub name: String,
    /// The hook, for a base chain.
    pub base: Option<Base>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Family of its table.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The number by which it can be deleted.
    pub handle: u64,
    /// Its comment.
    pub comment: Option<String>,
    /// Matches and statements.
    pub expressions: Vec<Value>,
    /// What the matches say at a glance.
    pub glance: Glance,
}

impl Rule {
    /// The rule as iptables-save prints it, where it came from there; nothing else tells all of it.
    pub fn native(&self) -> Option<&str> {
        self.expressions.first()?.get("iptables")?.as_str()
    }

    /// Whether the rule bears a mark that begins with `tag:`.
    pub fn tagged(&self, tag: &str) -> bool {
        self.comment
            .as_deref()
            .and_then(|comment| comment.strip_prefix(tag))
            .is_some_and(|rest| rest.starts_with(':'))
    }
}

/// Words that a text of the rule must have: sets, chains that it leads to, addresses, and what becomes of the packet.
fn telling_words(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with('@') || text.parse::<IpAddr>().is_ok() => {
            found.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| telling_words(item, found)),
        Value::Object(fields) => {
            for (key, field) in fields {
                if let Some(target) = field.get("target").and_then(Value::as_str) {
                    found.extend([key.clone(), target.to_owned()]);
                } else if matches!(key.as_str(), "accept" | "drop" | "reject" | "return") {
                    found.push(key.clone());
                } else {
                    telling_words(field, found);
                }
            }
        }
        _ => {}
    }
}

fn says(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text == word,
        Value::Array(items) => items.iter().any(|item| says(item, word)),
        Value::Object(fields) => fields.values().any(|field| says(field, word)),
        _ => false,
    }
}

impl Rule {
    /// Words that the rule must have wherever it is written.
    pub fn telling_words(&self) -> Vec<String> {
        let mut found = Vec::new();
        for expression in &self.expressions {
            telling_words(expression, &mut found);
        }
        found
    }

    /// Whether a word stands in it by itself, such as the name of a set.
    pub fn says(&self, word: &str) -> bool {
        self.expressions.iter().any(|expression| says(expression, word))
    }

    fn place(&self) -> (&str, &str, &str) {
        (&self.family, &self.table, &self.chain)
    }

    /// Whether it is one of ours, wherever it stands.
    pub fn is_ours(&self) -> bool {
        our_table(&self.table) || self.tagged("faspwall")
    }

    /// Whether it can do nothing but let a packet in: the order of such rules among themselves means nothing.
    fn only_accepts(&self) -> bool {
        let accepts = |e: &Value| e.get("accept").is_some() || e.as_str() == Some("accept");
        let mut rest = self.expressions.iter().filter(|e| e.get("match").is_none());
        rest.next().is_some_and(accepts) && rest.next().is_none() && self.native().is_none()
    }

    /// The rule without its handle and its counters.
    fn line(&self) -> String {
        if let Some(text) = self.native() {
            return format!("rule {} {} {text}", self.family, self.table);
        }
        let mut line = format!("rule {} {} {} ", self.family, self.table, self.chain);
        for (number, expression) in self.expressions.iter().enumerate() {
            if number > 0 {
                line.push(' ');
            }
            line.push_str(&stable(expression));
        }
        if let Some(comment) = &self.comment {
            line.push_str(&format!(" comment {comment:?}"));
        }
        line
    }
}

/// A set or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Family of its table.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Name.
    pub name: String,
    /// `timeout`, `interval`, `dynamic`, ...
    pub flags: Vec<String>,
    /// Its elements as printed.
    pub elements: Vec<Value>,
}

impl Set {
    /// Whether it is one of ours, wherever it stands.
    pub fn is_ours(&self) -> bool {
        our_table(&self.table) || self.name.starts_with("faspwall_")
    }

    /// Whether its elements may appear and disappear by themselves.
    pub fn comes_and_goes(&self) -> bool {
        self.flags.iter().any(|f| f == "timeout" || f == "dynamic")
    }
}

/// Why a ruleset could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not JSON.
    #[error("nft printed something that is not JSON (line {}, column {}): {source}", source.line(), source.column())]
    NotJson {
        /// The parser's complaint.
        source: serde_json::Error,
    },
    /// JSON, but not a ruleset.
    #[error("nft printed JSON without a list named \"nftables\"")]
    NotARuleset,
}

/// Takes a text out of an object.
fn taken(value: &mut Value, key: &str) -> Option<String> {
    match value.get_mut(key).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn text(value: &mut Value, key: &str) -> String {
    taken(value, key).unwrap_or_default()
}

/// Takes a list out of an object; a single value counts as a list of one.
fn list(value: &mut Value, key: &str) -> Vec<Value> {
    match value.get_mut(key).map(Value::take) {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

fn names(value: &mut Value, key: &str) -> Vec<String> {
    let names = list(value, key).into_iter().map(|name| match name {
        Value::String(name) => Some(name),
        _ => None,
    });
    names.flatten().collect()
}

fn base(chain: &mut Value) -> Option<Base> {
    Some(Base {
        hook: taken(chain, "hook")?,
        kind: text(chain, "type"),
        priority: chain.get("prio").and_then(Value::as_i64).unwrap_or(0),
        policy: taken(chain, "policy").unwrap_or_else(|| String::from("accept")),
    })
}

fn set_or_map(set: &mut Value) -> Set {
    Set {
        family: text(set, "family"),
        table: text(set, "table"),
        name: text(set, "name"),
        flags: names(set, "flags"),
        elements: list(set, "elem"),
    }
}

impl Ruleset {
    /// Reads the output of `nft -j list ruleset`.
    pub fn parse(json: &str) -> Result<Self, ModelError> {
        let mut value: Value = serde_json::from_str(json).map_err(|source| ModelError::NotJson { source })?;
        let Some(Value::Array(items)) = value.get_mut("nftables").map(Value::take) else {
            return Err(ModelError::NotARuleset);
        };
        let mut ruleset = Self::default();
        for item in items {
            ruleset.take(item);
        }
        Ok(ruleset)
    }

    fn take(&mut self, mut item: Value) {
        if let Some(table) = item.get_mut("table") {
            // nft 1.0.6 prints another word than "dormant".
            let flags = names(table, "flags");
            self.tables.push(Table {
                family: text(table, "family"),
                name: text(table, "name"),
                native: false,
                handle: table.get("handle").and_then(Value::as_u64),
                owned: flags.iter().any(|flag| flag == "owner"),
                dormant: flags
                    .iter()
                    .any(|flag| !matches!(flag.as_str(), "owner" | "persist")),
            });
        } else if let Some(chain) = item.get_mut("chain") {
            self.chains.push(Chain {
                base: base(chain),
                family: text(chain, "family"),
                table: text(chain, "table"),
                name: text(chain, "name"),
            });
        } else if let Some(rule) = item.get_mut("rule") {
            let expressions = list(rule, "expr");
            self.rules.push(Rule {
                family: text(rule, "family"),
                table: text(rule, "table"),
                chain: text(rule, "chain"),
                handle: rule.get("handle").and_then(Value::as_u64).unwrap_or(0),
                comment: taken(rule, "comment"),
                glance: Glance::of(&expressions),
                expressions,
            });
        } else if let Some(set) = item.get_mut("set") {
            self.sets.push(set_or_map(set));
        } else if let Some(map) = item.get_mut("map") {
            self.sets.push(set_or_map(map));
        }
    }

    /// The rules of one chain, in order.
    pub fn rules_of<'a>(&'a self, chain: &'a Chain) -> impl Iterator<Item = &'a Rule> {
        self.rules
            .iter()
            .filter(move |r| r.family == chain.family && r.table == chain.table && r.chain == chain.name)
    }

    /// A chain of the same table by name.
    pub fn chain_beside(&self, chain: &Chain, name: &str) -> Option<&Chain> {
        self.chains
            .iter()
            .find(|c| c.family == chain.family && c.table == chain.table && c.name == name)
    }

    /// A set of a table by name.
    pub fn set_of(&self, family: &str, table: &str, name: &str) -> Option<&Set> {
        self.sets
            .iter()
            .find(|s| s.family == family && s.table == table && s.name == name)
    }

    /// What matches on interfaces and on own addresses mean on this host.
    pub fn know(&mut self, links: &[Link], addresses: Vec<IpAddr>) {
        self.addresses = addresses;
        self.links = links
            .iter()
            .filter(|link| link.outside)
            .map(|link| link.name.clone())
            .collect();
    }

    /// The ruleset as it would be without anything of ours: tables named `faspwall*`, tagged rules, our sets.
    #[must_use]
    pub fn without_ours(&self) -> Self {
        Self {
            addresses: self.addresses.clone(),
            links: self.links.clone(),
            tables: kept(&self.tables, |table| !our_table(&table.name)),
            chains: kept(&self.chains, |chain| !our_table(&chain.table)),
            rules: kept(&self.rules, |rule| !rule.is_ours()),
            sets: kept(&self.sets, |set| !set.is_ours()),
        }
    }

    /// Lines that describe the ruleset without handles, counters and elements that come and go by themselves. Two
    /// rulesets with the same lines treat packets alike, but for bans that time out. Tables, chains and sets stand in the
    /// order of their names: that in which they were made means nothing.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for table in &self.tables {
            let state = if table.dormant { " dormant" } else { "" };
            lines.push(format!("table {} {}{state}", table.family, table.name));
        }
        for chain in &self.chains {
            let hook = chain.base.as_ref().map(|b| {
                format!(
                    " {{ type {} hook {} priority {}; policy {}; }}",
                    b.kind, b.hook, b.priority, b.policy
                )
            });
            lines.push(format!(
                "chain {} {} {}{}",
                chain.family,
                chain.table,
                chain.name,
                hook.unwrap_or_default()
            ));
        }
        for set in &self.sets {
            let moving = set.comes_and_goes();
            let elements = if moving {
                String::from("(elements come and go)")
            } else {
                let mut all: Vec<String> = set.elements.iter().map(Value::to_string).collect();
                all.sort();
                all.join(", ")
            };
            lines.push(format!(
                "set {} {} {} {{ {elements} }}",
                set.family, set.table, set.name
            ));
        }
        lines.sort();
        let mut rules: Vec<&Rule> = self.rules.iter().collect();
        rules.sort_by_key(|rule| rule.place());
        for chain in rules.chunk_by(|a, b| a.place() == b.place()) {
            let mut of_chain: Vec<String> = chain.iter().map(|rule| rule.line()).collect();
            // A tool that puts an accept back may put it behind its neighbours.
            if chain.iter().all(|rule| rule.only_accepts()) {
                of_chain.sort();
            }
            lines.extend(of_chain);
        }
        lines
    }
}

fn our_table(name: &str) -> bool {
    name == "faspwall" || name.starts_with("faspwall_")
}

fn kept<T: Clone>(all: &[T], wanted: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| wanted(one)).cloned().collect()
}

/// An expression without the numbers that change by themselves.
fn stable(expression: &Value) -> String {
    if expression.get("counter").is_some_and(Value::is_object) {
        return String::from("{\"counter\":{}}");
    }
    if let Some(quota) = expression.get("quota").and_then(Value::as_object) {
        let mut quota = quota.clone();
        quota.remove("used");
        quota.remove("used_unit");
        return Value::Object(quota).to_string();
    }
    expression.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = include_str!("../../../tests/rulesets/two-input-chains.json");

    #[test]
    fn a_real_ruleset_is_read() {
        let ruleset = Ruleset::parse(SMALL).expect("recorded from nft 1.0.6");
        assert_eq!(ruleset.tables.len(), 2);
        let input = ruleset.chains.iter().find(|c| c.name == "input").expect("there");
        assert_eq!(input.base.as_ref().map(|b| b.policy.as_str()), Some("drop"));
        assert_eq!(ruleset.rules_of(input).count(), 7);
    }

    #[test]
    fn what_is_no_ruleset_is_an_error_with_its_place() {
        let error = Ruleset::parse("{\"nftables\": [\n oops")
            .expect_err("no JSON")
            .to_string();
        assert!(error.contains("line 2"), "{error}");
        assert!(Ruleset::parse("{}").is_err());
    }

    #[test]
    fn counters_and_handles_do_not_count_as_a_difference() {
        let other = SMALL
            .replace("\"handle\": 19", "\"handle\": 119")
            .replace("\"packets\": 0", "\"packets\": 7");
        let (a, b) = (
            Ruleset::parse(SMALL).expect("a"),
            Ruleset::parse(&other).expect("b"),
        );
        assert_ne!(a, b);
        assert_eq!(a.lines(), b.lines());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}") {
            let _ = Ruleset::parse(&text);
        }
    }
}
