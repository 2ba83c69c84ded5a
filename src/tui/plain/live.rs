//! From the preview to the end: what is printed while steps run and while a trial waits.

use crate::transaction::{Phase, Progress, Trial, TxnId};
use crate::tui::{Attempt, Effect, words};

use super::ask::Ask;
use super::{Busy, Plain, Step};

/// Times left at which the clock is told, seconds.
const ANNOUNCED: [u64; 4] = [120, 60, 30, 10];

/// While a step takes long, a sign of life is printed this often.
const HEARTBEAT_MS: u64 = 30_000;

/// Whether all ports are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    No,
    Yes,
}

/// What is remembered of the running change.
#[derive(Debug, Default)]
pub(super) struct Live {
    phase: Option<Phase>,
    say: Vec<String>,
    /// The step that runs.
    running: Option<usize>,
    silent_ms: u64,
    trial: Option<Trial>,
    /// Time since the trial was last told, so that the clock goes on between two reports.
    elapsed_ms: u64,
    /// Seconds that were announced last.
    announced: u64,
    /// The change shall be undone as soon as that is possible.
    stop: bool,
    /// Begun by this process; a trial that was found open belongs to somebody else.
    own: bool,
    /// What an interrupted run left is being taken back.
    recovering: bool,
}

impl Live {
    fn left_ms(&self) -> u64 {
        self.trial
            .as_ref()
            .map_or(0, |trial| trial.left_ms.saturating_sub(self.elapsed_ms))
    }
}

impl Plain {
    /// The preview is told; a change that could be applied is rehearsed before anybody is asked about it.
    pub(super) fn previewed(&mut self) {
        self.at = Ask::Apply;
        self.wrong = 0;
        self.tell_preview();
        if self.applicable() {
            self.rehearse(Sweep::No);
        } else {
            self.tell_verdict();
        }
    }

    fn rehearse(&mut self, sweep: Sweep) {
        self.say(
            "Rehearsing the change in a sealed copy of this host's firewall. Nothing is applied by that.",
        );
        let sweep = sweep == Sweep::Yes;
        self.wait_for(Busy::Rehearsal, Effect::Rehearse { sweep });
    }

    pub(super) fn ask_apply(&mut self) {
        self.tell_preview();
        self.tell_verdict();
    }

    fn tell_preview(&mut self) {
        let Some(preview) = self.shared.preview.clone() else {
            return;
        };
        self.say("Step 6 of 8, preview. Nothing is applied yet.");
        for line in words::report(&preview, self.shared.window_s) {
            self.say(line);
        }
    }

    fn tell_rehearsal(&mut self) {
        match self.shared.rehearsal.clone() {
            Some(Attempt::Done(done)) => {
                self.say("Rehearsal:");
                for line in words::spoken(&done, &self.shared.facts) {
                    self.say(format!("  {line}"));
                }
            }
            Some(Attempt::Unavailable(reason)) => {
                self.say(format!("WARN: this cannot be rehearsed here: {reason}"));
                self.say(
                    "It can be applied all the same. Whether the ports open is seen only on the host itself.",
                );
            }
            Some(Attempt::Broken(reason)) => {
                self.say(format!("ERROR: the rehearsal broke off: {reason}"));
            }
            Some(Attempt::Running { .. }) | None => {}
        }
    }

    /// The rehearsal, and whether anything can be applied; then the question.
    pub(super) fn tell_verdict(&mut self) {
        let Some(preview) = self.shared.preview.clone() else {
            return self.ask_short();
        };
        let refusals = words::refusals(&preview);
        match &preview.change {
            _ if !refusals.is_empty() => {
                self.say("This cannot be applied:");
                for line in refusals {
                    self.say(format!("  {line}"));
                }
            }
            Some(change) => {
                self.tell_rehearsal();
                match words::refusal(self.shared.rehearsal.as_ref(), &self.shared.facts) {
                    Some(why) => self.say(format!("Not safe to apply: {why}.")),
                    None => {
                        self.say(format!(
                            "Step 7 of 8, apply. {}. All of it undoes itself unless you confirm.",
                            words::counted(words::live_steps(change), "step")
                        ));
                        self.dangerous();
                    }
                }
            }
            None => self.say("Nothing is to be done: this host is as planned already."),
        }
        self.ask_short();
    }

    /// Whether there is a change and nothing stands in its way but the rehearsal.
    fn applicable(&self) -> bool {
        self.shared
            .preview
            .as_ref()
            .is_some_and(|p| p.changed() && words::refusals(p).is_empty())
    }

    fn can_apply(&self) -> bool {
        self.applicable() && words::refusal(self.shared.rehearsal.as_ref(), &self.shared.facts).is_none()
    }

    pub(super) fn apply_prompt(&self) -> String {
        if self.can_apply() {
            "y applies now, Enter for no, r rehearses again, a with all ports, s saves the answers, b back, q quit:"
                .to_owned()
        } else if self.applicable() {
            "r rehearses again, a with all ports, s saves the answers, b back, q quit:".to_owned()
        } else if self
            .shared
            .preview
            .as_ref()
            .is_some_and(|p| !words::blocking(p).is_empty())
        {
            "accept and a code, such as accept FW001, s saves the answers, b back, q quit:".to_owned()
        } else {
            "s saves the answers, b back, q quit:".to_owned()
        }
    }

    pub(super) fn apply_answer(&mut self, text: &str) -> Step {
        match text.to_ascii_lowercase().as_str() {
            "y" | "yes" if self.can_apply() => {
                self.begin_live(Effect::Apply);
                Step::Wait
            }
            "" | "n" | "no" => {
                self.say("Not applied.");
                Step::Again
            }
            "r" if self.applicable() => {
                self.rehearse(Sweep::No);
                Step::Wait
            }
            "a" if self.applicable() => {
                self.rehearse(Sweep::Yes);
                Step::Wait
            }
            "s" => {
                let effect = Effect::SaveAnswers(
                    self.shared.answers_path.clone(),
                    Box::new(self.shared.answers.clone()),
                );
                self.effects.push(effect);
                Step::Again
            }
            typed => match typed.strip_prefix("accept ") {
                Some(code) => self.accept(&code.trim().to_uppercase()),
                None => Step::Invalid("That is not one of the choices.".to_owned()),
            },
        }
    }

    /// Something that stands in the way is accepted on purpose, by its code.
    fn accept(&mut self, code: &str) -> Step {
        let known = self
            .shared
            .preview
            .as_ref()
            .is_some_and(|p| words::blocking(p).contains(&code));
        if !known {
            return Step::Invalid(format!("{code} is not what stands in the way."));
        }
        self.shared.answers.accept.push(code.to_owned());
        let answers = Box::new(self.shared.answers.clone());
        self.wait_for(Busy::Preview, Effect::Preview(answers));
        Step::Wait
    }

    pub(super) fn begin_live(&mut self, effect: Effect) {
        self.live = Live {
            own: true,
            recovering: self.at == Ask::Interrupted,
            ..Live::default()
        };
        self.shared.progress.clear();
        self.wait_for(Busy::Live, effect);
    }

    /// Lines typed while steps run are no answer to a question that comes later.
    pub(super) fn typed_while_live(&mut self, text: &str) {
        if text.eq_ignore_ascii_case("undo") {
            self.stop_live("Undo was asked for.");
        } else if !text.is_empty() {
            self.say("Steps are running; this line does not count. Type undo to stop and undo.");
        }
    }

    pub(super) fn stop_live(&mut self, why: &str) {
        if self.live.phase == Some(Phase::Commit) {
            self.say(
                "Both logins were proved and the change is being made permanent; it is not stopped now.",
            );
        } else if !self.live.stop {
            self.live.stop = true;
            self.effects.push(Effect::Stop);
            self.say(format!(
                "{why} The change is undone as soon as the running steps end."
            ));
        }
    }

    pub(super) fn failed_live(&mut self) {
        let Some(trial) = self.live.trial.clone() else {
            let place = if self.at == Ask::Apply {
                Ask::Firewall
            } else {
                Ask::Start
            };
            return self.go(place);
        };
        if self.input_ended {
            return self.leave_on_trial(&trial);
        }
        self.live.stop = false;
        // The word was refused: the trial goes on, and so does its countdown.
        self.at = Ask::Confirm;
        self.say(format!(
            "The change is still on trial, {} left.",
            words::left(self.live.left_ms())
        ));
        if let Some(why) = words::keep_refusal(&trial) {
            self.say(format!("{}.", words::capital(&why)));
        }
    }

    fn leave_on_trial(&mut self, trial: &Trial) {
        let line = format!(
            "faspwall: the change is still on trial; it is undone at {} unless confirmed.",
            words::clock(&trial.deadline)
        );
        self.leave(3, vec![line]);
    }

    pub(super) fn progress(&mut self, progress: &Progress) {
        if matches!(
            (progress, self.shared.progress.last()),
            (Progress::Awaiting(_), Some(Progress::Awaiting(_)))
        ) {
            self.shared.progress.pop();
        }
        self.shared.progress.push(progress.clone());
        self.live.silent_ms = 0;
        match progress {
            Progress::Steps { phase, say } => {
                self.busy = Some(Busy::Live);
                self.live.phase = Some(*phase);
                self.live.say.clone_from(say);
                self.say(format!(
                    "{}, {}.",
                    words::capital(&phase.to_string()),
                    words::counted(say.len(), "step")
                ));
            }
            Progress::Started { number, .. } => self.live.running = Some(*number),
            Progress::Finished { number, millis } => {
                let text = self.live.say.get(*number).cloned().unwrap_or_default();
                let of = self.live.say.len();
                self.live.running = None;
                self.say(format!(
                    "Done {} of {of}: {text}, {}.",
                    number + 1,
                    words::took(*millis)
                ));
            }
            Progress::Awaiting(trial) => self.awaiting(trial),
            Progress::Committed(_) | Progress::RolledBack(_) | Progress::Failed { .. } => self.ended(),
        }
    }

    fn same_trial(&self, trial: &Trial) -> bool {
        self.live
            .trial
            .as_ref()
            .is_some_and(|old| old.txn == trial.txn && old.trial == trial.trial)
    }

    pub(super) fn awaiting(&mut self, trial: &Trial) {
        if self.live.stop {
            // The stop is on its way to the engine; nothing is asked unless it fails.
            self.live.trial = Some(trial.clone());
            self.live.elapsed_ms = 0;
            return;
        }
        if self.same_trial(trial) {
            return self.trial_goes_on(trial);
        }
        self.live.trial = Some(trial.clone());
        self.live.elapsed_ms = 0;
        self.live.announced = trial.left_ms / 1000;
        self.live.phase = None;
        self.busy = None;
        self.at = Ask::Confirm;
        self.wrong = 0;
        self.dangerous();
        self.say("Step 8 of 8, confirm. The new rules are live.");
        self.say(words::trial_purpose(trial));
        self.say(format!(
            "They are undone at {}, in {} seconds.",
            words::clock(&trial.deadline),
            trial.left_ms.div_ceil(1000)
        ));
        if let Some(login) = words::login_command(trial, &self.shared.facts) {
            self.say(format!("Leave this session open. In a new window: {login}"));
            self.say(format!(
                "There run: {}",
                words::confirm_command(trial, &self.shared.facts)
            ));
            self.say("Or come back and type keep. Type undo to go back now, + for one minute more.");
        } else {
            self.say(format!("To prove it: {}", trial.next));
            self.say("Type keep to keep it, undo to go back now, + for one minute more.");
        }
        self.say("Enter alone does nothing.");
    }

    fn trial_goes_on(&mut self, trial: &Trial) {
        let seen = self.live.trial.as_ref().map_or(0, |old| old.logins.len());
        let extended = trial.left_ms > self.live.left_ms() + 5_000;
        for login in trial.logins.iter().skip(seen) {
            let door = trial.door.map_or_else(String::new, |door| format!(" on {door}"));
            self.say(format!("New login{door}: {login}."));
        }
        self.live.trial = Some(trial.clone());
        self.live.elapsed_ms = 0;
        if extended {
            self.live.announced = trial.left_ms / 1000;
            self.say(format!(
                "More time: {} left, until {}.",
                words::left(trial.left_ms),
                words::clock(&trial.deadline)
            ));
        }
    }

    pub(super) fn live_tick(&mut self, ms: u64) {
        self.live.elapsed_ms = self.live.elapsed_ms.saturating_add(ms);
        if self.at == Ask::Confirm && self.busy.is_none() {
            self.announce();
        } else if self.busy == Some(Busy::Live) {
            self.live.silent_ms = self.live.silent_ms.saturating_add(ms);
            if self.live.silent_ms >= HEARTBEAT_MS {
                self.live.silent_ms = 0;
                let text = self
                    .live
                    .running
                    .and_then(|number| self.live.say.get(number))
                    .cloned();
                self.say(format!(
                    "Still working: {}.",
                    text.unwrap_or_else(|| "waiting for the host".to_owned())
                ));
            }
        }
    }

    fn announce(&mut self) {
        let seconds = self.live.left_ms().div_ceil(1000);
        if seconds == 0 && self.live.announced > 0 {
            self.live.announced = 0;
            self.say("The time is over. The change is being undone.");
        } else if let Some(mark) = ANNOUNCED
            .into_iter()
            .rev()
            .find(|m| seconds <= *m && *m < self.live.announced)
        {
            self.live.announced = mark;
            let logins = self.live.trial.as_ref().map(words::logins).unwrap_or_default();
            self.say(format!("{seconds} seconds left. {logins}."));
        }
    }

    pub(super) fn confirm_answer(&mut self, text: &str) -> Step {
        let Some(trial) = self.live.trial.clone() else {
            return Step::Again;
        };
        match text.to_ascii_lowercase().as_str() {
            "" => {
                self.say("Enter alone does nothing. Type keep or undo.");
                Step::Again
            }
            "keep" => {
                if let Some(why) = words::keep_refusal(&trial) {
                    self.say(format!("Not kept: {why}."));
                    return Step::Again;
                }
                self.wait_for(Busy::Live, Effect::Keep(trial.txn, trial.trial));
                Step::Wait
            }
            "undo" => {
                self.undo(&trial.txn);
                Step::Wait
            }
            "+" | "more" => {
                self.effects.push(Effect::Extend(trial.txn, 60));
                Step::Again
            }
            "peer" if self.shared.lab => {
                self.effects.push(Effect::PeerLogin);
                Step::Again
            }
            _ => Step::Invalid("Only keep, undo and + are understood here.".to_owned()),
        }
    }

    pub(super) fn confirm_help(&mut self) {
        let Some(trial) = self.live.trial.clone() else {
            return;
        };
        self.say(words::trial_purpose(&trial));
        self.say(format!(
            "{} left. {}.",
            words::left(self.live.left_ms()),
            words::logins(&trial)
        ));
        if let Some(why) = words::keep_refusal(&trial) {
            self.say(format!("{}.", words::capital(&why)));
        }
        self.say(format!(
            "From another login: faspwall confirm {}. Closing this window is safe: it is undone then.",
            trial.code
        ));
        if self.shared.lab {
            self.say("LAB: type peer to let the peer log in and confirm.");
        }
    }

    /// The answers have come to an end: what this process began is undone, what it found is left to its guard.
    pub(super) fn cancel_trial(&mut self) {
        match self.live.trial.clone() {
            Some(trial) if self.live.own => self.undo(&trial.txn),
            Some(trial) => self.leave_on_trial(&trial),
            None => self.leave(3, Vec::new()),
        }
    }

    /// Quit on the Confirm page.
    pub(super) fn quit_trial(&mut self) -> Step {
        match self.live.trial.clone() {
            Some(trial) if !self.live.own => {
                self.leave_on_trial(&trial);
                Step::Wait
            }
            _ => {
                self.say("The change is on trial. Type undo to go back now, or keep.");
                Step::Again
            }
        }
    }

    fn undo(&mut self, txn: &TxnId) {
        self.say("Undoing.");
        self.wait_for(Busy::Live, Effect::Undo(txn.clone()));
    }

    fn ended(&mut self) {
        self.busy = None;
        let progress = std::mem::take(&mut self.shared.progress);
        let Some(ending) = words::Ending::of(&progress) else {
            return;
        };
        self.say(ending.headline());
        if self.live.recovering && !ending.incomplete() {
            if let Some(status) = self.shared.status.as_mut() {
                status.interrupted = None;
            }
            return self.go(Ask::Start);
        }
        for line in words::next_steps(&ending, &self.shared.answers) {
            self.say(format!("  next: {line}"));
        }
        let lines = words::summary(&ending, &self.shared.answers, &self.shared.answers_path);
        self.leave(ending.exit_code(), lines);
    }
}
