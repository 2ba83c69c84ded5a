//! What became of the packets that were sent at a copy of this host's firewall: the page that decides about Apply.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::reader::{MARGIN, Row, paragraph};
use super::sheet::Sheet;
use crate::change::Preview;
use crate::matrix::Rehearsal;
use crate::tui::widgets::{Canvas, Handled, cell, cells, wrap};
use crate::tui::words::{self, Test};
use crate::tui::{Attempt, Button, Effect, Event, Key, Nav, Page, Question, Shared, Tone, theme};

/// Rows of the page that are not the table: text and column heads above, sum and the untested below.
const AROUND: u16 = 7;
/// The row with the column heads.
const HEAD: u16 = 2;
const BUTTONS: usize = 4;
const APPLY: usize = 3;

/// The page.
#[derive(Debug)]
pub struct RehearsalPage {
    sheet: Sheet,
}

impl Default for RehearsalPage {
    fn default() -> Self {
        Self {
            sheet: Sheet::new(5 + AROUND),
        }
    }
}

/// The question before anything is applied; it says when nothing was rehearsed.
pub(super) fn apply_question(preview: &Preview, shared: &Shared) -> Nav {
    let steps = words::counted(preview.change.as_ref().map_or(0, words::live_steps), "step");
    let host = if shared.lab {
        "the lab"
    } else {
        shared.facts.hostname.as_str()
    };
    let unproved = match &shared.rehearsal {
        Some(Attempt::Unavailable(_)) => {
            "WARNING: this was NOT rehearsed. Whether the ports open is seen only on the host itself.\n"
        }
        _ => "",
    };
    Nav::Ask(Question {
        text: format!(
            "{unproved}Apply {steps} to {host} now? Nothing is shut before a proof.\n\
             All of it undoes itself after {} s unless it is confirmed.",
            shared.window_s
        ),
        yes: Box::new(Nav::Do(Effect::Apply)),
    })
}

/// Whether the change of the preview may be applied, as far as its rehearsal goes.
pub(super) fn allows(shared: &Shared) -> bool {
    words::refusal(shared.rehearsal.as_ref(), &shared.facts).is_none()
}

fn done(shared: &Shared) -> Option<&Rehearsal> {
    match &shared.rehearsal {
        Some(Attempt::Done(done)) => Some(done),
        _ => None,
    }
}

fn running(shared: &Shared) -> bool {
    matches!(shared.rehearsal, Some(Attempt::Running { .. }))
}

/// The rows of the table; those of one test bear its number.
fn rows(tests: &[Test], width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    for (number, test) in tests.iter().enumerate() {
        let text = words::row(test, width);
        let head = text.strip_suffix(test.result()).unwrap_or(&text).to_owned();
        let line = Line::from(vec![
            Span::raw(head),
            Span::styled(test.result(), test.tone.style()),
        ]);
        let row = Row {
            line,
            ..Row::default()
        };
        rows.push(if test.tone == Tone::Bad {
            row.of(number).stop()
        } else {
            row.of(number)
        });
        for line in &test.below {
            let lines = paragraph(line, width, "", 4, theme::PLAIN);
            rows.extend(lines.into_iter().map(|row| row.of(number)));
        }
    }
    rows
}

fn how(shared: &Shared) -> Nav {
    let mut text = "A network namespace was made with the interfaces and addresses of this host and a copy of its rules, \
                    and a second one for the others: it bears your own address and one of a stranger. The change was \
                    made in the copy by the same steps as on the host, real packets were sent, and the change was taken \
                    back again. The rules of this host were only read.\n"
        .to_owned();
    if let Some(done) = done(shared) {
        for test in words::tests(done, &shared.facts) {
            text += &format!(
                "\n{}\n  {}\n",
                [test.name.as_str(), &test.from, &test.port]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("  "),
                test.how
            );
        }
        text += "\nNot tested\n";
        for line in words::not_tried(done) {
            text += &format!("  {line}\n");
        }
    }
    Nav::Show {
        title: "How each was tested".to_owned(),
        text,
    }
}

impl RehearsalPage {
    fn tests(shared: &Shared) -> Vec<Test> {
        done(shared).map_or_else(Vec::new, |done| words::tests(done, &shared.facts))
    }

    fn key(&mut self, key: Key, shared: &Shared) -> Option<Nav> {
        let tests = Self::tests(shared);
        let rows = rows(&tests, self.sheet.room().0);
        if self.sheet.key(key, BUTTONS, |_| rows.len()) == Handled::Yes {
            return None;
        }
        match key {
            Key::Enter => self.press(shared, &tests, &rows),
            Key::F(2) | Key::Char(' ') => self.details(&tests, &rows),
            Key::F(3) => Some(how(shared)),
            Key::Char('s') => Self::save(shared),
            Key::Char('a') if !running(shared) => Some(Nav::Do(Effect::Rehearse { sweep: true })),
            Key::F(5) if !running(shared) => Some(Nav::Do(Effect::Rehearse { sweep: false })),
            _ => None,
        }
    }

    fn press(&self, shared: &Shared, tests: &[Test], rows: &[Row]) -> Option<Nav> {
        match (self.sheet.button(), &shared.preview) {
            (Some(0), _) => Some(Nav::Back),
            (Some(1), _) => Self::save(shared),
            (Some(2), _) if !running(shared) => Some(Nav::Do(Effect::Rehearse { sweep: true })),
            (Some(2), _) => None,
            (_, Some(preview)) if allows(shared) => Some(apply_question(preview, shared)),
            (None, _) => self.details(tests, rows),
            _ => None,
        }
    }

    /// All about the marked test.
    fn details(&self, tests: &[Test], rows: &[Row]) -> Option<Nav> {
        let row = rows.get(self.sheet.reader.at(rows.len()))?;
        let test = tests.get(row.entry?)?;
        let mut text = format!("{}\n", test.how);
        if !test.below.is_empty() {
            text += &format!("\n{}\n", test.below.join("\n"));
        }
        Some(Nav::Show {
            title: format!("{} {}: {}", test.name, test.port, test.result()),
            text,
        })
    }

    fn save(shared: &Shared) -> Option<Nav> {
        let done = done(shared)?;
        let path = shared.answers_path.with_file_name("faspwall-rehearsal.txt");
        let text = words::rehearsal_report(done, &shared.facts, 100).join("\n") + "\n";
        Some(Nav::Do(Effect::SaveReport(path, text)))
    }

    fn view_done(&self, canvas: &mut Canvas<'_, '_>, done: &Rehearsal, shared: &Shared) {
        let (width, height) = (
            canvas.width().saturating_sub(MARGIN + 2),
            canvas.height().saturating_sub(AROUND),
        );
        let tests = words::tests(done, &shared.facts);
        let rows = rows(&tests, width);
        let head = words::columns(width, words::HEAD);
        canvas.styled(1 + MARGIN, HEAD, head.trim_end(), theme::BOLD);
        let part = Rect::new(1, HEAD + 1, width + MARGIN, height);
        let focused = self.sheet.button().is_none();
        self.sheet.reader.view(canvas, part, &rows, focused);
        let y = HEAD + 2 + height;
        let took = format!(
            "{}   {}",
            words::took(done.millis),
            self.sheet.reader.position(rows.len(), height)
        );
        canvas.text(3, y, words::tally(&tests));
        let right = canvas.width().saturating_sub(cells(took.len()) + 2);
        canvas.text(right, y, took);
        let untried = words::not_tried(done);
        let more = if untried.len() > 1 {
            format!(" (+{}, F3)", untried.len() - 1)
        } else {
            String::new()
        };
        let room = usize::from(canvas.width()).saturating_sub(6 + more.len());
        let first = format!("Not tested: {}", untried.first().map_or("", String::as_str));
        canvas.text(3, y + 1, format!("{}{more}", cell(&first, room).trim_end()));
    }

    /// Something that is no table, with the mark and the cursor beside its first line.
    fn view_text(&self, canvas: &mut Canvas<'_, '_>, text: &str) {
        let width = canvas.width().saturating_sub(MARGIN + 2);
        canvas.paragraph(1 + MARGIN, HEAD, width, text);
        if self.sheet.button().is_none() {
            canvas.styled(1, HEAD, ">", theme::BOLD);
            canvas.cursor(1, HEAD);
        }
    }

    fn view_alarm(&self, canvas: &mut Canvas<'_, '_>, title: &str, text: &str) {
        let width = canvas.width().saturating_sub(2);
        let lines = wrap(text, usize::from(width.saturating_sub(4)));
        let rows = (cells(lines.len()) + 2).min(canvas.height().saturating_sub(HEAD));
        let inside = canvas.alarm(Rect::new(1, HEAD, width, rows), title);
        for (line, row) in lines.iter().zip(inside.y..inside.bottom()) {
            canvas.text(inside.x + 1, row, line.as_str());
        }
        if self.sheet.button().is_none() {
            canvas.cursor(inside.x + 1, inside.y);
        }
    }
}

impl Page for RehearsalPage {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => return self.key(*key, shared),
            Event::Rehearsal(attempt) => {
                if let Attempt::Done(_) = **attempt {
                    let (width, height) = self.sheet.room();
                    let rows = rows(&Self::tests(shared), width);
                    self.sheet.rewind();
                    // What failed is on screen at once; without a failure the top is.
                    if let Some(red) = rows.iter().position(|row| row.stop) {
                        let lines = rows
                            .iter()
                            .skip(red)
                            .take_while(|row| row.entry == rows[red].entry);
                        self.sheet.reader.mark(red + lines.count() - 1, height);
                        self.sheet.reader.mark(red, height);
                    }
                }
            }
            other => self.sheet.world(other),
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        canvas.text(
            1,
            0,
            "Rehearsal: real packets, sent at a sealed copy of this host's firewall.",
        );
        match &shared.rehearsal {
            Some(Attempt::Done(done)) => self.view_done(&mut canvas, done, shared),
            Some(Attempt::Running { stage, millis }) => {
                let text = format!("{stage}\n\n{} s", millis / 1000);
                self.view_text(&mut canvas, &text);
            }
            Some(Attempt::Unavailable(reason)) => self.view_alarm(
                &mut canvas,
                "THIS CANNOT BE REHEARSED HERE",
                &format!(
                    "{reason}\n\nThe change can be applied all the same: a trial only adds, and all of it undoes itself \
                     unless it is confirmed through the new port. What a rehearsal would have found, such as a rule \
                     further up that still drops the packets, is seen only on the host itself."
                ),
            ),
            Some(Attempt::Broken(reason)) => self.view_alarm(
                &mut canvas,
                "THE REHEARSAL BROKE OFF",
                &format!(
                    "{reason}\n\nNothing is known about the change, so it is not applied here. F5 tries again. Without a \
                     rehearsal it is applied by\n  faspwall apply -f {} --no-rehearsal\nThe plan can be saved there on the \
                     page before.",
                    shared.answers_path.display()
                ),
            ),
            None => self.view_text(&mut canvas, "the rehearsal begins when the preview is ready"),
        }
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        match &shared.rehearsal {
            Some(Attempt::Running { .. }) => (Tone::Busy, "rehearsing; nothing is applied".to_owned()),
            Some(Attempt::Unavailable(_)) => (
                Tone::Warn,
                "not rehearsed: apply with care, with a second way in at hand".to_owned(),
            ),
            attempt => match words::refusal(attempt.as_ref(), &shared.facts) {
                None => (Tone::Good, "safe to apply".to_owned()),
                Some(why) => (Tone::Bad, format!("not safe to apply: {why}")),
            },
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        let button = |label, enabled| Button { label, enabled };
        let buttons = vec![
            button("Back", true),
            button("Save report", done(shared).is_some()),
            button("All ports", shared.rehearsal.is_some() && !running(shared)),
            button("Apply...", allows(shared) && shared.preview.is_some()),
        ];
        (buttons, APPLY)
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
                "the change was made in a sealed copy of this host's firewall, and real packets were sent at it. \
                 Nothing is applied until Apply... is answered with y.",
            ),
            (
                "wanted",
                "open: it must get through with the change. shut: it must not. as before: nobody asked for it.",
            ),
            (
                "FAILED",
                "Apply is refused. The lines below say what blocks the port, and what can be done. F2 tells more.",
            ),
            (
                "a",
                "tries all 65,535 ports, TCP and UDP, IPv4 and IPv6: the change opens what was asked and nothing else.",
            ),
        ]
    }
}
