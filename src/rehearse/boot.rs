//! What the next boot loads, as far as it is known before the copy is made: the files and front ends that are enabled
//! once the change is made, in the order of a boot.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Subject;
use super::copy::Copy;
use crate::backend::firewalld::State;
use crate::backend::iptables::files::boot_variant;
use crate::backend::iptables::rules::tool;
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::boot_file::without_include;
use crate::change::Change;
use crate::facts::{BackendId, BootFacts, Facts};
use crate::matrix::Family;
use crate::step::{Step, Tool};
use crate::transaction::Phase;

/// Where what a step writes lies in memory.
pub const PRIVATE: [&str; 3] = ["/etc", "/run", "/tmp"];
/// Begins every line that tells what of it is not played.
pub const NEXT_BOOT: &str = "the next boot";
/// systemd starts one of these or firewalld, never both.
const AGAINST_FIREWALLD: [&str; 3] = ["nftables.service", "iptables.service", "ip6tables.service"];

/// One thing that is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// `nft -f FILE`
    Nft(PathBuf),
    /// A file of iptables-save, by a restore program.
    Restore(Tool, PathBuf),
    /// ufw, as it starts itself.
    Ufw,
    /// firewalld, which reads its files.
    Firewalld,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// In this order.
    pub loads: Vec<Load>,
    /// The families for which what shuts ports is loaded.
    pub shuts: Vec<Family>,
    /// Links that firewalld's files bind to a zone.
    pub links: Vec<(String, String)>,
    /// What is not played.
    pub notes: Vec<String>,
}

impl Boot {
    /// Whether anything is played.
    pub fn plays(&self) -> bool {
        !self.loads.is_empty()
    }

    fn not_played(why: String) -> Self {
        Self {
            notes: vec![format!("{NEXT_BOOT}: {why}")],
            ..Self::default()
        }
    }
}

/// What the next boot loads. A host made of a ruleset has none, and who wants nothing asks nothing of it.
pub fn boot(subject: &Subject<'_>, copy: &Copy, ruleset: &Ruleset, recorded: bool) -> Boot {
    if subject.pasted.is_some() || (subject.requirements.is_empty() && subject.closing.is_empty()) {
        return Boot::default();
    }
    let planned = Planned {
        facts: subject.facts,
        change: subject.change,
        copy,
        ruleset,
    };
    let mut boot = Boot::default();
    for (id, loads) in planned.loads(&mut boot.notes) {
        let owner = subject
            .change
            .map(|change| change.backend)
            .or(subject.facts.backend);
        if owner == Some(id) {
            boot.shuts = shuts(&loads);
        }
        boot.loads.extend(loads);
    }
    if boot.loads.is_empty() {
        boot.notes
            .push(format!("{NEXT_BOOT}: nothing was found that loads rules then"));
        return boot;
    }
    let obstacle = planned
        .elsewhere(&boot.loads)
        .or_else(|| recorded.then(|| planned.not_recorded(&boot.loads)).flatten());
    if let Some(why) = obstacle {
        return Boot::not_played(why);
    }
    if boot.loads.contains(&Load::Firewalld) {
        boot.links = bound_links(subject.facts);
    }
    boot
}

/// The files of a recorded host that its boot reads, to be put into the copy.
pub fn recorded_files(facts: &Facts) -> Vec<(PathBuf, String)> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for boot in facts.boots.values().chain([&facts.boot]) {
        for (path, content) in [(&boot.file, &boot.content), (&boot.file6, &boot.content6)] {
            files.extend(path.clone().zip(content.clone()));
        }
    }
    let seen = facts.observations.files.iter();
    files.extend(seen.map(|(path, text)| (path.clone(), text.clone())));
    files.retain(|(path, _)| path.starts_with("/etc"));
    files.sort();
    files.dedup_by(|one, other| one.0 == other.0);
    files
}

/// What the files hold that are loaded.
pub fn texts(facts: &Facts, boot: &Boot) -> Vec<String> {
    let all = facts.boots.values().chain([&facts.boot]);
    let files = all.flat_map(|known| [(&known.file, &known.content), (&known.file6, &known.content6)]);
    let loaded = |path: &Path| {
        let mut loads = boot.loads.iter();
        loads.any(|load| matches!(load, Load::Nft(file) | Load::Restore(_, file) if file == path))
    };
    let mut found: Vec<String> = files
        .filter_map(|(path, content)| content.clone().filter(|_| path.as_deref().is_some_and(loaded)))
        .collect();
    for (load, folder) in [(Load::Ufw, "/etc/ufw"), (Load::Firewalld, "/etc/firewalld")] {
        let seen = facts.observations.files.iter();
        let of_it = seen.filter(|(path, _)| boot.loads.contains(&load) && path.starts_with(folder));
        found.extend(of_it.map(|(_, text)| text.clone()));
    }
    found.sort();
    found.dedup();
    found
}

fn shuts(loads: &[Load]) -> Vec<Family> {
    let both = [Family::Ipv4, Family::Ipv6];
    let of = |load: &Load, family: Family| match load {
        Load::Restore(tool, _) => six(*tool) == (family == Family::Ipv6),
        Load::Nft(_) | Load::Ufw | Load::Firewalld => true,
    };
    both.into_iter()
        .filter(|family| loads.iter().any(|load| of(load, *family)))
        .collect()
}

/// Whether a restore program is one for IPv6.
pub fn six(tool: Tool) -> bool {
    matches!(
        tool,
        Tool::Ip6tablesRestore | Tool::Ip6tablesNftRestore | Tool::Ip6tablesLegacyRestore
    )
}

struct Planned<'a> {
    facts: &'a Facts,
    change: Option<&'a Change>,
    copy: &'a Copy,
    ruleset: &'a Ruleset,
}

impl Planned<'_> {
    /// What each firewall loads. Units come before the scripts that run when a link comes up, or at the end of a boot.
    fn loads(&self, notes: &mut Vec<String>) -> Vec<(BackendId, Vec<Load>)> {
        let of = |id: BackendId| self.facts.boot_of(id);
        let firewalld = self.copy.firewalld.is_some() && self.starts_first(of(BackendId::Firewalld));
        let mut units = Vec::new();
        let mut scripts = Vec::new();
        for id in [
            BackendId::Nftables,
            BackendId::Iptables,
            BackendId::Ufw,
            BackendId::Firewalld,
        ] {
            let boot = of(id);
            let mut own = match id {
                BackendId::Nftables => self.nft(boot),
                BackendId::Iptables => self.iptables(boot),
                BackendId::Ufw => self.ufw(boot),
                _ => Vec::from_iter(firewalld.then_some(Load::Firewalld)),
            };
            let unit = boot.unit.as_deref().unwrap_or_default();
            if firewalld && AGAINST_FIREWALLD.contains(&unit) && !own.is_empty() {
                notes.push(format!(
                    "{NEXT_BOOT}: {unit} and firewalld.service forbid each other, and which of them starts is not known; \
                     firewalld was taken"
                ));
                own.clear();
            }
            if unit.starts_with('/') {
                scripts.push((id, own));
            } else {
                units.push((id, own));
            }
        }
        units.extend(scripts);
        units
    }

    fn nft(&self, boot: &BootFacts) -> Vec<Load> {
        let file = boot.file.clone().filter(|_| boot.content.is_some());
        let file = file.filter(|_| self.starts_first(boot));
        Vec::from_iter(file.map(Load::Nft))
    }

    fn iptables(&self, boot: &BootFacts) -> Vec<Load> {
        let variant = boot_variant(self.facts, self.ruleset);
        let families = [
            (true, &boot.file, self.starts_first(boot)),
            (
                false,
                &boot.file6,
                self.starts(boot.unit6.as_deref(), boot.enabled6),
            ),
        ];
        let loaded = families.into_iter().filter(|(.., starts)| *starts);
        loaded
            .filter_map(|(v4, file, _)| Some(Load::Restore(tool(self.facts, v4, variant), file.clone()?)))
            .collect()
    }

    fn ufw(&self, boot: &BootFacts) -> Vec<Load> {
        let mut known = self.facts.backends.iter();
        let on = known.any(|found| found.id == BackendId::Ufw && found.active);
        Vec::from_iter((on && self.starts_first(boot)).then_some(Load::Ufw))
    }

    fn starts_first(&self, boot: &BootFacts) -> bool {
        self.starts(boot.unit.as_deref(), boot.enabled)
    }

    /// Whether a unit is started once the change is made. Where nobody can tell, what is kept is kept for a boot.
    fn starts(&self, unit: Option<&str>, enabled: Option<bool>) -> bool {
        let actions = self.change.map(|change| change.actions(Phase::Commit));
        let mut starts = enabled != Some(false);
        for action in actions.into_iter().flatten() {
            let (Step::Run(call) | Step::Try(call)) = &action.step else {
                continue;
            };
            if call.tool == Tool::Systemctl && call.args.last().map(String::as_str) == unit {
                match call.args.first().map(String::as_str) {
                    Some("enable") => starts = true,
                    Some("disable") => starts = false,
                    _ => {}
                }
            }
        }
        starts
    }

    /// A file that the change writes, but not in the copy.
    fn elsewhere(&self, loads: &[Load]) -> Option<String> {
        let changed: Vec<&PathBuf> = self
            .change
            .map(|change| change.before.files.iter().map(|(path, ..)| path).collect())
            .unwrap_or_default();
        let private = |path: &Path| PRIVATE.iter().any(|dir| path.starts_with(dir));
        loads.iter().find_map(|load| match load {
            Load::Nft(file) | Load::Restore(_, file) if !private(file) && changed.contains(&file) => Some(
                format!("{} is not in /etc, and is not written in a copy", file.display()),
            ),
            _ => None,
        })
    }

    /// What a recording lacks.
    fn not_recorded(&self, loads: &[Load]) -> Option<String> {
        let reads_more = |file: &PathBuf| {
            let boot = self.facts.boot_of(BackendId::Nftables);
            let content = boot.content.as_deref().unwrap_or_default();
            !file.starts_with("/etc")
                || without_include(content)
                    .lines()
                    .any(|line| line.trim_start().starts_with("include"))
        };
        loads.iter().find_map(|load| match load {
            Load::Ufw | Load::Firewalld => {
                let name = if *load == Load::Ufw { "ufw" } else { "firewalld" };
                Some(format!(
                    "{name} starts with files that are not all in the recording"
                ))
            }
            Load::Nft(file) if reads_more(file) => Some(format!(
                "{} reads files that are not in the recording",
                file.display()
            )),
            _ => None,
        })
    }
}

/// Links that firewalld's own files bind, where they are bound to another zone now.
fn bound_links(facts: &Facts) -> Vec<(String, String)> {
    let Some(state) = State::read(&facts.observations) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for link in &facts.links {
        let mut bound = state.permanent.iter().filter(|zone| zone.has_link(&link.name));
        if let Some(zone) = bound.next()
            && state.zone_of_link(false, &link.name) != zone.name
        {
            found.push((link.name.clone(), zone.name.clone()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::BackendFact;

    const DROPS: &str = "flush ruleset\ntable inet filter { chain input { type filter hook input priority 0; policy drop; } }\n";

    fn known(unit: &str, file: &str, enabled: Option<bool>) -> BootFacts {
        BootFacts {
            file: Some(PathBuf::from(file)),
            content: Some(DROPS.to_owned()),
            unit: Some(unit.to_owned()),
            enabled,
            ..BootFacts::default()
        }
    }

    fn host(boots: &[(BackendId, BootFacts)]) -> Facts {
        Facts {
            backend: boots.first().map(|(id, _)| *id),
            boots: boots.iter().cloned().collect(),
            ..Facts::default()
        }
    }

    fn played(facts: &Facts, recorded: bool) -> Boot {
        let door: Vec<_> = crate::plan::Requirement::ssh(33001).into_iter().collect();
        let subject = Subject {
            facts,
            change: None,
            requirements: &door,
            closing: &[22],
            spared: &[],
            sweep: false,
            pasted: None,
            live: None,
        };
        boot(&subject, &Copy::default(), &Ruleset::default(), recorded)
    }

    fn nft(file: &str) -> Load {
        Load::Nft(PathBuf::from(file))
    }

    #[test]
    fn only_what_is_enabled_is_loaded_and_scripts_come_last() {
        let file = "/etc/nftables.conf";
        let off = host(&[(BackendId::Nftables, known("nftables.service", file, Some(false)))]);
        let told = played(&off, false);
        assert!(!told.plays() && told.notes.len() == 1, "{told:?}");
        let script = known("/etc/rc.local", "/etc/firewall.nft", Some(true));
        let both = BootFacts {
            file6: Some(PathBuf::from("/etc/sysconfig/ip6tables")),
            unit6: Some("ip6tables.service".to_owned()),
            enabled6: Some(false),
            ..known("iptables.service", "/etc/sysconfig/iptables", Some(true))
        };
        let facts = host(&[(BackendId::Iptables, both), (BackendId::Nftables, script)]);
        let told = played(&facts, false);
        let v4 = tool(&facts, true, boot_variant(&facts, &Ruleset::default()));
        let expected = [
            Load::Restore(v4, PathBuf::from("/etc/sysconfig/iptables")),
            nft("/etc/firewall.nft"),
        ];
        assert_eq!(told.loads, expected);
        // What shuts ports is loaded for one family alone.
        assert_eq!(told.shuts, [Family::Ipv4]);
    }

    #[test]
    fn ufw_is_loaded_where_it_is_switched_on() {
        let mut facts = host(&[(
            BackendId::Ufw,
            known("ufw.service", "/etc/ufw/user.rules", Some(true)),
        )]);
        assert!(!played(&facts, false).plays());
        facts.backends.push(BackendFact {
            id: BackendId::Ufw,
            version: None,
            installed: true,
            active: true,
            owner: true,
            reason: String::new(),
        });
        assert_eq!(played(&facts, false).loads, [Load::Ufw]);
        let told = played(&facts, true);
        assert!(
            !told.plays() && told.notes[0].contains("not all in the recording"),
            "{told:?}"
        );
    }

    #[test]
    fn of_a_recorded_host_only_whole_files_are_played() {
        let mut boot = known("nftables.service", "/etc/nftables.conf", Some(true));
        let facts = host(&[(BackendId::Nftables, boot.clone())]);
        assert_eq!(played(&facts, true).loads, [nft("/etc/nftables.conf")]);
        assert_eq!(recorded_files(&facts).len(), 1);
        boot.content = Some(format!("{DROPS}include \"/etc/more.nft\"\n"));
        let facts = host(&[(BackendId::Nftables, boot)]);
        assert!(!played(&facts, true).plays() && played(&facts, false).plays());
    }
}
