//! What the host was like before, and whether it is so again.

use super::kernel::observe;
use super::{Engine, EngineError};
use crate::backend::kernel::{SAVES, view};
use crate::backend::nftables::Ruleset;
use crate::step::{Invocation, Tool};
use crate::transaction::TxnId;

/// More differing lines than this are counted, not listed.
const LISTED: usize = 20;

impl Engine<'_> {
    /// Keeps the ruleset as data to compare with, and as text for a person.
    pub fn take_snapshot(&self, id: &TxnId) -> Result<(), EngineError> {
        let dir = self.dir(id);
        self.system.make_dir(&dir, 0o700)?;
        let seen = observe(self.system)?;
        let json = seen.nft_json.unwrap_or_default();
        self.system
            .replace(&dir.join("ruleset.json"), json.as_bytes(), 0o600)?;
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
        let saves = SAVES
            .iter()
            .filter_map(|(tool, ..)| {
                let text = self.system.read_text(&dir.join(tool.name()))?;
                Some((tool.name().to_owned(), text))
            })
            .collect();
        view(&json, &saves).ok()
    }

    /// Lines in which the live ruleset differs from the snapshot of a transaction; empty means equal.
    pub fn compare(&self, id: &TxnId) -> Vec<String> {
        let mut differing = match (self.snapshot(id), self.live_ruleset()) {
            (Some(before), Ok(now)) => differences(&before, &now),
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

/// `- line` for what is missing now, `+ line` for what is new.
pub fn differences(before: &Ruleset, now: &Ruleset) -> Vec<String> {
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
