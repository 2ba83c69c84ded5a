//! A plan in the language of this host: every step of every phase, with its undo, and the preview of it.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub mod assemble;
pub mod boot;
pub mod render;
pub mod unheard;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::advice::Advice;
use crate::answers::Answers;
use crate::backend::firewalld;
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::render::Timed;
use crate::backend::nftables::wall::has_wall;
use crate::facts::{BackendId, Facts};
use crate::plan::{Plan, Requirement};
use crate::port::{Direction, Protocol};
use crate::sshd::neighbours::Label;
use crate::step::{Action, Step};
use crate::transaction::{Phase, TxnId};

/// Everything that one transaction does. Stored in the journal before the first step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The transaction whose name its steps bear.
    pub id: TxnId,
    /// The firewall it is written for.
    pub backend: BackendId,
    /// The port through which the proof must come; `None` when no SSH port is opened by it.
    pub door: Option<u16>,
    /// TCP ports that trial 2 shuts.
    pub closing: Vec<u16>,
    /// Networks spared from that.
    #[serde(default)]
    pub spared: Vec<IpNet>,
    /// Whether everything that is not asked for is refused from now on.
    #[serde(default)]
    pub wall: bool,
    /// Fingerprint of the ruleset it was rendered from.
    pub fingerprint: String,
    /// Native dry runs.
    pub check: Vec<Action>,
    /// Trial 1.
    pub trial_1: Vec<Action>,
    /// Trial 2; empty when nothing is shut.
    pub trial_2: Vec<Action>,
    /// Commit.
    pub commit: Vec<Action>,
    /// For the outcome: `TCP/33001`, `UDP/33001`.
    pub opened: Vec<String>,
    /// For the outcome: `TCP/22`.
    pub closed: Vec<String>,
    /// Files that keep it over a reboot.
    pub files: Vec<String>,
    /// The committed transaction that this one takes back.
    pub reverts: Option<String>,
    /// Sets of trial 1 whose elements time out.
    pub clocks: Vec<Timed>,
    /// Steps that give timed rules of trial 1 new time.
    #[serde(default)]
    pub timed: Vec<Step>,
    /// Sets of trial 2 whose elements time out.
    pub deny: Vec<Timed>,
    /// What was there before, for a later way back.
    pub before: Before,
    /// The day on which a kept TCP/22 is to be closed.
    #[serde(default)]
    pub keep_22_until: Option<jiff::civil::Date>,
    /// What must be let through afterwards; read back before the commit counts.
    pub requirements: Vec<Requirement>,
    /// What earlier changes let through, and this one does not ask for any more: open or shut, as the host's other
    /// rules have it.
    #[serde(default)]
    pub at_liberty: Vec<Requirement>,
    /// What people have to do once it is permanent, such as restarting the product's services.
    #[serde(default)]
    pub left_to_do: Vec<String>,
    /// The answers that it came from, so that TCP/22 can be closed later with the same ones; a way back has none.
    #[serde(default)]
    pub answers: Option<Box<Answers>>,
    /// The text for the users of this host; `None` when nothing changes for them.
    #[serde(default)]
    pub notice: Option<String>,
}

/// What a committed change replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Files: path, content before, content after; `None` where there was, or is, no such file.
    pub files: Vec<(PathBuf, Option<String>, Option<String>)>,
    /// Files that a tool rewrites by itself in the commit: path and content before.
    #[serde(default)]
    pub rewritten: Vec<(PathBuf, Option<String>)>,
    /// Which of `files` are sshd's.
    #[serde(default)]
    pub sshd_files: Vec<PathBuf>,
    /// Which of `files` is the product's own.
    #[serde(default)]
    pub product_files: Vec<PathBuf>,
    /// What each backend kept, in its own text: before and after.
    #[serde(default)]
    pub kept: BTreeMap<BackendId, (String, String)>,
    /// Of the ports that the change is to open, those that were open already: going back leaves them so.
    #[serde(default)]
    pub open: Vec<String>,
    /// Units that it made start at boot.
    #[serde(default)]
    pub enabled: Vec<String>,
    /// Our file that keeps ports from outgoing connections, and the kernel's list of such ports before and afterwards.
    #[serde(default)]
    pub reserved: Option<(PathBuf, Option<(String, String)>)>,
    /// TCP ports on which sshd listened.
    pub ssh_ports: Vec<u16>,
    /// TCP ports on which it listens afterwards.
    pub ssh_ports_after: Vec<u16>,
    /// sshd's main file.
    #[serde(default)]
    pub ssh_config: PathBuf,
    /// Ports that SELinux was told to let it bind.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// Whether systemd holds its port for it.
    #[serde(default)]
    pub ssh_socket: bool,
    /// Options of its command line that count for its configuration, for asking it what is in force.
    #[serde(default)]
    pub ssh_options: Vec<String>,
}

impl Change {
    /// The actions of a phase.
    pub fn actions(&self, phase: Phase) -> &[Action] {
        match phase {
            Phase::Check => &self.check,
            Phase::Trial1 => &self.trial_1,
            Phase::Trial2 => &self.trial_2,
            Phase::Commit => &self.commit,
        }
    }

    /// Whether everything that is not asked for is refused afterwards, and was not before.
    pub fn raises_wall(&self) -> bool {
        let mut kept = self.before.kept.values();
        self.wall || kept.any(|(before, after)| !has_wall(before) && has_wall(after))
    }

    /// Whether a default-deny set of ours is taken away.
    pub fn drops_wall(&self) -> bool {
        let mut kept = self.before.kept.values();
        kept.any(|(before, after)| has_wall(before) && !has_wall(after))
    }

    /// Whether an inbound port may become open or shut without having been asked for.
    pub fn leaves_open(&self, protocol: Protocol, port: u16) -> bool {
        let mut all = self.at_liberty.iter();
        all.any(|r| r.direction == Direction::In && r.protocol == protocol && r.ports.contains(port))
    }
}

/// The zones of firewalld that get the rules, in its own words: `zone public (eth0, your session)`.
pub fn zones(facts: &Facts) -> Vec<String> {
    firewalld::places(facts)
}

/// What becomes of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleState {
    /// Will be added.
    Add,
    /// Is there already.
    Present,
    /// Will be taken away, or shut.
    Remove,
}

/// One line of the preview in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLine {
    /// Id of the requirement.
    pub id: String,
    /// `accept` or `drop`.
    pub action: String,
    /// `in` or `out`.
    pub direction: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// `33001` or `33001-33100`.
    pub ports: String,
    /// Networks; empty is everyone.
    pub sources: Vec<String>,
    /// Why.
    pub why: String,
    /// Who says so.
    pub source: String,
    /// What becomes of it.
    pub state: RuleState,
}

/// A file before and after, or the ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// `/etc/nftables.conf`, `table inet filter (live)`, ...
    pub name: String,
    /// Unified lines, each beginning with `+`, `-`, blank, or `@`.
    pub lines: Vec<String>,
}

/// Everything that the preview shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The answers it was made from.
    pub answers: Answers,
    /// The plan.
    pub plan: Plan,
    /// The change; `None` when there is nothing to do or it cannot be done.
    pub change: Option<Change>,
    /// Rules in words.
    pub rules: Vec<RuleLine>,
    /// What others listen on and a default-deny set cuts off, such as `TCP/443 httpd`.
    pub cut_off: Vec<String>,
    /// What else is opened or open and stays as it is, such as `TCP/443 httpd`.
    pub unchanged: Vec<String>,
    /// Diffs.
    pub diff: Vec<Diff>,
    /// The native text of the final rules.
    pub native: String,
    /// Advice on plan, answers and host.
    pub advice: Vec<Advice>,
    /// Why it cannot be done; empty when it can.
    pub obstacles: Vec<String>,
    /// Wanted ports that the firewall lets in while the program behind them listens for this host alone.
    pub unheard: Vec<String>,
    /// The rules of the host as they were understood; `None` when they are not known.
    pub live: Option<Arc<Ruleset>>,
}

impl Preview {
    /// Whether `apply` would change anything.
    pub fn changed(&self) -> bool {
        self.change.is_some()
    }
}
