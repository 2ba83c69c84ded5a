//! What concerns the next boot: the check that puts files back after a power cut, and units that load the rules.

use std::path::{Path, PathBuf};

use super::{Parts, RECOVER_UNIT};
use crate::step::{Action, Invocation, Step, Tool};

impl Parts<'_> {
    /// Exists only while files change: a power cut in between is made good before sshd and the network start.
    pub(super) fn boot_check(&self) -> Vec<Action> {
        let unit =
            include_str!("../../../assets/faspwall-recover.service").replace("@PROGRAM@", self.program);
        let call =
            |verb: &str| Invocation::new(Tool::Systemctl, [verb, "--quiet", "faspwall-recover.service"]);
        vec![
            Action::new(
                "write the boot-time check, in case the power fails while files are written",
                Step::put(Path::new(RECOVER_UNIT), Some(&unit), 0o644),
                vec![Step::Remove(PathBuf::from(RECOVER_UNIT))],
            ),
            Action::new(
                "arm it",
                Step::Run(call("enable")),
                vec![Step::Try(call("disable"))],
            ),
        ]
    }

    /// Units that load the rules: enabled once their files are there, never started, for that would load them anew.
    pub(super) fn start_at_boot(&self) -> Vec<Action> {
        let call = |verb: &str, unit: &String| Invocation::new(Tool::Systemctl, [verb, "--quiet", unit]);
        let on = self.enable.iter().map(|unit| {
            Action::new(
                format!("let {unit} load the rules at boot"),
                Step::Run(call("enable", unit)),
                vec![Step::Try(call("disable", unit))],
            )
        });
        let off = self.disable.iter().map(|unit| {
            Action::new(
                format!("{unit} no longer loads the rules at boot, as before"),
                Step::Run(call("disable", unit)),
                vec![Step::Try(call("enable", unit))],
            )
        });
        on.chain(off).collect()
    }
}
