//! sshd's part of a change: the trial's door, the helper of the handover, the reload, and the way back from it.

use std::path::{Path, PathBuf};

use super::{Parts, RUN_DIR, gone, nft};
use crate::backend::nftables::render::BRIDGE_TABLE;
use crate::facts::Activation;
use crate::port::Protocol;
use crate::sshd::change::FileChange;
use crate::sshd::neighbours::{self, Label};
use crate::sshd::{command_line, listen};
use crate::step::{Action, Invocation, IpFamily, Signal, Step, Tool};

/// Name of the helper of the handover; the other second sshd is the door.
pub(super) const HELPER: &str = "bridge";

/// New logins already go elsewhere; those on their way in are let through before a listener ends.
fn drain(port: u16) -> Action {
    let step = Step::Drain {
        port,
        quiet_ms: 150,
        timeout_ms: 3_000,
    };
    Action::new(
        format!("let logins on their way to TCP/{port} arrive"),
        step,
        vec![],
    )
}

/// A service of sshd takes its directory in /run with it when it stops, and no sshd lets anybody in without it.
fn with_directory_kept(service: &str, steps: Vec<Step>) -> Vec<Step> {
    let reload = || Step::Try(Invocation::new(Tool::Systemctl, ["daemon-reload"]));
    let keep = PathBuf::from(format!("/run/systemd/system/{service}.d/faspwall.conf"));
    let before = [
        Step::put(&keep, Some("[Service]\nRuntimeDirectoryPreserve=yes\n"), 0o644),
        reload(),
    ];
    let after = [Step::Remove(keep), reload()];
    before.into_iter().chain(steps).chain(after).collect()
}

/// systemd starts nothing that was started five times within ten seconds, as an sshd that finds its port taken may be,
/// unless it is told to forget that.
fn forgive(unit: &str) -> Step {
    Step::Try(Invocation::new(
        Tool::Systemctl,
        ["reset-failed", "--quiet", unit],
    ))
}

impl Parts<'_> {
    fn config_path(&self) -> String {
        self.facts.ssh.config.main.display().to_string()
    }

    /// The host's own file, and what else the daemon was told about its configuration but for ports and places.
    fn config_words(&self) -> Vec<String> {
        let mut words = vec![String::from("-f"), self.config_path()];
        words.extend(command_line::carried(&self.facts.ssh.args));
        words
    }

    /// Has sshd look whether it accepts its configuration.
    pub(super) fn test_configuration(&self) -> Step {
        let words = ["-t".to_owned()].into_iter().chain(self.config_words());
        if !matches!(self.facts.ssh.activation, Activation::Socket(_)) {
            return Step::Run(Invocation::new(Tool::Sshd, words));
        }
        // sshd wants a directory in /run that is there only while a service of it runs: it gets one of its own.
        let apart = [
            "--quiet",
            "--pipe",
            "--wait",
            "--collect",
            "--property=TemporaryFileSystem=/run",
            "--property=TemporaryFileSystem=/run/sshd",
            "--",
        ];
        let words = apart
            .map(str::to_owned)
            .into_iter()
            .chain([self.program()])
            .chain(words);
        Step::Run(Invocation::new(Tool::SystemdRun, words))
    }

    fn program(&self) -> String {
        let program = self.facts.ssh.program.as_ref();
        program.map_or("/usr/sbin/sshd".into(), |path| path.display().to_string())
    }

    /// A second sshd with the host's own configuration on another port, and how it is ended. Only the listener is
    /// ended: logins through it live on.
    pub(super) fn second_sshd(&self, name: &str, port: u16) -> (Step, Vec<Step>) {
        let pid_file = format!("{RUN_DIR}/{name}-{}.pid", self.id);
        let mut sshd_args = self.config_words();
        sshd_args.extend(["-p".into(), port.to_string()]);
        sshd_args.extend(["-o".into(), format!("PidFile={pid_file}")]);
        sshd_args.extend(if name == HELPER {
            listen::helper_options(&self.facts.ssh, port)
        } else {
            listen::door_options(&self.facts.ssh, port, &self.ssh_ports.0, &self.ssh_ports.1)
        });
        if self.facts.os.systemd {
            let unit = format!("faspwall-{name}-{}", self.id);
            let mut args: Vec<String> = vec![
                format!("--unit={unit}"),
                "--collect".into(),
                "--quiet".into(),
                "--property=KillMode=process".into(),
                format!(
                    "--description=faspwall: sshd on {port} for transaction {}",
                    self.id
                ),
            ];
            if matches!(self.facts.ssh.activation, Activation::Socket(_)) {
                // As the service has it, which need not be running.
                args.extend(
                    [
                        "--property=RuntimeDirectory=sshd",
                        "--property=RuntimeDirectoryPreserve=yes",
                    ]
                    .map(str::to_owned),
                );
            }
            args.extend(["--".into(), self.program(), "-D".into()]);
            args.extend(sshd_args);
            let stop = Invocation::new(Tool::Systemctl, ["stop", "--quiet", &format!("{unit}.service")]);
            (
                Step::Run(Invocation::new(Tool::SystemdRun, args)),
                vec![Step::Try(stop)],
            )
        } else {
            let end = Step::SignalPidFile {
                pid_file: PathBuf::from(pid_file),
                comm: String::from("sshd"),
                signal: Signal::Term,
            };
            (Step::Run(Invocation::new(Tool::Sshd, sshd_args)), vec![end])
        }
    }

    /// Ends a second sshd once those who are on their way to it have arrived.
    pub(super) fn end_second_sshd(&self, name: &str, port: u16, say: &str) -> Vec<Action> {
        let (_, stop) = self.second_sshd(name, port);
        let mut actions = vec![drain(port)];
        actions.extend(stop.into_iter().map(|step| Action::new(say, step, vec![])));
        actions
    }

    /// `verb` is systemd's: an undo must also start an sshd that ended over its new configuration.
    pub(super) fn reload(&self, verb: &str) -> Vec<Step> {
        match &self.facts.ssh.activation {
            Activation::Service(unit) if self.changes_options() => self.restart_service(unit),
            Activation::Service(unit) if self.facts.ssh.reloads == Some(false) => {
                // A unit that does not say how: as sshd itself wants to be told. A restart could end logins.
                let words = ["kill", "--kill-who=main", "--signal=HUP", unit.as_str()];
                let call = Invocation::new(Tool::Systemctl, words);
                // For an undo it may have ended: then it is started again by the next step.
                vec![if verb == "reload" {
                    Step::Run(call)
                } else {
                    Step::Try(call)
                }]
            }
            Activation::Service(unit) => {
                vec![Step::Run(Invocation::new(Tool::Systemctl, [verb, unit.as_str()]))]
            }
            Activation::Plain(Some(pid_file)) => vec![Step::SignalPidFile {
                pid_file: pid_file.clone(),
                comm: String::from("sshd"),
                signal: Signal::Hup,
            }],
            Activation::Plain(None) => {
                let pid_file = format!("{RUN_DIR}/sshd-{}.pid", self.id);
                let pid = self
                    .facts
                    .ssh
                    .pid
                    .map(|pid| format!("{pid}\n"))
                    .unwrap_or_default();
                vec![
                    Step::put(Path::new(&pid_file), Some(&pid), 0o644),
                    Step::SignalPidFile {
                        pid_file: PathBuf::from(pid_file),
                        comm: String::from("sshd"),
                        signal: Signal::Hup,
                    },
                ]
            }
            Activation::Socket(unit) => self.restart_socket(unit),
            Activation::None => Vec::new(),
        }
    }

    /// A socket cannot be started while its service runs, which holds the port as well, and a restart of both in one call
    /// is a matter of luck: both go down, then the socket comes up and starts the service when somebody knocks. Logins live
    /// on, and the service's directory stays for logins that the helper takes meanwhile. systemd itself brings the socket
    /// up again, so that nobody is locked out where we and the guard are killed while it is down.
    fn restart_socket(&self, unit: &str) -> Vec<Step> {
        let call = |words: &[&str]| Invocation::new(Tool::Systemctl, words.iter().copied());
        let reload = || Step::Try(call(&["daemon-reload"]));
        let service = self
            .facts
            .ssh
            .socket
            .as_ref()
            .and_then(|socket| socket.service.as_deref());
        let Some(service) = service else {
            return vec![reload(), forgive(unit), Step::Run(call(&["restart", unit]))];
        };
        // Absolute paths: systemd before 242 wants them there.
        let then = |words: &str| format!("--property=ExecStopPost={words}");
        let forget = then(&format!("-/bin/systemctl reset-failed {unit} {service}"));
        let start = then(&format!("/bin/systemctl start {unit}"));
        let words = [
            "--quiet",
            "--wait",
            "--collect",
            "--property=Type=oneshot",
            &forget,
            &start,
            "--",
            "systemctl",
            "stop",
            unit,
            service,
        ];
        with_directory_kept(service, vec![Step::Run(Invocation::new(Tool::SystemdRun, words))])
    }

    /// Whether a file is changed that gives sshd its command line: a reload would keep the old one.
    fn changes_options(&self) -> bool {
        let starts = |file: &FileChange| {
            let path = &file.path;
            self.facts.ssh.start.iter().any(|(known, _)| known == path)
        };
        self.sshd_files.iter().any(starts)
    }

    fn restart_service(&self, unit: &str) -> Vec<Step> {
        with_directory_kept(
            unit,
            vec![
                forgive(unit),
                Step::Run(Invocation::new(Tool::Systemctl, ["restart", unit])),
            ],
        )
    }

    pub(super) fn changes_jail(&self) -> bool {
        let jail = |file: &FileChange| file.path.as_os_str() == neighbours::JAIL;
        self.sshd_files.iter().any(jail)
    }

    /// SELinux's word on the ports that sshd is to bind: before a second sshd does.
    pub(super) fn labels(&self) -> Vec<Label> {
        let list = self.facts.ssh.labels.as_deref();
        let new = self
            .ssh_ports
            .1
            .iter()
            .filter(|port| !self.ssh_ports.0.contains(port));
        list.map(|list| new.filter_map(|port| Label::needed(list, *port)).collect())
            .unwrap_or_default()
    }

    /// For the way back: an sshd that could not bind its new port has ended, and cannot be reloaded.
    pub(super) fn start_if_silent(&self) -> Option<Step> {
        let call = match &self.facts.ssh.activation {
            Activation::Service(unit) => Invocation::new(Tool::Systemctl, ["restart", unit.as_str()]),
            Activation::Plain(_) => Invocation::new(Tool::Sshd, ["-f", &self.config_path()]),
            Activation::Socket(unit) => Invocation::new(Tool::Systemctl, ["start", unit.as_str()]),
            Activation::None => return None,
        };
        let port = *self.ssh_ports.0.first()?;
        Some(Step::StartIfSilent {
            port,
            comm: String::from(self.holder()),
            call,
            patience_ms: 2_000,
        })
    }

    /// Undo's reload, until sshd listens as before. A daemon that could not get its new port has ended: it is started
    /// again.
    pub(super) fn revive(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Activation::Service(unit) = &self.facts.ssh.activation {
            steps.push(forgive(unit));
        }
        steps.extend(self.reload("reload-or-restart"));
        steps.extend(self.start_if_silent());
        steps.extend(self.ssh_ports.0.iter().map(|port| self.await_holder(*port)));
        steps
    }

    /// A second sshd listens, or no longer does.
    pub(super) fn await_sshd(&self, port: u16, listening: bool) -> Step {
        Step::AwaitTcp {
            port,
            listening,
            comm: String::from("sshd"),
            program: Some(PathBuf::from(self.program())),
            families: self.families_of_second(),
            timeout_ms: 8_000,
        }
    }

    /// Whoever holds sshd's port for good listens there: sshd itself, or systemd for it.
    fn await_holder(&self, port: u16) -> Step {
        let comm = self.holder();
        Step::AwaitTcp {
            port,
            listening: true,
            comm: comm.to_owned(),
            program: (comm == "sshd").then(|| PathBuf::from(self.program())),
            families: self.families(port),
            timeout_ms: 8_000,
        }
    }

    /// The families over which that port of sshd must be served: as it is now; a new port as those whose place it takes.
    fn families(&self, port: u16) -> Vec<IpFamily> {
        let (before, after) = (&self.ssh_ports.0, &self.ssh_ports.1);
        if before.contains(&port) {
            return self.families_now(port);
        }
        let mut old: Vec<u16> = before
            .iter()
            .copied()
            .filter(|port| !after.contains(port))
            .collect();
        if old.is_empty() {
            old.clone_from(before);
        }
        let mut families = vec![IpFamily::V4, IpFamily::V6];
        for port in old {
            let now = self.families_now(port);
            families.retain(|family| now.contains(family));
        }
        families
    }

    fn families_now(&self, port: u16) -> Vec<IpFamily> {
        let holders = self
            .facts
            .listeners
            .iter()
            .filter(|l| l.protocol == Protocol::Tcp && l.port == port && !l.loopback() && l.of_root());
        let mut families: Vec<IpFamily> = holders.map(|l| IpFamily::of(l.address)).collect();
        families.sort_unstable();
        families.dedup();
        families
    }

    /// The same for a second sshd. One socket of systemd serves both families, where sshd needs one for each.
    fn families_of_second(&self) -> Vec<IpFamily> {
        let mut families = self.door.map(|door| self.families(door)).unwrap_or_default();
        let socket = matches!(self.facts.ssh.activation, Activation::Socket(_));
        let everywhere = |place: &String| place.starts_with("0.0.0.0:");
        if socket
            && families == [IpFamily::V6]
            && self.facts.ssh.config.listen_addresses.iter().any(everywhere)
        {
            families.insert(0, IpFamily::V4);
        }
        families
    }

    fn holder(&self) -> &'static str {
        match self.facts.ssh.activation {
            Activation::Socket(_) => "systemd",
            _ => "sshd",
        }
    }

    pub(super) fn move_sshd(&self) -> Vec<Action> {
        if !self.moves_sshd() {
            return Vec::new();
        }
        let mut actions = self.write_files();
        actions.extend(self.turn_to_helper());
        actions.extend(self.end_door());
        for step in self.reload("reload") {
            actions.push(Action::new("let sshd read its configuration again", step, vec![]));
        }
        for port in &self.ssh_ports.1 {
            actions.push(Action::new(
                format!("see sshd listen on TCP/{port}"),
                self.await_holder(*port),
                vec![],
            ));
        }
        actions.push(Action::new(
            "turn new logins to sshd again",
            gone(&[BRIDGE_TABLE]),
            vec![],
        ));
        if self.changes_jail() {
            actions.push(Action::new(
                "let fail2ban read its jails again",
                Step::Try(neighbours::read_jails()),
                vec![],
            ));
        }
        actions
    }

    fn write_files(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        // Undo runs backwards: the reload stands with the first file, so it comes after all files are back.
        for (number, file) in self.sshd_files.iter().enumerate() {
            let mut undo = vec![Step::put(&file.path, file.before.as_deref(), 0o644)];
            if number == 0 {
                undo.extend(self.revive());
            }
            if file.path.as_os_str() == neighbours::JAIL {
                undo.push(Step::Try(neighbours::read_jails()));
            }
            let verb = if file.after.is_some() { "write" } else { "remove" };
            actions.push(Action::new(
                format!("{verb} {}", file.path.display()),
                Step::put(&file.path, file.after.as_deref(), 0o644),
                undo,
            ));
        }
        actions.push(Action::new(
            "sshd accepts its new configuration",
            self.test_configuration(),
            vec![],
        ));
        actions
    }

    fn turn_to_helper(&self) -> Vec<Action> {
        let (start, stop) = self.second_sshd(HELPER, self.helper_port);
        let mut actions = vec![
            Action::new(
                "start a helper sshd, so that nobody meets a closed door meanwhile",
                start,
                stop,
            ),
            Action::new("see it listen", self.await_sshd(self.helper_port, true), vec![]),
        ];
        actions.extend(self.pieces.bridge.clone());
        actions.push(Action::new(
            "turn new logins to the helper",
            Step::Run(nft(&self.bridge_text())),
            vec![gone(&[BRIDGE_TABLE])],
        ));
        actions
    }

    fn end_door(&self) -> Vec<Action> {
        let Some(door) = self.door.filter(|_| self.needs_door()) else {
            return Vec::new();
        };
        let say = "end the trial's sshd; logins through it live on";
        let mut actions = self.end_second_sshd("door", door, say);
        // A listener for this host alone stays where it is.
        let mut listeners = self.facts.listeners.iter();
        if !listeners.any(|l| l.port == door && l.loopback()) {
            actions.push(Action::new(
                format!("see TCP/{door} free"),
                self.await_sshd(door, false),
                vec![],
            ));
        }
        actions
    }
}
