//! The line mode: the pages of the wizard as one question and one line at a time, append only.
//!
//! For screen readers, dumb terminals and paper. [`Plain`] is a pure state machine: lines and events go in, lines and
//! effects come out; [`run`] joins it to two channels, a reader and a writer. Its rules:
//!
//! * numbers instead of arrows; `?` help, `b` back, `q` quit on every question;
//! * a default is taken by Enter alone and by nothing else; Enter alone never changes the host and never keeps;
//! * the end of the input, and three invalid answers to one question, mean cancel: exit status 3, and an open trial is undone;
//! * what was typed before a dangerous question was printed is thrown away.
//!
//! A printed line that ends in a blank is a prompt: the answer is typed behind it.

mod ask;
mod live;
mod look;
mod options;
pub mod run;
mod setup;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

use crate::harmless;
use crate::transaction::TxnId;
use crate::tui::{Attempt, Effect, Event, Shared, words};

use ask::{Ask, FurtherPorts};

/// Invalid answers to one question before it counts as cancelled.
const PATIENCE: u8 = 3;

/// After a dangerous question was printed, lines are not believed for this many milliseconds.
const QUIET_MS: u64 = 300;

/// What the machine waits for, other than a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    /// The host is looked at.
    Detect,
    /// The preview is made.
    Preview,
    /// The preview is rehearsed.
    Rehearsal,
    /// Status is read.
    Status,
    /// The list of kept changes is read.
    Kept,
    /// Steps run on the host.
    Live,
}

/// What the line of an answer leads to.
enum Step {
    /// The next question.
    Next,
    /// This question.
    To(Ask),
    /// The same question is asked again, and that is no mistake.
    Again,
    /// Not understood: what would be right.
    Invalid(String),
    /// Nothing is asked for now.
    Wait,
}

/// The line mode.
#[derive(Debug)]
pub struct Plain {
    shared: Shared,
    at: Ask,
    busy: Option<Busy>,
    wrong: u8,
    quiet_ms: u64,
    /// Lines that came while the machine was busy with something harmless.
    early: VecDeque<String>,
    input_ended: bool,
    left: bool,
    live: live::Live,
    /// The change that the operator wants to go back before, while that is asked.
    going_back: Option<TxnId>,
    /// `22`, or the third choice, was typed and `open 22` would be taken now.
    open_22_offered: bool,
    further: FurtherPorts,
    out: Vec<String>,
    effects: Vec<Effect>,
}

impl Plain {
    /// The machine before its first line.
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            at: Ask::Start,
            busy: None,
            wrong: 0,
            quiet_ms: 0,
            early: VecDeque::new(),
            input_ended: false,
            left: false,
            live: live::Live::default(),
            going_back: None,
            open_22_offered: false,
            further: FurtherPorts::default(),
            out: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// The greeting, and what is asked of the world first.
    pub fn start(&mut self) -> (Vec<String>, Vec<Effect>) {
        let name = format!(
            "faspwall {}, plain mode. ? help, b back, q quit.",
            env!("CARGO_PKG_VERSION")
        );
        self.say(name);
        if self.shared.lab {
            self.say("LAB: everything here happens in a sealed network namespace. This host is not changed.");
        }
        self.say("Nothing is changed before step 7.");
        self.say("Step 1 of 8, this host. Looking at it.");
        // A change that is open already is told by the status, and comes before everything else.
        self.effects.push(Effect::Status);
        self.wait_for(Busy::Detect, Effect::Detect);
        self.taken()
    }

    /// A line was typed; `None` is the end of the input. Returns what is printed and what is asked of the world.
    pub fn line(&mut self, text: Option<&str>) -> (Vec<String>, Vec<Effect>) {
        if !self.left {
            match text {
                None => self.end_of_input(),
                Some(text) => self.typed(text),
            }
        }
        self.taken()
    }

    /// Something happened. Returns what is printed and what is asked of the world.
    pub fn event(&mut self, event: &Event) -> (Vec<String>, Vec<Effect>) {
        if !self.left {
            self.happened(event);
            self.answer_early_lines();
        }
        self.taken()
    }

    /// Whether the machine wants to be told how time passes.
    pub fn wants_ticks(&self) -> bool {
        !self.left && (self.quiet_ms > 0 || self.busy == Some(Busy::Live) || self.at == Ask::Confirm)
    }

    fn taken(&mut self) -> (Vec<String>, Vec<Effect>) {
        (mem::take(&mut self.out), mem::take(&mut self.effects))
    }

    /// Prints text, a line for each of its lines.
    fn say(&mut self, text: impl Into<String>) {
        for line in text.into().lines() {
            // A trailing blank would make a prompt of it; a control character could move the cursor of the terminal.
            let clean = harmless::lines(&words::untabbed(line));
            self.out.push(clean.trim_end().to_owned());
        }
    }

    fn prompt(&mut self, text: &str) {
        self.out.push(format!("{} ", harmless::lines(text.trim_end())));
    }

    fn wait_for(&mut self, busy: Busy, effect: Effect) {
        self.busy = Some(busy);
        self.effects.push(effect);
    }

    fn typed(&mut self, text: &str) {
        match self.busy {
            Some(Busy::Live) => self.typed_while_live(text.trim()),
            Some(_) => self.early.push_back(text.to_owned()),
            None => self.answer(text.trim()),
        }
    }

    fn end_of_input(&mut self) {
        self.input_ended = true;
        match self.busy {
            Some(Busy::Live) => self.stop_live("The input has ended."),
            Some(_) => {}
            None => self.cancel("The input has ended."),
        }
    }

    fn answer_early_lines(&mut self) {
        while self.busy.is_none() && !self.left {
            if let Some(text) = self.early.pop_front() {
                self.answer(text.trim());
            } else {
                if self.input_ended {
                    self.cancel("The input has ended.");
                }
                return;
            }
        }
    }

    fn answer(&mut self, text: &str) {
        if self.quiet_ms > 0 {
            self.say("That was typed before the question could be read. It does not count; type it again.");
            return;
        }
        let step = match text.to_ascii_lowercase().as_str() {
            "?" | "help" => {
                self.help();
                Step::Again
            }
            "b" | "back" => self.back(),
            "q" | "quit" => self.quit(),
            _ => self.answered(text),
        };
        self.follow(step);
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Wait => {}
            Step::Again => {
                self.wrong = 0;
                self.ask_short();
            }
            Step::Next => {
                let next = self.after(self.at);
                self.go(next);
            }
            Step::To(ask) => self.go(ask),
            Step::Invalid(why) => {
                self.wrong += 1;
                self.say(why);
                if self.wrong >= PATIENCE {
                    self.cancel("Three answers could not be used.");
                } else {
                    self.ask_short();
                }
            }
        }
    }

    fn go(&mut self, ask: Ask) {
        self.at = ask;
        self.wrong = 0;
        self.open_22_offered = false;
        self.ask();
    }

    /// Before a question whose answer changes the host: what was typed earlier does not answer it.
    fn dangerous(&mut self) {
        self.early.clear();
        self.quiet_ms = QUIET_MS;
        self.effects.push(Effect::FlushInput);
    }

    fn cancel(&mut self, why: &str) {
        self.say(why);
        if self.at == Ask::Confirm {
            self.cancel_trial();
            return;
        }
        self.remember();
        let line = "Cancelled. Nothing was changed.".to_owned();
        self.leave(3, vec![line]);
    }

    fn remember(&mut self) {
        if let Some(page) = self.at.page() {
            self.effects
                .push(Effect::Remember(Box::new(self.shared.answers.clone()), page));
        }
    }

    fn leave(&mut self, code: u8, lines: Vec<String>) {
        self.left = true;
        self.effects.push(Effect::Quit(code, lines));
    }

    fn quit(&mut self) -> Step {
        match self.at {
            Ask::Confirm => self.quit_trial(),
            Ask::Status | Ask::Snapshots => {
                self.leave(0, Vec::new());
                Step::Wait
            }
            _ => {
                self.remember();
                self.leave(3, vec!["Cancelled. Nothing was changed.".to_owned()]);
                Step::Wait
            }
        }
    }

    fn happened(&mut self, event: &Event) {
        match event {
            Event::Tick(ms) => self.tick(*ms),
            Event::Detecting(facts) => self.shared.facts = (**facts).clone(),
            Event::Detected(facts) => {
                self.shared.facts = (**facts).clone();
                self.shared.detected = true;
                self.ready(Busy::Detect, Self::detected);
            }
            Event::Previewed(preview) => {
                self.shared.preview = Some(preview.clone());
                self.shared.rehearsal = None;
                self.ready(Busy::Preview, Self::previewed);
            }
            Event::Rehearsal(attempt) => {
                self.shared.rehearsal = Some((**attempt).clone());
                if !matches!(**attempt, Attempt::Running { .. }) {
                    self.ready(Busy::Rehearsal, Self::tell_verdict);
                }
            }
            Event::Progress(progress) => self.progress(progress),
            Event::Status(status) => {
                self.shared.status = Some(status.clone());
                match (&status.open, self.busy) {
                    (Some(trial), Some(Busy::Detect | Busy::Status)) => {
                        self.say("A change is open and waits to be confirmed.");
                        self.awaiting(trial);
                    }
                    _ => self.ready(Busy::Status, |plain| plain.go(Ask::Status)),
                }
            }
            Event::Kept(kept) => {
                self.shared.kept.clone_from(kept);
                self.ready(Busy::Kept, |plain| plain.go(Ask::Snapshots));
            }
            Event::Said(line) => self.say(line.clone()),
            Event::Failed(line) => self.failed(line),
            Event::Key(_) | Event::Paste(_) | Event::Resize(..) | Event::Entered => {}
        }
    }

    fn ready(&mut self, what: Busy, go_on: fn(&mut Self)) {
        if self.busy == Some(what) {
            self.busy = None;
            go_on(self);
        }
    }

    fn failed(&mut self, line: &str) {
        self.say(format!("ERROR: {line}"));
        match self.busy.take() {
            None => self.ask_short(),
            Some(Busy::Live) => self.failed_live(),
            // Without the preview there is nothing to apply: back to the question before it.
            Some(Busy::Preview) => self.go(Ask::Firewall),
            Some(Busy::Rehearsal) => self.tell_verdict(),
            Some(Busy::Detect) => self.detected(),
            Some(Busy::Status | Busy::Kept) => self.go(Ask::Start),
        }
    }

    fn tick(&mut self, ms: u64) {
        self.quiet_ms = self.quiet_ms.saturating_sub(ms);
        self.live_tick(ms);
    }
}
