//! A long text with a line that is marked: `>` and the hardware cursor stand on it, so that it can be read line by line.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::tui::Key;
use crate::tui::widgets::{Canvas, Handled, Scroll, cells, move_in_list, wrap};
use crate::tui::{theme, words};

/// Columns in front of the text, for the mark.
pub const MARGIN: u16 = 2;

/// One row of a long text.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// What is drawn.
    pub line: Line<'static>,
    /// The entry that the row belongs to, where entries can be chosen or explained.
    pub entry: Option<usize>,
    /// Whether `n` and `p` stop here.
    pub stop: bool,
}

impl Row {
    /// A row of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::styled(text, theme::PLAIN)
    }

    /// A row in a style.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        let text: String = text.into();
        Self {
            line: Line::styled(text, style),
            ..Self::default()
        }
    }

    /// The same row, as part of an entry.
    #[must_use]
    pub fn of(mut self, entry: usize) -> Self {
        self.entry = Some(entry);
        self
    }

    /// The same row, a place where `n` and `p` stop.
    #[must_use]
    pub fn stop(mut self) -> Self {
        self.stop = true;
        self
    }

    /// The text without its style.
    pub fn plain(&self) -> String {
        self.line.spans.iter().map(|span| span.content.as_ref()).collect()
    }
}

/// Paragraph rows: broken between words, further lines indented by `indent` more.
pub fn paragraph(text: &str, width: u16, first: &str, indent: usize, style: Style) -> Vec<Row> {
    let room = usize::from(width).saturating_sub(indent).max(8);
    wrap(text, room)
        .into_iter()
        .enumerate()
        .map(|(number, line)| {
            let lead = if number == 0 {
                format!("{first:indent$}")
            } else {
                " ".repeat(indent)
            };
            Row::styled(format!("{lead}{line}"), style)
        })
        .collect()
}

/// A line of code, broken behind a blank where there is one, else at the edge; further pieces are indented, so that they
/// are told from lines of their own. Nothing of the line is lost.
pub fn folded(text: &str, width: u16, indent: usize, style: Style) -> Vec<Row> {
    let width = usize::from(width).max(indent + 8);
    let signs: Vec<char> = words::untabbed(text).chars().collect();
    let mut rows = Vec::new();
    let mut from = 0;
    while from < signs.len() || rows.is_empty() {
        let lead = if rows.is_empty() {
            String::new()
        } else {
            " ".repeat(indent)
        };
        let edge = signs.len().min(from + width - lead.len());
        let rest = signs.get(from..edge).unwrap_or_default();
        let blank = rest.iter().rposition(|sign| *sign == ' ').map(|at| from + at + 1);
        let until = match blank {
            Some(blank) if edge < signs.len() && blank > from + rest.len() / 2 => blank,
            _ => edge,
        };
        let piece: String = signs.get(from..until).unwrap_or_default().iter().collect();
        rows.push(Row::styled(format!("{lead}{piece}"), style));
        from = until;
    }
    rows
}

/// Where in the text one is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reader {
    at: usize,
    scroll: Scroll,
}

impl Reader {
    /// The marked row; the last one when the text has become shorter.
    pub fn at(&self, rows: usize) -> usize {
        self.at.min(rows.saturating_sub(1))
    }

    /// Marks a row and brings it on screen.
    pub fn mark(&mut self, row: usize, height: u16) {
        self.at = row;
        self.scroll.reveal(row, height);
    }

    /// Moves with the arrow and page keys.
    pub fn handle(&mut self, key: Key, rows: usize, height: u16) -> Handled {
        self.at = self.at(rows);
        let page = usize::from(height.saturating_sub(1)).max(1);
        let handled = move_in_list(&mut self.at, key, rows, page);
        self.scroll.reveal(self.at, height);
        handled
    }

    /// The next row, or the one before, that `wanted` names; round the end.
    pub fn seek(&mut self, rows: &[Row], height: u16, forward: bool, wanted: impl Fn(&Row) -> bool) -> bool {
        let count = rows.len();
        let found = (1..=count)
            .map(|step| (self.at(count) + if forward { step } else { count - step }) % count)
            .find(|place| rows.get(*place).is_some_and(&wanted));
        if let Some(place) = found {
            self.mark(place, height);
        }
        found.is_some()
    }

    /// Draws the rows that are on screen, and the mark.
    pub fn view(&self, canvas: &mut Canvas<'_, '_>, part: Rect, rows: &[Row], focused: bool) {
        let at = self.at(rows.len());
        let mut scroll = self.scroll;
        scroll.reveal(at, part.height);
        let lines: Vec<Line<'_>> = rows.iter().map(|row| row.line.clone()).collect();
        let text = Rect {
            x: part.x + MARGIN,
            width: part.width.saturating_sub(MARGIN),
            ..part
        };
        scroll.view(canvas, text, &lines);
        let row = part.y + cells(at - scroll.top(rows.len(), part.height).min(at));
        if focused && !rows.is_empty() && row < part.bottom() {
            canvas.styled(part.x, row, ">", theme::BOLD);
            canvas.cursor(part.x, row);
        }
    }

    /// `line 1-16 of 31  51%`
    pub fn position(&self, rows: usize, height: u16) -> String {
        let mut scroll = self.scroll;
        scroll.reveal(self.at(rows), height);
        scroll.position(rows, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_line_loses_nothing_and_fits() {
        let text = "nft insert rule inet filter input tcp dport 33001 accept";
        let rows = folded(text, 20, 4, theme::PLAIN);
        assert!(rows.iter().all(|row| row.plain().len() <= 20));
        let joined: String = rows
            .iter()
            .enumerate()
            .map(|(n, row)| {
                if n == 0 {
                    row.plain()
                } else {
                    row.plain()[4..].to_owned()
                }
            })
            .collect();
        assert_eq!(joined, text);
        assert_eq!(folded("", 20, 4, theme::PLAIN).len(), 1);
    }

    #[test]
    fn seeking_goes_round_both_ways() {
        let rows: Vec<Row> = (0..5)
            .map(|n| {
                if n == 1 || n == 3 {
                    Row::text("x").stop()
                } else {
                    Row::text("y")
                }
            })
            .collect();
        let mut reader = Reader::default();
        for (forward, place) in [(true, 1), (true, 3), (true, 1), (false, 3), (false, 1)] {
            assert!(reader.seek(&rows, 3, forward, |row| row.stop));
            assert_eq!(reader.at(5), place);
        }
        assert!(!reader.seek(&rows, 3, true, |_| false));
        assert!(!reader.seek(&[], 3, true, |_| true));
    }
}
