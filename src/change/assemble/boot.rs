//! What concerns the next boot: the check that puts files back after a power cut, and units that load the rules.

use std::path::{Path, PathBuf};

use super::{Parts, RECOVER_UNIT};
use crate::step::{Action, Invocation, Step, Tool};

impl Parts<'_> {
    /// Exists only while files change: a power cut in between is made good before sshd and the network start.
    pub(super) fn boot_check(&self) -> Vec<Action> {
        if !self.facts.os.systemd {
            return self.boot_hook().into_iter().collect();
        }
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

    /// Takes the check away again.
    pub(super) fn end_boot_check(&self) -> Vec<Action> {
        let end = "take the boot-time check away";
        if !self.facts.os.systemd {
            let file = self.boot_hook().and(self.facts.os.boot_hook.clone());
            let remove = |file| Action::new(end, Step::Remove(file), vec![]);
            return file.map(remove).into_iter().collect();
        }
        let disable = ["disable", "--quiet", "faspwall-recover.service"];
        vec![
            Action::new(end, Step::Try(Invocation::new(Tool::Systemctl, disable)), vec![]),
            Action::new(
                "remove its unit",
                Step::Remove(PathBuf::from(RECOVER_UNIT)),
                vec![],
            ),
        ]
    }

    /// Without systemd: what runs once the host is up. Firewall and sshd have started with what they found by then, so all
    /// of the undo is done, as the guard does it.
    fn boot_hook(&self) -> Option<Action> {
        let file = self.facts.os.boot_hook.as_ref()?;
        // Neither cron nor the shell reads more into these.
        let plain = |c: char| c.is_ascii_alphanumeric() || " /._-+".contains(c);
        if !self.program.chars().all(plain) {
            return None;
        }
        let call = format!("{} guard {}", self.program, self.id);
        let why = "# Exists only while faspwall makes a change permanent: after a power cut in that moment it undoes it.\n";
        let (text, mode) = if file.starts_with("/etc/cron.d") {
            (format!("{why}@reboot root {call}\n"), 0o644)
        } else {
            (format!("#!/bin/sh\n{why}{call}\n"), 0o755)
        };
        Some(Action::new(
            "write the boot-time check, in case the power fails while files are written",
            Step::put(file, Some(&text), mode),
            vec![Step::Remove(file.clone())],
        ))
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
