//! Who owns the firewall of this host, in words.

use crate::answers::{Legacy22, OLD_SSH_PORT, Outbound};
use crate::catalogue::Catalogue;
use crate::change::{boot::sleeping_units, zones};
use crate::facts::{BackendId, ChainFact, Facts, InboundDefault, Listener, Unmanaged};
use crate::plan::plan;
use crate::port::Protocol;
use crate::tui::{Shared, Tone};

/// `inet filter input`; of iptables `iptables INPUT`, `ip6tables INPUT (legacy)`.
pub fn chain_name(chain: &ChainFact) -> String {
    let capitals = chain.chain.chars().all(|sign| !sign.is_lowercase());
    let tool = match chain.family.as_str() {
        "ip" if capitals => "iptables",
        "ip6" if capitals => "ip6tables",
        _ => return format!("{} {} {}", chain.family, chain.table, chain.chain),
    };
    let (table, legacy) = match chain.table.strip_suffix(" (legacy)") {
        Some(table) => (table, " (legacy)"),
        None => (chain.table.as_str(), ""),
    };
    if table == "filter" {
        format!("{tool} {}{legacy}", chain.chain)
    } else {
        format!("{tool} -t {table} {}{legacy}", chain.chain)
    }
}

/// Whether packets that come in meet a chain.
pub fn inbound(chain: &ChainFact) -> bool {
    chain.hook != "output" && chain.hook != "postrouting"
}

/// Chains that can drop a packet on its way in.
fn droppers(facts: &Facts) -> impl Iterator<Item = &ChainFact> {
    facts
        .chains
        .iter()
        .filter(|chain| inbound(chain) && chain.drops.is_some() && !chain.table.starts_with("faspwall"))
}

/// Whether nothing on this host drops packets, as far as that is known.
pub fn nothing_filters(facts: &Facts) -> bool {
    facts.privileged
        && facts.refusal.is_none()
        && facts.observations.nft_error.is_none()
        && facts.inbound_default == InboundDefault::Accept
        && droppers(facts).next().is_none()
}

/// Whether a default-deny set can be turned on: ufw and firewalld have one of their own.
pub fn may_deny(facts: &Facts) -> bool {
    nothing_filters(facts) && matches!(facts.backend, Some(BackendId::Nftables | BackendId::Iptables))
}

/// Where the owner's accepts go, in its own terms.
fn place(facts: &Facts, id: BackendId) -> String {
    match id {
        BackendId::Ufw => "ufw's own rules, IPv4 and IPv6 (ufw status shows them)".to_owned(),
        BackendId::Firewalld => match zones(facts).as_slice() {
            [] => "the zones of the links that lead outside".to_owned(),
            zones => zones.join(" and "),
        },
        _ => {
            let chains: Vec<String> = droppers(facts)
                .filter(|chain| match (&chain.owner, id) {
                    (owner, BackendId::Iptables) => {
                        owner.as_ref().is_some_and(|owner| owner.starts_with("iptables"))
                    }
                    (owner, _) => owner.is_none(),
                })
                .map(|chain| {
                    format!(
                        "{} ({})",
                        chain_name(chain),
                        chain.drops.as_deref().unwrap_or_default()
                    )
                })
                .collect();
            if chains.is_empty() {
                "no chain: none of its chains drops".to_owned()
            } else {
                format!("{}, at the top", chains.join(", "))
            }
        }
    }
}

/// What comes of the owner, a line each: where the rules go, who else drops, what happens at boot.
pub fn consequences(facts: &Facts) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    let Some(id) = facts.backend else {
        lines.extend(contradictions(facts));
        return lines;
    };
    if nothing_filters(facts) {
        lines.push((
            Tone::Warn,
            "Nothing filters on this host: every port that has a listener can be reached already.".to_owned(),
        ));
    } else {
        lines.push((Tone::Plain, format!("Rules go into: {}.", place(facts, id))));
    }
    if !facts.also.is_empty() {
        let others: Vec<&str> = facts.also.iter().map(|id| id.as_str()).collect();
        lines.push((
            Tone::Warn,
            format!(
                "{} drops packets as well: what is opened is opened there too.",
                others.join(" and ")
            ),
        ));
    }
    lines.push(boot(facts));
    lines.extend(contradictions(facts));
    lines
}

/// What does not fit together on this host, by the code of its advice.
pub fn contradictions(facts: &Facts) -> impl Iterator<Item = (Tone, String)> {
    facts.contradictions.iter().map(|one| {
        let tone = if one.blocks { Tone::Bad } else { Tone::Warn };
        (tone, format!("{} {}", one.code, one.text))
    })
}

/// A firewall that is left to its own program.
pub fn unmanaged(kind: &Unmanaged) -> String {
    match kind {
        Unmanaged::Csf => "csf".to_owned(),
        Unmanaged::Shorewall => "Shorewall".to_owned(),
        Unmanaged::Proxmox => "Proxmox VE firewall".to_owned(),
        Unmanaged::OpenWrt => "OpenWrt firewall4".to_owned(),
        Unmanaged::Locked(table) => format!("locked table {table}"),
        Unmanaged::Script(place) | Unmanaged::Rules(place) => format!("rules made at boot by {place}"),
    }
}

fn boot(facts: &Facts) -> (Tone, String) {
    let unit = facts.boot.unit.as_deref().unwrap_or("nothing");
    let file = facts
        .boot
        .file
        .as_ref()
        .map_or_else(String::new, |file| format!(" loads {}", file.display()));
    match facts.boot.enabled {
        Some(true) => (Tone::Plain, format!("At boot: {unit}{file}.")),
        Some(false) => (
            Tone::Warn,
            format!("At boot: {unit}{file}, but it is not enabled."),
        ),
        None if facts.boot.file.is_some() => (Tone::Warn, format!("At boot: what{file} could not be told.")),
        None => (
            Tone::Warn,
            "At boot: nothing was found that loads the rules.".to_owned(),
        ),
    }
}

/// Units that load the rules and are not started at boot: those that the change could enable.
pub fn sleeping(facts: &Facts) -> Vec<String> {
    if facts.os.systemd {
        sleeping_units(facts)
    } else {
        Vec::new()
    }
}

/// Services that a default-deny set would cut off: `rpcbind TCP/111`.
pub fn cut_off(shared: &Shared) -> Vec<String> {
    let Ok(plan) = plan(Catalogue::builtin(), &shared.answers) else {
        return Vec::new();
    };
    let asked = |socket: &Listener| {
        socket.protocol == Protocol::Tcp && socket.port == OLD_SSH_PORT && shuts_22(shared)
    };
    let cut = |socket: &&Listener| {
        !socket.loopback() && !asked(socket) && plan.opens(socket.protocol, socket.port).is_none()
    };
    let mut list: Vec<String> = shared.facts.listeners.iter().filter(cut).map(service).collect();
    list.dedup();
    list
}

fn service(socket: &Listener) -> String {
    let protocol = match socket.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    let program = socket.program.as_deref().unwrap_or("an unknown program");
    format!("{program} {protocol}/{}", socket.port)
}

/// Whether the answers shut TCP/22, for everyone or for most.
pub fn shuts_22(shared: &Shared) -> bool {
    let ssh = &shared.answers.ssh;
    ssh.port != OLD_SSH_PORT && ssh.legacy_22 != Legacy22::Keep
}

/// When rules for packets on the way out are written, in the order in which that is offered.
pub const OUTBOUND: [(Outbound, &str); 3] = [
    (Outbound::Auto, "where output drops"),
    (Outbound::Always, "always"),
    (Outbound::Never, "never"),
];

/// The place of a choice among those.
pub fn outbound_place(chosen: Outbound) -> usize {
    OUTBOUND
        .iter()
        .position(|(choice, _)| *choice == chosen)
        .unwrap_or(0)
}
