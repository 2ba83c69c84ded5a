//! Where the focus is, and what of a long list or text is on the screen.

use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Canvas, Handled};
use crate::tui::Key;

/// Which part of a page has the focus: its own parts first, then its buttons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Focus {
    at: usize,
}

impl Focus {
    /// The focus on a part.
    pub fn on(part: usize) -> Self {
        Self { at: part }
    }

    /// The number of the focused part; a number from `parts` on is a button.
    pub fn part(self) -> usize {
        self.at
    }

    /// The focused button of a page that has `parts` parts.
    pub fn button(self, parts: usize) -> Option<usize> {
        self.at.checked_sub(parts)
    }

    /// Takes the focus from a button to a part, when a page is shown again: the button that led away from it is not
    /// pressed again by the next Enter.
    pub fn off_buttons(&mut self, parts: usize, to: usize) {
        if self.button(parts).is_some() {
            self.at = to;
        }
    }

    /// Tab and Shift-Tab go round; on the buttons, Left and Right go between them and Up goes back to the page.
    pub fn handle(&mut self, key: Key, parts: usize, buttons: usize) -> Handled {
        let all = (parts + buttons).max(1);
        let on_button = self.at >= parts;
        self.at = match key {
            Key::Tab => (self.at + 1) % all,
            Key::BackTab => (self.at + all - 1) % all,
            Key::Right if on_button => (self.at + 1).min(all - 1),
            Key::Left if on_button => (self.at - 1).max(parts),
            Key::Up if on_button && parts > 0 => parts - 1,
            _ => return Handled::No,
        };
        Handled::Yes
    }
}

/// Moves a mark in a list of `count` entries.
pub fn move_in_list(at: &mut usize, key: Key, count: usize, page: usize) -> Handled {
    let last = count.saturating_sub(1);
    *at = match key {
        Key::Up => at.saturating_sub(1),
        Key::Down => (*at + 1).min(last),
        Key::Home => 0,
        Key::End => last,
        Key::PageUp => at.saturating_sub(page),
        Key::PageDown => (*at + page).min(last),
        _ => return Handled::No,
    };
    Handled::Yes
}

/// How far a long text has been scrolled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scroll {
    top: usize,
}

impl Scroll {
    /// The first line shown of `count` lines in `height` rows.
    pub fn top(self, count: usize, height: u16) -> usize {
        self.top.min(count.saturating_sub(usize::from(height)))
    }

    /// Scrolls so that a line is on screen.
    pub fn reveal(&mut self, line: usize, height: u16) {
        let rows = usize::from(height).max(1);
        self.top = self.top.min(line).max((line + 1).saturating_sub(rows));
    }

    /// Moves with the arrow and page keys.
    pub fn handle(&mut self, key: Key, count: usize, height: u16) -> Handled {
        let rows = usize::from(height).max(1);
        let end = count.saturating_sub(rows);
        let top = self.top.min(end);
        self.top = match key {
            Key::Up => top.saturating_sub(1),
            Key::Down => (top + 1).min(end),
            Key::PageUp => top.saturating_sub(rows),
            Key::PageDown => (top + rows).min(end),
            Key::Home => 0,
            Key::End => end,
            _ => return Handled::No,
        };
        Handled::Yes
    }

    /// `line 1-16 of 31  51%`
    pub fn position(self, count: usize, height: u16) -> String {
        let top = self.top(count, height);
        let bottom = (top + usize::from(height)).min(count);
        let share = match (bottom == count, top) {
            (true, 0) => "All".to_owned(),
            (true, _) => "End".to_owned(),
            (false, _) => format!("{}%", bottom * 100 / count.max(1)),
        };
        format!("line {}-{bottom} of {count} {share}", (top + 1).min(count))
    }

    /// Draws the lines that are on screen.
    pub fn view(self, canvas: &mut Canvas<'_, '_>, part: Rect, lines: &[Line<'_>]) {
        let top = self.top(lines.len(), part.height);
        let mut window = canvas.part(part);
        for (line, row) in lines.iter().skip(top).zip(0..part.height) {
            window.text(0, row, line.clone());
        }
    }
}

/// After how many milliseconds without a key the text beside a list follows the mark.
const REST: u64 = 150;

/// What is told beside a list about the marked line. It follows when the keys have come to rest: on a slow line a row of
/// arrow keys would otherwise draw every text on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Following<T> {
    shown: T,
    left: Option<u64>,
}

impl<T: PartialEq> Following<T> {
    /// What is shown now.
    pub fn shown(&self) -> &T {
        &self.shown
    }

    /// A key was pressed: this shall be shown once no other key comes.
    pub fn after_key(&mut self, now: &T) {
        self.left = (self.shown != *now).then_some(REST);
    }

    /// Shown at once.
    pub fn at_once(&mut self, now: T) {
        *self = Self {
            shown: now,
            left: None,
        };
    }

    /// Time has passed.
    pub fn pass(&mut self, millis: u64, now: impl FnOnce() -> T) {
        match self.left {
            Some(left) if left <= millis => self.at_once(now()),
            Some(left) => self.left = Some(left - millis),
            None => {}
        }
    }

    /// After how many milliseconds it follows.
    pub fn next_tick(&self) -> Option<u64> {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_follows_when_the_keys_rest() {
        let mut text = Following::default();
        text.at_once(1);
        text.after_key(&2);
        text.pass(100, || 2);
        text.after_key(&3);
        text.pass(100, || 3);
        assert_eq!((*text.shown(), text.next_tick()), (1, Some(50)));
        text.pass(50, || 3);
        assert_eq!((*text.shown(), text.next_tick()), (3, None));
        text.after_key(&4);
        text.after_key(&3);
        assert_eq!(text.next_tick(), None, "back where it was");
    }

    #[test]
    fn the_position_says_what_is_seen() {
        let mut scroll = Scroll::default();
        assert_eq!(scroll.position(16, 16), "line 1-16 of 16 All");
        assert_eq!(scroll.position(31, 16), "line 1-16 of 31 51%");
        scroll.handle(Key::PageDown, 31, 16);
        assert_eq!(scroll.position(31, 16), "line 16-31 of 31 End");
        assert_eq!(scroll.position(0, 16), "line 0-0 of 0 All");
    }

    #[test]
    fn the_focus_goes_round() {
        let mut focus = Focus::default();
        for _ in 0..4 {
            focus.handle(Key::Tab, 2, 2);
        }
        assert_eq!(focus, Focus::default());
        focus.handle(Key::BackTab, 2, 2);
        assert_eq!(focus.button(2), Some(1));
        focus.handle(Key::Left, 2, 2);
        assert_eq!(focus.button(2), Some(0));
        focus.handle(Key::Up, 2, 2);
        assert_eq!(focus.part(), 1);
    }
}
