//! The steps while they run, what they print, and the way to stop.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::reader::{Reader, Row, folded};
use crate::transaction::{Phase, Progress};
use crate::tui::widgets::{Canvas, Scroll, cell, cells};
use crate::tui::{Button, Effect, Event, Key, Nav, Page, PageId, Question, Shared, Tone, theme, words};

/// Rows of the page that are not steps: text above, gauge, output, log.
const AROUND: u16 = 10;

/// The page.
#[derive(Debug, Default)]
pub struct Apply {
    /// How long the running step takes so far.
    running_ms: u64,
    /// Stopping was asked for.
    stopping: bool,
    /// Nothing was begun: why not is on the message line.
    refused: bool,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done(u64),
}

#[derive(Debug, Clone)]
struct StepRow {
    say: String,
    state: State,
    command: String,
}

/// The stretch that runs now and its steps; earlier stretches come first.
fn steps(progress: &[Progress]) -> (Option<Phase>, Vec<StepRow>) {
    let mut phase_now = None;
    let mut rows: Vec<StepRow> = Vec::new();
    let mut first = 0;
    for one in progress {
        match one {
            Progress::Steps { phase, say } => {
                phase_now = Some(*phase);
                first = rows.len();
                rows.extend(say.iter().map(|say| StepRow {
                    say: say.clone(),
                    state: State::Waiting,
                    command: String::new(),
                }));
            }
            Progress::Started { number, command } => {
                if let Some(row) = rows.get_mut(first + number) {
                    row.state = State::Running;
                    row.command.clone_from(command);
                }
            }
            Progress::Finished { number, millis } => {
                if let Some(row) = rows.get_mut(first + number) {
                    row.state = State::Done(*millis);
                }
            }
            _ => {}
        }
    }
    (phase_now, rows)
}

fn output(rows: &[StepRow]) -> Vec<String> {
    let started = rows.iter().filter(|row| !row.command.is_empty());
    started
        .flat_map(|row| {
            format!("$ {}", row.command)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

impl Apply {
    fn stop_question(&self) -> Nav {
        Nav::Ask(Question {
            text: "Stop and undo now? The running step is finished first, then everything that was done\n\
                   is taken back."
                .to_owned(),
            yes: Box::new(Nav::Do(Effect::Stop)),
        })
    }

    fn can_stop(&self, shared: &Shared) -> bool {
        !shared.progress.is_empty() && steps(&shared.progress).0 != Some(Phase::Commit)
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        match key {
            Key::Enter | Key::F(10) | Key::Ctrl('c') if self.refused => {
                shared.preview = None;
                Some(Nav::To(PageId::Preview))
            }
            Key::Enter | Key::F(10) | Key::Ctrl('c') if self.can_stop(shared) => Some(self.stop_question()),
            Key::F(3) => {
                let (_, rows) = steps(&shared.progress);
                Some(Nav::Show {
                    title: "Commands so far".to_owned(),
                    text: output(&rows).join("\n"),
                })
            }
            _ => None,
        }
    }

    fn view_steps(&self, canvas: &mut Canvas<'_, '_>, part: Rect, rows: &[StepRow]) {
        let room = usize::from(part.width).saturating_sub(24);
        let lines: Vec<Row> = rows
            .iter()
            .map(|row| {
                let (word, time, style) = match row.state {
                    State::Done(millis) => ("done", words::took(millis), theme::GOOD),
                    State::Running => ("running", words::took(self.running_ms), theme::BOLD),
                    State::Waiting => ("waiting", String::new(), theme::PLAIN),
                };
                Row::styled(
                    format!("{word:<9} {} {time:>8}", cell(&row.say, room)).trim_end(),
                    style,
                )
            })
            .collect();
        let running = rows.iter().position(|row| row.state == State::Running);
        let last_done = rows.iter().rposition(|row| matches!(row.state, State::Done(_)));
        let mut reader = Reader::default();
        // The row that follows stays on screen too, so that one sees what comes.
        let at = running.or(last_done).unwrap_or(0);
        reader.mark((at + 1).min(rows.len().saturating_sub(1)), part.height);
        reader.mark(at, part.height);
        reader.view(canvas, part, &lines, false);
    }
}

impl Page for Apply {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => return self.key(*key, shared),
            Event::Tick(millis) => self.running_ms = self.running_ms.saturating_add(*millis),
            Event::Progress(progress) => {
                self.refused = false;
                self.running_ms = 0;
                if matches!(progress, Progress::Steps { .. } | Progress::Awaiting(_)) {
                    self.stopping = false;
                }
            }
            Event::Previewed(_) => self.refused = false,
            Event::Failed(_) if shared.progress.is_empty() => self.refused = true,
            _ => {}
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let width = canvas.width().saturating_sub(2);
        let (phase, rows) = steps(&shared.progress);
        let host = if shared.facts.hostname.is_empty() {
            "this host"
        } else {
            shared.facts.hostname.as_str()
        };
        let what = match phase {
            Some(Phase::Commit) => format!("Making it permanent on {host}."),
            Some(phase) => format!("Applying to {host}, {phase}."),
            None => format!("Applying to {host}. The snapshot is saved and the guard is armed first."),
        };
        let text = format!(
            "{what} Do not power off. Closing this window is safe: the guard outside this program undoes everything \
             after {} s.",
            shared.window_s
        );
        let used = canvas.paragraph(1, 0, width, &text);
        let room = canvas.height().saturating_sub(AROUND);
        self.view_steps(&mut canvas, Rect::new(1, used + 1, width, room), &rows);
        let y = used + 1 + room;
        let done = rows
            .iter()
            .filter(|row| matches!(row.state, State::Done(_)))
            .count();
        let part = |count: usize| u64::from(cells(count));
        canvas.gauge(3, y, 36, part(done), part(rows.len().max(1)));
        canvas.text(41, y, format!("{done} of {}", rows.len()));
        let panel = Rect::new(1, y + 1, width, canvas.height().saturating_sub(y + 1));
        let inside = canvas.panel(panel, "commands");
        let lines: Vec<_> = output(&rows)
            .iter()
            .flat_map(|line| folded(line, inside.width.saturating_sub(2), 4, theme::PLAIN))
            .map(|row| row.line)
            .collect();
        let mut scroll = Scroll::default();
        scroll.reveal(lines.len().saturating_sub(1), inside.height);
        let text = Rect {
            x: inside.x + 1,
            width: inside.width.saturating_sub(2),
            ..inside
        };
        scroll.view(&mut canvas, text, &lines);
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        let (phase, rows) = steps(&shared.progress);
        if self.refused {
            return (Tone::Bad, "nothing was begun, this host is unchanged".to_owned());
        }
        if let Some(place) = rows.iter().position(|row| row.state == State::Running) {
            let say = rows.get(place).map(|row| row.say.as_str()).unwrap_or_default();
            return (Tone::Busy, format!("step {}: {say}", place + 1));
        }
        match phase {
            None => (Tone::Busy, "preparing".to_owned()),
            Some(phase) => (Tone::Busy, phase.to_string()),
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        let button = if self.refused {
            Button {
                label: "To the preview",
                enabled: true,
            }
        } else {
            Button {
                label: "Stop and undo now...",
                enabled: self.can_stop(shared),
            }
        };
        (vec![button], usize::MAX)
    }

    fn focused_button(&self) -> Option<usize> {
        Some(0)
    }

    fn in_text_field(&self) -> bool {
        false
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("This page", "the steps of the preview, as they are performed."),
            (
                "Safe",
                "the guard runs outside this program. If this window closes, everything is undone by itself.",
            ),
            (
                "Stop",
                "Enter or Ctrl-C asks, then takes back what was done. While the change is made permanent it cannot be stopped: both proofs are in.",
            ),
        ]
    }
}
