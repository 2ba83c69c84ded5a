//! What the wizard does, what was found on the host, and how to begin.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::checks::{Check, checks, tally};
use super::row;
use crate::answers::Answers;
use crate::tui::widgets::{Canvas, Focus, Handled, Mark, Scroll, cells, move_in_list, wrap};
use crate::tui::{Button, Effect, Event, Key, Nav, Page, PageId, Shared, Tone, theme, words};

const CHECKS: usize = 0;
const START: usize = 1;
const PARTS: usize = 2;
const BUTTONS: usize = 2;
/// Columns of the verdict and of the name of a check.
const FOUND_AT: u16 = 23;

/// How to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Fresh,
    Resume,
    Look,
}

/// The page.
pub struct Welcome {
    focus: Focus,
    /// The marked check.
    check: usize,
    chosen: Option<Start>,
    /// What the answers were filled from last: going back and forth does not fill them again.
    filled: Option<Start>,
    /// The answers as the wizard was started with.
    fresh: Option<Answers>,
}

impl Default for Welcome {
    fn default() -> Self {
        Self {
            focus: Focus::on(START),
            check: 0,
            chosen: None,
            filled: None,
            fresh: None,
        }
    }
}

impl Welcome {
    fn starts(shared: &Shared) -> Vec<Start> {
        if shared.remembered.is_some() {
            vec![Start::Fresh, Start::Resume, Start::Look]
        } else {
            vec![Start::Fresh, Start::Look]
        }
    }

    fn chosen(&self, shared: &Shared) -> Start {
        self.chosen.unwrap_or(if shared.remembered.is_some() {
            Start::Resume
        } else {
            Start::Fresh
        })
    }

    fn next(&mut self, shared: &mut Shared) -> Nav {
        let start = self.chosen(shared);
        let fresh = self.fresh.get_or_insert_with(|| shared.answers.clone()).clone();
        if start == Start::Look {
            return Nav::To(PageId::Status);
        }
        // The first fill with Fresh leaves the answers alone: detection may have filled some of them meanwhile.
        if self.filled != Some(start) {
            match (start, &shared.remembered) {
                (Start::Resume, Some(earlier)) => shared.answers = earlier.answers.clone(),
                _ if self.filled.is_some() => shared.answers = fresh,
                _ => {}
            }
            self.filled = Some(start);
        }
        Nav::Next
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        if self.focus.handle(key, PARTS, BUTTONS) == Handled::Yes {
            return None;
        }
        match (key, self.focus.part()) {
            (Key::F(5), _) => return Some(Nav::Do(Effect::Detect)),
            (Key::Enter, CHECKS) => {
                let check = checks(&shared.facts, shared.detected)
                    .into_iter()
                    .nth(self.check)?;
                return Some(Nav::Show {
                    title: check.name.to_owned(),
                    text: format!("{}\n\n{}", check.found, check.evidence),
                });
            }
            (Key::Enter, PARTS) => {
                return Some(Nav::Do(Effect::Quit(
                    3,
                    vec!["faspwall: nothing was changed.".to_owned()],
                )));
            }
            (Key::Enter, _) => return Some(self.next(shared)),
            (_, CHECKS) => {
                let count = checks(&shared.facts, shared.detected).len();
                move_in_list(&mut self.check, key, count, 5);
            }
            (_, START) => {
                let starts = Self::starts(shared);
                let mut at = starts.iter().position(|s| *s == self.chosen(shared)).unwrap_or(0);
                move_in_list(&mut at, key, starts.len(), 1);
                self.chosen = starts.get(at).copied();
            }
            _ => {}
        }
        None
    }

    fn view_checks(&self, canvas: &mut Canvas<'_, '_>, part: Rect, list: &[Check]) {
        let focused = self.focus.part() == CHECKS;
        let inside = canvas.panel(part, "Checks of this host");
        let room = usize::from(inside.width.saturating_sub(FOUND_AT + 1));
        let lines: Vec<(usize, usize, String)> = list
            .iter()
            .enumerate()
            .flat_map(|(number, check)| {
                wrap(&check.found, room)
                    .into_iter()
                    .enumerate()
                    .map(move |(piece, text)| (number, piece, text))
            })
            .collect();
        let mut scroll = Scroll::default();
        if focused && let Some(last) = lines.iter().rposition(|(number, ..)| *number == self.check) {
            scroll.reveal(last, inside.height);
        }
        let top = scroll.top(lines.len(), inside.height);
        let mut window = canvas.part(inside);
        for ((number, piece, text), y) in lines.iter().skip(top).zip(0..inside.height) {
            let Some(check) = list.get(*number) else { continue };
            let marked = focused && *number == self.check;
            if *piece == 0 {
                window.styled(2, y, check.tone.word(), check.tone.style());
                window.text(9, y, check.name);
                if marked {
                    window.text(0, y, ">");
                    window.cursor(2, y);
                }
            }
            let style = if marked { theme::REVERSE } else { theme::PLAIN };
            window.styled(FOUND_AT, y, text, style);
        }
        if lines.len() > usize::from(inside.height) {
            let foot = format!(" {} ", scroll.position(lines.len(), inside.height));
            let x = part.right().saturating_sub(cells(foot.len()) + 2);
            canvas.text(x, part.bottom() - 1, foot.as_str());
        }
    }
}

impl Page for Welcome {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => self.key(*key, shared),
            _ => None,
        }
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let intro = "This wizard opens the ports an Aspera transfer product needs, and closes TCP/22 if you agree. \
             Nothing changes before step 7, and step 7 undoes itself unless you confirm. \
             Every page can be left with Back or F10.";
        let width = area.width.min(100).saturating_sub(2);
        let top = canvas.paragraph(1, 0, width, intro);
        let starts = Self::starts(shared);
        let height = area.height.saturating_sub(top + 2 + row(starts.len()));
        let part = Rect::new(1, top, area.width.saturating_sub(2), height);
        self.view_checks(&mut canvas, part, &checks(&shared.facts, shared.detected));
        canvas.text(
            4,
            part.bottom(),
            "(Tab, then Enter on a line shows how it was found out)",
        );
        for (start, y) in starts.iter().zip(part.bottom() + 1..) {
            let text = match (start, &shared.remembered) {
                (Start::Resume, Some(earlier)) => words::resume(earlier),
                (Start::Look, _) => "Only look: show the status, change nothing".to_owned(),
                _ => "Start fresh".to_owned(),
            };
            let on = *start == self.chosen(shared);
            canvas.choice(0, y, Mark::radio(on), on && self.focus.part() == START, &text);
        }
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        tally(&checks(&shared.facts, shared.detected))
    }

    fn buttons(&self, _: &Shared) -> (Vec<Button>, usize) {
        let button = |label| Button { label, enabled: true };
        (vec![button("Quit"), button("Next")], 1)
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(PARTS)
    }

    fn in_text_field(&self) -> bool {
        false
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "what was found on this host. Looking changes nothing.",
            ),
            (
                "ok WARN ERROR",
                "how a check turned out; .. means that it is still running. A host with an ERROR can be planned for, not changed.",
            ),
            (
                "Start",
                "fresh begins with the usual answers, resume with those of an earlier start; only look opens the status page.",
            ),
        ]
    }
}
