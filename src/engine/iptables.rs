//! Performs steps on the rules of iptables.

use std::time::Duration;

use super::{Engine, EngineError};
use crate::backend::iptables::sweep::sweep;
use crate::backend::ufw::patch::{self, Naming};
use crate::step::{CLOCK_STEP, Invocation, IptablesRule, NativeRule, Step, Tool, UNTIL};

impl Engine<'_> {
    /// Performs a step of this kind; any other is nothing to do.
    pub(super) fn iptables(&self, step: &Step) -> Result<(), EngineError> {
        match step {
            Step::SweepIptables {
                tag,
                tools,
                then,
                seconds,
            } => self.sweep_iptables(tag, tools, then, *seconds),
            Step::PatchIptables {
                tool,
                sweep,
                rules,
                seconds,
            } => self.patch_iptables(*tool, sweep, rules, *seconds),
            _ => Ok(()),
        }
    }

    fn sweep_iptables(
        &self,
        tag: &str,
        tools: &[Tool],
        then: &[NativeRule],
        seconds: u64,
    ) -> Result<(), EngineError> {
        let until = self.until(seconds);
        for tool in tools {
            let lines: Vec<(String, String)> = then
                .iter()
                .filter(|rule| rule.tool == *tool)
                .map(|rule| (rule.table.clone(), rule.rule.replace(UNTIL, &until)))
                .collect();
            self.sweep_with(*tool, tag, &lines)?;
        }
        Ok(())
    }

    /// Between the look and the act somebody else may have taken a rule away: the batch then fails as a whole and is
    /// made anew.
    fn sweep_with(&self, tool: Tool, tag: &str, lines: &[(String, String)]) -> Result<(), EngineError> {
        let mut attempt = 1;
        loop {
            let save = super::kernel::save_beside(self.system, tool)?;
            let batch = sweep(&save, tag, lines);
            if batch.is_empty() {
                return Ok(());
            }
            let program = super::kernel::there(self.system, tool);
            let call = Invocation::new(program, ["--noflush", "-w", "10"]).with_stdin(batch);
            match self.system.run_ok(&call) {
                Ok(_) => return Ok(()),
                Err(error) if attempt == 3 => return Err(error.into()),
                Err(_) => attempt += 1,
            }
        }
    }

    /// As above, for rules that have their places.
    fn patch_iptables(
        &self,
        tool: Tool,
        sweep: &str,
        rules: &[IptablesRule],
        seconds: u64,
    ) -> Result<(), EngineError> {
        let until = self.until(seconds);
        let mut rules = rules.to_vec();
        for rule in &mut rules {
            rule.rule = rule.rule.replace(UNTIL, &until);
        }
        let mut failed = None;
        for naming in Naming::ALL {
            let save = super::kernel::save_beside(self.system, tool)?;
            let batch = patch::batch(&save, sweep, &rules, naming)
                .map_err(|error| EngineError::Refused(error.to_string()))?;
            let Some(batch) = batch else { return Ok(()) };
            let program = super::kernel::there(self.system, tool);
            let call = Invocation::new(program, ["--noflush", "-w", "10"]).with_stdin(batch);
            match self.system.run_ok(&call) {
                Ok(_) => return Ok(()),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The end of a timed rule as `-m time --datestop` takes it: UTC, whole seconds, and a day late.
    fn until(&self, seconds: u64) -> String {
        let now = self.system.now();
        let end = now
            .checked_add(Duration::from_secs(seconds).saturating_add(CLOCK_STEP))
            .unwrap_or(now);
        end.strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }
}
