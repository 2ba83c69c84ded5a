//! The whole screen around a page: host line, steps, message, buttons, keys; and the page for a screen that is too small.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::theme;
use super::widgets::{Canvas, button_row, cell, cells};
use super::{Button, PageId, Shared, Tone};
use crate::facts::Via;

/// Columns that the pages are made for.
pub const MIN_WIDTH: u16 = 80;
/// Rows that the pages are made for.
pub const MIN_HEIGHT: u16 = 24;

/// Names of the steps, in order.
const STEPS: [&str; 8] = [
    "Host", "Role", "SSH", "Options", "Firewall", "Preview", "Apply", "Confirm",
];

/// The number of the step that a page belongs to, from 0; `None` for pages beside the way.
pub fn step(page: PageId) -> Option<usize> {
    match page {
        PageId::Welcome => Some(0),
        PageId::Role => Some(1),
        PageId::Ssh | PageId::Legacy22 => Some(2),
        PageId::Options => Some(3),
        PageId::Firewall => Some(4),
        PageId::Preview | PageId::Rehearsal => Some(5),
        PageId::Apply => Some(6),
        PageId::Confirm | PageId::Done => Some(7),
        PageId::Snapshots | PageId::Status => None,
    }
}

/// What a page is called in titles and messages.
pub fn title(page: PageId) -> &'static str {
    match page {
        PageId::Welcome => "Welcome and host check",
        PageId::Role => "Role",
        PageId::Ssh => "SSH port",
        PageId::Legacy22 => "TCP/22",
        PageId::Options => "Options",
        PageId::Firewall => "Firewall",
        PageId::Preview => "Preview",
        PageId::Rehearsal => "Rehearsal",
        PageId::Apply => "Apply",
        PageId::Confirm => "Confirm",
        PageId::Done => "Done",
        PageId::Snapshots => "Snapshots and rollback",
        PageId::Status => "Status",
    }
}

/// Lines 3 to 21 of a screen of this size; on a taller one the page gets the additional rows.
pub fn body(area: Rect) -> Rect {
    Rect {
        y: area.y + 2,
        height: area.height.saturating_sub(5),
        ..area
    }
}

/// What stands around a page.
pub struct Surround<'a> {
    /// The page.
    pub page: PageId,
    /// Line 22.
    pub message: (Tone, String),
    /// Line 23.
    pub buttons: &'a [Button],
    /// The button that Enter presses when the focus is on the page.
    pub pressed: usize,
    /// The focused button.
    pub focused: Option<usize>,
    /// Line 24.
    pub keys: String,
}

impl Surround<'_> {
    /// Draws lines 1, 2 and the last three.
    pub fn view(&self, shared: &Shared, frame: &mut Frame<'_>) {
        let area = frame.area();
        let mut canvas = Canvas::new(frame, area);
        let blank = " ".repeat(usize::from(area.width));
        canvas.styled(0, 0, &blank, theme::REVERSE);
        canvas.styled(1, 0, &host_line(shared, area.width), theme::REVERSE);
        canvas.text(1, 1, step_line(self.page));
        let (message, buttons, keys) = (area.height - 3, area.height - 2, area.height - 1);
        let (tone, text) = &self.message;
        let x = if tone.word().is_empty() {
            1
        } else {
            canvas.styled(1, message, tone.word(), tone.style());
            2 + cells(tone.word().len())
        };
        let room = usize::from(area.width.saturating_sub(x + 1));
        canvas.text(x, message, cell(&text.replace('\n', " "), room));
        canvas.styled(0, keys, &blank, theme::REVERSE);
        canvas.styled(0, keys, &self.keys, theme::REVERSE);
        let row = Rect::new(area.x + 1, area.y + buttons, area.width.saturating_sub(1), 1);
        let at = button_row(frame.buffer_mut(), row, self.buttons, self.pressed, self.focused);
        if let Some(Position { x, y }) = at {
            frame.set_cursor_position((x, y));
        }
    }
}

/// Line 1: program, host, system, and how the operator is connected. What does not fit is said shorter, then left out.
pub fn host_line(shared: &Shared, width: u16) -> String {
    let facts = &shared.facts;
    let lab = if shared.lab { "   *** LAB ***" } else { "" };
    let program = format!("faspwall {}{lab}", env!("CARGO_PKG_VERSION"));
    let long = facts.os.name.clone();
    // "Debian GNU/Linux 12 (bookworm)" is Debian 12.
    let short = long.replace("GNU/Linux ", "");
    let short = short.split(" (").next().unwrap_or_default().to_owned();
    let line = |system: &str, gap: &str| {
        [&program, &facts.hostname, system, &connection(shared)]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(gap)
    };
    let fits = |line: &String| line.chars().count() + 2 <= usize::from(width);
    [line(&long, "    "), line(&short, "    "), line(&short, "  ")]
        .into_iter()
        .find(fits)
        .unwrap_or_else(|| line("", "  "))
}

/// How the operator reaches the host, in a few words.
fn connection(shared: &Shared) -> String {
    let Some(session) = &shared.facts.session else {
        return String::new();
    };
    let way = match session.via {
        // A multiplexer without a port: its client sits at this host, or could not be found.
        Via::Tmux if session.server_port.is_none() => return "in tmux".to_owned(),
        Via::Screen if session.server_port.is_none() => return "in screen".to_owned(),
        Via::Ssh => "ssh",
        Via::Tmux => "ssh (tmux)",
        Via::Screen => "ssh (screen)",
        Via::Mosh => "mosh",
        Via::Console => return "at the console".to_owned(),
        Via::Serial => return "on a serial console".to_owned(),
        Via::Local => return "local".to_owned(),
        Via::Unknown => return "connected in an unknown way".to_owned(),
    };
    let from = session
        .client
        .map(|address| format!(" from {address}"))
        .unwrap_or_default();
    let to = session
        .server_port
        .map(|port| format!(" to port {port}"))
        .unwrap_or_default();
    format!("{way}{from}{to}")
}

/// Line 2: all steps, those behind us with a star, the present one in brackets.
fn step_line(page: PageId) -> Line<'static> {
    let Some(now) = step(page) else {
        return Line::styled(title(page), theme::BOLD);
    };
    let mut spans = vec![Span::raw(format!("Step {} of {}: ", now + 1, STEPS.len()))];
    for (number, name) in STEPS.into_iter().enumerate() {
        spans.push(Span::raw(" "));
        spans.push(match number.cmp(&now) {
            std::cmp::Ordering::Less => Span::raw(format!("{name}*")),
            std::cmp::Ordering::Equal => Span::styled(format!("[{name}]"), theme::BOLD),
            std::cmp::Ordering::Greater => Span::raw(name),
        });
    }
    Line::from(spans)
}

/// What the page for a small screen says about a running countdown.
pub struct SmallCountdown<'a> {
    /// Seconds until everything is undone.
    pub seconds: u64,
    /// What has been typed.
    pub typed: &'a str,
}

/// The page for a screen that is too small; `state` says how things stand.
pub fn too_small(
    frame: &mut Frame<'_>,
    state: &str,
    said: Option<&Result<String, String>>,
    countdown: Option<&SmallCountdown<'_>>,
) {
    let area = frame.area();
    let mut lines = vec![
        format!(
            "Terminal is {}x{}, faspwall needs {MIN_WIDTH}x{MIN_HEIGHT}.",
            area.width, area.height
        ),
        "Enlarge it (this page updates by itself),".to_owned(),
    ];
    match countdown {
        None => {
            lines.push("or press p for the line mode. q quits.".to_owned());
            lines.push(state.to_owned());
        }
        Some(countdown) => {
            if let Some(Ok(line) | Err(line)) = said {
                lines.push(line.clone());
            }
            lines.push("or type keep or undo, then Enter.".to_owned());
            lines.push(format!("The new rules are undone in {} s.", countdown.seconds));
            lines.push(format!("> {}", countdown.typed));
        }
    }
    let last = lines.len() - 1;
    let mut canvas = Canvas::new(frame, area);
    for (line, row) in lines.iter().zip(0..) {
        canvas.text(0, row, line.as_str());
    }
    let column = if countdown.is_some() { lines[last].len() } else { 0 };
    let column = cells(column).min(area.width.saturating_sub(1));
    canvas.cursor(column, cells(last).min(area.height.saturating_sub(1)));
}
