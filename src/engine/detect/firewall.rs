//! The firewalls of the host: what the kernel has loaded, who owns it, what loads it at boot.
//!
//! The kernel is asked, not the packages, and only by calls that leave no trace: `iptables-legacy -S` would make an
//! empty table that stays for ever, so the names of the tables are read from `/proc` first. `ufw status` and
//! `firewall-cmd` are not asked at all, since the latter may start the daemon through D-Bus.

pub mod boot;
pub mod manager;
pub mod scripts;
pub mod units;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::PROBE_LIMIT;
use crate::backend::kernel::of_observations;
use crate::backend::nftables::boot_file::NFT_FILE;
use crate::backend::nftables::inspect::{self, Inspection};
use crate::backend::ufw;
use crate::engine::kernel;
use crate::facts::{BackendFact, BackendId, BootFacts, Facts, InboundDefault, Observations};
use crate::step::{Invocation, Tool};
use crate::system::System;
use boot::boots;
use manager::Manager;
use units::{Unit, units};

const LIST_RULESET: [&str; 3] = ["-j", "list", "ruleset"];
/// A ruleset of 100,000 objects takes nft some seconds, and without it nothing can be decided.
const RULESET_LIMIT: Duration = Duration::from_secs(10);
/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    observations: Observations,
    inspection: Option<Inspection>,
    managers: BTreeMap<Manager, String>,
    backends: Vec<BackendFact>,
    boots: BTreeMap<BackendId, BootFacts>,
    obstacle: Option<String>,
}

/// Looks at the ruleset and at everything that may own it.
pub fn look(system: &dyn System, systemd: bool) -> Found {
    let units = if systemd { units(system) } else { BTreeMap::new() };
    let mut found = Found {
        boots: boots(system, systemd, &units),
        ..Found::default()
    };
    read_files(system, &mut found.observations);
    read_ruleset(system, &mut found);
    read_legacy(&mut found);
    dormant(system, &units, &mut found.managers);
    found.backends = backends(system, &units, &found);
    found
}

/// Files in which a backend keeps rules.
fn read_files(system: &dyn System, observations: &mut Observations) {
    for path in [NFT_FILE].into_iter().chain(ufw::settings::files()) {
        if let Some(content) = system.read_text(Path::new(path)) {
            observations.files.insert(path.into(), content);
        }
    }
}

fn read_ruleset(system: &dyn System, found: &mut Found) {
    let call = Invocation::new(Tool::Nft, LIST_RULESET).within(RULESET_LIMIT);
    let error = match system.run(&call) {
        Ok(output) if output.ok() => {
            found.observations.nft_json = Some(output.stdout);
            // Without what iptables itself prints, less is known of its rules; what that means is told elsewhere.
            let saves = kernel::read_saves(system, &mut found.observations);
            match of_observations(&found.observations) {
                Ok(ruleset) => {
                    // What is dropped on its way to a container says nothing about packets to this host.
                    let mut ruleset = ruleset.unwrap_or_default();
                    ruleset.addresses = super::links::addresses(system);
                    let inspection = inspect::inspect_view(ruleset);
                    found.managers = manager::managers(&inspection);
                    found.inspection = Some(inspection);
                    if let Err(error) = saves {
                        let evidence = format!("its rules could not be read: {error}");
                        found.managers.insert(Manager::IptablesLegacy, evidence);
                    }
                    return;
                }
                Err(error) => error.to_string(),
            }
        }
        Ok(output) => format!("nft list ruleset: {}", output.complaint()),
        Err(error) => error.to_string(),
    };
    found.obstacle = Some(if system.is_root() {
        format!("the ruleset of the kernel could not be read: {error}")
    } else {
        "only root may read the ruleset: run faspwall with sudo".to_owned()
    });
    found.observations.nft_error = Some(error);
}

/// The older tables of iptables.
fn read_legacy(found: &mut Found) {
    for tool in [Tool::IptablesLegacySave, Tool::Ip6tablesLegacySave] {
        let Some(text) = found.observations.outputs.get(tool.name()) else {
            continue;
        };
        if let Some(reason) = manager::legacy_drops(text) {
            let owner = manager::front_end_of_chains(manager::legacy_chains(text));
            found
                .managers
                .entry(owner.unwrap_or(Manager::IptablesLegacy))
                .or_insert(format!("in the legacy filter table {reason}"));
        }
    }
}

/// Owners that are switched on but have no rules in the kernel now: a reboot or a reload brings them back.
fn dormant(system: &dyn System, units: &BTreeMap<String, Unit>, managers: &mut BTreeMap<Manager, String>) {
    let unit = |name: &str| units.get(name).cloned().unwrap_or_default();
    let firewalld = unit("firewalld.service");
    if firewalld.active || firewalld.enabled {
        managers.entry(Manager::Firewalld).or_insert_with(|| {
            let state = if firewalld.active {
                "runs"
            } else {
                "starts at boot"
            };
            format!("it {state}, although its rules are not in the kernel now")
        });
    }
    if ufw_enabled(system) && system.locate(Tool::Ufw).is_some() {
        managers.entry(Manager::Ufw).or_insert_with(|| {
            "ENABLED=yes in /etc/ufw/ufw.conf: it comes back at the next reload or reboot, although its rules are not in the kernel now"
                .to_owned()
        });
    }
    for (manager, name) in [
        (Manager::Csf, "csf.service"),
        (Manager::Shorewall, "shorewall.service"),
    ] {
        if unit(name).active {
            managers
                .entry(manager)
                .or_insert_with(|| format!("{name} is active"));
        }
    }
    // Its daemons run on every Proxmox host; this file says whether they do anything.
    let cluster = system.read_text(Path::new("/etc/pve/firewall/cluster.fw"));
    if parse_proxmox_enabled(&cluster.unwrap_or_default()) {
        managers
            .entry(Manager::Proxmox)
            .or_insert_with(|| "/etc/pve/firewall/cluster.fw switches it on".to_owned());
    }
}

fn ufw_enabled(system: &dyn System) -> bool {
    system
        .read_text(Path::new("/etc/ufw/ufw.conf"))
        .is_some_and(|text| parse_ufw_enabled(&text))
}

fn parse_ufw_enabled(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("ENABLED="))
        .next_back()
        .is_some_and(|value| value.trim_matches(['"', '\'', ' ']).eq_ignore_ascii_case("yes"))
}

fn parse_proxmox_enabled(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(key, value)| key.trim() == "enable" && value.trim() == "1")
}

fn backends(system: &dyn System, units: &BTreeMap<String, Unit>, found: &Found) -> Vec<BackendFact> {
    let version = |tool, words: &[&str]| {
        let call = Invocation::new(tool, words.iter().copied()).within(PROBE_LIMIT);
        parse_version(&system.run(&call).ok()?.stdout)
    };
    let has = |manager: Manager| found.managers.get(&manager).cloned();
    let iptables = has(Manager::IptablesNft)
        .or(has(Manager::IptablesLegacy))
        .or(has(Manager::Csf))
        .or(has(Manager::Shorewall));
    let iptables_tool = system.locate(Tool::IptablesSave).is_some();
    let state = |installed: bool, evidence: &Option<String>, idle: &str| match (installed, evidence) {
        (_, Some(evidence)) => evidence.clone(),
        (true, None) if found.obstacle.is_some() => {
            "installed; whether it filters could not be seen".to_owned()
        }
        (true, None) => idle.to_owned(),
        (false, None) => "not installed".to_owned(),
    };
    let fact = |id, version, installed, evidence: Option<String>, idle: &str| BackendFact {
        id,
        version,
        installed: installed || evidence.is_some(),
        active: evidence.is_some(),
        owner: evidence.is_some(),
        reason: state(installed, &evidence, idle),
    };
    let firewalld_there = system.locate(Tool::FirewallCmd).is_some()
        || units.get("firewalld.service").is_some_and(|unit| unit.loaded);
    vec![
        native(system, found, version(Tool::Nft, &["--version"])),
        fact(
            BackendId::Iptables,
            version(Tool::IptablesSave, &["--version"]).filter(|_| iptables_tool),
            iptables_tool,
            iptables,
            "installed; none of its rules drops inbound packets",
        ),
        fact(
            BackendId::Ufw,
            None,
            system.locate(Tool::Ufw).is_some(),
            has(Manager::Ufw),
            "installed, switched off",
        ),
        fact(
            BackendId::Firewalld,
            None,
            firewalld_there,
            has(Manager::Firewalld),
            "installed, not running",
        ),
    ]
}

fn native(system: &dyn System, found: &Found, version: Option<String>) -> BackendFact {
    let installed = system.locate(Tool::Nft).is_some();
    let deciding = found.inspection.iter().flat_map(|i| &i.chains).find(|chain| {
        chain.drops.is_some()
            && chain.owner.is_none()
            && matches!(chain.hook.as_str(), "ingress" | "prerouting" | "input")
    });
    let reason = match (deciding, found.managers.keys().next(), &found.obstacle) {
        (_, _, Some(obstacle)) => obstacle.clone(),
        (Some(chain), _, _) => format!(
            "{} {} {} drops packets ({})",
            chain.family,
            chain.table,
            chain.chain,
            chain.drops.as_deref().unwrap_or_default()
        ),
        (None, Some(manager), _) => format!("no native rules decide; {} owns the way in", manager.name()),
        (None, None, _) => "nothing on this host drops inbound packets".to_owned(),
    };
    BackendFact {
        id: BackendId::Nftables,
        version,
        installed,
        active: deciding.is_some(),
        owner: found.managers.is_empty() && found.obstacle.is_none(),
        reason,
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
        facts.refusal = self.refusal();
        facts.backend = facts.refusal.is_none().then_some(BackendId::Nftables);
        if let Some(inspection) = self.inspection {
            facts.inbound_default = inspection.inbound_default;
            facts.chains = inspection.chains;
            facts.foreign = inspection.foreign;
        }
        if self.managers.contains_key(&Manager::IptablesLegacy)
            && facts.inbound_default == InboundDefault::Accept
        {
            facts.inbound_default = InboundDefault::Drop;
        }
        facts.backends = self.backends;
        let owner = facts.backend.unwrap_or(BackendId::Nftables);
        facts.boot = self.boots.get(&owner).cloned().unwrap_or_default();
        facts.boots = self.boots;
        facts.observations = self.observations;
    }

    /// Why native rules cannot be used here; `None` when they can.
    fn refusal(&self) -> Option<String> {
        let mut sentences: Vec<String> = Vec::new();
        if let Some(obstacle) = &self.obstacle {
            sentences.push(capital(obstacle));
        }
        for (manager, evidence) in &self.managers {
            sentences.push(format!(
                "The inbound rules of this host belong to {}: {evidence}",
                manager.name()
            ));
        }
        if sentences.is_empty() {
            return None;
        }
        if !self.managers.is_empty() {
            sentences.push(
                "This version of faspwall writes native nftables rules, which would be lost or would not count beside that"
                    .to_owned(),
            );
        }
        sentences.push("Nothing was changed".to_owned());
        let by_hand: Vec<String> = self
            .managers
            .keys()
            .map(|manager| format!("in {}: {}", manager.name(), manager.by_hand()))
            .collect();
        if !by_hand.is_empty() {
            sentences.push(format!("To open a port by hand, {}", by_hand.join("; ")));
        }
        Some(format!("{}.", sentences.join(". ")))
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ufw_is_on_where_its_file_says_so() {
        let on = include_str!("../../../tests/machines/debian-12-ufw/ufw.conf");
        assert!(parse_ufw_enabled(on));
        assert!(!parse_ufw_enabled(&on.replace("ENABLED=yes", "ENABLED=no")));
    }

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

    fn decided(json: &str) -> Facts {
        let inspection = inspect::inspect(json).expect("recorded from nft");
        let found = Found {
            managers: manager::managers(&inspection),
            inspection: Some(inspection),
            ..Found::default()
        };
        let mut facts = Facts::default();
        found.into_facts(&mut facts);
        facts
    }

    #[test]
    fn native_rules_and_empty_hosts_are_taken_on() {
        let native = decided(include_str!("../../../tests/rulesets/two-input-chains.json"));
        assert_eq!(
            (native.backend, native.refusal),
            (Some(BackendId::Nftables), None)
        );
        assert_eq!(native.inbound_default, InboundDefault::Drop);
        let empty = decided(include_str!("../../../tests/machines/debian-12/nft-ruleset.json"));
        assert_eq!(empty.backend, Some(BackendId::Nftables));
        assert_eq!(empty.inbound_default, InboundDefault::Accept);
    }

    #[test]
    fn a_host_of_another_owner_is_refused_with_what_to_do() {
        let facts = decided(include_str!(
            "../../../tests/machines/debian-12-firewalld/nft-ruleset.json"
        ));
        assert_eq!(facts.backend, None);
        let text = facts.refusal.expect("a refusal");
        for part in [
            "firewalld",
            "Nothing was changed",
            "firewall-cmd --permanent --add-port",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s)[ -~\n]{0,160}") {
            let _ = parse_version(&text);
            let _ = parse_ufw_enabled(&text);
            let _ = parse_proxmox_enabled(&text);
        }
    }
}
