//! What can be chosen about the firewall of this host, below the list of firewalls.

use super::shortened;
use crate::answers::Legacy22;
use crate::tui::pages::role_takes_ssh;
use crate::tui::widgets::{Canvas, Mark, cells};
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
    /// Whether what loads the rules is started at boot from now on.
    AtBoot,
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
        if words::may_deny(facts) {
            stops.push(Stop::DefaultDeny);
        }
    } else {
        stops.push(Stop::Outbound);
    }
    if !words::sleeping(facts).is_empty() {
        stops.push(Stop::AtBoot);
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

/// What a key does on a stop; `None` when it is not meant for it.
pub fn key(stop: Stop, key: Key, shared: &mut Shared) -> Option<Option<Nav>> {
    match (stop, key) {
        (Stop::Outbound, Key::Char(' ') | Key::Right | Key::Left) => {
            let count = words::OUTBOUND.len();
            let now = words::outbound_place(shared.answers.firewall.outbound);
            let next = if key == Key::Left {
                now + count - 1
            } else {
                now + 1
            } % count;
            shared.answers.firewall.outbound = words::OUTBOUND[next].0;
            Some(None)
        }
        (Stop::AtBoot, Key::Char(' ')) => {
            let firewall = &mut shared.answers.firewall;
            firewall.enable_at_boot = !firewall.enable_at_boot;
            Some(None)
        }
        (Stop::List | Stop::Outbound | Stop::AtBoot, _) => None,
        (_, Key::Char(' ')) => Some(choose(stop, shared)),
        _ => None,
    }
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

/// Rows that the list of what would be cut off may take; F2 shows all of it.
const CUT_ROWS: usize = 2;

/// What a default-deny set would cut off, broken to a width.
fn cut_off(shared: &Shared, width: u16) -> Vec<String> {
    let cut = words::cut_off(shared);
    let text = if cut.is_empty() {
        "it would cut off no service that listens now".to_owned()
    } else {
        format!("it would cut off: {}", cut.join(", "))
    };
    shortened(&text, usize::from(width), CUT_ROWS)
}

/// How many rows the choices take.
pub fn height(shared: &Shared, width: u16) -> u16 {
    let stops = stops(shared);
    let below = if stops.contains(&Stop::DefaultDeny) {
        cut_off(shared, width.saturating_sub(7)).len()
    } else {
        0
    };
    cells(stops.len() - 1 + below)
}

/// Draws the choices from a row on.
pub fn view(canvas: &mut Canvas<'_, '_>, mut y: u16, focus: Option<Stop>, shared: &Shared) {
    let now = chosen(shared);
    for stop in stops(shared) {
        let text = match stop {
            Stop::List => continue,
            Stop::Outbound => {
                view_outbound(canvas, y, focus == Some(Stop::Outbound), shared);
                y += 1;
                continue;
            }
            Stop::AtBoot => {
                let on = Mark::check(shared.answers.firewall.enable_at_boot);
                let units = words::sleeping(&shared.facts).join(" and ");
                let text = format!("start {units} at boot from now on");
                canvas.choice(0, y, on, focus == Some(stop), &text);
                y += 1;
                continue;
            }
            Stop::Nothing => "nothing: no rule is written, TCP/22 stays open too",
            Stop::Only22 => "only shut TCP/22; every other port stays as it is",
            Stop::DefaultDeny => "refuse everything that the plan does not open",
        };
        canvas.choice(0, y, Mark::radio(now == stop), focus == Some(stop), text);
        y += 1;
        if stop == Stop::DefaultDeny {
            for line in cut_off(shared, canvas.width().saturating_sub(7)) {
                canvas.text(5, y, line);
                y += 1;
            }
        }
    }
}

fn view_outbound(canvas: &mut Canvas<'_, '_>, y: u16, focused: bool, shared: &Shared) {
    const TEXT: &str = "Rules for the way out:";
    canvas.text(1, y, TEXT);
    if focused {
        canvas.text(0, y, ">");
    }
    let mut x = 26;
    for (number, (_, name)) in words::OUTBOUND.iter().enumerate() {
        let on = number == words::outbound_place(shared.answers.firewall.outbound);
        canvas.choice(x - 1, y, Mark::radio(on), focused && on, name);
        x += 6 + cells(name.len());
    }
}
