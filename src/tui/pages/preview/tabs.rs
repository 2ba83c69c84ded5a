//! The four tabs of the preview as rows of text.

use std::net::SocketAddr;

use super::steps;
use crate::advice::{Advice, Severity};
use crate::change::{Preview, RuleLine};
use crate::tui::pages::reader::{Row, folded, paragraph};
use crate::tui::theme;
use crate::tui::widgets::cell;
use crate::tui::words;
use crate::tui::{Shared, Tone};

/// A tab.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tab {
    /// Rules in words.
    #[default]
    Rules,
    /// Before and after.
    Diff,
    /// Every step, and every undo.
    Commands,
    /// Reasons and sources.
    Why,
}

impl Tab {
    /// In the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Rules, Self::Diff, Self::Commands, Self::Why];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "Rules",
            Self::Diff => "Diff",
            Self::Commands => "Commands",
            Self::Why => "Why",
        }
    }

    /// Its place, from 0.
    pub fn index(self) -> usize {
        Self::ALL.into_iter().position(|tab| tab == self).unwrap_or(0)
    }
}

/// The rows of a tab, none wider than `width`.
pub fn rows(tab: Tab, preview: &Preview, shared: &Shared, width: u16) -> Vec<Row> {
    match tab {
        Tab::Rules => rules(preview, shared, width),
        Tab::Diff => diff(preview, width),
        Tab::Commands => steps::rows(preview, shared, width),
        Tab::Why => why(preview, width),
    }
}

/// The left part of the line below the tab.
pub fn summary(tab: Tab, preview: &Preview, shared: &Shared) -> String {
    match tab {
        Tab::Rules => {
            let changes = preview.rules.iter().filter(|rule| is_change(rule)).count();
            let left = preview.unchanged.len() + preview.rules.len() - changes;
            format!(
                "{}, {left} stay as they are, {}",
                words::counted(changes, "change"),
                words::counted(preview.advice.len(), "note")
            )
        }
        Tab::Diff => {
            let count = |sign| {
                preview
                    .diff
                    .iter()
                    .flat_map(|d| &d.lines)
                    .filter(|l| l.starts_with(sign))
                    .count()
            };
            format!("+ {} added   - {} removed", count('+'), count('-'))
        }
        Tab::Commands => {
            let path = crate::step::quoted(&shared.answers_path.to_string_lossy());
            format!("or: faspwall apply -f {path}")
        }
        Tab::Why => format!("{} reasons", preview.rules.len() + preview.advice.len()),
    }
}

fn is_change(rule: &RuleLine) -> bool {
    words::becomes(rule).starts_with(char::is_uppercase)
}

fn rules(preview: &Preview, shared: &Shared, width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    let (blockers, others): (Vec<&Advice>, Vec<&Advice>) = preview.advice.iter().partition(|a| a.blocks());
    // A blocker is an obstacle too; as advice it says more.
    let code = |line: &&String| blockers.iter().any(|advice| line.starts_with(&advice.code));
    for line in preview.obstacles.iter().filter(|line| !code(line)) {
        rows.extend(paragraph(line, width, "ERROR", 9, Tone::Bad.style()));
    }
    rows.extend(blockers.iter().flat_map(|advice| advice_rows(advice, width)));
    if !rows.is_empty() {
        rows.push(Row::default());
    }
    let columns = Columns::of(preview);
    rows.push(Row::styled(
        columns.line(width, ["port", "dir", "from", "becomes", "reason"]),
        theme::BOLD,
    ));
    for (entry, rule) in preview.rules.iter().enumerate() {
        let cells = [
            &words::port(rule),
            rule.direction.as_str(),
            &from(rule),
            words::becomes(rule),
            &rule.why,
        ];
        let style = if is_change(rule) {
            theme::BOLD
        } else {
            theme::PLAIN
        };
        rows.push(Row::styled(columns.line(width, cells), style).of(entry));
    }
    if preview.rules.is_empty() {
        rows.push(Row::text("no port is opened or shut"));
    }
    for line in &preview.unchanged {
        let (port, who) = line.split_once(' ').unwrap_or((line, ""));
        rows.push(Row::text(columns.line(width, [port, "", "", "unchanged", who])));
    }
    for line in &preview.cut_off {
        let (port, who) = line.split_once(' ').unwrap_or((line, ""));
        rows.push(Row::text(columns.line(width, [port, "", "", "refused", who])));
    }
    rows.push(Row::default());
    rows.extend(around(preview, shared, width));
    for advice in others {
        rows.push(Row::default());
        rows.extend(advice_rows(advice, width));
    }
    rows
}

/// The networks of a rule in a few columns.
fn from(rule: &RuleLine) -> String {
    match rule.sources.as_slice() {
        [] => "any v4+v6".to_owned(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} +{}", rest.len()),
    }
}

/// Widths of the first and the third column: as wide as their content, so that the reasons get the rest.
struct Columns {
    port: usize,
    from: usize,
}

impl Columns {
    fn of(preview: &Preview) -> Self {
        let rules = || preview.rules.iter();
        let others = preview.unchanged.iter().filter_map(|line| line.split(' ').next());
        let port = rules()
            .map(|rule| words::port(rule).len())
            .chain(others.map(str::len))
            .max();
        let from = rules().map(|rule| from(rule).len()).max();
        Self {
            port: port.unwrap_or(0).clamp(9, 16),
            from: from.unwrap_or(0).clamp(9, 20),
        }
    }

    fn line(&self, width: u16, [port, direction, from, becomes, reason]: [&str; 5]) -> String {
        let rest = usize::from(width).saturating_sub(self.port + self.from + 16);
        let line = format!(
            "{} {} {} {} {}",
            cell(port, self.port),
            cell(direction, 3),
            cell(from, self.from),
            cell(becomes, 9),
            cell(reason, rest)
        );
        line.trim_end().to_owned()
    }
}

/// What else the change means: sshd, files, the operator's own connection.
fn around(preview: &Preview, shared: &Shared, width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut line = |name: &str, text: &str| rows.extend(paragraph(text, width, name, 15, theme::PLAIN));
    let Some(change) = &preview.change else {
        if words::refusals(preview).is_empty() {
            line("nothing to do", "this host is as planned already");
        } else {
            line("no steps", "they are made when what is marked ERROR is settled");
        }
        return rows;
    };
    if preview.plan.move_sshd {
        line(
            "sshd",
            &format!("will listen on {}, beside 22 first", preview.plan.ssh_port),
        );
    } else {
        line("sshd", "is not changed, only the firewall is");
    }
    if !change.files.is_empty() {
        line(
            "reboot",
            &format!(
                "kept by {}; written only after you confirm",
                change.files.join(", ")
            ),
        );
    }
    if let Some(session) = &shared.facts.session
        && let (Some(client), Some(from), Some(port)) =
            (session.client, session.client_port, session.server_port)
    {
        let client = SocketAddr::new(client, from);
        line(
            "your session",
            &format!("from {client} to port {port} stays open during the change"),
        );
    }
    let proof = match (change.door, change.trial_2.is_empty()) {
        (Some(door), false) => format!("two trials; each needs a new login on {door} that confirms"),
        (Some(door), true) => format!("one trial; it needs a new login on {door} that confirms"),
        (None, _) => "one trial; it needs the word keep".to_owned(),
    };
    line("proof", &proof);
    rows
}

fn advice_rows(advice: &Advice, width: u16) -> Vec<Row> {
    let (word, tone) = match advice.severity {
        _ if advice.accepted => ("accepted", Tone::Warn),
        Severity::Note => ("note", Tone::Plain),
        Severity::Blocker => ("ERROR", Tone::Bad),
        Severity::Warning => ("WARN", Tone::Warn),
    };
    let mut rows = Vec::new();
    let text = format!("{} {}", advice.code, advice.text);
    rows.extend(paragraph(&text, width, word, 9, tone.style()));
    for line in &advice.evidence {
        rows.extend(paragraph(line, width, "", 11, theme::PLAIN));
    }
    rows
}

fn diff(preview: &Preview, width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut in_change = false;
    for diff in &preview.diff {
        if !rows.is_empty() {
            rows.push(Row::default());
        }
        rows.extend(folded(&diff.name, width, 2, theme::BOLD));
        for line in &diff.lines {
            let style = match line.as_bytes().first() {
                Some(b'+') => theme::GOOD,
                Some(b'-') => theme::BAD,
                Some(b'@') => theme::FRAME,
                _ => theme::PLAIN,
            };
            let changes = line.starts_with(['+', '-']);
            let mut pieces = folded(line, width, 6, style);
            if changes && !in_change {
                pieces = pieces
                    .into_iter()
                    .enumerate()
                    .map(|(n, row)| if n == 0 { row.stop() } else { row })
                    .collect();
            }
            in_change = changes;
            rows.extend(pieces);
        }
        in_change = false;
    }
    if rows.is_empty() {
        rows.push(Row::text("no difference"));
    }
    rows.extend(native(preview, width));
    rows
}

/// The rules that are there in the end, in the words of the tool that keeps them.
fn native(preview: &Preview, width: u16) -> Vec<Row> {
    let Some(change) = preview.change.as_ref().filter(|_| !preview.native.is_empty()) else {
        return Vec::new();
    };
    let head = format!(
        "rules of this plan in the end, in the words of {}",
        change.backend
    );
    let mut rows = vec![Row::default(), Row::styled(head, theme::BOLD)];
    for line in preview.native.lines() {
        rows.extend(folded(&format!("  {line}"), width, 6, theme::PLAIN));
    }
    rows
}

fn why(preview: &Preview, width: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    for (entry, rule) in preview.rules.iter().enumerate() {
        let head = format!(
            "{} {}, {}",
            words::port(rule),
            words::becomes(rule),
            words::sources(&rule.sources)
        );
        rows.extend(
            paragraph(&head, width, "", 0, theme::BOLD)
                .into_iter()
                .map(|row| row.of(entry).stop()),
        );
        rows.extend(
            paragraph(&rule.why, width, "", 4, theme::PLAIN)
                .into_iter()
                .map(|row| row.of(entry)),
        );
        if !rule.source.is_empty() {
            let source = format!("Source: {}", rule.source);
            rows.extend(
                paragraph(&source, width, "", 4, theme::PLAIN)
                    .into_iter()
                    .map(|row| row.of(entry)),
            );
        }
        rows.push(Row::default());
    }
    for advice in &preview.advice {
        rows.extend(advice_rows(advice, width));
        rows.push(Row::default());
    }
    if rows.is_empty() {
        rows.push(Row::text("no rule is needed"));
    }
    rows
}
