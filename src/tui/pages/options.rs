//! The other ports of the role, and who may reach them.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::slots::{self, SLOTS, Slot};
use super::{Next, back_and_next, below, press};
use crate::answers::AsperaConf;
use crate::catalogue::{Need, NeedDefault, PortAnswer};
use crate::port::Direction;
use crate::tui::widgets::{Canvas, Field, Focus, Following, Handled, Mark};
use crate::tui::words::read_networks as networks;
use crate::tui::{Button, Event, Key, Nav, Page, Shared, Tone, words};

const BUTTONS: usize = 2;
/// Columns of the field of a slot, and its width.
const FIELD_AT: u16 = 29;
const FIELD_WIDTH: u16 = 11;

/// Ports with a fixed number for which there is room; no role has more.
const EXTRAS: usize = 6;
const FIRST_EXTRA: usize = 2 * SLOTS.len();
const EVERYONE: usize = FIRST_EXTRA + EXTRAS;
const NETWORKS: usize = EVERYONE + 1;
const CONF: usize = NETWORKS + 1;

/// Where the focus can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The mark of a slot.
    Mark(Slot),
    /// Its field.
    Port(Slot),
    /// The mark of a port that has a fixed number, by its place among them.
    Extra(usize),
    /// Everyone may reach the ports.
    Everyone,
    /// Only the networks of the field.
    Networks,
    /// The ports are set in aspera.conf too.
    Conf,
}

/// Every stop that there can be, two for each slot; those of ports that the role does not have are passed over.
const PARTS: usize = CONF + 1;

/// The stop with this number.
fn stop(part: usize) -> Option<Stop> {
    match (SLOTS.get(part / 2), part) {
        (Some(slot), _) if part.is_multiple_of(2) => Some(Stop::Mark(*slot)),
        (Some(slot), _) => Some(Stop::Port(*slot)),
        (None, FIRST_EXTRA..EVERYONE) => Some(Stop::Extra(part - FIRST_EXTRA)),
        (None, EVERYONE) => Some(Stop::Everyone),
        (None, NETWORKS) => Some(Stop::Networks),
        (None, CONF) => Some(Stop::Conf),
        _ => None,
    }
}

/// Whether a stop is on the page.
fn shown(part: usize, shared: &Shared) -> bool {
    match stop(part) {
        Some(Stop::Mark(slot) | Stop::Port(slot)) => slots::need_of(slot, shared).is_some(),
        Some(Stop::Extra(place)) => place < slots::extras(shared).len(),
        Some(Stop::Conf) => !slots::conf_differs(shared).is_empty(),
        _ => true,
    }
}

/// The page.
#[derive(Default)]
pub struct OptionsPage {
    focus: Focus,
    /// What was typed for a slot, also while it is off or not a port.
    typed: BTreeMap<&'static str, Field>,
    networks: Option<Field>,
    /// Only certain networks, although none has been named yet.
    only: bool,
    /// The stop whose reason is told below.
    told: Following<Option<Stop>>,
}

impl OptionsPage {
    fn stop(&self) -> Option<Stop> {
        stop(self.focus.part())
    }

    /// Tab and the like, over the stops that are on the page.
    fn move_focus(&mut self, key: Key, shared: &Shared) {
        let on = if key == Key::Tab { Key::Tab } else { Key::BackTab };
        self.focus.handle(key, PARTS, BUTTONS);
        while !shown(self.focus.part(), shared) {
            self.focus.handle(on, PARTS, BUTTONS);
        }
    }

    /// The line above or below.
    fn move_line(&mut self, key: Key, shared: &Shared) {
        let begins =
            |part: &usize| shown(*part, shared) && !matches!(stop(*part), Some(Stop::Port(_)) | None);
        let at = self.focus.part();
        let own = if matches!(self.stop(), Some(Stop::Port(_))) {
            at - 1
        } else {
            at
        };
        let found = match key {
            Key::Down => (at + 1..PARTS).find(begins),
            _ => (0..own).rfind(begins),
        };
        self.focus = Focus::on(found.unwrap_or(at));
    }

    /// The text of a slot: what was typed, unless the answers say something else by now.
    fn text(&self, slot: Slot, shared: &Shared) -> Field {
        let answered = slots::value(&shared.answers, slot.answer);
        let fresh = |text: &str| Field::new(text, 11);
        let mut probe = shared.answers.clone();
        match (self.typed.get(slot.name), answered) {
            (Some(field), Some(answered)) => {
                let valid = slots::set(&mut probe, slot.answer, Some(field.text())).is_ok();
                let same = slots::value(&probe, slot.answer).is_some_and(|typed| typed == answered);
                if valid && !same {
                    fresh(&answered)
                } else {
                    field.clone()
                }
            }
            (Some(field), None) => field.clone(),
            (None, Some(answered)) => fresh(&answered),
            (None, None) => fresh(slots::need_of(slot, shared).map_or("", |need| &need.ports)),
        }
    }

    /// What is wrong with the text of a slot that is on.
    fn mistake(&self, slot: Slot, shared: &Shared) -> Option<String> {
        slots::value(&shared.answers, slot.answer)?;
        let text = self.text(slot, shared);
        let mut probe = shared.answers.clone();
        slots::set(&mut probe, slot.answer, Some(text.text()))
            .err()
            .map(|why| format!("{}: {why}", slot.name))
    }

    fn sources(&self, shared: &Shared) -> Field {
        match &self.networks {
            Some(field)
                if networks(field.text()).is_ok_and(|n| n != shared.answers.firewall.sources)
                    && !self.waiting(shared) =>
            {
                Field::new(&words::networks(&shared.answers.firewall.sources), 200)
            }
            Some(field) => field.clone(),
            None => Field::new(&words::networks(&shared.answers.firewall.sources), 200),
        }
    }

    /// Whether the answers say everyone, while the field keeps networks for later.
    fn waiting(&self, shared: &Shared) -> bool {
        shared.answers.firewall.sources.is_empty()
    }

    fn only(&self, shared: &Shared) -> bool {
        self.only || !shared.answers.firewall.sources.is_empty()
    }

    fn problem(&self, shared: &Shared) -> Option<String> {
        slots::offered(shared)
            .into_iter()
            .find_map(|(slot, _)| self.mistake(slot, shared))
            .or_else(|| slots::mistake(shared))
            .or_else(|| {
                if !self.only(shared) {
                    return None;
                }
                match networks(self.sources(shared).text()) {
                    Err(why) => Some(why),
                    Ok(nets) if nets.is_empty() => {
                        Some("name at least one network, or choose everyone".to_owned())
                    }
                    Ok(_) => None,
                }
            })
    }

    fn next(&self, shared: &Shared) -> Next {
        Next::from(self.problem(shared).is_none())
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        let stop = self.stop();
        let handled = match (key, stop) {
            (Key::Enter, _) => return press(self.focus.button(PARTS), self.next(shared)),
            (Key::F(2), _) => {
                return Some(Nav::Show {
                    title: "Why these ports".to_owned(),
                    text: in_full(shared),
                });
            }
            (Key::Up | Key::Down, Some(_)) => {
                self.move_line(key, shared);
                Handled::Yes
            }
            (_, Some(Stop::Mark(slot))) => self.mark(key, slot, shared),
            (_, Some(Stop::Port(slot))) => self.edit(key, slot, shared),
            (Key::Char(' '), Some(Stop::Extra(place))) => toggle_extra(place, shared),
            (Key::Char(' '), Some(Stop::Everyone)) => {
                self.only = false;
                shared.answers.firewall.sources.clear();
                Handled::Yes
            }
            (_, Some(Stop::Networks)) => self.edit_networks(key, shared),
            (Key::Char(' '), Some(Stop::Conf)) => {
                let conf = &mut shared.answers.aspera_conf;
                *conf = match conf {
                    AsperaConf::Set => AsperaConf::Leave,
                    AsperaConf::Leave => AsperaConf::Set,
                };
                Handled::Yes
            }
            (_, Some(Stop::Everyone | Stop::Extra(_) | Stop::Conf) | None) => Handled::No,
        };
        if handled == Handled::No {
            self.move_focus(key, shared);
        }
        None
    }

    /// Switches a slot on or off. What stood in its field stays there.
    fn mark(&mut self, key: Key, slot: Slot, shared: &mut Shared) -> Handled {
        match key {
            Key::Right => {
                self.focus = Focus::on(self.focus.part() + 1);
                return Handled::Yes;
            }
            Key::Char(' ') => {}
            _ => return Handled::No,
        }
        let field = self.text(slot, shared);
        let on = slots::value(&shared.answers, slot.answer).is_some();
        let text = (!on).then_some(field.text());
        // A text that is no port stays off; the field shows it, and typing there switches the slot on.
        let _ = slots::set(&mut shared.answers, slot.answer, text);
        self.typed.insert(slot.name, field);
        Handled::Yes
    }

    /// Types into the field of a slot; that switches it on.
    fn edit(&mut self, key: Key, slot: Slot, shared: &mut Shared) -> Handled {
        let mut field = self.text(slot, shared);
        let range = slot.answer == PortAnswer::FaspUdp;
        let fits = |sign: char| sign.is_ascii_digit() || (range && sign == '-');
        let handled = match key {
            Key::Char(sign) if !fits(sign) => Handled::Yes,
            other => field.handle(other),
        };
        if handled == Handled::Yes {
            if super::types(key) {
                let _ = slots::set(&mut shared.answers, slot.answer, Some(field.text()));
            }
            self.typed.insert(slot.name, field);
        }
        handled
    }

    fn edit_networks(&mut self, key: Key, shared: &mut Shared) -> Handled {
        let mut field = self.sources(shared);
        let handled = field.handle(key);
        if handled == Handled::Yes {
            self.put_networks(field, shared);
        }
        handled
    }

    fn put_networks(&mut self, field: Field, shared: &mut Shared) {
        self.only = true;
        if let Ok(nets) = networks(field.text()) {
            shared.answers.firewall.sources = nets;
        }
        self.networks = Some(field);
    }

    fn view_slot(&self, canvas: &mut Canvas<'_, '_>, y: u16, slot: Slot, need: &Need, shared: &Shared) {
        let at = self.stop();
        let on = slots::value(&shared.answers, slot.answer).is_some();
        canvas.choice(0, y, Mark::check(on), at == Some(Stop::Mark(slot)), slot.name);
        canvas.text(25, y, need.protocol.to_string().to_uppercase());
        let field = self.text(slot, shared);
        canvas.field(FIELD_AT, y, FIELD_WIDTH, &field, at == Some(Stop::Port(slot)));
        if at == Some(Stop::Port(slot)) {
            canvas.text(0, y, ">");
        }
        let usual = match need.default {
            NeedDefault::On => format!("({})", need.ports),
            _ => format!("({}, off)", need.ports),
        };
        canvas.text(44, y, usual);
        if let (PortAnswer::VlinkUdp, Some(vlink)) = (slot.answer, &shared.answers.vlink) {
            canvas.text(58, y, format!("group {}", vlink.group));
        }
    }

    fn view_extra(&self, canvas: &mut Canvas<'_, '_>, y: u16, place: usize, need: &Need, shared: &Shared) {
        let on = shared.answers.extra.contains(&need.id);
        let focused = self.stop() == Some(Stop::Extra(place));
        canvas.choice(0, y, Mark::check(on), focused, &need.id);
        canvas.text(25, y, need.protocol.to_string().to_uppercase());
        canvas.text(FIELD_AT + 1, y, need.ports.as_str());
        canvas.text(44, y, "(fixed, off)");
        if need.direction == Direction::Out {
            canvas.text(58, y, "on the way out");
        }
    }

    /// Why the port is needed on which the keys came to rest.
    fn reason(&self, shared: &Shared) -> String {
        match *self.told.shown() {
            Some(Stop::Mark(slot) | Stop::Port(slot)) => slots::need_of(slot, shared)
                .map(|need| format!("{}: {} Source: {}", slot.name, need.why, need.source))
                .unwrap_or_default(),
            Some(Stop::Extra(place)) => slots::extras(shared)
                .get(place)
                .map(|need| format!("{}: {} Source: {}", need.id, need.why, need.source))
                .unwrap_or_default(),
            Some(Stop::Conf) => format!(
                "{}. Set: one more step of the change, with a way back. Services that read the file are named, not \
                 restarted.",
                slots::conf_differs(shared).join("; ")
            ),
            _ => "Networks limit who may reach the opened ports. Rules are written for IPv4 and IPv6; \
                  a family of which no network is named stays shut."
                .to_owned(),
        }
    }
}

/// The stop whose reason belongs to a stop: a port and its mark have the same.
fn told(stop: Option<Stop>) -> Option<Stop> {
    match stop {
        Some(Stop::Port(slot)) => Some(Stop::Mark(slot)),
        Some(Stop::Networks) => Some(Stop::Everyone),
        other => other,
    }
}

fn toggle_extra(place: usize, shared: &mut Shared) -> Handled {
    if let Some(id) = slots::extras(shared).get(place).map(|need| need.id.clone()) {
        let extra = &mut shared.answers.extra;
        match extra.iter().position(|one| *one == id) {
            Some(at) => drop(extra.remove(at)),
            None => extra.push(id),
        }
    }
    Handled::Yes
}

fn in_full(shared: &Shared) -> String {
    let named = slots::offered(shared)
        .into_iter()
        .map(|(slot, need)| (slot.name, need));
    let extras = slots::extras(shared)
        .into_iter()
        .map(|need| (need.id.as_str(), need));
    named
        .chain(extras)
        .map(|(name, need)| {
            let when = if need.condition.is_empty() {
                String::new()
            } else {
                format!("  When: {}\n", need.condition)
            };
            format!(
                "{}, {}/{}\n  {}\n{when}  Source: {}\n",
                name,
                need.protocol.to_string().to_uppercase(),
                need.ports,
                need.why,
                need.source
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

impl Page for OptionsPage {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => {
                let nav = self.key(*key, shared);
                self.told.after_key(&told(self.stop()));
                return nav;
            }
            Event::Tick(millis) => {
                let stop = told(self.stop());
                self.told.pass(*millis, || stop);
            }
            Event::Entered => {
                self.focus.off_buttons(PARTS, 0);
                if !shown(self.focus.part(), shared) {
                    let first = (0..PARTS).find(|part| shown(*part, shared));
                    self.focus = Focus::on(first.unwrap_or(EVERYONE));
                }
                self.told.at_once(told(self.stop()));
            }
            Event::Paste(text) => match self.stop() {
                Some(Stop::Networks) => {
                    let mut field = self.sources(shared);
                    field.insert(text);
                    self.put_networks(field, shared);
                }
                Some(Stop::Port(slot)) => {
                    for sign in text.chars() {
                        self.edit(Key::Char(sign), slot, shared);
                    }
                }
                _ => {}
            },
            _ => {}
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let name = super::chosen_role(shared).map_or("this role", |role| role.name.as_str());
        canvas.text(1, 0, format!("Other ports of: {name}"));
        canvas.text(area.width.saturating_sub(22), 0, "the usual port in ( )");
        let mut y = 1;
        for (slot, need) in slots::offered(shared) {
            self.view_slot(&mut canvas, y, slot, need, shared);
            y += 1;
        }
        for (place, need) in slots::extras(shared).into_iter().take(EXTRAS).enumerate() {
            self.view_extra(&mut canvas, y, place, need, shared);
            y += 1;
        }
        y += 1;
        let at = self.stop();
        let only = self.only(shared);
        canvas.text(1, y, "Who may reach them?");
        canvas.choice(
            0,
            y + 1,
            Mark::radio(!only),
            at == Some(Stop::Everyone),
            "everyone                 0.0.0.0/0 and ::/0",
        );
        canvas.choice(
            0,
            y + 2,
            Mark::radio(only),
            at == Some(Stop::Networks),
            "only these networks",
        );
        let width = area.width.saturating_sub(FIELD_AT + 3).min(80);
        canvas.field(
            FIELD_AT,
            y + 2,
            width,
            &self.sources(shared),
            at == Some(Stop::Networks),
        );
        canvas.text(
            5,
            y + 3,
            "with commas, IPv4 or IPv6, such as 192.0.2.0/24, 2001:db8::/32",
        );
        y += 4;
        let differ = slots::conf_differs(shared).len();
        if differ > 0 {
            let count = if differ == 1 {
                String::from("1 value differs")
            } else {
                format!("{differ} values differ")
            };
            let set = shared.answers.aspera_conf == AsperaConf::Set;
            let text = format!("set the ports in aspera.conf too   ({count})");
            canvas.choice(0, y, Mark::check(set), at == Some(Stop::Conf), &text);
        }
        y += 1;
        let wide = area.width.min(100).saturating_sub(2);
        let room = area.height.saturating_sub(y);
        let mut foot = canvas.part(Rect::new(1, y, wide, room));
        below(&mut foot, 0, 0, wide, &self.reason(shared));
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        if let Some(problem) = self.problem(shared) {
            return (Tone::Bad, problem);
        }
        let ports = slots::opened(shared);
        let text = match ports.len() {
            0 => "nothing is opened for others".to_owned(),
            1 => format!("1 port: {}", ports.join(", ")),
            count => format!("{count} ports: {}", ports.join(", ")),
        };
        (Tone::Good, text)
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        back_and_next(self.next(shared))
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(PARTS)
    }

    fn in_text_field(&self) -> bool {
        matches!(self.stop(), Some(Stop::Port(_) | Stop::Networks))
    }

    fn next_tick(&self) -> Option<u64> {
        self.told.next_tick()
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "ports beside SSH, each with its usual number. Off means that it is not opened.",
            ),
            (
                "fasp data",
                "one UDP port serves any number of sessions on Linux; a range is written 33001-33100.",
            ),
            (
                "Networks",
                "with commas, IPv4 or IPv6, such as 192.0.2.0/24, 2001:db8::/32.",
            ),
        ]
    }
}
