//! What the answers want of this host, firewall by firewall and file by file.

use std::collections::BTreeMap;

use super::super::Change;
use super::super::assemble::{Parts, helper_port};
use super::{Setting, another_sshd, own_ports, shown, translators, unread_configuration, without_ids};
use crate::backend::nftables::bridge;
use crate::backend::nftables::inspect::fingerprint;
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::render;
use crate::backend::nftables::shut::{has_our_deny, is_shut_but_for};
use crate::backend::nftables::wall::{Gates, has_wall};
use crate::backend::{Pieces, Wish};
use crate::facts::{BackendId, Facts};
use crate::plan::{Plan, Port22, Requirement};
use crate::port::Protocol;
use crate::sshd::by_hand::{by_hand, is_moved_here};
use crate::sshd::change::{FileChange, listen_on, ours};
use crate::sshd::logins::refused_there;
use crate::sshd::reserve::{Reservation, reserve};
use crate::sshd::wrappers;
use ipnet::IpNet;

/// What is wanted of one host, and what that asks of each of its parts.
pub(super) struct Wanted<'a> {
    pub(super) facts: &'a Facts,
    pub(super) setting: &'a Setting,
    pub(super) live: &'a Ruleset,
    pub(super) theirs: Ruleset,
    pub(super) requirements: Vec<Requirement>,
    pub(super) gaps: Vec<(String, String)>,
    pub(super) closing: Vec<u16>,
    pub(super) spared: Vec<IpNet>,
    /// What a default-deny set lets through, where one is to stand.
    pub(super) gates: Option<Gates>,
    /// A default-deny set was asked for where the host's own rules refuse by default.
    pub(super) refused_already: bool,
    pub(super) shut_now: bool,
    pub(super) sshd_files: Vec<FileChange>,
    /// aspera.conf, where it shall name the ports of the plan.
    pub(super) product_files: Vec<FileChange>,
    /// What is kept from outgoing connections, so that sshd gets its port.
    pub(super) reservation: Option<Reservation>,
    pub(super) left_to_do: Vec<String>,
    pub(super) ports_before: Vec<u16>,
    pub(super) ports_after: Vec<u16>,
    /// Text of what each backend keeps, now and afterwards.
    pub(super) kept: BTreeMap<BackendId, (String, String)>,
    pub(super) pieces: Pieces,
    /// Units that are to start at boot.
    pub(super) enable: Vec<String>,
    pub(super) obstacles: Vec<String>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(
        facts: &'a Facts,
        plan: &Plan,
        live: &'a Ruleset,
        setting: &'a Setting,
        wall: bool,
    ) -> Self {
        let theirs = live.without_ours();
        let requirements = plan.requirements.clone();
        let gaps = render::gaps(live, &requirements)
            .into_iter()
            .map(|(requirement, reason)| (requirement.id.clone(), reason))
            .collect();
        let closing = if plan.port_22 == Port22::Keep || plan.ssh_port == 22 {
            Vec::new()
        } else {
            vec![22]
        };
        let spared = if let Port22::Restrict(nets) = &plan.port_22 {
            nets.clone()
        } else {
            Vec::new()
        };
        let mut wanted = Self {
            shut_now: is_shut_but_for(live, 22, &spared) || has_our_deny(live),
            gates: wall.then(|| Gates::new(facts, &requirements, &closing, &spared)),
            refused_already: false,
            facts,
            setting,
            live,
            theirs,
            requirements,
            gaps,
            closing,
            spared,
            sshd_files: Vec::new(),
            product_files: Vec::new(),
            reservation: None,
            left_to_do: Vec::new(),
            ports_before: facts.ssh.ports.clone(),
            ports_after: facts.ssh.ports.clone(),
            kept: BTreeMap::new(),
            pieces: Pieces::default(),
            enable: Vec::new(),
            obstacles: Vec::new(),
        };
        wanted.plan_sshd(plan);
        wanted.find_obstacles(plan);
        wanted.translate();
        wanted
    }

    /// Asks every firewall that drops packets what it would keep, and for its part of the change.
    pub(super) fn translate(&mut self) {
        let mut pieces = Pieces::default();
        for backend in translators(self.facts) {
            let id = backend.id();
            let owner = self.facts.backend == Some(id);
            let committed = self
                .setting
                .committed
                .get(&id)
                .map(String::as_str)
                .unwrap_or_default();
            let kept = backend.kept(self.facts, self.live, committed);
            let wish = Wish {
                tag: self.setting.id.tag(),
                window_s: self.setting.window_s,
                facts: self.facts,
                theirs: &self.theirs,
                requirements: &self.requirements,
                // One drop is enough.
                closing: if owner { &self.closing } else { &[] },
                spared: &self.spared,
                gates: self.gates.as_ref().filter(|_| owner),
                helper_port: (!self.sshd_files.is_empty()).then(|| helper_port(self.facts)),
                kept: &kept,
            };
            match backend.keeps(&wish) {
                Ok(text) => {
                    // Ids differ from run to run; the rules behind them need not.
                    let text = if without_ids(&text) == without_ids(&kept) {
                        kept.clone()
                    } else {
                        text
                    };
                    pieces.extend(backend.pieces(&wish, &text));
                    self.kept.insert(id, (kept, text));
                }
                Err(obstacles) => self.obstacles.extend(obstacles),
            }
        }
        self.pieces = pieces;
    }

    pub(super) fn native(&self) -> String {
        self.kept.values().map(|(_, after)| after.as_str()).collect()
    }

    pub(super) fn plan_sshd(&mut self, plan: &Plan) {
        let inbound_ssh = plan.inbound_ssh().is_some();
        if !plan.move_sshd || !inbound_ssh {
            return;
        }
        let own = own_ports(self.facts);
        if let Some(text) = another_sshd(self.facts, &own, plan.ssh_port) {
            self.obstacles.push(text);
            return;
        }
        let mut ports = own.clone();
        if plan.port_22 == Port22::Close && plan.ssh_port != 22 {
            ports.retain(|port| *port != 22);
        }
        // Where an earlier change had moved it; 22 has an answer of its own.
        let moved_to = ours(&self.facts.ssh);
        ports.retain(|port| *port == 22 || !moved_to.contains(port));
        ports.push(plan.ssh_port);
        ports.sort_unstable();
        ports.dedup();
        if ports == own {
            return;
        }
        if let Some(text) = unread_configuration(self.facts, &own) {
            self.obstacles.push(text);
            return;
        }
        self.ports_before = own;
        match listen_on(&self.facts.ssh, &ports) {
            Ok(files) => {
                if !files.is_empty() {
                    self.reservation = reserve(&self.facts.ssh, plan.ssh_port, &self.requirements);
                }
                self.sshd_files = files;
                self.ports_after = ports;
            }
            Err(obstacle) => self.obstacles.push(obstacle.to_string()),
        }
    }

    pub(super) fn find_obstacles(&mut self, plan: &Plan) {
        let door = plan.ssh_port;
        let squatter = self.facts.listeners.iter().find(|l| {
            l.protocol == Protocol::Tcp
                && l.port == door
                && (!l.of_root()
                    || l.program
                        .as_deref()
                        .is_none_or(|program| !program.starts_with("sshd")))
        });
        if let (Some(squatter), true) = (squatter, plan.move_sshd && !self.facts.ssh.ports.contains(&door)) {
            let program = squatter.program.as_deref().unwrap_or("another program");
            self.obstacles.push(format!(
                "TCP/{door} is already used by {program} on {}: sshd cannot listen there. Choose another port, or stop that program",
                squatter.address
            ));
        }
        if let (Some(held), true) = (self.facts.ssh.in_the_way.first(), plan.move_sshd) {
            self.obstacles.push(format!(
                "TCP/{door} is this host's own end of a connection: {held}. sshd could not listen there while it lasts. Wait \
                 until it ends, or end that program, and run this again; or choose another port"
            ));
        }
        for (chain, reason, ports) in bridge::refused(&self.theirs, &self.facts.links, &self.requirements) {
            let place = format!("bridge {} {}", chain.table, chain.name);
            self.obstacles.push(format!(
                "{place} ({reason}) filters the bridge that this host is reached over and may refuse {} before any other \
                 rule is asked. faspwall writes no rules for bridges and cannot rehearse them. Let the ports in there, \
                 now and in the file that loads that table (such as nft insert rule {place} tcp dport 33001 accept), and \
                 run faspwall again",
                ports.join(", ")
            ));
        }
        self.obstacles.extend(refused_there(&self.facts.ssh));
        let client = self.facts.session.as_ref().and_then(|session| session.client);
        self.obstacles
            .extend(client.and_then(|client| wrappers::refused(&self.facts.ssh, client.to_canonical())));
        if !plan.move_sshd && !self.closing.is_empty() && !self.facts.ssh.ports.contains(&door) {
            self.obstacles.push(self.nobody_there(door));
        }
    }

    /// sshd is to be left alone, and does not listen on the port that is to be the only one.
    fn nobody_there(&self, door: u16) -> String {
        let ssh = &self.facts.ssh;
        if is_moved_here(ssh) {
            return format!(
                "sshd does not listen on TCP/{door} and is to be left alone: closing 22 would shut everyone out. Choose \
                 daemon = \"move\", or make sshd listen there first"
            );
        }
        format!(
            "{0} does not listen on TCP/{door}, and faspwall does not move it: closing 22 would shut everyone out. By hand, \
             first:\n{1}",
            ssh.daemon,
            by_hand(&ssh.daemon, door).join("\n")
        )
    }

    /// Files that would not survive being written anew.
    pub(super) fn find_unwritable(&mut self) {
        let reserved = self.reservation.iter().map(|reservation| &reservation.file);
        let own = self.sshd_files.iter().chain(&self.product_files).chain(reserved);
        let own = own.map(|file| (&file.path, &file.before));
        let files = self.pieces.files.iter().map(|(path, before, _)| (path, before));
        for (path, before) in files.chain(own) {
            // What is no UTF-8 was replaced by this sign as it was read.
            if before.as_deref().is_some_and(|text| text.contains('\u{fffd}')) {
                self.obstacles.push(format!(
                    "{} holds bytes that are not UTF-8, which would be lost. Convert it first, such as with iconv -f latin1 -t utf8",
                    path.display()
                ));
            }
        }
    }

    pub(super) fn changes(&self) -> bool {
        let same_rules = self.kept.values().all(|(before, after)| before == after);
        let shut_as_wanted = self.closing.is_empty() || self.shut_now;
        let same_files =
            self.pieces.files.is_empty() && self.sshd_files.is_empty() && self.product_files.is_empty();
        let loaded_at_boot = self.enable.is_empty();
        !(self.gaps.is_empty() && same_rules && shut_as_wanted && same_files && loaded_at_boot)
    }

    /// Whether the default-deny set that stands is the one that is wanted: then it needs no trial.
    pub(super) fn walled_as_wanted(&self) -> bool {
        self.kept
            .values()
            .any(|(kept, after)| has_wall(kept) && kept == after)
    }

    /// Ports that the commit in force opened, and those that sshd leaves, unless they are wanted now.
    pub(super) fn at_liberty(&self) -> Vec<Requirement> {
        let kept = self.setting.let_in.iter();
        let mut all: Vec<Requirement> = kept.filter(|r| !self.requirements.contains(r)).cloned().collect();
        let left = self
            .ports_before
            .iter()
            .filter(|port| !self.ports_after.contains(port));
        all.extend(left.filter_map(|port| Requirement::ssh(*port)));
        all
    }

    pub(super) fn change(&self, plan: &Plan) -> Change {
        let inbound_ssh = plan.inbound_ssh().is_some();
        let parts = Parts {
            id: &self.setting.id,
            window_s: self.setting.window_s,
            facts: self.facts,
            backend: self.facts.backend.unwrap_or(BackendId::Nftables),
            pieces: self.pieces.clone(),
            kept: self.kept.clone(),
            program: &self.setting.program,
            door: inbound_ssh.then_some(plan.ssh_port),
            // What is shut already needs no trial.
            closing: if self.shut_now && self.sshd_files.is_empty() {
                Vec::new()
            } else {
                self.closing.clone()
            },
            spared: self.spared.clone(),
            gates: self.gates.clone().filter(|_| !self.walled_as_wanted()),
            // Our own deny would stand before the door: back to 22 after it was shut.
            // A wall of ours may stand before it as well.
            lift: self.closing.is_empty() || self.kept.values().any(|(kept, _)| has_wall(kept)),
            sshd_files: self.sshd_files.clone(),
            product_files: self.product_files.clone(),
            reservation: self.reservation.clone(),
            left_to_do: self.left_to_do.clone(),
            ssh_ports: (self.ports_before.clone(), self.ports_after.clone()),
            helper_port: helper_port(self.facts),
            enable: self.enable.clone(),
            disable: Vec::new(),
            unlabel: Vec::new(),
            keep_22_until: plan.keep_22_until,
            requirements: self.requirements.clone(),
            at_liberty: self.at_liberty(),
        };
        let mut seen = std::collections::BTreeSet::new();
        let opened: Vec<String> = self
            .requirements
            .iter()
            .map(shown::port_of)
            .filter(|port| seen.insert(port.clone()))
            .collect();
        let closed = self.closing.iter().map(|port| format!("TCP/{port}")).collect();
        let open = opened
            .iter()
            .filter(|port| self.open_already(port))
            .cloned()
            .collect();
        let mut change = parts.assemble(fingerprint(self.live), opened, closed, None);
        change.before.open = open;
        change
    }
}
