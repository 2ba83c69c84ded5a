//! iptables' part of a change.

use super::Variant;
use super::files::{self, Files, boot_variant, lasts};
use super::kept::{self, accepts as accepts_of, has_deny};
use super::rules::{self, Native, is_v4, tool};
use crate::backend::nftables::inspect::owner;
use crate::backend::nftables::model::{Chain, Ruleset};
use crate::backend::nftables::place::obstructed;
use crate::backend::nftables::render::helper;
use crate::backend::{Pieces, Translator, Wish};
use crate::facts::{BackendId, Facts};
use crate::plan::Requirement;
use crate::step::{Action, Invocation, NativeRule, Step, Tool, UNTIL, batch};
use std::collections::BTreeSet;

/// iptables, both variants and both families.
#[derive(Debug)]
pub struct Iptables;

/// Chains of front-ends that look after their tables themselves.
const FRONT_ENDS: [(&str, BackendId); 4] = [
    ("ufw-before-input", BackendId::Ufw),
    ("ufw6-before-input", BackendId::Ufw),
    ("INPUT_ZONES", BackendId::Firewalld),
    ("INPUT_POLICIES", BackendId::Firewalld),
];
/// In a dry run: a moment that any version of the tool takes.
const SOME_DAY: &str = "2037-12-31T23:59:59";

/// Whether a chain is in a table of iptables that no front-end of this host looks after.
pub fn is_ours(facts: &Facts, theirs: &Ruleset, chain: &Chain) -> bool {
    let of_iptables =
        owner(theirs, &chain.family, &chain.table).is_some_and(|owner| owner.starts_with("iptables-"));
    let known: BTreeSet<BackendId> = facts.backend.iter().chain(&facts.also).copied().collect();
    let fronted = FRONT_ENDS
        .iter()
        .any(|(name, id)| known.contains(id) && theirs.chain_beside(chain, name).is_some());
    of_iptables && !fronted
}

/// Accepts for the tops of all chains of ours that could drop what is wanted.
pub fn placed(facts: &Facts, theirs: &Ruleset, requirements: &[Requirement]) -> Vec<Native> {
    obstructed(theirs, requirements)
        .iter()
        .filter(|found| is_ours(facts, theirs, found.chain))
        .flat_map(|found| rules::accepts(facts, found))
        .collect()
}

/// Whether the host has the sixth version of the protocol; one without it refuses such rules.
fn has_ipv6(wish: &Wish<'_>) -> bool {
    let links = &wish.facts.links;
    let addressed = links
        .iter()
        .any(|link| link.addresses.iter().any(|a| a.addr().is_ipv6()));
    links.is_empty() || addressed || wish.theirs.tables.iter().any(|t| t.family == "ip6")
}

/// The program that shuts ports of a family for good: that of the variant which is loaded at boot; where nothing loads
/// it, that of the other one, if its rules are on this host too. `None`: the deny would be gone after a reboot.
fn shutter(wish: &Wish<'_>, v4: bool) -> Option<Tool> {
    let (facts, family) = (wish.facts, if v4 { "ip" } else { "ip6" });
    let of_boot = boot_variant(facts, wish.theirs);
    let loaded = |variant: Variant| {
        let mut tables = wish.theirs.tables.iter().filter(|table| table.family == family);
        tables.any(|table| {
            Variant::of(&table.name).0 == variant
                && owner(wish.theirs, &table.family, &table.name)
                    .is_some_and(|owner| owner.starts_with("iptables-"))
        })
    };
    Variant::ALL
        .into_iter()
        .filter(|variant| *variant == of_boot || loaded(*variant))
        .map(|variant| (variant != of_boot, tool(facts, v4, variant)))
        .filter(|(_, program)| lasts(facts, wish.theirs, *program).is_some())
        .min_by_key(|(other, _)| *other)
        .map(|(_, program)| program)
}

/// The families in which ports are to be shut.
fn shut_families(wish: &Wish<'_>) -> Vec<bool> {
    let wanted = |v4: &bool| !wish.closing.is_empty() && (*v4 || has_ipv6(wish));
    [true, false].into_iter().filter(wanted).collect()
}

/// Everything that is to be kept.
fn wanted(wish: &Wish<'_>) -> Vec<Native> {
    let mut all = Vec::new();
    for v4 in shut_families(wish) {
        if let Some(program) = shutter(wish, v4) {
            all.extend(rules::deny(program, wish.closing, wish.spared));
        }
    }
    all.extend(placed(wish.facts, wish.theirs, wish.requirements));
    all
}

/// How a distribution comes by a file that is loaded at boot.
fn install_hint(facts: &Facts) -> &'static str {
    match facts.os.id.as_str() {
        "debian" | "ubuntu" | "raspbian" | "linuxmint" => {
            "Install it, which keeps the present rules: apt-get install iptables-persistent"
        }
        "arch" | "manjaro" => {
            "Save the present rules with iptables-save -f /etc/iptables/iptables.rules and ip6tables-save -f /etc/iptables/ip6tables.rules, then: systemctl enable iptables ip6tables"
        }
        "alpine" => {
            "Save the present rules with rc-service iptables save and rc-service ip6tables save, then: rc-update add iptables; rc-update add ip6tables"
        }
        "opensuse-leap" | "opensuse-tumbleweed" | "sles" => {
            "This distribution keeps its rules with firewalld; iptables alone has no service here"
        }
        _ => {
            "Install it, and save the present rules: dnf install iptables-services; iptables-save > /etc/sysconfig/iptables; ip6tables-save > /etc/sysconfig/ip6tables; systemctl enable iptables ip6tables"
        }
    }
}

fn obstacles(wish: &Wish<'_>, rules: &[Native]) -> Vec<String> {
    let facts = wish.facts;
    let mut found = Vec::new();
    for v4 in [true, false] {
        let stranded =
            |rule: &Native| is_v4(rule.tool) == v4 && lasts(facts, wish.theirs, rule.tool).is_none();
        let lost = if rules.iter().any(stranded) {
            String::from("the new port would be shut")
        } else if shut_families(wish).contains(&v4) && shutter(wish, v4).is_none() {
            let ports: Vec<String> = wish.closing.iter().map(|port| format!("TCP/{port}")).collect();
            format!("{} would be open again", ports.join(", "))
        } else {
            continue;
        };
        let name = if v4 { "iptables" } else { "ip6tables" };
        found.push(format!(
            "nothing was found that loads rules of {name} at boot: after a reboot {lost}. {}",
            install_hint(facts)
        ));
    }
    found
}

/// The programs whose rules may have to be swept.
fn tools(wish: &Wish<'_>, extra: &[&str]) -> Vec<Tool> {
    let facts = wish.facts;
    let mut all: BTreeSet<Tool> = wish
        .theirs
        .tables
        .iter()
        .filter(|t| owner(wish.theirs, &t.family, &t.name).is_some_and(|o| o.starts_with("iptables-")))
        .map(|t| tool(facts, t.family == "ip", Variant::of(&t.name).0))
        .collect();
    for text in extra {
        all.extend(kept::commands(text).into_iter().map(|rule| rule.tool));
    }
    all.into_iter().collect()
}

/// Steps of one change, which all sweep the same programs.
struct Sweeps<'w> {
    wish: &'w Wish<'w>,
    tools: Vec<Tool>,
}

impl Sweeps<'_> {
    fn step(&self, tag: &str, then: Vec<NativeRule>) -> Step {
        Step::SweepIptables {
            tag: tag.to_owned(),
            tools: self.tools.clone(),
            then,
            seconds: self.wish.window_s,
        }
    }

    fn trial_tag(&self) -> String {
        format!("{}:trial", self.wish.tag)
    }
}

fn chains(rules: &[NativeRule]) -> String {
    let mut names: Vec<String> = rules
        .iter()
        .filter_map(|rule| {
            let chain = rule.rule.split(' ').nth(1)?;
            Some(format!(
                "{} {} {chain}",
                crate::step::plain_name(rule.tool),
                rule.table
            ))
        })
        .collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// Rules that are kept, where they stand now.
fn in_place(wish: &Wish<'_>, text: &str) -> Vec<NativeRule> {
    let outputs = &wish.facts.observations.outputs;
    kept::live_in_place(text, |tool| {
        outputs
            .get(&format!("{}-save", crate::step::plain_name(tool)))
            .map(String::as_str)
    })
}

/// Accepts of the trial, for a while, with one for the operator's own connection.
fn trial(wish: &Wish<'_>) -> Vec<NativeRule> {
    let mut all = placed(wish.facts, wish.theirs, wish.requirements);
    if let Some(session) = &wish.facts.session {
        let pins = rules::pins(session, &all);
        all.extend(pins);
    }
    let tag = format!("{}:trial", wish.tag);
    all.iter().rev().map(|rule| rule.timed(&tag)).collect()
}

/// Accepts for the helper's port. Only what came through the turn-off: to strangers the port itself stays shut.
fn bridge(wish: &Wish<'_>) -> Vec<NativeRule> {
    let Some(helper) = wish.helper_port.and_then(helper) else {
        return Vec::new();
    };
    let tag = format!("{}:trial:bridge", wish.tag);
    placed(wish.facts, wish.theirs, &[helper])
        .into_iter()
        .map(|mut rule| {
            // Before translation, the packet still bears the port that strangers know.
            if rule.matches.contains("--dport ") && rule.table != "raw" {
                rule.matches.push_str(" -m conntrack --ctstate DNAT");
            }
            rule.need = String::from("helper");
            NativeRule {
                tool: rule.tool,
                table: rule.table.clone(),
                rule: rule.line("-I", &tag),
            }
        })
        .collect()
}

impl Translator for Iptables {
    fn id(&self) -> BackendId {
        BackendId::Iptables
    }

    fn kept(&self, facts: &Facts, live: &Ruleset, _committed: &str) -> String {
        kept::text(files::kept(facts, live))
    }

    fn keeps(&self, wish: &Wish<'_>) -> Result<String, Vec<String>> {
        let rules = wanted(wish);
        let obstacles = obstacles(wish, &rules);
        if !obstacles.is_empty() {
            return Err(obstacles);
        }
        let native = |rule: &Native| NativeRule {
            tool: rule.tool,
            table: rule.table.clone(),
            rule: rule.line("-A", &wish.tag),
        };
        Ok(kept::text(rules.iter().map(native).collect()))
    }

    fn pieces(&self, wish: &Wish<'_>, wanted: &str) -> Pieces {
        let sweeps = Sweeps {
            wish,
            tools: tools(wish, &[wish.kept, wanted]),
        };
        let files = Files::new(wish, wanted);
        let trial = trial(wish);
        let mut pieces = Pieces {
            check: checks(&trial, &files),
            restore: vec![sweeps.step("faspwall", in_place(wish, wish.kept))],
            keep: files.keep(),
            seal: files.seal(),
            files: files.changes(),
            ..Pieces::default()
        };
        if sweeps.tools.is_empty() {
            return pieces;
        }
        if !trial.is_empty() {
            let open = sweeps.step(&sweeps.trial_tag(), trial.clone());
            pieces.timed.push(open.clone());
            pieces.open.push(Action::new(
                format!(
                    "open the new ports for {} s at the top of {}",
                    wish.window_s,
                    chains(&trial)
                ),
                open,
                vec![sweeps.step(&sweeps.trial_tag(), Vec::new())],
            ));
        }
        if has_deny(wish.kept) {
            let with = |text: &str| {
                let mut all = in_place(wish, text);
                all.extend(trial.clone());
                sweeps.step("faspwall", all)
            };
            pieces.lift.push(Action::new(
                "lift the deny that faspwall had set",
                with(&accepts_of(wish.kept)),
                vec![with(wish.kept)],
            ));
        }
        let bridge = bridge(wish);
        if !bridge.is_empty() {
            let tag = format!("{}:trial:bridge", wish.tag);
            pieces.bridge.push(Action::new(
                "let in who is turned to the helper",
                sweeps.step(&tag, bridge),
                vec![sweeps.step(&tag, Vec::new())],
            ));
        }
        let mut both = kept::live(&accepts_of(wish.kept));
        both.extend(kept::live(&accepts_of(wanted)));
        pieces.settle.push(Action::new(
            "put the permanent rules of iptables in place and take the trial's away",
            sweeps.step("faspwall", kept::live(wanted)),
            vec![sweeps.step("faspwall", both)],
        ));
        pieces
    }
}

/// Native dry runs: of the trial's rules, and of the files as they will be.
fn checks(trial: &[NativeRule], files: &Files) -> Vec<Action> {
    let mut checks = Vec::new();
    let programs: BTreeSet<Tool> = trial.iter().map(|rule| rule.tool).collect();
    for program in programs {
        let lines: Vec<(String, String)> = trial
            .iter()
            .filter(|rule| rule.tool == program)
            .map(|rule| (rule.table.clone(), rule.rule.replace(UNTIL, SOME_DAY)))
            .collect();
        let call = Invocation::new(program, ["--test", "--noflush", "-w", "10"]).with_stdin(batch(&lines));
        checks.push(Action::new(
            format!("{} accepts the trial's rules", crate::step::plain_name(program)),
            Step::Run(call),
            vec![],
        ));
    }
    checks.extend(files.checks());
    checks
}

#[cfg(test)]
mod tests;
