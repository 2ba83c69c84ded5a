//! What a rehearsal found: every packet that was sent at a copy of this host's firewall, before and after the change.
//!
//! Pure data: `rehearse` fills it, the wizard and the command line show it, and a red cell keeps a change from being
//! applied.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::port::{Direction, Protocol};

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It arrived, and its answer came back.
    Accept,
    /// It, or its answer, was lost silently.
    Drop,
    /// It was refused with an answer by the firewall.
    Reject,
}

impl Verdict {
    /// Whether the port can be used.
    pub fn lets_in(self) -> bool {
        self == Self::Accept
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        })
    }
}

/// Address family of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

/// One question and its two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Id of the requirement, `close-22`, or `control` for a port that nobody asked for.
    pub id: String,
    /// Address that the packet came from (inbound) or went to (outbound).
    pub from: String,
    /// Way of the opening packet.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Port of the server.
    pub port: u16,
    /// IPv4 or IPv6.
    pub family: Family,
    /// What must become of it: accepted or not. `None` for a control, which must stay open or shut as it
    /// was.
    pub wanted: Option<bool>,
    /// On the host as it is.
    pub before: Verdict,
    /// With the change.
    pub after: Verdict,
    /// After the next boot, with what is loaded then; `None` when that was not asked.
    #[serde(default)]
    pub boot: Option<Verdict>,
}

impl Cell {
    /// Whether the answers are the wanted ones.
    pub fn ok(&self) -> bool {
        self.ok_now() && self.ok_at_boot()
    }

    /// The same before the next boot.
    pub fn ok_now(&self) -> bool {
        match self.wanted {
            Some(open) => self.after.lets_in() == open,
            None => self.after.lets_in() == self.before.lets_in(),
        }
    }

    /// The same after it; nothing is wrong with what was not asked.
    pub fn ok_at_boot(&self) -> bool {
        match (self.wanted, self.boot) {
            (Some(open), Some(verdict)) => verdict.lets_in() == open,
            _ => true,
        }
    }
}

/// Why a port stays shut although the rules are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// `TCP/33001`
    pub port: String,
    /// `prerouting`, `netdev ingress`, `zone block`, `container`, `loopback listener`, ...
    pub layer: String,
    /// The rule or policy, as its own tool prints it.
    pub rule: String,
    /// What the operator can do about it.
    pub hint: String,
}

/// The layer of a program that listens for this host alone.
pub const LOOPBACK_LISTENER: &str = "loopback listener";

impl Blocker {
    /// Whether it is no rule, but the program itself that others do not reach.
    pub fn unheard(&self) -> bool {
        self.layer == LOOPBACK_LISTENER
    }
}

/// The difference that a change makes to all ports of one protocol and family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRow {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// IPv4 or IPv6.
    pub family: Family,
    /// Ports that were shut and are open, as ranges such as `33001` or `33001-33100`.
    pub opened: Vec<String>,
    /// Ports that were open and are shut.
    pub closed: Vec<String>,
    /// Opened or closed without having been asked for.
    pub unasked: Vec<String>,
}

/// A whole rehearsal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// All probes.
    pub cells: Vec<Cell>,
    /// Whether an open session on the present SSH port went on, with its connection known to conntrack; `None` when it
    /// could not be tried.
    pub flow_tracked: Option<bool>,
    /// The same without conntrack knowing it.
    pub flow_untracked: Option<bool>,
    /// Lines in which the copy differed after undo; empty means equal.
    pub undo: Vec<String>,
    /// Why required cells are red.
    pub blockers: Vec<Blocker>,
    /// All 65,535 ports, when that was asked for.
    pub sweep: Vec<SweepRow>,
    /// The step that failed in the copy, with the complaint.
    #[serde(default)]
    pub failed: Option<String>,
    /// Why the change cannot be carried out, so that the host was played as it is: all packets met the rules of now.
    #[serde(default)]
    pub obstacles: Vec<String>,
    /// What cannot be seen this way, or was left out of the copy.
    pub not_rehearsed: Vec<String>,
    /// Milliseconds from the first namespace to the last packet.
    pub millis: u64,
}

impl Rehearsal {
    /// Whether the change may be applied: nothing stands in its way, no step failed, no red cell, no session hurt, undo
    /// equal, nothing unasked.
    pub fn ok(&self) -> bool {
        self.failed.is_none()
            && self.obstacles.is_empty()
            && self.cells.iter().all(Cell::ok)
            && self.flow_tracked != Some(false)
            && self.flow_untracked != Some(false)
            && self.undo.is_empty()
            && self.sweep.iter().all(|row| row.unasked.is_empty())
    }
}
