//! Performs what the wizard asks for, off the drawing thread, and tells it what came of that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::rehearse::{LOCKOUT_RISK, way_back};
use crate::answers::Answers;
use crate::catalogue::Catalogue;
use crate::change::{Change, Preview};
use crate::engine::apply::Order;
use crate::engine::confirm::{Confirmed, Proof, who};
use crate::engine::detect::{detect, session::session};
use crate::engine::{Engine, EngineError};
use crate::facts::Facts;
use crate::matrix::Rehearsal;
use crate::rehearse::{RehearseError, Subject, rehearse};
use crate::system::System;
use crate::transaction::{Progress, State, TxnId};
use crate::tui::{Attempt, Effect, Event};

/// How often an open trial is looked at, for logins and for confirmations that come from elsewhere.
const LOOK: Duration = Duration::from_millis(700);

/// The worker's side of the two channels.
pub struct Worker {
    /// The host at which the operator sits: what is saved goes there.
    desk: &'static dyn System,
    engine: Engine<'static>,
    events: Sender<Event>,
    facts: Option<Facts>,
    preview: Option<Preview>,
    /// Whether the rehearsal of the preview lets it be applied.
    rehearsed: bool,
    window_s: u64,
    /// The transaction on the Confirm page.
    watched: Option<TxnId>,
}

/// For how long the last effects are waited for when the wizard is left.
const LAST: Duration = Duration::from_secs(2);

/// Tells when the worker has ended.
pub struct Ended(Receiver<()>);

impl Ended {
    /// Takes no more effects, and waits a moment for those that were asked for, such as to remember the answers.
    pub fn after(self, effects: Sender<Effect>) {
        drop(effects);
        // Nothing is ever sent: the other end goes away with the worker.
        let _ = self.0.recv_timeout(LAST);
    }
}

/// Starts the worker; effects go in, events come out.
pub fn start(
    desk: &'static dyn System,
    engine: &Engine<'static>,
    window_s: u64,
) -> (Sender<Effect>, Receiver<Event>, Ended) {
    let (effects_in, effects) = channel::<Effect>();
    let (events, events_out) = channel::<Event>();
    let (queue, queued) = channel::<Effect>();
    let (alive, ended) = channel::<()>();
    let stop = Arc::new(AtomicBool::new(false));
    let engine = Engine {
        stop: Arc::clone(&stop),
        ..engine.clone()
    };
    // A request to stop must be heard while the worker is in the middle of a change.
    thread::spawn(move || {
        for effect in effects {
            if matches!(effect, Effect::Stop | Effect::Undo(_)) {
                stop.store(true, Ordering::SeqCst);
            }
            if queue.send(effect).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        let mut worker = Worker {
            desk,
            engine,
            events,
            facts: None,
            preview: None,
            rehearsed: false,
            window_s,
            watched: None,
        };
        worker.serve(&queued);
        drop(alive);
    });
    (effects_in, events_out, Ended(ended))
}

impl Worker {
    fn serve(&mut self, effects: &Receiver<Effect>) {
        loop {
            let effect = if self.watched.is_some() {
                effects.recv_timeout(LOOK)
            } else {
                effects.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match effect {
                Ok(effect) => self.perform(effect),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tell(&self, event: Event) {
        // The wizard may be gone; the guard is not.
        drop(self.events.send(event));
    }

    fn said<E: ToString>(&self, result: Result<String, E>) {
        self.tell(match result {
            Ok(text) => Event::Said(text),
            Err(error) => Event::Failed(error.to_string()),
        });
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Detect => self.detect(),
            Effect::Preview(answers) => self.render(&answers),
            Effect::Rehearse { sweep } => self.rehearse(sweep),
            Effect::Apply => self.apply(),
            Effect::Keep(id, trial) => self.keep(id, trial),
            Effect::Undo(id) => self.undo(Some(&id)),
            Effect::Stop => self.undo(None),
            Effect::Extend(_, seconds) => match self.engine.extend(seconds) {
                Ok(trial) => self.tell(Event::Progress(Progress::Awaiting(Box::new(trial)))),
                Err(error) => self.tell(Event::Failed(error.to_string())),
            },
            Effect::PeerLogin => self.peer_login(),
            Effect::GoBack(id) => self.go_back(&id),
            Effect::Status => {
                let status = self.engine.status();
                self.watched = status.open.as_ref().map(|trial| trial.txn.clone());
                self.tell(Event::Status(Box::new(status)));
            }
            Effect::Snapshots => self.tell(Event::Kept(self.engine.kept())),
            Effect::SaveAnswers(path, answers) => self.save(&path, &answers.to_toml(Catalogue::builtin())),
            Effect::SaveReport(path, text) => self.save(&path, &text),
            Effect::Remember(answers, page) => super::wizard::remember(&self.engine, &answers, page),
            // The terminal's own business.
            Effect::FlushInput
            | Effect::Redraw
            | Effect::Suspend
            | Effect::Bell
            | Effect::LineMode
            | Effect::Quit(..) => {}
        }
    }

    fn detect(&mut self) {
        let events = self.events.clone();
        let facts = detect(self.engine.system, &mut |facts| {
            drop(events.send(Event::Detecting(Box::new(facts.clone()))));
        });
        self.tell(Event::Detected(Box::new(facts.clone())));
        self.facts = Some(facts);
    }

    fn render(&mut self, answers: &Answers) {
        // The host is looked at anew: a preview of yesterday's ruleset would be refused at Apply.
        let facts = detect(self.engine.system, &mut |_| {});
        self.rehearsed = false;
        match self
            .engine
            .prepare(Catalogue::builtin(), answers, &facts, self.window_s)
        {
            Ok(mut preview) => {
                preview.obstacles.extend(self.recorded());
                self.preview = Some(preview.clone());
                self.tell(Event::Previewed(Box::new(preview)));
            }
            Err(error) => self.tell(Event::Failed(error.to_string())),
        }
        self.facts = Some(facts);
    }

    /// Why nothing can be applied to a host that does not run.
    fn recorded(&self) -> Option<String> {
        let dir = self.engine.system.recorded()?;
        Some(format!(
            "{} is a recorded host: it can be planned for, and nothing can be applied to it",
            dir.display()
        ))
    }

    /// The change of the preview in a sealed copy.
    fn rehearse(&mut self, sweep: bool) {
        if let Some(reason) = self.recorded() {
            return self.tell(Event::Rehearsal(Box::new(Attempt::Unavailable(reason))));
        }
        let (Some(preview), Some(facts)) = (&self.preview, &self.facts) else {
            return self.tell(Event::Failed(String::from("there is nothing to rehearse")));
        };
        let subject = Subject::of(preview, facts).sweeping(sweep);
        let mut report = |stage: &str| {
            let stage = stage.to_owned();
            self.tell(Event::Rehearsal(Box::new(Attempt::Running { stage, millis: 0 })));
        };
        // The pages do not offer what must not be applied; this side does not do it either.
        let mut passed = false;
        let attempt = match rehearse(self.desk, self.engine.system, &subject, &mut report) {
            Ok(rehearsal) => {
                passed = rehearsal.ok();
                Attempt::Done(rehearsal)
            }
            Err(RehearseError::Impossible(reason)) => {
                passed = true;
                Attempt::Unavailable(reason)
            }
            Err(error) => Attempt::Broken(error.to_string()),
        };
        self.rehearsed = passed;
        self.tell(Event::Rehearsal(Box::new(attempt)));
    }

    fn apply(&mut self) {
        if !self.rehearsed {
            let text = "the change was not rehearsed, or the rehearsal found that it does not do what it promises. \
                        Nothing was changed";
            return self.tell(Event::Failed(String::from(text)));
        }
        match self.preview.as_ref().and_then(|p| p.change.clone()) {
            Some(change) => {
                self.run(&change);
                self.keep_answers();
            }
            None => self.tell(Event::Failed(String::from("there is nothing to apply"))),
        }
    }

    /// The outcome names this file as the way to repeat the change elsewhere.
    fn keep_answers(&self) {
        if let Some(preview) = &self.preview {
            let path = self.engine.state_dir.join("answers.toml");
            let text = preview.answers.to_toml(Catalogue::builtin());
            drop(self.engine.system.replace(&path, text.as_bytes(), 0o600));
        }
    }

    fn go_back(&mut self, id: &TxnId) {
        let facts = detect(self.engine.system, &mut |_| {});
        let setting = self.engine.setting(self.window_s);
        match self.engine.way_back(Some(id), &facts, &setting) {
            // Where no copy can be made the trials of the way back must do.
            Ok(change) => match way_back(&self.engine, &change, &facts, &mut |_| {}) {
                Ok(Some(rehearsal)) => self.tell(Event::Failed(refused_way_back(&rehearsal, id))),
                Ok(None) | Err(_) => self.run(&change),
            },
            Err(error) => self.failed(error),
        }
    }

    fn run(&mut self, change: &Change) {
        self.engine.stop.store(false, Ordering::SeqCst);
        let order = Order {
            id: change.id.clone(),
            window_s: self.window_s,
            by: who(session(self.engine.system).as_ref()),
        };
        let events = self.events.clone();
        let mut report = |progress| drop(events.send(Event::Progress(progress)));
        match self.engine.apply(change, &order, &mut report) {
            Ok(()) => {
                self.watched = Some(order.id);
                self.look();
            }
            Err(error) => self.failed(error),
        }
    }

    fn keep(&mut self, id: TxnId, trial: u8) {
        self.engine.stop.store(false, Ordering::SeqCst);
        let events = self.events.clone();
        let mut report = |progress| drop(events.send(Event::Progress(progress)));
        match self.engine.confirm(&Proof::Keep(id, trial), &mut report) {
            Ok(Confirmed::Trial2(trial)) => self.tell(Event::Progress(Progress::Awaiting(trial))),
            Ok(Confirmed::Committed(outcome)) => {
                self.watched = None;
                self.tell(Event::Progress(Progress::Committed(outcome)));
            }
            // A refusal leaves the countdown as it is.
            Err(EngineError::Refused(text)) if self.still_open() => self.tell(Event::Failed(text)),
            // Somebody else is at work on the same change: what comes of it is still waited for.
            Err(error @ EngineError::Locked { .. }) => self.tell(Event::Failed(error.to_string())),
            Err(error) => self.failed(error),
        }
    }

    fn still_open(&self) -> bool {
        self.engine
            .open()
            .ok()
            .flatten()
            .is_some_and(|t| matches!(t.state, State::Waiting(_)))
    }

    fn undo(&mut self, id: Option<&TxnId>) {
        if self.engine.open().ok().flatten().is_none() {
            return;
        }
        let reason = format!("undone by {}", who(session(self.engine.system).as_ref()));
        let watched = self.watched.take();
        match self.engine.undo_open(id, &reason) {
            Ok(outcome) => self.tell(Event::Progress(Progress::RolledBack(Box::new(outcome)))),
            Err(error @ EngineError::Locked { .. }) if watched.is_some() => {
                self.watched = watched;
                self.tell(Event::Failed(error.to_string()));
            }
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: EngineError) {
        self.watched = None;
        let lines = error.to_string().lines().map(str::to_owned).collect();
        let outcome = match error {
            EngineError::RolledBack { outcome, .. } | EngineError::Incomplete { outcome, .. } => {
                Some(outcome)
            }
            _ => None,
        };
        self.tell(Event::Progress(Progress::Failed { lines, outcome }));
    }

    /// Looks at the open trial: it may have been confirmed or undone by somebody else.
    fn look(&mut self) {
        let Some(id) = self.watched.clone() else { return };
        let Ok(Some(transaction)) = self.engine.load(&id) else {
            return;
        };
        match transaction.state {
            State::Waiting(_) => {
                let trial = self.engine.trial_view(&transaction);
                self.tell(Event::Progress(Progress::Awaiting(Box::new(trial))));
            }
            State::Committed | State::RolledBack => {
                self.watched = None;
                let outcome = Box::new(self.engine.outcome_of(&transaction));
                let kept = transaction.state == State::Committed;
                self.tell(Event::Progress(if kept {
                    Progress::Committed(outcome)
                } else {
                    Progress::RolledBack(outcome)
                }));
            }
            State::Idle | State::Acting(_) | State::RollingBack => {}
        }
    }

    fn peer_login(&mut self) {
        let open = self.engine.open().ok().flatten();
        let Some((door, code)) = open.and_then(|t| Some((t.change.door?, t.code))) else {
            return self.tell(Event::Failed(String::from("no trial waits for a login")));
        };
        let result = crate::lab::peer_login(self.engine.system, door, &code);
        self.said(result.map(|_| format!("the peer logged in on TCP/{door} and confirmed")));
        self.look();
    }

    fn save(&self, path: &Path, text: &str) {
        let path: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let result = self.desk.replace(&path, text.as_bytes(), 0o600);
        self.said(result.map(|()| format!("written: {}", path.display())));
    }
}

/// What a sealed copy said against a way back.
fn refused_way_back(rehearsal: &Rehearsal, id: &TxnId) -> String {
    let red = rehearsal.cells.iter().filter(|cell| !cell.ok());
    let mut found: Vec<String> = red
        .map(|cell| {
            let protocol = cell.protocol.to_string().to_uppercase();
            format!("{protocol}/{} from {}: {}", cell.port, cell.from, cell.after)
        })
        .collect();
    found.extend(rehearsal.failed.iter().cloned());
    found.extend(rehearsal.undo.iter().cloned());
    if rehearsal.flow_tracked == Some(false) || rehearsal.flow_untracked == Some(false) {
        found.push(String::from("an open SSH session did not go on"));
    }
    format!(
        "The way back was rehearsed on a sealed copy of this host, and it is not safe ({}). Nothing was changed. Mend \
         that, or take the risk with: faspwall rollback {id} --accept {LOCKOUT_RISK}",
        found.join("; ")
    )
}
