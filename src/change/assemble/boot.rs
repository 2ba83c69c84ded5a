//! What a change leaves for the next boot: the file with our rules, the line that reads it, and, only while files are
//! being written, the check that puts them back after a power cut.

use std::path::PathBuf;

use super::{NFT_FILE, Parts, RECOVER_UNIT, accepts, action, put, write};
use crate::facts::BootFacts;
use crate::sshd::change::FileChange;
use crate::step::{Action, Invocation, Step, Tool};

/// Reads our file and no other: what else lies in that directory may be switched off on purpose.
const INCLUDE: &str = "include \"/etc/nftables.d/faspwall*.nft\"";
/// A line of the operator's own that reads our file as well.
const THEIR_INCLUDE: &str = "include \"/etc/nftables.d/*.nft\"";
const INCLUDE_NOTE: &str = "# The next line was added by faspwall; it reads the rules that faspwall keeps.";

/// The include line is added to the file that is loaded at boot, and taken out again with the last of our rules.
pub fn boot_file_change(boot: &BootFacts, no_rules: bool) -> Option<FileChange> {
    let (path, content) = (boot.file.clone()?, boot.content.clone()?);
    let after = if no_rules {
        without_include(&content)
    } else {
        with_include(&content)
    };
    (after != content).then_some(FileChange {
        path,
        before: Some(content),
        after: Some(after),
    })
}

/// The boot file with our include line at its end. A glob that matches nothing is no error for nft, a missing file is.
fn with_include(content: &str) -> String {
    if content
        .lines()
        .any(|line| matches!(line.trim(), INCLUDE | THEIR_INCLUDE))
    {
        return content.to_owned();
    }
    let end = if content.is_empty() || content.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{content}{end}{INCLUDE_NOTE}\n{INCLUDE}\n")
}

/// The boot file without the lines that we added; an include line of the operator's own stays.
pub(super) fn without_include(content: &str) -> String {
    content.replace(&format!("{INCLUDE_NOTE}\n{INCLUDE}\n"), "")
}

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

    pub(super) fn write_rules(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let before = (!self.live.0.is_empty()).then_some(&self.live.0);
        let path = PathBuf::from(NFT_FILE);
        if self.live.1.is_empty() {
            if before.is_some() {
                actions.push(action(
                    format!("remove {NFT_FILE}"),
                    Step::Remove(path.clone()),
                    vec![put(&path, before)],
                ));
            }
        } else {
            actions.push(action(
                format!("write {NFT_FILE} for the next boot"),
                write(NFT_FILE, &accepts(&self.live.1)),
                vec![put(&path, before)],
            ));
        }
        if let Some(conf) = boot_file_change(self.boot, self.live.1.is_empty()) {
            let verb = if self.live.1.is_empty() {
                "no longer reads"
            } else {
                "reads"
            };
            actions.push(action(
                format!("{} {verb} it", conf.path.display()),
                put(&conf.path, conf.after.as_ref()),
                vec![put(&conf.path, conf.before.as_ref())],
            ));
        }
        if let (Some(file), false) = (&self.boot.file, self.live.1.is_empty()) {
            // An include line of the operator's may stand above the table that our rules go into.
            let call = Invocation::new(Tool::Nft, ["-c", "-f", &file.display().to_string()]);
            actions.push(action(
                format!("nft accepts {} as it stands now", file.display()),
                Step::Run(call),
                vec![],
            ));
        }
        actions
    }
}
