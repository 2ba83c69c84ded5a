//! Translators of firewalls: observations in, text and steps out; nothing here runs anything.
//!
//! Each backend knows one tool. It says what it wants to keep on a host ([`Translator::keeps`]) and hands the
//! [`Pieces`] of a change to `change::assemble`, which puts those of all backends and of sshd into the one safe order.
//! What is the same on every host is not done here: the kernel's clock, the timed deny of trial 2, the second sshd.

pub mod by_hand;
pub mod firewalld;
pub mod iptables;
pub mod kernel;
pub mod nftables;
pub mod ufw;

use std::path::PathBuf;

use ipnet::IpNet;

use self::nftables::model::Ruleset;
use self::nftables::render::Timed;
use self::nftables::wall::Gates;
use crate::facts::{BackendId, Facts};
use crate::plan::Requirement;
use crate::step::{Action, Step};

/// What is asked of a firewall.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// What every object of this change is marked with: `faspwall:20261123-073112`.
    pub tag: String,
    /// Seconds of a confirm window: how long the kernel lets the trial's accepts live where it can time them.
    pub window_s: u64,
    /// The host.
    pub facts: &'a Facts,
    /// Every chain that the kernel has loaded, of all tools, without anything of ours.
    pub theirs: &'a Ruleset,
    /// What must be let through.
    pub requirements: &'a [Requirement],
    /// TCP ports that are to be shut in the end. Empty for a backend that is not the owner.
    pub closing: &'a [u16],
    /// Networks spared from that.
    pub spared: &'a [IpNet],
    /// What a default-deny set lets through, where one is to stand; `None` for a backend that is not the owner.
    pub gates: Option<&'a Gates>,
    /// The port of the helper sshd that answers while sshd itself changes ports; `None` when sshd stays as it is.
    pub helper_port: Option<u16>,
    /// What we keep on this host now, in the backend's own text; empty when nothing is kept.
    pub kept: &'a str,
}

/// What one backend contributes to a change. Every action bears its own undo, which is harmless when the action never
/// happened; undo runs backwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Native dry runs; they change nothing.
    pub check: Vec<Action>,
    /// Trial 1: accepts at run time, nothing on disk.
    pub open: Vec<Action>,
    /// Sets of nftables among them whose elements time out; the engine gives them new time.
    pub clocks: Vec<Timed>,
    /// Rules of iptables among them that hold for a while: performed again, they get new time.
    pub timed: Vec<Step>,
    /// Trial 1 of a way back: takes our own kept deny out of the live rules.
    pub lift: Vec<Action>,
    /// Brings the tool's live rules back to what they were before the commit: undo of the commit's first action, and so
    /// the last thing that an undone commit does.
    pub restore: Vec<Step>,
    /// Commit, while sshd changes ports: lets the helper's port in, only for what was redirected where the tool can
    /// tell. Taken away by `settle`.
    pub bridge: Vec<Action>,
    /// Commit, first: files for the next boot, with the accepts and without a deny.
    pub keep: Vec<Action>,
    /// Commit, once sshd listens as it shall: permanent rules in force, the deny among them, the trial's gone.
    pub settle: Vec<Action>,
    /// Commit, last: the deny into the files.
    pub seal: Vec<Action>,
    /// Files that the commit writes as a whole: path, content now, content afterwards.
    pub files: Vec<(PathBuf, Option<String>, Option<String>)>,
    /// Files that the tool itself rewrites in a commit, with their content now. They must not change before it, and
    /// undo brings them back byte for byte.
    pub rewritten: Vec<(PathBuf, Option<String>)>,
}

impl Pieces {
    /// Adds those of another backend.
    pub fn extend(&mut self, other: Self) {
        self.check.extend(other.check);
        self.open.extend(other.open);
        self.clocks.extend(other.clocks);
        self.timed.extend(other.timed);
        self.lift.extend(other.lift);
        self.restore.extend(other.restore);
        self.bridge.extend(other.bridge);
        self.keep.extend(other.keep);
        self.settle.extend(other.settle);
        self.seal.extend(other.seal);
        self.files.extend(other.files);
        self.rewritten.extend(other.rewritten);
    }
}

/// A firewall's language.
pub trait Translator: Sync {
    /// Which firewall.
    fn id(&self) -> BackendId;

    /// What we keep on this host now, in the backend's own text. `live` are the rules of the kernel; `committed` is what
    /// the last commit left, for tools whose rules bear no mark.
    fn kept(&self, facts: &Facts, live: &Ruleset, committed: &str) -> String;

    /// Everything that shall be kept afterwards: one line for each rule, the same for the same wish but for the tag.
    /// `Err` tells what stands in the way and what to do about it.
    fn keeps(&self, wish: &Wish<'_>) -> Result<String, Vec<String>>;

    /// The change from `wish.kept` to `wanted`.
    fn pieces(&self, wish: &Wish<'_>, wanted: &str) -> Pieces;
}

/// The translator for a firewall; `None` for one that this version only recognises.
pub fn translator(id: BackendId) -> Option<&'static dyn Translator> {
    match id {
        BackendId::Nftables => Some(&nftables::translate::Nftables),
        BackendId::Iptables => Some(&iptables::translate::Iptables),
        BackendId::Ufw => Some(&ufw::Ufw),
        BackendId::Firewalld => Some(&firewalld::Firewalld),
        BackendId::Pf | BackendId::Ipfw | BackendId::Windows => None,
    }
}
