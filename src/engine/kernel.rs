//! Reads everything that the kernel has loaded, by calls that leave no trace: a table is never made by looking at it.

use std::path::Path;
use std::time::Duration;

use super::{Engine, EngineError};
use crate::backend::kernel::{
    families_of_iptables, flags_command, flags_words, mark_native, of_observations, unclear_tables,
};
use crate::backend::nftables::Ruleset;
use crate::facts::Observations;
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// A ruleset of 100,000 objects takes nft some seconds, and without it nothing can be decided.
const RULESET_LIMIT: Duration = Duration::from_secs(10);

/// Family, the file that names the legacy tables which the kernel has, and the programs: of the variants, and the one
/// that goes by the plain name where the variants have none of their own.
const FAMILIES: [(&str, &str, Tool, Tool, Tool); 2] = [
    (
        "ip",
        "/proc/net/ip_tables_names",
        Tool::IptablesNftSave,
        Tool::IptablesLegacySave,
        Tool::IptablesSave,
    ),
    (
        "ip6",
        "/proc/net/ip6_tables_names",
        Tool::Ip6tablesNftSave,
        Tool::Ip6tablesLegacySave,
        Tool::Ip6tablesSave,
    ),
];

/// The ruleset of nft and, where iptables has tables, what its variants print.
pub fn observe(system: &dyn System) -> Result<Observations, SystemError> {
    let call = Invocation::new(Tool::Nft, ["-j", "list", "ruleset"]).within(RULESET_LIMIT);
    let mut seen = Observations {
        nft_json: Some(system.run_ok(&call)?.stdout),
        ..Observations::default()
    };
    read_saves(system, &mut seen)?;
    Ok(seen)
}

/// Adds the saves to what nft printed.
pub fn read_saves(system: &dyn System, seen: &mut Observations) -> Result<(), SystemError> {
    let json = seen.nft_json.as_deref().unwrap_or_default();
    let ruleset = Ruleset::parse(json).unwrap_or_default();
    for (family, name) in unclear_tables(&ruleset) {
        let call = Invocation::new(Tool::Nft, flags_words(&family, &name)).within(RULESET_LIMIT);
        // Somebody may have taken it away meanwhile.
        if let Ok(output) = system.run_ok(&call) {
            seen.outputs.insert(flags_command(&family, &name), output.stdout);
        }
    }
    let in_nft = families_of_iptables(&ruleset);
    for (family, names, nft, legacy, plain) in FAMILIES {
        let tables = system.read_text(Path::new(names)).unwrap_or_default();
        let has_legacy = tables.lines().any(|name| !name.trim().is_empty());
        for (wanted, tool) in [(in_nft.contains(&family), nft), (has_legacy, legacy)] {
            if !wanted {
                continue;
            }
            let tool = if system.locate(tool).is_some() {
                tool
            } else {
                plain
            };
            // Rules of the nft variant can be read without iptables, if less well; legacy ones cannot.
            if tool == plain && !has_legacy && system.locate(plain).is_none() {
                continue;
            }
            let call = Invocation::new::<String>(tool, []).within(RULESET_LIMIT);
            let output = system.run_ok(&call)?;
            seen.outputs.insert(tool.name().to_owned(), output.stdout);
        }
    }
    Ok(())
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
    /// All chains of all tools that the kernel has loaded.
    pub fn live_ruleset(&self) -> Result<Ruleset, EngineError> {
        let seen = observe(self.system)?;
        let mut ruleset = of_observations(&seen)
            .map_err(|error| unreadable(&error.to_string()))?
            .ok_or_else(|| unreadable("nft printed nothing"))?;
        super::detect::links::known_to(&mut ruleset, self.system);
        Ok(ruleset)
    }

    /// What nft alone knows, with the handles by which it deletes.
    pub fn nft_ruleset(&self) -> Result<Ruleset, EngineError> {
        let call = Invocation::new(Tool::Nft, ["-j", "list", "ruleset"]).within(RULESET_LIMIT);
        let output = self.system.run_ok(&call)?;
        let mut ruleset = Ruleset::parse(&output.stdout).map_err(|error| unreadable(&error.to_string()))?;
        if !families_of_iptables(&ruleset).is_empty() {
            let mut seen = Observations {
                nft_json: Some(output.stdout),
                ..Observations::default()
            };
            read_saves(self.system, &mut seen)?;
            mark_native(&mut ruleset, &seen.outputs);
        }
        Ok(ruleset)
    }
}

fn unreadable(why: &str) -> EngineError {
    EngineError::Refused(format!(
        "the live ruleset could not be read: {why}. Nothing was changed"
    ))
}
