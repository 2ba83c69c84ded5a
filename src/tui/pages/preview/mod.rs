//! What would change, in words, as a diff, as commands, and why. Nothing is applied here.

mod steps;
mod tabs;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::reader::{MARGIN, Reader, Row};
use super::rehearsal::{allows, apply_question};
use crate::tui::widgets::{Canvas, Field, Focus, Handled, cell, cells};
use crate::tui::{Button, Effect, Event, Key, Nav, Page, Shared, Tone, frame, theme, words};
use tabs::Tab;

/// Rows of the page that are not the text: tabs, two rules, the line below.
const AROUND: u16 = 4;
const APPLY: usize = 2;
const REHEARSE: usize = 3;

/// Around the first words of what stands in the way.
const FAILS: &str = "cannot be applied: ";
const MORE: &str = " (F2)";

/// What is typed into the line below the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typing {
    /// A text to look for.
    Search,
    /// The code of a blocker that is accepted on purpose.
    Accept,
}

/// The page.
#[derive(Debug)]
pub struct PreviewPage {
    tab: Tab,
    readers: [Reader; 4],
    focus: Focus,
    size: (u16, u16),
    typing: Option<(Typing, Field)>,
    /// What was looked for last.
    needle: String,
    /// What the last key could not do.
    refused: Option<String>,
}

impl Default for PreviewPage {
    fn default() -> Self {
        Self {
            tab: Tab::default(),
            readers: [Reader::default(); 4],
            focus: Focus::default(),
            size: (frame::MIN_WIDTH, frame::MIN_HEIGHT),
            typing: None,
            needle: String::new(),
            refused: None,
        }
    }
}

/// What the last buttons do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// To the rehearsal, and after it the change can be applied.
    Rehearse,
    /// Something stands in the way, or the preview is not there yet.
    Blocked,
    /// The host is as planned.
    Finish,
}

fn last_button(shared: &Shared) -> Last {
    match &shared.preview {
        Some(preview) if !words::refusals(preview).is_empty() => Last::Blocked,
        Some(preview) if preview.changed() => Last::Rehearse,
        Some(_) => Last::Finish,
        None => Last::Blocked,
    }
}

impl PreviewPage {
    /// Width of the text and rows of it on a screen of the present size.
    fn room(&self) -> (u16, u16) {
        let width = self.size.0.max(frame::MIN_WIDTH).saturating_sub(MARGIN + 2);
        let height = self.size.1.max(frame::MIN_HEIGHT).saturating_sub(5 + AROUND);
        (width, height)
    }

    fn rows(&self, shared: &Shared) -> Vec<Row> {
        let (width, _) = self.room();
        shared
            .preview
            .as_ref()
            .map_or_else(Vec::new, |preview| tabs::rows(self.tab, preview, shared, width))
    }

    fn reader(&mut self) -> &mut Reader {
        &mut self.readers[self.tab.index()]
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        self.refused = None;
        if self.typing.is_some() {
            return self.typed(key, shared);
        }
        if let Some(tab) = tab_of(key) {
            self.tab = tab;
            self.focus = Focus::default();
            return None;
        }
        let buttons = self.buttons(shared).0.len();
        if self.focus.handle(key, 1, buttons) == Handled::Yes {
            return None;
        }
        let rows = self.rows(shared);
        let (_, height) = self.room();
        if self.reader().handle(key, rows.len(), height) == Handled::Yes {
            self.focus = Focus::default();
            return None;
        }
        match key {
            Key::Enter => self.press(self.focus.button(1).unwrap_or(REHEARSE), shared),
            Key::Char('s') => Some(self.save(shared)),
            Key::Char(letter @ ('n' | 'p')) => {
                self.seek(&rows, letter == 'n');
                None
            }
            Key::Char('a') => {
                self.begin_accept(shared);
                None
            }
            Key::F(2) => self.explain(&rows, shared),
            Key::F(3) => {
                self.typing = Some((Typing::Search, Field::new("", 40)));
                None
            }
            Key::F(5) => {
                shared.preview = None;
                Some(Nav::Do(Effect::Preview(Box::new(shared.answers.clone()))))
            }
            _ => None,
        }
    }

    fn press(&mut self, button: usize, shared: &Shared) -> Option<Nav> {
        match (button, last_button(shared), &shared.preview) {
            (0, _, _) => Some(Nav::Back),
            (1, _, _) => Some(self.save(shared)),
            (APPLY, Last::Rehearse, Some(preview)) if allows(shared) => Some(apply_question(preview, shared)),
            (REHEARSE, Last::Rehearse, _) => Some(Nav::Next),
            (_, Last::Finish, _) => {
                let line = "faspwall: nothing to do, this host is as planned.".to_owned();
                Some(Nav::Do(Effect::Quit(0, vec![line])))
            }
            _ => None,
        }
    }

    /// The commands as a text on their tab, the answers elsewhere: they are what `faspwall apply -f` repeats.
    fn save(&self, shared: &Shared) -> Nav {
        match (self.tab, &shared.preview) {
            (Tab::Commands, Some(preview)) => {
                let path = shared.answers_path.with_file_name("faspwall-commands.txt");
                let text = words::report(preview, shared.window_s).join("\n") + "\n";
                Nav::Do(Effect::SaveReport(path, text))
            }
            _ => Nav::Do(Effect::SaveAnswers(
                shared.answers_path.clone(),
                Box::new(shared.answers.clone()),
            )),
        }
    }

    fn seek(&mut self, rows: &[Row], forward: bool) {
        let (_, height) = self.room();
        let needle = self.needle.to_lowercase();
        let found = self.reader().seek(rows, height, forward, |row| {
            if needle.is_empty() {
                row.stop
            } else {
                row.plain().to_lowercase().contains(&needle)
            }
        });
        if !found {
            self.refused = Some(match self.needle.as_str() {
                "" => "there is no such place on this tab".to_owned(),
                needle => format!("\"{needle}\" is not on this tab"),
            });
        }
    }

    fn begin_accept(&mut self, shared: &Shared) {
        let any = shared
            .preview
            .as_ref()
            .is_some_and(|preview| !words::blocking(preview).is_empty());
        if any {
            self.typing = Some((Typing::Accept, Field::new("", 5)));
        } else {
            self.refused = Some("there is nothing to accept".to_owned());
        }
    }

    fn explain(&mut self, rows: &[Row], shared: &Shared) -> Option<Nav> {
        let at = self.reader().at(rows.len());
        let preview = shared.preview.as_ref()?;
        let entry = rows.get(at).and_then(|row| row.entry);
        if let (Tab::Commands, Some(entry)) = (self.tab, entry) {
            return steps::in_full(preview, shared, entry);
        }
        let refusals = words::refusals(preview);
        if entry.is_none() && !refusals.is_empty() {
            return Some(Nav::Show {
                title: "What stands in the way, and what to do about it".to_owned(),
                text: refusals.join("\n\n"),
            });
        }
        let Some(rule) = entry.and_then(|entry| preview.rules.get(entry)) else {
            self.tab = Tab::Why;
            return None;
        };
        Some(Nav::Show {
            title: format!("{} {}", words::port(rule), words::becomes(rule)),
            text: format!(
                "{}\n\nFor: {}\nSource: {}",
                rule.why,
                words::sources(&rule.sources),
                rule.source
            ),
        })
    }

    fn typed(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        let (what, mut field) = self.typing.take()?;
        match key {
            Key::Esc | Key::Tab | Key::BackTab | Key::Ctrl('c') | Key::F(_) => None,
            Key::Enter => {
                let text = field.text().trim().to_owned();
                match what {
                    Typing::Search => {
                        self.needle = text;
                        let rows = self.rows(shared);
                        self.seek(&rows, true);
                        None
                    }
                    Typing::Accept => self.accept(&text, shared),
                }
            }
            _ => {
                field.handle(key);
                self.typing = Some((what, field));
                None
            }
        }
    }

    fn accept(&mut self, code: &str, shared: &mut Shared) -> Option<Nav> {
        let code = code.to_uppercase();
        let known = shared
            .preview
            .as_ref()
            .is_some_and(|preview| words::blocking(preview).contains(&code.as_str()));
        if !known {
            self.refused = Some(format!("\"{code}\" is not what stands in the way"));
            return None;
        }
        shared.answers.accept.push(code);
        shared.preview = None;
        Some(Nav::Do(Effect::Preview(Box::new(shared.answers.clone()))))
    }

    fn view_tabs(&self, canvas: &mut Canvas<'_, '_>, width: u16) {
        let mut spans = Vec::new();
        for (number, tab) in Tab::ALL.into_iter().enumerate() {
            let text = format!("{} {}", number + 1, tab.name());
            spans.push(if tab == self.tab {
                Span::styled(format!("[{text}] "), theme::BOLD)
            } else {
                Span::raw(format!(" {text}  "))
            });
        }
        canvas.text(1, 0, Line::from(spans));
        let note = "nothing applied yet";
        canvas.text(width.saturating_sub(cells(note.len())), 0, note);
    }

    fn view_below(&self, canvas: &mut Canvas<'_, '_>, shared: &Shared, y: u16, position: &str) {
        if let Some((what, field)) = &self.typing {
            let label = match what {
                Typing::Search => "Look for:",
                Typing::Accept => "Accept on purpose, type its code:",
            };
            canvas.text(3, y, label);
            canvas.field(4 + cells(label.len()), y, 40, field, true);
            return;
        }
        if let Some(preview) = &shared.preview {
            let room = usize::from(canvas.width()).saturating_sub(position.len() + 7);
            let summary = cell(&tabs::summary(self.tab, preview, shared), room);
            canvas.text(3, y, summary.trim_end().to_owned());
        }
        canvas.text(
            canvas.width().saturating_sub(cells(position.len()) + 2),
            y,
            position.to_owned(),
        );
    }
}

fn tab_of(key: Key) -> Option<Tab> {
    let Key::Char(sign) = key else { return None };
    let number = usize::try_from(sign.to_digit(10)?).ok()?;
    Tab::ALL.get(number.checked_sub(1)?).copied()
}

impl Page for PreviewPage {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => self.key(*key, shared),
            Event::Paste(text) => {
                if let Some((_, field)) = &mut self.typing {
                    field.insert(text);
                }
                None
            }
            Event::Resize(width, height) => {
                self.size = (*width, *height);
                None
            }
            Event::Entered => {
                self.focus.off_buttons(1, 0);
                None
            }
            Event::Previewed(_) => {
                self.readers = [Reader::default(); 4];
                self.refused = None;
                None
            }
            _ => None,
        }
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let (width, height) = (
            canvas.width().saturating_sub(1),
            canvas.height().saturating_sub(AROUND),
        );
        self.view_tabs(&mut canvas, width);
        let rule = "─".repeat(usize::from(width.saturating_sub(1)));
        canvas.styled(1, 1, &rule, theme::FRAME);
        canvas.styled(1, height + 2, &rule, theme::FRAME);
        let rows = self.rows(shared);
        let part = Rect::new(1, 2, width, height);
        let focused = self.focus.button(1).is_none() && self.typing.is_none();
        let reader = self.readers[self.tab.index()];
        reader.view(&mut canvas, part, &rows, focused);
        if rows.is_empty() {
            canvas.text(3, 3, "making the plan for this host");
            if focused {
                canvas.styled(1, 3, ">", theme::BOLD);
                canvas.cursor(1, 3);
            }
        }
        self.view_below(
            &mut canvas,
            shared,
            height + 3,
            &reader.position(rows.len(), height),
        );
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        if let Some(refused) = &self.refused {
            return (Tone::Warn, refused.clone());
        }
        if self.typing.is_some() {
            return (Tone::Plain, "Enter takes it, Esc closes the field".to_owned());
        }
        let Some(preview) = &shared.preview else {
            return (Tone::Busy, "making the preview".to_owned());
        };
        match last_button(shared) {
            Last::Rehearse if allows(shared) => (
                Tone::Good,
                "the plan can be applied; it undoes itself unless confirmed".to_owned(),
            ),
            Last::Rehearse => (
                Tone::Good,
                "the plan can be rehearsed; nothing is applied by that".to_owned(),
            ),
            Last::Finish => (Tone::Good, "nothing to do: this host is as planned".to_owned()),
            Last::Blocked => {
                let codes = words::blocking(preview);
                if !codes.is_empty() {
                    let how = format!("change the answers, or press a to accept {}", codes.join(", "));
                    return (Tone::Bad, format!("cannot be applied: {how}"));
                }
                let why = words::refusals(preview);
                let first = why
                    .first()
                    .and_then(|line| line.lines().next())
                    .unwrap_or_default();
                let room = usize::from(self.size.0).saturating_sub(9 + FAILS.len() + MORE.len());
                (
                    Tone::Bad,
                    format!("{FAILS}{}{MORE}", cell(first, room).trim_end()),
                )
            }
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        if self.typing.is_some() {
            // Without a Back button Esc closes the field instead of the page.
            return (Vec::new(), 0);
        }
        let last = last_button(shared);
        let button = |label, enabled| Button { label, enabled };
        let save = if self.tab == Tab::Commands {
            "Save commands"
        } else {
            "Save plan"
        };
        let mut buttons = vec![button("Back", true), button(save, true)];
        if last == Last::Finish {
            buttons.push(button("Finish", true));
        } else {
            buttons.push(button("Apply...", last == Last::Rehearse && allows(shared)));
            buttons.push(button("Rehearse", last == Last::Rehearse));
        }
        let pressed = buttons.len() - 1;
        (buttons, pressed)
    }

    fn focused_button(&self) -> Option<usize> {
        if self.typing.is_some() {
            None
        } else {
            self.focus.button(1)
        }
    }

    fn in_text_field(&self) -> bool {
        self.typing.is_some()
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "what would change on this host. Rehearse tries it in a sealed copy; nothing is applied until Apply... is \
                 answered with y.",
            ),
            (
                "1 Rules",
                "ports in words. OPEN and CLOSED in capitals are changes.",
            ),
            (
                "2 Diff",
                "rules and files before and after. n and p go to the next and previous change.",
            ),
            (
                "3 Commands",
                "the very steps that are performed, in order, and how each is taken back. F2 shows all of a long one.",
            ),
            (
                "4 Why",
                "the reason of every rule, and who says so. F2 explains the marked line.",
            ),
            ("Search", "F3 or / looks for a text, n and p go on."),
            (
                "a",
                "accepts something that stands in the way, by its code. Think twice.",
            ),
        ]
    }
}
