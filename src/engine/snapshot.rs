//! What the host was like before, and whether it is so again.

use std::collections::{BTreeMap, BTreeSet};

use super::kernel::{Seen, observe};
use super::{Engine, EngineError};
use crate::backend::kernel::{FLAGS_OF, SAVES, view};
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::model::Table;
use crate::step::{Invocation, Tool};
use crate::transaction::TxnId;

/// More differing lines than this are counted, not listed.
const LISTED: usize = 20;

/// What is said of a snapshot that is not there, or that nobody understands.
const UNREADABLE: &str = "the snapshot could not be read";

/// What a snapshot keeps: what nft printed, and what else was printed, by the names of the programs.
struct Kept {
    json: String,
    outputs: BTreeMap<String, String>,
}

/// The host after a change was taken back.
#[derive(Debug, Default)]
pub struct Aftermath {
    /// Lines in which the live ruleset differs from the snapshot, and files that differ; empty means equal.
    pub differs: Vec<String>,
    /// Tables of others that somebody has made anew meanwhile.
    pub anew: Vec<String>,
}

impl Engine<'_> {
    /// Keeps the ruleset as data to compare with, and as text for a person.
    pub fn take_snapshot(&self, id: &TxnId, seen: &Seen) -> Result<(), EngineError> {
        let dir = self.dir(id);
        self.system.make_dir(&dir, 0o700)?;
        self.system
            .replace(&dir.join("ruleset.json"), seen.json.as_bytes(), 0o600)?;
        for (command, text) in &seen.outputs {
            self.system.replace(&dir.join(command), text.as_bytes(), 0o600)?;
        }
        let text = self
            .system
            .run_ok(&Invocation::new(Tool::Nft, ["list", "ruleset"]))?
            .stdout;
        Ok(self
            .system
            .replace(&dir.join("ruleset.nft"), text.as_bytes(), 0o600)?)
    }

    /// What was kept of the ruleset; `None` when it cannot be read.
    fn snapshot(&self, id: &TxnId) -> Option<Kept> {
        let dir = self.dir(id);
        let json = self.system.read_text(&dir.join("ruleset.json"))?;
        let known =
            |name: &str| name.starts_with(FLAGS_OF) || SAVES.iter().any(|(tool, ..)| tool.name() == name);
        let files = self.system.list(&dir);
        let outputs = files
            .iter()
            .filter_map(|path| {
                let name = path.file_name()?.to_str().filter(|name| known(name))?;
                Some((name.to_owned(), self.system.read_text(path)?))
            })
            .collect();
        Some(Kept { json, outputs })
    }

    /// What the live rules are like beside the snapshot of a transaction.
    pub fn look_back(&self, id: &TxnId) -> Aftermath {
        let (before, now) = (self.snapshot(id), observe(self.system));
        let rules = match (before, now) {
            // Printed alike to the last letter: nothing needs to be understood.
            (Some(before), Ok(now)) if before.json == now.json && before.outputs == now.outputs => {
                Ok(Aftermath::default())
            }
            (Some(before), Ok(now)) => match view(&before.json, &before.outputs) {
                Ok(before) => Ok(Aftermath {
                    anew: made_anew(&before, &now.ruleset),
                    differs: differences(&before, now.ruleset),
                }),
                Err(_) => Err(UNREADABLE.to_owned()),
            },
            (None, _) => Err(UNREADABLE.to_owned()),
            (_, Err(error)) => Err(format!("the live ruleset could not be read: {error}")),
        };
        let mut found = rules.unwrap_or_else(|why| Aftermath {
            differs: vec![why],
            ..Aftermath::default()
        });
        let change = self.load(id).ok().flatten().map(|t| t.change);
        for (path, before) in change.iter().flat_map(|c| &c.before.rewritten) {
            if self.system.read_text(path) != *before {
                found.differs.push(format!("{} is not as it was", path.display()));
            }
        }
        found
    }
}

/// Tables of others that somebody has made anew since, as firewalld does in a reload.
fn made_anew(before: &Ruleset, now: &Ruleset) -> Vec<String> {
    let anew = |old: &&Table| {
        let mut same = now
            .tables
            .iter()
            .filter(|t| (&t.family, &t.name) == (&old.family, &old.name));
        same.any(|new| new.handle.is_some() && old.handle.is_some() && new.handle != old.handle)
    };
    let all = before
        .tables
        .iter()
        .filter(|table| !table.name.starts_with("faspwall"));
    all.filter(anew)
        .map(|table| format!("{} {}", table.family, table.name))
        .collect()
}

/// The ruleset without tables that iptables made by being called: no rules, and every chain accepts. They treat no
/// packet, and a table that was there before counts all the same.
fn without_idle(before: &Ruleset, mut now: Ruleset) -> Ruleset {
    const BUILT_IN: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
    let key = |family: &str, name: &str| format!("{family} {name}");
    let had: BTreeSet<String> = before.tables.iter().map(|t| key(&t.family, &t.name)).collect();
    let busy: BTreeSet<String> = now
        .rules
        .iter()
        .map(|rule| key(&rule.family, &rule.table))
        .chain(now.sets.iter().map(|set| key(&set.family, &set.table)))
        .chain(
            now.chains
                .iter()
                .filter(|chain| chain.base.as_ref().is_none_or(|base| base.policy != "accept"))
                .map(|chain| key(&chain.family, &chain.table)),
        )
        .collect();
    let idle = |family: &str, name: &str| {
        let built_in = BUILT_IN.contains(&name.trim_end_matches(" (legacy)"));
        let table = key(family, name);
        matches!(family, "ip" | "ip6") && built_in && !had.contains(&table) && !busy.contains(&table)
    };
    now.tables.retain(|table| !idle(&table.family, &table.name));
    now.chains.retain(|chain| !idle(&chain.family, &chain.table));
    now
}

/// `- line` for what is missing now, `+ line` for what is new.
pub fn differences(before: &Ruleset, now: Ruleset) -> Vec<String> {
    let now = without_idle(before, now);
    let (old, new) = (before.lines(), now.lines());
    if old == new {
        return Vec::new();
    }
    let (old, new) = (old.join("\n"), new.join("\n"));
    let diff = similar::TextDiff::from_lines(&old, &new);
    let mut lines: Vec<String> = diff
        .iter_all_changes()
        .filter(|change| change.tag() != similar::ChangeTag::Equal)
        .map(|change| format!("{} {}", change.tag(), change.value().trim_end()))
        .collect();
    if lines.len() > LISTED {
        let more = lines.len() - LISTED;
        lines.truncate(LISTED);
        lines.push(format!("... and {more} more"));
    }
    lines
}
