//! A second firewalld for the copy, on a message bus of its own: its runtime rules are more than what the kernel shows,
//! and the steps of a change are requests to the daemon.
//!
//! `firewall-cmd` talks to whatever bus it finds at `/run/dbus`. In the copy `/run` is private and empty, so what it
//! finds there is the bus that is started here; the host's daemon cannot be reached at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::RehearseError;
use crate::backend::firewalld::state::{CONF, ETC};
use crate::sealed::poll;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// A bus for root alone: everybody in the copy is root.
const BUS: &str = "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n<type>system</type>\n\
<listen>unix:path=/run/dbus/system_bus_socket</listen>\n<auth>EXTERNAL</auth>\n<policy context=\"default\">\n\
<allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow send_type=\"method_call\"/>\n\
<allow send_type=\"signal\"/><allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\n\
<allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\n</policy>\n</busconfig>\n";
const CONFIG: &str = "/run/faspwall-rehearsal/bus.conf";
const SOCKET: &str = "/run/dbus/system_bus_socket";
/// firewalld is a Python program that loads all of its services first.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a zone lists and the words with which one of it is added or removed. A list is divided by blanks, but for rich
/// rules, which have a line each.
const LISTS: [(&str, &str); 7] = [
    ("interfaces", "interface"),
    ("sources", "source"),
    ("services", "service"),
    ("ports", "port"),
    ("protocols", "protocol"),
    ("source-ports", "source-port"),
    ("rich rules", "rich-rule"),
];

/// Starts bus and daemon, and makes the daemon's zones and sets what those of the host are at this moment.
pub fn start(
    system: &dyn System,
    zones: &str,
    sets: &[String],
    notes: &mut Vec<String>,
) -> Result<(), RehearseError> {
    system.make_dir(Path::new("/run/dbus"), 0o755)?;
    system.replace(Path::new(CONFIG), BUS.as_bytes(), 0o644)?;
    let bus = ["--config-file", CONFIG, "--nofork", "--nopidfile"];
    system.detach(&Invocation::new(Tool::DbusDaemon, bus))?;
    let there = || system.resolve(Path::new(SOCKET));
    if poll(system, PATIENCE, there).is_none() {
        return Err(broken("its message bus did not start"));
    }
    system.make_dir(Path::new(ETC), 0o755)?;
    let conf = system.read_text(Path::new(CONF)).unwrap_or_default();
    system.replace(Path::new(CONF), disowned(&conf).as_bytes(), 0o644)?;
    system.detach(&Invocation::new(Tool::Firewalld, ["--nofork", "--nopid"]))?;
    let list = Invocation::new(Tool::FirewallCmd, ["--list-all-zones"]);
    let answer = || {
        system
            .run(&list)
            .ok()
            .filter(|output| output.ok() && !output.stdout.is_empty())
    };
    let Some(now) = poll(system, PATIENCE, answer) else {
        return Err(broken("it did not start"));
    };
    for words in differences(zones, &now.stdout) {
        let output = system.run(&Invocation::new(Tool::FirewallCmd, words.clone()))?;
        if !output.ok() {
            notes.push(format!(
                "firewall-cmd {}: {}",
                words.join(" "),
                output.complaint()
            ));
        }
    }
    for commands in sets {
        let output = system.run(&Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(commands.as_str()))?;
        if !output.ok() {
            notes.push(format!("a set of firewalld: {}", output.complaint()));
        }
    }
    Ok(())
}

/// A table that the daemon owns takes no rule from anybody else: what blocks a port in there could not be found by
/// trying. Older daemons know no owners, and pass over the line.
fn disowned(conf: &str) -> String {
    let owner = |line: &&str| !line.trim_start().starts_with("NftablesTableOwner");
    let lines = conf.lines().filter(owner).map(|line| format!("{line}\n"));
    lines.chain([String::from("NftablesTableOwner=no\n")]).collect()
}

fn broken(what: &str) -> RehearseError {
    RehearseError::Broken(format!("firewalld in the copy: {what}"))
}

/// Zone, list, entries.
type Zones = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// Reads what `firewall-cmd --list-all-zones` prints.
fn zones(text: &str) -> Zones {
    let mut all = Zones::new();
    let (mut zone, mut list) = (String::new(), String::new());
    for line in text.lines() {
        if !line.starts_with([' ', '\t']) {
            zone = line.split_whitespace().next().unwrap_or_default().to_owned();
        } else if let Some((name, rest)) = line.trim().split_once(':')
            && LISTS.iter().any(|(known, _)| *known == name)
        {
            name.clone_into(&mut list);
            let entries = rest.split_whitespace().map(str::to_owned).collect();
            all.entry(zone.clone()).or_default().insert(list.clone(), entries);
        } else if line.starts_with('\t') && list == "rich rules" {
            let entries = all
                .entry(zone.clone())
                .or_default()
                .entry(list.clone())
                .or_default();
            entries.push(line.trim().to_owned());
        } else {
            list.clear();
        }
    }
    all
}

/// The calls that make the second text the first one: removals before additions.
fn differences(wanted: &str, now: &str) -> Vec<Vec<String>> {
    let (wanted, now) = (zones(wanted), zones(now));
    let mut calls = Vec::new();
    let none = Vec::new();
    for (verb, here, there) in [("remove", &now, &wanted), ("add", &wanted, &now)] {
        for (zone, lists) in here {
            for (list, word) in LISTS {
                let other = there.get(zone).and_then(|lists| lists.get(list)).unwrap_or(&none);
                let mine = lists.get(list).unwrap_or(&none);
                for entry in mine.iter().filter(|entry| !other.contains(entry)) {
                    calls.push(vec![format!("--zone={zone}"), format!("--{verb}-{word}={entry}")]);
                }
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "public (default, active)\n  target: default\n  interfaces: eth0 eth1\n  sources: \n  services: ssh\n  ports: 8080/tcp\n  rich rules: \n\trule family=\"ipv4\" source address=\"10.0.0.0/8\" accept\n\ndmz\n  interfaces: \n  services: ssh\n  rich rules: \n";

    #[test]
    fn the_daemon_of_the_copy_owns_no_table() {
        assert_eq!(
            disowned("DefaultZone=dmz\nNftablesTableOwner=yes\n# x\n"),
            "DefaultZone=dmz\n# x\nNftablesTableOwner=no\n"
        );
    }

    #[test]
    fn only_what_differs_is_changed() {
        let copy = HOST
            .replace("eth0 eth1", "eth0")
            .replace("dmz\n  interfaces: ", "dmz\n  interfaces: eth1");
        assert_eq!(
            differences(HOST, &copy),
            [
                ["--zone=dmz", "--remove-interface=eth1"],
                ["--zone=public", "--add-interface=eth1"]
            ]
        );
        let copy = HOST.replace(
            "\trule family=\"ipv4\" source address=\"10.0.0.0/8\" accept\n",
            "",
        );
        assert_eq!(
            differences(HOST, &copy),
            [[
                "--zone=public",
                "--add-rich-rule=rule family=\"ipv4\" source address=\"10.0.0.0/8\" accept"
            ]]
        );
        assert!(differences(HOST, HOST).is_empty());
    }
}
