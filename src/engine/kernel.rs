//! Reads everything that the kernel has loaded, by calls that leave no trace: a table is never made by looking at it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::detect::links::Printed;
use super::{Engine, EngineError};
use crate::backend::kernel::{
    families_of_iptables, flags_command, flags_words, joined, mark_native, unclear_tables,
};
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::model::ModelError;
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// The words after `nft` that print everything it knows.
pub const LIST_RULESET: [&str; 3] = ["-j", "list", "ruleset"];
/// A ruleset of 100,000 objects takes nft some seconds, and without it nothing can be decided.
pub const RULESET_LIMIT: Duration = Duration::from_secs(10);

/// Family, the file that names the legacy tables which the kernel has, and the programs of the variants.
const FAMILIES: [(&str, &str, Tool, Tool); 2] = [
    (
        "ip",
        "/proc/net/ip_tables_names",
        Tool::IptablesNftSave,
        Tool::IptablesLegacySave,
    ),
    (
        "ip6",
        "/proc/net/ip6_tables_names",
        Tool::Ip6tablesNftSave,
        Tool::Ip6tablesLegacySave,
    ),
];

/// What the kernel has loaded: as it was printed, and as it is understood.
#[derive(Debug)]
pub struct Seen {
    /// What nft printed.
    pub json: String,
    /// What else was printed, by the names of the programs.
    pub outputs: BTreeMap<String, String>,
    /// Everything of all tools together; which links strangers come in by is not told in it.
    pub ruleset: Ruleset,
}

/// The ruleset of nft and, where iptables has tables, what its variants print.
pub fn observe(system: &dyn System) -> Result<Seen, EngineError> {
    let call = Invocation::new(Tool::Nft, LIST_RULESET).within(RULESET_LIMIT);
    let json = system.run_ok(&call)?.stdout;
    let printed = Ruleset::parse(&json).map_err(unreadable)?;
    let outputs = saves(system, &printed)?;
    Ok(Seen {
        json,
        ruleset: joined(printed, &outputs),
        outputs,
    })
}

/// What else there is to know of a ruleset that nft printed, by the names of the programs that tell it.
pub fn saves(system: &dyn System, ruleset: &Ruleset) -> Result<BTreeMap<String, String>, SystemError> {
    let mut outputs = BTreeMap::new();
    for (family, name) in unclear_tables(ruleset) {
        let call = Invocation::new(Tool::Nft, flags_words(&family, &name)).within(RULESET_LIMIT);
        // Somebody may have taken it away meanwhile.
        if let Ok(output) = system.run_ok(&call) {
            outputs.insert(flags_command(&family, &name), output.stdout);
        }
    }
    let in_nft = families_of_iptables(ruleset);
    for (family, names, nft, legacy) in FAMILIES {
        let tables = system.read_text(Path::new(names)).unwrap_or_default();
        let has_legacy = tables.lines().any(|name| !name.trim().is_empty());
        for (wanted, variant) in [(in_nft.contains(&family), nft), (has_legacy, legacy)] {
            if !wanted {
                continue;
            }
            let tool = there(system, variant);
            // Rules of the nft variant can be read without iptables, if less well; legacy ones cannot.
            if tool != variant && !has_legacy && system.locate(tool).is_none() {
                continue;
            }
            let call = Invocation::new::<String>(tool, []).within(RULESET_LIMIT);
            outputs.insert(tool.name().to_owned(), system.run_ok(&call)?.stdout);
        }
    }
    Ok(outputs)
}

/// What the variant and family of a restore program have now; empty where there is nothing.
pub fn save_beside(system: &dyn System, restore: Tool) -> Result<String, SystemError> {
    let (save, legacy_names) = match restore {
        Tool::IptablesNftRestore => (Tool::IptablesNftSave, None),
        Tool::Ip6tablesNftRestore => (Tool::Ip6tablesNftSave, None),
        Tool::IptablesLegacyRestore => (Tool::IptablesLegacySave, Some("/proc/net/ip_tables_names")),
        Tool::Ip6tablesLegacyRestore => (Tool::Ip6tablesLegacySave, Some("/proc/net/ip6_tables_names")),
        Tool::Ip6tablesRestore => (Tool::Ip6tablesSave, None),
        _ => (Tool::IptablesSave, None),
    };
    let tables = legacy_names.map(|path| system.read_text(Path::new(path)).unwrap_or_default());
    if tables.is_some_and(|names| names.trim().is_empty()) {
        return Ok(String::new());
    }
    let save = there(system, save);
    if system.locate(save).is_none() {
        return Ok(String::new());
    }
    let call = Invocation::new::<String>(save, []).within(RULESET_LIMIT);
    Ok(system.run_ok(&call)?.stdout)
}

/// The program itself, or the one of the plain name where the variants have none of their own.
pub fn there(system: &dyn System, tool: Tool) -> Tool {
    let plain = match tool {
        Tool::IptablesNftSave | Tool::IptablesLegacySave => Tool::IptablesSave,
        Tool::Ip6tablesNftSave | Tool::Ip6tablesLegacySave => Tool::Ip6tablesSave,
        Tool::IptablesNftRestore | Tool::IptablesLegacyRestore => Tool::IptablesRestore,
        Tool::Ip6tablesNftRestore | Tool::Ip6tablesLegacyRestore => Tool::Ip6tablesRestore,
        other => other,
    };
    if system.locate(tool).is_some() {
        tool
    } else {
        plain
    }
}

impl Engine<'_> {
    /// All chains of all tools that the kernel has loaded, to be asked what becomes of packets.
    pub fn live_ruleset(&self) -> Result<Ruleset, EngineError> {
        let mut ruleset = self.loaded_ruleset()?;
        Printed::read(self.system).known_to(&mut ruleset);
        Ok(ruleset)
    }

    /// The same to be compared with another: links and addresses of this host play no part in that.
    pub fn loaded_ruleset(&self) -> Result<Ruleset, EngineError> {
        observe(self.system).map(|seen| seen.ruleset)
    }

    /// What nft alone knows, with the handles by which it deletes, and without the elements of sets: those take nft
    /// longer than everything else where there are many.
    pub fn nft_ruleset(&self) -> Result<Ruleset, EngineError> {
        let words = ["-t"].into_iter().chain(LIST_RULESET);
        let call = Invocation::new(Tool::Nft, words).within(RULESET_LIMIT);
        let output = self.system.run_ok(&call)?;
        let mut ruleset = Ruleset::parse(&output.stdout).map_err(unreadable)?;
        if !families_of_iptables(&ruleset).is_empty() {
            let saves = saves(self.system, &ruleset)?;
            mark_native(&mut ruleset, &saves);
        }
        Ok(ruleset)
    }
}

fn unreadable(error: ModelError) -> EngineError {
    EngineError::Refused(format!(
        "the live ruleset could not be read: {error}. Nothing was changed"
    ))
}
