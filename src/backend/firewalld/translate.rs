//! firewalld's part of a change.

use std::collections::BTreeSet;

use super::line::{Entry, Line, calls, parse, text};
use super::need::{beside, lets_anybody_use, need, refusals};
use super::obstacles;
use super::state::{ETC, PACKAGED, State, zone_file};
use super::zone::Zone;
use super::zone_file::ZoneFile;
use crate::backend::nftables::Ruleset;
use crate::backend::{Pieces, Translator, Wish};
use crate::facts::{BackendId, Facts};
use crate::plan::Requirement;
use crate::port::{PortRange, Protocol};
use crate::step::{Action, Invocation, Step, Tool};

/// firewalld.
#[derive(Debug)]
pub struct Firewalld;

impl Translator for Firewalld {
    fn id(&self) -> BackendId {
        BackendId::Firewalld
    }

    fn kept(&self, facts: &Facts, _live: &Ruleset, committed: &str) -> String {
        let Some(state) = State::read(&facts.observations) else {
            return committed.to_owned();
        };
        let lines = parse(committed);
        let permanent = |entry: &Entry, zone: &str| {
            let line = lines
                .iter()
                .any(|l| l.permanent && l.zone == zone && l.entry == *entry);
            let there = state.zone(true, zone).is_some_and(|zone| entry.is_in(zone));
            (line, there)
        };
        let still = |line: &&Line| {
            let there = state
                .zone(line.permanent, &line.zone)
                .is_some_and(|zone| line.entry.is_in(zone));
            // What others have made permanent is theirs at run time as well.
            let theirs = !line.permanent && permanent(&line.entry, &line.zone) == (false, true);
            there && !theirs
        };
        text(&lines.iter().filter(still).cloned().collect::<Vec<Line>>())
    }

    fn keeps(&self, wish: &Wish<'_>) -> Result<String, Vec<String>> {
        let Some(state) = State::read(&wish.facts.observations) else {
            return Err(vec![String::from(
                "firewalld did not tell its zones, so nothing can be added to them. See what it says:   firewall-cmd --list-all-zones   and   systemctl status firewalld",
            )]);
        };
        let mut found = obstacles::of_host(wish.facts, wish.theirs);
        if !found.is_empty() {
            return Err(found);
        }
        let state = without(state, &parse(wish.kept));
        let mut lines = Vec::new();
        for permanent in [false, true] {
            lines.extend(accepts(&state, wish, wish.requirements, permanent));
        }
        for permanent in [false, true] {
            lines.extend(denies(&state, wish, permanent));
        }
        let names: BTreeSet<&str> = [false, true]
            .into_iter()
            .flat_map(|permanent| state.opened(permanent, wish.facts, wish.closing))
            .map(|zone| zone.name.as_str())
            .collect();
        let zones: Vec<(bool, &Zone)> = [false, true]
            .into_iter()
            .flat_map(|permanent| state.zones(permanent).iter().map(move |zone| (permanent, zone)))
            .filter(|(_, zone)| names.contains(zone.name.as_str()))
            .collect();
        found.extend(obstacles::of_wish(&state, wish, &zones));
        found.extend(unreadable(wish, &lines));
        if found.is_empty() {
            Ok(text(&lines))
        } else {
            Err(found)
        }
    }

    fn pieces(&self, wish: &Wish<'_>, wanted: &str) -> Pieces {
        let Some(state) = State::read(&wish.facts.observations) else {
            return Pieces::default();
        };
        let kept = parse(wish.kept);
        let wanted = parse(wanted);
        let bare = without(state, &kept);
        let mut trial = accepts(&bare, wish, wish.requirements, false);
        trial.extend(minus(of(&wanted, false, false), &trial));
        let trial: Vec<Line> = minus(trial, &kept);
        let mut pieces = Pieces {
            open: runtime(&trial, true, "now, until a reload or a reboot"),
            ..Pieces::default()
        };
        let helper = bridge(&bare, wish);
        pieces.bridge = runtime(&helper, true, "for the helper sshd");
        let lifted = minus(of(&kept, false, true), &wanted);
        pieces.lift = runtime(&lifted, false, "no longer refused");
        pieces.restore = calls(&lifted, true)
            .into_iter()
            .map(|call| Step::Run(call.there))
            .collect();
        pieces.settle = settle(&kept, &wanted, trial);
        for call in calls(&helper, false) {
            let say = format!("zone {}: nothing more for the helper sshd", call.zone);
            pieces
                .settle
                .push(Action::new(say, Step::Run(call.there), vec![]));
        }
        for file in ZoneFile::all(wish, &kept, &wanted) {
            pieces.keep.extend(file.keep());
            pieces.seal.extend(file.seal());
            if file.text_kept.is_some() {
                pieces
                    .files
                    .push((file.path.clone(), file.before.clone(), file.after()));
            } else {
                pieces.rewritten.push((file.path.clone(), file.before.clone()));
            }
        }
        if !pieces.open.is_empty() || !pieces.keep.is_empty() {
            pieces
                .check
                .push(check("firewalld accepts its present configuration"));
        }
        if !pieces.keep.is_empty() || !pieces.seal.is_empty() {
            pieces
                .seal
                .push(check("firewalld accepts its files as they stand now"));
        }
        pieces
    }
}

fn check(say: &str) -> Action {
    let call = Invocation::new(Tool::FirewallCmd, ["--check-config"]);
    Action::new(
        say,
        Step::Run(call.within(std::time::Duration::from_secs(30))),
        vec![],
    )
}

/// The zones as they would be without what we keep in them.
fn without(mut state: State, kept: &[Line]) -> State {
    for line in kept {
        let zones = if line.permanent {
            &mut state.permanent
        } else {
            &mut state.runtime
        };
        for zone in zones.iter_mut().filter(|zone| zone.name == line.zone) {
            line.entry.take_out(zone);
        }
    }
    state
}

/// Lines of one time, either those that refuse or the others.
pub(super) fn of(lines: &[Line], permanent: bool, refuses: bool) -> Vec<Line> {
    let wanted = |line: &&Line| line.permanent == permanent && line.entry.refuses() == refuses;
    lines.iter().filter(wanted).cloned().collect()
}

pub(super) fn minus(lines: Vec<Line>, others: &[Line]) -> Vec<Line> {
    lines.into_iter().filter(|line| !others.contains(line)).collect()
}

/// Everything that the zones lack that get what is wanted.
fn accepts(state: &State, wish: &Wish<'_>, requirements: &[Requirement], permanent: bool) -> Vec<Line> {
    let kept = parse(wish.kept);
    let mut lines = Vec::new();
    for zone in state.opened(permanent, wish.facts, wish.closing) {
        for requirement in requirements
            .iter()
            .filter(|r| concerns(state, zone, r, permanent))
        {
            let line = |entry| Line {
                permanent,
                zone: zone.name.clone(),
                entry,
            };
            // Put beside a port of others, which may be gone in a while or be permanent by now: it stays.
            let everyone = requirement.peers.is_empty() && requirement.group.is_none();
            let stays = Some(line(beside(requirement))).filter(|line| everyone && kept.contains(line));
            let needed = match stays {
                Some(line) => vec![line],
                None => need(state, zone, permanent, requirement)
                    .add
                    .into_iter()
                    .map(line)
                    .collect(),
            };
            for line in needed {
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
    }
    lines
}

/// Whether those whom a requirement is for can come to a zone. Only those of its own networks come to one that has no
/// links.
fn concerns(state: &State, zone: &Zone, requirement: &Requirement, permanent: bool) -> bool {
    let by_source_only = state
        .zone(permanent, &zone.name)
        .is_some_and(|zone| zone.interfaces.is_empty() && zone.name != state.default);
    if requirement.peers.is_empty() || !by_source_only || zone.networks().count() < zone.sources.len() {
        return true;
    }
    zone.networks().any(|net| {
        let meets = |peer: &ipnet::IpNet| peer.contains(&net) || net.contains(peer);
        requirement.peers.iter().any(meets)
    })
}

/// The refusals, in every zone to which packets of people come and where somebody could use the port.
fn denies(state: &State, wish: &Wish<'_>, permanent: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for zone in state.reached(permanent, wish.facts) {
        for port in wish
            .closing
            .iter()
            .filter(|port| lets_anybody_use(state, zone, **port))
        {
            lines.extend(refusals(*port, wish.spared).into_iter().map(|entry| Line {
                permanent,
                zone: zone.name.clone(),
                entry,
            }));
        }
    }
    lines
}

/// Files of zones that cannot be read as text, or are links to somewhere else, are not ours to write.
fn unreadable(wish: &Wish<'_>, lines: &[Line]) -> Option<String> {
    let files = &wish.facts.observations.files;
    let line = lines.iter().find(|line| {
        line.permanent
            && !files.contains_key(&zone_file(ETC, &line.zone))
            && !files.contains_key(&zone_file(PACKAGED, &line.zone))
    })?;
    Some(format!(
        "the file of the zone {} was found neither in {ETC}/zones nor in {PACKAGED}/zones, so nothing can be kept in it over a reboot",
        line.zone
    ))
}

/// Calls at run time, each with its undo.
fn runtime(lines: &[Line], add: bool, how: &str) -> Vec<Action> {
    calls(lines, add)
        .into_iter()
        .map(|call| {
            let say = format!("zone {}: {} {how}", call.zone, call.what.join(", "));
            Action::new(say, Step::Run(call.there), vec![Step::Run(call.back)])
        })
        .collect()
}

/// Commit, at run time: the refusals in force, what is no longer wanted gone.
fn settle(kept: &[Line], wanted: &[Line], trial: Vec<Line>) -> Vec<Action> {
    let mut actions = runtime(&minus(of(wanted, false, true), kept), true, "at run time");
    let mut leaving = minus(of(kept, false, false), wanted);
    leaving.extend(minus(trial, wanted));
    actions.extend(runtime(&leaving, false, "no longer opened by faspwall"));
    // Their undo is the first of the commit's, so that nobody is shut out while sshd is still elsewhere.
    for call in calls(&minus(of(kept, false, true), wanted), false) {
        let say = format!("zone {}: {} no more", call.zone, call.what.join(", "));
        actions.push(Action::new(say, Step::Run(call.there), vec![]));
    }
    actions
}

/// Where firewalld does not let in by itself what was turned to the helper, its port is opened meanwhile.
fn bridge(state: &State, wish: &Wish<'_>) -> Vec<Line> {
    let Some(port) = wish.helper_port.and_then(|port| PortRange::single(port).ok()) else {
        return Vec::new();
    };
    let turned_comes_in = wish.theirs.rules.iter().any(|rule| {
        let text = serde_json::to_string(&rule.expressions).unwrap_or_default();
        rule.table == "firewalld" && rule.chain == "filter_INPUT" && text.contains("\"dnat\"")
    });
    if turned_comes_in {
        return Vec::new();
    }
    let helper = Requirement {
        id: String::from("bridge"),
        direction: crate::port::Direction::In,
        protocol: Protocol::Tcp,
        ports: port,
        peers: Vec::new(),
        group: None,
        why: String::new(),
        source: String::new(),
    };
    accepts(state, wish, &[helper], false)
}
