//! firewalld's part of a change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::line::{Call, Entry, Line, calls, parse, patched, text};
use super::need::{lets_anybody_use, need, refusals};
use super::obstacles;
use super::state::{ETC, PACKAGED, State, zone_file};
use super::zone::Zone;
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

    fn kept(&self, facts: &Facts, committed: &str) -> String {
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
        let names: BTreeSet<String> = state
            .serving(false, wish.facts)
            .into_iter()
            .chain(state.serving(true, wish.facts))
            .collect();
        let zones: Vec<&Zone> = [false, true]
            .into_iter()
            .flat_map(|permanent| state.zones(permanent))
            .filter(|zone| names.contains(&zone.name))
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
            pieces.settle.push(action(say, Step::Run(call.there), vec![]));
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
    action(
        say,
        Step::Run(call.within(std::time::Duration::from_secs(30))),
        vec![],
    )
}

fn action(say: impl Into<String>, step: Step, undo: Vec<Step>) -> Action {
    Action {
        say: say.into(),
        step,
        undo,
    }
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
fn of(lines: &[Line], permanent: bool, refuses: bool) -> Vec<Line> {
    let wanted = |line: &&Line| line.permanent == permanent && line.entry.refuses() == refuses;
    lines.iter().filter(wanted).cloned().collect()
}

fn minus(lines: Vec<Line>, others: &[Line]) -> Vec<Line> {
    lines.into_iter().filter(|line| !others.contains(line)).collect()
}

/// Everything that the zones of strangers lack.
fn accepts(state: &State, wish: &Wish<'_>, requirements: &[Requirement], permanent: bool) -> Vec<Line> {
    let mut names = state.serving(permanent, wish.facts);
    if permanent {
        // A link that was put into its zone by another program than firewalld is in it after a reboot as well.
        names.extend(state.serving(false, wish.facts));
        names.sort();
        names.dedup();
    }
    let mut lines = Vec::new();
    for zone in state
        .zones(permanent)
        .iter()
        .filter(|zone| names.contains(&zone.name))
    {
        for requirement in requirements
            .iter()
            .filter(|r| concerns(state, zone, r, permanent))
        {
            for entry in need(state, zone, requirement).add {
                let line = Line {
                    permanent,
                    zone: zone.name.clone(),
                    entry,
                };
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

/// The refusals, in every zone to which packets come and where somebody could use the port.
fn denies(state: &State, wish: &Wish<'_>, permanent: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut names: Vec<String> = state.active(permanent).map(|zone| zone.name.clone()).collect();
    names.extend(state.active(false).map(|zone| zone.name.clone()));
    for zone in state
        .zones(permanent)
        .iter()
        .filter(|zone| names.contains(&zone.name))
    {
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
            action(say, Step::Run(call.there), vec![Step::Run(call.back)])
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
        actions.push(action(say, Step::Run(call.there), vec![]));
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

/// The file of a zone and what a commit does to it.
struct ZoneFile {
    path: PathBuf,
    /// What firewall-cmd leaves beside a file that it writes anew, and its content now.
    old: (PathBuf, Option<String>),
    before: Option<String>,
    packaged: Option<String>,
    /// First: accepts in, refusals that are no longer wanted out.
    first: (Vec<Line>, Vec<Line>),
    /// Last: refusals in, accepts that are no longer wanted out.
    last: (Vec<Line>, Vec<Line>),
    /// Its text after the first and after the last; `None` when only firewalld can write it.
    text_kept: Option<String>,
    text_sealed: Option<String>,
}

fn entries(lines: &[Line]) -> Vec<&Entry> {
    lines.iter().map(|line| &line.entry).collect()
}

impl ZoneFile {
    fn all(wish: &Wish<'_>, kept: &[Line], wanted: &[Line]) -> Vec<Self> {
        let files = &wish.facts.observations.files;
        let zones: BTreeSet<&str> = kept
            .iter()
            .chain(wanted)
            .filter(|line| line.permanent)
            .map(|line| line.zone.as_str())
            .collect();
        let changed = zones.into_iter().map(|zone| Self::new(files, zone, kept, wanted));
        changed
            .filter(|file| {
                let lists = [&file.first.0, &file.first.1, &file.last.0, &file.last.1];
                lists.iter().any(|list| !list.is_empty())
            })
            .collect()
    }

    fn new(files: &BTreeMap<PathBuf, String>, zone: &str, kept: &[Line], wanted: &[Line]) -> Self {
        let of_zone = |lines: &[Line], refuses: bool| -> Vec<Line> {
            let lines = of(lines, true, refuses).into_iter();
            lines.filter(|line| line.zone == zone).collect()
        };
        let first = (
            minus(of_zone(wanted, false), kept),
            minus(of_zone(kept, true), wanted),
        );
        let last = (
            minus(of_zone(wanted, true), kept),
            minus(of_zone(kept, false), wanted),
        );
        let path = zone_file(ETC, zone);
        let before = files.get(&path).cloned();
        let packaged = files.get(&zone_file(PACKAGED, zone)).cloned();
        let base = before.clone().or_else(|| packaged.clone()).unwrap_or_default();
        let text_kept = patched(&base, &entries(&first.1), &entries(&first.0));
        let text_sealed = text_kept
            .as_ref()
            .and_then(|text| patched(text, &entries(&last.1), &entries(&last.0)));
        let old = path.with_extension("xml.old");
        Self {
            old: (old.clone(), files.get(&old).cloned()),
            path,
            before,
            packaged,
            first,
            last,
            text_kept: text_sealed.as_ref().and(text_kept),
            text_sealed,
        }
    }

    /// The file in the end. A copy of the packaged one that we had made is not needed once our lines are out of it.
    fn after(&self) -> Option<String> {
        self.text_sealed
            .clone()
            .filter(|text| self.packaged.as_ref() != Some(text))
    }

    fn put(path: &Path, content: Option<&String>) -> Step {
        match content {
            Some(content) => Step::Write {
                path: path.to_owned(),
                content: content.clone(),
                mode: 0o644,
            },
            None => Step::Remove(path.to_owned()),
        }
    }

    /// The bytes of before, for an undo.
    fn back(&self) -> [Step; 2] {
        [
            Self::put(&self.path, self.before.as_ref()),
            Self::put(&self.old.0, self.old.1.as_ref()),
        ]
    }

    fn keep(&self) -> Vec<Action> {
        let mut actions = permanent(&self.first, "for the next start");
        if let Some(first) = actions.first_mut() {
            // The bytes come last, when the calls are undone.
            first.undo.extend(self.back());
            let more = !self.last.0.is_empty() || !self.last.1.is_empty();
            let content = if more {
                self.text_kept.clone()
            } else {
                self.after()
            };
            actions.extend(self.as_it_was(content.as_ref()));
        }
        actions
    }

    fn seal(&self) -> Vec<Action> {
        let mut actions = permanent(&self.last, "for the next start, last");
        let untouched = self.first.0.is_empty() && self.first.1.is_empty();
        if let Some(first) = actions.first_mut() {
            if untouched {
                first.undo.extend(self.back());
            } else if let Some(text) = self.text_kept.as_ref() {
                first.undo.push(Self::put(&self.path, Some(text)));
            }
            actions.extend(self.as_it_was(self.after().as_ref()));
        }
        actions
    }

    /// firewall-cmd writes a file anew, without comments: the text of before with our lines in it goes over that.
    fn as_it_was(&self, content: Option<&String>) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.text_kept.is_some() {
            let say = match content {
                Some(_) => format!("{}: everything else as it was", self.path.display()),
                None => format!("{} is not needed any more", self.path.display()),
            };
            actions.push(action(say, Self::put(&self.path, content), vec![]));
        }
        let say = format!("nothing of it is left in {}", self.old.0.display());
        actions.push(action(say, Self::put(&self.old.0, self.old.1.as_ref()), vec![]));
        actions
    }
}

/// Permanent calls: additions before removals, so that a door is open at every moment.
fn permanent((add, out): &(Vec<Line>, Vec<Line>), how: &str) -> Vec<Action> {
    let said = |call: Call, verb: &str| {
        let say = format!("zone {}: {}{verb} {how}", call.zone, call.what.join(", "));
        action(say, Step::Run(call.there), vec![Step::Run(call.back)])
    };
    let added = calls(add, true).into_iter().map(|call| said(call, ""));
    let taken = calls(out, false).into_iter().map(|call| said(call, " no more"));
    added.chain(taken).collect()
}
