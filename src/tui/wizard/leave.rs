//! Leaving the wizard, and what can be done on a screen that is too small for its pages.

use super::{Wizard, waiting};
use crate::tui::words::{Ending, summary};
use crate::tui::{Effect, Event, Key, Nav, PageId, Question};

impl Wizard {
    /// While something is applied or waits, the page decides what leaving means; elsewhere nothing was changed.
    pub(super) fn quit(&mut self, key: Key) -> Vec<Effect> {
        match self.page {
            PageId::Confirm if waiting(&self.shared).is_none() => vec![Effect::Quit(0, self.farewell())],
            PageId::Apply | PageId::Confirm | PageId::Done => {
                let nav = self.tell_page(&Event::Key(key));
                self.follow(nav)
            }
            PageId::Status | PageId::Snapshots => vec![Effect::Quit(0, self.farewell())],
            PageId::Welcome => vec![Effect::Quit(3, self.farewell())],
            _ => {
                let question = Question {
                    text: "Leave faspwall? Nothing has been changed on this host.\n\
                           Your answers are kept for the next start."
                        .to_owned(),
                    yes: Box::new(Nav::Do(Effect::Quit(3, self.farewell()))),
                };
                self.follow(Some(Nav::Ask(question)))
            }
        }
    }

    /// What stays on the normal screen after leaving without a change.
    fn farewell(&self) -> Vec<String> {
        if let Some(ending) = Ending::of(&self.shared.progress) {
            return summary(&ending, &self.shared.answers, &self.shared.answers_path);
        }
        let open = self
            .shared
            .status
            .as_ref()
            .and_then(|status| status.open.as_ref())
            .or_else(|| waiting(&self.shared));
        match open {
            None => vec!["faspwall: nothing was changed.".to_owned()],
            Some(trial) => vec![
                format!(
                    "faspwall: a change still waits and is undone at {}.",
                    trial.deadline
                ),
                format!(
                    "keep it: faspwall confirm {}   undo it now: faspwall rollback",
                    trial.code
                ),
            ],
        }
    }

    /// Keys on the page for small screens: with a countdown the words keep and undo, else the line mode.
    pub(super) fn small_key(&mut self, key: Key) -> Vec<Effect> {
        let Some(trial) = self.countdown() else {
            let busy = matches!(self.page, PageId::Apply | PageId::Confirm);
            return match key {
                Key::Char('p') => vec![Effect::LineMode],
                Key::Char('q') | Key::F(10) | Key::Ctrl('c') if !busy => {
                    vec![Effect::Quit(3, self.farewell())]
                }
                _ => Vec::new(),
            };
        };
        let (txn, number) = (trial.txn.clone(), trial.trial);
        match key {
            Key::Char(letter) if letter.is_ascii_alphabetic() && self.typed.len() < 8 => {
                self.typed.push(letter);
            }
            Key::Backspace => {
                self.typed.pop();
            }
            Key::Enter => {
                return match std::mem::take(&mut self.typed).as_str() {
                    "keep" => vec![Effect::Keep(txn, number)],
                    "undo" => vec![Effect::Undo(txn)],
                    _ => Vec::new(),
                };
            }
            _ => {}
        }
        Vec::new()
    }
}
