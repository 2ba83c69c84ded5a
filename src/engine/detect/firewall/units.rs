//! The units of systemd that concern the firewall.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::PROBE_LIMIT;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// Debian calls netfilter-persistent by the names of the iptables units as well; systemd then tells its own name.
const UNITS: [&str; 10] = [
    "nftables.service",
    "iptables.service",
    "ip6tables.service",
    "netfilter-persistent.service",
    "ufw.service",
    "firewalld.service",
    "csf.service",
    "shorewall.service",
    "pve-firewall.service",
    "proxmox-firewall.service",
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
    pub exec: String,
}

impl Unit {
    /// The words of the command that it starts.
    fn command(&self) -> Vec<&str> {
        let command = self.exec.split_once("argv[]=").map_or("", |(_, command)| command);
        let command = command.split(" ;").next().unwrap_or_default();
        command.split_whitespace().collect()
    }

    /// The file that it loads: in `argv[]=/usr/sbin/nft -f /etc/nftables.conf ;` the word after one of `options`.
    pub fn file_after(&self, options: &[&str]) -> Option<PathBuf> {
        let mut words = self.command().into_iter();
        words.find(|word| options.contains(word))?;
        words.next().map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The file that `iptables-restore` reads in `argv[]=/usr/bin/iptables-restore /etc/iptables/iptables.rules ;`.
    pub fn restored_file(&self) -> Option<PathBuf> {
        let mut words = self.command().into_iter();
        words.find(|word| word.ends_with("tables-restore"))?;
        words.map(PathBuf::from).find(|path| path.is_absolute())
    }

    /// Whether its command is this one, whatever the directory.
    pub fn runs(&self, name: &str) -> bool {
        self.command()
            .iter()
            .any(|word| word.rsplit('/').next() == Some(name))
    }
}

/// Asks systemd for all of them at once.
pub fn units(system: &dyn System) -> BTreeMap<String, Unit> {
    let fields = "Id,LoadState,ActiveState,UnitFileState,ExecStart";
    let words = ["show", "-p", fields, "--"].into_iter().chain(UNITS);
    let call = Invocation::new(Tool::Systemctl, words).within(PROBE_LIMIT);
    parse_units(&system.run(&call).unwrap_or_default().stdout)
}

/// The units in what `systemctl show` printed, by their names.
pub fn parse_units(text: &str) -> BTreeMap<String, Unit> {
    let mut found = BTreeMap::new();
    for block in text.split("\n\n") {
        let (mut id, mut unit) = (String::new(), Unit::default());
        for line in block.lines() {
            match line.split_once('=') {
                Some(("Id", value)) => id = value.to_owned(),
                Some(("LoadState", value)) => unit.loaded = value == "loaded",
                Some(("ActiveState", value)) => unit.active = value == "active",
                // `enabled-runtime` ends with this boot.
                Some(("UnitFileState", value)) => unit.enabled = value == "enabled",
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
        assert_eq!(unit.file_after(&["-f"]), Some("/etc/nftables.conf".into()));
        assert!(!units["csf.service"].loaded);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s)[ -~\n]{0,160}") {
            for unit in parse_units(&text).values() {
                let _ = (unit.file_after(&["-f"]), unit.restored_file(), unit.runs("nft"));
            }
        }
    }
}
