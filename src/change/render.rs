//! From facts and plan to a preview: what is missing on this host, in words, as native text, as steps, as diffs.

use std::collections::BTreeMap;
use std::sync::Arc;

mod product;
mod shown;
mod wanted;

use self::wanted::Wanted;

use super::boot::units_to_enable;
use super::unheard::left_to_do;
use super::{Preview, RuleLine};
use crate::advice::{Advice, Severity};
use crate::answers::Answers;
use crate::backend::by_hand::by_hand;
use crate::backend::nftables::inspect::inbound_default;
use crate::backend::nftables::model::Ruleset;
use crate::backend::{Translator, translator};
use crate::facts::{Activation, BackendId, Facts, InboundDefault, Listener};
use crate::notice;
use crate::plan::{Plan, Port22, Requirement};
use crate::port::{PortRange, Protocol};
use crate::sshd::socket::port_of;
use crate::transaction::TxnId;

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
        unheard: left_to_do(facts, &plan),
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
    wanted.left_to_do.extend(preview.unheard.iter().cloned());
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
    let listening = facts
        .listeners
        .iter()
        .filter(|l| l.protocol == Protocol::Tcp && !l.loopback())
        .filter(|l| l.pid.is_some() && l.pid == facts.ssh.pid)
        .map(|l| l.port);
    // The port is the socket's, whether sshd runs at this moment or not.
    let streams = facts.ssh.socket.iter().flat_map(|socket| &socket.streams);
    let mut own: Vec<u16> = streams.filter_map(|stream| port_of(stream)).collect();
    if own.is_empty() {
        own.extend(listening);
    }
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
