//! How it ended, what stays, and what people have to do next.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::reader::{Row, folded, paragraph};
use super::sheet::Sheet;
use crate::tui::widgets::{Canvas, Handled};
use crate::tui::words::Ending;
use crate::tui::{Button, Effect, Event, Key, Nav, Page, PageId, Shared, Tone, theme, words};

/// The page.
#[derive(Debug)]
pub struct Done {
    sheet: Sheet,
}

impl Default for Done {
    fn default() -> Self {
        Self { sheet: Sheet::new(5) }
    }
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Press {
    Status,
    Save,
    Preview,
    Finish,
}

fn presses(shared: &Shared) -> Vec<Press> {
    let again = Ending::of(&shared.progress).is_some_and(|end| !end.kept() && !end.incomplete());
    let mut list = vec![Press::Status, Press::Save];
    if again {
        list.push(Press::Preview);
    }
    list.push(Press::Finish);
    list
}

fn rows(shared: &Shared, width: u16) -> Vec<Row> {
    let Some(ending) = Ending::of(&shared.progress) else {
        return vec![Row::text("Nothing was applied.")];
    };
    let style = if ending.kept() { theme::BOLD } else { theme::WARN };
    let mut rows = paragraph(&ending.headline(), width, "", 0, style);
    for line in ending.failed {
        rows.extend(paragraph(line, width, "ERROR", 7, Tone::Bad.style()));
    }
    rows.push(Row::default());
    rows.extend(facts_of(&ending, shared, width));
    rows.push(Row::default());
    rows.push(Row::styled("Next steps", theme::BOLD));
    for line in words::next_steps(&ending, &shared.answers) {
        rows.extend(paragraph(&line, width, "  -", 4, theme::PLAIN));
    }
    rows.push(Row::default());
    rows.push(Row::text(
        "The outcome is printed to your terminal again when you leave.",
    ));
    rows
}

fn facts_of(ending: &Ending<'_>, shared: &Shared, width: u16) -> Vec<Row> {
    let Some(outcome) = ending.outcome else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    let mut line =
        |name: &str, text: &str| rows.extend(paragraph(text, width, &format!("  {name}"), 12, theme::PLAIN));
    if outcome.kept {
        line("open", &words::joined(&outcome.opened));
        line("closed", &words::joined(&outcome.closed));
        line("on boot", &words::joined(&outcome.files));
        line("undo", &format!("faspwall rollback {}", outcome.txn));
        line("log", &outcome.log);
        if words::forward(outcome, &shared.answers) {
            line(
                "repeat",
                &format!("faspwall apply -f {}", shared.answers_path.display()),
            );
        }
        return rows;
    }
    if let Some(compared) = ending.compared() {
        line("host", &compared);
    }
    line("log", &outcome.log);
    for difference in &outcome.differs {
        rows.extend(folded(&format!("    {difference}"), width, 8, theme::WARN));
    }
    if ending.incomplete() {
        rows.push(Row::default());
        rows.push(Row::styled(
            "UNDO IS NOT COMPLETE. Type these commands as root:",
            Tone::Bad.style(),
        ));
        for command in &outcome.remaining {
            for text in command.lines() {
                rows.extend(folded(&format!("    {text}"), width, 8, theme::BOLD));
            }
        }
    }
    rows
}

impl Done {
    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        let presses = presses(shared);
        let count = |width| rows(shared, width).len();
        if self.sheet.key(key, presses.len(), count) == Handled::Yes {
            return None;
        }
        match key {
            Key::Enter => {
                let press = self
                    .sheet
                    .button()
                    .and_then(|number| presses.get(number))
                    .copied();
                self.press(press.unwrap_or(Press::Finish), shared)
            }
            Key::Char('s') => self.press(Press::Save, shared),
            Key::Char('d') => self.press(Press::Status, shared),
            Key::F(10) | Key::Ctrl('c') => self.press(Press::Finish, shared),
            _ => None,
        }
    }

    fn press(&self, press: Press, shared: &mut Shared) -> Option<Nav> {
        let ending = Ending::of(&shared.progress);
        let summary = ending.map_or_else(Vec::new, |ending| {
            words::summary(&ending, &shared.answers, &shared.answers_path)
        });
        Some(match press {
            Press::Status => Nav::To(PageId::Status),
            Press::Preview => {
                // The host may have changed since the last one was made.
                shared.preview = None;
                Nav::To(PageId::Preview)
            }
            Press::Finish => Nav::Do(Effect::Quit(
                ending.map_or(0, |ending| ending.exit_code()),
                summary,
            )),
            Press::Save => {
                let name = match ending.and_then(|ending| ending.outcome) {
                    Some(outcome) => format!("faspwall-{}.txt", outcome.txn),
                    None => "faspwall-report.txt".to_owned(),
                };
                let path = shared.answers_path.with_file_name(name);
                Nav::Do(Effect::SaveReport(path, report(shared, &summary)))
            }
        })
    }
}

/// Outcome, next steps, and what the preview had said.
fn report(shared: &Shared, summary: &[String]) -> String {
    let mut lines = summary.to_vec();
    if let Some(ending) = Ending::of(&shared.progress) {
        lines.extend(
            words::next_steps(&ending, &shared.answers)
                .iter()
                .map(|line| format!("next: {line}")),
        );
    }
    if let Some(preview) = &shared.preview {
        lines.push(String::new());
        lines.extend(words::report(preview, shared.window_s));
    }
    lines.join("\n") + "\n"
}

impl Page for Done {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => self.key(*key, shared),
            Event::Progress(_) => {
                self.sheet.rewind();
                None
            }
            other => {
                self.sheet.world(other);
                None
            }
        }
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let (width, _) = self.sheet.room();
        let part = Rect::new(0, 0, canvas.width(), canvas.height());
        let rows = rows(shared, width);
        self.sheet
            .reader
            .view(&mut canvas, part, &rows, self.sheet.button().is_none());
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        let Some(ending) = Ending::of(&shared.progress) else {
            return (Tone::Plain, String::new());
        };
        if ending.incomplete() {
            return (
                Tone::Bad,
                "the undo is not complete, see the commands above".to_owned(),
            );
        }
        match (ending.kept(), ending.compared()) {
            (true, _) => (Tone::Good, "finished, the change is permanent".to_owned()),
            (false, Some(compared)) => (Tone::Good, format!("undone, {compared}")),
            (false, None) => (Tone::Plain, "nothing was changed".to_owned()),
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        let presses = presses(shared);
        let last = presses.len() - 1;
        let label = |press: &Press| match press {
            Press::Status => "Status",
            Press::Save => "Save report",
            Press::Preview => "Preview again",
            Press::Finish => "Finish",
        };
        (
            presses
                .iter()
                .map(|press| Button {
                    label: label(press),
                    enabled: true,
                })
                .collect(),
            last,
        )
    }

    fn focused_button(&self) -> Option<usize> {
        self.sheet.button()
    }

    fn in_text_field(&self) -> bool {
        false
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "how the change ended. Finish leaves and prints the outcome once more.",
            ),
            (
                "Undone",
                "means compared with the snapshot as well: equal, or every line that differs is listed.",
            ),
            (
                "Undo later",
                "faspwall rollback with the number above goes back, guarded by a countdown like this change.",
            ),
        ]
    }
}
