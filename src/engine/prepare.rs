//! From answers and facts to a preview: reads what is kept already, then leaves the thinking to the pure core.

use std::path::Path;

use super::Engine;
use crate::advice::review;
use crate::answers::Answers;
use crate::catalogue::Catalogue;
use crate::change::Preview;
use crate::change::assemble::NFT_FILE;
use crate::change::render::{Setting, preview};
use crate::facts::Facts;
use crate::plan::{PlanError, plan};
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
        Setting {
            id: self.new_id(),
            window_s,
            program: format!(
                "{} --state-dir {}",
                in_unit(&self.system.locate(Tool::Faspwall).unwrap_or_default()),
                in_unit(&self.state_dir)
            ),
            kept: self.system.read_text(Path::new(NFT_FILE)).unwrap_or_default(),
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
