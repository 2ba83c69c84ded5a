//! W2: which Aspera product runs here, and what that opens.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Next, back_and_next, chosen_role, need, press, row};
use crate::answers::{Answers, HttpPorts, Vlink};
use crate::catalogue::{Need, NeedDefault, PortAnswer, Role};
use crate::port::{Direction, PortRange};
use crate::tui::widgets::{Canvas, Focus, Handled, Mark, Scroll, move_in_list, wrap};
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
    /// Answers that the present role has no use for, for the case that the operator comes back to one that has.
    shelf: Option<Answers>,
}

impl RolePage {
    /// Chooses a role and fits the answers to it.
    fn choose(&mut self, id: &str, shared: &mut Shared) {
        if shared.answers.role == id {
            return;
        }
        let Some(role) = shared.roles.iter().find(|role| role.id == id) else {
            return;
        };
        let shelf = self.shelf.get_or_insert_with(|| shared.answers.clone());
        keep(&shared.answers, shelf);
        shared.answers.role = id.to_owned();
        fit(&mut shared.answers, role, shelf);
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

/// Puts the answers that are there on the shelf.
fn keep(answers: &Answers, shelf: &mut Answers) {
    let pair = |from: HttpPorts, to: &mut HttpPorts| {
        to.http = from.http.or(to.http);
        to.https = from.https.or(to.https);
    };
    pair(answers.http_fallback, &mut shelf.http_fallback);
    pair(answers.web_ui, &mut shelf.web_ui);
    shelf.node_api = answers.node_api.or(shelf.node_api);
    if answers.vlink.is_some() {
        shelf.vlink.clone_from(&answers.vlink);
    }
}

/// Gives every answer that the role has a use for its value from the shelf, or the catalogue's if it is on by default;
/// takes away those it has no use for.
fn fit(answers: &mut Answers, role: &Role, shelf: &Answers) {
    let port = |answer: PortAnswer, kept: Option<u16>| {
        let need = need(role, answer)?;
        let usual = need.ports.parse::<PortRange>().ok().map(PortRange::first);
        kept.or(usual.filter(|_| need.default == NeedDefault::On))
    };
    answers.http_fallback = HttpPorts {
        http: port(PortAnswer::FallbackHttp, shelf.http_fallback.http),
        https: port(PortAnswer::FallbackHttps, shelf.http_fallback.https),
    };
    answers.web_ui = HttpPorts {
        http: port(PortAnswer::WebHttp, shelf.web_ui.http),
        https: port(PortAnswer::WebHttps, shelf.web_ui.https),
    };
    answers.node_api = port(PortAnswer::NodeHttps, shelf.node_api);
    let vlink: Option<&Vlink> = shelf.vlink.as_ref();
    answers.vlink = need(role, PortAnswer::VlinkUdp).and(vlink.cloned());
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
            Event::Key(key) => self.key(*key, shared),
            Event::Detecting(_) | Event::Detected(_) => {
                self.preselect(shared);
                None
            }
            _ => None,
        }
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let height = area.height.saturating_sub(2);
        let left = area.width / 2 + 3;
        self.view_list(&mut canvas, Rect::new(0, 0, left, height), shared);
        let right = Rect::new(left, 0, area.width - left, height);
        match chosen_role(shared) {
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
            (Some(role), Some(found)) if *found != role.id => (
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
