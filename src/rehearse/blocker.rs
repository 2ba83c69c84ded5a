//! Why a port stays shut although the rules are in: found by trying, not by guessing.
//!
//! An accept for this one port is put at the top of every chain on the way. If the port opens, the accepts are taken
//! away one at a time: where that shuts the port again, there is the chain. Within it the accept is moved down, by
//! halves, until the rule is found below which it no longer helps. Nothing of it touches anything but the copy.

use std::collections::HashSet;

use super::RehearseError;
use super::host::Stage;
use super::questions::Question;
use super::spot::{Spot, spots};
use super::zone;
use crate::backend::nftables::inspect::translating_chains;
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::packet::{Family as PacketFamily, Kind, Packet};
use crate::backend::nftables::reach::diverted;
use crate::matrix::{Blocker, Family, Verdict};
use crate::port::Direction;
use crate::step::{Invocation, Tool};

/// So many shut ports are looked into: of each protocol, port and family one question.
const LOOKED_INTO: usize = 12;

/// What blocks those of the questions that must be open and are not.
pub fn blockers(stage: &Stage<'_>, shut: &[&Question]) -> Result<Vec<Blocker>, RehearseError> {
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
        for blocker in why(stage, question)? {
            if !found.contains(&blocker) {
                found.push(blocker);
            }
        }
    }
    Ok(found)
}

fn port(question: &Question) -> String {
    format!(
        "{}/{}",
        question.protocol.to_string().to_uppercase(),
        question.port
    )
}

fn why(stage: &Stage<'_>, question: &Question) -> Result<Vec<Blocker>, RehearseError> {
    let ruleset = stage.live()?;
    if let Some(blocker) = translated(stage, &ruleset, question)? {
        return Ok(vec![blocker]);
    }
    let spots = spots(&stage.by_handle()?, &stage.script.copy.saves, question);
    for spot in &spots {
        spot.put(stage.sides.system, question, 0)?;
    }
    let mut found = Vec::new();
    if opens(stage, question)? {
        for spot in &spots {
            spot.take_away(stage.sides.system, question)?;
            if !opens(stage, question)? {
                found.push(blame(stage, spot, question)?);
                spot.put(stage.sides.system, question, 0)?;
            }
        }
    } else {
        found.push(Blocker {
            port: port(question),
            layer: "outside of the filter rules".to_owned(),
            rule: format!(
                "with an accept at the top of all {} chains on its way the packet still does not arrive",
                spots.len()
            ),
            hint: "Look at rp_filter, at routes and at rules that mark or queue packets".to_owned(),
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
fn blame(stage: &Stage<'_>, spot: &Spot, question: &Question) -> Result<Blocker, RehearseError> {
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
                    break (
                        spot.text(stage.sides.system, &stage.script.copy.saves, helps),
                        helps,
                    );
                }
                layer = format!("{layer}, chain {}", inner.chain());
                spot = inner;
            }
            None => {
                break (
                    spot.text(stage.sides.system, &stage.script.copy.saves, helps),
                    helps,
                );
            }
        }
    };
    if let Some(chain) = spot.of_nft()
        && let Some(named) = zone::named(stage, chain, spot.rules.get(index).map(String::as_str), question)?
    {
        return Ok(Blocker {
            port: port(question),
            layer: format!("{}, {layer}", named.layer),
            rule: named.rule,
            hint: named.hint,
        });
    }
    Ok(Blocker {
        port: port(question),
        layer,
        rule,
        hint: format!(
            "Put an accept for {} before it with the tool that made it, or take it away; then rehearse again",
            port(question)
        ),
    })
}

/// A rule that sends the packet elsewhere, such as a container's published port.
fn translated(
    stage: &Stage<'_>,
    ruleset: &Ruleset,
    question: &Question,
) -> Result<Option<Blocker>, RehearseError> {
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
        let words = ["-a", "list", "table", &chain.family, &chain.table];
        let listed = stage
            .sides
            .system
            .run_ok(&Invocation::new(Tool::Nft, words))?
            .stdout;
        let handle = reason.split_whitespace().nth(1).unwrap_or_default();
        let rule = super::spot::by_handle(&listed, handle).unwrap_or(reason);
        return Ok(Some(Blocker {
            port: port(question),
            layer: format!(
                "address translation, chain {} {} {}",
                chain.family, chain.table, chain.name
            ),
            rule,
            hint: format!(
                "A container or another rule takes {} for itself: publish it on another port, or choose another one here",
                port(question)
            ),
        }));
    }
    Ok(None)
}
