//! The state machine of one change: what the journal holds, and what follows from it.
//!
//! The journal is a list of [`Entry`] lines, written before the act they speak of. The state of a transaction is a fold
//! over them ([`State::after`]), so that the guard, a second process and the next start all come to the same answer.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::change::Change;
use crate::step::Step;

/// Version of the journal's format; older journals are still rolled back.
pub const JOURNAL_VERSION: u32 = 1;

/// Name of a transaction: the time it began, `20261123-073112`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TxnId(String);

impl TxnId {
    /// Accepts digits and dashes only, so that an id can stand in a path, a unit name and an nft comment.
    pub fn new(text: &str) -> Option<Self> {
        let good = (8..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        good.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The day on which it began.
    pub fn day(&self) -> Option<jiff::civil::Date> {
        jiff::civil::Date::strptime("%Y%m%d", self.0.get(..8)?).ok()
    }

    /// What every object of this transaction is marked with.
    pub fn tag(&self) -> String {
        format!("faspwall:{}", self.0)
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stretches of a change, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Native dry runs; nothing on the host changes.
    Check,
    /// Accepts and the trial door: only adds.
    Trial1,
    /// TCP/22 shut by a kernel timer.
    Trial2,
    /// Files, reload, permanent rules.
    Commit,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Check => "check",
            Self::Trial1 => "trial 1",
            Self::Trial2 => "trial 2",
            Self::Commit => "commit",
        })
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// The change with all its stored steps and undo steps; written before anything is done.
    Begin {
        /// Journal format.
        version: u32,
        /// The transaction.
        txn: TxnId,
        /// Time of day, RFC 3339.
        at: String,
        /// Who started it.
        by: String,
        /// What is to be done.
        change: Box<Change>,
        /// What the operator types on the new door.
        code: String,
        /// Seconds that each confirm window lasts.
        window_s: u64,
    },
    /// The guard is alive and fires at this time (milliseconds since boot), unless it was moved again.
    Armed {
        /// Milliseconds of CLOCK_BOOTTIME.
        deadline_ms: u64,
        /// The boot that those milliseconds belong to.
        boot: String,
        /// The guard's own name: a systemd unit, or a process number.
        guard: String,
        /// Time of day, RFC 3339.
        at: String,
    },
    /// An action is about to be performed: its number within the phase.
    Intent {
        /// The phase.
        phase: Phase,
        /// Number of the action within the phase, from 0.
        number: usize,
    },
    /// It was performed.
    Done {
        /// The phase.
        phase: Phase,
        /// Number of the action.
        number: usize,
    },
    /// A trial is live and waits for its confirmation since this time (milliseconds since boot).
    Waiting {
        /// 1 or 2.
        trial: u8,
        /// Milliseconds of CLOCK_BOOTTIME.
        since_ms: u64,
        /// Time of day, RFC 3339.
        at: String,
    },
    /// Somebody proved the new door.
    Confirmed {
        /// 1 or 2.
        trial: u8,
        /// Who, and from where.
        by: String,
        /// Time of day, RFC 3339.
        at: String,
    },
    /// Somebody typed a code that is not the one of this transaction.
    WrongCode {
        /// Time of day, RFC 3339.
        at: String,
    },
    /// Everything is permanent and was read back.
    Committed {
        /// Time of day, RFC 3339.
        at: String,
        /// How the host was compared; empty when nothing is worth saying.
        notes: Vec<String>,
    },
    /// After the commit: a kept TCP/22 is to be closed on another day, or on none.
    KeepUntil {
        /// The day.
        until: Option<jiff::civil::Date>,
        /// Time of day, RFC 3339.
        at: String,
    },
    /// Undo has begun.
    RollingBack {
        /// Why.
        reason: String,
        /// Time of day, RFC 3339.
        at: String,
    },
    /// Undo is complete.
    RolledBack {
        /// Why.
        reason: String,
        /// Lines in which the ruleset differs from the snapshot; empty means equal.
        differs: Vec<String>,
        /// Steps that failed, to be typed by hand; empty when all went well.
        remaining: Vec<Step>,
        /// Time of day, RFC 3339.
        at: String,
    },
}

/// Where a transaction stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing was begun.
    #[default]
    Idle,
    /// Steps are being performed.
    Acting(Phase),
    /// A trial is live, its number is 1 or 2.
    Waiting(u8),
    /// Permanent.
    Committed,
    /// Undo is under way or was interrupted.
    RollingBack,
    /// Undone.
    RolledBack,
}

impl State {
    /// The state after one more line of the journal.
    #[must_use]
    pub fn after(self, entry: &Entry) -> Self {
        match entry {
            Entry::Begin { .. } => Self::Acting(Phase::Trial1),
            Entry::Armed { .. } | Entry::Done { .. } | Entry::WrongCode { .. } | Entry::KeepUntil { .. } => {
                self
            }
            Entry::Intent { phase, .. } => Self::Acting(*phase),
            Entry::Waiting { trial, .. } => Self::Waiting(*trial),
            Entry::Confirmed { trial, .. } => {
                Self::Acting(if *trial == 1 { Phase::Trial2 } else { Phase::Commit })
            }
            Entry::Committed { .. } => Self::Committed,
            Entry::RollingBack { .. } => Self::RollingBack,
            Entry::RolledBack { .. } => Self::RolledBack,
        }
    }

    /// Whether something of the transaction may still be on the host.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Acting(_) | Self::Waiting(_) | Self::RollingBack)
    }
}

/// What a running change tells, line by line: the wizard draws it, the command line prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// All steps of a stretch, before the first begins.
    Steps {
        /// The stretch.
        phase: Phase,
        /// What each step says.
        say: Vec<String>,
    },
    /// A step begins.
    Started {
        /// Its number in the list of [`Progress::Steps`].
        number: usize,
        /// The command as it could be typed.
        command: String,
    },
    /// A step is done.
    Finished {
        /// Its number.
        number: usize,
        /// How long it took.
        millis: u64,
    },
    /// A trial is live.
    Awaiting(Box<Trial>),
    /// Permanent.
    Committed(Box<Outcome>),
    /// Undone.
    RolledBack(Box<Outcome>),
    /// It could not be begun, or failed and was undone: what happened, what was left, what to type next.
    Failed {
        /// One line each.
        lines: Vec<String>,
        /// The undo, when there was something to undo.
        outcome: Option<Box<Outcome>>,
    },
}

/// A live trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The transaction.
    pub txn: TxnId,
    /// 1 or 2.
    pub trial: u8,
    /// Confirm code.
    pub code: String,
    /// Milliseconds left, by the kernel's own timer where there is one.
    pub left_ms: u64,
    /// Length of the window, for the gauge.
    pub window_s: u64,
    /// Deadline, RFC 3339.
    pub deadline: String,
    /// The port through which the proof must come; `None` when no port is moved and a typed `keep` is enough.
    pub door: Option<u16>,
    /// Ports shut in trial 2.
    pub closing: Vec<u16>,
    /// Whether trial 2 refuses everything that was not asked for.
    #[serde(default)]
    pub wall: bool,
    /// What to type, and where.
    pub next: String,
    /// The operator's logins on the door since the trial began, such as `root from 10.0.0.7`.
    pub logins: Vec<String>,
    /// Other logins there, each with what is held against it: they prove nothing for the operator.
    #[serde(default)]
    pub other_logins: Vec<String>,
    /// New connections that the timed deny has dropped.
    pub refused: u64,
    /// Whether a typed `keep` would be taken now.
    pub keep_allowed: bool,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The transaction.
    pub txn: TxnId,
    /// Kept, or undone.
    pub kept: bool,
    /// Who confirmed, or why it was undone.
    pub reason: String,
    /// When, RFC 3339.
    pub at: String,
    /// Ports opened, such as `TCP/33001`.
    pub opened: Vec<String>,
    /// Ports closed.
    pub closed: Vec<String>,
    /// Lines in which the host differs from the snapshot; empty means equal.
    pub differs: Vec<String>,
    /// Commands left to be typed by hand.
    pub remaining: Vec<String>,
    /// Files that keep the change over a reboot.
    pub files: Vec<String>,
    /// The journal, for those who want to know more.
    pub log: String,
    /// What people have to do now, such as restarting the product's services.
    #[serde(default)]
    pub left_to_do: Vec<String>,
    /// The file with the text for the users of this host.
    #[serde(default)]
    pub notice: Option<String>,
    /// The day until which TCP/22 stays open.
    #[serde(default)]
    pub keep_22_until: Option<jiff::civil::Date>,
}

/// One kept transaction, for the snapshots page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The transaction.
    pub txn: TxnId,
    /// When it began, RFC 3339.
    pub at: String,
    /// Who began it.
    pub by: String,
    /// What it changed, such as `+TCP/33001 +UDP/33001 -TCP/22`.
    pub what: String,
    /// `kept`, `rolled back`, `open`, ...
    pub state: String,
    /// It is the change that can be taken back now.
    #[serde(default)]
    pub in_force: bool,
    /// What going back would do, a line each (`- TCP/33001 open -> closed`).
    pub going_back: Vec<String>,
}

/// One row of the status page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// `TCP/33001`
    pub port: String,
    /// What the last committed change wants: `open`, `closed`, `-`.
    pub wanted: String,
    /// What the ruleset says now.
    pub is: String,
    /// Who listens.
    pub listener: String,
}

/// A TCP/22 that was kept for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// The day on which it is to be closed.
    pub until: jiff::civil::Date,
    /// Days from today; below zero when it is over.
    pub days_left: i32,
    /// The day is near or over.
    pub urgent: bool,
    /// The same in words.
    pub text: String,
    /// The command that closes it.
    pub command: String,
}

/// From how many days before its end on a kept TCP/22 is told as a warning.
const REMIND_DAYS: i32 = 7;

impl Reminder {
    /// What is to be said on that day.
    pub fn on(today: jiff::civil::Date, until: jiff::civil::Date) -> Self {
        let days_left = until.since(today).ok().map_or(0, |span| span.get_days());
        let days = |count: i32| match count {
            1 => String::from("1 day"),
            count => format!("{count} days"),
        };
        let text = match days_left {
            0 => format!("TCP/22 is to be closed today, {until}"),
            left if left < 0 => format!(
                "TCP/22 was to be closed on {until}, {} ago, and is still kept open",
                days(-left)
            ),
            left if left <= REMIND_DAYS => format!("TCP/22 is to be closed on {until}, in {}", days(left)),
            left => format!("TCP/22 is kept open until {until}, for {} more", days(left)),
        };
        Self {
            until,
            days_left,
            urgent: days_left <= REMIND_DAYS,
            text,
            command: String::from("faspwall close-22"),
        }
    }
}

/// The state of the host against what was committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The open transaction.
    pub open: Option<Trial>,
    /// An open transaction that waits for nothing: interrupted, to be undone.
    pub interrupted: Option<TxnId>,
    /// The last committed one.
    pub applied: Option<TxnId>,
    /// Who confirmed it, and when.
    pub applied_by: String,
    /// Its ports.
    pub ports: Vec<PortStatus>,
    /// Differences between what was committed and what is live.
    pub drift: Vec<String>,
    /// A TCP/22 that was kept for a while.
    #[serde(default)]
    pub reminder: Option<Reminder>,
    /// The answers with which it is closed.
    #[serde(skip)]
    pub close_22: Option<Box<Answers>>,
    /// Backend in use.
    pub backend: String,
    /// Whether the ruleset comes back after a reboot.
    pub at_boot: String,
    /// What guards the open transaction.
    pub guard: String,
    /// How many transactions are kept.
    pub kept: usize,
    /// Latest events, newest first.
    pub events: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_safe_in_paths_units_and_comments() {
        assert!(TxnId::new("20261123-073112").is_some());
        for bad in ["", "../../etc", "2026 1123", "2026112", "20261123;rm"] {
            assert_eq!(TxnId::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_reminder_becomes_urgent_a_week_before_and_stays_so() {
        let until = jiff::civil::date(2026, 12, 23);
        for (today, left, urgent, text) in [
            (jiff::civil::date(2026, 11, 23), 30, false, "for 30 days"),
            (jiff::civil::date(2026, 12, 15), 8, false, "for 8 days"),
            (jiff::civil::date(2026, 12, 16), 7, true, "in 7 days"),
            (jiff::civil::date(2026, 12, 22), 1, true, "in 1 day"),
            (jiff::civil::date(2026, 12, 23), 0, true, "closed today"),
            (jiff::civil::date(2027, 1, 1), -9, true, "9 days ago"),
        ] {
            let reminder = Reminder::on(today, until);
            assert_eq!((reminder.days_left, reminder.urgent), (left, urgent), "{today}");
            assert!(reminder.text.contains(text), "{}", reminder.text);
        }
    }

    #[test]
    fn a_transaction_is_open_until_it_is_committed_or_undone() {
        let state = State::default().after(&Entry::Intent {
            phase: Phase::Trial1,
            number: 0,
        });
        assert!(state.is_open());
        let waiting = state.after(&Entry::Waiting {
            trial: 1,
            since_ms: 5,
            at: String::new(),
        });
        assert_eq!(waiting, State::Waiting(1));
        assert!(
            waiting
                .clone()
                .after(&Entry::RollingBack {
                    reason: "x".into(),
                    at: String::new()
                })
                .is_open()
        );
        assert!(
            !waiting
                .after(&Entry::Committed {
                    at: String::new(),
                    notes: vec![]
                })
                .is_open()
        );
    }
}
