//! Pictures and habits of the pages from Firewall to Status, each inside the whole wizard.

mod after;
mod before;
mod flow;
mod rehearsal;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Position;

use crate::change::Preview;
use crate::transaction::{Outcome, Phase, Progress};
use crate::tui::theme::Look;
use crate::tui::wizard::Wizard;
use crate::tui::{Attempt, Effect, Event, Key, PageId, Shared, samples};

struct Stage {
    wizard: Wizard,
    size: (u16, u16),
    look: Look,
}

impl Stage {
    fn new(page: PageId, shared: Shared) -> Self {
        Self::sized(page, shared, Look::BARE, (80, 24))
    }

    fn sized(page: PageId, shared: Shared, look: Look, size: (u16, u16)) -> Self {
        let mut wizard = Wizard::new(shared, look, page);
        wizard.update(&Event::Resize(size.0, size.1));
        Self { wizard, size, look }
    }

    fn told(&mut self, event: Event) -> Vec<Effect> {
        self.wizard.update(&event)
    }

    fn progress(&mut self, progress: Progress) -> Vec<Effect> {
        self.told(Event::Progress(progress))
    }

    fn key(&mut self, key: Key) -> Vec<Effect> {
        self.told(Event::Key(key))
    }

    fn keys(&mut self, keys: &[Key]) -> Vec<Effect> {
        keys.iter().flat_map(|key| self.key(*key)).collect()
    }

    fn word(&mut self, text: &str) -> Vec<Effect> {
        text.chars().flat_map(|sign| self.key(Key::Char(sign))).collect()
    }

    /// The screen with the hardware cursor as `_` below the row it is on, and what stands under it.
    fn picture(&self) -> String {
        let (text, cursor) = self.drawn();
        let place = cursor.map_or_else(
            || "cursor: none".to_owned(),
            |at| {
                let row = text.lines().nth(usize::from(at.y)).unwrap_or_default();
                let under: String = row.chars().skip(usize::from(at.x)).take(24).collect();
                format!("cursor: {},{} {under:?}", at.x, at.y)
            },
        );
        format!("{text}{place}\n")
    }

    fn drawn(&self) -> (String, Option<Position>) {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        terminal.draw(|frame| self.wizard.view(frame)).unwrap();
        let backend = terminal.backend();
        let buffer = backend.buffer();
        let mut text = String::new();
        for row in buffer.content.chunks(usize::from(self.size.0)) {
            let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
            text += line.trim_end();
            text.push('\n');
        }
        let cursor = backend.cursor_visible().then(|| backend.cursor_position());
        if self.look == Look::BARE {
            assert!(text.is_ascii(), "{text}");
        }
        (text, cursor)
    }
}

fn asked(effects: &[Effect], wanted: fn(&Effect) -> bool) -> bool {
    effects.iter().any(wanted)
}

/// The preview of the samples, rehearsed without a fault.
fn rehearsed() -> Shared {
    Shared {
        rehearsal: Some(Attempt::Done(samples::rehearsal())),
        ..samples::shared()
    }
}

fn on_trial(trial: crate::transaction::Trial) -> Stage {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    stage.progress(samples::steps(Phase::Trial1));
    stage.progress(Progress::Awaiting(Box::new(trial)));
    stage.told(Event::Tick(400));
    stage
}

fn ended(progress: Progress) -> Stage {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    stage.progress(progress);
    stage
}
