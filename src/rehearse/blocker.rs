//! Why a port stays shut although the rules are in: found by trying, not by guessing.
//!
//! An accept for this one port is put at the top of every chain on the way. If the port opens, the accepts are taken
//! away one at a time: where that shuts the port again, there is the chain. Within it the accept is moved down, by
//! halves, until the rule is found below which it no longer helps. Nothing of it touches anything but the copy.

use std::collections::HashSet;

use super::RehearseError;
use super::boot::{Boot, Load, NEXT_BOOT, six};
use super::host::Stage;
use super::questions::Question;
use super::spot::{Spot, spots};
use super::zone;
use crate::backend::nftables::inspect::translating_chains;
use crate::backend::nftables::model::{Chain, Ruleset};
use crate::backend::nftables::packet::{Family as PacketFamily, Kind, Packet};
use crate::backend::nftables::reach::diverted;
use crate::matrix::{Blocker, Family, Verdict};
use crate::port::Direction;
use crate::step::{Invocation, Tool};

/// So many shut ports are looked into: of each protocol, port and family one question.
const LOOKED_INTO: usize = 12;

/// Where it is looked for.
pub struct Search<'a> {
    /// The copy.
    pub stage: &'a Stage<'a>,
    /// What iptables has in it.
    pub saves: &'a [(Tool, String)],
    /// What was loaded, when it is the next boot.
    pub boot: Option<&'a Boot>,
}

/// What blocks those of the questions that must be open and are not.
pub fn blockers(search: &Search<'_>, shut: &[&Question]) -> Result<Vec<Blocker>, RehearseError> {
    let mut found: Vec<Blocker> = Vec::new();
    let mut known = HashSet::new();
    let key = |question: &Question| {
        (
            question.direction,
            question.protocol,
            question.port,
            question.far.is_ipv4(),
        )
    };
    let chosen = shut.iter().filter(|question| known.insert(key(question)));
    for question in chosen.take(LOOKED_INTO) {
        for blocker in why(search, question)? {
            if !found.contains(&blocker) {
                found.push(blocker);
            }
        }
    }
    Ok(found)
}

/// What a blocker found at the next boot is called by.
fn placed(search: &Search<'_>, layer: String) -> String {
    match search.boot {
        Some(_) => format!("{layer}, at {NEXT_BOOT}"),
        None => layer,
    }
}

/// Rules that send elsewhere what was to be refused: those of the questions that must be shut and are not.
pub fn diversions(search: &Search<'_>, open: &[&Question]) -> Result<Vec<Blocker>, RehearseError> {
    let mut found: Vec<Blocker> = Vec::new();
    if open.is_empty() {
        return Ok(found);
    }
    let ruleset = search.stage.live()?;
    for question in open.iter().take(LOOKED_INTO) {
        let Some(blocker) = translated(search, &ruleset, question)? else {
            continue;
        };
        let hint = format!(
            "Whoever comes to {} is sent elsewhere before he can be refused: take that rule away, or keep the port open",
            question.port_name()
        );
        let blocker = Blocker { hint, ..blocker };
        if !found.contains(&blocker) {
            found.push(blocker);
        }
    }
    Ok(found)
}

fn why(search: &Search<'_>, question: &Question) -> Result<Vec<Blocker>, RehearseError> {
    let stage = search.stage;
    let ruleset = stage.live()?;
    if let Some(blocker) = translated(search, &ruleset, question)? {
        return Ok(vec![blocker]);
    }
    let spots = spots(&stage.by_handle()?, search.saves, question);
    for spot in &spots {
        spot.put(stage.sides.system, question, 0)?;
    }
    let mut found = Vec::new();
    if opens(stage, question)? {
        for spot in &spots {
            spot.take_away(stage.sides.system, question)?;
            if !opens(stage, question)? {
                found.push(blame(search, spot, question)?);
                spot.put(stage.sides.system, question, 0)?;
            }
        }
    } else {
        found.push(Blocker {
            port: question.port_name(),
            layer: placed(search, "outside of the filter rules".to_owned()),
            rule: format!(
                "with an accept at the top of all {} chains on its way the packet still does not arrive",
                spots.len()
            ),
            hint: match search.boot {
                // Into a table that firewalld owns nobody else may put an accept.
                Some(boot) => {
                    let firewalld = boot.loads.iter().find(|load| **load == Load::Firewalld);
                    mend(firewalld.or(boot.loads.last()))
                }
                None => "Look at rp_filter, at routes and at rules that mark or queue packets".to_owned(),
            },
        });
    }
    for spot in &spots {
        spot.take_away(stage.sides.system, question)?;
    }
    Ok(found)
}

fn opens(stage: &Stage<'_>, question: &Question) -> Result<bool, RehearseError> {
    let verdicts = super::probe::ask(stage.sides, &[question], super::probe::PATIENCE)?;
    Ok(verdicts
        .first()
        .is_some_and(|verdict| *verdict == Verdict::Accept))
}

/// The rule in the chain below which an accept comes too late.
fn blame(search: &Search<'_>, spot: &Spot, question: &Question) -> Result<Blocker, RehearseError> {
    let stage = search.stage;
    let mut spot = spot.clone();
    let mut layer = spot.layer();
    let (rule, index) = loop {
        let (mut helps, mut late) = (0, spot.rules.len() + 1);
        // An accept before rule `helps` opens the port, one before rule `late` (or none at all) does not.
        while late - helps > 1 {
            let middle = helps + (late - helps) / 2;
            spot.put(stage.sides.system, question, middle)?;
            let open = opens(stage, question)?;
            spot.take_away(stage.sides.system, question)?;
            if open {
                helps = middle;
            } else {
                late = middle;
            }
        }
        match spot.inner(&stage.by_handle()?, helps) {
            // Into the chain that the rule sends the packet to; where no accept helps there, the rule itself is it.
            Some(inner) => {
                inner.put(stage.sides.system, question, 0)?;
                let open = opens(stage, question)?;
                inner.take_away(stage.sides.system, question)?;
                if !open {
                    break (spot.text(stage.sides.system, search.saves, helps), helps);
                }
                layer = format!("{layer}, chain {}", inner.chain());
                spot = inner;
            }
            None => {
                break (spot.text(stage.sides.system, search.saves, helps), helps);
            }
        }
    };
    if let Some(chain) = spot.of_nft()
        && let Some(named) = zone::named(stage, chain, spot.rules.get(index).map(String::as_str), question)?
    {
        return Ok(Blocker {
            port: question.port_name(),
            layer: placed(search, format!("{}, {layer}", named.layer)),
            rule: named.rule,
            hint: match search.boot {
                Some(boot) => at_boot(boot, &spot, question),
                None => named.hint,
            },
        });
    }
    Ok(Blocker {
        port: question.port_name(),
        layer: placed(search, layer),
        rule,
        hint: match search.boot {
            Some(boot) => at_boot(boot, &spot, question),
            None => format!(
                "Put an accept for {} before it with the tool that made it, or take it away; then rehearse again",
                question.port_name()
            ),
        },
    })
}

/// What can be done about a rule that comes with the next boot.
fn at_boot(boot: &Boot, spot: &Spot, question: &Question) -> String {
    let v6 = question.family() == Family::Ipv6;
    let fits = |load: &&Load| match load {
        Load::Firewalld => spot.is_of_firewalld(),
        Load::Ufw => spot.is_of_iptables() && spot.chain().starts_with("ufw"),
        Load::Restore(tool, _) => spot.is_of_iptables() && six(*tool) == v6,
        Load::Nft(_) => true,
    };
    let known = boot
        .loads
        .iter()
        .find(|load| !matches!(load, Load::Nft(_)) && fits(load));
    let of_ufw = || {
        boot.loads
            .iter()
            .find(|load| **load == Load::Ufw && spot.is_of_iptables())
    };
    let load = known.or_else(of_ufw).or_else(|| boot.loads.iter().find(fits));
    mend(load.or(boot.loads.first()))
}

/// What is done about what a boot loads.
fn mend(load: Option<&Load>) -> String {
    let (from, command) = match load {
        Some(Load::Nft(file)) => {
            let file = file.display().to_string();
            (file.clone(), format!("nft -f {file}"))
        }
        Some(Load::Restore(tool, file)) => {
            let program = if six(*tool) {
                Tool::Ip6tablesRestore
            } else {
                Tool::IptablesRestore
            };
            let file = file.display().to_string();
            (file.clone(), format!("{} {file}", program.name()))
        }
        Some(Load::Firewalld) => (
            String::from("/etc/firewalld"),
            String::from("firewall-cmd --reload"),
        ),
        Some(Load::Ufw) | None => (String::from("/etc/ufw"), String::from("ufw reload")),
    };
    format!(
        "It is not in force now: {from} brings it at {NEXT_BOOT}. Mend it there, or load it now and try again:   {command}"
    )
}

/// A rule that sends the packet elsewhere, such as a container's published port.
fn translated(
    search: &Search<'_>,
    ruleset: &Ruleset,
    question: &Question,
) -> Result<Option<Blocker>, RehearseError> {
    let stage = search.stage;
    let family = match question.family() {
        Family::Ipv4 => PacketFamily::V4,
        Family::Ipv6 => PacketFamily::V6,
    };
    for chain in translating_chains(ruleset, question.direction) {
        let packet = Packet {
            outbound: question.direction == Direction::Out,
            ..Packet::inbound(question.protocol, family, question.port, Kind::Opening)
        };
        let Some(reason) = diverted(ruleset, chain, packet) else {
            continue;
        };
        let rule = match of_iptables(ruleset, chain, &reason) {
            Some(rule) => rule,
            None => of_nft(stage, chain, &reason)?.unwrap_or(reason),
        };
        return Ok(Some(Blocker {
            port: question.port_name(),
            layer: placed(
                search,
                format!(
                    "address translation, chain {} {} {}",
                    chain.family, chain.table, chain.name
                ),
            ),
            rule,
            hint: format!(
                "A container or another rule takes {} for itself: publish it on another port, or choose another one here",
                question.port_name()
            ),
        }));
    }
    Ok(None)
}

/// The rule of a table of iptables that `rule 3 of PREROUTING: sent elsewhere` is about, as iptables prints it.
fn of_iptables(ruleset: &Ruleset, chain: &Chain, reason: &str) -> Option<String> {
    let (number, name) = reason.strip_prefix("rule ")?.split_once(" of ")?;
    let name = name.rsplit_once(':')?.0;
    let mut rules = ruleset.rules.iter();
    let rule = rules.find(|rule| {
        let here = rule.family == chain.family && rule.table == chain.table && rule.chain == name;
        here && rule.handle.to_string() == number
    })?;
    rule.native().map(str::to_owned)
}

/// The same of a table of nft.
fn of_nft(stage: &Stage<'_>, chain: &Chain, reason: &str) -> Result<Option<String>, RehearseError> {
    let list = Invocation::new(Tool::Nft, ["-a", "list", "table", &chain.family, &chain.table]);
    let listed = stage.sides.system.run_ok(&list)?.stdout;
    let handle = reason.split_whitespace().nth(1).unwrap_or_default();
    Ok(super::spot::by_handle(&listed, handle))
}
