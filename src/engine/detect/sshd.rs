//! sshd on this host: who listens, who starts it, which configuration is in force.

mod service;
pub mod units;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::service::{instance_of, started_by};
use self::units::{SOCKETS, Unit, option_files, parse_units, reloads, socket, units};
use super::PROBE_LIMIT;
use super::processes::{self, Process, Processes};
use crate::facts::{Activation, Listener, SshFacts, SshdConfig};
use crate::port::Protocol;
use crate::sshd::command_line::{self, Given};
use crate::sshd::config::{self, Effective};
use crate::step::{Invocation, Tool};
use crate::system::System;

/// The log of a day may be long; nobody waits for it longer than this.
const LOG_LIMIT: Duration = Duration::from_secs(2);

/// Looks at sshd. `listeners` are the open sockets of the host.
pub fn sshd(system: &dyn System, processes: &Processes, listeners: &[Listener], systemd: bool) -> SshFacts {
    let units = if systemd { units(system) } else { Vec::new() };
    let mut facts = SshFacts {
        ports: ports(listeners, &units),
        ..SshFacts::default()
    };
    match active_socket(&units) {
        // What it starts is sshd, whichever other one listens beside it.
        Some(unit) => behind_socket(system, processes, &units, unit, &mut facts),
        None => {
            if let Some(pid) = production(system, processes, listeners, &units) {
                running(system, pid, &mut facts);
            }
        }
    }
    facts.program = facts.program.or_else(|| system.locate(Tool::Sshd));
    if processes
        .get(facts.pid.unwrap_or(0))
        .is_some_and(Process::is_dropbear)
    {
        // Its own options and files: the port it listens on is all that is told.
        facts.daemon = "dropbear".to_owned();
        facts.activation = activation(system, facts.pid, &units, None);
        return facts;
    }
    if facts.program.is_none() {
        return facts;
    }
    facts.daemon = version(system);
    // One that runs and has no directory is in need of it; one that a socket starts, or nobody, gets it with its service.
    let started_later = facts.pid.is_none() || facts.socket.is_some();
    let (sshd_config, effective) = read_config(system, &facts.args, systemd && started_later);
    facts.activation = activation(system, facts.pid, &units, effective.value("pidfile"));
    facts.config = sshd_config;
    facts.start = start_files(system, &facts);
    // Nothing is reloaded on a recorded host, and recordings that are older have no answer.
    if let (Activation::Service(unit), None) = (&facts.activation, system.recorded()) {
        facts.reloads = reloads(system, unit);
    }
    if !system.is_root() {
        seen_without_root(processes, listeners, &units, &mut facts);
    }
    facts
}

/// What a daemon's process tells about itself.
fn running(system: &dyn System, pid: u32, facts: &mut SshFacts) {
    let (program, args) = config::listener_command(&processes::title(system, pid));
    facts.pid = Some(pid);
    facts.program = program_of(system, pid).or(program.map(PathBuf::from));
    facts.args = args;
}

fn active_socket(units: &[Unit]) -> Option<&Unit> {
    let mut sockets = units.iter().filter(|unit| unit.active);
    sockets.find(|unit| SOCKETS.contains(&unit.id.as_str()))
}

/// The service that a socket starts: its process, or how it would be started.
fn behind_socket(
    system: &dyn System,
    processes: &Processes,
    units: &[Unit],
    unit: &Unit,
    facts: &mut SshFacts,
) {
    let socket = socket(system, &unit.id);
    let process = socket.service.as_deref().and_then(|service| {
        let known = units.iter().find(|unit| unit.id == service);
        known.map_or_else(|| main_pid(system, service), |unit| unit.main_pid)
    });
    let alive = |pid: &u32| processes.get(*pid).is_some() && !processes::title(system, *pid).is_empty();
    match process.filter(alive) {
        Some(pid) => running(system, pid, facts),
        None => {
            let service = socket.service.clone();
            let service = service.unwrap_or_else(|| instance_of(&unit.id));
            (facts.program, facts.args) = started_by(system, &service);
        }
    }
    facts.socket = Some(socket);
}

/// The files from which sshd's service takes its options, where those say on what it listens: they are changed there.
fn start_files(system: &dyn System, facts: &SshFacts) -> Vec<(PathBuf, String)> {
    let Activation::Service(unit) = &facts.activation else {
        return Vec::new();
    };
    if !command_line::options(&facts.args).iter().any(Given::listens) {
        return Vec::new();
    }
    let paths = option_files(system, unit).into_iter();
    // What a package brought is written anew with the next version.
    let own = paths.filter(|path| path.starts_with("/etc"));
    own.filter_map(|path| Some((path.clone(), system.read_text(&path)?)))
        .collect()
}

/// Without root nobody tells who owns a socket: then the service's process counts, and ports that are both configured
/// and open.
fn seen_without_root(processes: &Processes, listeners: &[Listener], units: &[Unit], facts: &mut SshFacts) {
    let service = units.iter().find(|unit| {
        let process = unit.main_pid.and_then(|pid| processes.get(pid));
        process.is_some_and(Process::serves_ssh)
    });
    if let (Some(unit), None) = (service, facts.pid) {
        facts.pid = unit.main_pid;
        facts.activation = Activation::Service(unit.id.clone());
    }
    let open = |port: &u16| {
        listeners
            .iter()
            .any(|l| l.protocol == Protocol::Tcp && l.port == *port && !l.loopback())
    };
    if facts.ports.is_empty() && facts.pid.is_some() {
        facts.ports = facts.config.ports.iter().copied().filter(open).collect();
    }
}

fn is_ssh_program(listener: &Listener) -> bool {
    listener.protocol == Protocol::Tcp
        && listener.of_root()
        && matches!(
            listener.program.as_deref(),
            Some("sshd" | "dropbear" | "sshd-session")
        )
}

fn ports(listeners: &[Listener], units: &[Unit]) -> Vec<u16> {
    let by_socket: Vec<u16> = units
        .iter()
        .filter(|unit| unit.active && SOCKETS.contains(&unit.id.as_str()))
        .flat_map(|unit| unit.listen.iter().copied())
        .collect();
    let mut ports: Vec<u16> = listeners
        .iter()
        .filter(|l| l.protocol == Protocol::Tcp && !l.loopback())
        .filter(|l| is_ssh_program(l) || by_socket.contains(&l.port))
        .map(|l| l.port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The listener that the service manager knows, else the oldest: beside it there may be one that stands on trial.
fn production(
    system: &dyn System,
    processes: &Processes,
    listeners: &[Listener],
    units: &[Unit],
) -> Option<u32> {
    let mut found: Vec<u32> = listeners
        .iter()
        .filter(|l| is_ssh_program(l))
        .filter_map(|l| l.pid)
        .collect();
    found.sort_unstable();
    found.dedup();
    let managed = |pid: u32| units.iter().any(|unit| unit.main_pid == Some(pid));
    found.sort_by_key(|pid| {
        let started = processes.get(*pid).map_or(u64::MAX, |p| p.started_ms);
        // A listener in another network namespace is not ours, but then it is not among the sockets either.
        (!managed(*pid), loopback_only(listeners, *pid), started, *pid)
    });
    // Under socket activation sshd itself may not run: then there is a port and no process.
    found
        .first()
        .copied()
        .filter(|pid| !processes::title(system, *pid).is_empty())
}

fn loopback_only(listeners: &[Listener], pid: u32) -> bool {
    listeners
        .iter()
        .filter(|l| l.pid == Some(pid))
        .all(Listener::loopback)
}

fn program_of(system: &dyn System, pid: u32) -> Option<PathBuf> {
    let target = system.read_link(Path::new(&format!("/proc/{pid}/exe")))?;
    // A package upgrade leaves `/usr/sbin/sshd (deleted)` until the daemon is started again.
    let text = target.to_string_lossy();
    Some(PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text)))
}

fn version(system: &dyn System) -> String {
    // Before 9.x sshd did not know -V, and named itself in the usage message.
    let call = Invocation::new(Tool::Sshd, ["-V"]).within(PROBE_LIMIT);
    let output = system.run(&call).unwrap_or_default();
    config::version(&output.stderr)
        .or_else(|| config::version(&output.stdout))
        .unwrap_or_else(|| "OpenSSH".to_owned())
}

struct Files<'a>(&'a dyn System);

impl config::Source for Files<'_> {
    fn read(&self, path: &Path) -> Option<String> {
        self.0.read_text(path)
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        self.0.list(dir)
    }
}

fn read_config(system: &dyn System, args: &[String], may_ask_apart: bool) -> (SshdConfig, Effective) {
    let main = command_line::config_file(args).unwrap_or_else(|| "/etc/ssh/sshd_config".into());
    let mut found = SshdConfig {
        files: config::files(&main, &Files(system)),
        main,
        ..SshdConfig::default()
    };
    match in_force(system, args, may_ask_apart, &[]) {
        Ok(text) => {
            let effective = Effective::parse(&text);
            found.ports = effective.ports();
            found.listen_addresses = effective.listen_addresses();
            (found, effective)
        }
        Err(error) => {
            found.error = Some(error);
            found.ports = config::ports_in_files(&found.files);
            (found, Effective::default())
        }
    }
}

/// What `sshd -T` says for these arguments of a daemon, and more of our own; with a directory of its own in `/run`, where it
/// needs one and systemd may be asked for that.
pub fn in_force(
    system: &dyn System,
    args: &[String],
    may_ask_apart: bool,
    more: &[String],
) -> Result<String, String> {
    let arguments: Vec<String> = std::iter::once("-T".to_owned())
        .chain(command_line::config_arguments(args))
        .chain(more.iter().cloned())
        .collect();
    let answer = ask(system, Invocation::new(Tool::Sshd, arguments.clone()));
    match answer {
        // With a Match block that looks at ports it answers only for a certain connection.
        Err(error) if more.is_empty() && error.contains("connection test specification") => {
            let any = "user=root,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22";
            in_force(system, args, may_ask_apart, &["-C".to_owned(), any.to_owned()])
        }
        Err(error) if may_ask_apart && error.contains("privilege separation directory") => {
            ask_apart(system, arguments)
        }
        answer => answer,
    }
}

fn ask(system: &dyn System, call: Invocation) -> Result<String, String> {
    match system.run(&call.within(PROBE_LIMIT)) {
        Ok(output) if output.ok() => Ok(output.stdout),
        Ok(output) => Err(format!("sshd -T: {}", output.complaint())),
        Err(error) => Err(error.to_string()),
    }
}

/// `sshd -T` wants `/run/sshd`, which is there only while a login service runs: usual where systemd holds the port. It
/// gets a `/run` of its own that nobody else sees.
fn ask_apart(system: &dyn System, arguments: Vec<String>) -> Result<String, String> {
    let program = system
        .locate(Tool::Sshd)
        .unwrap_or_else(|| "/usr/sbin/sshd".into());
    let options = [
        "--quiet",
        "--pipe",
        "--wait",
        "--collect",
        "--property=TemporaryFileSystem=/run",
        "--property=TemporaryFileSystem=/run/sshd",
        "--",
    ];
    let words = options
        .into_iter()
        .map(str::to_owned)
        .chain([program.to_string_lossy().into_owned()])
        .chain(arguments);
    ask(system, Invocation::new(Tool::SystemdRun, words))
}

fn activation(system: &dyn System, pid: Option<u32>, units: &[Unit], pid_file: Option<&str>) -> Activation {
    if let Some(unit) = active_socket(units) {
        return Activation::Socket(unit.id.clone());
    }
    let Some(pid) = pid else {
        return Activation::None;
    };
    if let Some(unit) = units.iter().find(|unit| unit.main_pid == Some(pid)) {
        return Activation::Service(unit.id.clone());
    }
    // A unit of another name, such as one that an admin wrote for a second sshd.
    let cgroup = system
        .read_text(Path::new(&format!("/proc/{pid}/cgroup")))
        .unwrap_or_default();
    if let Some(unit) = service_of_cgroup(&cgroup)
        && main_pid(system, unit) == Some(pid)
    {
        return Activation::Service(unit.to_owned());
    }
    let holds_pid = |path: &PathBuf| {
        let text = system.read_text(path).unwrap_or_default();
        text.trim().parse() == Ok(pid)
    };
    Activation::Plain(pid_file.map(PathBuf::from).filter(holds_pid))
}

/// The system service that a process runs in: the last part of its cgroup, if that is a service outside user sessions.
fn service_of_cgroup(text: &str) -> Option<&str> {
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("0::")
                .or(line.split_once(":name=systemd:").map(|p| p.1))
        })
        .filter(|path| !path.starts_with("/user.slice/"))
        .filter_map(|path| path.rsplit('/').next())
        .find(|unit| unit.ends_with(".service"))
}

fn main_pid(system: &dyn System, unit: &str) -> Option<u32> {
    let call = Invocation::new(Tool::Systemctl, ["show", "-p", "Id,MainPID", "--", unit]).within(PROBE_LIMIT);
    let output = system.run(&call).unwrap_or_default();
    parse_units(&output.stdout).first()?.main_pid
}

/// Failed logins of the last 24 hours; `None` where the journal cannot be read in time.
pub fn failed_logins(system: &dyn System) -> Option<u64> {
    let call = Invocation::new(
        Tool::Journalctl,
        [
            "--quiet",
            "--no-pager",
            "--output=cat",
            "--since=-24h",
            "--grep=^(Failed|Invalid user|Accepted|Connection (closed|reset) by (invalid|authenticating) user) ",
            "_COMM=sshd",
            "_COMM=sshd-session",
        ],
    )
    .within(LOG_LIMIT);
    let output = system.run(&call).ok()?;
    // journalctl ends with 1 when nothing matched, and complains when it may not look.
    let understood = output.ok() || (output.status == Some(1) && output.stderr.trim().is_empty());
    understood.then(|| config::failed_logins(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHOW_SOCKET: &str = include_str!("../../../tests/machines/debian-13-ssh-socket/systemctl-show");

    #[test]
    fn a_listening_socket_unit_is_recognised() {
        let units = parse_units(SHOW_SOCKET);
        let socket = units.iter().find(|u| u.id == "ssh.socket").expect("a unit");
        assert!(socket.active && socket.listen.contains(&22));
        assert!(matches!(
            activation(&crate::system::real::RealSystem, None, &units, None),
            Activation::Socket(name) if name == "ssh.socket"
        ));
    }

    #[test]
    fn only_services_of_the_system_count_as_its_starter() {
        let hybrid = "9:name=systemd:/system.slice/ssh.service\n8:pids:/\n0::/system.slice/ssh.service\n";
        assert_eq!(service_of_cgroup(hybrid), Some("ssh.service"));
        assert_eq!(
            service_of_cgroup("0::/user.slice/user-0.slice/session-5.scope\n"),
            None
        );
        assert_eq!(
            service_of_cgroup("0::/user.slice/user-0.slice/user@0.service/app.slice/x.service\n"),
            None
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s)[ -~\n]{0,160}") {
            let _ = parse_units(&text);
            let _ = service_of_cgroup(&text);
        }
    }
}
