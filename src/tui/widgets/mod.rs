//! The parts that pages are put together from. All of them say with text what has the focus and what is chosen.

mod field;
mod motion;
mod text;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::symbols::border;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Widget};

pub use field::Field;
pub use motion::{Focus, Following, Scroll, move_in_list};
pub use text::{cell, wrap};

use super::theme;
use super::{Button, Tone};

/// What a key did to a part of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The key was not meant for it.
    No,
    /// It moved or changed something.
    Yes,
}

/// A length as terminal columns or rows; what is longer than any terminal is cut.
pub fn cells(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// A part of the picture with coordinates of its own, beginning at 0, 0. What lies outside is not drawn.
pub struct Canvas<'a, 'b> {
    frame: &'a mut Frame<'b>,
    area: Rect,
}

impl<'a, 'b> Canvas<'a, 'b> {
    /// Draws on `area` of `frame`.
    pub fn new(frame: &'a mut Frame<'b>, area: Rect) -> Self {
        let area = area.intersection(frame.area());
        Self { frame, area }
    }

    /// Columns.
    pub fn width(&self) -> u16 {
        self.area.width
    }

    /// Rows.
    pub fn height(&self) -> u16 {
        self.area.height
    }

    /// The same picture, seen through a smaller window.
    pub fn part(&mut self, part: Rect) -> Canvas<'_, 'b> {
        let area = self.absolute(part);
        Canvas {
            frame: self.frame,
            area,
        }
    }

    /// One line of text; what does not fit is cut.
    pub fn text<'t>(&mut self, x: u16, y: u16, text: impl Into<Line<'t>>) {
        if x < self.area.width && y < self.area.height {
            // Only what is written gets a style, not the rest of the row.
            let room = self.area.width - x;
            self.frame
                .buffer_mut()
                .set_line(self.area.x + x, self.area.y + y, &text.into(), room);
        }
    }

    /// One line of text in a style.
    pub fn styled(&mut self, x: u16, y: u16, text: &str, style: Style) {
        self.text(x, y, Line::styled(text, style));
    }

    /// Text over several lines, broken between words; returns how many lines it took.
    pub fn paragraph(&mut self, x: u16, y: u16, width: u16, text: &str) -> u16 {
        let lines = wrap(text, usize::from(width));
        for (line, row) in lines.iter().zip(y..) {
            self.text(x, row, line.as_str());
        }
        cells(lines.len())
    }

    /// Where the hardware cursor stands: braille displays and screen readers follow it.
    pub fn cursor(&mut self, x: u16, y: u16) {
        if x < self.area.width && y < self.area.height {
            self.frame
                .set_cursor_position(Position::new(self.area.x + x, self.area.y + y));
        }
    }

    /// Takes away what was drawn there.
    pub fn clear(&mut self, part: Rect) {
        let area = self.absolute(part);
        Clear.render(area, self.frame.buffer_mut());
    }

    /// A frame with a title; returns what is inside of it.
    pub fn panel(&mut self, part: Rect, title: &str) -> Rect {
        self.bordered(part, title, border::PLAIN, theme::FRAME)
    }

    /// A double frame for warnings.
    pub fn alarm(&mut self, part: Rect, title: &str) -> Rect {
        self.bordered(part, title, border::DOUBLE, theme::WARN)
    }

    fn bordered(&mut self, part: Rect, title: &str, set: border::Set<'_>, style: Style) -> Rect {
        let block = Block::bordered()
            .border_set(set)
            .border_style(style)
            .title(Line::styled(format!("{0} {title} ", set.horizontal_top), style).left_aligned());
        let area = self.absolute(part);
        let inside = block.inner(area);
        Clear.render(area, self.frame.buffer_mut());
        block.render(area, self.frame.buffer_mut());
        Rect {
            x: inside.x.saturating_sub(self.area.x),
            y: inside.y.saturating_sub(self.area.y),
            ..inside
        }
    }

    /// One of several choices, or a switch: `>(*) text`. Takes one row; the text begins at `x + 5`.
    pub fn choice(&mut self, x: u16, y: u16, mark: Mark, focused: bool, text: &str) {
        if focused {
            self.styled(x, y, ">", theme::BOLD);
        }
        self.text(x + 1, y, mark.sign());
        let style = if focused { theme::REVERSE } else { theme::PLAIN };
        self.styled(x + 5, y, text, style);
        if focused {
            self.cursor(x + 2, y);
        }
    }

    /// A word for the weight, then the text: `WARN   text`. The text begins at `x + 7`.
    pub fn verdict(&mut self, x: u16, y: u16, tone: Tone, text: &str) {
        self.styled(x, y, tone.word(), tone.style());
        self.text(x + 7, y, text);
    }

    /// A text field of `width` columns inside its brackets.
    pub fn field(&mut self, x: u16, y: u16, width: u16, field: &Field, focused: bool) {
        let room = usize::from(width);
        // The part with the cursor, while it is edited; else its beginning.
        let from = if focused {
            field.cursor.saturating_sub(room.saturating_sub(1))
        } else {
            0
        };
        let shown = field.text.get(from..).unwrap_or_default();
        let shown = shown.get(..room).unwrap_or(shown);
        let style = if focused { theme::REVERSE } else { theme::PLAIN };
        self.text(x, y, "[");
        self.styled(x + 1, y, &format!("{shown:room$}"), style);
        self.text(x.saturating_add(width).saturating_add(1), y, "]");
        if focused {
            self.cursor(x + 1 + cells(field.cursor - from), y);
        }
    }

    /// `[#####.....]`, `width` columns in all.
    pub fn gauge(&mut self, x: u16, y: u16, width: u16, part: u64, whole: u64) {
        let room = u64::from(width.saturating_sub(2));
        let filled = (part.min(whole) * room).checked_div(whole).unwrap_or(0);
        let bar = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or(0));
        self.text(x, y, format!("[{}{}]", bar("#", filled), bar(".", room - filled)));
    }

    fn absolute(&self, part: Rect) -> Rect {
        Rect {
            x: self.area.x.saturating_add(part.x),
            y: self.area.y.saturating_add(part.y),
            ..part
        }
        .intersection(self.area)
    }
}

/// Whether something is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `( )`
    Radio,
    /// `(*)`
    RadioOn,
    /// `[ ]`
    Check,
    /// `[x]`
    CheckOn,
    /// Three blanks, for a list in which nothing is chosen.
    None,
}

impl Mark {
    /// One of several.
    pub fn radio(on: bool) -> Self {
        if on { Self::RadioOn } else { Self::Radio }
    }

    /// A switch.
    pub fn check(on: bool) -> Self {
        if on { Self::CheckOn } else { Self::Check }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Radio => "( )",
            Self::RadioOn => "(*)",
            Self::Check => "[ ]",
            Self::CheckOn => "[x]",
            Self::None => "   ",
        }
    }
}

/// Where a button stands on its row, and what is drawn there.
struct Placed {
    x: u16,
    text: String,
    style: Style,
}

/// Draws the row of buttons: all to the left but the one that Enter presses. Returns where the focused one is.
///
/// `pressed` is the button that Enter presses when the focus is elsewhere; a number that no button has means none.
pub fn button_row(
    picture: &mut Buffer,
    row: Rect,
    buttons: &[Button],
    pressed: usize,
    focused: Option<usize>,
) -> Option<Position> {
    let mut x = row.x + 2;
    let mut cursor = None;
    for (number, button) in buttons.iter().enumerate() {
        let marked = focused.map_or(number == pressed, |f| f == number);
        let text = match (button.enabled, marked) {
            (true, true) => format!(">[ {} ]<", button.label),
            (true, false) => format!(" [ {} ] ", button.label),
            (false, true) => format!(">( {} )<", button.label),
            (false, false) => format!(" ( {} ) ", button.label),
        };
        let width = cells(text.len());
        let style = match (focused == Some(number), marked) {
            (true, _) => theme::REVERSE,
            (false, true) => theme::BOLD,
            (false, false) => theme::PLAIN,
        };
        let place = Placed {
            x: if number == pressed && buttons.len() > 1 {
                row.right().saturating_sub(width + 2)
            } else {
                x
            },
            text,
            style,
        };
        if number != pressed || buttons.len() == 1 {
            x = x.saturating_add(width + 2);
        }
        let room = usize::from(row.right().saturating_sub(place.x));
        picture.set_stringn(place.x, row.y, &place.text, room, place.style);
        if focused == Some(number) {
            cursor = Some(Position::new(place.x + 3, row.y));
        }
    }
    cursor
}
