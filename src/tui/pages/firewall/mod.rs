//! Which firewall owns this host, why, what can be chosen about it, and what of it is left alone.

mod choices;

use ratatui::Frame;
use ratatui::layout::Rect;

use self::choices::{Stop, stops};
use crate::facts::{BackendFact, BackendId, ChainFact, Facts};
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
    /// How many stops there are before the buttons.
    parts: usize,
    /// The row that the text below tells about.
    told: Following<usize>,
}

/// Firewalls that are listed.
const LIST_ROWS: usize = 6;

/// Text broken to a width; what is longer than so many rows is cut, and says where the rest is.
fn shortened(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut lines = wrap(text, width);
    if lines.len() > rows {
        lines.truncate(rows);
        if let Some(last) = lines.last_mut() {
            let kept: String = last.chars().take(width.saturating_sub(9)).collect();
            *last = format!("{} ... (F2)", kept.trim_end());
        }
    }
    lines
}

/// Columns in front of a line: those with a weight leave room for its word.
fn indent(tone: Tone) -> u16 {
    if tone.word().is_empty() { 0 } else { 6 }
}

/// How many rows each line gets: one, and what is left goes to the weightier ones first.
fn share_out(needed: &[(Tone, usize)], room: usize) -> Vec<usize> {
    let mut rows = vec![1; needed.len()];
    let mut left = room.saturating_sub(needed.len());
    for wanted in [Tone::Bad, Tone::Warn, Tone::Plain] {
        for (rows, (_, needed)) in rows
            .iter_mut()
            .zip(needed)
            .filter(|(_, (tone, _))| *tone == wanted)
        {
            let more = needed.saturating_sub(1).min(left);
            *rows += more;
            left -= more;
        }
    }
    rows
}

/// Draws lines with their weight in front into so many rows; returns the row below them.
fn view_lines(canvas: &mut Canvas<'_, '_>, mut y: u16, room: u16, lines: &[(Tone, String)]) -> u16 {
    let width = |tone: Tone| usize::from(canvas.width().saturating_sub(2 + indent(tone)));
    let needed: Vec<(Tone, usize)> = lines
        .iter()
        .map(|(tone, line)| (*tone, wrap(line, width(*tone)).len()))
        .collect();
    let rows = share_out(&needed, usize::from(room));
    let texts: Vec<Vec<String>> = lines
        .iter()
        .zip(rows)
        .map(|((tone, line), rows)| shortened(line, width(*tone), rows))
        .collect();
    let end = y + room;
    for ((tone, _), text) in lines.iter().zip(texts) {
        if y < end {
            canvas.styled(1, y, tone.word(), tone.style());
        }
        for line in text {
            if y < end {
                canvas.text(1 + indent(*tone), y, line);
                y += 1;
            }
        }
    }
    y
}

/// Whether it carries the rules on this host.
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
    chains.sort_by_key(|chain| (words::inbound(chain).cmp(&false).reverse(), chain.priority));
    for chain in chains {
        let drops = chain.drops.as_deref().unwrap_or("drops nothing");
        let owner = chain
            .owner
            .as_ref()
            .map_or_else(String::new, |owner| format!(", made by {owner}"));
        text += &format!(
            "  {} {} {:>5}  {drops}{owner}\n",
            chain.hook,
            words::chain_name(chain),
            chain.priority
        );
    }
    text
}

fn why(facts: &Facts, fact: &BackendFact) -> String {
    let verdict = if usable(facts, fact) {
        "It carries the rules."
    } else if facts.also.contains(&fact.id) {
        "It drops packets too, and gets the accepts as well."
    } else if fact.installed {
        "It is not used for this change."
    } else {
        "It is not here."
    };
    format!("{}: {}. {verdict}", fact.id, fact.reason.trim_end_matches('.'))
}

/// Why it is this one, what comes of it, and what does not fit together: all of it, for F2.
fn in_full(shared: &Shared) -> String {
    let facts = &shared.facts;
    let mut text = String::from(
        "Rules belong where the tool that owns the policy looks for them. Rules written behind its back vanish at its \
         next reload, and mixing two managers is the usual cause of rules that vanish. An accept never beats the drop \
         of another chain, so a port is opened in every chain that could drop.\n",
    );
    if let Some(refusal) = &facts.refusal {
        text += &format!("\n{refusal}\n");
    }
    for (_, line) in words::consequences(facts) {
        text += &format!("\n{line}");
    }
    if words::nothing_filters(facts) {
        text += &format!(
            "\n\nA default-deny set would cut off: {}",
            words::joined(&words::cut_off(shared))
        );
    }
    for fact in rows(facts) {
        text += &format!("\n\n{}", why(facts, fact));
    }
    text
}

impl Firewall {
    /// The stop that has the focus; `None` on a button.
    fn stop(&self, shared: &Shared) -> Option<Stop> {
        stops(shared).get(self.focus.part()).copied()
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        let parts = stops(shared).len();
        let stop = self.stop(shared);
        if let Some(done) = stop.and_then(|stop| choices::key(stop, key, shared)) {
            return done;
        }
        if self.focus.handle(key, parts, BUTTONS) == Handled::Yes || self.arrow(key, stop, shared) {
            return None;
        }
        match key {
            Key::Enter => match self.focus.button(parts) {
                Some(0) => Some(Nav::Back),
                _ if shared.detected => Some(Nav::Next),
                _ => None,
            },
            Key::F(2) => Some(Nav::Show {
                title: "Why this firewall".to_owned(),
                text: in_full(shared),
            }),
            Key::F(3) => Some(Nav::Show {
                title: "Rules of others".to_owned(),
                text: foreign_text(&shared.facts),
            }),
            Key::F(5) => Some(Nav::Do(Effect::Detect)),
            _ => None,
        }
    }

    /// The arrows go through the firewalls, and on to the choices below them.
    fn arrow(&mut self, key: Key, stop: Option<Stop>, shared: &Shared) -> bool {
        let parts = stops(shared).len();
        let at = self.focus.part();
        let count = rows(&shared.facts).len();
        match (stop, key) {
            (None, _) => false,
            (Some(Stop::List), Key::Down) if self.row + 1 >= count && parts > 1 => {
                self.focus = Focus::on(1);
                true
            }
            (Some(Stop::List), _) => move_in_list(&mut self.row, key, count, 4) == Handled::Yes,
            (Some(_), Key::Down) => {
                self.focus = Focus::on((at + 1).min(parts - 1));
                true
            }
            (Some(_), Key::Up) => {
                self.focus = Focus::on(at - 1);
                true
            }
            _ => false,
        }
    }

    fn view_list(&self, canvas: &mut Canvas<'_, '_>, shared: &Shared) {
        let facts = &shared.facts;
        canvas.text(1, 0, "Which firewall carries the rules?");
        canvas.styled(
            6,
            1,
            "found on this host          state          owns the rules  used here",
            theme::BOLD,
        );
        let rows = rows(facts);
        let at = self.row.min(rows.len().saturating_sub(1));
        let on_list = self.stop(shared) == Some(Stop::List);
        if rows.is_empty() {
            canvas.choice(1, 2, Mark::None, on_list, "looking at this host");
        }
        for (number, fact) in rows.iter().enumerate().take(LIST_ROWS) {
            let rest = format!(
                "{} {} {}",
                cell(words::backend_state(fact), 14),
                cell(if fact.owner { "yes" } else { "no" }, 15),
                used(facts, fact)
            );
            let y = 2 + cells(number);
            // The mark is on the name alone: a whole row in reverse costs a slow line as much as the text below.
            canvas.choice(
                1,
                y,
                Mark::radio(usable(facts, fact)),
                on_list && number == at,
                cell(&words::backend_name(fact), 27).trim_end(),
            );
            canvas.text(34, y, rest);
        }
        let below = 2 + cells(rows.len().min(LIST_ROWS));
        for (kind, y) in facts.unmanaged.iter().zip(below..) {
            let name = cell(&words::unmanaged(kind), 27);
            canvas.text(6, y, format!("{name} in use         yes             by hand"));
        }
    }

    fn view_refusal(canvas: &mut Canvas<'_, '_>, y: u16, refusal: &str) -> u16 {
        let width = canvas.width().saturating_sub(2);
        let lines = wrap(refusal, usize::from(width.saturating_sub(4)));
        let rows = (cells(lines.len()) + 2).min(canvas.height().saturating_sub(y));
        let inside = canvas.alarm(
            Rect::new(1, y, width, rows),
            "NOTHING CAN BE APPLIED ON THIS HOST",
        );
        for (line, row) in lines.iter().zip(inside.y..inside.bottom()) {
            canvas.text(inside.x + 1, row, line.as_str());
        }
        if lines.len() > usize::from(inside.height) {
            let more = " F2 shows all of it ";
            canvas.text(width.saturating_sub(cells(more.len()) + 2), inside.bottom(), more);
        }
        rows
    }
}

/// The last column: which of them get rules.
fn used(facts: &Facts, fact: &BackendFact) -> &'static str {
    if usable(facts, fact) {
        "yes"
    } else if facts.also.contains(&fact.id) {
        "accepts only"
    } else {
        "no"
    }
}

impl Page for Firewall {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        self.parts = stops(shared).len();
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
                self.focus = Focus::default();
            }
            Event::Entered => {
                self.focus.off_buttons(self.parts, 0);
                self.told.at_once(self.row);
            }
            _ => {}
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let facts = &shared.facts;
        let mut canvas = Canvas::new(frame, area);
        let width = canvas.width().saturating_sub(2);
        self.view_list(&mut canvas, shared);
        let rows = rows(facts);
        let mut y = 3 + cells(rows.len().clamp(1, LIST_ROWS) + facts.unmanaged.len());
        if let Some(fact) = rows.get(*self.told.shown()) {
            y += canvas.paragraph(1, y, width, &why(facts, fact)) + 1;
        }
        match facts.refusal.as_ref().filter(|_| facts.backend.is_none()) {
            Some(refusal) => y += Self::view_refusal(&mut canvas, y, refusal),
            None if shared.detected => {
                let below = choices::height(shared, canvas.width()) + 1;
                let room = canvas.height().saturating_sub(y + below);
                y = view_lines(&mut canvas, y, room, &words::consequences(facts)) + 1;
                choices::view(&mut canvas, y, self.stop(shared), shared);
                y += below - 1;
            }
            None => {}
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
            Some(id) if words::nothing_filters(facts) => {
                (Tone::Warn, format!("{id} is here, but nothing filters"))
            }
            Some(_) if !words::sleeping(facts).is_empty() && !shared.answers.firewall.enable_at_boot => (
                Tone::Warn,
                "after a boot the rules would be gone: mark the choice above".to_owned(),
            ),
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
        self.focus.button(self.parts)
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
