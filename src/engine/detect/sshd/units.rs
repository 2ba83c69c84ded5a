//! The units of systemd that have to do with sshd.

use std::path::{Path, PathBuf};

use crate::engine::detect::PROBE_LIMIT;
use crate::facts::SocketFacts;
use crate::sshd::socket;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// Units that start sshd: Debian's names and everybody else's.
const SERVICES: [&str; 2] = ["ssh.service", "sshd.service"];
/// Sockets of systemd that may hold its port.
pub const SOCKETS: [&str; 2] = ["ssh.socket", "sshd.socket"];

/// Ubuntu's program that makes the streams of ssh.socket, and where such programs lie.
const GENERATOR: &str = "sshd-socket-generator";
const GENERATORS: [&str; 2] = [
    "/usr/lib/systemd/system-generators",
    "/etc/systemd/system-generators",
];

/// What `systemctl show` says about one unit.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name, not that of an alias.
    pub id: String,
    /// Whether it is up.
    pub active: bool,
    /// The process that systemd takes for it.
    pub main_pid: Option<u32>,
    /// Ports of a socket that others can reach.
    pub listen: Vec<u16>,
}

/// All of them, as systemd knows them.
pub fn units(system: &dyn System) -> Vec<Unit> {
    let names = SERVICES.into_iter().chain(SOCKETS);
    let properties = ["-p", "Id,ActiveState,MainPID,Listen"];
    let call = Invocation::new(
        Tool::Systemctl,
        ["show"].into_iter().chain(properties).chain(["--"]).chain(names),
    )
    .within(PROBE_LIMIT);
    let output = system.run(&call).unwrap_or_default();
    parse_units(&output.stdout)
}

/// Reads what `systemctl show` prints about several units.
pub fn parse_units(text: &str) -> Vec<Unit> {
    let mut found: Vec<Unit> = Vec::new();
    for block in text.split("\n\n") {
        let mut unit = Unit::default();
        for line in block.lines() {
            match line.split_once('=') {
                Some(("Id", id)) => unit.id = id.to_owned(),
                Some(("ActiveState", state)) => unit.active = state == "active",
                Some(("MainPID", pid)) => unit.main_pid = pid.parse().ok().filter(|pid| *pid != 0),
                Some(("Listen", address)) => unit.listen.extend(listen_port(address)),
                _ => {}
            }
        }
        // An alias, such as sshd.service on Debian, shows the unit that it stands for.
        if !unit.id.is_empty() && !found.iter().any(|known| known.id == unit.id) {
            found.push(unit);
        }
    }
    found
}

/// The port in `[::]:22 (Stream)` or `22 (Stream)`; not one in a path.
fn listen_port(text: &str) -> Option<u16> {
    socket::port_of(text.strip_suffix(" (Stream)")?)
}

/// What holds the port instead of sshd.
pub fn socket(system: &dyn System, unit: &str) -> SocketFacts {
    let properties = "Listen,Accept,Triggers,DropInPaths";
    let call = Invocation::new(Tool::Systemctl, ["show", "-p", properties, "--", unit]).within(PROBE_LIMIT);
    let output = system.run(&call).unwrap_or_default();
    let mut found = parse_socket(&output.stdout);
    found.ours = system.read_text(&socket::drop_in(unit));
    found.generator = GENERATORS.iter().any(|dir| {
        let name = |path: &PathBuf| path.file_name().is_some_and(|name| name == GENERATOR);
        system.list(Path::new(dir)).iter().any(name)
    });
    found
}

/// Reads what `systemctl show` prints about a socket.
pub fn parse_socket(text: &str) -> SocketFacts {
    let mut found = SocketFacts::default();
    let mut accept = false;
    for line in text.lines() {
        match line.split_once('=') {
            Some(("Listen", address)) => {
                found
                    .streams
                    .extend(address.strip_suffix(" (Stream)").map(str::to_owned));
            }
            Some(("Accept", answer)) => accept = answer == "yes",
            Some(("Triggers", unit)) if !unit.is_empty() => found.service = Some(unit.to_owned()),
            Some(("DropInPaths", list)) => {
                found.drop_ins = list
                    .split(' ')
                    .filter(|w| !w.is_empty())
                    .map(PathBuf::from)
                    .collect()
            }
            _ => {}
        }
    }
    if accept {
        found.service = None;
    }
    found
}

/// Whether a unit can be told to read its configuration again; `None` where nobody tells.
pub fn reloads(system: &dyn System, unit: &str) -> Option<bool> {
    let call = Invocation::new(Tool::Systemctl, ["show", "-p", "CanReload", "--", unit]).within(PROBE_LIMIT);
    let output = system.run(&call).ok()?;
    let answer = output.stdout.trim().strip_prefix("CanReload=")?.to_owned();
    (!answer.is_empty()).then(|| answer == "yes")
}

/// Files in which options of a service may stand: drop-ins, the unit itself, files of its environment.
pub fn option_files(system: &dyn System, unit: &str) -> Vec<PathBuf> {
    let properties = "DropInPaths,FragmentPath,EnvironmentFiles";
    let call = Invocation::new(Tool::Systemctl, ["show", "-p", properties, "--", unit]).within(PROBE_LIMIT);
    let output = system.run(&call).unwrap_or_default();
    let values = output
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.1));
    // `EnvironmentFiles=/etc/default/ssh (ignore_errors=yes)`
    let words = values.flat_map(str::split_whitespace);
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOW_12: &str = include_str!("../../../../tests/machines/debian-12/systemctl-show");

    #[test]
    fn units_of_a_real_host_are_read() {
        let units = parse_units(SHOW_12);
        assert_eq!(units[0].id, "ssh.service");
        assert!(units[0].active && units[0].main_pid == Some(36));
        let socket = units.iter().find(|u| u.id == "ssh.socket").expect("a unit");
        assert_eq!(
            (socket.active, socket.listen.as_slice()),
            (false, [22].as_slice())
        );
    }

    #[test]
    fn a_socket_tells_its_streams_and_what_it_starts() {
        let text = "Accept=no\nListen=0.0.0.0:22 (Stream)\nListen=[::]:22 (Stream)\nListen=/run/d (Datagram)\n\
                    Triggers=ssh.service\nDropInPaths=/etc/a.conf /run/b.conf\n";
        let found = parse_socket(text);
        assert_eq!(found.streams, ["0.0.0.0:22", "[::]:22"]);
        assert_eq!(found.service.as_deref(), Some("ssh.service"));
        assert_eq!(found.drop_ins.len(), 2);
        let each = parse_socket("Accept=yes\nTriggers=ssh@0.service\nDropInPaths=\n");
        assert!(each.service.is_none() && each.drop_ins.is_empty());
    }

    #[test]
    fn a_path_is_no_port() {
        assert_eq!(listen_port("[::]:22 (Stream)"), Some(22));
        assert_eq!(listen_port("/run/x:22 (Stream)"), None);
    }
}
