//! The firewalls of the host.
use crate::facts::{Facts, Observations};
use crate::step::{Invocation, Tool};
use crate::system::System;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    observations: Observations,
}

impl Found {
    /// Puts it into the facts.
    pub fn into_facts(self, facts: &mut Facts) {
        facts.observations = self.observations;
    }
}

/// Looks at the ruleset.
pub fn look(system: &dyn System, _systemd: bool) -> Found {
    let call = Invocation::new(Tool::Nft, ["-j", "list", "ruleset"]).within(super::PROBE_LIMIT);
    let mut observations = Observations::default();
    match system.run(&call) {
        Ok(output) if output.ok() => observations.nft_json = Some(output.stdout),
        Ok(output) => observations.nft_error = Some(output.complaint()),
        Err(error) => observations.nft_error = Some(error.to_string()),
    }
    Found { observations }
}
