//! The command line: what can be typed, which part does it, and with which exit status it ends.

mod capture;
mod failure;
mod generate;
mod json;
mod notice;
mod print;
mod rehearse;
mod unattended;
mod undo;
mod wizard;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use failure::Failure;

use crate::engine::Engine;
use crate::system::System;
use crate::system::replay::Replay;
use crate::transaction::TxnId;

/// Open the ports an Aspera transfer host needs, close TCP/22, and never get locked out.
#[derive(Debug, Parser)]
#[command(
    name = "faspwall",
    version,
    about,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Settings for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command; none is the wizard.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where journals and snapshots are kept [default: /var/lib/faspwall for root].
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Run on the host that `faspwall capture` recorded in this directory; nothing can be changed on it.
    #[arg(long, global = true, value_name = "DIR")]
    pub machine: Option<PathBuf>,
    /// Ask line by line instead of drawing pages (screen readers, dumb terminals).
    #[arg(long, global = true)]
    pub plain: bool,
    /// Draw with ASCII characters only.
    #[arg(long, global = true)]
    pub ascii: bool,
    /// No colours.
    #[arg(long, global = true)]
    pub mono: bool,
    /// Size of the terminal, when it does not tell: 80x24.
    #[arg(long, global = true, value_name = "CxR", value_parser = size)]
    pub size: Option<(u16, u16)>,
    /// Accept an advice by its code, such as FW001 (repeatable).
    #[arg(long, global = true, value_name = "CODE")]
    pub accept: Vec<String>,
    /// Tell every command that is run; with --machine, every question that has no answer.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The answers file.
#[derive(Debug, Clone, Args)]
pub struct File {
    /// Answers file; `faspwall generate answers` prints one with comments.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: PathBuf,
}

/// How a change is tried before it is permanent.
#[derive(Debug, Clone, Args)]
pub struct Trying {
    /// How long each trial waits for its confirmation: 120s, 5m.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = seconds)]
    confirm_within: u64,
    /// Commit at once, without proof.
    #[arg(long)]
    no_confirm: bool,
    /// Do not try the change on a sealed copy first.
    #[arg(long)]
    no_rehearsal: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What can be typed.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The wizard (the same as no command at all).
    Wizard,
    /// Tell what was found on this host: firewall, sshd, how you are connected, Aspera product.
    Detect {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the roles and the ports they need, with the reason and the vendor's page.
    Roles {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell what `apply` would do now; changes nothing.
    Plan {
        /// The answers.
        #[command(flatten)]
        file: File,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// With the differences in files.
        #[arg(long)]
        diff: bool,
        /// End with status 10 when there is something to do.
        #[arg(long)]
        exit_code: bool,
    },
    /// Send packets at a sealed copy of this host, before and after the change; changes nothing.
    Rehearse {
        /// The answers.
        #[command(flatten)]
        file: File,
        /// Look at all 65,535 ports as well.
        #[arg(long)]
        sweep: bool,
        /// Take the rules from a file, as nft list ruleset or iptables-save print them; needs no root.
        #[arg(long, value_name = "DUMP")]
        ruleset: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Apply as one transaction: it undoes itself unless it is confirmed over the new port.
    Apply {
        /// The answers.
        #[command(flatten)]
        file: File,
        /// How it is tried.
        #[command(flatten)]
        trial: Trying,
    },
    /// Close a TCP/22 that was kept for a while: the second step of a move in two, with trial and way back.
    #[command(name = "close-22")]
    Close22 {
        /// How it is tried.
        #[command(flatten)]
        trial: Trying,
    },
    /// Print the text for the users of this host: what changes for them, when, and what they have to do.
    Notice {
        /// Answers file; without one, the text of the change in force.
        #[arg(short = 'f', long = "file", value_name = "FILE")]
        file: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prove, from a new login on the new port, that it works: goes on to the next trial, or makes the change permanent.
    Confirm {
        /// The code that `apply` printed; `keep` at a local console.
        code: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give the open transaction more time.
    Extend {
        /// How much: 60s, 2m.
        #[arg(default_value = "60s", value_parser = seconds)]
        time: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Undo the open transaction, or go back from a committed one (guarded like an apply).
    Rollback {
        /// Which; the open one, or the last committed one.
        #[arg(value_parser = transaction)]
        id: Option<TxnId>,
        /// How long each trial of the way back waits for its confirmation.
        #[arg(long, value_name = "TIME", default_value = "120s", value_parser = seconds)]
        confirm_within: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell what is open, what is applied, and what differs from it.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What was kept: list, show ID, prune --keep N.
    Snapshots {
        /// What to do.
        #[command(subcommand)]
        what: Option<Snapshots>,
        /// As JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Record what is seen on this host, without secrets: a report that can be run with --machine. Changes nothing.
    Capture {
        /// A new or empty directory.
        dir: PathBuf,
    },
    /// A sealed training host: the real wizard, a real firewall, nothing outside changes, no root needed.
    Lab {
        /// The scenario, or `enter` for a shell on the peer of the lab that runs.
        name: Option<String>,
        /// List the scenarios.
        #[arg(long)]
        list: bool,
        /// With `enter`: a command instead of a shell.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Print a man page, shell completions or the commented answers template.
    Generate {
        /// What.
        #[command(subcommand)]
        what: generate::What,
    },
    /// The dead-man's switch; started by faspwall itself.
    #[command(hide = true)]
    Guard {
        /// The transaction it watches.
        #[arg(value_parser = transaction)]
        id: TxnId,
        /// Watch until the deadline, as guard number N.
        #[arg(long, value_name = "N")]
        watch: Option<usize>,
    },
    /// The boot-time check; started by systemd.
    #[command(hide = true)]
    Recover,
    /// The inner stages of a rehearsal.
    #[command(hide = true)]
    RehearseInside {
        /// Which.
        stage: String,
    },
    /// The inner stages of the lab.
    #[command(hide = true)]
    LabInside {
        /// Stage and command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// `faspwall snapshots ...`
#[derive(Debug, Subcommand)]
pub enum Snapshots {
    /// List them.
    List,
    /// Print one: journal and ruleset.
    Show {
        /// Which.
        #[arg(value_parser = transaction)]
        id: TxnId,
    },
    /// Remove the oldest.
    Prune {
        /// How many stay.
        #[arg(long)]
        keep: usize,
    },
}

fn transaction(text: &str) -> Result<TxnId, String> {
    TxnId::new(text).ok_or_else(|| {
        String::from("a transaction looks like 20261123-073112; faspwall snapshots lists them")
    })
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let parse = |t: &str| t.parse::<u16>().ok().filter(|n| (1..=1000).contains(n));
    text.split_once(['x', 'X'])
        .and_then(|(columns, rows)| Some((parse(columns)?, parse(rows)?)))
        .ok_or_else(|| String::from("columns x rows, such as 80x24"))
}

/// Seconds: `120`, `120s`, `5m`; from 10 seconds to 15 minutes.
fn seconds(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    match seconds {
        Some(seconds) if (10..=900).contains(&seconds) => Ok(seconds),
        _ => Err(String::from("a time from 10s to 15m, such as 120s")),
    }
}

/// Where state is kept: a fixed place for root, never the home directory that sudo happens to leave in the
/// environment.
fn state_dir(system: &dyn System, global: &Global) -> PathBuf {
    if let Some(dir) = &global.state_dir {
        return std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    }
    if system.is_root() {
        return PathBuf::from("/var/lib/faspwall");
    }
    directories::ProjectDirs::from("", "", "faspwall")
        .and_then(|dirs| dirs.state_dir().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/var/lib/faspwall"))
}

/// Runs the program and returns its exit status.
pub fn main(system: &'static dyn System) -> ExitCode {
    let cli = Cli::parse();
    match run(system, cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code)
        }
    }
}

/// `desk` is the host at which the operator sits.
fn run(desk: &'static dyn System, cli: Cli) -> Result<u8, Failure> {
    let global = cli.global;
    let command = cli.command.unwrap_or(Command::Wizard);
    let Some(dir) = &global.machine else {
        let engine = Engine::new(desk, state_dir(desk, &global));
        return perform(desk, &engine, &global, command);
    };
    command.refuse_on_recorded(dir)?;
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    let replay = Replay::open(desk, &dir).map_err(|e| Failure::new(failure::USAGE, e.to_string()))?;
    // The wizard's threads use it until the end of the process.
    let replay: &'static Replay = Box::leak(Box::new(replay));
    let kept_in = global.state_dir.clone();
    let engine = Engine::new(replay, kept_in.unwrap_or_else(|| replay.state_dir().to_owned()));
    let result = perform(desk, &engine, &global, command);
    if global.verbose {
        for question in replay.unanswered() {
            print::err(&format!("not recorded: {question}\n"));
        }
    }
    result
}

impl Command {
    /// A recorded host can be looked at and planned for.
    fn refuse_on_recorded(&self, dir: &std::path::Path) -> Result<(), Failure> {
        let possible = matches!(
            self,
            Self::Wizard
                | Self::Detect { .. }
                | Self::Roles { .. }
                | Self::Plan { .. }
                | Self::Rehearse { .. }
                | Self::Status { .. }
                | Self::Snapshots {
                    what: None | Some(Snapshots::List | Snapshots::Show { .. }),
                    ..
                }
                | Self::Notice { .. }
                | Self::Generate { .. }
        );
        if possible {
            return Ok(());
        }
        Err(Failure {
            code: failure::USAGE,
            lines: vec![
                format!(
                    "{} is a recorded host, and this command needs a running one. Nothing was done.",
                    dir.display()
                ),
                String::from(
                    "With --machine there are: the wizard up to the rehearsal, detect, roles, plan, rehearse, status, snapshots.",
                ),
            ],
        })
    }
}

fn perform(
    desk: &'static dyn System,
    engine: &Engine<'static>,
    global: &Global,
    command: Command,
) -> Result<u8, Failure> {
    let asked = unattended::Asked { desk, engine, global };
    match command {
        Command::Wizard => wizard::start(desk, engine, global),
        Command::Detect { json } => unattended::detect(engine, json),
        Command::Roles { json } => unattended::roles(json),
        Command::Plan {
            file,
            json,
            diff,
            exit_code,
        } => unattended::plan(
            &asked,
            &file.file,
            &unattended::Show {
                json,
                diff,
                exit_code,
            },
        ),
        Command::Rehearse {
            file,
            sweep,
            ruleset,
            json,
        } => {
            let order = rehearse::Order {
                file: file.file,
                ruleset,
                sweep,
                json,
            };
            rehearse::rehearse(&asked, &order)
        }
        Command::RehearseInside { stage } => Ok(crate::rehearse::inside(desk, &stage)?),
        Command::Apply { file, trial } => {
            unattended::apply(&asked, &unattended::Apply::new("apply", Some(file.file), &trial))
        }
        Command::Close22 { trial } => {
            unattended::apply(&asked, &unattended::Apply::new("close-22", None, &trial))
        }
        Command::Notice { file, json } => notice::notice(&asked, file.as_deref(), json),
        Command::Confirm { code, json } => unattended::confirm(engine, code, json, global.verbose),
        Command::Extend { time, json } => unattended::extend(engine, time, json),
        Command::Rollback {
            id,
            confirm_within,
            json,
        } => undo::rollback(&asked, id.as_ref(), confirm_within, json),
        Command::Status { json } => unattended::status(engine, json),
        Command::Snapshots { what, json } => undo::snapshots(engine, what.unwrap_or(Snapshots::List), json),
        Command::Capture { dir } => capture::capture(engine, &dir),
        Command::Lab { name, list, command } => lab(desk, global, name, list, command),
        Command::Generate { what } => generate::run(&what),
        Command::Guard {
            id,
            watch: Some(number),
        } => Ok(engine.guard_watch(&id, number).map(|()| 0)?),
        Command::Guard { id, watch: None } => Ok(engine.guard_once(&id).map(|()| 0)?),
        Command::Recover => Ok(engine.recover_at_boot().map(|_| 0)?),
        Command::LabInside { words } => Ok(crate::lab::inside(desk, &words)?),
    }
}

fn lab(
    system: &dyn System,
    global: &Global,
    name: Option<String>,
    list: bool,
    command: Vec<String>,
) -> Result<u8, Failure> {
    let order = if list {
        crate::lab::Order::List
    } else if name.as_deref() == Some("enter") {
        crate::lab::Order::Enter { command }
    } else {
        let mut words = vec![String::from("faspwall")];
        for (flag, on) in [
            ("--plain", global.plain),
            ("--ascii", global.ascii),
            ("--mono", global.mono),
        ] {
            words.extend(on.then(|| flag.to_owned()));
        }
        let command = if command.is_empty() { words } else { command };
        crate::lab::Order::Start {
            scenario: name,
            command,
        }
    };
    Ok(crate::lab::run(system, &order)?)
}

/// A window in words.
fn in_words(left: Duration) -> String {
    let seconds = left.as_secs();
    if seconds >= 60 {
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else {
        format!("{seconds} s")
    }
}
