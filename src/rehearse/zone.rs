//! A rule that firewalld made, named as firewalld itself prints it: its chains are its own affair, and nobody can take a
//! rule out of them by hand.
//!
//! Which rich rule a rule of the kernel comes from is found by trying: each one that refuses is taken out of the copy's
//! zone, and put back, until the kernel's rule goes with it.

use std::net::IpAddr;
use std::path::Path;

use super::RehearseError;
use super::host::Stage;
use super::questions::Question;
use super::spot::by_handle;
use crate::backend::firewalld::rich::{Action, Rich, What};
use crate::backend::firewalld::state::{CONF, setting};
use crate::backend::firewalld::zone::{Zone, listed};
use crate::backend::nftables::model::Chain;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// The table.
const TABLE: &str = "firewalld";
/// Parts of a zone, each of which has a chain.
const PARTS: [&str; 5] = ["_pre", "_log", "_deny", "_allow", "_post"];
/// So many rich rules of one zone are tried; each takes four calls of a Python program.
const TRIED: usize = 16;

/// Where a packet is refused, by what, and what to do about it.
pub struct Named {
    /// `zone dmz`
    pub layer: String,
    /// A rich rule, or the zone's target.
    pub rule: String,
    /// The way out.
    pub hint: String,
}

/// Names the rule with that handle (`None`: the policy) of a chain; `None` when the chain is not firewalld's.
pub fn named(
    stage: &Stage<'_>,
    chain: &Chain,
    handle: Option<&str>,
    question: &Question,
) -> Result<Option<Named>, RehearseError> {
    if chain.table != TABLE {
        return Ok(None);
    }
    let Some(printed) = stage.script.copy.firewalld.as_deref() else {
        return Ok(None);
    };
    let system = stage.sides.system;
    let (zones, marked) = listed(printed);
    let conf = || setting(&system.read_text(Path::new(CONF))?, "DefaultZone");
    let default = marked.or_else(conf).unwrap_or_default();
    if let Some(policy) = chain.name.strip_prefix("filter_IN_policy_") {
        return Ok(Some(of_policy(without_part(policy))));
    }
    let by_name = zones.iter().find(|zone| is_chain_of(&chain.name, zone));
    let Some(zone) = by_name.or_else(|| zone_of(stage, &zones, &default, question)) else {
        return Ok(None);
    };
    // Rich rules stand in the parts.
    if let Some(handle) = handle.filter(|_| PARTS.iter().any(|part| chain.name.ends_with(part)))
        && let Some(rule) = made_from(system, zone, chain, handle, question)?
    {
        return Ok(Some(of_rule(zone, &rule, question.far)));
    }
    Ok(Some(of_target(zone, &target(printed, &zone.name), question)))
}

fn without_part(chain: &str) -> &str {
    PARTS
        .iter()
        .find_map(|part| chain.strip_suffix(part))
        .unwrap_or(chain)
}

fn is_chain_of(chain: &str, zone: &Zone) -> bool {
    chain
        .strip_prefix("filter_IN_")
        .is_some_and(|rest| rest == zone.name || without_part(rest) == zone.name)
}

/// The zone that the packet comes to: by its source, by the link, or because no other has it.
fn zone_of<'z>(stage: &Stage<'_>, zones: &'z [Zone], default: &str, question: &Question) -> Option<&'z Zone> {
    let ends = &stage.script.cast.far;
    let link = ends.iter().find(|end| end.address == question.far);
    let by_source = |zone: &&Zone| zone.networks().any(|net| net.contains(&question.far));
    let by_link = |zone: &&Zone| link.is_some_and(|end| zone.has_link(&end.device));
    let found = zones
        .iter()
        .find(by_source)
        .or_else(|| zones.iter().find(by_link));
    found.or_else(|| zones.iter().find(|zone| zone.name == default))
}

/// The rich rule that a rule of the kernel was made from.
fn made_from(
    system: &dyn System,
    zone: &Zone,
    chain: &Chain,
    handle: &str,
    question: &Question,
) -> Result<Option<String>, RehearseError> {
    let mut rules: Vec<&Rich> = zone
        .rich
        .iter()
        .filter(|rule| rule.action == Action::Refuse)
        .collect();
    // Those that speak of this very port first.
    rules.sort_by_key(|rule| !matches!(&rule.what, What::Port(ports, _) if ports.contains(question.port)));
    for rule in rules.into_iter().take(TRIED) {
        let text = rule.text();
        let of_zone = format!("--zone={}", zone.name);
        let call = |verb: &str| {
            let option = format!("--{verb}-rich-rule={text}");
            Invocation::new(Tool::FirewallCmd, [of_zone.clone(), option])
        };
        if !system.run(&call("remove"))?.ok() {
            continue;
        }
        let words = ["-a", "list", "chain", &chain.family, &chain.table, &chain.name];
        let left = system.run_ok(&Invocation::new(Tool::Nft, words))?.stdout;
        system.run_ok(&call("add"))?;
        if by_handle(&left, handle).is_none() {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The source of a zone that the address lies in, in brackets.
fn because(zone: &Zone, far: IpAddr) -> String {
    let net = zone.networks().find(|net| net.contains(&far));
    net.map_or_else(String::new, |net| format!(" (source {net})"))
}

fn of_rule(zone: &Zone, rule: &str, far: IpAddr) -> Named {
    Named {
        layer: format!("zone {}{} of firewalld", zone.name, because(zone, far)),
        rule: rule.to_owned(),
        hint: format!(
            "If it is not wanted any more:   firewall-cmd --zone={} --remove-rich-rule='{rule}'   and once more with --permanent; then rehearse again",
            zone.name
        ),
    }
}

fn of_policy(policy: &str) -> Named {
    Named {
        layer: format!("policy {policy} of firewalld"),
        rule: format!("a rule of the policy {policy}"),
        hint: format!(
            "Look at it:   firewall-cmd --info-policy={policy}   and let the port through there; then rehearse again"
        ),
    }
}

fn of_target(zone: &Zone, target: &str, question: &Question) -> Named {
    let port = format!("{}/{}", question.port, question.protocol);
    let bound = zone.networks().find(|net| net.contains(&question.far));
    let hint = bound.map_or_else(
        || format!("Let it in:   firewall-cmd --zone={} --add-port={port}   and once more with --permanent; then rehearse again", zone.name),
        |net| format!("Take the network out of that zone:   firewall-cmd --zone={} --remove-source={net}   and once more with --permanent; then rehearse again", zone.name),
    );
    Named {
        layer: format!("zone {}{} of firewalld", zone.name, because(zone, question.far)),
        rule: format!("target: {target}, and nothing in the zone lets {port} in"),
        hint,
    }
}

/// What a zone does with the rest, as firewalld prints it.
fn target(listed: &str, zone: &str) -> String {
    let mut lines = listed
        .lines()
        .skip_while(|line| line.starts_with([' ', '\t']) || line.split_whitespace().next() != Some(zone))
        .skip(1)
        .take_while(|line| line.starts_with([' ', '\t']));
    let target = lines.find_map(|line| line.trim().strip_prefix("target:"));
    target.map_or("default", str::trim).to_owned()
}
