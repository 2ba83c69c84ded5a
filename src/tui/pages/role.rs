//! Which Aspera product runs here, and what that opens.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Next, back_and_next, chosen_role, need, press, row, slots};
use crate::answers::Answers;
use crate::catalogue::{Need, NeedDefault, Role};
use crate::port::Direction;
use crate::tui::widgets::{Canvas, Focus, Following, Handled, Mark, Scroll, move_in_list, wrap};
use crate::tui::{Button, Event, Key, Nav, Page, Shared, Tone, theme};

const LIST: usize = 0;
const PARTS: usize = 1;
const BUTTONS: usize = 2;

/// The page.
#[derive(Default)]
pub struct RolePage {
    focus: Focus,
    /// The operator chose; what is found on the host does not choose any more.
    decided: bool,
    /// The answers of the roles that were chosen before, by role: coming back to one loses nothing.
    shelf: BTreeMap<String, Answers>,
    /// The role that the right side tells about.
    told: Following<String>,
}

impl RolePage {
    /// Chooses a role: its own answers of before, or its defaults, with what was answered meanwhile.
    fn choose(&mut self, id: &str, shared: &mut Shared) {
        if shared.answers.role == id {
            return;
        }
        let Some(role) = shared.roles.iter().find(|role| role.id == id) else {
            return;
        };
        let mut answers = match self.shelf.get(id) {
            Some(kept) => kept.clone(),
            None => Answers::for_role(role),
        };
        match chosen_role(shared) {
            Some(before) => carry(before, &shared.answers, role, &mut answers),
            None => answers.firewall.clone_from(&shared.answers.firewall),
        }
        let before = std::mem::replace(&mut shared.answers, answers);
        self.shelf.insert(before.role.clone(), before);
    }

    /// The role of the product that was found is chosen, unless the operator has chosen or resumed.
    fn preselect(&mut self, shared: &mut Shared) {
        let resumed = shared
            .remembered
            .as_ref()
            .is_some_and(|earlier| earlier.answers == shared.answers);
        let found = shared
            .facts
            .aspera
            .as_ref()
            .and_then(|aspera| aspera.role.clone());
        if let (Some(found), false, false) = (found, self.decided, resumed) {
            self.choose(&found, shared);
        }
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        match key {
            Key::Enter => {
                self.decided |= self.focus.button(PARTS) != Some(0);
                return press(self.focus.button(PARTS), next(shared));
            }
            Key::F(2) => {
                let role = chosen_role(shared)?;
                return Some(Nav::Show {
                    title: role.name.clone(),
                    text: in_full(role),
                });
            }
            _ => {}
        }
        if self.focus.handle(key, PARTS, BUTTONS) == Handled::Yes || self.focus.part() != LIST {
            return None;
        }
        let mut at = position(shared);
        if move_in_list(&mut at, key, shared.roles.len(), 8) == Handled::Yes {
            self.decided = true;
            let id = shared.roles.get(at).map(|role| role.id.clone())?;
            self.choose(&id, shared);
        }
        None
    }

    fn view_list(&self, canvas: &mut Canvas<'_, '_>, part: Rect, shared: &Shared) {
        let inside = canvas.panel(part, "Which Aspera product runs here?");
        let found = shared
            .facts
            .aspera
            .as_ref()
            .filter(|aspera| aspera.role.is_some());
        let room = inside.height.saturating_sub(3);
        let at = position(shared);
        let mut scroll = Scroll::default();
        scroll.reveal(at, room);
        let top = scroll.top(shared.roles.len(), room);
        let mut window = canvas.part(inside);
        let focused = self.focus.part() == LIST;
        for ((number, role), y) in shared.roles.iter().enumerate().skip(top).zip(1..=room) {
            let on = role.id == shared.answers.role;
            window.choice(0, y, Mark::radio(on), focused && number == at, &role.name);
        }
        if focused && chosen_role(shared).is_none() {
            window.cursor(2, 1);
        }
        let foot = inside.height.saturating_sub(1);
        match found {
            Some(aspera) => window.text(
                2,
                foot,
                format!("found here: {} {}", short(&aspera.product), aspera.version),
            ),
            None if shared.roles.len() > usize::from(room) => {
                window.text(2, foot, scroll.position(shared.roles.len(), room));
            }
            None => {}
        }
    }
}

/// The product's name without the maker's.
fn short(product: &str) -> &str {
    product.trim_start_matches("IBM ").trim_start_matches("Aspera ")
}

fn position(shared: &Shared) -> usize {
    shared
        .roles
        .iter()
        .position(|role| role.id == shared.answers.role)
        .unwrap_or(0)
}

fn next(shared: &Shared) -> Next {
    Next::from(chosen_role(shared).is_some())
}

/// Takes over what both roles know: SSH, the firewall, the ports. A port that was off stays off, unless the new role
/// has it on by default.
fn carry(before: &Role, from: &Answers, role: &Role, to: &mut Answers) {
    to.firewall.clone_from(&from.firewall);
    to.accept.clone_from(&from.accept);
    if before.takes_ssh() && role.takes_ssh() {
        to.ssh.clone_from(&from.ssh);
    }
    for slot in slots::SLOTS {
        let (Some(_), Some(need)) = (need(before, slot.answer), need(role, slot.answer)) else {
            continue;
        };
        let port = slots::value(from, slot.answer);
        if port.is_some() || need.default == NeedDefault::Off {
            // Comes from answers that were valid, so that it fits.
            let _ = slots::set(to, slot.answer, port.as_deref());
        }
    }
    let known = |id: &&String| role.extras().any(|need| need.id == **id);
    for id in from.extra.iter().filter(known) {
        if !to.extra.contains(id) {
            to.extra.push(id.clone());
        }
    }
}

/// One line about a need: `in  TCP 33001  ssh`, with `opt` for what has to be asked for.
fn in_brief(need: &Need) -> Option<String> {
    let when = match (need.default, need.direction) {
        (NeedDefault::Loopback, _) => return None,
        (NeedDefault::Off, _) => "opt",
        (NeedDefault::On, Direction::In) => "in",
        (NeedDefault::On, Direction::Out) => "out",
    };
    let protocol = need.protocol.to_string().to_uppercase();
    Some(format!("{when:<3} {protocol} {:<6} {}", need.ports, need.id))
}

/// Every port of a role with its reason and its source.
pub fn in_full(role: &Role) -> String {
    let mut text = format!("{}\n", role.summary);
    if !role.aliases.is_empty() {
        text.push_str(&format!("Also known as: {}.\n", role.aliases.join(", ")));
    }
    for need in &role.needs {
        let default = match need.default {
            NeedDefault::On => "part of the role",
            NeedDefault::Off => "only when it is chosen",
            NeedDefault::Loopback => "must not be reachable from outside, never opened",
        };
        text.push_str(&format!(
            "\n{}/{} {} {}: {default}\n  {}\n",
            need.protocol.to_string().to_uppercase(),
            need.ports,
            need.direction,
            need.id,
            need.why
        ));
        if !need.condition.is_empty() {
            text.push_str(&format!("  When: {}\n", need.condition));
        }
        text.push_str(&format!("  Source: {}\n", need.source));
    }
    text
}

fn view_ports(canvas: &mut Canvas<'_, '_>, part: Rect, role: &Role) {
    let inside = canvas.panel(part, "What this opens");
    let mut window = canvas.part(inside);
    let width = usize::from(inside.width.saturating_sub(2));
    let reserve = usize::from(inside.height.saturating_sub(9)).max(4);
    let mut lines: Vec<String> = vec![String::new()];
    let ports: Vec<String> = role.needs.iter().filter_map(in_brief).collect();
    let shown = ports.len().min(reserve);
    lines.extend(ports.iter().take(shown).cloned());
    if ports.is_empty() {
        lines.push("nothing".to_owned());
    } else if shown < ports.len() {
        lines.push(format!("... {} more, F2 shows them", ports.len() - shown));
    }
    lines.push(String::new());
    lines.extend(wrap(&role.summary, width));
    if let Some(first) = role.needs.first() {
        lines.push(String::new());
        lines.extend(wrap(&format!("Why: {}", first.why), width));
        lines.extend(wrap(&format!("Source: {}", first.source), width));
    }
    let room = usize::from(inside.height.saturating_sub(1));
    for (line, y) in lines.iter().take(room).zip(0..) {
        window.text(1, y, line.as_str());
    }
    window.text(1, row(room), Line::styled("F2 shows the full text", theme::BOLD));
}

impl Page for RolePage {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => {
                let nav = self.key(*key, shared);
                self.told.after_key(&shared.answers.role);
                return nav;
            }
            Event::Tick(millis) => self.told.pass(*millis, || shared.answers.role.clone()),
            Event::Detecting(_) | Event::Detected(_) => {
                self.preselect(shared);
                self.told.at_once(shared.answers.role.clone());
            }
            Event::Entered => {
                self.focus.off_buttons(PARTS, 0);
                self.told.at_once(shared.answers.role.clone());
            }
            _ => {}
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let height = area.height.saturating_sub(2);
        let left = area.width / 2 + 3;
        self.view_list(&mut canvas, Rect::new(0, 0, left, height), shared);
        let right = Rect::new(left, 0, area.width - left, height);
        let told = shared.roles.iter().find(|role| role.id == *self.told.shown());
        match told {
            Some(role) => view_ports(&mut canvas, right, role),
            None => drop(canvas.panel(right, "What this opens")),
        }
        canvas.text(
            3,
            height,
            "Not sure? Choose the product whose licence is installed on a test machine.",
        );
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        let found = shared
            .facts
            .aspera
            .as_ref()
            .and_then(|aspera| aspera.role.as_ref());
        match (chosen_role(shared), found) {
            (None, _) => (Tone::Bad, "choose a role".to_owned()),
            (Some(_), Some(found)) if found != self.told.shown() => (
                Tone::Warn,
                "the product that was found here has another role".to_owned(),
            ),
            (Some(_), _) => (Tone::Plain, String::new()),
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        back_and_next(next(shared))
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(PARTS)
    }

    fn in_text_field(&self) -> bool {
        false
    }

    fn next_tick(&self) -> Option<u64> {
        self.told.next_tick()
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "which Aspera product runs on this host. The right side shows the ports that follow from it.",
            ),
            (
                "in out opt",
                "opened for others, needed on the way out, only when it is chosen on page 4.",
            ),
        ]
    }
}
