//! What can be chosen about the firewall of this host, below the list of firewalls.

use crate::answers::{Legacy22, Outbound};
use crate::tui::pages::role_takes_ssh;
use crate::tui::widgets::{Canvas, Mark};
use crate::tui::{Key, Nav, PageId, Shared, words};

/// Where the focus can be, from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The firewalls; the arrows go through them.
    List,
    /// No rule at all: nothing filters, and nothing shall.
    Nothing,
    /// Only TCP/22 is shut.
    Only22,
    /// What the plan does not open is refused.
    DefaultDeny,
    /// For which packets on the way out rules are written.
    Outbound,
}

/// The stops that are on the page now.
pub fn stops(shared: &Shared) -> Vec<Stop> {
    let facts = &shared.facts;
    let mut stops = vec![Stop::List];
    if !shared.detected || facts.backend.is_none() {
        return stops;
    }
    if words::nothing_filters(facts) {
        stops.push(Stop::Nothing);
        if role_takes_ssh(shared) {
            stops.push(Stop::Only22);
        }
        stops.push(Stop::DefaultDeny);
    } else {
        stops.push(Stop::Outbound);
    }
    stops
}

/// The choice that the answers stand for, on a host where nothing filters.
fn chosen(shared: &Shared) -> Stop {
    if shared.answers.firewall.default_deny {
        Stop::DefaultDeny
    } else if role_takes_ssh(shared) && words::shuts_22(shared) {
        Stop::Only22
    } else {
        Stop::Nothing
    }
}

/// The three, from left to right.
const OUTBOUND: [(Outbound, &str); 3] = [
    (Outbound::Auto, "where output drops"),
    (Outbound::Always, "always"),
    (Outbound::Never, "never"),
];

/// What a key does on a stop; `None` when it is not meant for it.
pub fn key(stop: Stop, key: Key, shared: &mut Shared) -> Option<Option<Nav>> {
    match (stop, key) {
        (Stop::Outbound, Key::Char(' ') | Key::Right | Key::Left) => {
            let count = OUTBOUND.len();
            let now = outbound(shared);
            let next = if key == Key::Left {
                now + count - 1
            } else {
                now + 1
            } % count;
            shared.answers.firewall.outbound = OUTBOUND[next].0;
            Some(None)
        }
        (Stop::List | Stop::Outbound, _) => None,
        (_, Key::Char(' ')) => Some(choose(stop, shared)),
        _ => None,
    }
}

fn outbound(shared: &Shared) -> usize {
    OUTBOUND
        .iter()
        .position(|(choice, _)| *choice == shared.answers.firewall.outbound)
        .unwrap_or(0)
}

fn choose(stop: Stop, shared: &mut Shared) -> Option<Nav> {
    let shuts = words::shuts_22(shared);
    shared.answers.firewall.default_deny = stop == Stop::DefaultDeny;
    match stop {
        // That 22 stays open to everyone takes typed words, and there is one page for them.
        Stop::Nothing if role_takes_ssh(shared) && shuts => Some(Nav::To(PageId::Legacy22)),
        Stop::Only22 if !shuts => {
            shared.answers.ssh.legacy_22 = Legacy22::Close;
            shared.answers.ssh.keep_22_until = None;
            None
        }
        _ => None,
    }
}

/// Draws the choices from a row on; returns the row below them.
pub fn view(canvas: &mut Canvas<'_, '_>, mut y: u16, focus: Option<Stop>, shared: &Shared) -> u16 {
    let stops = stops(shared);
    let now = chosen(shared);
    for stop in &stops {
        let text = match stop {
            Stop::List => continue,
            Stop::Outbound => {
                view_outbound(canvas, y, focus == Some(Stop::Outbound), shared);
                y += 1;
                continue;
            }
            Stop::Nothing => "nothing: no rule is written, TCP/22 stays open too",
            Stop::Only22 => "only shut TCP/22; every other port stays as it is",
            Stop::DefaultDeny => "refuse everything that the plan does not open",
        };
        canvas.choice(0, y, Mark::radio(now == *stop), focus == Some(*stop), text);
        y += 1;
        if *stop == Stop::DefaultDeny {
            let cut = words::cut_off(shared);
            let text = if cut.is_empty() {
                "it would cut off no service that listens now".to_owned()
            } else {
                format!("it would cut off: {}", cut.join(", "))
            };
            y += canvas.paragraph(5, y, canvas.width().saturating_sub(7), &text);
        }
    }
    y
}

fn view_outbound(canvas: &mut Canvas<'_, '_>, y: u16, focused: bool, shared: &Shared) {
    const TEXT: &str = "Rules for packets on the way out:";
    canvas.text(1, y, TEXT);
    if focused {
        canvas.text(0, y, ">");
    }
    let mut x = 35;
    for (number, (_, name)) in OUTBOUND.iter().enumerate() {
        let on = number == outbound(shared);
        canvas.choice(x - 1, y, Mark::radio(on), focused && on, name);
        x += 6 + crate::tui::widgets::cells(name.len());
    }
}
