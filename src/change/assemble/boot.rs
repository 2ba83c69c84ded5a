//! Only while files are being written: the check that puts them back after a power cut.

use std::path::PathBuf;

use super::{Parts, RECOVER_UNIT, action, write};
use crate::step::{Action, Invocation, Step, Tool};

impl Parts<'_> {
    /// Exists only while files change: a power cut in between is made good before sshd and the network start.
    pub(super) fn boot_check(&self) -> Vec<Action> {
        let unit =
            include_str!("../../../assets/faspwall-recover.service").replace("@PROGRAM@", self.program);
        let call =
            |verb: &str| Invocation::new(Tool::Systemctl, [verb, "--quiet", "faspwall-recover.service"]);
        vec![
            action(
                "write the boot-time check, in case the power fails while files are written",
                write(RECOVER_UNIT, &unit),
                vec![Step::Remove(PathBuf::from(RECOVER_UNIT))],
            ),
            action(
                "arm it",
                Step::Run(call("enable")),
                vec![Step::Try(call("disable"))],
            ),
        ]
    }
}
