//! From answers and facts to a preview: reads what is kept already, then leaves the thinking to the pure core.

use std::collections::BTreeMap;
use std::path::Path;

use super::Engine;
use crate::advice::review;
use crate::answers::Answers;
use crate::catalogue::Catalogue;
use crate::change::Preview;
use crate::change::render::{Setting, preview};
use crate::facts::{BackendId, Facts};
use crate::plan::{PlanError, Requirement, plan};
use crate::step::Tool;

/// A path as a word of `ExecStart=`.
fn in_unit(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain {
        return text;
    }
    let text = text.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{}\"", text.replace('%', "%%").replace('$', "$$"))
}

impl Engine<'_> {
    /// What a rendering needs besides facts and answers.
    pub fn setting(&self, window_s: u64) -> Setting {
        let in_force = self
            .in_force()
            .map(|t| (t.change.before.kept, t.change.requirements));
        // In each backend's own text.
        let (kept, let_in): (BTreeMap<BackendId, (String, String)>, Vec<Requirement>) =
            in_force.unwrap_or_default();
        Setting {
            id: self.new_id(),
            window_s,
            program: format!(
                "{} --state-dir {}",
                in_unit(&self.system.locate(Tool::Faspwall).unwrap_or_default()),
                in_unit(&self.state_dir)
            ),
            committed: kept.into_iter().map(|(id, (_, after))| (id, after)).collect(),
            let_in,
        }
    }

    /// The preview of these answers on this host.
    pub fn prepare(
        &self,
        catalogue: &Catalogue,
        answers: &Answers,
        facts: &Facts,
        window_s: u64,
    ) -> Result<Preview, PlanError> {
        let plan = plan(catalogue, answers)?;
        let advice = review(&plan, answers, facts);
        Ok(preview(facts, answers, plan, advice, &self.setting(window_s)))
    }
}
