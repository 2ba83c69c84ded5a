//! Puts the pieces of a change into the one safe order. Used forwards by an apply and backwards by a rollback of
//! something committed: only the pieces differ, never the order.
//!
//! Every prefix of the steps leaves a door open, and so does every prefix of the undo. Files are written so that a
//! power cut between any two of them leaves a host that can be reached: accepts first, then sshd, the deny last.

use std::path::PathBuf;

use ipnet::IpNet;

use super::{Before, Change};
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::render::{self, BRIDGE_TABLE, Placed, TABLE, TRIAL_TABLE, Timed};
use crate::facts::{Activation, BackendId, BootFacts, SshFacts};
use crate::plan::Requirement;
use crate::sshd::change::FileChange;
use crate::step::{Action, Invocation, Signal, Step, Tool};
use crate::transaction::TxnId;

/// Where what is kept is written.
pub const NFT_FILE: &str = "/etc/nftables.d/faspwall.nft";
/// The unit that looks after an interrupted commit at boot.
pub const RECOVER_UNIT: &str = "/etc/systemd/system/faspwall-recover.service";
/// Runtime files: pid files of the doors.
pub const RUN_DIR: &str = "/run/faspwall";
/// Seconds that a commit may take before its trial rules run out by themselves.
const COMMIT_SECONDS: u64 = 600;
/// Seconds after which 22 opens again by itself when a commit dies half-way.
const COMMIT_SHUT_SECONDS: u64 = 60;

/// Everything that the order is applied to.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// The transaction.
    pub id: &'a TxnId,
    /// Seconds of a confirm window.
    pub window_s: u64,
    /// The ruleset without anything of ours.
    pub theirs: &'a Ruleset,
    /// sshd as it is.
    pub ssh: &'a SshFacts,
    /// Whether process 1 is systemd.
    pub systemd: bool,
    /// What loads the ruleset at boot.
    pub boot: &'a BootFacts,
    /// This program and the state directory, for the boot-time unit.
    pub program: &'a str,
    /// The port to be proved.
    pub door: Option<u16>,
    /// Ports shut in trial 2.
    pub closing: Vec<u16>,
    /// Networks spared from that.
    pub spared: Vec<IpNet>,
    /// Accepts of the trial.
    pub placed: Vec<Placed>,
    /// Whether our kept deny must be lifted for the trial (a way back through a port that we shut).
    pub lift: bool,
    /// Our nft text now, and afterwards; empty when there is none.
    pub live: (String, String),
    /// Changes of sshd's files; empty when sshd stays as it is.
    pub sshd_files: Vec<FileChange>,
    /// sshd's ports before and after.
    pub ssh_ports: (Vec<u16>, Vec<u16>),
    /// A free port for the helper sshd of the handover.
    pub helper_port: u16,
    /// The day on which a kept TCP/22 is to be closed.
    pub keep_22_until: Option<jiff::civil::Date>,
    /// What must be let through afterwards.
    pub requirements: Vec<Requirement>,
}

fn nft(text: &str) -> Invocation {
    Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text)
}

fn nft_check(text: &str) -> Invocation {
    Invocation::new(Tool::Nft, ["-c", "-f", "-"]).with_stdin(text)
}

fn action(say: impl Into<String>, step: Step, undo: Vec<Step>) -> Action {
    Action {
        say: say.into(),
        step,
        undo,
    }
}

/// New logins already go elsewhere; those on their way in are let through before a listener ends.
fn drain(port: u16) -> Action {
    let step = Step::Drain {
        port,
        quiet_ms: 150,
        timeout_ms: 3_000,
    };
    action(
        format!("let logins on their way to TCP/{port} arrive"),
        step,
        vec![],
    )
}

fn write(path: &str, content: &str) -> Step {
    Step::Write {
        path: PathBuf::from(path),
        content: content.to_owned(),
        mode: 0o644,
    }
}

fn put(path: &std::path::Path, content: Option<&String>) -> Step {
    match content {
        Some(content) => Step::Write {
            path: path.to_owned(),
            content: content.clone(),
            mode: 0o644,
        },
        None => Step::Remove(path.to_owned()),
    }
}

/// The accept lines of our nft text: without any deny.
fn accepts(text: &str) -> String {
    text.lines()
        .filter(|line| line.starts_with("insert rule "))
        .fold(String::new(), |sum, line| sum + line + "\n")
}

impl Parts<'_> {
    fn sets(&self) -> Vec<String> {
        vec![String::from("faspwall_tcp"), String::from("faspwall_udp")]
    }

    fn clocks(&self) -> Vec<Timed> {
        render::clock_and(render::timed_sets(&self.placed))
    }

    fn sweep(&self, tag: String, tables: &[&str], then: String) -> Step {
        Step::SweepNft {
            tag,
            sets: self.sets(),
            tables: tables.iter().map(|table| format!("inet {table}")).collect(),
            then,
        }
    }

    fn sweep_trial(&self) -> Step {
        self.sweep(
            format!("{}:trial", self.id.tag()),
            &[TRIAL_TABLE, BRIDGE_TABLE],
            String::new(),
        )
    }

    fn sweep_all(&self, then: String) -> Step {
        self.sweep(
            String::from("faspwall"),
            &[TRIAL_TABLE, BRIDGE_TABLE, TABLE],
            then,
        )
    }

    fn moves_sshd(&self) -> bool {
        !self.sshd_files.is_empty()
    }

    fn needs_door(&self) -> bool {
        self.moves_sshd() && self.door.is_some_and(|door| !self.ssh.ports.contains(&door))
    }

    fn config_path(&self) -> String {
        self.ssh.config.main.display().to_string()
    }

    /// A second sshd with the host's own configuration on another port, and how it is ended. Only the listener is
    /// ended: logins through it live on.
    fn second_sshd(&self, name: &str, port: u16) -> (Step, Vec<Step>) {
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
        if self.systemd {
            let unit = format!("faspwall-{name}-{}", self.id);
            let program = self
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

    /// `verb` is systemd's: an undo must also start an sshd that ended over its new configuration.
    fn reload(&self, verb: &str) -> Vec<Step> {
        match &self.ssh.activation {
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
                let pid = self.ssh.pid.map(|pid| format!("{pid}\n")).unwrap_or_default();
                vec![
                    write(&pid_file, &pid),
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
    fn start_if_silent(&self) -> Option<Step> {
        let call = match &self.ssh.activation {
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
    fn revive(&self) -> Vec<Step> {
        let mut steps = self.reload("reload-or-restart");
        steps.extend(self.start_if_silent());
        steps.extend(self.ssh_ports.0.iter().map(|port| self.await_sshd(*port, true)));
        steps
    }

    fn await_sshd(&self, port: u16, listening: bool) -> Step {
        Step::AwaitTcp {
            port,
            listening,
            comm: String::from("sshd"),
            timeout_ms: 8_000,
        }
    }

    fn check(&self) -> Vec<Action> {
        let mut checks = vec![action(
            "nft accepts the trial's rules",
            Step::Run(nft_check(&render::trial_1(
                &self.placed,
                &self.id.tag(),
                self.window_s,
            ))),
            vec![],
        )];
        if let (Some(content), false) = (&self.boot.content, self.live.1.is_empty()) {
            let file = self
                .boot
                .file
                .as_ref()
                .map(|f| f.display().to_string())
                .unwrap_or_default();
            checks.push(action(
                format!("nft accepts {file} with the new rules, as it will be at boot"),
                Step::Run(nft_check(&format!(
                    "{}\n{}",
                    without_include(content),
                    self.live.1
                ))),
                vec![],
            ));
        }
        if self.moves_sshd() {
            checks.push(action(
                "nft can turn new logins aside while sshd changes ports",
                Step::Run(nft_check(&self.bridge_text())),
                vec![],
            ));
            let test = Invocation::new(Tool::Sshd, ["-t", "-f", &self.config_path()]);
            checks.push(action(
                "sshd accepts its present configuration",
                Step::Run(test),
                vec![],
            ));
        }
        checks
    }

    fn bridge_text(&self) -> String {
        render::bridge(
            self.theirs,
            self.door.unwrap_or(22),
            self.helper_port,
            &self.id.tag(),
        )
    }

    fn trial_1(&self) -> Vec<Action> {
        let tag = self.id.tag();
        let opens: Vec<String> = {
            let mut all: Vec<String> = self
                .placed
                .iter()
                .filter(|p| p.need != "pin")
                .map(|p| p.chain.clone())
                .collect();
            all.dedup();
            all
        };
        let say = if opens.is_empty() {
            String::from("start the kernel's clock (no chain of this host drops the wanted ports)")
        } else {
            format!(
                "open the new ports for {} s at the top of {}",
                self.window_s,
                opens.join(", ")
            )
        };
        let mut actions = vec![action(
            say,
            Step::Run(nft(&render::trial_1(&self.placed, &tag, self.window_s))),
            vec![self.sweep_trial()],
        )];
        if self.lift {
            actions.push(action(
                "lift the deny that faspwall had set",
                self.sweep(format!("{tag}:none"), &[TABLE], String::new()),
                vec![self.sweep_all(self.live.0.clone())],
            ));
        }
        if let (Some(door), true) = (self.door, self.needs_door()) {
            let (start, stop) = self.second_sshd("door", door);
            actions.push(action(
                format!("start a second sshd on TCP/{door}; no file is touched"),
                start,
                stop,
            ));
            actions.push(action(
                format!("see it listen on TCP/{door}"),
                self.await_sshd(door, true),
                vec![],
            ));
        }
        actions
    }

    fn trial_2(&self) -> Vec<Action> {
        if self.closing.is_empty() {
            return Vec::new();
        }
        let ports: Vec<String> = self.closing.iter().map(|p| format!("TCP/{p}")).collect();
        vec![
            action(
                "give the opened ports their time anew",
                Step::Run(nft(&render::refresh(&self.clocks(), self.window_s))),
                vec![],
            ),
            action(
                format!(
                    "shut {} for new logins, by the kernel's clock: it opens by itself after {} s",
                    ports.join(", "),
                    self.window_s
                ),
                Step::Run(nft(&render::trial_2(
                    &self.closing,
                    &self.spared,
                    &self.id.tag(),
                    self.window_s,
                ))),
                vec![Step::Try(nft(&format!("flush set inet {TRIAL_TABLE} shut\n")))],
            ),
        ]
    }

    fn commit(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut keep = render::refresh(&self.clocks(), COMMIT_SECONDS);
        if !self.closing.is_empty() {
            keep.push_str(&render::refresh(
                &[render::deny_set(&self.closing)],
                COMMIT_SHUT_SECONDS,
            ));
        }
        actions.push(action(
            "keep the trial's ports open while everything is made permanent",
            Step::Run(nft(&keep)),
            vec![self.sweep_all(self.live.0.clone())],
        ));
        if self.systemd {
            actions.extend(self.boot_check());
        }
        actions.extend(self.write_rules());
        actions.extend(self.move_sshd());
        let both = format!("{}{}", accepts(&self.live.0), accepts(&self.live.1));
        actions.push(action(
            "put the permanent rules in place and take the trial's away, in one transaction",
            self.sweep_all(self.live.1.clone()),
            vec![self.sweep_all(both)],
        ));
        if self.moves_sshd() {
            let (_, stop) = self.second_sshd("bridge", self.helper_port);
            actions.push(drain(self.helper_port));
            actions.extend(
                stop.into_iter()
                    .map(|step| action("end the helper sshd; logins through it live on", step, vec![])),
            );
        }
        if self.live.1 != accepts(&self.live.1) {
            actions.push(action(
                format!("write {NFT_FILE} for the next boot, with the deny"),
                write(NFT_FILE, &self.live.1),
                vec![write(NFT_FILE, &accepts(&self.live.1))],
            ));
        }
        if self.systemd {
            actions.push(action(
                "take the boot-time check away",
                Step::Try(Invocation::new(
                    Tool::Systemctl,
                    ["disable", "--quiet", "faspwall-recover.service"],
                )),
                vec![],
            ));
            actions.push(action(
                "remove its unit",
                Step::Remove(PathBuf::from(RECOVER_UNIT)),
                vec![],
            ));
        }
        actions
    }

    /// Exists only while files change: a power cut in between is made good before sshd and the network start.
    fn boot_check(&self) -> Vec<Action> {
        let unit = include_str!("../../assets/faspwall-recover.service").replace("@PROGRAM@", self.program);
        let call =
            |verb: &str| Invocation::new(Tool::Systemctl, [verb, "--quiet", "faspwall-recover.service"]);
        vec![
            action(
                "write the boot-time check, in case the power fails while files are written",
                write(RECOVER_UNIT, &unit),
                vec![Step::Remove(PathBuf::from(RECOVER_UNIT))],
            ),
            action(
                "arm it",
                Step::Run(call("enable")),
                vec![Step::Try(call("disable"))],
            ),
        ]
    }

    fn write_rules(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let before = (!self.live.0.is_empty()).then_some(&self.live.0);
        let path = PathBuf::from(NFT_FILE);
        if self.live.1.is_empty() {
            if before.is_some() {
                actions.push(action(
                    format!("remove {NFT_FILE}"),
                    Step::Remove(path.clone()),
                    vec![put(&path, before)],
                ));
            }
        } else {
            actions.push(action(
                format!("write {NFT_FILE} for the next boot"),
                write(NFT_FILE, &accepts(&self.live.1)),
                vec![put(&path, before)],
            ));
        }
        if let Some(conf) = boot_file_change(self.boot, self.live.1.is_empty()) {
            let verb = if self.live.1.is_empty() {
                "no longer reads"
            } else {
                "reads"
            };
            actions.push(action(
                format!("{} {verb} it", conf.path.display()),
                put(&conf.path, conf.after.as_ref()),
                vec![put(&conf.path, conf.before.as_ref())],
            ));
        }
        if let (Some(file), false) = (&self.boot.file, self.live.1.is_empty()) {
            // An include line of the operator's may stand above the table that our rules go into.
            let call = Invocation::new(Tool::Nft, ["-c", "-f", &file.display().to_string()]);
            actions.push(action(
                format!("nft accepts {} as it stands now", file.display()),
                Step::Run(call),
                vec![],
            ));
        }
        actions
    }

    fn move_sshd(&self) -> Vec<Action> {
        if !self.moves_sshd() {
            return Vec::new();
        }
        let mut actions = Vec::new();
        // Undo runs backwards: the reload stands with the first file, so it comes after all files are back.
        for (number, file) in self.sshd_files.iter().enumerate() {
            let mut undo = vec![put(&file.path, file.before.as_ref())];
            if number == 0 {
                undo.extend(self.revive());
            }
            let verb = if file.after.is_some() { "write" } else { "remove" };
            actions.push(action(
                format!("{verb} {}", file.path.display()),
                put(&file.path, file.after.as_ref()),
                undo,
            ));
        }
        let test = Invocation::new(Tool::Sshd, ["-t", "-f", &self.config_path()]);
        actions.push(action(
            "sshd accepts its new configuration",
            Step::Run(test),
            vec![],
        ));
        let (start, stop) = self.second_sshd("bridge", self.helper_port);
        actions.push(action(
            "start a helper sshd, so that nobody meets a closed door meanwhile",
            start,
            stop.clone(),
        ));
        actions.push(action(
            "see it listen",
            self.await_sshd(self.helper_port, true),
            vec![],
        ));
        actions.push(action(
            "turn new logins to the helper",
            Step::Run(nft(&self.bridge_text())),
            vec![self.sweep(
                format!("{}:trial:bridge", self.id.tag()),
                &[BRIDGE_TABLE],
                String::new(),
            )],
        ));
        if let (Some(door), true) = (self.door, self.needs_door()) {
            let (_, stop) = self.second_sshd("door", door);
            actions.push(drain(door));
            actions.extend(
                stop.into_iter()
                    .map(|step| action("end the trial's sshd; logins through it live on", step, vec![])),
            );
            actions.push(action(
                format!("see TCP/{door} free"),
                self.await_sshd(door, false),
                vec![],
            ));
        }
        for step in self.reload("reload") {
            actions.push(action("let sshd read its configuration again", step, vec![]));
        }
        for port in &self.ssh_ports.1 {
            actions.push(action(
                format!("see sshd listen on TCP/{port}"),
                self.await_sshd(*port, true),
                vec![],
            ));
        }
        actions
    }

    /// The whole change.
    pub fn assemble(
        &self,
        fingerprint: String,
        opened: Vec<String>,
        closed: Vec<String>,
        reverts: Option<String>,
    ) -> Change {
        let mut files: Vec<String> = Vec::new();
        let mut before: Vec<(PathBuf, Option<String>, Option<String>)> = Vec::new();
        let text = |text: &String| if text.is_empty() { None } else { Some(text.clone()) };
        if self.live.0 != self.live.1 {
            before.push((PathBuf::from(NFT_FILE), text(&self.live.0), text(&self.live.1)));
        }
        let conf = boot_file_change(self.boot, self.live.1.is_empty());
        for file in conf.iter().chain(&self.sshd_files) {
            before.push((file.path.clone(), file.before.clone(), file.after.clone()));
        }
        files.extend(
            before
                .iter()
                .filter(|(_, _, after)| after.is_some())
                .map(|(path, _, _)| path.display().to_string()),
        );
        Change {
            id: self.id.clone(),
            backend: BackendId::Nftables,
            door: self.door,
            closing: self.closing.clone(),
            fingerprint,
            check: self.check(),
            trial_1: self.trial_1(),
            trial_2: self.trial_2(),
            commit: self.commit(),
            opened,
            closed,
            files,
            reverts,
            clocks: self.clocks(),
            deny: if self.closing.is_empty() {
                Vec::new()
            } else {
                vec![render::deny_set(&self.closing)]
            },
            keep_22_until: self.keep_22_until,
            requirements: self.requirements.clone(),
            before: Before {
                files: before,
                ssh_ports: self.ssh_ports.0.clone(),
                ssh_ports_after: self.ssh_ports.1.clone(),
                ssh_config: self.ssh.config.main.clone(),
            },
        }
    }
}

/// Reads our file and no other: what else lies in that directory may be switched off on purpose.
const INCLUDE: &str = "include \"/etc/nftables.d/faspwall*.nft\"";
/// A line of the operator's own that reads our file as well.
const THEIR_INCLUDE: &str = "include \"/etc/nftables.d/*.nft\"";
const INCLUDE_NOTE: &str = "# The next line was added by faspwall; it reads the rules that faspwall keeps.";

/// The include line is added to the file that is loaded at boot, and taken out again with the last of our rules.
pub fn boot_file_change(boot: &BootFacts, no_rules: bool) -> Option<FileChange> {
    let (path, content) = (boot.file.clone()?, boot.content.clone()?);
    let after = if no_rules {
        without_include(&content)
    } else {
        with_include(&content)
    };
    (after != content).then_some(FileChange {
        path,
        before: Some(content),
        after: Some(after),
    })
}

/// The boot file with our include line at its end. A glob that matches nothing is no error for nft, a missing file is.
fn with_include(content: &str) -> String {
    if content
        .lines()
        .any(|line| matches!(line.trim(), INCLUDE | THEIR_INCLUDE))
    {
        return content.to_owned();
    }
    let end = if content.is_empty() || content.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{content}{end}{INCLUDE_NOTE}\n{INCLUDE}\n")
}

/// The boot file without the lines that we added; an include line of the operator's own stays.
fn without_include(content: &str) -> String {
    content.replace(&format!("{INCLUDE_NOTE}\n{INCLUDE}\n"), "")
}
