//! iptables' part of a change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Variant;
use super::kept::{self, accepts as accepts_of, has_deny, patched};
use super::rules::{self, Native, is_v4, tool};
use crate::backend::nftables::inspect::owner;
use crate::backend::nftables::model::{Chain, Ruleset};
use crate::backend::nftables::place::obstructed;
use crate::backend::nftables::render::helper;
use crate::backend::{Pieces, Translator, Wish};
use crate::facts::{BackendId, BootFacts, Facts};
use crate::plan::Requirement;
use crate::step::{Action, Invocation, NativeRule, Step, Tool, UNTIL, batch};

/// iptables, both variants and both families.
#[derive(Debug)]
pub struct Iptables;

/// Chains of front-ends that look after their tables themselves.
const FRONT_ENDS: [(&str, BackendId); 3] = [
    ("ufw-before-input", BackendId::Ufw),
    ("ufw6-before-input", BackendId::Ufw),
    ("INPUT_ZONES", BackendId::Firewalld),
];
/// In a dry run: a moment that any version of the tool takes.
const SOME_DAY: &str = "2037-12-31T23:59:59";

fn action(say: impl Into<String>, step: Step, undo: Vec<Step>) -> Action {
    Action {
        say: say.into(),
        step,
        undo,
    }
}

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

/// The variant that the file at boot is loaded into: that of the plain name, else the one that has rules.
fn boot_variant(facts: &Facts, theirs: &Ruleset) -> Variant {
    let version = facts.observations.outputs.get(VERSION);
    let legacy = match version {
        Some(text) => !text.contains("(nf_tables)"),
        None => !theirs
            .tables
            .iter()
            .any(|t| owner(theirs, &t.family, &t.name).as_deref() == Some("iptables-nft")),
    };
    if legacy { Variant::Legacy } else { Variant::Nft }
}

/// The key under which detection keeps what `iptables-restore --version` printed.
pub const VERSION: &str = "iptables-restore --version";

/// The boot file of a family: where it is, what it holds, the program that loads it.
struct BootFile<'a> {
    path: &'a Path,
    content: Option<&'a str>,
    loader: Tool,
    v4: bool,
}

fn boot_files(boot: &BootFacts) -> Vec<BootFile<'_>> {
    let four = boot.file.as_deref().map(|path| BootFile {
        path,
        content: boot.content.as_deref(),
        loader: Tool::IptablesRestore,
        v4: true,
    });
    let six = boot.file6.as_deref().map(|path| BootFile {
        path,
        content: boot.content6.as_deref(),
        loader: Tool::Ip6tablesRestore,
        v4: false,
    });
    four.into_iter().chain(six).collect()
}

/// Whether the host has the sixth version of the protocol; one without it refuses such rules.
fn has_ipv6(wish: &Wish<'_>) -> bool {
    let links = &wish.facts.links;
    let addressed = links
        .iter()
        .any(|link| link.addresses.iter().any(|a| a.addr().is_ipv6()));
    links.is_empty() || addressed || wish.theirs.tables.iter().any(|t| t.family == "ip6")
}

/// Everything that is to be kept.
fn wanted(wish: &Wish<'_>) -> Vec<Native> {
    let facts = wish.facts;
    let variant = boot_variant(facts, wish.theirs);
    let boot = facts.boot_of(BackendId::Iptables);
    let mut all = Vec::new();
    for v4 in [true, false] {
        let lasting = if v4 {
            boot.file.is_some()
        } else {
            boot.file6.is_some() && has_ipv6(wish)
        };
        if lasting {
            all.extend(rules::deny(tool(facts, v4, variant), wish.closing, wish.spared));
        }
    }
    all.extend(placed(facts, wish.theirs, wish.requirements));
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
    let boot = facts.boot_of(BackendId::Iptables);
    let variant = boot_variant(facts, wish.theirs);
    let mut found = Vec::new();
    for (v4, file) in [(true, &boot.file), (false, &boot.file6)] {
        let needed = rules.iter().any(|rule| is_v4(rule.tool) == v4);
        if needed && file.is_none() {
            let name = if v4 { "iptables" } else { "ip6tables" };
            found.push(format!(
                "nothing was found that loads rules of {name} at boot: after a reboot the new port would be shut. {}",
                install_hint(facts)
            ));
        }
    }
    let other = rules
        .iter()
        .find(|rule| rule.tool != tool(facts, is_v4(rule.tool), variant));
    if let Some(rule) = other {
        let (here, there) = match variant {
            Variant::Nft => ("nft", "legacy"),
            Variant::Legacy => ("legacy", "nft"),
        };
        found.push(format!(
            "the {there} variant of iptables drops packets as well ({} of table {}), but the rules that are loaded at boot go into the {here} variant: whether that chain comes back after a reboot cannot be told, and its accept would not. Move its rules over (iptables-{there}-save > FILE; iptables-{here}-restore --noflush FILE), save them for the boot, and empty the {there} variant",
            rule.chain, rule.table
        ));
    }
    found.dedup();
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

    fn kept(&self, facts: &Facts, _committed: &str) -> String {
        let boot = facts.boot_of(BackendId::Iptables);
        let none = Ruleset::default();
        let view = crate::backend::kernel::of_facts(facts).ok().flatten();
        let variant = boot_variant(facts, view.as_ref().unwrap_or(&none));
        let rules = boot_files(boot).into_iter().flat_map(|file| {
            let program = tool(facts, file.v4, variant);
            kept::in_file(file.content.unwrap_or_default())
                .into_iter()
                .map(move |(table, rule)| NativeRule {
                    tool: program,
                    table,
                    rule,
                })
        });
        kept::text(rules.collect())
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
            restore: vec![sweeps.step("faspwall", kept::live(wish.kept))],
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
            pieces.open.push(action(
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
                let mut all = kept::live(text);
                all.extend(trial.clone());
                sweeps.step("faspwall", all)
            };
            pieces.lift.push(action(
                "lift the deny that faspwall had set",
                with(&accepts_of(wish.kept)),
                vec![with(wish.kept)],
            ));
        }
        let bridge = bridge(wish);
        if !bridge.is_empty() {
            let tag = format!("{}:trial:bridge", wish.tag);
            pieces.bridge.push(action(
                "let in who is turned to the helper",
                sweeps.step(&tag, bridge),
                vec![sweeps.step(&tag, Vec::new())],
            ));
        }
        let mut both = kept::live(&accepts_of(wish.kept));
        both.extend(kept::live(&accepts_of(wanted)));
        pieces.settle.push(action(
            "put the permanent rules of iptables in place and take the trial's away",
            sweeps.step("faspwall", kept::live(wanted)),
            vec![sweeps.step("faspwall", both)],
        ));
        pieces
    }
}

/// Native dry runs: of the trial's rules, and of the files as they will be.
fn checks(trial: &[NativeRule], files: &Files<'_>) -> Vec<Action> {
    let mut checks = Vec::new();
    let programs: BTreeSet<Tool> = trial.iter().map(|rule| rule.tool).collect();
    for program in programs {
        let lines: Vec<(String, String)> = trial
            .iter()
            .filter(|rule| rule.tool == program)
            .map(|rule| (rule.table.clone(), rule.rule.replace(UNTIL, SOME_DAY)))
            .collect();
        let call = Invocation::new(program, ["--test", "--noflush", "-w", "10"]).with_stdin(batch(&lines));
        checks.push(action(
            format!("{} accepts the trial's rules", crate::step::plain_name(program)),
            Step::Run(call),
            vec![],
        ));
    }
    for (file, _, after) in &files.all {
        if let Some(after) = after {
            let call = Invocation::new(file.loader, ["--test"]).with_stdin(after.as_str());
            checks.push(action(
                format!(
                    "{} accepts {} as it will be at boot",
                    crate::step::plain_name(file.loader),
                    file.path.display()
                ),
                Step::Run(call),
                vec![],
            ));
        }
    }
    checks
}

/// The files that are loaded at boot: with our accepts, and with everything.
struct Files<'a> {
    all: Vec<(BootFile<'a>, Option<String>, Option<String>)>,
}

impl<'a> Files<'a> {
    fn new(wish: &'a Wish<'_>, wanted: &str) -> Self {
        let of_family = |text: &str, v4: bool| -> Vec<(String, String)> {
            kept::commands(text)
                .into_iter()
                .filter(|rule| is_v4(rule.tool) == v4)
                .map(|rule| (rule.table, rule.rule))
                .collect()
        };
        let all = boot_files(wish.facts.boot_of(BackendId::Iptables))
            .into_iter()
            .map(|file| {
                let open = patched(file.content, &of_family(&accepts_of(wanted), file.v4));
                let whole = patched(file.content, &of_family(wanted, file.v4));
                (file, open, whole)
            })
            .filter(|(file, open, whole)| file.content != open.as_deref() || file.content != whole.as_deref())
            .collect();
        Self { all }
    }

    fn changes(&self) -> Vec<(PathBuf, Option<String>, Option<String>)> {
        self.all
            .iter()
            .map(|(file, _, whole)| {
                (
                    file.path.to_owned(),
                    file.content.map(str::to_owned),
                    whole.clone(),
                )
            })
            .filter(|(_, before, after)| before != after)
            .collect()
    }

    fn keep(&self) -> Vec<Action> {
        self.all
            .iter()
            .filter(|(file, open, _)| file.content != open.as_deref())
            .map(|(file, open, _)| {
                action(
                    format!("write {} for the next boot", file.path.display()),
                    put(file.path, open.as_deref()),
                    vec![put(file.path, file.content)],
                )
            })
            .collect()
    }

    fn seal(&self) -> Vec<Action> {
        self.all
            .iter()
            .filter(|(_, open, whole)| open != whole)
            .map(|(file, open, whole)| {
                action(
                    format!("write {} for the next boot, with the deny", file.path.display()),
                    put(file.path, whole.as_deref()),
                    vec![put(file.path, open.as_deref())],
                )
            })
            .collect()
    }
}

fn put(path: &Path, content: Option<&str>) -> Step {
    match content {
        Some(content) => Step::Write {
            path: path.to_owned(),
            content: content.to_owned(),
            mode: 0o640,
        },
        None => Step::Remove(path.to_owned()),
    }
}
