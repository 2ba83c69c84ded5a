//! The new rules are live and undo themselves unless they are kept by a typed word or from a new login.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::transaction::{Trial, TxnId};
use crate::tui::widgets::{Canvas, Field, Focus, Handled, cell, wrap};
use crate::tui::wizard::waiting;
use crate::tui::{Button, Effect, Event, Key, Nav, Page, Question, Shared, Tone, theme, words};

/// With this much time left the terminal's bell rings once.
const BELL_MS: u64 = 30_000;
/// What the `+` key adds.
const MORE_S: u64 = 60;
/// Room of the typed word.
const WORD: u16 = 6;

const UNDO: usize = 0;
const MORE: usize = 1;
const PEER: usize = 2;

/// The page.
#[derive(Debug)]
pub struct Confirm {
    word: Field,
    focus: Focus,
    /// The trial that the typed word was meant for.
    trial: Option<(TxnId, u8)>,
    /// What the last word could not do.
    refused: Option<String>,
    /// What the world refused, when the message line cannot hold it.
    failure: Option<String>,
    /// `keep` was sent; the answer is on its way.
    sent: bool,
    rang: bool,
}

impl Default for Confirm {
    fn default() -> Self {
        Self {
            word: Field::new("", usize::from(WORD)),
            focus: Focus::default(),
            trial: None,
            refused: None,
            failure: None,
            sent: false,
            rang: false,
        }
    }
}

fn button_count(shared: &Shared) -> usize {
    if shared.lab { 3 } else { 2 }
}

fn undo_question(trial: &Trial) -> Nav {
    Nav::Ask(Question {
        text: "Undo now? All that was applied is taken back and compared with the snapshot.\n\
               Open sessions stay."
            .to_owned(),
        yes: Box::new(Nav::Do(Effect::Undo(trial.txn.clone()))),
    })
}

impl Confirm {
    fn key(&mut self, key: Key, shared: &Shared) -> Option<Nav> {
        let trial = waiting(shared)?;
        self.refused = None;
        self.failure = None;
        let buttons = button_count(shared);
        if matches!(key, Key::Ctrl('c') | Key::F(10)) {
            return Some(undo_question(trial));
        }
        if key == Key::Char('+') {
            return Some(Nav::Do(Effect::Extend(trial.txn.clone(), MORE_S)));
        }
        if self.focus.handle(key, 1, buttons) == Handled::Yes {
            return None;
        }
        match (key, self.focus.button(1)) {
            (Key::Enter, None) => self.entered(trial),
            (Key::Enter, Some(UNDO)) => Some(undo_question(trial)),
            (Key::Enter, Some(MORE)) => Some(Nav::Do(Effect::Extend(trial.txn.clone(), MORE_S))),
            (Key::Enter, Some(PEER)) => Some(Nav::Do(Effect::PeerLogin)),
            (Key::Esc, _) => {
                self.refused = Some("there is no way back from here but undo".to_owned());
                None
            }
            (Key::Char(letter), _) if letter.is_ascii_alphabetic() => {
                self.focus = Focus::default();
                self.word.handle(Key::Char(letter.to_ascii_lowercase()));
                None
            }
            (Key::Char(_), _) => None,
            (key, None) => {
                self.word.handle(key);
                None
            }
            _ => None,
        }
    }

    /// Enter behind the typed word.
    fn entered(&mut self, trial: &Trial) -> Option<Nav> {
        let word = self.word.text().to_owned();
        self.word.set("");
        match word.as_str() {
            "keep" => match words::keep_refusal(trial) {
                Some(why) => {
                    self.refused = Some(why);
                    None
                }
                None => {
                    self.sent = true;
                    Some(Nav::Do(Effect::Keep(trial.txn.clone(), trial.trial)))
                }
            },
            "undo" => Some(Nav::Do(Effect::Undo(trial.txn.clone()))),
            "" => {
                self.refused = Some("Enter alone does nothing: type keep or undo".to_owned());
                None
            }
            other => {
                self.refused = Some(format!("\"{other}\" is neither keep nor undo"));
                None
            }
        }
    }

    /// A refusal that the message line cannot hold, on the rows between what was seen and the word.
    fn view_failure(&self, canvas: &mut Canvas<'_, '_>, below: u16) {
        let width = usize::from(canvas.width().saturating_sub(2));
        let Some(failure) = self.failure.as_ref().filter(|line| line.len() + 7 > width) else {
            return;
        };
        let rows = below..canvas.height().saturating_sub(1);
        for (line, row) in wrap(failure, width).iter().zip(rows) {
            canvas.text(1, row, line.as_str());
        }
    }

    fn trial_told(&mut self, shared: &Shared) {
        let now = waiting(shared).map(|trial| (trial.txn.clone(), trial.trial));
        if self.trial != now {
            *self = Self {
                trial: now,
                ..Self::default()
            };
        }
        if waiting(shared).is_some_and(|trial| trial.left_ms > BELL_MS) {
            self.rang = false;
        }
    }

    fn passed(&mut self, shared: &Shared) -> Option<Nav> {
        let trial = waiting(shared)?;
        if self.rang || trial.left_ms > BELL_MS {
            return None;
        }
        self.rang = true;
        Some(Nav::Do(Effect::Bell))
    }
}

fn view_steps(canvas: &mut Canvas<'_, '_>, shared: &Shared, trial: &Trial, mut y: u16) -> u16 {
    let width = canvas.width().saturating_sub(2);
    y += canvas.paragraph(1, y, width, &words::trial_purpose(trial)) + 1;
    let Some(login) = words::login_command(trial, &shared.facts) else {
        y += canvas.paragraph(1, y, width, &trial.next);
        return y + 1;
    };
    canvas.text(1, y, "1. Leave this session open.");
    let door = trial
        .door
        .map_or_else(String::new, |door| format!(" on TCP/{door}"));
    canvas.text(1, y + 1, format!("2. In a NEW window log in{door}:"));
    canvas.styled(
        8,
        y + 2,
        &cell(&login, usize::from(width.saturating_sub(8))),
        theme::BOLD,
    );
    canvas.text(1, y + 3, "3. There run this, or come back and type  keep :");
    canvas.styled(
        8,
        y + 4,
        &words::confirm_command(trial, &shared.facts),
        theme::BOLD,
    );
    y + 6
}

fn view_seen(canvas: &mut Canvas<'_, '_>, trial: &Trial, y: u16) -> u16 {
    let room = usize::from(canvas.width()).saturating_sub(42);
    canvas.text(1, y, "Seen since this trial began");
    let name = match trial.door {
        Some(door) => format!("new SSH logins on {door}"),
        None => "new SSH logins".to_owned(),
    };
    let who = trial.logins.join(", ");
    canvas.text(
        3,
        y + 1,
        format!(
            "{} {:>6}    {}",
            cell(&name, 26),
            trial.logins.len(),
            cell(&who, room)
        )
        .trim_end()
        .to_owned(),
    );
    canvas.text(
        3,
        y + 2,
        format!("{} {:>6}", cell("refused packets", 26), trial.refused),
    );
    y + 3
}

impl Page for Confirm {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => self.key(*key, shared),
            Event::Tick(_) => self.passed(shared),
            Event::Progress(_) => {
                self.sent = false;
                self.trial_told(shared);
                None
            }
            Event::Failed(line) => {
                self.sent = false;
                self.failure = Some(line.clone());
                None
            }
            _ => None,
        }
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let Some(trial) = waiting(shared) else {
            canvas.text(1, 0, "> Looking for the change that waits to be confirmed.");
            canvas.cursor(1, 0);
            return;
        };
        let head = format!(
            "TRIAL {}: THE NEW RULES ARE LIVE. They will be undone in",
            trial.trial
        );
        canvas.styled(1, 0, &head, theme::BOLD);
        canvas.styled(8, 1, &words::left(trial.left_ms), theme::BOLD);
        let whole = (trial.window_s * 1000).max(trial.left_ms).max(1);
        canvas.gauge(24, 1, 42, trial.left_ms, whole);
        let y = view_steps(&mut canvas, shared, trial, 3);
        let below = view_seen(&mut canvas, trial, y);
        self.view_failure(&mut canvas, below);
        let y = canvas.height().saturating_sub(1);
        let label = "Type keep or undo, then Enter:";
        let focused = self.focus.button(1).is_none();
        canvas.text(1, y, label);
        if focused {
            canvas.styled(32, y, ">", theme::BOLD);
            canvas.styled(35 + WORD, y, "<", theme::BOLD);
        }
        canvas.field(33, y, WORD, &self.word, focused);
        canvas.text(44, y, "Enter alone does nothing");
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        if let Some(refused) = &self.refused {
            return (Tone::Warn, refused.clone());
        }
        let Some(trial) = waiting(shared) else {
            return (Tone::Plain, String::new());
        };
        if trial.left_ms == 0 {
            return (
                Tone::Busy,
                "the time is over, the change is being undone".to_owned(),
            );
        }
        if self.sent {
            return (Tone::Busy, "keep was sent".to_owned());
        }
        match (words::keep_refusal(trial), trial.door) {
            (Some(why), _) => (Tone::Warn, why),
            (None, Some(door)) if !trial.logins.is_empty() => (
                Tone::Good,
                format!("a login on {door} has been seen, keeping is reasonable"),
            ),
            (None, Some(door)) => (
                Tone::Plain,
                format!("you sit at this host: keep would be taken, a login on {door} is the better proof"),
            ),
            (None, None) => (Tone::Plain, "keep would be taken now".to_owned()),
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        let enabled = waiting(shared).is_some();
        let mut buttons = vec![
            Button {
                label: "Undo now...",
                enabled,
            },
            Button {
                label: "One minute more",
                enabled,
            },
        ];
        if shared.lab {
            buttons.push(Button {
                label: "LAB: peer logs in",
                enabled,
            });
        }
        (buttons, usize::MAX)
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(1)
    }

    fn in_text_field(&self) -> bool {
        self.focus.button(1).is_none()
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "the new rules are live. They undo themselves at the end of the countdown, also when this program is gone.",
            ),
            (
                "Trial 1",
                "the new port is open beside the old one. Nothing is shut.",
            ),
            (
                "Trial 2",
                "22 is shut for a test, by a timer in the kernel. Open sessions stay.",
            ),
            (
                "keep",
                "is taken when a NEW login on the new port proved it. An open session proves nothing.",
            ),
            (
                "undo",
                "takes everything back at once. Ctrl-C asks first, then does the same.",
            ),
            ("+", "gives one minute more."),
            (
                "Elsewhere",
                "faspwall confirm CODE in the new login does the same as keep, and is the better proof.",
            ),
        ]
    }
}
