//! What was kept, and the way back, which is a guarded change of its own.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::transaction::Kept;
use crate::tui::widgets::{Canvas, Focus, Handled, Scroll, cell, cells, move_in_list, wrap};
use crate::tui::{Button, Effect, Event, Key, Nav, Page, Question, Shared, Tone, frame, theme, words};

const BUTTONS: usize = 2;
const GO_BACK: usize = 1;
/// Rows of the panel that tells what going back would do, with its frame: at least.
const PANEL: u16 = 8;
/// Rows of the list that a longer panel leaves.
const LIST: u16 = 3;
/// The row on which the list begins.
const TOP: u16 = 2;

/// The page.
#[derive(Debug)]
pub struct Snapshots {
    at: usize,
    scroll: Scroll,
    focus: Focus,
    height: u16,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            at: 0,
            scroll: Scroll::default(),
            focus: Focus::default(),
            height: frame::MIN_HEIGHT,
        }
    }
}

/// The same on a page of that height, for a change of which so many lines are told.
fn panel_height(body: u16, lines: usize) -> u16 {
    let most = body.saturating_sub(TOP + LIST + 2).max(PANEL);
    (cells(lines) + 2).clamp(PANEL, most)
}

fn list_height(body: u16, lines: usize) -> u16 {
    body.saturating_sub(TOP + panel_height(body, lines) + 2).max(1)
}

fn can_go_back(kept: &Kept) -> bool {
    kept.in_force
}

/// Whether going back would shut the port of the operator's own session.
fn cuts_new_logins(kept: &Kept, shared: &Shared) -> Option<u16> {
    let port = shared.facts.session.as_ref()?.server_port?;
    let opened = format!("- TCP/{port}");
    let shut = |line: &String| {
        line.strip_prefix(&opened)
            .is_some_and(|rest| !rest.starts_with(|sign: char| sign.is_ascii_digit()))
    };
    kept.going_back.iter().any(shut).then_some(port)
}

impl Snapshots {
    fn chosen<'a>(&self, shared: &'a Shared) -> Option<&'a Kept> {
        shared.kept.get(self.at.min(shared.kept.len().saturating_sub(1)))
    }

    /// How many lines are told of the marked change.
    fn lines(&self, shared: &Shared) -> usize {
        self.chosen(shared).map_or(0, |kept| kept.going_back.len())
    }

    fn go_back(&self, shared: &Shared) -> Option<Nav> {
        let kept = self.chosen(shared).filter(|kept| can_go_back(kept))?;
        Some(Nav::Ask(Question {
            text: format!(
                "Go back to before {}? {}\nIt is guarded by the same countdown as applying.",
                words::minute(&kept.at),
                cell(&kept.what, 40).trim_end()
            ),
            yes: Box::new(Nav::Do(Effect::GoBack(kept.txn.clone()))),
        }))
    }

    fn key(&mut self, key: Key, shared: &Shared) -> Option<Nav> {
        if self.focus.handle(key, 1, BUTTONS) == Handled::Yes {
            return None;
        }
        let height = list_height(self.height.saturating_sub(5), self.lines(shared));
        if move_in_list(&mut self.at, key, shared.kept.len(), usize::from(height)) == Handled::Yes {
            self.focus = Focus::default();
            self.scroll.reveal(self.at, height);
            return None;
        }
        match (key, self.focus.button(1)) {
            (Key::Enter, Some(0)) => Some(Nav::Back),
            (Key::Enter, _) => self.go_back(shared),
            (Key::F(5), _) => Some(Nav::Do(Effect::Snapshots)),
            _ => None,
        }
    }

    fn view_list(&self, canvas: &mut Canvas<'_, '_>, shared: &Shared) {
        let height = list_height(canvas.height(), self.lines(shared));
        let what = usize::from(canvas.width()).saturating_sub(51);
        let head = format!(
            "{} {} {} {}",
            cell("when", 17),
            cell("what changed", what),
            cell("by", 13),
            cell("state", 14)
        );
        canvas.styled(3, 1, head.trim_end(), theme::BOLD);
        let at = self.at.min(shared.kept.len().saturating_sub(1));
        let mut scroll = self.scroll;
        scroll.reveal(at, height);
        let top = scroll.top(shared.kept.len(), height);
        for (row, (number, kept)) in (TOP..TOP + height).zip(shared.kept.iter().enumerate().skip(top)) {
            let line = format!(
                "{} {} {} {}",
                cell(&words::minute(&kept.at), 17),
                cell(&kept.what, what),
                cell(&kept.by, 13),
                cell(&kept.state, 14)
            );
            let focused = number == at && self.focus.button(1).is_none();
            canvas.styled(
                3,
                row,
                line.trim_end(),
                if number == at { theme::BOLD } else { theme::PLAIN },
            );
            if number == at {
                canvas.styled(1, row, ">", theme::BOLD);
            }
            if focused {
                canvas.cursor(1, row);
            }
        }
        if shared.kept.is_empty() {
            canvas.text(3, TOP, "nothing was applied by faspwall on this host yet");
            if self.focus.button(1).is_none() {
                canvas.styled(1, TOP, ">", theme::BOLD);
                canvas.cursor(1, TOP);
            }
        }
    }
}

impl Page for Snapshots {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => self.key(*key, shared),
            Event::Resize(_, height) => {
                self.height = *height;
                None
            }
            Event::Entered => {
                self.focus.off_buttons(1, 0);
                None
            }
            Event::Kept(_) => {
                self.at = self.at.min(shared.kept.len().saturating_sub(1));
                None
            }
            _ => None,
        }
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let count = format!("{} kept", shared.kept.len());
        canvas.text(canvas.width().saturating_sub(cells(count.len()) + 2), 0, count);
        self.view_list(&mut canvas, shared);
        let width = canvas.width().saturating_sub(2);
        let panel = panel_height(canvas.height(), self.lines(shared));
        let y = TOP + list_height(canvas.height(), self.lines(shared));
        let Some(kept) = self.chosen(shared) else { return };
        let title = format!("going back to BEFORE {} would", words::minute(&kept.at));
        let inside = canvas.panel(Rect::new(1, y, width, panel), &title);
        let mut lines: Vec<String> = kept
            .going_back
            .iter()
            .flat_map(|line| wrap(line, usize::from(inside.width.saturating_sub(2))))
            .collect();
        if lines.is_empty() {
            lines.push("change nothing: nothing of it is on this host".to_owned());
        }
        let room = usize::from(inside.height);
        if lines.len() > room {
            let rest = lines.len() + 1 - room;
            lines.truncate(room.saturating_sub(1));
            lines.push(format!("and {rest} more: faspwall snapshots show {}", kept.txn));
        }
        for (line, row) in lines.iter().zip(inside.y..inside.bottom()) {
            canvas.text(inside.x + 1, row, line.as_str());
        }
        canvas.text(
            3,
            y + panel + 1,
            "Going back uses the same countdown as applying.",
        );
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        let Some(kept) = self.chosen(shared) else {
            return (Tone::Plain, String::new());
        };
        if !can_go_back(kept) {
            return (
                Tone::Plain,
                format!("this one is {}: there is nothing to go back from", kept.state),
            );
        }
        match cuts_new_logins(kept, shared) {
            Some(port) => (
                Tone::Warn,
                format!("your session stays, but new logins to {port} are refused then"),
            ),
            None => (
                Tone::Plain,
                format!("the same as: faspwall rollback {}", kept.txn),
            ),
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        let enabled = self.chosen(shared).is_some_and(can_go_back);
        let buttons = vec![
            Button {
                label: "Close",
                enabled: true,
            },
            Button {
                label: "Go back...",
                enabled,
            },
        ];
        (buttons, GO_BACK)
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(1)
    }

    fn in_text_field(&self) -> bool {
        false
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "every change that faspwall made here, the latest first.",
            ),
            (
                "Go back...",
                "takes back a kept change. It asks, then runs as a change of its own: with trials, a countdown and a proof.",
            ),
        ]
    }
}
