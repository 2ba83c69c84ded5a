//! The pages. A new one is a file here and a line in [`all`].

mod apply;
pub(super) mod checks;
mod confirm;
mod done;
mod firewall;
mod legacy;
mod options;
mod preview;
mod reader;
mod rehearsal;
mod role;
mod sheet;
pub(super) mod slots;
mod snapshots;
mod ssh;
mod status;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_live;
mod welcome;

use super::widgets::{Canvas, cells};
use super::wizard::Pages;
use super::{Button, Key, Nav, PageId, Shared};
use crate::catalogue::{Need, NeedDefault, PortAnswer, Role};

/// Every page, with its state as at the start.
pub fn all() -> Pages {
    vec![
        (PageId::Welcome, Box::new(welcome::Welcome::default())),
        (PageId::Role, Box::new(role::RolePage::default())),
        (PageId::Ssh, Box::new(ssh::SshPage::default())),
        (PageId::Legacy22, Box::new(legacy::LegacyPage::default())),
        (PageId::Options, Box::new(options::OptionsPage::default())),
        (PageId::Firewall, Box::new(firewall::Firewall::default())),
        (PageId::Preview, Box::new(preview::PreviewPage::default())),
        (PageId::Rehearsal, Box::new(rehearsal::RehearsalPage::default())),
        (PageId::Apply, Box::new(apply::Apply::default())),
        (PageId::Confirm, Box::new(confirm::Confirm::default())),
        (PageId::Done, Box::new(done::Done::default())),
        (PageId::Snapshots, Box::new(snapshots::Snapshots::default())),
        (PageId::Status, Box::new(status::StatusPage::default())),
    ]
}

/// Back and Next, as most pages have them.
fn back_and_next(next: Next) -> (Vec<Button>, usize) {
    let button = |label, enabled| Button { label, enabled };
    (vec![button("Back", true), button("Next", next == Next::Open)], 1)
}

/// Whether a page can be left forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Open,
    Shut,
}

impl From<bool> for Next {
    fn from(open: bool) -> Self {
        if open { Self::Open } else { Self::Shut }
    }
}

/// What Enter does on a page with Back and Next: the focused button, or Next.
fn press(focused: Option<usize>, next: Next) -> Option<Nav> {
    match (focused, next) {
        (Some(0), _) => Some(Nav::Back),
        (_, Next::Open) => Some(Nav::Next),
        (_, Next::Shut) => None,
    }
}

/// The role that was chosen.
fn chosen_role(shared: &Shared) -> Option<&Role> {
    shared.roles.iter().find(|role| role.id == shared.answers.role)
}

/// The need of a role that takes its port from an answer, when it can be opened at all.
fn need(role: &Role, answer: PortAnswer) -> Option<&Need> {
    role.needs
        .iter()
        .find(|need| need.answer == answer && need.default != NeedDefault::Loopback)
}

/// Whether the chosen role takes SSH; without a role in the catalogue it is taken to do so.
pub(super) fn role_takes_ssh(shared: &Shared) -> bool {
    chosen_role(shared).is_none_or(Role::takes_ssh)
}

/// Draws text broken to `width` beginning at a row; returns the row after it.
fn below(canvas: &mut Canvas<'_, '_>, x: u16, y: u16, width: u16, text: &str) -> u16 {
    y.saturating_add(canvas.paragraph(x, y, width, text))
}

/// Keeps a row number inside a screen.
fn row(number: usize) -> u16 {
    cells(number)
}

/// Whether a key is one that is typed into a field.
fn types(key: Key) -> bool {
    matches!(key, Key::Char(_) | Key::Backspace | Key::Delete)
}
