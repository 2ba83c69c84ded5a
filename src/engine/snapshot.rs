//! What the host was like before, and whether it is so again.

use std::collections::BTreeSet;

use super::kernel::Seen;
use super::{Engine, EngineError};
use crate::backend::kernel::{FLAGS_OF, SAVES, view};
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::model::Table;
use crate::step::{Invocation, Tool};
use crate::transaction::TxnId;

/// More differing lines than this are counted, not listed.
const LISTED: usize = 20;

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

    /// The ruleset of the snapshot; `None` when it cannot be read.
    fn snapshot(&self, id: &TxnId) -> Option<Ruleset> {
        let dir = self.dir(id);
        let json = self.system.read_text(&dir.join("ruleset.json"))?;
        let known =
            |name: &str| name.starts_with(FLAGS_OF) || SAVES.iter().any(|(tool, ..)| tool.name() == name);
        let files = self.system.list(&dir);
        let saves = files
            .iter()
            .filter_map(|path| {
                let name = path.file_name()?.to_str().filter(|name| known(name))?;
                Some((name.to_owned(), self.system.read_text(path)?))
            })
            .collect();
        view(&json, &saves).ok()
    }

    /// Tables of others that somebody has made anew since the snapshot, as firewalld does in a reload.
    pub fn made_anew(&self, id: &TxnId) -> Vec<String> {
        let (Some(before), Ok(now)) = (self.snapshot(id), self.loaded_ruleset()) else {
            return Vec::new();
        };
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

    /// Lines in which the live ruleset differs from the snapshot of a transaction; empty means equal.
    pub fn compare(&self, id: &TxnId) -> Vec<String> {
        let mut differing = match (self.snapshot(id), self.loaded_ruleset()) {
            (Some(before), Ok(now)) => differences(&before, now),
            (None, _) => vec![String::from("the snapshot could not be read")],
            (_, Err(error)) => vec![format!("the live ruleset could not be read: {error}")],
        };
        let change = self.load(id).ok().flatten().map(|t| t.change);
        for (path, before) in change.iter().flat_map(|c| &c.before.rewritten) {
            if self.system.read_text(path) != *before {
                differing.push(format!("{} is not as it was", path.display()));
            }
        }
        differing
    }
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
    let (old, new) = (before.lines().join("\n"), now.lines().join("\n"));
    if old == new {
        return Vec::new();
    }
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
