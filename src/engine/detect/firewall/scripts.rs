//! Loaders that are no unit of a distribution: lines in scripts and in units of the operator's own that load rules.

use std::path::{Path, PathBuf};

use crate::system::System;

/// Scripts that run at boot or when a link comes up, and directories of such.
const SCRIPTS: [&str; 3] = ["/etc/rc.local", "/etc/rc.d/rc.local", "/etc/network/interfaces"];
const SCRIPT_DIRS: [&str; 5] = [
    "/etc/network/if-pre-up.d",
    "/etc/network/if-up.d",
    "/etc/network/interfaces.d",
    "/etc/NetworkManager/dispatcher.d",
    "/etc/local.d",
];
/// Units of the operator's own.
const UNIT_DIR: &str = "/etc/systemd/system";

/// What a line loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loads {
    /// `nft -f FILE`
    Nft,
    /// `iptables-restore FILE`
    Iptables,
    /// `ip6tables-restore FILE`
    Ip6tables,
}

/// A line that loads rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// Into which firewall.
    pub loads: Loads,
    /// The file with the rules.
    pub file: PathBuf,
    /// The script or unit.
    pub by: PathBuf,
    /// Whether it runs at boot.
    pub enabled: bool,
}

/// All of them.
pub fn loaders(system: &dyn System) -> Vec<Loader> {
    let mut files: Vec<PathBuf> = SCRIPTS.iter().map(PathBuf::from).collect();
    for dir in SCRIPT_DIRS {
        files.extend(system.list(Path::new(dir)));
    }
    let mut found = Vec::new();
    for file in files {
        let runnable = |mode: u32| mode & 0o111 != 0;
        // The files of ifupdown are read, the others are run.
        let enabled = file.starts_with("/etc/network/interfaces")
            || file.starts_with("/etc/network/interfaces.d")
            || system.mode(&file).is_some_and(runnable);
        add(system, &file, enabled, &mut found);
    }
    let own = system.list(Path::new(UNIT_DIR));
    let wants: Vec<&PathBuf> = own
        .iter()
        .filter(|path| {
            matches!(
                path.extension().and_then(|e| e.to_str()),
                Some("wants" | "requires")
            )
        })
        .collect();
    for unit in own
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "service"))
    {
        let Some(name) = unit.file_name() else { continue };
        let enabled = wants
            .iter()
            .any(|dir| system.read_link(&dir.join(name)).is_some());
        add(system, unit, enabled, &mut found);
    }
    found
}

fn add(system: &dyn System, by: &Path, enabled: bool, found: &mut Vec<Loader>) {
    let text = system.read_text(by).unwrap_or_default();
    found.extend(parse(&text).into_iter().map(|(loads, file)| Loader {
        loads,
        file,
        by: by.to_owned(),
        enabled,
    }));
}

/// The loading lines of a script or unit.
fn parse(text: &str) -> Vec<(Loads, PathBuf)> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let spaced = line.replace(['<', ';', '"', '\'', '='], " ");
        let mut words = spaced.split_whitespace();
        let Some(loads) = words.find_map(program) else {
            continue;
        };
        let mut rest = words.filter(|word| *word != "-" && !word.starts_with("/dev/"));
        let file = if loads == Loads::Nft {
            rest.find(|word| matches!(*word, "-f" | "--file"))
                .and_then(|_| rest.next())
        } else {
            rest.find(|word| word.starts_with('/'))
        };
        if let Some(file) = file.filter(|file| file.starts_with('/')) {
            found.push((loads, PathBuf::from(file)));
        }
    }
    found
}

fn program(word: &str) -> Option<Loads> {
    match word.rsplit('/').next()? {
        "nft" => Some(Loads::Nft),
        "iptables-restore" | "iptables-nft-restore" | "iptables-legacy-restore" => Some(Loads::Iptables),
        "ip6tables-restore" | "ip6tables-nft-restore" | "ip6tables-legacy-restore" => Some(Loads::Ip6tables),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_ways_to_load_rules_from_a_script_are_understood() {
        let of = |text: &str| parse(text);
        let file = |loads, file: &str| vec![(loads, PathBuf::from(file))];
        let script =
            "#!/bin/sh\n# iptables-restore < /etc/old\n/sbin/iptables-restore < /etc/iptables.up.rules\n";
        assert_eq!(of(script), file(Loads::Iptables, "/etc/iptables.up.rules"));
        let interfaces = "iface eth0 inet dhcp\n    pre-up ip6tables-restore -w 5 </etc/firewall/v6\n";
        assert_eq!(of(interfaces), file(Loads::Ip6tables, "/etc/firewall/v6"));
        let unit = "[Service]\nExecStart=/usr/sbin/nft -f /etc/firewall.nft\n";
        assert_eq!(of(unit), file(Loads::Nft, "/etc/firewall.nft"));
        assert_eq!(of("nft -f -\nnft list ruleset\niptables-restore <<EOF\n"), vec![]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s)[ -~\n]{0,160}") {
            let _ = parse(&text);
        }
    }
}
