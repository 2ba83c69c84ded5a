//! Which firewall programs are switched on, whatever the kernel has loaded.
//!
//! Only files, units and processes are looked at: `ufw status` and `firewall-cmd` may start or change something.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::processes::Processes;
use super::units::Unit;
use crate::facts::{BackendId, BootFacts};
use crate::step::Tool;
use crate::system::System;

/// A program that may be at work now, at the next boot, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Service {
    /// Its program is installed.
    pub installed: bool,
    /// At work now.
    pub active: bool,
    /// Starts at boot.
    pub enabled: bool,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// firewalld: the daemon.
    pub firewalld: Service,
    /// ufw: `active` is ENABLED=yes in its file.
    pub ufw: Service,
    /// csf.service is active.
    pub csf: bool,
    /// shorewall.service is active.
    pub shorewall: bool,
    /// cluster.fw switches Proxmox's firewall on.
    pub proxmox: bool,
    /// A file that empties the whole ruleset of nft is loaded at boot.
    pub flushed_at_boot: bool,
}

/// Looks at them.
pub fn services(
    system: &dyn System,
    systemd: bool,
    units: &BTreeMap<String, Unit>,
    boots: &BTreeMap<BackendId, BootFacts>,
) -> Services {
    let unit = |name: &str| units.get(name).cloned().unwrap_or_default();
    let text = |path: &str| system.read_text(Path::new(path)).unwrap_or_default();
    let firewalld = unit("firewalld.service");
    let ufw_enabled = parse_ufw_enabled(&text("/etc/ufw/ufw.conf"));
    let at_boot = |id| boots.get(&id).is_some_and(|boot| boot.enabled != Some(false));
    let native = boots.get(&BackendId::Nftables);
    Services {
        firewalld: Service {
            installed: firewalld.loaded || system.locate(Tool::FirewallCmd).is_some(),
            active: firewalld.active || (!systemd && runs(system, "firewalld")),
            enabled: firewalld.enabled,
        },
        ufw: Service {
            installed: system.locate(Tool::Ufw).is_some(),
            active: ufw_enabled,
            enabled: ufw_enabled && at_boot(BackendId::Ufw),
        },
        csf: unit("csf.service").active,
        shorewall: unit("shorewall.service").active,
        // Its daemons run on every Proxmox host; this file says whether they do anything.
        proxmox: parse_proxmox_enabled(&text("/etc/pve/firewall/cluster.fw")),
        flushed_at_boot: native
            .is_some_and(|boot| boot.enabled == Some(true) && boot.text().is_some_and(flushes)),
    }
}

fn runs(system: &dyn System, program: &str) -> bool {
    Processes::read(system)
        .all()
        .any(|process| process.comm == program)
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

fn flushes(text: &str) -> bool {
    text.lines().any(|line| line.trim().starts_with("flush ruleset"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ufw_is_on_where_its_file_says_so() {
        let on = include_str!("../../../../tests/machines/debian-12-ufw/ufw.conf");
        assert!(parse_ufw_enabled(on));
        assert!(!parse_ufw_enabled(&on.replace("ENABLED=yes", "ENABLED=no")));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s)[ -~\n]{0,160}") {
            let _ = parse_ufw_enabled(&text);
            let _ = parse_proxmox_enabled(&text);
            let _ = flushes(&text);
        }
    }
}
