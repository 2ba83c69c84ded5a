//! The decision: whose rules decide about packets that come in, and can ours be put there? Pure.
//!
//! The owner is the tool whose chain would drop the packet; a front-end beats the tool below it, for it would overwrite
//! what it does not know. Where the kernel, the services and their files do not tell the same story nothing is decided:
//! the next reload or boot would.

use std::collections::BTreeMap;

use super::boot::Rivals;
use super::manager::{Hold, Manager, ufw_is_hooked};
use super::services::Services;
use super::writers::Writer;
use crate::backend::nftables::inspect::Inspection;
use crate::backend::ufw::ipv6;
use crate::facts::{BackendId, BootFacts, Contradiction, Unmanaged};

/// What the decision is made from.
pub struct Case<'a> {
    /// The kernel's view.
    pub inspection: &'a Inspection,
    /// Who owns rules on the way in.
    pub managers: &'a BTreeMap<Manager, Hold>,
    /// Which programs are switched on.
    pub services: &'a Services,
    /// What is loaded at boot.
    pub boots: &'a BTreeMap<BackendId, BootFacts>,
    /// Who gets into whose way at boot.
    pub rivals: &'a [Rivals],
    /// What makes inbound rules at boot by commands of its own.
    pub writers: &'a [Writer],
    /// Firewalls for which rules can be written.
    pub available: &'a dyn Fn(BackendId) -> bool,
}

/// The decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// The owner.
    pub backend: Option<BackendId>,
    /// Others whose chains drop as well.
    pub also: Vec<BackendId>,
    /// Recognised, and left alone.
    pub unmanaged: Vec<Unmanaged>,
    /// What does not fit together.
    pub contradictions: Vec<Contradiction>,
    /// Why there is no owner.
    pub refusal: Option<String>,
}

/// Decides.
pub fn decide(case: &Case<'_>) -> Decision {
    let unmanaged = unmanaged(case);
    let mut contradictions: Vec<Contradiction> = ufw(case).into_iter().collect();
    contradictions.extend(ufw_without_ipv6(case));
    contradictions.extend(firewalld(case));
    let carriers = carriers(case);
    contradictions.extend(beside(case, &carriers));
    contradictions.extend(rivals(case, &carriers));
    contradictions.extend(case.writers.iter().map(Writer::contradiction));
    let refusal = refusal(case, &unmanaged, &contradictions, &carriers);
    let mut carriers = carriers.into_iter();
    let (backend, also) = match refusal {
        Some(_) => (None, Vec::new()),
        None => (carriers.next().or(Some(BackendId::Nftables)), carriers.collect()),
    };
    Decision {
        backend,
        also,
        unmanaged,
        contradictions,
        refusal,
    }
}

fn unmanaged(case: &Case<'_>) -> Vec<Unmanaged> {
    let mut found: Vec<Unmanaged> = case
        .managers
        .iter()
        .filter_map(|(manager, hold)| match manager {
            Manager::Csf => Some(Unmanaged::Csf),
            Manager::Shorewall => Some(Unmanaged::Shorewall),
            Manager::Proxmox => Some(Unmanaged::Proxmox),
            Manager::OpenWrt => Some(Unmanaged::OpenWrt),
            Manager::LockedTable => Some(Unmanaged::Locked(hold.table.clone())),
            _ => None,
        })
        .collect();
    for (on, which) in [
        (case.services.csf, Unmanaged::Csf),
        (case.services.shorewall, Unmanaged::Shorewall),
        (case.services.proxmox, Unmanaged::Proxmox),
    ] {
        if on && !found.contains(&which) {
            found.push(which);
        }
    }
    found.extend(case.writers.iter().map(Writer::unmanaged));
    found
}

/// Firewalls in whose language something stands in the way, the owner first.
fn carriers(case: &Case<'_>) -> Vec<BackendId> {
    let mut found: BTreeMap<BackendId, bool> = BTreeMap::new();
    for (manager, hold) in case.managers {
        if let Some(id) = manager.backend() {
            *found.entry(id).or_default() |= hold.certain;
        }
    }
    // Switched on, it owns the way in even where it lets everything through.
    if case.services.ufw.active && ufw_is_hooked(&case.inspection.ruleset) {
        found.entry(BackendId::Ufw).or_insert(true);
    }
    let at_boot = |id: &BackendId| case.boots.get(id).is_some_and(|boot| boot.enabled == Some(true));
    let mut ids: Vec<(BackendId, bool)> = found.into_iter().collect();
    ids.sort_by_key(|(id, certain)| {
        let rank = match id {
            BackendId::Firewalld => 0,
            BackendId::Ufw => 1,
            _ => 2,
        };
        (rank, !*certain, !at_boot(id), *id)
    });
    ids.into_iter().map(|(id, _)| id).collect()
}

fn hard(text: impl Into<String>) -> Option<Contradiction> {
    Some(Contradiction {
        code: String::from("FW009"),
        blocks: true,
        text: text.into(),
    })
}

/// ufw's file against the kernel.
fn ufw(case: &Case<'_>) -> Option<Contradiction> {
    let ufw = case.services.ufw;
    let drops = case.managers.contains_key(&Manager::Ufw);
    match (ufw.active, drops || ufw_is_hooked(&case.inspection.ruleset)) {
        (true, false) if ufw.installed => hard(
            "ufw is switched on (ENABLED=yes in /etc/ufw/ufw.conf), but its rules are not in the kernel: it comes back \
             at its next reload or at the next boot. To bring it back now: ufw reload. To switch it off for good: \
             ufw disable",
        ),
        (false, true) if drops => hard(
            "rules of ufw drop packets, but ufw is switched off (no ENABLED=yes in /etc/ufw/ufw.conf): what it is told \
             now would not reach the kernel, and a boot comes up without them. To switch it on: ufw enable. To take \
             its rules away: ufw disable",
        ),
        (true, true) if !ufw.installed => hard(
            "rules of ufw are in force, but ufw itself is not installed any more: nothing can change them for good. \
             Install ufw again, or put rules of your own in their place",
        ),
        _ => None,
    }
}

/// A family that ufw was told to leave alone, and so shuts.
fn ufw_without_ipv6(case: &Case<'_>) -> Option<Contradiction> {
    let ruleset = &case.inspection.ruleset;
    let off = ruleset.chains.iter().any(|chain| ipv6::is_off_in(ruleset, chain));
    off.then(|| Contradiction {
        code: String::from("FW009"),
        blocks: false,
        text: String::from(
            "ufw does not look after IPv6 here (IPV6=no in /etc/default/ufw) and drops all of it: the ports are opened \
             for IPv4 alone. To open them for both: set IPV6=yes there, type ufw reload, and apply again",
        ),
    })
}

/// The daemon against its tables.
fn firewalld(case: &Case<'_>) -> Option<Contradiction> {
    let daemon = case.services.firewalld;
    let has_table = |name: &str| case.inspection.ruleset.tables.iter().any(|t| t.name == name);
    let has_chain = |name: &str| case.inspection.ruleset.chains.iter().any(|c| c.name == name);
    if has_table("firewalld_policy_drop") && has_chain("raw_prerouting") {
        return hard(
            "firewalld is in panic mode: it drops every packet that comes or leaves. When the reason is gone, end it: \
             firewall-cmd --panic-off",
        );
    }
    if has_table("firewalld_policy_drop") {
        return hard(
            "firewalld is reloading, or a reload of it has failed: its table firewalld_policy_drop refuses every new \
             connection. If it does not go away within seconds: systemctl restart firewalld",
        );
    }
    let loaded = case.managers.contains_key(&Manager::Firewalld);
    match (daemon.active, loaded) {
        (true, false) => hard(
            "firewalld runs, but its rules are not in the kernel: somebody took them away, and its next reload may \
             refuse every new connection. To bring them back: systemctl restart firewalld",
        ),
        (false, true) => hard(
            "rules of firewalld are in the kernel, but firewalld does not run: nothing can change them, and a boot comes \
             up without them. To go on with firewalld: systemctl enable --now firewalld. To take its rules away: \
             nft delete table inet firewalld",
        ),
        (false, false) if daemon.enabled => hard(
            "firewalld does not run now but starts at boot, with rules of its own. To start it: systemctl start \
             firewalld. To keep it off: systemctl disable firewalld",
        ),
        _ => None,
    }
}

/// Owners that get into each other's way, now or at the next boot.
fn beside(case: &Case<'_>, carriers: &[BackendId]) -> Vec<Contradiction> {
    let mut found = Vec::new();
    let mut tell = |blocks: bool, text: String| {
        found.push(Contradiction {
            code: String::from("FW004"),
            blocks,
            text,
        });
    };
    if let Some(legacy) = case.managers.get(&Manager::IptablesLegacy) {
        let input_of_nft = case.inspection.chains.iter().find(|chain| {
            chain.hook == "input"
                && chain.owner.as_deref() != Some("iptables-legacy")
                && !chain.table.starts_with("faspwall")
        });
        if let Some(other) = input_of_nft {
            tell(
                false,
                format!(
                    "Legacy tables of iptables are loaded beside rules of nftables ({} {} {}): {}. A packet must pass both, \
                 and each variant of iptables shows its own rules only; nft does not show the legacy ones at all",
                    other.family, other.table, other.chain, legacy.evidence
                ),
            );
        }
    }
    let flushed = |id: &BackendId| matches!(id, BackendId::Ufw | BackendId::Iptables);
    if let (Some(owner), true) = (
        carriers.iter().find(|id| flushed(id)),
        case.services.flushed_at_boot,
    ) {
        let native = case.boots.get(&BackendId::Nftables);
        let by = native.and_then(|boot| boot.unit.as_deref()).unwrap_or("nftables");
        tell(
            false,
            format!(
                "{by} is enabled as well, and its file begins by emptying the whole ruleset, the rules of {owner} with it: \
             after a boot it depends on chance which of them is in force. To leave it to {owner}: systemctl disable {by}"
            ),
        );
    }
    let natives = [BackendId::Nftables, BackendId::Iptables];
    let started = natives
        .iter()
        .filter_map(|id| case.boots.get(id))
        .find_map(|boot| {
            let unit = boot.unit.as_deref().filter(|unit| unit.ends_with(".service"))?;
            (boot.enabled == Some(true)).then_some(unit)
        });
    if let (true, true, Some(unit)) = (
        carriers.contains(&BackendId::Firewalld),
        case.services.firewalld.enabled,
        started,
    ) {
        tell(
            true,
            format!(
                "both {unit} and firewalld.service are enabled, but each of them forbids the other: only one starts at boot, \
             and what is kept for the other one is not in force then. To leave it to firewalld: systemctl disable {unit}. \
             To leave it to {unit}: systemctl disable --now firewalld"
            ),
        );
    }
    found
}

/// Two that load rules at boot, where it depends on their order what is in force.
fn rivals(case: &Case<'_>, carriers: &[BackendId]) -> Vec<Contradiction> {
    let alone = [BackendId::Nftables];
    let used = if carriers.is_empty() { &alone } else { carriers };
    let all = case.rivals.iter().filter(|rivals| used.contains(&rivals.id));
    let text = |rivals: &Rivals| {
        let ((unit, file), (by, other)) = (&rivals.first, &rivals.second);
        format!(
            "at boot {unit} loads {}, and {} loads {}, which empties what is there: whichever comes last decides, and what \
             is kept in the other file is gone. Put all rules into one of the two files, take the other loader away, and \
             run faspwall again",
            file.display(),
            by.display(),
            other.display()
        )
    };
    all.map(|rivals| Contradiction {
        code: String::from("FW004"),
        blocks: true,
        text: text(rivals),
    })
    .collect()
}

fn refusal(
    case: &Case<'_>,
    unmanaged: &[Unmanaged],
    contradictions: &[Contradiction],
    carriers: &[BackendId],
) -> Option<String> {
    let mut sentences = Vec::new();
    for manager in case.managers.keys().filter(|manager| manager.backend().is_none()) {
        let evidence = case
            .managers
            .get(manager)
            .map_or("", |hold| hold.evidence.as_str());
        sentences.push(format!(
            "The inbound rules of this host belong to {}: {evidence}",
            manager.name()
        ));
    }
    for which in unmanaged {
        let (name, on) = match which {
            Unmanaged::Csf => (Manager::Csf, "csf.service is active"),
            Unmanaged::Shorewall => (Manager::Shorewall, "shorewall.service is active"),
            Unmanaged::Proxmox => (Manager::Proxmox, "/etc/pve/firewall/cluster.fw switches it on"),
            Unmanaged::OpenWrt | Unmanaged::Locked(_) | Unmanaged::Script(_) | Unmanaged::Rules(_) => {
                continue;
            }
        };
        if !case.managers.contains_key(&name) {
            sentences.push(format!(
                "The inbound rules of this host belong to {}: {on}",
                name.name()
            ));
        }
    }
    // What is said of a script says so already.
    let script = |which: &Unmanaged| matches!(which, Unmanaged::Script(_) | Unmanaged::Rules(_));
    if !unmanaged.iter().all(script) {
        sentences.push(String::from(
            "Its own program writes its rules anew, or lets nobody else change them, so faspwall adds nothing there and \
             tells what to put where instead",
        ));
    }
    let mut blocking = contradictions.iter().filter(|contradiction| contradiction.blocks);
    if let Some(first) = blocking.next() {
        sentences.push(format!("{} ({})", capital(&first.text), first.code));
        sentences.extend(blocking.map(|next| format!("{} ({})", capital(&next.text), next.code)));
    }
    if sentences.is_empty() {
        for id in carriers.iter().filter(|id| !(case.available)(**id)) {
            let held = case
                .managers
                .iter()
                .find(|(manager, _)| manager.backend() == Some(*id));
            let evidence = held.map_or("it is switched on", |(_, hold)| hold.evidence.as_str());
            sentences.push(format!(
                "The inbound rules of this host belong to {id}: {evidence}. This version of faspwall cannot write rules \
                 for it"
            ));
        }
    }
    if sentences.is_empty() {
        return None;
    }
    sentences.push(String::from("Nothing was changed"));
    Some(format!("{}.", sentences.join(". ")))
}

/// The text with a capital letter at its beginning; names that are written small stay so.
pub fn capital(text: &str) -> String {
    if ["ufw ", "firewalld ", "csf "]
        .iter()
        .any(|name| text.starts_with(name))
    {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
