//! The parts that pages are put together from. All of them say with text what has the focus and what is chosen.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::symbols::border;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Widget};

use super::theme;
use super::{Button, Key, Tone};

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
        let from = field.cursor.saturating_sub(room.saturating_sub(1));
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

/// What a key did to a part of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The key was not meant for it.
    No,
    /// It moved or changed something.
    Yes,
}

/// A one-line text field. It holds printable ASCII only: ports, networks, paths and words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// Byte and column at once, because the text is ASCII.
    cursor: usize,
    limit: usize,
}

impl Field {
    /// A field that holds `text` and at most `limit` characters, the cursor behind the text.
    pub fn new(text: &str, limit: usize) -> Self {
        let mut field = Self {
            text: String::new(),
            cursor: 0,
            limit,
        };
        field.insert(text);
        field
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the text.
    pub fn set(&mut self, text: &str) {
        *self = Self::new(text, self.limit);
    }

    /// Types or pastes text. Line ends become commas, so that a pasted list of networks stays a list.
    pub fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n");
        for sign in text.trim_end_matches(['\r', '\n']).chars() {
            let sign = match sign {
                '\r' | '\n' => ',',
                '\t' => ' ',
                other => other,
            };
            if (sign.is_ascii_graphic() || sign == ' ') && self.text.len() < self.limit {
                self.text.insert(self.cursor, sign);
                self.cursor += 1;
            }
        }
    }

    /// Edits with a key.
    pub fn handle(&mut self, key: Key) -> Handled {
        match key {
            Key::Char(sign) => self.insert(sign.encode_utf8(&mut [0; 4])),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            Key::Backspace | Key::Delete => {}
            _ => return Handled::No,
        }
        Handled::Yes
    }
}

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

/// Breaks text between words so that no line is longer than `width`; longer words are cut. Line ends are kept.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        // What fits stays as it is: columns in it are meant.
        if paragraph.chars().count() <= width {
            lines.push(paragraph.trim_end().to_owned());
            continue;
        }
        let indent = paragraph.len() - paragraph.trim_start_matches(' ').len();
        let mut line = " ".repeat(indent.min(width - 1));
        let mut empty = true;
        for word in paragraph.split_whitespace() {
            let mut word = word;
            while !word.is_empty() {
                let used = line.chars().count();
                let gap = usize::from(!empty);
                let length = word.chars().count();
                if used + gap + length <= width {
                    line.push_str(if empty { "" } else { " " });
                    line.push_str(word);
                    empty = false;
                    break;
                }
                if empty {
                    let cut = word
                        .char_indices()
                        .nth((width - used).max(1))
                        .map_or(word.len(), |(at, _)| at);
                    let (head, tail) = word.split_at(cut);
                    line.push_str(head);
                    word = tail;
                }
                lines.push(std::mem::replace(&mut line, " ".repeat(indent.min(width - 1))));
                empty = true;
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_breaks_between_words_and_keeps_its_indent() {
        assert_eq!(
            wrap("  one two three", 9),
            ["  one two".to_owned(), "  three".into()]
        );
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
    }

    #[test]
    fn a_pasted_list_stays_a_list() {
        let mut field = Field::new("", 60);
        field.insert("192.0.2.0/24\r\n198.51.100.0/24\n");
        assert_eq!(field.text(), "192.0.2.0/24,198.51.100.0/24");
    }

    #[test]
    fn a_field_edits_where_its_cursor_is() {
        let mut field = Field::new("3301", 5);
        for key in [Key::Left, Key::Left, Key::Char('0'), Key::Char('9')] {
            field.handle(key);
        }
        assert_eq!(field.text(), "33001");
        field.handle(Key::Backspace);
        field.handle(Key::Delete);
        assert_eq!(field.text(), "331");
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

    proptest! {
        #[test]
        fn no_wrapped_line_is_too_long(text in "[ -~äé\n]{0,80}", width in 1usize..30) {
            for line in wrap(&text, width) {
                prop_assert!(line.chars().count() <= width, "{line:?}");
            }
        }

        #[test]
        fn no_input_breaks_a_field(text in ".{0,20}", keys in proptest::collection::vec(0u8..8, 0..20)) {
            let mut field = Field::new(&text, 10);
            for key in keys {
                field.handle([Key::Left, Key::Right, Key::Home, Key::End, Key::Backspace, Key::Delete,
                    Key::Char('é'), Key::Char('7')][usize::from(key)]);
                prop_assert!(field.text().len() <= 10 && field.text().is_ascii());
            }
        }
    }
}
