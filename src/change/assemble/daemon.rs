//! sshd's part of a change: the trial's door, the helper of the handover, the reload, and the way back from it.

use std::path::{Path, PathBuf};

use super::{Parts, RUN_DIR, gone, nft};
use crate::backend::nftables::render::BRIDGE_TABLE;
use crate::facts::Activation;
use crate::step::{Action, Invocation, Signal, Step, Tool};

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

impl Parts<'_> {
    pub(super) fn config_path(&self) -> String {
        self.facts.ssh.config.main.display().to_string()
    }

    /// A second sshd with the host's own configuration on another port, and how it is ended. Only the listener is
    /// ended: logins through it live on.
    pub(super) fn second_sshd(&self, name: &str, port: u16) -> (Step, Vec<Step>) {
        let pid_file = format!("{RUN_DIR}/{name}-{}.pid", self.id);
        let sshd_args = [
            "-f",
            &self.config_path(),
            "-p",
            &port.to_string(),
            "-o",
            &format!("PidFile={pid_file}"),
        ]
        .map(str::to_owned);
        if self.facts.os.systemd {
            let unit = format!("faspwall-{name}-{}", self.id);
            let program = self
                .facts
                .ssh
                .program
                .as_ref()
                .map_or("/usr/sbin/sshd".into(), |p| p.display().to_string());
            let mut args: Vec<String> = vec![
                format!("--unit={unit}"),
                "--collect".into(),
                "--quiet".into(),
                "--property=KillMode=process".into(),
                format!(
                    "--description=faspwall: sshd on {port} for transaction {}",
                    self.id
                ),
                "--".into(),
                program,
                "-D".into(),
            ];
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
            Activation::Socket(_) | Activation::None => Vec::new(),
        }
    }

    /// For the way back: an sshd that could not bind its new port has ended, and cannot be reloaded.
    pub(super) fn start_if_silent(&self) -> Option<Step> {
        let call = match &self.facts.ssh.activation {
            Activation::Service(unit) => Invocation::new(Tool::Systemctl, ["restart", unit.as_str()]),
            Activation::Plain(_) => Invocation::new(Tool::Sshd, ["-f", &self.config_path()]),
            Activation::Socket(_) | Activation::None => return None,
        };
        let port = *self.ssh_ports.0.first()?;
        Some(Step::StartIfSilent {
            port,
            comm: String::from("sshd"),
            call,
            patience_ms: 2_000,
        })
    }

    /// Undo's reload, until sshd listens as before. A daemon that could not get its new port has ended: it is started
    /// again.
    pub(super) fn revive(&self) -> Vec<Step> {
        let mut steps = self.reload("reload-or-restart");
        steps.extend(self.start_if_silent());
        steps.extend(self.ssh_ports.0.iter().map(|port| self.await_sshd(*port, true)));
        steps
    }

    pub(super) fn await_sshd(&self, port: u16, listening: bool) -> Step {
        Step::AwaitTcp {
            port,
            listening,
            comm: String::from("sshd"),
            timeout_ms: 8_000,
        }
    }

    pub(super) fn move_sshd(&self) -> Vec<Action> {
        if !self.moves_sshd() {
            return Vec::new();
        }
        let mut actions = Vec::new();
        // Undo runs backwards: the reload stands with the first file, so it comes after all files are back.
        for (number, file) in self.sshd_files.iter().enumerate() {
            let mut undo = vec![Step::put(&file.path, file.before.as_deref(), 0o644)];
            if number == 0 {
                undo.extend(self.revive());
            }
            let verb = if file.after.is_some() { "write" } else { "remove" };
            actions.push(Action::new(
                format!("{verb} {}", file.path.display()),
                Step::put(&file.path, file.after.as_deref(), 0o644),
                undo,
            ));
        }
        let test = Invocation::new(Tool::Sshd, ["-t", "-f", &self.config_path()]);
        actions.push(Action::new(
            "sshd accepts its new configuration",
            Step::Run(test),
            vec![],
        ));
        let (start, stop) = self.second_sshd("bridge", self.helper_port);
        actions.push(Action::new(
            "start a helper sshd, so that nobody meets a closed door meanwhile",
            start,
            stop.clone(),
        ));
        actions.push(Action::new(
            "see it listen",
            self.await_sshd(self.helper_port, true),
            vec![],
        ));
        actions.extend(self.pieces.bridge.clone());
        actions.push(Action::new(
            "turn new logins to the helper",
            Step::Run(nft(&self.bridge_text())),
            vec![gone(&[BRIDGE_TABLE])],
        ));
        if let (Some(door), true) = (self.door, self.needs_door()) {
            actions.extend(self.end_second_sshd(
                "door",
                door,
                "end the trial's sshd; logins through it live on",
            ));
            actions.push(Action::new(
                format!("see TCP/{door} free"),
                self.await_sshd(door, false),
                vec![],
            ));
        }
        for step in self.reload("reload") {
            actions.push(Action::new("let sshd read its configuration again", step, vec![]));
        }
        for port in &self.ssh_ports.1 {
            actions.push(Action::new(
                format!("see sshd listen on TCP/{port}"),
                self.await_sshd(*port, true),
                vec![],
            ));
        }
        actions.push(Action::new(
            "turn new logins to sshd again",
            gone(&[BRIDGE_TABLE]),
            vec![],
        ));
        actions
    }
}
