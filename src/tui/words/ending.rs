//! How a change ended: what is said on the last page, what stays on the normal screen, what is left to do.

use std::path::Path;

use super::{capital, joined, sentence};
use crate::answers::{Answers, AsperaConf};
use crate::transaction::{Outcome, Progress};

/// How a change ended, with everything that is said of it.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// What went wrong, when something did.
    pub failed: &'a [String],
    /// The end of the transaction; `None` when nothing was begun.
    pub outcome: Option<&'a Outcome>,
}

impl<'a> Ending<'a> {
    /// The end that the last line of progress tells, if it tells one.
    pub fn of(progress: &'a [Progress]) -> Option<Self> {
        match progress.last()? {
            Progress::Committed(outcome) | Progress::RolledBack(outcome) => Some(Self {
                failed: &[],
                outcome: Some(outcome),
            }),
            Progress::Failed { lines, outcome } => Some(Self {
                failed: lines,
                outcome: outcome.as_deref(),
            }),
            _ => None,
        }
    }

    /// Whether the change is permanent.
    pub fn kept(&self) -> bool {
        self.outcome.is_some_and(|o| o.kept)
    }

    /// Whether the undo left work for a person.
    pub fn incomplete(&self) -> bool {
        self.outcome.is_some_and(|o| !o.kept && !o.remaining.is_empty())
    }

    /// Exit status: 0 kept, 3 undone on purpose or for want of an answer, 6 failed and undone, 7 undo incomplete.
    pub fn exit_code(&self) -> u8 {
        if self.incomplete() {
            7
        } else if self.kept() {
            0
        } else if self.failed.is_empty() {
            3
        } else {
            6
        }
    }

    /// The first line of the page and of the summary.
    pub fn headline(&self) -> String {
        match self.outcome {
            Some(outcome) if outcome.kept => headed("KEPT", outcome),
            Some(outcome) if !outcome.remaining.is_empty() => headed("UNDO INCOMPLETE", outcome),
            Some(outcome) => headed("UNDONE", outcome),
            None => "NOT APPLIED. This host was not changed.".to_owned(),
        }
    }

    /// Whether the host was found equal to the snapshot; `None` when there was nothing to compare.
    pub fn compared(&self) -> Option<String> {
        let outcome = self.outcome.filter(|o| !o.kept)?;
        Some(match outcome.differs.len() {
            0 => "equal to the snapshot".to_owned(),
            1 => "1 line differs from the snapshot".to_owned(),
            n => format!("{n} lines differ from the snapshot"),
        })
    }
}

/// The end in a word, then who confirmed or why it was undone; a reason that says the word again continues it.
fn headed(word: &str, outcome: &Outcome) -> String {
    let reason = sentence(&outcome.reason);
    match reason.split_once(' ') {
        Some((first, rest)) if first.eq_ignore_ascii_case(word) => format!("{word} {rest}"),
        _ => format!("{word}. {}", capital(&reason)).trim_end().to_owned(),
    }
}

/// The lines that stay on the normal screen after the program has left.
pub fn summary(ending: &Ending<'_>, answers: &Answers, answers_path: &Path) -> Vec<String> {
    let mut lines: Vec<String> = ending
        .failed
        .iter()
        .map(|line| format!("faspwall: {line}"))
        .collect();
    let Some(outcome) = ending.outcome else {
        lines.push("faspwall: not applied, this host was not changed.".to_owned());
        return lines;
    };
    if outcome.kept {
        let (opened, closed) = (joined(&outcome.opened), joined(&outcome.closed));
        lines.push(format!("faspwall: kept. Opened: {opened}. Closed: {closed}."));
        lines.push(format!("undo:   faspwall rollback {}", outcome.txn));
        lines.push(format!("log:    {}", outcome.log));
        if forward(outcome, answers) {
            lines.push(format!("repeat: faspwall apply -f {}", answers_path.display()));
        }
        lines.extend(
            outcome
                .notice
                .iter()
                .map(|file| format!("users:  the text for them is in {file}")),
        );
        return lines;
    }
    let end = if ending.incomplete() {
        "undo incomplete"
    } else {
        "undone"
    };
    lines.push(format!("faspwall: {}", headed(end, outcome)));
    if let Some(compared) = ending.compared() {
        lines.push(format!("host:   {compared}"));
    }
    lines.extend(outcome.differs.iter().map(|line| format!("        {line}")));
    if ending.incomplete() {
        lines.push("Type these commands as root to finish:".to_owned());
        lines.extend(outcome.remaining.iter().map(|command| format!("  {command}")));
    }
    lines.push(format!("log:    {}", outcome.log));
    lines
}

/// What is left to do by people after a change was kept, or was not.
pub fn next_steps(ending: &Ending<'_>, answers: &Answers) -> Vec<String> {
    if let Some(outcome) = ending.outcome.filter(|outcome| outcome.kept) {
        return kept_steps(outcome, answers);
    }
    if ending.incomplete() {
        return vec!["type the commands above as root, then: faspwall status".to_owned()];
    }
    let again = "nothing is left to clean up; the same answers can be tried again".to_owned();
    let mut steps = Vec::new();
    if ending.failed.is_empty() {
        steps.push(again);
        steps.push(format!(
            "if the new login did not get through: open TCP/{} in the cloud security group or router first",
            answers.ssh.port
        ));
        steps.push("if time was short: extend it on the Confirm page, a minute at a time".to_owned());
    } else {
        steps.push("repair what is named above, then go back to the preview".to_owned());
        steps.push(again);
    }
    steps
}

fn kept_steps(outcome: &Outcome, answers: &Answers) -> Vec<String> {
    let port = answers.ssh.port;
    let mut steps = Vec::new();
    if !forward(outcome, answers) {
        steps.push(format!(
            "tell your users that these are closed again: {}",
            joined(&outcome.closed)
        ));
        steps.push("close them in the cloud security group or router too".to_owned());
        steps.extend(outcome.left_to_do.iter().cloned());
        return steps;
    }
    if port != 22 {
        let text = outcome
            .notice
            .as_ref()
            .map_or_else(String::new, |file| format!("; a text for them is in {file}"));
        steps.push(format!(
            "tell your users: clients now need port {port}  (ascp -P {port}){text}"
        ));
    }
    if let Some(day) = outcome.keep_22_until {
        steps.push(format!(
            "TCP/22 stays open until {day}; then type: faspwall close-22"
        ));
    }
    steps.extend(outcome.left_to_do.iter().cloned());
    if !outcome.opened.is_empty() {
        steps.push(format!(
            "open {} in the cloud security group or router",
            joined(&outcome.opened)
        ));
    }
    steps.push("test a transfer from outside this network".to_owned());
    if answers.fasp_udp.to_string() != "33001" && answers.aspera_conf == AsperaConf::Leave {
        steps.push(format!("aspera.conf: set the UDP port to {}", answers.fasp_udp));
    }
    if port != 22 {
        steps.push("if you use Faspex, Shares or Console: change the node's SSH port there".to_owned());
    }
    steps
}

/// Whether the change did what the answers ask; a way back closes what they ask for, or opens 22 again.
pub fn forward(outcome: &Outcome, answers: &Answers) -> bool {
    let opens_22 = outcome.opened.iter().any(|port| port == "TCP/22");
    let closes_ours = outcome.closed.contains(&format!("TCP/{}", answers.ssh.port));
    !closes_ours && (answers.ssh.port == 22 || !opens_22)
}
