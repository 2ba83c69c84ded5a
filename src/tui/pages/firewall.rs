//! Which firewall owns this host, why, and what of it is left alone.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::facts::{BackendFact, BackendId, ChainFact, Facts, InboundDefault};
use crate::tui::theme;
use crate::tui::widgets::{Canvas, Focus, Following, Handled, Mark, cell, cells, move_in_list, wrap};
use crate::tui::{Button, Effect, Event, Key, Nav, Page, Shared, Tone, words};

const BUTTONS: usize = 2;
const NEXT: usize = 1;

/// The page.
#[derive(Debug, Default)]
pub struct Firewall {
    /// The row that is looked at.
    row: usize,
    focus: Focus,
    /// The row that the text below tells about.
    told: Following<usize>,
}

/// Whether this version can write rules for it on this host.
fn usable(facts: &Facts, fact: &BackendFact) -> bool {
    facts.backend == Some(fact.id)
}

/// The firewalls worth a row: those that are there first, as found; then the absent ones of this kind of system.
fn rows(facts: &Facts) -> Vec<&BackendFact> {
    let linux = [
        BackendId::Nftables,
        BackendId::Iptables,
        BackendId::Ufw,
        BackendId::Firewalld,
    ];
    let present = facts.backends.iter().filter(|fact| fact.installed);
    let absent = facts
        .backends
        .iter()
        .filter(|fact| !fact.installed && linux.contains(&fact.id));
    present.chain(absent).collect()
}

fn chain_name(chain: &ChainFact) -> String {
    format!("{} {} {}", chain.family, chain.table, chain.chain)
}

fn inbound(chain: &ChainFact) -> bool {
    chain.hook != "output"
}

/// Everything of others, and every base chain, for F3.
fn foreign_text(facts: &Facts) -> String {
    let mut text =
        String::from("faspwall adds rules of its own and takes only those away again.\n\nLeft alone\n");
    if facts.foreign.is_empty() {
        text += "  nothing was found\n";
    }
    for foreign in &facts.foreign {
        text += &format!("  {:>5} {} of {}\n", foreign.count, foreign.kind, foreign.owner);
    }
    text += "\nChains that a packet meets, in the order of their priority\n";
    let mut chains: Vec<&ChainFact> = facts.chains.iter().collect();
    chains.sort_by_key(|chain| (inbound(chain).cmp(&false).reverse(), chain.priority));
    for chain in chains {
        let drops = chain.drops.as_deref().unwrap_or("drops nothing");
        let owner = chain
            .owner
            .as_ref()
            .map_or_else(String::new, |owner| format!(", made by {owner}"));
        text += &format!(
            "  {} {} {:>5}  {drops}{owner}\n",
            chain.hook,
            chain_name(chain),
            chain.priority
        );
    }
    text
}

/// Which chains decide, and what happens at boot.
fn consequences(facts: &Facts) -> Vec<String> {
    let deciding: Vec<String> = facts
        .chains
        .iter()
        .filter(|chain| inbound(chain))
        .filter_map(|chain| Some(format!("{} ({})", chain_name(chain), chain.drops.as_ref()?)))
        .collect();
    let mut lines = Vec::new();
    match (deciding.is_empty(), facts.inbound_default) {
        (true, InboundDefault::Accept) => lines.push(
            "Nothing filters on this host: every port that has a listener can be reached already.".to_owned(),
        ),
        (true, policy) => lines.push(format!("A packet that no rule names: {policy}.")),
        (false, _) => {
            lines.push(format!(
                "Chains that can drop: {}. A packet must pass all of them.",
                deciding.join(", ")
            ));
        }
    }
    let unit = facts.boot.unit.as_deref().unwrap_or("nothing");
    let file = facts
        .boot
        .file
        .as_ref()
        .map_or_else(String::new, |file| format!(" loads {}", file.display()));
    lines.push(match facts.boot.enabled {
        Some(true) => format!("At boot: {unit}{file}."),
        Some(false) => format!("At boot: {unit}{file}, but it is not enabled."),
        None if facts.boot.file.is_some() => format!("At boot: what{file} could not be told."),
        None => "At boot: nothing was found that loads the rules.".to_owned(),
    });
    lines
}

fn why(facts: &Facts, fact: &BackendFact) -> String {
    let verdict = if usable(facts, fact) {
        "It carries the rules."
    } else if fact.installed {
        "It is not used for this change."
    } else {
        "It is not here."
    };
    format!("{}: {}. {verdict}", fact.id, fact.reason.trim_end_matches('.'))
}

impl Firewall {
    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        let count = rows(&shared.facts).len();
        if self.focus.handle(key, 1, BUTTONS) == Handled::Yes {
            return None;
        }
        if self.focus.button(1).is_none() && move_in_list(&mut self.row, key, count, 4) == Handled::Yes {
            return None;
        }
        match key {
            Key::Enter => match self.focus.button(1) {
                Some(0) => Some(Nav::Back),
                _ if shared.detected => Some(Nav::Next),
                _ => None,
            },
            Key::F(2) => Some(Nav::Show {
                title: "Why this firewall".to_owned(),
                text: "Rules belong where the tool that owns the policy looks for them. Rules written behind its back \
                       vanish at its next reload, and mixing two managers is the usual cause of rules that vanish. An \
                       accept never beats the drop of another chain, so a port is opened in every chain that could drop."
                    .to_owned(),
            }),
            Key::F(3) => {
                Some(Nav::Show { title: "Rules of others".to_owned(), text: foreign_text(&shared.facts) })
            }
            Key::F(5) => Some(Nav::Do(Effect::Detect)),
            _ => None,
        }
    }
}

impl Page for Firewall {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => {
                let nav = self.key(*key, shared);
                self.told.after_key(&self.row);
                return nav;
            }
            Event::Tick(millis) => {
                let row = self.row;
                self.told.pass(*millis, || row);
            }
            Event::Detected(facts) => {
                let place = rows(facts).iter().position(|fact| usable(facts, fact));
                self.row = place.unwrap_or(0);
                self.told.at_once(self.row);
            }
            Event::Entered => self.told.at_once(self.row),
            _ => {}
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let facts = &shared.facts;
        let mut canvas = Canvas::new(frame, area);
        let width = canvas.width().saturating_sub(2);
        canvas.text(1, 0, "Which firewall carries the rules?");
        canvas.styled(
            6,
            2,
            "found on this host          state          owns the rules  used here",
            theme::BOLD,
        );
        let rows = rows(facts);
        let at = self.row.min(rows.len().saturating_sub(1));
        if rows.is_empty() {
            canvas.choice(
                1,
                3,
                Mark::None,
                self.focus.button(1).is_none(),
                "looking at this host",
            );
        }
        for (number, fact) in rows.iter().enumerate().take(7) {
            let name = words::backend_name(fact);
            let rest = format!(
                "{} {} {}",
                cell(words::backend_state(fact), 14),
                cell(if fact.owner { "yes" } else { "no" }, 15),
                if usable(facts, fact) { "yes" } else { "no" }
            );
            let focused = number == at && self.focus.button(1).is_none();
            let y = 3 + cells(number);
            // The mark is on the name alone: a whole row in reverse costs a slow line as much as the text below.
            canvas.choice(
                1,
                y,
                Mark::radio(usable(facts, fact)),
                focused,
                cell(&name, 27).trim_end(),
            );
            canvas.text(34, y, rest);
        }
        let mut y = 4 + cells(rows.len().clamp(1, 7));
        if let Some(fact) = rows.get(*self.told.shown()) {
            y += canvas.paragraph(1, y, width, &why(facts, fact)) + 1;
        }
        if let Some(refusal) = facts.refusal.as_ref().filter(|_| facts.backend.is_none()) {
            let lines = wrap(refusal, usize::from(width.saturating_sub(4)));
            let frame_rows = (cells(lines.len()) + 2).min(canvas.height().saturating_sub(y));
            let inside = canvas.alarm(
                Rect::new(1, y, width, frame_rows),
                "NOTHING CAN BE APPLIED ON THIS HOST",
            );
            for (line, row) in lines.iter().zip(inside.y..inside.bottom()) {
                canvas.text(inside.x + 1, row, line.as_str());
            }
            y += frame_rows;
        } else if shared.detected {
            for line in consequences(facts) {
                y += canvas.paragraph(1, y, width, &line);
            }
        }
        if !facts.foreign.is_empty() && y + 1 < canvas.height() {
            let line = format!("Left alone (F3): {}.", words::foreign(facts));
            canvas.paragraph(1, y + 1, width, &line);
        }
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        let facts = &shared.facts;
        match facts.backend {
            _ if !shared.detected => (Tone::Busy, "looking at this host".to_owned()),
            Some(id) if facts.inbound_default == InboundDefault::Accept => {
                (Tone::Warn, format!("{id} is here, but nothing filters"))
            }
            Some(id) => (Tone::Good, format!("{id} carries the rules")),
            None => (
                Tone::Bad,
                "no firewall here that this version can change; the plan can still be seen".to_owned(),
            ),
        }
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        let buttons = vec![
            Button {
                label: "Back",
                enabled: true,
            },
            Button {
                label: "Next",
                enabled: shared.detected,
            },
        ];
        (buttons, NEXT)
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(1)
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
                "which firewall decides about packets that reach this host, and how that was found out.",
            ),
            (
                "used here",
                "the firewall that owns the rules is the one that is changed; there is nothing to choose wrongly.",
            ),
            (
                "Left alone",
                "rules of others stay as they are, before, during and after. F3 lists them.",
            ),
        ]
    }
}
