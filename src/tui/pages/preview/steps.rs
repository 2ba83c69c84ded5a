//! The Commands tab: every step of the change, and how each is taken back. What a step writes may be a whole file: its
//! beginning is shown, and the rest on request.

use crate::change::Preview;
use crate::tui::pages::reader::{Row, folded, paragraph};
use crate::tui::theme;
use crate::tui::words::{self, CommandKind, CommandLine};
use crate::tui::{Nav, Shared};

/// A step with more lines is folded.
const LONG: usize = 16;
/// Lines of a folded step that are shown.
const SHOWN: usize = 8;

/// The rows of the tab, none wider than `width`. Those of one step bear its place in the list of commands.
pub fn rows(preview: &Preview, shared: &Shared, width: u16) -> Vec<Row> {
    let Some(change) = &preview.change else {
        return without_steps(preview, width);
    };
    let lines = words::commands(change, shared.window_s);
    let mut rows = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        match line.kind {
            CommandKind::Head => {
                if !rows.is_empty() {
                    rows.push(Row::default());
                }
                rows.push(Row::styled(line.text.as_str(), theme::BOLD).stop());
            }
            CommandKind::Pause => rows.extend(paragraph(&line.text, width, "", 3, theme::WARN)),
            CommandKind::Say => rows.extend(paragraph(
                line.text.trim_start_matches("# "),
                width,
                "     #",
                7,
                theme::PLAIN,
            )),
            CommandKind::Command => {
                let step = step_at(&lines, at);
                let long = step.len() > LONG;
                let shown = if long { SHOWN } else { step.len() };
                let text = step.iter().take(shown).flat_map(|line| {
                    let number = line.number.map_or_else(String::new, |number| number.to_string());
                    folded(&format!("{number:>3}  {}", line.text), width, 9, theme::PLAIN)
                });
                rows.extend(text.map(|row| row.of(at)));
                if long {
                    let more = format!(
                        "     ... {} more lines: F2 here shows all of them",
                        step.len() - shown
                    );
                    rows.push(Row::styled(more, theme::WARN).of(at));
                }
                at += step.len() - 1;
            }
        }
        at += 1;
    }
    rows
}

/// A command and the further lines of it.
fn step_at(lines: &[CommandLine], at: usize) -> &[CommandLine] {
    let rest = lines.get(at..).unwrap_or_default();
    let further = rest
        .iter()
        .skip(1)
        .take_while(|line| line.kind == CommandKind::Command && line.number.is_none());
    rest.get(..1 + further.count()).unwrap_or_default()
}

/// All of the step at a place in the list of commands.
pub fn in_full(preview: &Preview, shared: &Shared, at: usize) -> Option<Nav> {
    let lines = words::commands(preview.change.as_ref()?, shared.window_s);
    let step = step_at(&lines, at);
    let number = step.first()?.number?;
    let say = lines
        .get(at.checked_sub(1)?)
        .filter(|line| line.kind == CommandKind::Say);
    let mut text: Vec<&str> = say.map(|line| line.text.as_str()).into_iter().collect();
    text.extend(step.iter().map(|line| line.text.as_str()));
    Some(Nav::Show {
        title: format!("Step {number}"),
        text: text.join("\n"),
    })
}

/// Why there are no steps, and what can be done about it.
fn without_steps(preview: &Preview, width: u16) -> Vec<Row> {
    let refusals = words::refusals(preview);
    if refusals.is_empty() {
        return vec![Row::text("no commands: this host is as planned already")];
    }
    let mut rows = vec![
        Row::text("no commands: they are made when this is settled"),
        Row::default(),
    ];
    for line in refusals {
        rows.extend(paragraph(&line, width, "ERROR", 9, theme::BAD));
    }
    rows
}
