//! The text of `iptables-save` and `ip6tables-save`, read into the model of a ruleset.
//!
//! Every rule keeps its own text as its first expression, so that nothing is lost where the translation is coarse: what
//! is not understood counts as a condition that may or may not hold. Reading never fails.

use serde_json::{Value, json};

use super::Variant;
use super::matches::{Options, only};
use crate::backend::nftables::glance::Glance;
use crate::backend::nftables::model::{Base, Chain, Rule, Ruleset, Table};

/// The words of a line as `iptables-restore` takes them apart: double quotes hold blanks together, and within them a
/// backslash takes the next sign as it is.
pub fn words(line: &str) -> Vec<String> {
    if !line.contains('"') {
        return line.split_whitespace().map(str::to_owned).collect();
    }
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_with(String::new);
            }
            '\\' if quoted => word.get_or_insert_with(String::new).extend(signs.next()),
            blank if blank.is_whitespace() && !quoted => found.extend(word.take()),
            other => word.get_or_insert_with(String::new).push(other),
        }
    }
    found.extend(word);
    found
}

/// A rule's line without its counters: `[0:0] -A INPUT -j DROP` is `-A INPUT -j DROP`.
pub fn without_counters(line: &str) -> &str {
    let line = line.trim();
    let rest = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(counters, _)| counters.chars().all(|c| c.is_ascii_digit() || c == ':'));
    rest.map_or(line, |(_, rule)| rule.trim_start())
}

/// Hook, priority and kind of a chain that the kernel itself calls; `None` for one that only rules call.
fn base(table: &str, chain: &str, policy: &str) -> Option<Base> {
    let (hook, later) = match chain {
        "PREROUTING" => ("prerouting", false),
        "INPUT" => ("input", true),
        "FORWARD" => ("forward", false),
        "OUTPUT" => ("output", false),
        "POSTROUTING" => ("postrouting", true),
        _ => return None,
    };
    let priority = match (table, later) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", false) => -100,
        ("nat", true) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    let kind = match (table, hook) {
        ("nat", _) => "nat",
        ("mangle", "output") => "route",
        _ => "filter",
    };
    Some(Base {
        kind: kind.to_owned(),
        hook: hook.to_owned(),
        priority,
        policy: policy.to_lowercase(),
    })
}

/// What one save says. `family` is `ip` or `ip6`.
pub fn read(text: &str, family: &str, variant: Variant) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let mut table: Option<&str> = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            table = Some(name.trim());
            ruleset.tables.push(Table {
                family: family.to_owned(),
                name: variant.table(name.trim()),
                owned: false,
                dormant: false,
                native: false,
                handle: None,
            });
        } else if line == "COMMIT" {
            table = None;
        } else if let Some(name) = table {
            if let Some(chain) = line.strip_prefix(':') {
                let mut parts = chain.split_whitespace();
                let chain = parts.next().unwrap_or_default();
                let policy = parts.next().unwrap_or_default();
                ruleset.chains.push(Chain {
                    family: family.to_owned(),
                    table: variant.table(name),
                    name: chain.to_owned(),
                    base: if policy == "-" {
                        None
                    } else {
                        base(name, chain, policy)
                    },
                });
            } else {
                ruleset.rules.extend(rule(line, family, name, variant));
            }
        }
    }
    place_numbers(&mut ruleset);
    name_jumps(&mut ruleset);
    ruleset
}

fn rule(line: &str, family: &str, table: &str, variant: Variant) -> Option<Rule> {
    let line = without_counters(line);
    let mut all = words(line).into_iter();
    if !matches!(all.next()?.as_str(), "-A" | "--append") {
        return None;
    }
    let chain = all.next()?;
    let options = Options::read(&all.collect::<Vec<String>>(), family);
    let mut expressions = vec![only("iptables", line.into())];
    expressions.extend(options.expressions);
    Some(Rule {
        family: family.to_owned(),
        table: variant.table(table),
        chain,
        handle: 0,
        comment: options.comment,
        glance: Glance::of(&expressions),
        expressions,
    })
}

/// iptables knows a rule by its place in its chain, counted from 1.
fn place_numbers(ruleset: &mut Ruleset) {
    let mut counts = std::collections::HashMap::<(String, String), u64>::new();
    for rule in &mut ruleset.rules {
        let count = counts
            .entry((rule.table.clone(), rule.chain.clone()))
            .or_default();
        *count += 1;
        rule.handle = *count;
    }
}

/// A target that is a chain of the same table is a call of it, whatever it is named.
fn name_jumps(ruleset: &mut Ruleset) {
    let chains: std::collections::HashSet<(String, String)> = ruleset
        .chains
        .iter()
        .map(|c| (c.table.clone(), c.name.clone()))
        .collect();
    for rule in &mut ruleset.rules {
        let table = rule.table.clone();
        if let Some(last) = rule.expressions.last_mut()
            && let Some(name) = extension(last).map(str::to_owned)
            && chains.contains(&(table, name.clone()))
        {
            *last = json!({ "jump": { "target": name } });
        }
    }
}

/// The name of a target that is neither a verdict nor known to be harmless.
fn extension(expression: &Value) -> Option<&str> {
    let target = expression.get("xt")?;
    (target.get("type")?.as_str()? == "target").then(|| target.get("name")?.as_str())?
}

#[cfg(test)]
mod tests;
