//! The units that concern the firewall, and what loads the ruleset at boot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::PROBE_LIMIT;
use crate::facts::BootFacts;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// Where distributions keep the ruleset that is loaded at boot: Debian, Arch; Red Hat; Alpine.
const BOOT_FILES: [&str; 3] = [
    "/etc/nftables.conf",
    "/etc/sysconfig/nftables.conf",
    "/etc/nftables.nft",
];
const UNITS: [&str; 5] = [
    "nftables.service",
    "ufw.service",
    "firewalld.service",
    "csf.service",
    "shorewall.service",
];

/// What `systemctl show` says about a unit that concerns the firewall.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unit {
    /// There is such a unit.
    pub loaded: bool,
    /// It runs, or has run and stays.
    pub active: bool,
    /// It is started at boot.
    pub enabled: bool,
    /// Its `ExecStart`.
    exec: String,
}

/// Asks systemd for all of them at once.
pub fn units(system: &dyn System) -> BTreeMap<String, Unit> {
    let call = Invocation::new(
        Tool::Systemctl,
        [
            "show",
            "-p",
            "Id,LoadState,ActiveState,UnitFileState,ExecStart",
            "--",
        ]
        .into_iter()
        .chain(UNITS),
    )
    .within(PROBE_LIMIT);
    parse_units(&system.run(&call).unwrap_or_default().stdout)
}

fn parse_units(text: &str) -> BTreeMap<String, Unit> {
    let mut found = BTreeMap::new();
    for block in text.split("\n\n") {
        let (mut id, mut unit) = (String::new(), Unit::default());
        for line in block.lines() {
            match line.split_once('=') {
                Some(("Id", value)) => id = value.to_owned(),
                Some(("LoadState", value)) => unit.loaded = value == "loaded",
                Some(("ActiveState", value)) => unit.active = value == "active",
                Some(("UnitFileState", value)) => unit.enabled = value.starts_with("enabled"),
                Some(("ExecStart", value)) => unit.exec = value.to_owned(),
                _ => {}
            }
        }
        if !id.is_empty() {
            found.insert(id, unit);
        }
    }
    found
}

/// What loads the ruleset at boot.
pub fn boot(system: &dyn System, systemd: bool, units: &BTreeMap<String, Unit>) -> BootFacts {
    let unit = units.get("nftables.service").filter(|unit| unit.loaded);
    let file = unit.and_then(|unit| loaded_file(&unit.exec)).or_else(|| {
        BOOT_FILES
            .iter()
            .map(PathBuf::from)
            .find(|p| system.mode(p).is_some())
    });
    let enabled = match unit {
        Some(unit) => Some(unit.enabled),
        None if systemd => Some(false),
        None => openrc_runs_nftables(system),
    };
    BootFacts {
        content: file.as_deref().and_then(|path| system.read_text(path)),
        file,
        unit: unit.map(|_| "nftables.service".to_owned()),
        enabled,
    }
}

/// The file in `argv[]=/usr/sbin/nft -f /etc/nftables.conf ;`.
fn loaded_file(exec: &str) -> Option<PathBuf> {
    let (_, command) = exec.split_once("argv[]=")?;
    let command = command.split(" ;").next()?;
    let mut words = command.split_whitespace();
    words.find(|word| *word == "-f" || *word == "--file")?;
    words.next().map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Whether OpenRC starts nftables; `None` where there is no OpenRC either.
fn openrc_runs_nftables(system: &dyn System) -> Option<bool> {
    let levels = system.list(Path::new("/etc/runlevels"));
    (!levels.is_empty()).then(|| {
        levels
            .iter()
            .any(|level| system.mode(&level.join("nftables")).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_file_that_a_real_unit_loads_is_found() {
        let units = parse_units(include_str!(
            "../../../../tests/machines/debian-12/systemctl-show-firewalls"
        ));
        let unit = &units["nftables.service"];
        assert!(unit.loaded && !unit.enabled && !unit.active);
        assert_eq!(loaded_file(&unit.exec), Some("/etc/nftables.conf".into()));
        assert!(!units["csf.service"].loaded);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s)[ -~\n]{0,160}") {
            let _ = parse_units(&text);
            let _ = loaded_file(&text);
        }
    }
}
