//! The firewalls of the host: what the kernel has loaded, who owns it, what loads it at boot.
//!
//! The kernel is asked, not the packages, and only by calls that leave no trace: `iptables-legacy -S` would make an
//! empty table that stays for ever, so the names of the tables are read from `/proc` first. `ufw status` is not
//! asked at all, and `firewall-cmd` only while its service runs: it would start the daemon through D-Bus.

pub mod boot;
pub mod commands;
pub mod includes;
pub mod manager;
pub mod owner;
pub mod scripts;
pub mod services;
pub mod units;
pub mod writers;

use std::collections::BTreeMap;
use std::path::Path;

use super::PROBE_LIMIT;
use super::links::Printed;
use crate::backend::iptables;
use crate::backend::kernel::joined;
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::boot_file::NFT_FILE;
use crate::backend::nftables::inspect::{self, Inspection};
use crate::backend::nftables::narrow::narrow;
use crate::backend::translator;
use crate::backend::ufw;
use crate::engine::kernel::{self, LIST_RULESET, RULESET_LIMIT};
use crate::facts::{BackendFact, BackendId, BootFacts, Facts, Narrow, Observations};
use crate::step::{Invocation, Tool};
use crate::system::System;
use boot::{Rivals, boots};
use manager::{Hold, Manager};
use owner::{Case, Decision, capital, decide};
use scripts::sources;
use services::{Services, services};
use units::units;
use writers::{Writer, writers};

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    observations: Observations,
    inspection: Option<Inspection>,
    managers: BTreeMap<Manager, Hold>,
    services: Services,
    versions: BTreeMap<BackendId, String>,
    installed: Vec<BackendId>,
    boots: BTreeMap<BackendId, BootFacts>,
    rivals: Vec<Rivals>,
    writers: Vec<Writer>,
    narrow: Option<Narrow>,
    obstacle: Option<String>,
}

/// Tells what is known of this host's links, and asks when nobody has yet.
pub type AskLinks<'h> = &'h dyn Fn() -> &'h Printed;

/// Looks at the ruleset and at everything that may own it.
pub fn look(system: &dyn System, systemd: bool, links: AskLinks<'_>) -> Found {
    let units = if systemd { units(system) } else { BTreeMap::new() };
    let sources = sources(system, systemd);
    let (boots, rivals) = boots(system, systemd, &units, &sources);
    let mut found = Found {
        services: services(system, systemd, &units, &boots),
        boots,
        rivals,
        writers: writers(system, &sources),
        ..Found::default()
    };
    read_files(system, &mut found.observations);
    read_ruleset(system, links, &mut found);
    // One whose rules are gone has nothing to tell that could be used.
    if found.services.firewalld.active && found.managers.contains_key(&Manager::Firewalld) {
        super::firewalld::observe(system, &mut found.observations);
    }
    read_versions(system, &mut found);
    found
}

/// Files in which a backend keeps rules.
fn read_files(system: &dyn System, observations: &mut Observations) {
    for path in [NFT_FILE]
        .into_iter()
        .chain(ufw::settings::files())
        .chain(iptables::files::own_paths())
    {
        if let Some(content) = system.read_text(Path::new(path)) {
            observations.files.insert(path.into(), content);
        }
    }
}

fn read_ruleset(system: &dyn System, links: AskLinks<'_>, found: &mut Found) {
    let Err(error) = understand(system, links, found) else {
        return;
    };
    found.obstacle = Some(if system.is_root() {
        format!("the ruleset of the kernel could not be read: {error}")
    } else {
        "only root may read the ruleset: run faspwall with sudo".to_owned()
    });
    found.observations.nft_error = Some(error);
}

fn understand(system: &dyn System, links: AskLinks<'_>, found: &mut Found) -> Result<(), String> {
    let call = Invocation::new(Tool::Nft, LIST_RULESET).within(RULESET_LIMIT);
    let output = system.run(&call).map_err(|error| error.to_string())?;
    if !output.ok() {
        return Err(format!("nft list ruleset: {}", output.complaint()));
    }
    let json = found.observations.nft_json.insert(output.stdout);
    let printed = Ruleset::parse(json).map_err(|error| error.to_string())?;
    // Legacy rules are known to iptables alone: without its answer nothing can be decided.
    let outputs = kernel::saves(system, &printed).map_err(|error| error.to_string())?;
    let mut ruleset = joined(printed, &outputs);
    found.observations.outputs.extend(outputs);
    // What is dropped on its way to a container says nothing about packets to this host.
    links().known_to(&mut ruleset);
    let inspection = inspect::inspect_view(ruleset);
    found.managers = manager::managers(&inspection);
    // The port that most hosts serve, and the only one that a change takes away from those who use it.
    found.narrow = narrow(&inspection.ruleset, 22, &links().links(None));
    found.inspection = Some(inspection);
    Ok(())
}

fn read_versions(system: &dyn System, found: &mut Found) {
    // The plain name tells into which variant the rules of the boot are loaded.
    let call = Invocation::new(Tool::IptablesRestore, ["--version"]).within(PROBE_LIMIT);
    let mut restored_by = None;
    if let (false, Ok(output)) = (found.observations.outputs.is_empty(), system.run(&call)) {
        restored_by = parse_version(&output.stdout);
        found.observations.outputs.insert(call.to_string(), output.stdout);
    }
    let version = |tool, words: &[&str]| {
        let call = Invocation::new(tool, words.iter().copied()).within(PROBE_LIMIT);
        parse_version(&system.run(&call).ok()?.stdout)
    };
    for (id, tool, there) in [
        (
            BackendId::Nftables,
            Some(Tool::Nft),
            system.locate(Tool::Nft).is_some(),
        ),
        (
            BackendId::Iptables,
            Some(Tool::IptablesSave),
            system.locate(Tool::IptablesSave).is_some(),
        ),
        (BackendId::Ufw, None, found.services.ufw.installed),
        (BackendId::Firewalld, None, found.services.firewalld.installed),
    ] {
        if !there {
            continue;
        }
        found.installed.push(id);
        // All programs of iptables are one and the same.
        let told = restored_by.clone().filter(|_| id == BackendId::Iptables);
        if let Some(version) = told.or_else(|| version(tool?, &["--version"])) {
            found.versions.insert(id, version);
        }
    }
}

/// The version in `nftables v1.0.6 (Lester Gooch #5)` or `iptables-save v1.8.9 (nf_tables)`.
fn parse_version(text: &str) -> Option<String> {
    let word = text.split_whitespace().nth(1)?;
    let version = word.strip_prefix('v').unwrap_or(word);
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| version.to_owned())
}

impl Found {
    /// Puts what was found into the facts, with the decision who is to carry the rules.
    pub fn into_facts(self, facts: &mut Facts) {
        let decision = self.decision();
        facts.backends = self.backends(&decision);
        facts.backend = decision.backend;
        facts.also = decision.also;
        facts.unmanaged = decision.unmanaged;
        facts.contradictions = decision.contradictions;
        if decision.backend == Some(BackendId::Firewalld) {
            facts
                .contradictions
                .extend(super::firewalld::differs(&self.observations));
        }
        facts.refusal = decision.refusal;
        facts.narrow = self.narrow;
        if let Some(inspection) = self.inspection {
            facts.inbound_default = inspection.inbound_default;
            facts.chains = inspection.chains;
            for chain in &mut facts.chains {
                let manager = manager::manager_of(&inspection.ruleset, chain);
                // iptables is told apart by its variants, everything else goes by the name of who wrote it.
                if let Some(
                    manager @ (Manager::Ufw | Manager::Firewalld | Manager::Csf | Manager::Shorewall),
                ) = manager
                {
                    chain.owner = Some(manager.name().to_owned());
                }
            }
            facts.foreign = inspection.foreign;
        }
        let owner = facts.backend.unwrap_or(BackendId::Nftables);
        facts.boot = self.boots.get(&owner).cloned().unwrap_or_default();
        facts.boots = self.boots;
        facts.observations = self.observations;
    }

    fn decision(&self) -> Decision {
        let Some(inspection) = &self.inspection else {
            let obstacle = self.obstacle.as_deref().unwrap_or("the ruleset was not read");
            return Decision {
                refusal: Some(format!("{}. Nothing was changed.", capital(obstacle))),
                ..Decision::default()
            };
        };
        decide(&Case {
            inspection,
            managers: &self.managers,
            services: &self.services,
            boots: &self.boots,
            rivals: &self.rivals,
            writers: &self.writers,
            available: &|id| translator(id).is_some(),
        })
    }

    fn backends(&self, decision: &Decision) -> Vec<BackendFact> {
        let known = [
            BackendId::Nftables,
            BackendId::Iptables,
            BackendId::Ufw,
            BackendId::Firewalld,
        ];
        known.into_iter().map(|id| self.backend(id, decision)).collect()
    }

    fn backend(&self, id: BackendId, decision: &Decision) -> BackendFact {
        let held = self
            .managers
            .iter()
            .find(|(manager, _)| manager.backend() == Some(id));
        let installed = self.installed.contains(&id);
        let contradiction = decision
            .contradictions
            .iter()
            .filter(|_| matches!(id, BackendId::Ufw | BackendId::Firewalld))
            .find(|c| c.blocks && c.text.contains(id.as_str()));
        let chosen = decision.backend == Some(id) || decision.also.contains(&id);
        let reason = match (held, contradiction) {
            (Some((_, hold)), _) => hold.evidence.clone(),
            (None, Some(contradiction)) => contradiction.text.clone(),
            (None, None) if !installed => String::from("not installed"),
            (None, None) => match (&self.obstacle, self.managers.keys().next()) {
                (Some(obstacle), _) if id == BackendId::Nftables => obstacle.clone(),
                (Some(_), _) => String::from("installed; whether it filters could not be seen"),
                (None, _) if chosen && id != BackendId::Nftables => String::from("it is switched on"),
                (None, Some(manager)) if id == BackendId::Nftables => {
                    format!("no native rules decide; {} owns the way in", manager.name())
                }
                (None, None) if id == BackendId::Nftables && chosen => {
                    String::from("nothing on this host drops inbound packets")
                }
                (None, _) if id == BackendId::Iptables => {
                    String::from("installed; none of its rules drops inbound packets")
                }
                (None, _) => String::from("installed, not in force"),
            },
        };
        BackendFact {
            id,
            version: self.versions.get(&id).cloned(),
            installed: installed || held.is_some(),
            active: held.is_some() || (chosen && id != BackendId::Nftables),
            owner: chosen || held.is_some(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            parse_version("nftables v1.0.6 (Lester Gooch #5)").as_deref(),
            Some("1.0.6")
        );
        assert_eq!(
            parse_version("iptables-save v1.8.9 (nf_tables)").as_deref(),
            Some("1.8.9")
        );
        assert_eq!(parse_version("what is this"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s)[ -~\n]{0,160}") {
            let _ = parse_version(&text);
        }
    }
}
