//! The wizard: `update` changes the model, `view` draws it, and what must happen in the world leaves as an [`Effect`].
//!
//! Nothing here knows the engine or the host. `cli` joins the two ends: it performs effects in a worker thread and
//! sends what comes of them back as [`Event`]s. The whole loop runs in a test on two channels.

pub mod frame;
pub mod keymap;
mod overlay;
pub mod pages;
pub mod plain;
#[cfg(test)]
mod samples;
pub mod terminal;
pub mod theme;
pub mod widgets;
pub mod wizard;
pub mod words;

use std::path::PathBuf;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::answers::Answers;
use crate::catalogue::Role;
use crate::change::Preview;
use crate::facts::Facts;
use crate::matrix::Rehearsal;
use crate::transaction::{Kept, Progress, Status, TxnId};

/// A key, after escape sequences were put together and the fallbacks of the keymap applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A printable character.
    Char(char),
    /// Up arrow or Ctrl-P.
    Up,
    /// Down arrow or Ctrl-N.
    Down,
    /// Left arrow.
    Left,
    /// Right arrow.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// PgUp or Ctrl-B.
    PageUp,
    /// PgDn or Ctrl-F.
    PageDown,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Enter.
    Enter,
    /// Esc.
    Esc,
    /// Backspace.
    Backspace,
    /// Del.
    Delete,
    /// F1 to F12.
    F(u8),
    /// Ctrl with a letter, in lower case.
    Ctrl(char),
}

/// What reaches the wizard.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key.
    Key(Key),
    /// Pasted text.
    Paste(String),
    /// The page that gets this event is shown now; the others are not told.
    Entered,
    /// New size of the terminal; 0x0 has been replaced by 80x24.
    Resize(u16, u16),
    /// The time has moved on by this many milliseconds; sent only while something on screen depends on it.
    Tick(u64),
    /// One check of the host has been answered; the facts hold all that is known so far.
    Detecting(Box<Facts>),
    /// The host has been looked at.
    Detected(Box<Facts>),
    /// The preview is ready.
    Previewed(Box<Preview>),
    /// How far the rehearsal of the preview is, or how it ended.
    Rehearsal(Box<Attempt>),
    /// A running change says something.
    Progress(Progress),
    /// The status page's data.
    Status(Box<Status>),
    /// The snapshots page's data.
    Kept(Vec<Kept>),
    /// Something was done: a line for the message row.
    Said(String),
    /// Something could not be done: what happened, what was left, what to type next.
    Failed(String),
}

/// What the wizard asks of the world. Each is performed by `cli`, in order, off the drawing thread.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look at the host; answered by `Detecting` and `Detected`.
    Detect,
    /// Render the plan for this host; answered by `Previewed` or `Failed`.
    Preview(Box<Answers>),
    /// Rehearse the change of the last preview in a sealed copy; answered by `Rehearsal`.
    Rehearse {
        /// Whether all 65,535 ports are compared as well.
        sweep: bool,
    },
    /// Begin the change of the last preview; answered by `Progress`.
    Apply,
    /// The word `keep` was typed on the Confirm page while it showed this trial; answered by `Progress` or `Failed`.
    Keep(TxnId, u8),
    /// Undo the open transaction now; answered by `Progress`.
    Undo(TxnId),
    /// Take no further step of the running change and undo it; answered by `Progress::RolledBack`. Performed after
    /// `Apply`, `Keep` or `GoBack` where those cannot be interrupted between two steps.
    Stop,
    /// Ring the terminal's bell: time is running out.
    Bell,
    /// Give the open transaction this many more seconds; answered by `Progress::Awaiting`.
    Extend(TxnId, u64),
    /// Lab only: the peer logs in on the door and confirms; answered by `Said`, then `Progress`.
    PeerLogin,
    /// Take back a committed transaction, guarded; answered by `Progress`.
    GoBack(TxnId),
    /// Read the status; answered by `Status`.
    Status,
    /// List what was kept; answered by `Kept`.
    Snapshots,
    /// Write the answers to this file; answered by `Said` or `Failed`.
    SaveAnswers(PathBuf, Box<Answers>),
    /// Write a report of the preview or outcome; answered by `Said` or `Failed`.
    SaveReport(PathBuf, String),
    /// Remember the answers for the next start.
    Remember(Box<Answers>, &'static str),
    /// Read and throw away everything typed so far (before a dangerous question).
    FlushInput,
    /// Clear the screen, read its size again, draw everything.
    Redraw,
    /// Ctrl-Z: give the terminal back to the shell.
    Suspend,
    /// Leave the pages and go on, line by line, with what has been answered.
    LineMode,
    /// Leave with this exit status; the line is printed on the normal screen.
    Quit(u8, Vec<String>),
}

/// What is known of the rehearsal of the preview.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt {
    /// It is under way.
    Running {
        /// What is done now.
        stage: String,
        /// For how long it runs.
        millis: u64,
    },
    /// It came to its end.
    Done(Rehearsal),
    /// This host cannot be copied: why. The change may be applied all the same.
    Unavailable(String),
    /// It broke off: what happened. Nothing is known.
    Broken(String),
}

/// Where the wizard goes next, as a page sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Nav {
    /// The next step.
    Next,
    /// The step before; answers stay.
    Back,
    /// A certain page.
    To(PageId),
    /// Ask the world.
    Do(Effect),
    /// Ask the operator first.
    Ask(Question),
    /// Show a long text over the page, such as why a port is needed and who says so.
    Show {
        /// Its title.
        title: String,
        /// Its lines; the wizard breaks them to the width of the screen.
        text: String,
    },
}

/// A question before something that changes the host or loses work. The default is No; Yes is `y`, then Enter.
///
/// The wizard throws away what was typed before it asks, so that nothing typed too early can answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// One or two lines.
    pub text: String,
    /// What Yes does.
    pub yes: Box<Nav>,
}

/// Every page. The order is the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageId {
    /// Step 1.
    Welcome,
    /// Step 2.
    Role,
    /// Step 3.
    Ssh,
    /// Step 3.
    Legacy22,
    /// Step 4.
    Options,
    /// Step 5.
    Firewall,
    /// Step 6.
    Preview,
    /// Step 6.
    Rehearsal,
    /// Step 7.
    Apply,
    /// Step 8.
    Confirm,
    /// Step 8.
    Done,
    /// Beside the steps: what was kept.
    Snapshots,
    /// Beside the steps: what is applied and live.
    Status,
}

/// An answer file that an earlier start left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// When, `2026-11-22 18:04`.
    pub when: String,
    /// The page on which it stopped, in words.
    pub page: String,
    /// The answers.
    pub answers: Answers,
}

/// What all pages share. Pages change `answers`; the wizard keeps the rest up to date from events.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The answers so far.
    pub answers: Answers,
    /// The roles of the catalogue.
    pub roles: Vec<Role>,
    /// What is known of the host; default values until the first check answers.
    pub facts: Facts,
    /// Whether every check has answered.
    pub detected: bool,
    /// The preview of `answers`; `None` while it is being made.
    pub preview: Option<Box<Preview>>,
    /// The rehearsal of `preview`; `None` before it was asked for.
    pub rehearsal: Option<Attempt>,
    /// Answers of an earlier start.
    pub remembered: Option<Remembered>,
    /// The progress of the running change, oldest first.
    pub progress: Vec<Progress>,
    /// Status, once read.
    pub status: Option<Box<Status>>,
    /// Kept transactions, once read.
    pub kept: Vec<Kept>,
    /// Last line said by the world: `Ok` or `Err`.
    pub said: Option<Result<String, String>>,
    /// In the lab the word LAB stays on screen and the peer can log in.
    pub lab: bool,
    /// Length of a confirm window, seconds.
    pub window_s: u64,
    /// Today, `2026-11-23`.
    pub today: String,
    /// Where the answers are saved unless told otherwise.
    pub answers_path: PathBuf,
}

/// A button of line 23.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// `Next`, `Back`, `Apply...`
    pub label: &'static str,
    /// Whether it can be pressed now.
    pub enabled: bool,
}

/// Weight of the message line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// No mark.
    Plain,
    /// `ok`
    Good,
    /// `WARN`
    Warn,
    /// `ERROR`
    Bad,
    /// `..`
    Busy,
}

/// What a page is: part of the model (`update`) and its picture (`view`, which changes nothing).
pub trait Page {
    /// Reacts to an event. Answers are changed in `shared` at once, so that Back loses nothing.
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav>;
    /// Draws lines 3 to 21 and puts the hardware cursor on the focused item (`frame.set_cursor_position`).
    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect);
    /// Line 22.
    fn message(&self, shared: &Shared) -> (Tone, String);
    /// Line 23, left to right, and which of them Enter presses when the focus is not on a button.
    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize);
    /// The button that has the focus, if one has.
    fn focused_button(&self) -> Option<usize>;
    /// Whether letters are typed into a field now (so that `b`, `q`, `?` are text or refused, not commands).
    fn in_text_field(&self) -> bool;
    /// After how many milliseconds the page changes by itself; `None` when it does not.
    fn next_tick(&self) -> Option<u64> {
        None
    }
    /// The page-specific lines of the help page.
    fn help(&self) -> &'static [(&'static str, &'static str)];
}
