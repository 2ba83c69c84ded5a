//! Advice about the host's firewall and what else runs there.

use std::collections::BTreeMap;

use super::{Advice, Case, Severity, ruleset, socket_line};
use crate::facts::{BackendId, BootFacts, ChainFact, InboundDefault};
use crate::plan::Requirement;
use crate::port::Direction;

/// FW004: several tools drop packets.
pub fn several_tools_drop(case: &Case<'_>) -> Option<Advice> {
    let mut tools: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for chain in inbound_drops(case) {
        let owner = chain
            .owner
            .clone()
            .unwrap_or_else(|| format!("table {}", chain.table));
        let drops = chain.drops.as_deref().unwrap_or_default();
        let line = format!(
            "{owner}: {} {} {} (hook {}, priority {}): {drops}",
            chain.family, chain.table, chain.chain, chain.hook, chain.priority
        );
        tools.entry(owner).or_default().push(line);
    }
    if tools.len() < 2 {
        return None;
    }
    let names: Vec<_> = tools.keys().cloned().collect();
    let text = format!(
        "More than one set of rules can drop packets here: {}. A packet must pass all of them, so a port is open only \
         when each lets it in. If one of them is a leftover, take it out; rules of two tools are hard to keep in order.",
        names.join(", ")
    );
    Some(Advice::new("FW004", Severity::Warning, text).seen(tools.into_values().flatten()))
}

fn inbound_drops<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a ChainFact> {
    case.facts
        .chains
        .iter()
        .filter(|chain| chain.drops.is_some() && chain.hook != "output" && chain.hook != "postrouting")
        .filter(|chain| !chain.table.starts_with("faspwall"))
}

/// FW005, where the firewall is: nothing on this host can look after a change that a power cut has interrupted.
pub fn nothing_recovers_at_boot(case: &Case<'_>) -> Option<Advice> {
    let os = &case.facts.os;
    if os.systemd || os.boot_hook.is_some() || os.kernel.is_empty() {
        return None;
    }
    let text = "Neither systemd, OpenRC's local service nor a cron with /etc/cron.d was found: should the power fail in the \
                seconds in which a confirmed change is made permanent, nobody puts the old files back at boot. Type \
                faspwall rollback after such a boot, or let cron run while the change is made.";
    Some(Advice::new("FW005", Severity::Note, text))
}

/// FW005: the firewall is not active at boot.
pub fn not_active_at_boot(case: &Case<'_>) -> Option<Advice> {
    let facts = case.facts;
    // Where somebody else's program owns the rules nothing is kept, and a unit that is off may well have to stay off: what
    // it loads would flush those rules.
    if facts.refusal.is_some() {
        return None;
    }
    let owner = facts.backend.unwrap_or(BackendId::Nftables);
    let boots =
        std::iter::once((owner, &facts.boot)).chain(facts.also.iter().map(|id| (*id, facts.boot_of(*id))));
    let sleeping: Vec<(BackendId, &BootFacts)> =
        boots.filter(|(_, boot)| boot.enabled == Some(false)).collect();
    let (id, boot) = sleeping.first()?;
    let file = boot
        .file
        .as_ref()
        .map_or_else(|| format!("the rules of {id}"), |file| file.display().to_string());
    let Some(unit) = boot.unit.as_deref() else {
        return Some(nothing_loads(case, *id));
    };
    if case.answers.firewall.enable_at_boot {
        let text =
            format!("{unit} is not enabled, so {file} is not loaded at boot now. This change enables it.");
        return Some(Advice::new("FW005", Severity::Note, text));
    }
    let text = format!(
        "{unit} is not enabled, so {file} is not loaded at boot: after a restart this host would have no firewall, \
         whatever is kept now. Enable it:   systemctl enable {unit}   or set enable_at_boot = true in [firewall], which \
         does it as a step of this change, or accept FW005 when something else loads it."
    );
    Some(Advice::new("FW005", weight(case), text))
}

fn nothing_loads(case: &Case<'_>, id: BackendId) -> Advice {
    let package = match id {
        BackendId::Iptables => {
            " Its loader is in the package iptables-persistent (Debian, Ubuntu) or iptables-services (Red Hat, Fedora)."
        }
        _ => "",
    };
    let text = format!(
        "Nothing was found that loads the rules of {id} at boot: after a restart they would be gone, and what is kept \
         now with them.{package} Accept FW005 when something else loads them."
    );
    Advice::new("FW005", weight(case), text)
}

/// Where nothing drops today a boot without rules changes nothing.
fn weight(case: &Case<'_>) -> Severity {
    if case.facts.chains.iter().any(|chain| chain.drops.is_some()) {
        Severity::Blocker
    } else {
        Severity::Warning
    }
}

/// What detection found not to fit together, each under its code.
pub fn contradictions(case: &Case<'_>) -> Vec<Advice> {
    let all = case.facts.contradictions.iter();
    all.map(|found| {
        let severity = if found.blocks {
            Severity::Blocker
        } else {
            Severity::Warning
        };
        Advice::new(&found.code, severity, found.text.clone())
    })
    .collect()
}

/// Programs that hold a published port for a container.
const PUBLISHERS: [&str; 7] = [
    "docker-proxy",
    "rootlessport",
    "conmon",
    "slirp4netns",
    "pasta",
    "pasta.avx2",
    "containerd",
];

/// FW008: a container already publishes a planned port.
pub fn container_publishes(case: &Case<'_>) -> Option<Advice> {
    let sockets = case
        .facts
        .listeners
        .iter()
        .filter(|socket| {
            socket
                .program
                .as_deref()
                .is_some_and(|program| PUBLISHERS.contains(&program))
        })
        .filter(|socket| case.plan.opens(socket.protocol, socket.port).is_some());
    let mut seen: Vec<String> = sockets.map(socket_line).collect();
    seen.extend(ruleset::redirected(case));
    if seen.is_empty() {
        return None;
    }
    let text = "A container already publishes a port of this plan, or a rule sends the port elsewhere. Its packets go \
                past the input rules: the product on this host does not get them, and sources do not limit who sends \
                them. Stop publishing the port there, or choose another one.";
    Some(Advice::new("FW008", Severity::Warning, text).seen(seen))
}

/// FW012: nothing filters on this host.
pub fn nothing_filters(case: &Case<'_>) -> Option<Advice> {
    let facts = case.facts;
    let known = facts.privileged && facts.observations.nft_error.is_none() && facts.refusal.is_none();
    let filters = facts.inbound_default != InboundDefault::Accept || inbound_drops(case).next().is_some();
    if !known || filters || !case.plan.requirements.iter().any(inbound) {
        return None;
    }
    let others: Vec<String> = facts
        .listeners
        .iter()
        .filter(|socket| !socket.loopback() && case.plan.opens(socket.protocol, socket.port).is_none())
        .map(socket_line)
        .collect();
    if case.answers.firewall.default_deny {
        let text = "Nothing filters packets on this host today. default_deny turns that round: what this plan does \
                    not open is refused, the services below among it, and every protocol but TCP, UDP and ICMP as well: \
                    ESP and AH of IPsec, GRE and other tunnels, VRRP, OSPF.";
        return Some(Advice::new("FW012", Severity::Warning, text).seen(others));
    }
    let text = "Nothing filters packets on this host: every port is open already, and opening more changes nothing. \
                Shutting TCP/22 works all the same. To refuse everything that is not asked for, set \
                default_deny = true in [firewall]; the services below would then be cut off, and every protocol but \
                TCP, UDP and ICMP as well (ESP and AH of IPsec, GRE and other tunnels, VRRP, OSPF).";
    Some(Advice::new("FW012", Severity::Warning, text).seen(others))
}

fn inbound(requirement: &Requirement) -> bool {
    requirement.direction == Direction::In
}
