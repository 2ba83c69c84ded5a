//! What lies over a page: a question before a dangerous act, or a long text.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::widgets::{Canvas, Handled, Scroll, cells, wrap};
use super::{Key, Nav, Question, theme};

/// A question or a text.
pub enum Overlay {
    /// Default No; Yes is `y`, then Enter.
    Ask {
        /// The question.
        question: Question,
        /// Whether `y` was typed.
        yes: bool,
    },
    /// Help, a reason, a list.
    Text {
        /// Its title.
        title: String,
        /// Its text.
        text: String,
        /// How far it has been read.
        scroll: Scroll,
    },
}

/// What a key on an overlay leads to.
pub enum Answer {
    /// It stays open.
    Stay,
    /// It goes away.
    Close,
    /// The question was answered with Yes.
    Yes(Nav),
}

impl Overlay {
    /// A question.
    pub fn ask(question: Question) -> Self {
        Self::Ask { question, yes: false }
    }

    /// A text.
    pub fn text(title: String, text: String) -> Self {
        Self::Text {
            title,
            text,
            scroll: Scroll::default(),
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key, size: (u16, u16)) -> Answer {
        match self {
            Self::Ask { question, yes } => {
                match key {
                    Key::Char('y' | 'Y') => *yes = true,
                    Key::Char('n' | 'N') | Key::Backspace => *yes = false,
                    Key::Enter if *yes => return Answer::Yes(question.yes.as_ref().clone()),
                    Key::Enter | Key::Esc | Key::Ctrl('c') => return Answer::Close,
                    _ => {}
                }
                Answer::Stay
            }
            Self::Text { text, scroll, .. } => {
                let (part, lines) = text_window(text, Rect::new(0, 0, size.0, size.1));
                let key = match key {
                    Key::Char('j') => Key::Down,
                    Key::Char('k') => Key::Up,
                    Key::Char(' ') => Key::PageDown,
                    other => other,
                };
                if scroll.handle(key, lines.len(), part.height) == Handled::Yes {
                    return Answer::Stay;
                }
                match key {
                    Key::Esc | Key::Enter | Key::F(_) | Key::Ctrl('c') => Answer::Close,
                    Key::Char('?' | 'w' | 'q' | 'b' | '/') => Answer::Close,
                    _ => Answer::Stay,
                }
            }
        }
    }

    /// Draws it over the page.
    pub fn view(&self, frame: &mut Frame<'_>) {
        match self {
            Self::Ask { question, yes } => view_question(question, *yes, frame),
            Self::Text { title, text, scroll } => view_text(title, text, *scroll, frame),
        }
    }
}

/// The rows of a text overlay, relative to the screen, and the text broken to their width.
fn text_window(text: &str, screen: Rect) -> (Rect, Vec<String>) {
    let part = Rect {
        x: 2,
        y: 3,
        width: screen.width.saturating_sub(4),
        height: screen.height.saturating_sub(7),
    };
    let lines = wrap(text, usize::from(part.width));
    (part, lines)
}

fn view_text(title: &str, text: &str, scroll: Scroll, frame: &mut Frame<'_>) {
    let area = frame.area();
    let (part, lines) = text_window(text, area);
    let mut canvas = Canvas::new(frame, area);
    let outside = Rect::new(0, 2, area.width, area.height.saturating_sub(5));
    canvas.panel(outside, title);
    let lines: Vec<Line<'_>> = lines.iter().map(|line| Line::from(line.as_str())).collect();
    scroll.view(&mut canvas, part, &lines);
    let foot = format!(
        " {}  Up/Down PgUp/PgDn, Esc closes ",
        scroll.position(lines.len(), part.height)
    );
    let x = area.width.saturating_sub(cells(foot.len()) + 3);
    canvas.text(x, outside.bottom() - 1, foot.as_str());
    let blank = " ".repeat(usize::from(area.width));
    canvas.clear(Rect::new(0, area.height - 3, area.width, 3));
    canvas.styled(0, area.height - 1, &blank, theme::REVERSE);
    canvas.styled(
        1,
        area.height - 1,
        "Up/Down PgUp/PgDn scroll  Esc or F1 close",
        theme::REVERSE,
    );
    canvas.cursor(part.x, part.y);
}

fn view_question(question: &Question, yes: bool, frame: &mut Frame<'_>) {
    let area = frame.area();
    let lines = wrap(&question.text, usize::from(area.width.saturating_sub(2)));
    let blank = " ".repeat(usize::from(area.width));
    let mut canvas = Canvas::new(frame, area);
    let top = area.height.saturating_sub(cells(lines.len()) + 2);
    canvas.clear(Rect::new(0, top.saturating_sub(1), area.width, area.height));
    let rule = "─".repeat(usize::from(area.width));
    canvas.styled(0, top.saturating_sub(1), &rule, theme::WARN);
    for (line, row) in lines.iter().zip(top..) {
        canvas.styled(1, row, line, theme::BOLD);
    }
    let row = area.height - 2;
    let typed = if yes { "y" } else { " " };
    canvas.text(1, row, "Type y, then Enter, for Yes:");
    canvas.styled(30, row, &format!("[{typed}]"), theme::REVERSE);
    let pressed = if yes { ">[ Yes ]<" } else { ">[ No ]<" };
    canvas.styled(36, row, pressed, theme::BOLD);
    canvas.styled(0, area.height - 1, &blank, theme::REVERSE);
    canvas.styled(
        1,
        area.height - 1,
        "y then Enter: yes   Enter or Esc: no",
        theme::REVERSE,
    );
    canvas.cursor(31, row);
}
