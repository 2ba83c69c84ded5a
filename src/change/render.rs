//! From facts and plan to a preview: what is missing on this host, in words, as native text, as steps, as diffs.

use std::collections::BTreeMap;
use std::sync::Arc;

mod product;
mod shown;

use super::assemble::Parts;
use super::boot::units_to_enable;
use super::{Change, Preview, RuleLine};
use crate::advice::{Advice, Severity};
use crate::answers::Answers;
use crate::backend::by_hand::by_hand;
use crate::backend::nftables::inspect::{fingerprint, inbound_default};
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::render;
use crate::backend::nftables::shut::{has_our_deny, is_shut_but_for};
use crate::backend::nftables::wall::{Gates, has_wall};
use crate::backend::{Pieces, Translator, Wish, translator};
use crate::facts::{Activation, BackendId, Facts, InboundDefault, Listener};
use crate::notice;
use crate::plan::{Plan, Port22, Requirement};
use crate::port::{PortRange, Protocol};
use crate::sshd::change::{FileChange, listen_on, ours};
use crate::sshd::logins::refused_there;
use crate::sshd::wrappers;
use crate::transaction::TxnId;
use ipnet::IpNet;

/// What the rendering needs besides facts and plan.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Name of the transaction that would run it.
    pub id: TxnId,
    /// Seconds of a confirm window.
    pub window_s: u64,
    /// This program and the state directory, as in `ExecStart=` of a unit.
    pub program: String,
    /// What the commit in force left, in each backend's own text.
    pub committed: BTreeMap<BackendId, String>,
    /// What that commit lets through.
    pub let_in: Vec<Requirement>,
}

/// Renders the preview. Never fails: what stands in the way is listed as obstacles.
pub fn preview(
    facts: &Facts,
    answers: &Answers,
    plan: Plan,
    advice: Vec<Advice>,
    setting: &Setting,
) -> Preview {
    let mut obstacles = Vec::new();
    let live = live(facts, &plan, &mut obstacles);
    obstacles.extend(another_backend(facts, answers));
    let enable = units_to_enable(facts, answers.firewall.enable_at_boot).unwrap_or_else(|obstacle| {
        obstacles.push(obstacle);
        Vec::new()
    });
    let told = |text: &str| {
        facts
            .refusal
            .as_deref()
            .is_some_and(|refusal| refusal.contains(text))
    };
    for blocker in advice
        .iter()
        .filter(|a| a.severity == Severity::Blocker && !told(&a.text))
    {
        obstacles.push(format!("{}: {}", blocker.code, blocker.text));
    }
    let mut preview = Preview {
        answers: answers.clone(),
        plan,
        change: None,
        rules: Vec::new(),
        unchanged: Vec::new(),
        cut_off: Vec::new(),
        diff: Vec::new(),
        native: String::new(),
        advice,
        obstacles,
        live: live.map(Arc::new),
    };
    let Some(live) = preview.live.clone() else {
        return preview;
    };
    let refused_already = answers.firewall.default_deny && !lets_all_in(&live);
    let wall = answers.firewall.default_deny && !refused_already && may_wall(facts, &mut preview.obstacles);
    let mut wanted = Wanted::new(facts, &preview.plan, &live, setting, wall);
    wanted.enable = enable;
    wanted.refused_already = refused_already;
    wanted.plan_product(answers, &preview.plan);
    wanted.find_unwritable();
    preview.obstacles.extend(wanted.obstacles.iter().cloned());
    preview.rules = wanted.rule_lines(&preview.plan);
    (preview.unchanged, preview.cut_off) = others(facts, &preview.rules, wanted.gates.is_some());
    preview.native = wanted.native();
    preview.diff = wanted.diffs();
    if preview.obstacles.is_empty() && wanted.changes() {
        let mut change = wanted.change(&preview.plan);
        change.answers = Some(Box::new(answers.clone()));
        // Ports that stay as they are concern nobody.
        if !wanted.sshd_files.is_empty() || !change.closing.is_empty() || !wanted.gaps.is_empty() {
            change.notice = notice::text(&preview.plan, answers, facts, setting.id.day());
        }
        preview.change = Some(change);
    }
    preview
}

/// The answers may name the firewall, but it is the host that decides.
fn another_backend(facts: &Facts, answers: &Answers) -> Option<String> {
    let (wanted, owner) = (answers.firewall.backend?, facts.backend?);
    if wanted == owner {
        return None;
    }
    let fact = facts.backends.iter().find(|fact| fact.id == owner);
    let reason = fact.map_or("its rules decide", |fact| fact.reason.as_str());
    Some(format!(
        "backend = \"{wanted}\" is asked for, but the inbound rules of this host belong to {owner} ({reason}): rules of \
         {wanted} beside it would be lost, or would not count. Set backend = \"auto\" or \"{owner}\""
    ))
}

fn live(facts: &Facts, plan: &Plan, obstacles: &mut Vec<String>) -> Option<Ruleset> {
    if let Some(refusal) = &facts.refusal {
        obstacles.push(refusal.clone());
        let closing: &[u16] = if plan.port_22 == Port22::Keep || plan.ssh_port == 22 {
            &[]
        } else {
            &[22]
        };
        for which in &facts.unmanaged {
            let lines = by_hand(which, &plan.requirements, closing, &facts.hostname);
            obstacles.push(format!("By hand:\n{}", lines.join("\n")));
        }
        return None;
    }
    if facts.backend.and_then(translator).is_none() {
        obstacles.push(String::from("no usable firewall was found on this host"));
        return None;
    }
    match crate::backend::kernel::of_facts(facts) {
        Ok(Some(ruleset)) => Some(ruleset),
        Ok(None) => {
            let why = facts
                .observations
                .nft_error
                .clone()
                .unwrap_or_else(|| String::from("it was not read"));
            obstacles.push(format!(
                "the live ruleset is not known: {why}. Run faspwall as root to see it"
            ));
            None
        }
        Err(error) => {
            obstacles.push(error.to_string());
            None
        }
    }
}

/// Whether nothing but what we added refuses what no rule names.
fn lets_all_in(live: &Ruleset) -> bool {
    inbound_default(&live.without_ours()) == InboundDefault::Accept
}

/// Whether a default-deny set of ours can be turned on: some firewalls have one of their own.
fn may_wall(facts: &Facts, obstacles: &mut Vec<String>) -> bool {
    let by_hand = match facts.backend {
        Some(BackendId::Ufw) => "ufw default deny incoming",
        Some(BackendId::Firewalld) => "firewall-cmd --set-default-zone=public",
        _ => return true,
    };
    obstacles.push(format!(
        "default_deny is for a host without a firewall; here {} is switched on and lets everything in. Set \
         default_deny = false, and once the ports of this plan are open let it refuse the rest itself:   {by_hand}",
        facts.backend.map_or("", BackendId::as_str)
    ));
    false
}

/// Ports that others listen on and that no line of the preview speaks of: those that stay as they are, and those that
/// a default-deny set cuts off.
fn others(facts: &Facts, rules: &[RuleLine], wall: bool) -> (Vec<String>, Vec<String>) {
    let named = |l: &Listener| {
        rules.iter().any(|rule| {
            let range = rule.ports.parse::<PortRange>();
            rule.protocol == l.protocol.to_string() && range.is_ok_and(|range| range.contains(l.port))
        })
    };
    let stays = |l: &Listener| !wall || (l.protocol == Protocol::Tcp && facts.ssh.ports.contains(&l.port));
    let list = |wanted: &dyn Fn(&Listener) -> bool| {
        let mut lines: Vec<String> = facts
            .listeners
            .iter()
            .filter(|l| !l.loopback() && !named(l) && wanted(l))
            .map(|l| {
                let program = l.program.as_deref().unwrap_or("unknown program");
                format!("{}/{} {program}", l.protocol.to_string().to_uppercase(), l.port)
            })
            .collect();
        lines.sort();
        lines.dedup();
        lines
    };
    (list(&|l| stays(l)), list(&|l| !stays(l)))
}

/// Ids differ from run to run; the rules behind them need not.
fn without_ids(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("faspwall:") {
        let (head, tail) = rest.split_at(at + "faspwall:".len());
        plain.push_str(head);
        rest = tail.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    }
    plain.push_str(rest);
    plain
}

/// Ports of the sshd that is moved, ascending. Another sshd with a configuration of its own may listen beside it.
fn own_ports(facts: &Facts) -> Vec<u16> {
    let mut own: Vec<u16> = facts
        .listeners
        .iter()
        .filter(|l| l.protocol == Protocol::Tcp && !l.loopback())
        .filter(|l| l.pid.is_some() && l.pid == facts.ssh.pid)
        .map(|l| l.port)
        .collect();
    if own.is_empty() {
        own.clone_from(&facts.ssh.ports);
    }
    if own.is_empty() {
        own = facts.ssh.config.listening();
    }
    own.sort_unstable();
    own.dedup();
    own
}

fn another_sshd(facts: &Facts, own: &[u16], door: u16) -> Option<String> {
    let taken = facts.ssh.ports.contains(&door) && !own.contains(&door);
    taken.then(|| {
        let own: Vec<String> = own.iter().map(|port| format!("TCP/{port}")).collect();
        format!(
            "TCP/{door} is served by another sshd than {}: one of them would lose its port. Choose daemon = \"leave\" to \
             keep both as they are, or stop the other one",
            own.join(" and ")
        )
    })
}

/// Going back means to read the old files again, so they must say what is so now.
fn unread_configuration(facts: &Facts, own: &[u16]) -> Option<String> {
    if matches!(facts.ssh.activation, Activation::Socket(_)) {
        // systemd holds the port: what the files say is no promise.
        return None;
    }
    let configured = facts.ssh.config.listening();
    if facts.ssh.config.error.is_some() || configured.is_empty() || configured == own {
        return None;
    }
    let list = |ports: &[u16]| {
        ports
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    Some(format!(
        "sshd listens on {}, but its files say {}: they were changed, and it has not read them. Undo would lead to \
         those ports. Make the files name {} again, or reload sshd once the firewall lets {} in",
        list(own),
        list(&configured),
        list(own),
        list(&configured)
    ))
}

/// Who carries the rules: the owner first.
pub fn translators(facts: &Facts) -> Vec<&'static dyn Translator> {
    let ids = facts.backend.iter().chain(&facts.also);
    ids.filter_map(|id| translator(*id)).collect()
}

struct Wanted<'a> {
    facts: &'a Facts,
    setting: &'a Setting,
    live: &'a Ruleset,
    theirs: Ruleset,
    requirements: Vec<Requirement>,
    gaps: Vec<(String, String)>,
    closing: Vec<u16>,
    spared: Vec<IpNet>,
    /// What a default-deny set lets through, where one is to stand.
    gates: Option<Gates>,
    /// A default-deny set was asked for where the host's own rules refuse by default.
    refused_already: bool,
    shut_now: bool,
    sshd_files: Vec<FileChange>,
    /// aspera.conf, where it shall name the ports of the plan.
    product_files: Vec<FileChange>,
    left_to_do: Vec<String>,
    ports_before: Vec<u16>,
    ports_after: Vec<u16>,
    /// Text of what each backend keeps, now and afterwards.
    kept: BTreeMap<BackendId, (String, String)>,
    pieces: Pieces,
    /// Units that are to start at boot.
    enable: Vec<String>,
    obstacles: Vec<String>,
}

impl<'a> Wanted<'a> {
    fn new(facts: &'a Facts, plan: &Plan, live: &'a Ruleset, setting: &'a Setting, wall: bool) -> Self {
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
    fn translate(&mut self) {
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
                helper_port: (!self.sshd_files.is_empty()).then(|| self.helper_port()),
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

    fn native(&self) -> String {
        self.kept.values().map(|(_, after)| after.as_str()).collect()
    }

    fn plan_sshd(&mut self, plan: &Plan) {
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
                self.sshd_files = files;
                self.ports_after = ports;
            }
            Err(obstacle) => self.obstacles.push(obstacle.to_string()),
        }
    }

    fn find_obstacles(&mut self, plan: &Plan) {
        let door = plan.ssh_port;
        let squatter = self.facts.listeners.iter().find(|l| {
            l.protocol == Protocol::Tcp
                && l.port == door
                && l.program
                    .as_deref()
                    .is_none_or(|program| !program.starts_with("sshd"))
        });
        if let (Some(squatter), true) = (squatter, plan.move_sshd && !self.facts.ssh.ports.contains(&door)) {
            let program = squatter.program.as_deref().unwrap_or("another program");
            self.obstacles.push(format!(
                "TCP/{door} is already used by {program} on {}: sshd cannot listen there. Choose another port, or stop that program",
                squatter.address
            ));
        }
        self.obstacles.extend(refused_there(&self.facts.ssh));
        let client = self.facts.session.as_ref().and_then(|session| session.client);
        self.obstacles
            .extend(client.and_then(|client| wrappers::refused(&self.facts.ssh, client.to_canonical())));
        if !plan.move_sshd && !self.closing.is_empty() && !self.facts.ssh.ports.contains(&door) {
            self.obstacles.push(format!(
                "sshd does not listen on TCP/{door} and is to be left alone: closing 22 would shut everyone out. Choose daemon = \"move\", or make sshd listen there first"
            ));
        }
    }

    /// Files that would not survive being written anew.
    fn find_unwritable(&mut self) {
        let own = self.sshd_files.iter().chain(&self.product_files);
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

    fn changes(&self) -> bool {
        let same_rules = self.kept.values().all(|(before, after)| before == after);
        let shut_as_wanted = self.closing.is_empty() || self.shut_now;
        let same_files =
            self.pieces.files.is_empty() && self.sshd_files.is_empty() && self.product_files.is_empty();
        let loaded_at_boot = self.enable.is_empty();
        !(self.gaps.is_empty() && same_rules && shut_as_wanted && same_files && loaded_at_boot)
    }

    /// Whether the default-deny set that stands is the one that is wanted: then it needs no trial.
    fn walled_as_wanted(&self) -> bool {
        self.kept
            .values()
            .any(|(kept, after)| has_wall(kept) && kept == after)
    }

    fn helper_port(&self) -> u16 {
        let taken = |port: &u16| self.facts.listeners.iter().any(|l| l.port == *port);
        (61_022..61_122).find(|port| !taken(port)).unwrap_or(61_022)
    }

    /// Ports that the commit in force opened, and those that sshd leaves, unless they are wanted now.
    fn at_liberty(&self) -> Vec<Requirement> {
        let kept = self.setting.let_in.iter();
        let mut all: Vec<Requirement> = kept.filter(|r| !self.requirements.contains(r)).cloned().collect();
        let left = self
            .ports_before
            .iter()
            .filter(|port| !self.ports_after.contains(port));
        all.extend(left.filter_map(|port| Requirement::ssh(*port)));
        all
    }

    fn change(&self, plan: &Plan) -> Change {
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
            left_to_do: self.left_to_do.clone(),
            ssh_ports: (self.ports_before.clone(), self.ports_after.clone()),
            helper_port: self.helper_port(),
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
