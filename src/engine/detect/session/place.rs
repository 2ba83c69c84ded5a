//! Whether somebody sits at this host: what processes tell that descend from no login of sshd.
//!
//! Only what is known to need no port of this host counts. A shell that its login left behind (dtach, zellij, `setsid`,
//! a task of Ansible's, a desktop over the network) descends from process 1 as well, and whoever types into it may be
//! anywhere: to take it for a console would be the dangerous mistake.

use std::path::PathBuf;

use super::super::processes::{self, Process, Processes, Terminal};
use crate::facts::Via;
use crate::system::System;

/// Terminals behind terminals that are followed.
const MAX_DEPTH: usize = 8;
/// Programs that hand on what is typed at their own terminal, and nothing else, to one that they have made.
const RELAYS: [&str; 8] = [
    "sudo",
    "su",
    "runuser",
    "script",
    "run0",
    "systemd-run",
    "machinectl",
    "systemd-nspawn",
];
/// Programs that let people in at a terminal.
const GATES: [&str; 8] = [
    "login", "agetty", "(agetty)", "getty", "mingetty", "mgetty", "fgetty", "sulogin",
];
/// Units whose terminal the machine around a container has made.
const OPENED_AROUND: [&str; 3] = ["container-shell@", "container-getty@", "console-getty.service"];
/// Where systemd tells the number of each unit's present run, in links named `invocation:UNIT`.
const RUNS: &str = "/run/systemd/units";
/// Shells: init starts one itself where nobody has to log in, such as in an emergency.
const SHELLS: [&str; 9] = [
    "sh", "bash", "ash", "dash", "zsh", "ksh", "mksh", "fish", "busybox",
];

/// Where a process is typed at, and how that is known; `None` when it is not.
pub fn place(system: &dyn System, processes: &Processes, process: &Process) -> Option<(Via, String)> {
    let mut at = process;
    for _ in 0..MAX_DEPTH {
        let line = processes.ancestors(at.pid);
        let outside = from_outside(&line);
        // What has no terminal of its own belongs to whoever started it.
        let on = line.iter().find(|p| p.terminal() != Terminal::Other);
        let Some(on) = on else { return outside };
        let above = line.iter().skip_while(|p| p.pid != on.pid);
        match on.terminal() {
            Terminal::Console(_) | Terminal::Serial => {
                let known = outside.is_some() || let_in(above.copied());
                return if known { console(on.terminal()) } else { None };
            }
            Terminal::Pts(number) => {
                let master = processes::terminal_master(system, processes, number);
                let master = master.and_then(|pid| processes.get(pid));
                let above = |p: &Process| line.iter().any(|one| one.pid == p.pid);
                let relay = |p: &Process| RELAYS.contains(&p.comm.as_str());
                // What came from outside has a terminal of the place that it came from: here, another one may have that
                // number. Only a master among its own parents is surely its own.
                match master {
                    Some(master) if relay(master) && (outside.is_none() || above(master)) => at = master,
                    _ if outside.is_some() => return outside,
                    Some(_) => return None,
                    None => return from_the_host(system, &line, on),
                }
            }
            Terminal::Other => return None,
        }
    }
    None
}

/// A process whose parent is in no number space that is seen from here, and that is no first process, neither of all
/// programs nor of the kernel's own.
fn from_outside(line: &[&Process]) -> Option<(Via, String)> {
    let top = line.last().filter(|top| top.pid > 2 && top.parent == 0)?;
    let text = format!(
        "{} was started from outside of this system, as a container's exec does",
        top.comm
    );
    Some((Via::Local, text))
}

fn console(terminal: Terminal) -> Option<(Via, String)> {
    match terminal {
        Terminal::Console(number) => Some((Via::Console, format!("runs on the console tty{number}"))),
        Terminal::Serial => Some((Via::Serial, "runs on a serial or hypervisor console".to_owned())),
        _ => None,
    }
}

/// Whether the terminal of these processes, innermost first, is one at which somebody was let in: a login, or a shell
/// that process 1 has started. A program that was merely put onto a console (`openvt`, `setsid -c`) was not.
fn let_in<'p>(line: impl Iterator<Item = &'p Process>) -> bool {
    let below: Vec<&Process> = line.filter(|p| p.pid != 1).collect();
    let gate = |p: &&Process| GATES.contains(&p.comm.as_str());
    let shell = |p: &&&Process| SHELLS.contains(&p.comm.trim_start_matches('-'));
    below.iter().any(gate) || below.last().filter(shell).is_some()
}

/// A pseudo terminal whose other end is not on this host: that of a container's first process, a container's console, or a
/// shell that the machine around it has opened.
fn from_the_host(system: &dyn System, line: &[&Process], on: &Process) -> Option<(Via, String)> {
    let first = line.last().filter(|first| first.pid == 1 && first.tty == on.tty);
    if let Some(first) = first {
        let text = format!(
            "runs on the terminal of process 1 ({}), whose other end is outside of this system",
            first.comm
        );
        return Some((Via::Local, text));
    }
    let top = line.iter().rev().find(|p| p.pid != 1)?;
    if top.parent != 1 {
        return None;
    }
    // The login of util-linux hands its terminal to a session of its own, and stays above it without one.
    let gate = GATES.contains(&top.comm.as_str());
    if gate && (top.tty == on.tty || top.terminal() == Terminal::Other) {
        return Some((Via::Local, String::from("runs on the console of this container")));
    }
    if top.tty != on.tty {
        return None;
    }
    let groups = system
        .read_text(&PathBuf::from(format!("/proc/{}/cgroup", top.pid)))
        .unwrap_or_default();
    let opened = OPENED_AROUND.iter().any(|unit| groups.contains(unit)) || is_opened(system, top);
    opened.then(|| {
        let text = "runs in a shell that the machine around this container has opened";
        (Via::Local, text.to_owned())
    })
}

/// Whether systemd has started a process as one of [`OPENED_AROUND`]. PAM has moved it to the group of its login since.
fn is_opened(system: &dyn System, process: &Process) -> bool {
    let Some(own) = processes::environment(system, process.pid, "INVOCATION_ID") else {
        return false;
    };
    system.list(RUNS.as_ref()).iter().any(|link| {
        let name = link.file_name().unwrap_or_default().to_string_lossy();
        let unit = name.strip_prefix("invocation:").unwrap_or_default();
        OPENED_AROUND.iter().any(|around| unit.starts_with(around))
            && system
                .read_link(link)
                .is_some_and(|run| run.as_os_str() == own.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(names: &[&str]) -> Vec<Process> {
        let process = |(number, comm): (usize, &&str)| Process {
            pid: u32::try_from(names.len() - number).expect("small"),
            parent: 0,
            comm: (*comm).to_owned(),
            tty: 0x0401,
            started_ms: 0,
        };
        names.iter().enumerate().map(process).collect()
    }

    #[test]
    fn a_console_is_one_where_somebody_was_let_in() {
        for (names, wanted) in [
            (&["faspwall", "bash", "login", "systemd"][..], true),
            (&["faspwall", "sudo", "bash", "login", "init"], true),
            (&["faspwall", "-sh", "init"], true),
            (&["faspwall", "bash", "sulogin", "systemd"], true),
            (&["faspwall", "systemd"], false),
            (&["faspwall", "openvt", "systemd"], false),
            (&["faspwall", "bash", "tmux: server", "systemd"], false),
        ] {
            assert_eq!(let_in(line(names).iter()), wanted, "{names:?}");
        }
    }
}
