//! The batch for `iptables-restore` that brings rules from what a save says into a wanted state.

use std::collections::{BTreeMap, BTreeSet};

use super::live::{Canonical, canonical};
use crate::backend::iptables::save::{without_counters, words};
use crate::step::IptablesRule;

/// Why there is no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A rule is to go into a chain that is not there.
    #[error("the chain {0} is not in the kernel: its firewall was stopped or loaded without it")]
    NoChain(String),
    /// A line that is no rule.
    #[error("{0:?} is no rule of iptables")]
    NoRule(String),
}

/// A rule that is there.
struct Present {
    line: String,
    rule: Canonical,
    marked: bool,
}

/// The rules of each chain.
type Chains = BTreeMap<String, Vec<Present>>;

/// What the filter table of a save holds.
fn present(save: &str, sweep: &str, batch: &mut Vec<String>) -> Chains {
    let mut chains = Chains::new();
    let mut table = "";
    for line in save.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let (Some(chain), "filter") = (line.strip_prefix(':'), table) {
            let name = chain.split_whitespace().next().unwrap_or_default();
            chains.entry(name.to_owned()).or_default();
        } else if table == "filter"
            && let Some(rule) = canonical(without_counters(line))
        {
            let line = without_counters(line);
            let comment = comment(line);
            if !sweep.is_empty() && comment.starts_with(&format!("{sweep}:")) {
                batch.push(line.replacen("-A ", "-D ", 1));
                continue;
            }
            chains.entry(rule.chain.clone()).or_default().push(Present {
                line: line.to_owned(),
                marked: comment.starts_with("faspwall:"),
                rule,
            });
        }
    }
    chains
}

fn comment(line: &str) -> String {
    let words = words(line);
    let mut rest = words.iter().skip_while(|word| *word != "--comment");
    rest.nth(1).cloned().unwrap_or_default()
}

/// The commands that lead there; `None` when everything is so already.
///
/// In a chain where one of the rules is missing or is too many, all of them are taken out and put in again: only so are
/// they in the order that their places say.
pub fn batch(save: &str, sweep: &str, rules: &[IptablesRule]) -> Result<Option<String>, PatchError> {
    let mut commands = Vec::new();
    let mut chains = present(save, sweep, &mut commands);
    let mut wanted: Vec<(Canonical, &IptablesRule)> = Vec::new();
    for rule in rules {
        let known = canonical(&rule.rule).ok_or_else(|| PatchError::NoRule(rule.rule.clone()))?;
        wanted.push((known, rule));
    }
    let there = |chains: &Chains, rule: &Canonical| {
        let chain = chains.get(&rule.chain).map(Vec::as_slice).unwrap_or_default();
        chain.iter().filter(|present| present.rule == *rule).count()
    };
    let wrong: BTreeSet<String> = wanted
        .iter()
        .filter(|(rule, asked)| there(&chains, rule) != asked.count)
        .map(|(rule, _)| rule.chain.clone())
        .collect();
    wanted.retain(|(rule, _)| wrong.contains(&rule.chain));
    if let Some(chain) = wrong.iter().find(|chain| !chains.contains_key(*chain)) {
        return Err(PatchError::NoChain(chain.clone()));
    }
    wanted.sort_by_key(|(_, asked)| asked.at);
    let mut coming = Vec::new();
    for (rule, asked) in wanted {
        // Of several alike the first one has the place.
        let staying = asked.count.saturating_sub(1);
        let gone = there(&chains, &rule).saturating_sub(staying);
        let Some(chain) = chains.get_mut(&rule.chain) else {
            continue;
        };
        for _ in 0..gone {
            if let Some(at) = chain.iter().position(|present| present.rule == rule) {
                commands.push(chain.remove(at).line.replacen("-A ", "-D ", 1));
            }
        }
        let missing = asked.count.saturating_sub(there(&chains, &rule));
        coming.extend(std::iter::repeat_n((rule, asked), missing));
    }
    for (rule, asked) in coming {
        if let Some(chain) = chains.get_mut(&rule.chain) {
            commands.push(insert(chain, &rule, asked));
        }
    }
    if commands.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("*filter\n{}\nCOMMIT\n", commands.join("\n"))))
}

/// The command that puts a rule in; the list follows it.
fn insert(chain: &mut Vec<Present>, rule: &Canonical, asked: &IptablesRule) -> String {
    let mut unmarked = chain.iter().enumerate().filter(|(_, present)| !present.marked);
    let at = unmarked.nth(asked.at).map_or(chain.len(), |(at, _)| at);
    let text = asked.rule.trim();
    let rest = text.splitn(3, ' ').nth(2).unwrap_or_default();
    let command = format!("-I {} {} {rest}", rule.chain, at + 1);
    chain.insert(
        at,
        Present {
            line: text.to_owned(),
            rule: rule.clone(),
            marked: comment(text).starts_with("faspwall:"),
        },
    );
    command
}

#[cfg(test)]
pub(super) mod tests;
