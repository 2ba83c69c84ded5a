//! Looking without changing: status, and the list of what was kept; and the way back from a kept change.

use crate::tui::{Effect, words};

use super::ask::Ask;
use super::setup::number;
use super::{Busy, Plain, Step};

impl Plain {
    pub(super) fn ask_status(&mut self) {
        let Some(status) = self.shared.status.clone() else {
            return;
        };
        self.say("Status, read only.");
        self.say(format!(
            "Firewall: {}. After a reboot: {}.",
            status.backend, status.at_boot
        ));
        match &status.applied {
            Some(txn) => self.say(format!("Applied: {txn}, {}.", status.applied_by)),
            None => self.say("Applied: nothing yet."),
        }
        for row in &status.ports {
            self.say(format!(
                "  {}: should be {}, is {}, listener {}",
                row.port, row.wanted, row.is, row.listener
            ));
        }
        if let Some(reminder) = &status.reminder {
            let name = if reminder.urgent { "Reminder" } else { "Later" };
            self.say(format!("{name}: {}.", reminder.text));
        }
        if status.drift.is_empty() {
            self.say("Drift: none.");
        }
        for line in &status.drift {
            self.say(format!("Drift: {line}"));
        }
        self.say(format!("Snapshots: {}.", status.kept));
        for line in &status.events {
            self.say(format!("  {line}"));
        }
    }

    pub(super) fn status_answer(&mut self, text: &str) -> Step {
        match text.to_ascii_lowercase().as_str() {
            "r" | "" => {
                self.wait_for(Busy::Status, Effect::Status);
                Step::Wait
            }
            "s" => {
                self.wait_for(Busy::Kept, Effect::Snapshots);
                Step::Wait
            }
            "e" => Step::To(Ask::Role),
            "c" => {
                let answers = self
                    .shared
                    .status
                    .as_ref()
                    .and_then(|status| status.close_22.clone());
                let Some(answers) = answers else {
                    return Step::Invalid(
                        "No TCP/22 was kept for a while. r, s, e or q is wanted.".to_owned(),
                    );
                };
                self.shared.answers = *answers;
                self.preview()
            }
            _ => Step::Invalid("r, s, e or q is wanted.".to_owned()),
        }
    }

    pub(super) fn ask_snapshots(&mut self) {
        let kept = self.shared.kept.clone();
        self.say(format!("Snapshots, {} kept.", kept.len()));
        for (index, one) in kept.iter().enumerate() {
            self.say(format!(
                "  {}  {}, {}, by {}, {}",
                index + 1,
                words::minute(&one.at),
                one.what,
                one.by,
                one.state
            ));
        }
    }

    pub(super) fn snapshots_answer(&mut self, text: &str) -> Step {
        if text.is_empty() || self.shared.kept.is_empty() {
            return Step::Invalid("A number is wanted; b goes back, q leaves.".to_owned());
        }
        match number(text, self.shared.kept.len(), 1) {
            Ok(chosen) => {
                let kept = self.shared.kept.get(chosen - 1);
                if let Some(other) = kept.filter(|kept| !kept.in_force) {
                    let line = format!("That one is {}: there is nothing to go back from.", other.state);
                    self.say(line);
                    return Step::Again;
                }
                self.going_back = kept.map(|kept| kept.txn.clone());
                Step::To(Ask::GoBack)
            }
            Err(why) => Step::Invalid(why),
        }
    }

    pub(super) fn ask_go_back(&mut self) {
        let chosen = self
            .shared
            .kept
            .iter()
            .find(|kept| Some(&kept.txn) == self.going_back.as_ref())
            .cloned();
        if let Some(kept) = chosen {
            self.say(format!("Going back to before {} would:", words::minute(&kept.at)));
            for line in &kept.going_back {
                self.say(format!("  {line}"));
            }
        }
        self.say("It is guarded like every change: it undoes itself unless you confirm. Go back?");
        self.dangerous();
        self.ask_short();
    }

    pub(super) fn go_back_answer(&mut self, text: &str) -> Step {
        match (text.to_ascii_lowercase().as_str(), self.going_back.take()) {
            ("y" | "yes", Some(txn)) => {
                self.begin_live(Effect::GoBack(txn));
                Step::Wait
            }
            ("" | "n" | "no", _) => {
                self.say("Nothing was changed.");
                Step::To(Ask::Snapshots)
            }
            (_, txn) => {
                self.going_back = txn;
                Step::Invalid("y or n is wanted.".to_owned())
            }
        }
    }

    pub(super) fn ask_interrupted(&mut self) {
        let txn = self
            .shared
            .status
            .as_ref()
            .and_then(|status| status.interrupted.clone());
        if let Some(txn) = txn {
            self.say(format!(
                "An earlier change, {txn}, was interrupted. Take back what it left behind?"
            ));
        }
        self.dangerous();
        self.ask_short();
    }

    pub(super) fn interrupted_answer(&mut self, text: &str) -> Step {
        let txn = self
            .shared
            .status
            .as_ref()
            .and_then(|status| status.interrupted.clone());
        match (text.to_ascii_lowercase().as_str(), txn) {
            ("y" | "yes", Some(txn)) => {
                self.begin_live(Effect::Undo(txn));
                Step::Wait
            }
            ("" | "n" | "no", _) => {
                self.say("Left as it is. It must be undone before anything can be applied.");
                Step::To(Ask::Start)
            }
            _ => Step::Invalid("y or n is wanted.".to_owned()),
        }
    }
}
