//! What pages that are one long text with buttons have in common: the marked row, the focus, the size of the screen.

use super::reader::{MARGIN, Reader};
use crate::tui::widgets::{Focus, Handled};
use crate::tui::{Event, Key, frame};

/// The state of such a page.
#[derive(Debug)]
pub struct Sheet {
    /// Where in the text one is.
    pub reader: Reader,
    focus: Focus,
    size: (u16, u16),
    /// Rows of the screen that are not the text.
    around: u16,
}

impl Sheet {
    /// The top of a text that leaves so many rows of the screen to other things.
    pub fn new(around: u16) -> Self {
        Self {
            reader: Reader::default(),
            focus: Focus::default(),
            size: (frame::MIN_WIDTH, frame::MIN_HEIGHT),
            around,
        }
    }

    /// Width of the text and rows of it on a screen of the present size.
    pub fn room(&self) -> (u16, u16) {
        let width = self.size.0.max(frame::MIN_WIDTH).saturating_sub(MARGIN + 2);
        let height = self.size.1.max(frame::MIN_HEIGHT).saturating_sub(self.around);
        (width, height)
    }

    /// The focused button; `None` when the text has the focus.
    pub fn button(&self) -> Option<usize> {
        self.focus.button(1)
    }

    /// Keys that move the focus or the mark; `rows` counts the rows of the text at a width.
    pub fn key(&mut self, key: Key, buttons: usize, rows: impl FnOnce(u16) -> usize) -> Handled {
        if self.focus.handle(key, 1, buttons) == Handled::Yes {
            return Handled::Yes;
        }
        let (width, height) = self.room();
        let handled = self.reader.handle(key, rows(width), height);
        if handled == Handled::Yes {
            self.focus = Focus::default();
        }
        handled
    }

    /// What every such page takes from the world: the size of the screen, and that it is shown again.
    pub fn world(&mut self, event: &Event) {
        match event {
            Event::Resize(width, height) => self.size = (*width, *height),
            // A button that was pressed to leave the page is not pressed again by the next Enter.
            Event::Entered => self.focus = Focus::default(),
            _ => {}
        }
    }

    /// Back to the top.
    pub fn rewind(&mut self) {
        self.reader = Reader::default();
        self.focus = Focus::default();
    }
}
