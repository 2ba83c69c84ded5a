//! Puts the pieces of a change into the one safe order. Used forwards by an apply and backwards by a rollback of
//! something committed: only the pieces differ, never the order.
//!
//! Every prefix of the steps leaves a door open, and so does every prefix of the undo. Files are written so that a
//! power cut between any two of them leaves a host that can be reached: accepts first, then sshd, the deny last.

mod boot;
mod daemon;

use std::collections::BTreeMap;
use std::path::PathBuf;

use self::daemon::HELPER;
use super::{Before, Change};
use crate::backend::Pieces;
use crate::backend::nftables::render::{self, BRIDGE_TABLE, TRIAL_TABLE, Timed};
use crate::backend::nftables::wall::{Gates, trial_wall, unshut_wall, wall_set};
use crate::facts::{Activation, BackendId, Facts};
use crate::plan::Requirement;
use crate::sshd::change::FileChange;
use crate::sshd::command_line;
use crate::sshd::neighbours::{self, Label};
use crate::sshd::reserve::{Reservation, SETTING};
use crate::step::{Action, Invocation, Step, Tool};
use crate::transaction::TxnId;
use ipnet::IpNet;

/// The unit that looks after an interrupted commit at boot.
pub const RECOVER_UNIT: &str = "/etc/systemd/system/faspwall-recover.service";
/// Runtime files: pid files of the doors.
pub const RUN_DIR: &str = "/run/faspwall";
/// Seconds for which the trial's accepts hold once a commit has begun: a day. sshd moves before the permanent accepts are
/// in, so they must outlive a commit that hangs, and the guard that ends and undoes it, whatever those take. They add
/// and take nothing away, and every end of the commit removes them; the deny of the old port has its own short time.
const COMMIT_SECONDS: u64 = 86_400;
/// Seconds after which 22 opens again by itself when a commit dies half-way.
pub const COMMIT_SHUT_SECONDS: u64 = 60;

/// A port that nobody listens on, for the helper sshd of the handover.
pub fn helper_port(facts: &Facts) -> u16 {
    let taken = |port: &u16| facts.listeners.iter().any(|l| l.port == *port);
    (61_022..61_122).find(|port| !taken(port)).unwrap_or(61_022)
}

/// Everything that the order is applied to.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// The transaction.
    pub id: &'a TxnId,
    /// Seconds of a confirm window.
    pub window_s: u64,
    /// The host.
    pub facts: &'a Facts,
    /// Who owns the policy.
    pub backend: BackendId,
    /// What the firewalls contribute.
    pub pieces: Pieces,
    /// Text of what each backend keeps, before and afterwards.
    pub kept: BTreeMap<BackendId, (String, String)>,
    /// This program and the state directory, for the boot-time unit.
    pub program: &'a str,
    /// The port to be proved.
    pub door: Option<u16>,
    /// Ports shut in trial 2.
    pub closing: Vec<u16>,
    /// Networks spared from that.
    pub spared: Vec<IpNet>,
    /// What a new default-deny set lets through, where one is to stand.
    pub gates: Option<Gates>,
    /// Whether our kept deny must be lifted for the trial (a way back through a port that we shut).
    pub lift: bool,
    /// Changes of sshd's files; empty when sshd stays as it is.
    pub sshd_files: Vec<FileChange>,
    /// Changes of the product's own file.
    pub product_files: Vec<FileChange>,
    /// What is kept from outgoing connections.
    pub reservation: Option<Reservation>,
    /// sshd's ports before and after.
    pub ssh_ports: (Vec<u16>, Vec<u16>),
    /// A free port for the helper sshd of the handover.
    pub helper_port: u16,
    /// Units that are to start at boot from now on.
    pub enable: Vec<String>,
    /// Units that are not to start at boot any more: a way back.
    pub disable: Vec<String>,
    /// Ports that SELinux is no longer to know as sshd's: a way back.
    pub unlabel: Vec<Label>,
    /// The day on which a kept TCP/22 is to be closed.
    pub keep_22_until: Option<jiff::civil::Date>,
    /// What must be let through afterwards.
    pub requirements: Vec<Requirement>,
    /// What earlier changes let through, and is not asked for any more.
    pub at_liberty: Vec<Requirement>,
    /// What people have to do once it is permanent.
    pub left_to_do: Vec<String>,
}

fn nft(text: &str) -> Invocation {
    Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text)
}

fn nft_check(text: &str) -> Invocation {
    Invocation::new(Tool::Nft, ["-c", "-f", "-"]).with_stdin(text)
}

/// Takes tables of ours away that exist only for a while.
fn gone(tables: &[&str]) -> Step {
    Step::Run(nft(&render::without_tables(tables)))
}

impl Parts<'_> {
    fn clocks(&self) -> Vec<Timed> {
        render::clock_and(self.pieces.clocks.clone())
    }

    fn moves_sshd(&self) -> bool {
        !self.sshd_files.is_empty()
    }

    fn needs_door(&self) -> bool {
        let listens = |door: u16| self.facts.ssh.ports.contains(&door);
        self.moves_sshd() && self.door.is_some_and(|door| !listens(door))
    }

    fn check(&self) -> Vec<Action> {
        let mut checks = self.pieces.check.clone();
        if let Some(gates) = &self.gates {
            checks.push(Action::new(
                "nft accepts the default-deny set",
                Step::Run(nft_check(&self.wall_text(gates))),
                vec![],
            ));
        }
        if self.moves_sshd() {
            checks.push(Action::new(
                "nft can turn new logins aside while sshd changes ports",
                Step::Run(nft_check(&self.bridge_text())),
                vec![],
            ));
            checks.push(Action::new(
                "sshd accepts its present configuration",
                self.test_configuration(),
                vec![],
            ));
        }
        if self.changes_jail() && self.facts.ssh.jail.is_some() {
            checks.push(Action::new(
                "fail2ban accepts its present configuration",
                Step::Run(neighbours::fail2ban(&["-t"])),
                vec![],
            ));
        }
        checks
    }

    fn bridge_text(&self) -> String {
        render::bridge(self.door.unwrap_or(22), self.helper_port)
    }

    fn trial_1(&self) -> Vec<Action> {
        let say = if self.pieces.open.is_empty() {
            "start the kernel's clock (no chain of this host drops the wanted ports)"
        } else {
            "start the kernel's clock"
        };
        let mut actions = vec![Action::new(
            say,
            Step::Run(nft(&render::clock(self.window_s))),
            vec![gone(&[TRIAL_TABLE, BRIDGE_TABLE])],
        )];
        actions.extend(self.pieces.open.clone());
        if self.lift {
            actions.extend(self.pieces.lift.clone());
        }
        if self.moves_sshd() {
            actions.extend(self.labels().iter().map(Label::action));
        }
        if let (Some(door), true) = (self.door, self.needs_door()) {
            let (start, stop) = self.second_sshd("door", door);
            actions.push(Action::new(
                format!("start a second sshd on TCP/{door}; no file is touched"),
                start,
                stop,
            ));
            actions.push(Action::new(
                format!("see it listen on TCP/{door}"),
                self.await_sshd(door, true),
                vec![],
            ));
        }
        actions
    }

    /// What trial 2 shuts, each timed by the kernel.
    fn deny_sets(&self) -> Vec<Timed> {
        let ports = (!self.closing.is_empty()).then(|| render::deny_set(&self.closing));
        ports
            .into_iter()
            .chain(self.gates.as_ref().map(|_| wall_set()))
            .collect()
    }

    fn trial_2(&self) -> Vec<Action> {
        if self.deny_sets().is_empty() {
            return Vec::new();
        }
        let mut actions = vec![Action::new(
            "give the opened ports their time anew",
            Step::Run(nft(&render::refresh(&self.clocks(), self.window_s))),
            vec![],
        )];
        actions.extend(self.new_time("the same for the rules of iptables", self.window_s));
        if !self.closing.is_empty() {
            let ports: Vec<String> = self.closing.iter().map(|p| format!("TCP/{p}")).collect();
            actions.push(Action::new(
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
                vec![Step::Unshut(nft(&render::unshut()))],
            ));
        }
        if let Some(gates) = &self.gates {
            actions.push(Action::new(
                format!(
                    "refuse everything that is not asked for, by the kernel's clock: it opens by itself after {} s",
                    self.window_s
                ),
                Step::Run(nft(&self.wall_text(gates))),
                vec![Step::Unshut(nft(&unshut_wall()))],
            ));
        }
        actions
    }

    fn wall_text(&self, gates: &Gates) -> String {
        let helper = self.moves_sshd().then_some(self.helper_port);
        trial_wall(gates, helper, &self.id.tag(), self.window_s)
    }

    /// Timed rules of iptables hold for that many seconds from now.
    fn new_time(&self, say: &str, seconds: u64) -> Vec<Action> {
        let timed = self.pieces.timed.iter();
        timed
            .map(|step| Action::new(say, step.clone().lasting(seconds), vec![]))
            .collect()
    }

    fn commit(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut keep = render::refresh(&self.clocks(), COMMIT_SECONDS);
        keep.push_str(&render::refresh(&self.deny_sets(), COMMIT_SHUT_SECONDS));
        let mut undo = self.pieces.restore.clone();
        undo.push(gone(&[TRIAL_TABLE, BRIDGE_TABLE]));
        actions.push(Action::new(
            "keep the trial's ports open while everything is made permanent",
            Step::Run(nft(&keep)),
            undo,
        ));
        actions.extend(self.new_time("the same for the rules of iptables", COMMIT_SECONDS));
        actions.extend(self.boot_check());
        actions.extend(self.pieces.keep.clone());
        actions.extend(self.start_at_boot());
        actions.extend(self.reserve());
        actions.extend(self.move_sshd());
        actions.extend(self.set_product());
        actions.extend(self.pieces.settle.clone());
        actions.push(Action::new(
            "take what was only for the trial away",
            gone(&[TRIAL_TABLE, BRIDGE_TABLE]),
            vec![],
        ));
        if self.moves_sshd() {
            let say = "end the helper sshd; logins through it live on";
            actions.extend(self.end_second_sshd(HELPER, self.helper_port, say));
        }
        for label in &self.unlabel {
            let say = format!(
                "SELinux no longer allows sshd the port TCP/{}, as before",
                label.port
            );
            actions.push(Action::new(say, label.undo(), vec![]));
        }
        actions.extend(self.pieces.seal.clone());
        actions.extend(self.end_boot_check());
        actions
    }

    /// Before sshd lets its new port go for a moment.
    fn reserve(&self) -> Vec<Action> {
        let Some(Reservation { file, live }) = &self.reservation else {
            return Vec::new();
        };
        let say = if file.after.is_some() {
            "keep the new ports from outgoing connections of this host"
        } else {
            "no longer keep these ports from outgoing connections"
        };
        let mut actions = vec![Action::new(
            say,
            Step::put(&file.path, file.after.as_deref(), 0o644),
            vec![Step::put(&file.path, file.before.as_deref(), 0o644)],
        )];
        if let Some((before, after)) = live {
            let tune = |value: &String| Step::Tune {
                path: PathBuf::from(SETTING),
                value: value.clone(),
            };
            actions.push(Action::new(
                "the same for the running kernel",
                tune(after),
                vec![tune(before)],
            ));
        }
        actions
    }

    /// The product reads its file for each transfer: it changes once sshd listens as it shall.
    fn set_product(&self) -> Vec<Action> {
        let revise = |path: &PathBuf, before: &str, after: &str| Step::Revise {
            path: path.clone(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let files = self.product_files.iter().filter_map(|file| {
            let (before, after) = (file.before.as_deref()?, file.after.as_deref()?);
            Some(Action::new(
                format!("set the ports in {}", file.path.display()),
                revise(&file.path, before, after),
                vec![revise(&file.path, after, before)],
            ))
        });
        files.collect()
    }

    /// The whole change.
    pub fn assemble(
        &self,
        fingerprint: String,
        opened: Vec<String>,
        closed: Vec<String>,
        reverts: Option<String>,
    ) -> Change {
        let mut before = self.pieces.files.clone();
        let reserved = self.reservation.iter().map(|reservation| &reservation.file);
        for file in self.sshd_files.iter().chain(&self.product_files).chain(reserved) {
            before.push((file.path.clone(), file.before.clone(), file.after.clone()));
        }
        let mut files: Vec<String> = before
            .iter()
            .filter(|(_, _, after)| after.is_some())
            .map(|(path, _, _)| path.display().to_string())
            .collect();
        files.extend(
            self.pieces
                .rewritten
                .iter()
                .map(|(path, _)| path.display().to_string()),
        );
        Change {
            id: self.id.clone(),
            backend: self.backend,
            door: self.door,
            closing: self.closing.clone(),
            spared: self.spared.clone(),
            wall: self.gates.is_some(),
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
            timed: self.pieces.timed.clone(),
            deny: self.deny_sets(),
            keep_22_until: self.keep_22_until,
            requirements: self.requirements.clone(),
            at_liberty: self.at_liberty.clone(),
            left_to_do: self.left_to_do.clone(),
            answers: None,
            notice: None,
            before: Before {
                files: before,
                rewritten: self.pieces.rewritten.clone(),
                sshd_files: self.sshd_files.iter().map(|file| file.path.clone()).collect(),
                product_files: self.product_files.iter().map(|file| file.path.clone()).collect(),
                kept: self.kept.clone(),
                open: Vec::new(),
                enabled: self.enable.clone(),
                reserved: self
                    .reservation
                    .as_ref()
                    .map(|reservation| (reservation.file.path.clone(), reservation.live.clone())),
                ssh_ports: self.ssh_ports.0.clone(),
                ssh_ports_after: self.ssh_ports.1.clone(),
                ssh_config: self.facts.ssh.config.main.clone(),
                labels: if self.moves_sshd() {
                    self.labels()
                } else {
                    Vec::new()
                },
                ssh_socket: matches!(self.facts.ssh.activation, Activation::Socket(_)),
                ssh_options: command_line::config_arguments(&command_line::after(
                    &self.facts.ssh.args,
                    &self.ssh_ports.0,
                    &self.ssh_ports.1,
                )),
            },
        }
    }
}
