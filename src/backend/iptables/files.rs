//! Files that bring our rules back at the next boot: the one that the distribution loads, patched; and where rules of
//! the other variant drop packets too, which no distribution loads, files and a unit of our own.

use std::path::{Path, PathBuf};

use super::Variant;
use super::kept::{self, accepts as accepts_of, patched};
use super::rules::{is_v4, tool};
use super::sweep::CHAIN;
use crate::backend::Wish;
use crate::backend::nftables::inspect::owner;
use crate::backend::nftables::model::Ruleset;
use crate::facts::{BackendId, Facts};
use crate::step::{Action, Invocation, NativeRule, Step, Tool, batch, plain_name};

/// The key under which detection keeps what `iptables-restore --version` printed.
pub const VERSION: &str = "iptables-restore --version";
/// The unit that loads files of our own.
pub const UNIT: &str = "/etc/systemd/system/faspwall-iptables.service";
const UNIT_NAME: &str = "faspwall-iptables.service";
/// Above a file of our own.
const NOTE: &str =
    "# Made by faspwall; faspwall-iptables.service puts these rules above all others at boot.\n";

/// Files of our own, each for one program.
const OWN: [(Tool, &str); 6] = [
    (Tool::IptablesNftRestore, "/etc/faspwall/iptables-nft.rules"),
    (Tool::Ip6tablesNftRestore, "/etc/faspwall/ip6tables-nft.rules"),
    (Tool::IptablesLegacyRestore, "/etc/faspwall/iptables-legacy.rules"),
    (
        Tool::Ip6tablesLegacyRestore,
        "/etc/faspwall/ip6tables-legacy.rules",
    ),
    (Tool::IptablesRestore, "/etc/faspwall/iptables.rules"),
    (Tool::Ip6tablesRestore, "/etc/faspwall/ip6tables.rules"),
];

/// Paths that detection reads, besides the files that the distribution loads.
pub fn own_paths() -> impl Iterator<Item = &'static str> {
    OWN.into_iter().map(|(_, path)| path).chain([UNIT])
}

/// Our own files, each with the program that adds its rules at boot.
pub fn own() -> [(Tool, &'static str); 6] {
    OWN
}

/// The variant that the file at boot is loaded into: that of the plain name, else the one that has rules.
pub fn boot_variant(facts: &Facts, theirs: &Ruleset) -> Variant {
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

/// What keeps rules of a program over a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// The file of the distribution.
    Boot,
    /// Our own file and unit.
    Own,
}

/// How rules of a program can be kept; `None` when they cannot.
pub fn lasts(facts: &Facts, theirs: &Ruleset, program: Tool) -> Option<Lasts> {
    let boot = facts.boot_of(BackendId::Iptables);
    let v4 = is_v4(program);
    let file = if v4 { &boot.file } else { &boot.file6 };
    let of_boot = program == tool(facts, v4, boot_variant(facts, theirs));
    // The owner's rules come back by a file, or not at all; what stands beside them comes from anywhere.
    let beside = !of_boot || facts.backend != Some(BackendId::Iptables);
    match (of_boot && file.is_some(), beside && facts.os.systemd) {
        (true, _) => Some(Lasts::Boot),
        (false, true) => Some(Lasts::Own),
        (false, false) => None,
    }
}

/// Our rules in all files.
pub fn kept(facts: &Facts, theirs: &Ruleset) -> Vec<NativeRule> {
    let boot = facts.boot_of(BackendId::Iptables);
    let variant = boot_variant(facts, theirs);
    let mut all = Vec::new();
    for (v4, content) in [(true, &boot.content), (false, &boot.content6)] {
        let program = tool(facts, v4, variant);
        for (table, rule) in kept::in_file(content.as_deref().unwrap_or_default()) {
            all.push(NativeRule {
                tool: program,
                table,
                rule,
            });
        }
    }
    for (program, path) in OWN {
        let content = facts.observations.files.get(Path::new(path));
        all.extend(read_own(program, content.map(String::as_str).unwrap_or_default()));
    }
    all
}

/// A file of our own: what is on top comes last in it.
fn own_content(program: Tool, text: &str) -> String {
    let rules = kept::live(text);
    let lines: Vec<(String, String)> = rules
        .into_iter()
        .filter(|rule| rule.tool == program)
        .map(|rule| (rule.table, rule.rule))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let in_own = |(_, line): &(String, String)| line.starts_with(&format!("-A {CHAIN} "));
    let mut declared: Vec<(String, String)> = lines
        .iter()
        .filter(|line| in_own(line))
        .take(1)
        .cloned()
        .collect();
    for (_, line) in &mut declared {
        *line = format!(":{CHAIN} - [0:0]");
    }
    declared.extend(lines);
    format!("{NOTE}{}", batch(&declared))
}

fn read_own(program: Tool, content: &str) -> Vec<NativeRule> {
    let mut table = "";
    let (mut on_top, mut in_own) = (Vec::new(), Vec::new());
    for line in content.lines() {
        let rule = |rule: String| NativeRule {
            tool: program,
            table: table.to_owned(),
            rule,
        };
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(text) = line.strip_prefix("-I ") {
            on_top.push(rule(format!("-A {text}")));
        } else if line.starts_with(&format!("-A {CHAIN} ")) {
            in_own.push(rule(line.to_owned()));
        }
    }
    on_top.reverse();
    on_top.extend(in_own);
    on_top
}

fn unit(programs: &[Tool]) -> String {
    let mut text = String::from(
        "[Unit]\nDescription=Rules of faspwall for a variant of iptables that no file of the distribution loads\n\
         # Whatever loads the other rules has run by then.\n\
         After=multi-user.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\n",
    );
    for (program, path) in OWN.iter().filter(|(program, _)| programs.contains(program)) {
        text.push_str(&format!(
            "ExecStart=/usr/sbin/{} --noflush -w 10 {path}\n",
            program.name()
        ));
    }
    text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    text
}

/// One file of a change.
#[derive(Debug)]
struct File {
    path: PathBuf,
    before: Option<String>,
    /// With our accepts.
    open: Option<String>,
    /// With everything.
    whole: Option<String>,
    /// The program that loads it, and how it is asked to try.
    test: Option<(Tool, &'static [&'static str])>,
}

/// The files of a change.
#[derive(Debug)]
pub struct Files {
    all: Vec<File>,
    /// Whether our own unit is wanted, and whether it is there.
    unit: (bool, bool),
}

impl Files {
    /// From what is kept now to `wanted`.
    pub fn new(wish: &Wish<'_>, wanted: &str) -> Self {
        let facts = wish.facts;
        let mut all = boot_files(wish, wanted);
        let mut loaded = Vec::new();
        for (program, path) in OWN {
            let own = lasts(facts, wish.theirs, program) == Some(Lasts::Own);
            let content = |text: &str| own.then(|| own_content(program, text)).filter(|c| !c.is_empty());
            let whole = content(wanted);
            if whole.is_some() {
                loaded.push(program);
            }
            // The unit that reads it fails without a file.
            let nothing_yet = || whole.as_ref().map(|_| String::from(NOTE));
            all.push(File {
                path: PathBuf::from(path),
                before: facts.observations.files.get(Path::new(path)).cloned(),
                open: content(&accepts_of(wanted)).or_else(nothing_yet),
                whole,
                test: Some((program, &["--test", "--noflush", "-w", "10"])),
            });
        }
        let before = facts.observations.files.get(Path::new(UNIT)).cloned();
        let after = (!loaded.is_empty()).then(|| unit(&loaded));
        let unit = (after.is_some(), before.is_some());
        all.push(File {
            path: PathBuf::from(UNIT),
            before,
            open: after.clone(),
            whole: after,
            test: None,
        });
        all.retain(|file| file.before != file.open || file.before != file.whole);
        Self { all, unit }
    }

    /// Path, content now, content afterwards.
    pub fn changes(&self) -> Vec<(PathBuf, Option<String>, Option<String>)> {
        self.all
            .iter()
            .filter(|file| file.before != file.whole)
            .map(|file| (file.path.clone(), file.before.clone(), file.whole.clone()))
            .collect()
    }

    /// Dry runs of what will be loaded at boot.
    pub fn checks(&self) -> Vec<Action> {
        let tried = self.all.iter().filter_map(|file| {
            let ((program, words), content) = (file.test?, file.whole.as_ref()?);
            let call = Invocation::new(program, words.iter().copied()).with_stdin(content.as_str());
            Some(Action::new(
                format!(
                    "{} accepts {} as it will be at boot",
                    plain_name(program),
                    file.path.display()
                ),
                Step::Run(call),
                vec![],
            ))
        });
        tried.collect()
    }

    /// Everything but the deny.
    pub fn keep(&self) -> Vec<Action> {
        let disable = Step::Try(systemctl("disable"));
        let mut actions = Vec::new();
        if let (false, true) = self.unit {
            actions.push(Action::new(
                format!("no longer start {UNIT_NAME} at boot"),
                disable.clone(),
                vec![Step::Try(systemctl("enable"))],
            ));
        }
        actions.extend(
            self.all
                .iter()
                .filter(|file| file.before != file.open)
                .map(|file| {
                    let verb = if file.open.is_some() { "write" } else { "remove" };
                    Action::new(
                        format!("{verb} {} for the next boot", file.path.display()),
                        Step::put(&file.path, file.open.as_deref(), 0o640),
                        vec![Step::put(&file.path, file.before.as_deref(), 0o640)],
                    )
                }),
        );
        if let (true, false) = self.unit {
            actions.push(Action::new(
                format!("start {UNIT_NAME} at boot: nothing else loads the rules of that variant"),
                Step::Run(systemctl("enable")),
                vec![disable],
            ));
        }
        actions
    }

    /// The deny as well.
    pub fn seal(&self) -> Vec<Action> {
        self.all
            .iter()
            .filter(|file| file.open != file.whole)
            .map(|file| {
                Action::new(
                    format!("write {} for the next boot, with the deny", file.path.display()),
                    Step::put(&file.path, file.whole.as_deref(), 0o640),
                    vec![Step::put(&file.path, file.open.as_deref(), 0o640)],
                )
            })
            .collect()
    }
}

/// The files that the distribution loads, as they are to be.
fn boot_files(wish: &Wish<'_>, wanted: &str) -> Vec<File> {
    let boot = wish.facts.boot_of(BackendId::Iptables);
    let lines = |text: &str, v4: bool| -> Vec<(String, String)> {
        kept::commands(text)
            .into_iter()
            .filter(|rule| is_v4(rule.tool) == v4)
            .filter(|rule| lasts(wish.facts, wish.theirs, rule.tool) == Some(Lasts::Boot))
            .map(|rule| (rule.table, rule.rule))
            .collect()
    };
    let families = [
        (true, &boot.file, &boot.content, Tool::IptablesRestore),
        (false, &boot.file6, &boot.content6, Tool::Ip6tablesRestore),
    ];
    families
        .into_iter()
        .filter_map(|(v4, path, content, loader)| {
            Some(File {
                path: path.clone()?,
                before: content.clone(),
                open: patched(content.as_deref(), &lines(&accepts_of(wanted), v4)),
                whole: patched(content.as_deref(), &lines(wanted, v4)),
                test: Some((loader, &["--test"])),
            })
        })
        .collect()
}

fn systemctl(verb: &str) -> Invocation {
    Invocation::new(Tool::Systemctl, [verb, "--quiet", UNIT_NAME])
}
