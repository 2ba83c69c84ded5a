//! A lean backend for ratatui: classic colour codes, few bytes, one write per frame.
//!
//! crossterm 0.29 sends the sixteen colours as `38;5;n`, which old terminals and consoles read as *blink* and *bold*;
//! with `NO_COLOR` it sends a bare `ESC[m` for each colour, which takes bold and reverse away too; and it ends every
//! frame with the same 17 bytes. On a serial line of 9600 bit/s each byte takes a millisecond.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

/// Colours and modifiers of a cell, as far as they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Pen {
    const PLAIN: Self = Self {
        fg: Color::Reset,
        bg: Color::Reset,
        modifier: Modifier::empty(),
    };

    fn of(cell: &Cell) -> Self {
        let sent = Modifier::BOLD | Modifier::UNDERLINED | Modifier::REVERSED;
        Self {
            fg: cell.fg,
            bg: cell.bg,
            modifier: cell.modifier & sent,
        }
    }
}

/// Draws into a buffer and writes it out at the end of each frame.
pub struct Lean<W: Write> {
    out: W,
    frame: Vec<u8>,
    /// Where the terminal's cursor is; `None` when that is not certain.
    at: Option<Position>,
    visible: bool,
    pen: Pen,
    /// What is on the screen, row by row, where that is one ASCII character.
    screen: Vec<Option<(char, Pen)>>,
    /// The size of `screen`.
    extent: Size,
    size: Box<dyn Fn() -> Size + Send>,
}

/// What a cleared screen is full of.
const BLANK: Option<(char, Pen)> = Some((' ', Pen::PLAIN));
/// Gaps up to this length are written again rather than jumped over, which takes four bytes.
const SHORT_GAP: u16 = 4;

impl<W: Write> Lean<W> {
    /// Writes to `out`, a terminal that has the size which `size` says.
    pub fn new(out: W, size: impl Fn() -> Size + Send + 'static) -> Self {
        Self {
            out,
            frame: Vec::with_capacity(8192),
            at: None,
            visible: true,
            pen: Pen::PLAIN,
            screen: Vec::new(),
            extent: Size::default(),
            size: Box::new(size),
        }
    }

    /// The place of a cell in `screen`.
    fn index(&self, x: u16, y: u16) -> usize {
        usize::from(y) * usize::from(self.extent.width) + usize::from(x)
    }

    /// Forgets what is on the screen: it has been cleared.
    fn forget(&mut self) {
        self.extent = (self.size)();
        let count = usize::from(self.extent.width) * usize::from(self.extent.height);
        self.screen = vec![BLANK; count];
    }

    /// From which column on the row is blank to its end.
    fn blank_from(&self, y: u16) -> u16 {
        let mut x = self.extent.width;
        while x > 0 && self.screen.get(self.index(x - 1, y)) == Some(&BLANK) {
            x -= 1;
        }
        x
    }

    /// Writes a short gap of unchanged cells again, when that needs no other pen. Returns whether it did.
    fn fill_gap(&mut self, from: Position, to: u16) -> bool {
        let gap = from.x..to;
        let signs: Option<String> = gap
            .map(|x| match self.screen.get(self.index(x, from.y)) {
                Some(Some((sign, pen))) if *pen == self.pen => Some(*sign),
                _ => None,
            })
            .collect();
        match signs {
            Some(signs) => {
                self.put(&signs);
                true
            }
            None => false,
        }
    }

    fn put(&mut self, bytes: &str) {
        self.frame.extend_from_slice(bytes.as_bytes());
    }

    /// Moves the cursor with the shortest sequence that does it.
    fn go(&mut self, to: Position) {
        let Some(from) = self.at.replace(to) else {
            self.put(&format!("\x1b[{};{}H", to.y + 1, to.x + 1));
            return;
        };
        match (to.y.checked_sub(from.y), to.x.checked_sub(from.x)) {
            (Some(0), Some(0)) => {}
            (Some(0), _) if to.x == 0 => self.put("\r"),
            (Some(0), Some(right)) if right <= SHORT_GAP && self.fill_gap(from, to.x) => {}
            (Some(0), Some(right)) => self.put(&format!("\x1b[{right}C")),
            (Some(0), None) if from.x - to.x == 1 => self.put("\x08"),
            (Some(1), _) if to.x == 0 => self.put("\r\n"),
            _ => self.put(&format!("\x1b[{};{}H", to.y + 1, to.x + 1)),
        }
    }

    /// Changes colours and modifiers; a reset is sent only when something has to be switched off.
    fn dip(&mut self, wanted: Pen) {
        if wanted == self.pen {
            return;
        }
        let switched_off = !(self.pen.modifier - wanted.modifier).is_empty()
            || (wanted.fg == Color::Reset && self.pen.fg != Color::Reset)
            || (wanted.bg == Color::Reset && self.pen.bg != Color::Reset);
        let mut codes: Vec<String> = Vec::new();
        let base = if switched_off {
            codes.push(String::new());
            Pen::PLAIN
        } else {
            self.pen
        };
        let added = wanted.modifier - base.modifier;
        for (modifier, code) in [
            (Modifier::BOLD, "1"),
            (Modifier::UNDERLINED, "4"),
            (Modifier::REVERSED, "7"),
        ] {
            if added.contains(modifier) {
                codes.push(code.to_owned());
            }
        }
        if wanted.fg != base.fg {
            codes.extend(code(wanted.fg, 0).map(|code| code.to_string()));
        }
        if wanted.bg != base.bg {
            codes.extend(code(wanted.bg, 10).map(|code| code.to_string()));
        }
        self.pen = wanted;
        if !codes.is_empty() {
            self.put(&format!("\x1b[{}m", codes.join(";")));
        }
    }

    /// Draws one changed cell.
    fn cell(&mut self, x: u16, y: u16, cell: &Cell, width: u16) {
        self.go(Position { x, y });
        self.dip(Pen::of(cell));
        self.put(cell.symbol());
        let next = x.saturating_add(columns(cell));
        // Behind the last column terminals differ: some stay, some wrap.
        self.at = (next < width).then_some(Position { x: next, y });
    }
}

/// How many columns a cell's sign takes.
fn columns(cell: &Cell) -> u16 {
    match cell.symbol().len() {
        1 => 1,
        _ => u16::try_from(Span::raw(cell.symbol()).width()).unwrap_or(1),
    }
}

/// The code of a colour, 30 to 37 and 90 to 97; `shift` is 10 for backgrounds.
fn code(colour: Color, shift: u8) -> Option<u8> {
    let code = match colour {
        Color::Reset => 39,
        Color::Black => 30,
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Blue => 34,
        Color::Magenta => 35,
        Color::Cyan => 36,
        Color::Gray => 37,
        Color::DarkGray => 90,
        Color::LightRed => 91,
        Color::LightGreen => 92,
        Color::LightYellow => 93,
        Color::LightBlue => 94,
        Color::LightMagenta => 95,
        Color::LightCyan => 96,
        Color::White => 97,
        Color::Rgb(..) | Color::Indexed(_) => return None,
    };
    Some(code + shift)
}

impl<W: Write> Backend for Lean<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        if self.extent != (self.size)() {
            self.forget();
        }
        let width = self.extent.width;
        let cells: Vec<(u16, u16, &Cell)> = content.collect();
        for row in cells.chunk_by(|a, b| a.1 == b.1) {
            for (x, y, cell) in row {
                let mut signs = cell.symbol().chars();
                let one = signs
                    .next()
                    .filter(|sign| sign.is_ascii() && signs.next().is_none());
                let index = self.index(*x, *y);
                let known = one.map(|sign| (sign, Pen::of(cell)));
                // A wide character lies on the next cell too, which is never drawn itself.
                let columns = if known.is_some() { 1 } else { columns(cell) };
                for place in self.screen.iter_mut().skip(index).take(columns.into()) {
                    *place = known;
                }
            }
            // Erasing to the end of the line costs three bytes, however much there is.
            let blank = row.first().map_or(width, |(_, y, _)| self.blank_from(*y));
            let text = row.partition_point(|(x, _, _)| *x < blank);
            let (text, blanks) = match row.split_at(text) {
                (text, blanks) if blanks.len() > 3 => (text, blanks),
                _ => (row, &row[row.len()..]),
            };
            for (x, y, cell) in text {
                self.cell(*x, *y, cell, width);
            }
            if let Some((_, y, _)) = blanks.first() {
                self.go(Position { x: blank, y: *y });
                self.dip(Pen::PLAIN);
                self.put("\x1b[K");
            }
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.visible {
            self.put("\x1b[?25l");
            self.visible = false;
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if !self.visible {
            self.put("\x1b[?25h");
            self.visible = true;
        }
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // The terminal is never asked: one that does not answer would cost seconds.
        Ok(self.at.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.go(position.into());
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.put("\x1b[m\x1b[2J");
        self.pen = Pen::PLAIN;
        self.at = None;
        self.forget();
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        Ok((self.size)())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: (self.size)(),
            pixels: Size::default(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let written = self.out.write_all(&self.frame).and_then(|()| self.out.flush());
        self.frame.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ratatui::Terminal;
    use ratatui::layout::Rect;
    use ratatui::style::Style;
    use ratatui::widgets::Paragraph;

    use super::*;

    /// Keeps what is written, one entry per write.
    #[derive(Clone, Default)]
    struct Wire(Arc<Mutex<Vec<String>>>);

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap()
                .push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frames(pictures: &[(&str, Style)]) -> Vec<String> {
        let wire = Wire::default();
        let backend = Lean::new(wire.clone(), || Size::new(20, 3));
        let mut terminal = Terminal::new(backend).unwrap();
        for (text, style) in pictures {
            terminal
                .draw(|frame| {
                    frame.render_widget(Paragraph::new(*text).style(*style), Rect::new(0, 0, 20, 3));
                    frame.set_cursor_position((1, 1));
                })
                .unwrap();
        }
        wire.0.lock().unwrap().clone()
    }

    #[test]
    fn a_frame_is_one_write_and_an_unchanged_one_is_none() {
        let written = frames(&[
            ("one", Style::new()),
            ("one", Style::new()),
            ("two", Style::new()),
        ]);
        assert_eq!(written.len(), 2, "{written:?}");
    }

    #[test]
    fn colours_are_sent_in_the_classic_way() {
        let red = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let written = frames(&[("x", red)]).concat();
        assert!(written.contains("\x1b[1;31mx"), "{written:?}");
        assert!(!written.contains("38;5"), "{written:?}");
    }

    #[test]
    fn a_changed_sign_costs_little_and_a_long_blank_is_erased() {
        let written = frames(&[("33001 abcdefghijk", Style::new()), ("33002", Style::new())]);
        assert_eq!(written[1], "\x1b[1;5H2\x1b[K\x1b[2;2H");
    }
}
