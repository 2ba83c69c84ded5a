//! The port of sshd, checked while it is typed, and who changes sshd.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Next, back_and_next, chosen_role, need, press, role_takes_ssh, slots};
use crate::answers::Daemon;
use crate::catalogue::PortAnswer;
use crate::port::{PortRange, Protocol, parse_port};
use crate::sshd::by_hand::is_moved_here;
use crate::tui::widgets::{Canvas, Field, Focus, Handled, Mark, move_in_list};
use crate::tui::{Button, Event, Key, Nav, Page, Shared, Tone};

const PORT: usize = 0;
const DAEMON: usize = 1;
const PARTS: usize = 2;
const BUTTONS: usize = 2;

/// The page.
#[derive(Default)]
pub struct SshPage {
    focus: Focus,
    /// What was typed, as long as it is not the port of the answers.
    typed: Option<Field>,
}

impl SshPage {
    /// The field as it is shown: what was typed, unless the answers were filled with another port since.
    fn field(&self, shared: &Shared) -> Field {
        match &self.typed {
            Some(field) => match parse_port(field.text()) {
                Ok(port) if port != shared.answers.ssh.port => port_field(shared.answers.ssh.port),
                _ => field.clone(),
            },
            None => port_field(shared.answers.ssh.port),
        }
    }

    /// Tab and the like. A role that takes no SSH has nothing to choose about sshd.
    fn move_focus(&mut self, key: Key, shared: &Shared) -> Handled {
        let handled = self.focus.handle(key, PARTS, BUTTONS);
        if self.focus.part() == DAEMON && !role_takes_ssh(shared) {
            let on = if key == Key::Tab { Key::Tab } else { Key::BackTab };
            self.focus.handle(on, PARTS, BUTTONS);
        }
        handled
    }

    fn key(&mut self, key: Key, shared: &mut Shared) -> Option<Nav> {
        match key {
            Key::Enter => return press(self.focus.button(PARTS), self.next(shared)),
            Key::F(2) => {
                let role = chosen_role(shared)?;
                return Some(Nav::Show {
                    title: "Why this port".to_owned(),
                    text: reason(shared)
                        + "\n\nThe port is free to choose; 33001 is what clients and other Aspera products expect. \
                           Clients name it with  ascp -P PORT.\n\n"
                        + &super::role::in_full(role),
                });
            }
            Key::Down if self.focus.part() == PORT && role_takes_ssh(shared) => {
                self.focus = Focus::on(DAEMON)
            }
            Key::Up if self.focus.part() == DAEMON && shared.answers.ssh.daemon == Daemon::Move => {
                self.focus = Focus::on(PORT);
            }
            _ if self.focus.part() == PORT => self.type_port(key, shared),
            _ if self.move_focus(key, shared) == Handled::Yes => {}
            _ if self.focus.part() == DAEMON => {
                let mut at = usize::from(shared.answers.ssh.daemon == Daemon::Leave);
                move_in_list(&mut at, key, 2, 1);
                shared.answers.ssh.daemon = if at == 0 { Daemon::Move } else { Daemon::Leave };
            }
            _ => {}
        }
        None
    }

    fn type_port(&mut self, key: Key, shared: &mut Shared) {
        let mut field = self.field(shared);
        let done = match key {
            Key::Ctrl('u') => {
                field = port_field(usual_port(shared));
                Handled::Yes
            }
            Key::Char(sign) if !sign.is_ascii_digit() => Handled::Yes,
            other => field.handle(other),
        };
        if done == Handled::No {
            self.move_focus(key, shared);
            return;
        }
        self.put(field, shared);
    }

    fn put(&mut self, field: Field, shared: &mut Shared) {
        if let Ok(port) = parse_port(field.text()) {
            shared.answers.ssh.port = port;
        }
        self.typed = Some(field);
    }

    fn next(&self, shared: &Shared) -> Next {
        Next::from(
            verdicts(self.field(shared).text(), shared)
                .iter()
                .all(|(tone, _)| *tone != Tone::Bad),
        )
    }
}

fn port_field(port: u16) -> Field {
    Field::new(&port.to_string(), 5)
}

/// The port of the catalogue.
fn usual_port(shared: &Shared) -> u16 {
    chosen_role(shared)
        .and_then(|role| need(role, PortAnswer::SshPort))
        .and_then(|need| need.ports.parse::<PortRange>().ok())
        .map_or(33001, PortRange::first)
}

/// The catalogue's reason for the SSH port, with its source.
fn reason(shared: &Shared) -> String {
    chosen_role(shared)
        .and_then(|role| need(role, PortAnswer::SshPort))
        .map(|need| format!("Why: {} Source: {}", need.why, need.source))
        .unwrap_or_default()
}

/// What is to be said about the typed port. The sentences do not repeat it: a digit costs one byte, not four lines.
fn verdicts(text: &str, shared: &Shared) -> Vec<(Tone, String)> {
    let Ok(port) = parse_port(text) else {
        return vec![(
            Tone::Bad,
            "not a port: a number from 1 to 65535 is wanted".to_owned(),
        )];
    };
    let mut list = vec![(Tone::Good, "a number in range".to_owned())];
    if let Some(other) = slots::other_use(port, shared) {
        list.push((Tone::Bad, format!("also chosen for {other}")));
    }
    if !role_takes_ssh(shared) {
        return list;
    }
    let stranger = shared.facts.listeners.iter().find(|listener| {
        listener.protocol == Protocol::Tcp
            && listener.port == port
            && !listener.loopback()
            && !shared.facts.ssh.ports.contains(&port)
    });
    list.push(match stranger {
        Some(listener) => (
            Tone::Bad,
            format!(
                "{} listens on it",
                listener.program.as_deref().unwrap_or("another program")
            ),
        ),
        None if shared.detected => (Tone::Good, "no other program listens on it".to_owned()),
        None => (Tone::Busy, "looking who listens on it".to_owned()),
    });
    list.push(daemon_verdict(port, shared));
    list.push(match shared.facts.selinux.as_deref() {
        Some("enforcing") if port != 22 => (
            Tone::Warn,
            "SELinux is enforcing: the port needs the label ssh_port_t".to_owned(),
        ),
        _ => (Tone::Good, "SELinux does not stand in the way".to_owned()),
    });
    if port == 22 {
        list.push((Tone::Warn, "22 is the port that scanners try all day".to_owned()));
    }
    list
}

fn daemon_verdict(port: u16, shared: &Shared) -> (Tone, String) {
    let ssh = &shared.facts.ssh;
    let listens = ssh.ports.contains(&port);
    let moved_here = is_moved_here(ssh);
    let server = if moved_here { "sshd" } else { &ssh.daemon };
    match (listens, shared.detected, shared.answers.ssh.daemon) {
        (true, _, _) => (Tone::Good, format!("{server} listens on it already")),
        (_, false, _) => (Tone::Busy, "looking where sshd listens".to_owned()),
        (false, true, Daemon::Move) if moved_here => (
            Tone::Good,
            "sshd does not listen on it yet, step 7 sees to that".to_owned(),
        ),
        (false, true, Daemon::Move | Daemon::Leave) => (
            Tone::Warn,
            format!("{server} does not listen on it yet, and step 7 will not change that"),
        ),
    }
}

impl Page for SshPage {
    fn update(&mut self, event: &Event, shared: &mut Shared) -> Option<Nav> {
        match event {
            Event::Key(key) => return self.key(*key, shared),
            Event::Entered => self.focus.off_buttons(PARTS, PORT),
            Event::Paste(text) if self.focus.part() == PORT => {
                let mut field = self.field(shared);
                field.insert(&text.chars().filter(char::is_ascii_digit).collect::<String>());
                self.put(field, shared);
            }
            _ => {}
        }
        None
    }

    fn view(&self, shared: &Shared, frame: &mut Frame<'_>, area: Rect) {
        let mut canvas = Canvas::new(frame, area);
        let takes = role_takes_ssh(shared);
        let question = if takes {
            "Which TCP port does sshd use for transfers?"
        } else {
            "On which TCP port do the servers take SSH that this host sends to?"
        };
        canvas.text(1, 0, question);
        canvas.text(3, 2, "Port");
        let field = self.field(shared);
        canvas.field(9, 2, 6, &field, self.focus.part() == PORT);
        canvas.text(21, 2, format!("usual {}, accepted 1-65535", usual_port(shared)));
        let mut y = 4;
        for (tone, text) in verdicts(field.text(), shared) {
            canvas.verdict(3, y, tone, &text);
            y += 1;
        }
        let mut y = y.max(8) + 1;
        if takes {
            canvas.text(1, y, "What shall happen to sshd?");
            let choices = [
                (
                    Daemon::Move,
                    "Let sshd listen on this port: a second sshd on trial, the file after proof",
                ),
                (
                    Daemon::Leave,
                    "sshd is managed elsewhere: only the firewall is changed",
                ),
            ];
            for (choice, row) in choices.iter().zip(y + 1..) {
                let on = shared.answers.ssh.daemon == choice.0;
                let focused = on && self.focus.part() == DAEMON;
                canvas.choice(0, row, Mark::radio(on), focused, choice.1);
            }
            y += 4;
        }
        let room = area.height.saturating_sub(y);
        let width = area.width.min(100).saturating_sub(2);
        canvas
            .part(Rect::new(1, y, width, room))
            .paragraph(0, 0, width, &reason(shared));
    }

    fn message(&self, shared: &Shared) -> (Tone, String) {
        let list = verdicts(self.field(shared).text(), shared);
        let worst = |tone: Tone| list.iter().find(|(found, _)| *found == tone).cloned();
        worst(Tone::Bad)
            .or_else(|| worst(Tone::Warn))
            .unwrap_or((Tone::Plain, String::new()))
    }

    fn buttons(&self, shared: &Shared) -> (Vec<Button>, usize) {
        back_and_next(self.next(shared))
    }

    fn focused_button(&self) -> Option<usize> {
        self.focus.button(PARTS)
    }

    fn in_text_field(&self) -> bool {
        self.focus.part() == PORT
    }

    fn help(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (
                "This page",
                "which TCP port sshd uses for transfer sessions. Type a number; the lines below it follow.",
            ),
            (
                "sshd",
                "first a second sshd is started on the new port beside the running one; its configuration is written only after a login there has been seen.",
            ),
        ]
    }
}
