//! TCP/22 would stay open. What to do about it, with the evidence of this host.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{Span, civil::Date};
use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Next, back_and_next, chosen_role, need, press};
use crate::answers::Legacy22;
use crate::catalogue::{Catalogue, PortAnswer};
use crate::facts::Session;
use crate::tui::widgets::{Canvas, Field, Focus, Handled, Mark, move_in_list};
use crate::tui::words::read_networks as networks;
use crate::tui::{Button, Event, Key, Nav, Page, Shared, Tone, theme, words};

const LIST: usize = 0;
const PARTS: usize = 1;
const BUTTONS: usize = 2;
/// What has to be typed to leave 22 open to everyone.
const OPEN_WORDS: &str = "open 22";
/// The advice that is accepted by typing it.
const CODE: &str = "FW001";
/// The port that is offered to someone who chose 22.
const OTHER_PORT: u16 = 33001;

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Close 22 after proof.
    Close,
    /// Only for certain networks.
    Restrict,
    /// Keep it for old clients until a day.
    Until,
    /// Take another port than 22; offered when 22 itself was chosen for sshd.
    Move,
    /// Leave it open to everyone.
    Open,
}

/// The page.
#[derive(Default)]
pub struct LegacyPage {
    focus: Focus,
    chosen: Option<Choice>,
    networks: Option<Field>,
    typed: Option<Field>,
    day: Option<Field>,
}

impl LegacyPage {
    fn choices(shared: &Shared) -> &'static [Choice] {
        if shared.answers.ssh.port == 22 {
            &[Choice::Move, Choice::Open]
        } else {
            &[Choice::Close, Choice::Restrict, Choice::Until, Choice::Open]
        }
    }

    /// The marked choice: the operator's, or what the answers say.
    fn chosen(&self, shared: &Shared) -> Choice {
        let offered = Self::choices(shared);
        let answered = match shared.answers.ssh.legacy_22 {
            Legacy22::Close => Choice::Close,
            Legacy22::Restrict => Choice::Restrict,
            Legacy22::Keep if shared.answers.ssh.keep_22_until.is_some() => Choice::Until,
            Legacy22::Keep => Choice::Open,
        };
        self.chosen
            .into_iter()
            .chain([answered, offered[0]])
            .find(|choice| offered.contains(choice))
            .unwrap_or(Choice::Close)
    }

    fn networks(&self, shared: &Shared) -> Field {
        let answered = &shared.answers.ssh.restrict_22_to;
        match &self.networks {
            Some(field) => field.clone(),
            None if answered.is_empty() => Field::new(&own_network(shared).unwrap_or_default(), 200),
            None => Field::new(&words::networks(answered), 200),
        }
    }

    /// What was typed to leave 22 open. An answers file that accepts the advice by its code has said it already.
    fn typed(&self, shared: &Shared) -> Field {
        match &self.typed {
            Some(field) => field.clone(),
            None if accepted(shared) => Field::new(OPEN_WORDS, 12),
            None => Field::new("", 12),
        }
    }

    /// The day of the reminder: what the answers say, else in thirty days.
    fn day(&self, shared: &Shared) -> Field {
        let usual = || {
            let today: Option<Date> = shared.today.parse().ok();
            today.and_then(|day| day.checked_add(Span::new().days(30)).ok())
        };
        match &self.day {
            Some(field) => field.clone(),
            None => {
                let day = shared.answers.ssh.keep_22_until.or_else(usual);
                Field::new(&day.map(|day| day.to_string()).unwrap_or_default(), 10)
            }
        }
    }

    /// Writes what is chosen into the answers. An unfinished choice leaves 22 to be closed.
    fn answer(&self, shared: &mut Shared) {
        let choice = self.chosen(shared);
        let open = choice == Choice::Open && self.typed(shared).text() == OPEN_WORDS;
        let nets = networks(self.networks(shared).text()).unwrap_or_default();
        let day = self.day(shared).text().parse::<Date>().ok();
        let answers = &mut shared.answers;
        answers.ssh.keep_22_until = day.filter(|_| choice == Choice::Until);
        answers.accept.retain(|code| code != CODE);
        answers.ssh.legacy_22 = match choice {
            Choice::Restrict if !nets.is_empty() => {
                answers.ssh.restrict_22_to = nets;
                Legacy22::Restrict
            }
            Choice::Until if day.is_some() => Legacy22::Keep,
            Choice::Open if open => {
                answers.accept.push(CODE.to_owned());
                Legacy22::Keep
            }
            _ => Legacy22::Close,
        };
    }

    fn problem(&self, shared: &Shared) -> Option<(Tone, String)> {
        match self.chosen(shared) {
            Choice::Close | Choice::Move => None,
            Choice::Open if self.typed(shared).text() == OPEN_WORDS => {
                Some((Tone::Warn, "TCP/22 stays open to everyone".to_owned()))
            }
            Choice::Open => Some((
                Tone::Bad,
                format!("to leave 22 open to everyone, type  {OPEN_WORDS}"),
            )),
            Choice::Until => match self.day(shared).text().parse::<Date>() {
                Ok(day) if shared.today.parse::<Date>().is_ok_and(|today| day <= today) => {
                    Some((Tone::Bad, "the day of the reminder has to come yet".to_owned()))
                }
                Ok(day) => Some((
                    Tone::Warn,
                    format!(
                        "TCP/22 stays open to everyone; from {day} on the status reminds you to close it"
                    ),
                )),
                Err(_) => Some((
                    Tone::Bad,
                    "the day is written year-month-day, such as 2027-01-31".to_owned(),
                )),
            },
            Choice::Restrict => match networks(self.networks(shared).text()) {
                Err(why) => Some((Tone::Bad, why)),
                Ok(nets) if nets.is_empty() => Some((Tone::Bad, "name at least one network".to_owned())),
                Ok(nets) => refused(&nets, shared).map(|why| (Tone::Bad, why)).or_else(|| {
                    outside(&nets, shared).map(|address| {
                        let text = format!("your own address {address} is not in these networks");
                        (Tone::Warn, text)
                    })
                }),
            },
        }
    }

    fn next(&self, shared: &Shared) -> Next {
        Next::from(!matches!(self.problem(shared), Some((Tone::Bad, _))))
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        match key {
            Key::Enter => {
                let nav = press(self.focus.button(PARTS), self.next(shared));
                if nav == Some(Nav::Next) {
                    self.answer(shared);
                    if self.chosen(shared) == Choice::Move {
                        shared.answers.ssh.port = OTHER_PORT;
                        self.chosen = Some(Choice::Close);
                    }
                }
                return nav;
            }
            Key::F(2) => {
                return Some(Nav::Show {
                    title: "Why TCP/22 should be closed".to_owned(),
                    text: why(shared),
                });
            }
            _ => {}
        }
        if self.focus.part() != LIST {
            self.focus.handle(key, PARTS, BUTTONS);
            return None;
        }
        let offered = Self::choices(shared);
        let chosen = self.chosen(shared);
        let mut at = offered.iter().position(|choice| *choice == chosen).unwrap_or(0);
        if matches!(key, Key::Up | Key::Down) {
            move_in_list(&mut at, key, offered.len(), 1);
            self.chosen = offered.get(at).copied();
        } else if self.edit(key, chosen, shared) == Handled::No {
            self.focus.handle(key, PARTS, BUTTONS);
        }
        self.answer(shared);
        None
    }

    fn edit(&mut self, key: Key, chosen: Choice, shared: &Shared) -> Handled {
        match chosen {
            Choice::Restrict => {
                let mut field = self.networks(shared);
                let handled = field.handle(key);
                self.networks = Some(field);
                handled
            }
            Choice::Open => {
                let mut field = self.typed(shared);
                let handled = field.handle(key);
                self.typed = Some(field);
                handled
            }
            Choice::Until => {
                let mut field = self.day(shared);
                let handled = field.handle(key);
                self.day = Some(field);
                handled
            }
            Choice::Close | Choice::Move => Handled::No,
        }
    }

    /// What is now, what would be, and why that matters.
    fn view_evidence(&self, page: &mut Canvas<'_, '_>, shared: &Shared) {
        let port = shared.answers.ssh.port;
        let intro = if port == 22 {
            "You chose 22 for sshd: anyone on the Internet can reach it there."
        } else {
            "sshd moves, but anyone can still reach port 22 unless it is closed."
        };
        page.text(0, 1, intro);
        let listens = shared.facts.ssh.ports.contains(&22);
        page.text(
            2,
            3,
            format!(
                "now       everyone   -> TCP/22     {}",
                if listens { "sshd answers" } else { "not in use" }
            ),
        );
        let (who, then) = match (port, self.chosen(shared)) {
            (22, Choice::Open) | (_, Choice::Open) => ("everyone  ", "open    <-- this line"),
            (_, Choice::Until) => ("everyone  ", "open, with a reminder  <-- this line"),
            (_, Choice::Restrict) => ("these nets", "open, shut for all others"),
            (_, Choice::Close | Choice::Move) => ("everyone  ", "CLOSED, after proof"),
        };
        page.text(2, 4, format!("planned   {who} -> TCP/22     {then}"));
        let new = match (port, self.chosen(shared)) {
            (22, Choice::Move) => Some(OTHER_PORT),
            (22, _) => None,
            (port, _) => Some(port),
        };
        if let Some(new) = new {
            page.text(
                2,
                5,
                format!(
                    "planned   {:<10} -> TCP/{new:<6} open",
                    if shared.answers.firewall.sources.is_empty() {
                        "everyone"
                    } else {
                        "your list"
                    }
                ),
            );
        }
        if let Some(failed) = shared.facts.ssh.failed_logins.filter(|failed| *failed > 0) {
            let line = format!(
                "sshd logged {} failed logins in the last 24 hours here.",
                grouped(failed)
            );
            page.styled(0, 7, &line, theme::BOLD);
        }
        page.text(
            0,
            8,
            "IBM asks for another port than 22 and for 22 to be closed.  F2 source",
        );
    }

    fn view_choices(&self, canvas: &mut Canvas<'_, '_>, top: u16, shared: &Shared) {
        let port = shared.answers.ssh.port;
        let chosen = self.chosen(shared);
        let here = self.focus.part() == LIST;
        let mut y = top;
        for choice in Self::choices(shared) {
            let on = *choice == chosen;
            let text = match choice {
                Choice::Close => format!("Close 22 after I have proved that {port} works (recommended)"),
                Choice::Restrict => "Keep 22, but only from:".to_owned(),
                Choice::Until => "Keep 22 for old clients, remind me on:".to_owned(),
                Choice::Move => format!("Use {OTHER_PORT} for sshd, and close 22 after proof (recommended)"),
                Choice::Open => {
                    format!("Keep 22 open to everyone. To choose this, type  {OPEN_WORDS}  here:")
                }
            };
            canvas.choice(0, y, Mark::radio(on), on && here, &text);
            match choice {
                Choice::Restrict => {
                    let width = canvas.width().saturating_sub(32).min(60);
                    canvas.field(29, y, width, &self.networks(shared), on && here);
                }
                Choice::Until => canvas.field(44, y, 11, &self.day(shared), on && here),
                Choice::Open => {
                    y += 1;
                    canvas.field(5, y, 12, &self.typed(shared), on && here);
                }
                Choice::Close | Choice::Move => {}
            }
            y += 1;
        }
    }
}

fn accepted(shared: &Shared) -> bool {
    shared.answers.ssh.legacy_22 == Legacy22::Keep && shared.answers.accept.iter().any(|code| code == CODE)
}

/// The network that the operator comes from: the /24 or the /64 around the address.
fn own_network(shared: &Shared) -> Option<String> {
    let address = shared.facts.session.as_ref()?.client?;
    let length = match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    };
    Some(IpNet::new(address, length).ok()?.trunc().to_string())
}

/// What an answers file with these networks would be refused for.
fn refused(nets: &[IpNet], shared: &Shared) -> Option<String> {
    let mut answers = shared.answers.clone();
    answers.ssh.legacy_22 = Legacy22::Restrict;
    answers.ssh.restrict_22_to = nets.to_vec();
    answers
        .check(Catalogue::builtin())
        .into_iter()
        .find(|mistake| mistake.key.starts_with("ssh."))
        .map(|mistake| mistake.fault.to_string())
}

/// The operator's address, if the networks leave it out.
fn outside(nets: &[IpNet], shared: &Shared) -> Option<IpAddr> {
    let address = shared.facts.session.as_ref()?.client?;
    (!nets.iter().any(|net| net.contains(&address))).then_some(address)
}

/// A number with commas between the thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn why(shared: &Shared) -> String {
    let need = chosen_role(shared).and_then(|role| need(role, PortAnswer::SshPort));
    let vendor = need.map_or_else(String::new, |need| {
        format!("{}\nSource: {}\n\n", need.why, need.source)
    });
    vendor
        + "Port scanners try TCP/22 of every address all day. A transfer server has accounts whose names are known to \
           others, so the vendor asks for another port and for 22 to be shut.\n\n\
           Closing happens last: first sshd answers on the new port, then somebody has to log in there. Sessions that \
           are open stay open. Old clients have to name the new port:  ascp -P PORT  or the port field of the \
           connection."
}

impl Page for LegacyPage {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => return self.key(*key, shared),
            Event::Entered => {
                self.focus.off_buttons(PARTS, LIST);
                self.chosen = Some(self.chosen(shared));
            }
            // The words that leave 22 open have to be typed.
            Event::Paste(text) if self.focus.part() == LIST && self.chosen(shared) == Choice::Restrict => {
                let mut field = self.networks(shared);
                field.insert(text);
                self.networks = Some(field);
                self.answer(shared);
            }
            _ => {}
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let whole = Rect::new(1, 0, area.width.saturating_sub(2), area.height);
        let inside = canvas.alarm(whole, "WARNING: TCP/22 WOULD STAY OPEN TO EVERYONE");
        let mut page = canvas.part(Rect {
            x: inside.x + 1,
            width: inside.width.saturating_sub(2),
            ..inside
        });
        self.view_evidence(&mut page, shared);
        self.view_choices(&mut page, 10, shared);
        let foot = inside.height.saturating_sub(1);
        let local = shared.facts.session.as_ref().is_some_and(Session::is_local);
        page.text(
            0,
            foot,
            if local {
                "Your own session needs no port of this host."
            } else {
                "Your own session stays open: closing 22 shuts new connections only."
            },
        );
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        self.problem(shared).unwrap_or((Tone::Plain, String::new()))
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        back_and_next(self.next(shared))
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(PARTS)
    }

    fn in_text_field(&self) -> bool {
        self.focus.part() == LIST
            && matches!(self.chosen, Some(Choice::Restrict | Choice::Until | Choice::Open))
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "what becomes of TCP/22, the port that scanners try. Nothing is changed yet.",
            ),
            (
                "Networks",
                "with commas, IPv4 or IPv6, such as 10.0.0.0/24, 2001:db8::/32.",
            ),
            (
                "open 22",
                "has to be typed, so that it cannot happen by an Enter too many.",
            ),
        ]
    }
}
