//! What is open, what is kept, what differs: for `status`, the Confirm page and the snapshots page.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use super::Engine;
use super::detect::session::session;
use super::detect::sockets::tcp_listeners;
use super::journal::Transaction;
use crate::answers::OLD_SSH_PORT;
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::render::gaps;
use crate::backend::nftables::shut::{has_our_deny, is_shut_but_for};
use crate::change::Change;
use crate::step::{Invocation, Tool};
use crate::transaction::{Entry, Kept, Outcome, PortStatus, Reminder, State, Status, Trial};

impl Engine<'_> {
    /// The live trial as the Confirm page shows it.
    pub fn trial_view(&self, transaction: &Transaction) -> Trial {
        let trial = if transaction.state == State::Waiting(2) {
            2
        } else {
            1
        };
        let guard_ms = transaction
            .deadline()
            .map_or(0, |d| d.at_ms.saturating_sub(self.uptime_ms()));
        let (kernel_ms, refused) = self.kernel_clock(trial);
        let left_ms = kernel_ms.map_or(guard_ms, |ms| ms.min(guard_ms));
        let door = transaction.change.door;
        let seen = door
            .map(|port| self.seen_on(transaction, port))
            .unwrap_or_default();
        let logins: Vec<String> = seen
            .counted
            .iter()
            .map(|login| format!("{} from {}", login.user, login.client.ip()))
            .collect();
        let deadline = self.system.now() + Duration::from_millis(left_ms);
        let deadline = jiff::Timestamp::from_second(deadline.as_second()).unwrap_or(deadline);
        let code = &transaction.code;
        let next = match door {
            Some(port) => format!(
                "log in anew: ssh -p {port} USER@{}   then type: sudo faspwall confirm {code}",
                self.address()
            ),
            None => format!("type: sudo faspwall confirm {code}"),
        };
        Trial {
            txn: transaction.id.clone(),
            trial,
            code: code.clone(),
            left_ms,
            window_s: transaction.window_s,
            deadline: deadline.to_string(),
            door,
            closing: transaction.change.closing.clone(),
            wall: transaction.change.wall,
            next,
            keep_allowed: door.is_none()
                || !logins.is_empty()
                || session(self.system).is_some_and(|session| session.is_local()),
            logins,
            other_logins: seen.why_not(),
            refused,
        }
    }

    /// An address of this host that a person can log in to: the one that the present session came to, else the first.
    fn address(&self) -> String {
        let session = super::detect::session::session(self.system).and_then(|s| s.server);
        let first = || super::detect::links::addresses(self.system).first().copied();
        session
            .or_else(first)
            .map_or(String::from("THIS-HOST"), |a| a.to_string())
    }

    /// Milliseconds left on the kernel's own timer, and how many new connections the timed deny has dropped.
    fn kernel_clock(&self, trial: u8) -> (Option<u64>, u64) {
        let call = Invocation::new(Tool::Nft, ["list", "table", "inet", "faspwall_trial"]);
        let Ok(output) = self.system.run(&call) else {
            return (None, 0);
        };
        let sets: &[&str] = if trial == 2 {
            &["set shut {", "set wall {"]
        } else {
            &["set clock {"]
        };
        let from = sets.iter().find_map(|set| output.stdout.find(set));
        let from = from.unwrap_or(output.stdout.len());
        let rest = output.stdout.get(from..).unwrap_or_default();
        let body = rest.split_once("\n\t}").map_or(rest, |(body, _)| body);
        let left = body
            .split_once(" expires ")
            .and_then(|(_, text)| duration_ms(text));
        let refused = output
            .stdout
            .split("counter packets ")
            .skip(1)
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        (left, refused)
    }

    /// How a transaction that is over ended.
    pub fn outcome_of(&self, transaction: &Transaction) -> Outcome {
        let kept = transaction.state == State::Committed;
        let mut outcome = Outcome {
            txn: transaction.id.clone(),
            kept,
            reason: transaction.reason(),
            at: String::new(),
            opened: transaction.change.opened.clone(),
            closed: transaction.change.closed.clone(),
            differs: Vec::new(),
            remaining: Vec::new(),
            files: if kept {
                transaction.change.files.clone()
            } else {
                Vec::new()
            },
            log: self.journal_path(&transaction.id).display().to_string(),
            left_to_do: Vec::new(),
            notice: None,
            keep_22_until: None,
        };
        if kept {
            let notice = self.notice_path(&transaction.id);
            outcome.notice = self
                .system
                .mode(&notice)
                .is_some()
                .then(|| notice.display().to_string());
            outcome.left_to_do.clone_from(&transaction.change.left_to_do);
            outcome.keep_22_until = transaction.change.keep_22_until;
        }
        let end = |entry: &&Entry| matches!(entry, Entry::Committed { .. } | Entry::RolledBack { .. });
        match transaction.entries.iter().rev().find(end) {
            Some(Entry::Committed { at, .. }) => outcome.at.clone_from(at),
            Some(Entry::RolledBack {
                at,
                differs,
                remaining,
                ..
            }) => {
                outcome.at.clone_from(at);
                outcome.differs.clone_from(differs);
                outcome.remaining = remaining.iter().map(ToString::to_string).collect();
            }
            _ => {}
        }
        outcome
    }

    /// Everything the status page tells.
    pub fn status(&self) -> Status {
        let open = self.open().ok().flatten();
        let in_force = self.in_force();
        let live = |t: &Transaction| matches!(t.state, State::Waiting(_)) && !self.is_due(t);
        let mut status = Status {
            interrupted: open
                .clone()
                .or_else(|| self.incomplete())
                .filter(|t| !live(t))
                .map(|t| t.id),
            guard: open
                .as_ref()
                .and_then(Transaction::deadline)
                .map_or(String::from("none"), |d| d.guard),
            open: open.as_ref().filter(|t| live(t)).map(|t| self.trial_view(t)),
            applied: in_force.as_ref().map(|t| t.id.clone()),
            applied_by: in_force.as_ref().map(Transaction::reason).unwrap_or_default(),
            backend: in_force
                .as_ref()
                .map_or(String::from("nftables"), |t| t.change.backend.to_string()),
            kept: self.ids().len(),
            events: self.events(),
            ..Status::default()
        };
        if let Some(applied) = &in_force {
            self.compare_with(applied, &mut status);
        }
        status
    }

    fn compare_with(&self, applied: &Transaction, status: &mut Status) {
        let change = &applied.change;
        for (path, before, after) in &change.before.files {
            let now = self.system.read_text(path);
            // Its owner goes on writing into a file that was there before; what sshd reads may not change unseen.
            let shared = before
                .as_deref()
                .filter(|_| !change.before.sshd_files.contains(path));
            let as_committed = match (&now, shared, after) {
                (Some(now), Some(before), Some(after)) => still_changed(before, after, now),
                (now, _, after) => *now == *after,
            };
            if !as_committed {
                status
                    .drift
                    .push(format!("{} is not as it was committed", path.display()));
            }
        }
        status.at_boot = match change.files.first() {
            Some(_) => format!("kept in {}", change.files.join(", ")),
            None => String::from("nothing needs to be kept"),
        };
        let Ok(live) = self.live_ruleset() else {
            status
                .drift
                .push(String::from("the live ruleset could not be read (are you root?)"));
            return;
        };
        let shut: Vec<(String, String)> = gaps(&live, &change.requirements)
            .into_iter()
            .map(|(requirement, reason)| {
                (
                    format!(
                        "{}/{}",
                        requirement.protocol.to_string().to_uppercase(),
                        requirement.ports
                    ),
                    reason,
                )
            })
            .collect();
        for port in &change.opened {
            let blocker = shut.iter().find(|(name, _)| name == port);
            if let Some((_, reason)) = blocker {
                status
                    .drift
                    .push(format!("{port} should be open but is shut by {reason}"));
            }
            status.ports.push(PortStatus {
                port: port.clone(),
                wanted: String::from("open"),
                is: String::from(if blocker.is_some() { "closed" } else { "open" }),
                listener: self.listener(port),
            });
        }
        self.compare_closed(change, &live, status);
        self.remind(change, &live, status);
    }

    fn compare_closed(&self, change: &Change, live: &Ruleset, status: &mut Status) {
        let kept_deny = change
            .before
            .files
            .iter()
            .any(|(_, _, after)| after.as_ref().is_some_and(|text| text.contains("chain shut")));
        for port in &change.closed {
            let number = port
                .rsplit('/')
                .next()
                .and_then(|p| p.parse::<u16>().ok())
                .unwrap_or(0);
            let ours = has_our_deny(live);
            let closed = ours
                || is_shut_but_for(live, number, &change.spared)
                || tcp_listeners(self.system, number).is_empty();
            if !closed {
                status.drift.push(format!("{port} should be closed but is open"));
            } else if !ours && kept_deny {
                status.drift.push(format!(
                    "{port} is closed, but the rule that keeps it so is gone from the live ruleset"
                ));
            }
            status.ports.push(PortStatus {
                port: port.clone(),
                wanted: String::from("closed"),
                is: String::from(if closed { "closed" } else { "open" }),
                listener: self.listener(port),
            });
        }
    }

    /// A TCP/22 that was kept for a while, in the table of ports and as a reminder.
    fn remind(&self, change: &Change, live: &Ruleset, status: &mut Status) {
        let Some(until) = change.keep_22_until else {
            return;
        };
        let today = self.system.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        status.reminder = Some(Reminder::on(today, until));
        status.close_22 = change
            .answers
            .as_ref()
            .map(|answers| Box::new(answers.closing_22()));
        let shut =
            is_shut_but_for(live, OLD_SSH_PORT, &[]) || tcp_listeners(self.system, OLD_SSH_PORT).is_empty();
        status.ports.push(PortStatus {
            port: String::from("TCP/22"),
            wanted: String::from("-"),
            is: String::from(if shut { "closed" } else { "open" }),
            listener: self.listener("TCP/22"),
        });
    }

    fn listener(&self, port: &str) -> String {
        let Some((protocol, number)) = port.split_once('/') else {
            return String::from("-");
        };
        let number = number.parse::<u16>().unwrap_or(0);
        if protocol != "TCP" {
            return String::from("none while idle");
        }
        let owners = tcp_listeners(self.system, number);
        owners
            .first()
            .map_or(String::from("-"), |(pid, name)| format!("{name} ({pid})"))
    }

    fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        for transaction in self.transactions().iter().rev().take(5) {
            let id = &transaction.id;
            for entry in transaction.entries.iter().rev() {
                match entry {
                    Entry::Begin { at, by, .. } => events.push(format!("{at}  {id} begun by {by}")),
                    Entry::Waiting { trial, at, .. } => events.push(format!("{at}  {id} trial {trial} live")),
                    Entry::Confirmed { trial, by, at } => {
                        events.push(format!("{at}  {id} trial {trial} confirmed by {by}"))
                    }
                    Entry::WrongCode { at } => events.push(format!("{at}  {id} a wrong code was typed")),
                    Entry::Committed { at, .. } => events.push(format!("{at}  {id} permanent")),
                    Entry::RolledBack {
                        at, reason, differs, ..
                    } => {
                        let ruleset = if differs.is_empty() {
                            "equals"
                        } else {
                            "differs from"
                        };
                        events.push(format!(
                            "{at}  {id} undone: {reason}; the ruleset {ruleset} the snapshot"
                        ));
                    }
                    _ => {}
                }
            }
        }
        events.truncate(12);
        events
    }

    /// The list of kept transactions, newest first.
    pub fn kept(&self) -> Vec<Kept> {
        let in_force = self.in_force().map(|t| t.id);
        let mut kept: Vec<Kept> = self
            .transactions()
            .iter()
            .map(|t| summary(t, in_force.as_ref() == Some(&t.id)))
            .collect();
        kept.reverse();
        kept
    }
}

fn summary(transaction: &Transaction, in_force: bool) -> Kept {
    let change = &transaction.change;
    let opened = change.opened.iter().map(|p| format!("+{p}"));
    let closed = change.closed.iter().map(|p| format!("-{p}"));
    let mut going_back = Vec::new();
    if in_force {
        let opened = change.opened.iter().filter(|p| !change.before.open.contains(p));
        going_back.extend(opened.map(|p| format!("- {p}  open -> as before")));
        going_back.extend(change.closed.iter().map(|p| format!("+ {p}  closed -> open")));
        let ports = |ports: &[u16]| {
            ports
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" + ")
        };
        if change.before.ssh_ports != change.before.ssh_ports_after {
            let (after, before) = (
                ports(&change.before.ssh_ports_after),
                ports(&change.before.ssh_ports),
            );
            going_back.push(format!("  sshd  {after} -> {before}"));
        }
    }
    let state = match &transaction.state {
        State::Committed if in_force => "kept, in force",
        State::Committed if change.reverts.is_some() => "kept (a way back)",
        State::Committed => "kept, taken back",
        State::RolledBack => "undone",
        State::Waiting(_) => "open",
        State::Idle | State::Acting(_) | State::RollingBack => "interrupted",
    };
    Kept {
        txn: transaction.id.clone(),
        at: transaction.at.clone(),
        by: transaction.by.clone(),
        what: opened.chain(closed).collect::<Vec<_>>().join(" "),
        state: state.to_owned(),
        in_force,
        going_back,
    }
}

/// nft's way to write a time, such as `1m47s996ms`.
fn duration_ms(text: &str) -> Option<u64> {
    let mut total = 0u64;
    let mut number = String::new();
    let mut unit = String::new();
    let mut seen = false;
    let word = text
        .split(|c: char| c.is_whitespace() || c == ',' || c == '}')
        .next()?;
    for c in word.chars().chain(std::iter::once('0')) {
        if c.is_ascii_digit() {
            if !unit.is_empty() {
                let factor = match unit.as_str() {
                    "d" => 86_400_000,
                    "h" => 3_600_000,
                    "m" => 60_000,
                    "s" => 1_000,
                    "ms" => 1,
                    _ => return None,
                };
                total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
                seen = true;
                number.clear();
                unit.clear();
            }
            number.push(c);
        } else {
            unit.push(c);
        }
    }
    seen.then_some(total)
}

/// Whether the lines that a commit added to a file are still in it, and those that it took out are not back.
fn still_changed(before: &str, after: &str, now: &str) -> bool {
    let count = |text| {
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        for line in str::lines(text).filter(|line| !line.trim().is_empty()) {
            *lines.entry(line).or_default() += 1;
        }
        lines
    };
    let (before, after, now) = (count(before), count(after), count(now));
    let of = |lines: &BTreeMap<&str, usize>, line: &str| lines.get(line).copied().unwrap_or_default();
    before.keys().chain(after.keys()).all(|line| {
        let (was, meant, is) = (of(&before, line), of(&after, line), of(&now, line));
        match was.cmp(&meant) {
            Ordering::Less => is >= meant,
            Ordering::Greater => is <= meant,
            Ordering::Equal => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn the_kernels_time_is_read() {
        assert_eq!(duration_ms("1m47s996ms }"), Some(107_996));
        assert_eq!(duration_ms("996ms, 33001"), Some(996));
        assert_eq!(duration_ms("2h"), Some(7_200_000));
        assert_eq!(duration_ms("soon"), None);
        assert_eq!(duration_ms(""), None);
    }
}
