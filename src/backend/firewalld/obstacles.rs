//! What stands in the way on a host with firewalld, and what the operator can do about it.

use std::path::Path;

use super::access::{Access, Probe, access};
use super::need::need;
use super::rich::{Action, family_of};
use super::state::{CONF, State, setting};
use super::zone::Zone;
use crate::backend::Wish;
use crate::backend::iptables::translate::is_ours;
use crate::backend::nftables::inspect::is_inbound;
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::place::obstructed;
use crate::backend::nftables::render::place;
use crate::facts::{BackendId, Facts};
use crate::port::{Direction, Protocol};

/// The table that firewalld loads while it reloads, and in panic mode.
const POLICY_DROP: &str = "firewalld_policy_drop";
/// Its own table.
const TABLE: &str = "firewalld";

/// Whether the kernel has rules of firewalld.
pub fn has_rules(facts: &Facts, theirs: &Ruleset) -> bool {
    let conf = facts.observations.files.get(Path::new(CONF));
    let backend = conf.and_then(|conf| setting(conf, "FirewallBackend"));
    if backend.is_some_and(|name| name == "iptables") {
        let mut chains = theirs.chains.iter();
        return chains.any(|chain| chain.name.starts_with("IN_") || chain.name == "INPUT_ZONES");
    }
    theirs.tables.iter().any(|table| table.name == TABLE)
}

/// What makes the whole host unfit for a change.
pub fn of_host(facts: &Facts, theirs: &Ruleset) -> Vec<String> {
    let panic = theirs
        .chains
        .iter()
        .any(|c| c.table == POLICY_DROP && c.name == "raw_prerouting");
    if panic {
        return vec![String::from(
            "firewalld is in panic mode: it drops every packet. When the reason is gone, end it: firewall-cmd --panic-off",
        )];
    }
    if theirs.tables.iter().any(|table| table.name == POLICY_DROP) {
        return vec![format!(
            "the table inet {POLICY_DROP} is loaded: a reload of firewalld is under way, or one has failed and new connections are dropped. If it is still there in a minute: systemctl restart firewalld"
        )];
    }
    if has_rules(facts, theirs) {
        return Vec::new();
    }
    vec![String::from(
        "firewalld runs, but its rules are gone from the kernel: somebody has flushed them. Nothing that is told to it now would work. Put them back: systemctl restart firewalld",
    )]
}

/// What makes this wish impossible in these zones. `ours` was taken out of the zones already.
pub fn of_wish(state: &State, wish: &Wish<'_>, zones: &[(bool, &Zone)]) -> Vec<String> {
    let mut found = of_operator(state, wish);
    for (permanent, zone) in zones {
        for requirement in wish.requirements {
            for rule in need(state, zone, *permanent, requirement).refused_by {
                found.push(format!(
                    "zone {} has a rule that refuses {}/{} before a port that is opened: {rule}. If it is not wanted any more, take it away:   firewall-cmd --zone={} --remove-rich-rule='{rule}'   and once more with --permanent",
                    zone.name,
                    requirement.protocol.to_string().to_uppercase(),
                    requirement.ports,
                    zone.name
                ));
            }
        }
        found.extend(bans_among_spared(zone, wish));
    }
    found.extend(banned_peers(state, wish));
    found.extend(of_policies(wish));
    found.extend(of_direct_rules(wish));
    found.dedup();
    found
}

/// The operator must be able to come again.
fn of_operator(state: &State, wish: &Wish<'_>) -> Vec<String> {
    let client = wish.facts.session.as_ref().and_then(|session| session.client);
    let (Some(client), Some((name, by_source))) = (client, state.zone_of_operator(false, wish.facts)) else {
        return Vec::new();
    };
    let Some(zone) = state.zone(false, &name) else {
        return Vec::new();
    };
    if by_source && !zone.lets_in() {
        return vec![format!(
            "you come from {client}, and firewalld puts that address into the zone {name}, which lets nobody in: a new login would be refused. Take it out of there first; the zone's sources are {}",
            zone.sources.join(", ")
        )];
    }
    let net = client.into();
    let inbound = wish.requirements.iter().filter(|requirement| {
        requirement.direction == Direction::In
            && requirement.protocol == Protocol::Tcp
            && requirement.id == "ssh"
    });
    let refused = inbound.filter_map(|requirement| {
        let probe = Probe {
            protocol: Protocol::Tcp,
            port: requirement.ports.first(),
            family: family_of(&net),
            from: Some(net),
            group: None,
        };
        match access(&state.services, zone, &probe) {
            Access::Refused(rule) => Some(rule),
            _ => None,
        }
    });
    refused
        .map(|rule| {
            format!(
                "you come from {client}, and a rule of the zone {name} refuses that address: {rule}. A new login would be refused. Take it away first:   firewall-cmd --zone={name} --remove-rich-rule='{rule}'"
            )
        })
        .collect()
}

/// Several spared networks must be let in by rules of their own, which would pardon whom others have banned.
fn bans_among_spared(zone: &Zone, wish: &Wish<'_>) -> Option<String> {
    let many = [true, false].into_iter().any(|v4| {
        wish.spared
            .iter()
            .filter(|net| net.addr().is_ipv4() == v4)
            .count()
            > 1
    });
    if !many || wish.closing.is_empty() {
        return None;
    }
    let banned = zone.rich.iter().find(|rule| {
        let net = rule.source.as_ref().and_then(|source| source.net);
        let within = |net| wish.spared.iter().any(|spared| spared.contains(&net));
        rule.action == Action::Refuse && net.is_some_and(within)
    })?;
    Some(format!(
        "zone {} bans somebody of the networks that TCP/22 is to stay open for: {}. With more than one network a family that ban would be lifted for TCP/22. Name one network a family, or take the ban away",
        zone.name,
        banned.text()
    ))
}

/// A zone that lets nobody in is a ban of its sources, and is left alone: a network that is wanted must not be in it.
fn banned_peers(state: &State, wish: &Wish<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for permanent in [false, true] {
        let serving = state.serving(permanent, wish.facts);
        let bans = state
            .zones(permanent)
            .iter()
            .filter(|zone| !zone.lets_in() && !serving.contains(&zone.name));
        for (zone, net) in bans.flat_map(|zone| zone.networks().map(move |net| (zone, net))) {
            let inbound = wish.requirements.iter().filter(|r| r.direction == Direction::In);
            let meant = inbound.filter(|r| r.peers.iter().any(|peer| net.contains(peer)));
            found.extend(meant.take(1).map(|requirement| {
                format!(
                    "{}/{} is wanted for {}, and firewalld puts {net} into the zone {}, which lets nobody in. If that is not wanted any more, take it out of there:   firewall-cmd --zone={} --remove-source={net}   and once more with --permanent. Else leave it out of the networks that may come",
                    requirement.protocol.to_string().to_uppercase(),
                    requirement.ports,
                    requirement.peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                    zone.name,
                    zone.name
                )
            }));
        }
    }
    found
}

/// Policies stand before zones, and only they and direct rules can drop what leaves this host.
fn of_policies(wish: &Wish<'_>) -> Vec<String> {
    let blocked = place(wish.theirs, wish.requirements)
        .into_iter()
        .filter(|placed| {
            let (_, table) = placed.table.split_once(' ').unwrap_or_default();
            let mut chains = wish.theirs.chains.iter();
            let chain = chains.find(|c| format!("{} {} {}", c.family, c.table, c.name) == placed.chain);
            let outgoing = chain.is_some_and(|chain| !is_inbound(chain));
            table == TABLE && (outgoing || policy_in(&placed.because).is_some())
        });
    blocked
        .map(|placed| match policy_in(&placed.because) {
            Some(policy) => format!(
                "the policy {policy} of firewalld drops what {} needs ({}). Policies are left alone: look at it with   firewall-cmd --info-policy={policy}   and let {}/{} through there first",
                placed.need,
                placed.because,
                placed.protocol.to_string().to_uppercase(),
                placed.ports
            ),
            None => format!(
                "firewalld drops packets that leave this host, which {} needs ({}): let {}/{} through there first",
                placed.need,
                placed.because,
                placed.protocol.to_string().to_uppercase(),
                placed.ports
            ),
        })
        .collect()
}

/// Direct rules are rules of iptables, which stand beside the zones: no zone can open what they drop. Somebody else may
/// have made such a rule as well.
fn of_direct_rules(wish: &Wish<'_>) -> Vec<String> {
    // What drops whatever is named by nobody has a carrier of its own.
    if wish.facts.also.contains(&BackendId::Iptables) {
        return Vec::new();
    }
    let blocked = obstructed(wish.theirs, wish.requirements).into_iter();
    blocked
        .filter(|found| is_ours(wish.facts, wish.theirs, found.chain))
        .map(|found| {
            format!(
                "a direct rule of firewalld, or a rule of iptables beside it, drops what {} needs ({} {} {}, {}): {}/{} stays shut whatever a zone opens. See it with   firewall-cmd --direct --get-all-rules   and take it away:   firewall-cmd --direct --remove-rule ...   and once more with --permanent",
                found.requirement.id,
                found.chain.family,
                found.chain.table,
                found.chain.name,
                found.because,
                found.requirement.protocol.to_string().to_uppercase(),
                found.requirement.ports
            )
        })
        .collect()
}

/// The policy in whose chain a rule stands: `rule 24 of filter_IN_policy_NAME_pre: drop`.
fn policy_in(because: &str) -> Option<&str> {
    let (_, rest) = because.split_once("_policy_")?;
    let chain = rest.split(':').next()?;
    let parts = ["_pre", "_log", "_deny", "_allow", "_post"];
    let name = parts.iter().find_map(|part| chain.strip_suffix(part));
    Some(name.unwrap_or(chain))
}
