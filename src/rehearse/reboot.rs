//! Inside: the next boot. All rules are taken away, and what a boot loads is loaded from `/etc` as the commit left it:
//! what nobody has loaded yet shows there, and not when the host is restarted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::RehearseError;
use super::blocker::{Search, blockers};
use super::boot::{Load, NEXT_BOOT};
use super::host::{Stage, say};
use super::questions::Question;
use crate::backend::iptables::files;
use crate::engine::kernel::there;
use crate::matrix::{Blocker, Rehearsal, Verdict};
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError, summary};

/// Tables of firewalld, which it makes anew by itself.
const OF_FIREWALLD: [&str; 2] = ["firewalld", "firewalld_policy_drop"];
/// Added to ufw's settings in the copy: kernel modules and settings are those of the whole host.
const ONLY_RULES: &str = "\nIPT_MODULES=\nIPT_SYSCTL=\n";
/// How long firewalld may take to read its files anew.
const RELOAD: Duration = Duration::from_secs(30);
const UFW_CONF: &str = "/etc/ufw/ufw.conf";
/// What an operator's own scripts do when ufw starts is not known.
const UFW_HOOKS: [&str; 2] = ["/etc/ufw/before.init", "/etc/ufw/after.init"];
/// The older iptables: what it has, what sets it, and what prints it.
const LEGACY: [(&str, Tool, Tool); 2] = [
    (
        "/proc/net/ip_tables_names",
        Tool::IptablesLegacyRestore,
        Tool::IptablesLegacySave,
    ),
    (
        "/proc/net/ip6_tables_names",
        Tool::Ip6tablesLegacyRestore,
        Tool::Ip6tablesLegacySave,
    ),
];
/// The same of the newer one.
const NEWER: [(Tool, Tool); 2] = [
    (Tool::IptablesNftRestore, Tool::IptablesNftSave),
    (Tool::Ip6tablesNftRestore, Tool::Ip6tablesNftSave),
];

/// A file below `/etc`.
struct Written {
    path: PathBuf,
    /// Its content; `None` where it was removed.
    bytes: Option<Vec<u8>>,
    mode: u32,
}

/// What was written below `/etc` up to one moment.
pub struct Etc(Vec<Written>);

impl Etc {
    /// Up to now, since the copy was made: `upper` is where the overlay keeps it.
    pub fn now(system: &dyn System, upper: &Path) -> Self {
        let mut found = Vec::new();
        let mut dirs = vec![upper.to_owned()];
        while let Some(dir) = dirs.pop() {
            for place in system.list(&dir) {
                let mode = system.mode(&place).unwrap_or_default();
                let bytes = system.read(&place).ok().flatten();
                // The overlay's mark for a file that is gone: a device without any permission.
                let file = bytes.is_some() || mode & 0o777 == 0;
                match place.strip_prefix(upper) {
                    Ok(rest) if file => found.push(Written {
                        path: Path::new("/etc").join(rest),
                        bytes,
                        mode,
                    }),
                    _ => dirs.push(place),
                }
            }
        }
        Self(found)
    }

    /// Makes it so again.
    fn put_back(&self, system: &dyn System) -> Result<(), SystemError> {
        for file in &self.0 {
            let now = system.read(&file.path).ok().flatten();
            match &file.bytes {
                None => system.remove(&file.path)?,
                Some(_) if now == file.bytes => {}
                Some(bytes) => {
                    if let Some(dir) = file.path.parent() {
                        system.make_dir(dir, 0o755)?;
                    }
                    system.replace(&file.path, bytes, file.mode)?;
                }
            }
        }
        Ok(())
    }
}

/// Plays the next boot, and asks what must be open or shut then. Comes last: nothing of before is left afterwards.
pub fn reboot(
    stage: &Stage<'_>,
    committed: Option<&Etc>,
    rehearsal: &mut Rehearsal,
) -> Result<(), RehearseError> {
    let boot = &stage.script.boot;
    let red = rehearsal.failed.is_some() || !rehearsal.cells.iter().all(|cell| cell.ok());
    rehearsal.not_rehearsed.extend(boot.notes.iter().cloned());
    if !boot.plays() || red {
        return Ok(());
    }
    say("playing the next boot");
    let system = stage.sides.system;
    if let Some(etc) = committed {
        etc.put_back(system)?;
    }
    let mut notes = Vec::new();
    empty(system, boot.loads.contains(&Load::Firewalld))?;
    for load in &boot.loads {
        notes.extend(complaint(stage, load)?);
    }
    for (tool, file) in files::own() {
        notes.extend(restored(system, tool, Path::new(file), &["--noflush"])?);
    }
    let whole = notes.is_empty();
    rehearsal.not_rehearsed.append(&mut notes);
    ask(stage, whole, rehearsal)
}

fn ask(stage: &Stage<'_>, whole: bool, rehearsal: &mut Rehearsal) -> Result<(), RehearseError> {
    let questions = &stage.script.questions;
    let due = |question: &Question| match question.wanted {
        Some(true) => true,
        Some(false) => whole && stage.script.boot.shuts.contains(&question.family()),
        None => false,
    };
    let chosen: Vec<usize> = (0..questions.len())
        .filter(|index| questions.get(*index).is_some_and(due))
        .collect();
    let wished: Vec<Option<bool>> = chosen
        .iter()
        .map(|index| questions.get(*index).and_then(|question| question.wanted))
        .collect();
    let verdicts = stage.ask(&chosen, &wished)?;
    let (mut shut, mut open) = (Vec::new(), Vec::new());
    for (index, verdict) in chosen.iter().zip(verdicts) {
        let (Some(question), Some(cell)) = (questions.get(*index), rehearsal.cells.get_mut(*index)) else {
            continue;
        };
        cell.boot = Some(verdict);
        match cell.ok_at_boot() {
            // What was not loaded as a whole proves no port open.
            true if !whole => cell.boot = None,
            true => {}
            false if verdict == Verdict::Accept => open.push(question),
            false => shut.push(question),
        }
    }
    if !shut.is_empty() {
        say("looking for what keeps it shut at the next boot");
        let search = Search {
            stage,
            saves: &saves(stage.sides.system),
            boot: Some(&stage.script.boot),
        };
        rehearsal.blockers.extend(blockers(&search, &shut)?);
    }
    for question in open {
        let blocker = still_open(question);
        if !rehearsal.blockers.contains(&blocker) {
            rehearsal.blockers.push(blocker);
        }
    }
    Ok(())
}

fn still_open(question: &Question) -> Blocker {
    Blocker {
        port: question.port_name(),
        layer: NEXT_BOOT.to_owned(),
        rule: "nothing that is loaded then refuses it".to_owned(),
        hint: "Something that is loaded at boot takes away what was loaded before it, such as a second flush ruleset: let \
               one of them load all rules, and apply again"
            .to_owned(),
    }
}

/// Takes every rule away, as a kernel starts; but for the tables that firewalld looks after.
fn empty(system: &dyn System, firewalld: bool) -> Result<(), SystemError> {
    if system.locate(Tool::Nft).is_some() {
        let listed = system
            .run_ok(&Invocation::new(Tool::Nft, ["list", "tables"]))?
            .stdout;
        let tables = listed.lines().filter_map(|line| line.strip_prefix("table "));
        let stays = |table: &&str| {
            let mut kept = OF_FIREWALLD.iter();
            firewalld && kept.any(|name| *table == format!("inet {name}"))
        };
        let batch: String = tables
            .filter(|table| !stays(table))
            .map(|table| format!("delete table {table}\n"))
            .collect();
        if !batch.is_empty() {
            system.run_ok(&Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(batch))?;
        }
    }
    for (names, restore, _) in LEGACY {
        let text: String = system
            .read_text(Path::new(names))
            .unwrap_or_default()
            .lines()
            .map(idle)
            .collect();
        if !text.is_empty() {
            let call = Invocation::new(there(system, restore), Vec::<String>::new());
            system.run_ok(&call.with_stdin(text))?;
        }
    }
    Ok(())
}

/// A table of iptables without rules.
fn idle(table: &str) -> String {
    let chains: &[&str] = match table {
        "nat" => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
        "mangle" => &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
        "raw" => &["PREROUTING", "OUTPUT"],
        _ => &["INPUT", "FORWARD", "OUTPUT"],
    };
    let chains: String = chains
        .iter()
        .map(|chain| format!(":{chain} ACCEPT [0:0]\n"))
        .collect();
    format!("*{table}\n{chains}COMMIT\n")
}

/// Loads one thing; what went wrong.
fn complaint(stage: &Stage<'_>, load: &Load) -> Result<Option<String>, SystemError> {
    let system = stage.sides.system;
    match load {
        Load::Nft(file) => {
            let file = file.display().to_string();
            tried(system, &Invocation::new(Tool::Nft, ["-f", &file]))
        }
        Load::Restore(tool, file) => restored(system, *tool, file, &[]),
        Load::Ufw => ufw(system),
        Load::Firewalld => {
            let call = Invocation::new(Tool::FirewallCmd, ["--reload"]).within(RELOAD);
            let reloaded = tried(system, &call)?;
            for (link, zone) in &stage.script.boot.links {
                let words = [format!("--zone={zone}"), format!("--change-interface={link}")];
                if let Some(text) = tried(system, &Invocation::new(Tool::FirewallCmd, words))? {
                    return Ok(Some(text));
                }
            }
            Ok(reloaded)
        }
    }
}

fn tried(system: &dyn System, call: &Invocation) -> Result<Option<String>, SystemError> {
    if system.locate(call.tool).is_none() {
        let text = SystemError::Missing { tool: call.tool };
        return Ok(Some(format!("{NEXT_BOOT}: {text}")));
    }
    let output = system.run(call)?;
    let failed = || format!("{NEXT_BOOT}: {}: {}", summary(call), output.complaint());
    Ok((!output.ok()).then(failed))
}

/// A file that is not there is not loaded.
fn restored(
    system: &dyn System,
    tool: Tool,
    file: &Path,
    words: &[&str],
) -> Result<Option<String>, SystemError> {
    let Some(text) = system.read_text(file) else {
        return Ok(None);
    };
    let call = Invocation::new(there(system, tool), words.iter().copied()).with_stdin(text);
    tried(system, &call)
}

fn ufw(system: &dyn System) -> Result<Option<String>, SystemError> {
    let conf = Path::new(UFW_CONF);
    let text = system.read_text(conf).unwrap_or_default() + ONLY_RULES;
    system.replace(conf, text.as_bytes(), 0o644)?;
    let mut note = None;
    for hook in UFW_HOOKS.map(Path::new) {
        if system.mode(hook).is_some_and(|mode| mode & 0o111 != 0) {
            system.remove(hook)?;
            note = Some(format!("{NEXT_BOOT}: what {} does", hook.display()));
        }
    }
    let failed = tried(system, &Invocation::new(Tool::UfwInit, ["start", "quiet"]))?;
    Ok(failed.or(note))
}

/// What iptables has now, as it prints it.
fn saves(system: &dyn System) -> Vec<(Tool, String)> {
    let there = |path: &str| {
        let names = system.read_text(Path::new(path));
        names.is_some_and(|names| !names.trim().is_empty())
    };
    let legacy = LEGACY.iter().filter(|(names, ..)| there(names));
    let all = legacy.map(|(_, restore, save)| (*restore, *save)).chain(NEWER);
    let mut found = Vec::new();
    for (restore, save) in all.filter(|(_, save)| system.locate(*save).is_some()) {
        let call = Invocation::new(save, Vec::<String>::new());
        if let Ok(output) = system.run_ok(&call) {
            found.push((restore, output.stdout));
        }
    }
    found
}
