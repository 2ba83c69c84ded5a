//! What is applied, what is live, and whether the two agree. Read only.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::reader::{Row, paragraph};
use super::sheet::Sheet;
use crate::transaction::{Progress, Status};
use crate::tui::widgets::{Canvas, Handled, cell};
use crate::tui::{Button, Effect, Event, Key, Nav, Page, PageId, Question, Shared, Tone, theme, words};

/// The page.
#[derive(Debug)]
pub struct StatusPage {
    sheet: Sheet,
}

impl Default for StatusPage {
    fn default() -> Self {
        Self { sheet: Sheet::new(6) }
    }
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Press {
    Quit,
    Reconfigure,
    Snapshots,
    Refresh,
    /// To the countdown of the open change.
    Confirm,
    /// What an interrupted run left is taken back.
    Recover,
    /// A TCP/22 that was kept for a while is closed.
    Close22,
}

fn presses(shared: &Shared) -> Vec<Press> {
    let status = shared.status.as_deref();
    let last = match status {
        Some(status) if status.open.is_some() => Press::Confirm,
        Some(status) if status.interrupted.is_some() => Press::Recover,
        Some(status) if status.close_22.is_some() => Press::Close22,
        _ => Press::Refresh,
    };
    let mut list = vec![Press::Quit, Press::Reconfigure, Press::Snapshots];
    if last != Press::Refresh {
        list.retain(|press| *press != Press::Reconfigure);
        list.push(Press::Refresh);
    }
    list.push(last);
    list
}

fn rows(status: &Status, width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    let line = |name: &str, text: &str, style| paragraph(text, width, name, 12, style);
    if let Some(trial) = &status.open {
        let text = format!(
            "trial {} waits to be confirmed, {} left",
            trial.trial,
            words::left(trial.left_ms)
        );
        rows.extend(line("OPEN", &text, theme::WARN));
    }
    if let Some(txn) = &status.interrupted {
        let text = format!("the change {txn} was interrupted; it must be taken back before another one");
        rows.extend(line("INTERRUPTED", &text, Tone::Bad.style()));
    }
    rows.extend(line("Firewall", &status.backend, theme::PLAIN));
    rows.extend(line("At boot", &status.at_boot, theme::PLAIN));
    let applied = match &status.applied {
        Some(txn) => format!("{txn}, {}", status.applied_by),
        None => "nothing by faspwall yet".to_owned(),
    };
    rows.extend(line("Applied", &applied, theme::PLAIN));
    rows.extend(line("Guard", &status.guard, theme::PLAIN));
    rows.push(Row::default());
    rows.extend(port_rows(status, width));
    rows.push(Row::default());
    if let Some(reminder) = &status.reminder {
        let (name, style) = if reminder.urgent {
            ("REMINDER", theme::WARN)
        } else {
            ("Later", theme::PLAIN)
        };
        let text = format!("{}. To close it: {}", reminder.text, reminder.command);
        rows.extend(line(name, &text, style));
    }
    if status.drift.is_empty() {
        rows.extend(line("Drift", "none", theme::PLAIN));
    }
    for drift in &status.drift {
        rows.extend(line("Drift", drift, theme::WARN));
    }
    rows.extend(line("Snapshots", &status.kept.to_string(), theme::PLAIN));
    if !status.events.is_empty() {
        rows.push(Row::default());
        rows.push(Row::text("Recent events"));
    }
    for event in &status.events {
        rows.extend(paragraph(event, width, "", 2, theme::PLAIN));
    }
    rows
}

fn port_rows(status: &Status, width: u16) -> Vec<Row> {
    let listener = usize::from(width).saturating_sub(44);
    let row = |port: &str, wanted: &str, is: &str, who: &str, mark: &str| {
        format!(
            "{} {} {} {} {mark}",
            cell(port, 16),
            cell(wanted, 10),
            cell(is, 10),
            cell(who, listener)
        )
        .trim_end()
        .to_owned()
    };
    let mut rows = vec![Row::styled(
        row("port", "should be", "is", "listener", ""),
        theme::BOLD,
    )];
    for port in &status.ports {
        let agrees = port.wanted == "-" || port.wanted == port.is;
        let (mark, style) = if agrees {
            ("", theme::PLAIN)
        } else {
            ("WARN", theme::WARN)
        };
        rows.push(Row::styled(
            row(&port.port, &port.wanted, &port.is, &port.listener, mark),
            style,
        ));
    }
    if status.ports.is_empty() {
        rows.push(Row::text("no port was opened or closed by faspwall"));
    }
    rows
}

impl StatusPage {
    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        let presses = presses(shared);
        let status = shared.status.as_ref();
        let count = |width| status.map_or(0, |status| rows(status, width).len());
        if self.sheet.key(key, presses.len(), count) == Handled::Yes {
            return None;
        }
        match key {
            Key::Enter => {
                let last = presses.last().copied();
                let focused = self
                    .sheet
                    .button()
                    .and_then(|number| presses.get(number))
                    .copied();
                press(focused.or(last)?, shared)
            }
            Key::F(5) => press(Press::Refresh, shared),
            Key::Char('s') => press(Press::Snapshots, shared),
            Key::Char('e') => press(Press::Reconfigure, shared),
            _ => None,
        }
    }
}

fn press(press: Press, shared: &mut Shared) -> Option<Nav> {
    let status = shared.status.as_deref();
    match press {
        Press::Quit => Some(Nav::Do(Effect::Quit(0, Vec::new()))),
        Press::Refresh => Some(Nav::Do(Effect::Status)),
        Press::Snapshots => Some(Nav::To(PageId::Snapshots)),
        Press::Reconfigure if status.is_none_or(|s| s.open.is_none() && s.interrupted.is_none()) => {
            Some(Nav::To(PageId::Role))
        }
        Press::Reconfigure => None,
        Press::Confirm => {
            let trial = status?.open.clone()?;
            shared.progress = vec![Progress::Awaiting(Box::new(trial))];
            Some(Nav::To(PageId::Confirm))
        }
        Press::Close22 => {
            shared.answers = *status?.close_22.clone()?;
            shared.preview = None;
            Some(Nav::To(PageId::Preview))
        }
        Press::Recover => {
            let txn = status?.interrupted.clone()?;
            Some(Nav::Ask(Question {
                text: format!(
                    "Take back what the interrupted change {txn} left on this host?\nThe stored undo steps are performed."
                ),
                yes: Box::new(Nav::Do(Effect::Undo(txn))),
            }))
        }
    }
}

impl Page for StatusPage {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => self.key(*key, shared),
            other => {
                self.sheet.world(other);
                None
            }
        }
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let focused = self.sheet.button().is_none();
        canvas.text(canvas.width().saturating_sub(26), 0, "read only, F5 reads again");
        let part = Rect::new(0, 1, canvas.width(), canvas.height().saturating_sub(1));
        let Some(status) = &shared.status else {
            canvas.text(2, 1, "reading");
            if focused {
                canvas.styled(0, 1, ">", theme::BOLD);
                canvas.cursor(0, 1);
            }
            return;
        };
        let (width, _) = self.sheet.room();
        self.sheet
            .reader
            .view(&mut canvas, part, &rows(status, width), focused);
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        let Some(status) = &shared.status else {
            return (Tone::Busy, "reading the status".to_owned());
        };
        if status.interrupted.is_some() {
            (
                Tone::Bad,
                "an interrupted change must be taken back first".to_owned(),
            )
        } else if status.open.is_some() {
            (
                Tone::Warn,
                "a change is on trial; Enter goes to its countdown".to_owned(),
            )
        } else if !status.drift.is_empty() {
            (Tone::Warn, "this host differs from what was confirmed".to_owned())
        } else if let Some(reminder) = status.reminder.as_ref().filter(|reminder| reminder.urgent) {
            (Tone::Warn, reminder.text.clone())
        } else if status.applied.is_none() {
            (Tone::Plain, "nothing is applied".to_owned())
        } else {
            (Tone::Good, "everything is as planned".to_owned())
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        let presses = presses(shared);
        let last = presses.len() - 1;
        let label = |press: &Press| match press {
            Press::Quit => "Quit",
            Press::Reconfigure => "Reconfigure",
            Press::Snapshots => "Snapshots",
            Press::Refresh => "Refresh",
            Press::Confirm => "To the countdown",
            Press::Recover => "Take it back...",
            Press::Close22 => "Close 22...",
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
                "what was confirmed, and whether this host still is like that. Looking changes nothing.",
            ),
            (
                "Drift",
                "a rule or a file that was confirmed and is different now.",
            ),
            (
                "Reminder",
                "TCP/22 was kept for a while; Close 22 goes to the preview of closing it, with trial and way back.",
            ),
        ]
    }
}
