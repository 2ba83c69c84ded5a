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

impl Engine<'_> {
    /// What a rendering needs besides facts and answers.
    pub fn setting(&self, window_s: u64) -> Setting {
        Setting {
            id: self.new_id(),
            window_s,
            program: self
                .system
                .locate(Tool::Faspwall)
                .map(|p| p.display().to_string())
                .unwrap_or_default(),
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
