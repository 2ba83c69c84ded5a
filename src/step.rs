//! Effects as data: what the preview prints is what the engine performs.
//!
//! A [`Step`] can be stored, read again by another version of the program, and printed as something an operator
//! could type. Nothing here performs anything: only [`crate::system`] touches the host.

mod call;
mod iptables;
mod tool;

pub use call::Invocation;
pub use iptables::{CLOCK_STEP, IptablesRule, NativeRule, UNTIL, batch, plain_name};
pub use tool::Tool;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::harmless::is_tricky;

/// A signal that a step may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Read the configuration again.
    Hup,
    /// End.
    Term,
    /// End at once, whatever it is at.
    Kill,
}

/// One effect on the host.
///
/// Serialisable, because a rollback executes *stored* steps: it never renders them again with another version of the
/// program or another catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Run a program; any exit status but 0 is a failure.
    Run(Invocation),
    /// Run a program whose failure is of no consequence, such as stopping a unit that may be gone.
    Try(Invocation),
    /// Open again what the kernel's clock keeps shut for a while. An undo does this before anything else: whatever else is
    /// taken back, the old port lets people in then. Where it fails, the clock itself is waited for.
    Unshut(Invocation),
    /// Replace a file as a whole: written beside the old one, fsync, rename. Its directory is made when it is missing.
    Write {
        /// The file.
        path: PathBuf,
        /// Its new content.
        content: String,
        /// Permission bits of a new file; a file that is there keeps its own.
        mode: u32,
    },
    /// Change a file in which others write too: only if it still holds what was seen, keeping owner and mode. A file that
    /// holds the new text already is left alone. Shown as the lines that change: the rest may hold secrets.
    Revise {
        /// The file.
        path: PathBuf,
        /// Its content as it was seen.
        before: String,
        /// Its new content.
        after: String,
    },
    /// Set a value of the kernel, a file below `/proc/sys`.
    Tune {
        /// The file.
        path: PathBuf,
        /// The value; it may be empty.
        value: String,
    },
    /// Remove a file; one that is not there is no failure.
    Remove(PathBuf),
    /// Delete every nftables rule whose comment begins with `tag:` and every set named in `sets`, by handle, in one batch.
    SweepNft {
        /// `faspwall:<transaction>`
        tag: String,
        /// Names of our own sets in tables of others.
        sets: Vec<String>,
        /// Our own tables to delete as a whole, such as `inet faspwall_trial`.
        tables: Vec<String>,
        /// Commands that go into the same batch after the deletions.
        then: String,
    },
    /// Bring rules of iptables into a wanted state, in one batch: those whose comment begins with `sweep:` go, and of each
    /// named rule there are as many as asked for afterwards. Nothing else is touched.
    PatchIptables {
        /// The restore program: it tells family and variant.
        tool: Tool,
        /// `faspwall:<transaction>:trial`; empty when nothing goes by its mark.
        sweep: String,
        /// The rules.
        rules: Vec<IptablesRule>,
        /// For how long timed rules among them hold.
        #[serde(default)]
        seconds: u64,
    },
    /// Delete every iptables rule whose comment begins with `tag:` in all tables, and put others in: one batch for each
    /// program. Harmless when nothing is there.
    SweepIptables {
        /// `faspwall:<transaction>`
        tag: String,
        /// The restore programs of the families and variants that are looked through.
        tools: Vec<Tool>,
        /// Rules that go in after the deletions.
        then: Vec<NativeRule>,
        /// For how long timed rules among them hold.
        #[serde(default)]
        seconds: u64,
    },
    /// Send a signal to the process whose number stands in a pid file, if that process is `comm`.
    SignalPidFile {
        /// The pid file.
        pid_file: PathBuf,
        /// The command name that the process must have.
        comm: String,
        /// The signal.
        signal: Signal,
    },
    /// Start a daemon if, after a moment, it does not listen: one that could not bind its port at a reload has ended.
    StartIfSilent {
        /// The TCP port on which it should listen.
        port: u16,
        /// Its name.
        comm: String,
        /// How it is started.
        call: Invocation,
        /// How long it has for coming back by itself, in milliseconds.
        patience_ms: u64,
    },
    /// Wait until nobody stands in the queue of a listening TCP port any more: a listener that ends resets those who wait.
    Drain {
        /// The port.
        port: u16,
        /// For how long the queue must stay empty, in milliseconds.
        quiet_ms: u64,
        /// Go on after this many milliseconds at the latest.
        timeout_ms: u64,
    },
    /// Wait until something listens on a TCP port, or (with `listening` false) until nothing does.
    AwaitTcp {
        /// The port.
        port: u16,
        /// The state waited for.
        listening: bool,
        /// The name of the program that must own the listening socket.
        comm: String,
        /// Its file: anybody can give a program a name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<PathBuf>,
        /// The families over which it must listen; without any, one is enough.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        families: Vec<IpFamily>,
        /// Give up after this many milliseconds.
        timeout_ms: u64,
    },
}

/// A version of the internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IpFamily {
    /// Version 4.
    #[serde(rename = "ip4")]
    V4,
    /// Version 6.
    #[serde(rename = "ip6")]
    V6,
}

impl IpFamily {
    /// That of an address; IPv4 inside IPv6 is IPv4.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.to_canonical().is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Step {
    /// Brings a file to this content; without one it is removed.
    pub fn put(path: &Path, content: Option<&str>, mode: u32) -> Self {
        match content {
            Some(content) => Self::Write {
                path: path.to_owned(),
                content: content.to_owned(),
                mode,
            },
            None => Self::Remove(path.to_owned()),
        }
    }
}

/// The lines that change, as patch(1) takes them; those beside them are not shown.
fn print_revision(f: &mut fmt::Formatter<'_>, path: &Path, before: &str, after: &str) -> fmt::Result {
    let lines = similar::TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(0)
        .to_string();
    write!(
        f,
        "patch --binary {} <<'END'\n--- before\n+++ after\n{}\nEND",
        shown(path),
        lines.trim_end()
    )
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(call) | Self::Unshut(call) => write!(f, "{call}"),
            Self::Try(call) => write!(f, "{call} || true"),
            Self::Write { path, content, mode } => {
                write!(
                    f,
                    "install -m {mode:o} /dev/stdin {} <<'END'\n{}\nEND",
                    shown(path),
                    content.trim_end()
                )
            }
            Self::Revise { path, before, after } => print_revision(f, path, before, after),
            Self::Tune { path, value } => write!(f, "sysctl -w {}={}", setting(path), quoted(value)),
            Self::Remove(path) => write!(f, "rm -f {}", shown(path)),
            Self::SweepNft {
                tag,
                sets,
                tables,
                then,
            } => {
                write!(f, "nft: delete rules tagged {tag}:*")?;
                for set in sets {
                    write!(f, ", set {set}")?;
                }
                for table in tables {
                    write!(f, ", table {table}")?;
                }
                if !then.trim().is_empty() {
                    write!(f, "; in the same transaction:\n{}", then.trim_end())?;
                }
                Ok(())
            }
            Self::SweepIptables { .. } | Self::PatchIptables { .. } => iptables::print(f, self),
            Self::SignalPidFile {
                pid_file,
                comm,
                signal,
            } => {
                let name = match signal {
                    Signal::Hup => "HUP",
                    Signal::Term => "TERM",
                    Signal::Kill => "KILL",
                };
                write!(
                    f,
                    "kill -{name} $(cat {})   # only if it is {comm}",
                    shown(pid_file)
                )
            }
            Self::StartIfSilent { port, comm, call, .. } => {
                write!(f, "{call}   # only if no {comm} listens on TCP/{port}")
            }
            Self::Drain { port, .. } => write!(f, "wait until nobody queues on TCP/{port}"),
            Self::AwaitTcp {
                port,
                listening: true,
                comm,
                families,
                ..
            } => {
                write!(f, "wait until {comm} listens on TCP/{port}{}", over(families))
            }
            Self::AwaitTcp { port, comm, .. } => {
                write!(f, "wait until {comm} no longer listens on TCP/{port}")
            }
        }
    }
}

/// The families that are waited for, as the end of a sentence.
fn over(families: &[IpFamily]) -> String {
    match families {
        [one] => format!(" over {one}"),
        [one, other] => format!(" over {one} and {other}"),
        _ => String::new(),
    }
}

/// The name of a setting of the kernel, as sysctl(8) takes it.
fn setting(path: &Path) -> String {
    let name = path.strip_prefix("/proc/sys").unwrap_or(path);
    quoted(&name.to_string_lossy().replace('/', "."))
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Quotes for the eyes of a person who may paste it into a POSIX shell; control characters never reach the screen.
pub fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c));
    if plain {
        return text.to_owned();
    }
    let clean: String = text
        .chars()
        .map(|c| if is_tricky(c) && c != '\n' { '?' } else { c })
        .collect();
    format!("'{}'", clean.replace('\'', r"'\''"))
}

/// One numbered piece of a change: what is done, how it is taken back, and what to tell while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// In the operator's words, such as `open TCP/33001 in inet filter input`.
    pub say: String,
    /// The effect.
    pub step: Step,
    /// Performed in this order to take the effect back; each piece is harmless when the effect never happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Step>,
}

impl Action {
    /// A step with its undo.
    pub fn new(say: impl Into<String>, step: Step, undo: Vec<Step>) -> Self {
        Self {
            say: say.into(),
            step,
            undo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_keeps_plain_words_and_tames_control_characters() {
        assert_eq!(quoted("/etc/ssh/sshd_config"), "/etc/ssh/sshd_config");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("a\u{1b}[2Jb"), "'a?[2Jb'");
    }

    #[test]
    fn a_call_prints_as_it_could_be_typed() {
        let call = Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin("list ruleset\n");
        assert_eq!(call.to_string(), "nft -f - <<'END'\nlist ruleset\nEND");
    }

    #[test]
    fn steps_survive_storage() {
        let step = Step::SweepNft {
            tag: "faspwall:x".into(),
            sets: vec![],
            tables: vec![],
            then: String::new(),
        };
        let text = serde_json::to_string(&step).expect("json");
        assert_eq!(serde_json::from_str::<Step>(&text).expect("same"), step);
    }
}
