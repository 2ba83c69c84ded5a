//! The only door to the world: programs, files, clocks, signals, the environment.
//!
//! Everything else is either pure or reaches the host through [`System`]. `clippy.toml` bans the functions behind it
//! everywhere but in [`real`].

#[cfg(feature = "fault-injection")]
pub mod fault;
pub mod real;
pub mod recorder;
pub mod recording;
pub mod replay;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harmless::is_tricky;
use crate::step::{Invocation, Signal, Tool};

/// Directories in which programs are looked for: never the caller's PATH.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program printed and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether the exit status is 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// The first line that says what it complained about, without control characters.
    pub fn complaint(&self) -> String {
        let text = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut line = lines.next().unwrap_or("no message").to_owned();
        // iptables-restore names itself in a line of its own.
        if let (true, Some(next)) = (line.ends_with(':'), lines.next()) {
            line = format!("{line} {next}");
        }
        line.chars().filter(|c| !is_tricky(*c)).take(300).collect()
    }
}

/// What went wrong on the way to the host.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The program is not installed.
    #[error("{} is not installed (package {})", tool.name(), tool.package())]
    Missing {
        /// The program.
        tool: Tool,
    },
    /// The program could not be started.
    #[error("{} could not be started: {source}", tool.name())]
    Start {
        /// The program.
        tool: Tool,
        /// Why.
        source: std::io::Error,
    },
    /// The program ran longer than it may.
    #[error("{call} gave no answer within {} s and was ended", limit.as_secs_f32())]
    TimedOut {
        /// The call, printed.
        call: String,
        /// The limit.
        limit: Duration,
    },
    /// The program ended with a failure.
    #[error("{call} failed{}: {}", output.status.map(|s| format!(" with status {s}")).unwrap_or_default(), output.complaint())]
    Failed {
        /// The call, printed.
        call: String,
        /// What it printed.
        output: Output,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// `read`, `write`, ...
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another call on the kernel failed.
    #[error("{what}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A recorded host gave no answer, or was asked to change; the whole message.
    #[error("{0}")]
    Recorded(String),
}

/// A lock that is held as long as the value lives.
#[derive(Debug)]
pub struct Lock {
    pub(crate) _file: Box<dyn std::any::Any + Send>,
}

impl Lock {
    /// Several that are held and let go together.
    pub fn all(locks: Vec<Self>) -> Self {
        Self {
            _file: Box::new(locks),
        }
    }
}

/// The host.
pub trait System: Send + Sync {
    /// Runs a program to its end. `Err` only when it could not run; a failure status is in the output.
    fn run(&self, call: &Invocation) -> Result<Output, SystemError>;

    /// Runs a program whose failure is an error.
    fn run_ok(&self, call: &Invocation) -> Result<Output, SystemError> {
        let output = self.run(call)?;
        if output.ok() {
            Ok(output)
        } else {
            Err(SystemError::Failed {
                call: summary(call),
                output,
            })
        }
    }

    /// Runs a program and hands each line that it prints over as soon as it is there.
    fn run_told(&self, call: &Invocation, told: &mut dyn FnMut(&str)) -> Result<Output, SystemError> {
        let output = self.run(call)?;
        output.stdout.lines().for_each(told);
        Ok(output)
    }

    /// Runs a program with this process's own terminal and the given extra environment; returns its exit status.
    fn run_on_terminal(
        &self,
        call: &Invocation,
        env: &[(String, String)],
    ) -> Result<Option<i32>, SystemError>;

    /// Becomes another program, with this process's own terminal; returns only when that failed.
    fn become_program(&self, call: &Invocation) -> SystemError;

    /// Asks the kernel to end this process at once when its parent ends, also across [`System::become_program`].
    fn die_with_parent(&self) -> Result<(), SystemError>;

    /// For process 1 of the lab: runs a program on this process's own terminal and collects every other process that
    /// ends meanwhile; returns the exit status of that program.
    fn run_as_init(&self, call: &Invocation) -> Result<Option<i32>, SystemError>;

    /// Starts a program that outlives this one, with no terminal and no open files of ours; it makes its own session.
    fn detach(&self, call: &Invocation) -> Result<(), SystemError>;

    /// Reads a file; `None` when it is not there.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SystemError>;

    /// Reads a file as text, replacing bytes that are not UTF-8; unreadable counts as absent.
    fn read_text(&self, path: &Path) -> Option<String> {
        self.read(path)
            .ok()
            .flatten()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The entries of a directory, sorted; empty when it is not there or cannot be read.
    fn list(&self, dir: &Path) -> Vec<PathBuf>;

    /// The target of a symbolic link.
    fn read_link(&self, path: &Path) -> Option<PathBuf>;

    /// The path with every symbolic link resolved.
    fn resolve(&self, path: &Path) -> Option<PathBuf>;

    /// Number of the user who owns a file.
    fn owner(&self, path: &Path) -> Option<u32>;

    /// Permission bits of a file.
    fn mode(&self, path: &Path) -> Option<u32>;

    /// Replaces a file as a whole: written beside it, fsync, rename, fsync of the directory.
    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), SystemError>;

    /// Appends whole lines to a file (made with mode 0600) and returns once they are on the disk. A last line that a
    /// crash cut off is taken away first; after a failure nothing of the new lines stays.
    fn append(&self, path: &Path, bytes: &[u8]) -> Result<(), SystemError>;

    /// Removes a file; one that is not there is fine.
    fn remove(&self, path: &Path) -> Result<(), SystemError>;

    /// Removes a directory and what is in it; one that is not there is fine.
    fn remove_dir(&self, path: &Path) -> Result<(), SystemError>;

    /// Makes a directory and its parents with these permission bits.
    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), SystemError>;

    /// Refuses a path that users other than root and the caller could lead elsewhere.
    fn relied_on(&self, path: &Path) -> Result<(), SystemError> {
        let _ = path;
        Ok(())
    }

    /// Keeps everybody but its owner out of a directory, which must be one to rely on.
    fn seclude(&self, dir: &Path) -> Result<(), SystemError> {
        self.relied_on(dir)
    }

    /// Takes the lock file; `None` when somebody else holds it.
    fn lock(&self, path: &Path) -> Result<Option<Lock>, SystemError>;

    /// Takes a lock file the way lockf(3) does, which ufw uses; `None` when another process holds it.
    fn lock_record(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        Err(SystemError::File {
            what: "lock",
            path: path.to_owned(),
            source: std::io::ErrorKind::Unsupported.into(),
        })
    }

    /// Where a program is, in the fixed PATH.
    fn locate(&self, tool: Tool) -> Option<PathBuf>;

    /// A variable of this process's environment.
    fn env(&self, name: &str) -> Option<String>;

    /// This process's number.
    fn pid(&self) -> u32;

    /// Numbers of the effective user and group.
    fn ids(&self) -> (u32, u32);

    /// Whether the effective user is root.
    fn is_root(&self) -> bool;

    /// Moves the calling thread, and no other one, into the network namespace that a file stands for.
    fn enter_network(&self, path: &Path) -> Result<(), SystemError> {
        Err(SystemError::File {
            what: "enter",
            path: path.to_owned(),
            source: std::io::ErrorKind::Unsupported.into(),
        })
    }

    /// Writes a setting of the kernel, a file below `/proc/sys`.
    fn tune(&self, path: &Path, value: &str) -> Result<(), SystemError> {
        let _ = value;
        Err(SystemError::File {
            what: "write",
            path: path.to_owned(),
            source: std::io::ErrorKind::Unsupported.into(),
        })
    }

    /// What this process was given to read on its standard input, up to its end.
    fn input(&self) -> Result<String, SystemError> {
        Ok(String::new())
    }

    /// Sends a signal.
    fn signal(&self, pid: u32, signal: Signal) -> Result<(), SystemError>;

    /// Time since boot, suspend included (CLOCK_BOOTTIME): it does not jump when the clock is set.
    fn boottime(&self) -> Duration;

    /// The time of day.
    fn now(&self) -> jiff::Timestamp;

    /// Waits.
    fn sleep(&self, time: Duration);

    /// A random number for confirm codes.
    fn random(&self) -> Result<u64, SystemError>;

    /// Goes on when the terminal or the connection goes away: for the moments in which files are being written.
    fn ignore_hang_up(&self);

    /// Leaves the login's session and control group so that its end does not end us, ignores hang-ups, and asks not to
    /// be chosen when memory runs out. For the guard.
    fn become_independent(&self);

    /// The directory of the recording, where this is no running host but a recorded one.
    fn recorded(&self) -> Option<&Path> {
        None
    }
}

/// A call without what it reads on standard input: short enough for a message.
pub fn summary(call: &Invocation) -> String {
    Invocation {
        stdin: None,
        ..call.clone()
    }
    .to_string()
}
