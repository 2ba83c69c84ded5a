//! Puts the pieces of a change into the one safe order. Used forwards by an apply and backwards by a rollback of
//! something committed: only the pieces differ, never the order.
//!
//! Every prefix of the steps leaves a door open, and so does every prefix of the undo. Files are written so that a
//! power cut between any two of them leaves a host that can be reached: accepts first, then sshd, the deny last.

mod boot;
mod daemon;

use self::boot::without_include;

pub use self::boot::boot_file_change;

use std::path::PathBuf;

use ipnet::IpNet;

use super::{Before, Change};
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::render::{self, BRIDGE_TABLE, Placed, TABLE, TRIAL_TABLE, Timed};
use crate::facts::{BackendId, BootFacts, SshFacts};
use crate::plan::Requirement;
use crate::sshd::change::FileChange;
use crate::step::{Action, Invocation, Step, Tool};
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
            let say = "end the helper sshd; logins through it live on";
            actions.extend(self.end_second_sshd("bridge", self.helper_port, say));
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
