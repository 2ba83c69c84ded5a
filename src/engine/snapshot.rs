//! What the host was like before, and whether it is so again.

use super::{Engine, EngineError};
use crate::backend::nftables::Ruleset;
use crate::step::{Invocation, Tool};
use crate::transaction::TxnId;

/// More differing lines than this are counted, not listed.
const LISTED: usize = 20;

impl Engine<'_> {
    /// Keeps the ruleset twice: as JSON to compare with, as text for a person.
    pub fn take_snapshot(&self, id: &TxnId) -> Result<Ruleset, EngineError> {
        let dir = self.dir(id);
        self.system.make_dir(&dir, 0o700)?;
        let json = self
            .system
            .run_ok(&Invocation::new(Tool::Nft, ["-j", "list", "ruleset"]))?
            .stdout;
        self.system
            .replace(&dir.join("ruleset.json"), json.as_bytes(), 0o600)?;
        let text = self
            .system
            .run_ok(&Invocation::new(Tool::Nft, ["list", "ruleset"]))?
            .stdout;
        self.system
            .replace(&dir.join("ruleset.nft"), text.as_bytes(), 0o600)?;
        Ruleset::parse(&json)
            .map_err(|e| EngineError::Refused(format!("the live ruleset could not be read: {e}")))
    }

    /// Lines in which the live ruleset differs from the snapshot of a transaction; empty means equal.
    pub fn compare(&self, id: &TxnId) -> Vec<String> {
        let kept = self.system.read_text(&self.dir(id).join("ruleset.json"));
        let before = kept.and_then(|json| Ruleset::parse(&json).ok());
        let mut differing = match (before, self.live_ruleset()) {
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
