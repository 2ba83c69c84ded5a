//! The batch for `iptables-restore` that brings rules from what a save says into a wanted state.

use std::collections::{BTreeMap, BTreeSet};

use super::live::{Canonical, canonical};
use crate::backend::iptables::save::{without_counters, words};
use crate::step::{IptablesRule, quoted};

/// Why there is no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A rule is to go into a chain that is not there: its name as a word of a shell.
    #[error("the chain {0} is not in the kernel: its firewall was stopped or loaded without it")]
    NoChain(String),
    /// A line that is no rule.
    #[error("{0:?} is no rule of iptables")]
    NoRule(String),
}

/// How a rule is named to be deleted.
///
/// iptables compares what it makes of the text with what the kernel has, byte for byte, and some of its extensions make
/// different bytes of what they print and of what was typed (`-m recent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// As iptables-save prints it.
    Printed,
    /// As it was typed.
    Typed,
    /// By its number, which another program may change in between.
    Numbered,
}

impl Naming {
    /// From the safest to the surest.
    pub const ALL: [Self; 3] = [Self::Printed, Self::Typed, Self::Numbered];
}

/// A rule that is there.
struct Present {
    line: String,
    rule: Canonical,
    comment: String,
}

impl Present {
    fn new(line: &str, rule: Canonical) -> Self {
        Self {
            line: line.to_owned(),
            comment: comment(line),
            rule,
        }
    }

    fn marked(&self) -> bool {
        self.comment.starts_with("faspwall:")
    }
}

fn comment(line: &str) -> String {
    let words = words(line);
    let mut rest = words.iter().skip_while(|word| *word != "--comment");
    rest.nth(1).cloned().unwrap_or_default()
}

/// The rules of each chain, and the commands so far.
struct Work {
    chains: BTreeMap<String, Vec<Present>>,
    naming: Naming,
    commands: Vec<String>,
}

impl Work {
    /// What the filter table of a save holds.
    fn new(save: &str, naming: Naming) -> Self {
        let mut chains: BTreeMap<String, Vec<Present>> = BTreeMap::new();
        let mut table = "";
        for line in save.lines().map(|line| without_counters(line).trim()) {
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            } else if table != "filter" {
            } else if let Some(chain) = line.strip_prefix(':') {
                let name = chain.split_whitespace().next().unwrap_or_default();
                chains.entry(name.to_owned()).or_default();
            } else if let Some(rule) = canonical(line) {
                let chain = chains.entry(rule.chain.clone()).or_default();
                chain.push(Present::new(line, rule));
            }
        }
        Self {
            chains,
            naming,
            commands: Vec::new(),
        }
    }

    fn there(&self, rule: &Canonical) -> usize {
        let chain = self
            .chains
            .get(&rule.chain)
            .map(Vec::as_slice)
            .unwrap_or_default();
        chain.iter().filter(|present| present.rule == *rule).count()
    }

    /// Deletes the first rule of a chain that fits; false when there is none.
    fn delete(&mut self, chain: &str, typed: Option<&str>, fits: impl FnMut(&Present) -> bool) -> bool {
        let Some(list) = self.chains.get_mut(chain) else {
            return false;
        };
        let Some(at) = list.iter().position(fits) else {
            return false;
        };
        let gone = list.remove(at);
        let text = match (self.naming, typed) {
            (Naming::Numbered, _) => format!("-D {chain} {}", at + 1),
            (Naming::Typed, Some(typed)) => typed.trim().replacen("-A ", "-D ", 1),
            _ => gone.line.replacen("-A ", "-D ", 1),
        };
        self.commands.push(text);
        true
    }

    fn sweep(&mut self, mark: &str) {
        if mark.is_empty() {
            return;
        }
        let mark = format!("{mark}:");
        let names: Vec<String> = self.chains.keys().cloned().collect();
        for chain in names {
            while self.delete(&chain, None, |present| present.comment.starts_with(&mark)) {}
        }
    }

    fn insert(&mut self, rule: &Canonical, asked: &IptablesRule) {
        let Some(list) = self.chains.get_mut(&rule.chain) else {
            return;
        };
        let mut unmarked = list.iter().enumerate().filter(|(_, present)| !present.marked());
        let at = unmarked.nth(asked.at).map_or(list.len(), |(at, _)| at);
        let text = asked.rule.trim();
        let rest = text.splitn(3, ' ').nth(2).unwrap_or_default();
        self.commands.push(format!("-I {} {} {rest}", rule.chain, at + 1));
        list.insert(at, Present::new(text, rule.clone()));
    }
}

/// The commands that lead there; `None` when everything is so already.
///
/// In a chain where one of the rules is missing or is too many, all of them are taken out and put in again: only so are
/// they in the order that their places say.
pub fn batch(
    save: &str,
    sweep: &str,
    rules: &[IptablesRule],
    naming: Naming,
) -> Result<Option<String>, PatchError> {
    let mut work = Work::new(save, naming);
    work.sweep(sweep);
    let mut wanted: Vec<(Canonical, &IptablesRule)> = Vec::new();
    for rule in rules {
        let known = canonical(&rule.rule).ok_or_else(|| PatchError::NoRule(rule.rule.clone()))?;
        wanted.push((known, rule));
    }
    let wrong: BTreeSet<String> = wanted
        .iter()
        .filter(|(rule, asked)| work.there(rule) != asked.count)
        .map(|(rule, _)| rule.chain.clone())
        .collect();
    if let Some(chain) = wrong.iter().find(|chain| !work.chains.contains_key(*chain)) {
        return Err(PatchError::NoChain(quoted(chain)));
    }
    wanted.retain(|(rule, _)| wrong.contains(&rule.chain));
    wanted.sort_by_key(|(_, asked)| asked.at);
    let mut coming = Vec::new();
    for (rule, asked) in wanted {
        // Of several alike the first one has the place.
        let staying = asked.count.saturating_sub(1);
        let gone = work.there(&rule).saturating_sub(staying);
        for _ in 0..gone {
            work.delete(&rule.chain, Some(&asked.rule), |present| present.rule == rule);
        }
        let missing = asked.count.saturating_sub(work.there(&rule));
        coming.extend(std::iter::repeat_n((rule, asked), missing));
    }
    for (rule, asked) in coming {
        work.insert(&rule, asked);
    }
    if work.commands.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("*filter\n{}\nCOMMIT\n", work.commands.join("\n"))))
}

#[cfg(test)]
pub(super) mod tests;
