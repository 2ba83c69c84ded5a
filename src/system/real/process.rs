//! Starts programs and reads what they print.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::super::{Output, PATH, System, SystemError, summary};
use super::RealSystem;
use crate::step::Invocation;

impl RealSystem {
    pub(super) fn command(self, call: &Invocation) -> Result<Command, SystemError> {
        let program = self
            .locate(call.tool)
            .ok_or(SystemError::Missing { tool: call.tool })?;
        let mut command = Command::new(program);
        command
            .args(&call.args)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .current_dir("/");
        Ok(command)
    }

    /// Starts a program with pipes on all its ends.
    pub(super) fn piped(self, call: &Invocation) -> Result<Child, SystemError> {
        let mut command = self.command(call)?;
        command
            .stdin(if call.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().map_err(|source| SystemError::Start {
            tool: call.tool,
            source,
        })
    }
}

/// The same command with what a person's terminal needs.
pub(super) fn on_terminal(mut command: Command) -> Command {
    command.env_remove("LC_ALL");
    for name in [
        "TERM",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "COLORTERM",
        "NO_COLOR",
        "HOME",
    ] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    command
}

/// How long is waited for output before it is asked whether the program has ended.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};
/// Only what is there by now.
const NO_WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Feeds a child's input on a thread of its own.
fn feed(child: &mut Child, call: &Invocation) {
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), call.stdin.clone()) {
        // A child that does not read its input must not block us; the pipe error shows in its status.
        thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
    }
}

/// One of a child's outputs.
struct Pipe {
    is_stdout: bool,
    file: File,
}

/// Both outputs of a child. The kernel says when there is something in them, so nothing that a child has printed can be
/// missed because this process did not get its turn in time.
fn outputs(child: &mut Child) -> Vec<Pipe> {
    let pipe = |is_stdout: bool, end: OwnedFd| Pipe {
        is_stdout,
        file: File::from(end),
    };
    let stdout = child.stdout.take().map(|end| pipe(true, end.into()));
    let stderr = child.stderr.take().map(|end| pipe(false, end.into()));
    stdout.into_iter().chain(stderr).collect()
}

/// Which of these have something to read, or have ended.
fn ready(pipes: &[Pipe], wait: &Timespec) -> io::Result<Vec<bool>> {
    let ask = |pipe| PollFd::from_borrowed_fd(AsFd::as_fd(pipe), PollFlags::IN);
    let mut asked: Vec<PollFd<'_>> = pipes.iter().map(|pipe| ask(&pipe.file)).collect();
    loop {
        match poll(&mut asked, Some(wait)) {
            Ok(_) => return Ok(asked.iter().map(|one| !one.revents().is_empty()).collect()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kills a child that took too long; the error that says so.
fn ended_by_force(child: &mut Child, call: &Invocation, limit: Duration) -> SystemError {
    drop(child.kill());
    drop(child.wait());
    SystemError::TimedOut {
        call: summary(call),
        limit,
    }
}

/// Feeds and drains a child; kills it at the limit. A grandchild that keeps the pipes open does not hold us up: once
/// the child itself has ended, what it had printed by then counts.
pub(super) fn finish(child: Child, call: &Invocation) -> Result<Output, SystemError> {
    finish_told(child, call, &mut |_| {})
}

/// The same, with each line told as it comes.
pub(super) fn finish_told(
    mut child: Child,
    call: &Invocation,
    told: &mut dyn FnMut(&str),
) -> Result<Output, SystemError> {
    let limit = Duration::from_millis(call.timeout_ms);
    feed(&mut child, call);
    let mut pipes = outputs(&mut child);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let start = Instant::now();
    let mut lines = Lines::default();
    let mut buffer = vec![0u8; 65_536];
    while !pipes.is_empty() {
        // Asked before the look into the pipes: what an ended child has printed is in them by then.
        let ended = matches!(child.try_wait(), Ok(Some(_)));
        let wait = if ended { &NO_WAIT } else { &LOOK };
        let ready = ready(&pipes, wait).map_err(|source| SystemError::Start {
            tool: call.tool,
            source,
        })?;
        if ended && !ready.contains(&true) {
            break;
        }
        let mut at = ready.into_iter();
        pipes.retain_mut(|pipe| {
            if at.next() != Some(true) {
                return true;
            }
            match pipe.file.read(&mut buffer) {
                Ok(n) if n > 0 => {
                    let piece = buffer.get(..n).unwrap_or_default();
                    if pipe.is_stdout {
                        stdout.extend_from_slice(piece);
                        lines.tell(piece, told);
                    } else {
                        stderr.extend_from_slice(piece);
                    }
                    true
                }
                Err(error) => error.kind() == io::ErrorKind::Interrupted,
                _ => false,
            }
        });
        if start.elapsed() > limit {
            return Err(ended_by_force(&mut child, call, limit));
        }
    }
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() <= limit => thread::sleep(Duration::from_micros(200)),
            Ok(None) => return Err(ended_by_force(&mut child, call, limit)),
            Err(source) => {
                return Err(SystemError::Start {
                    tool: call.tool,
                    source,
                });
            }
        }
    };
    Ok(Output {
        status: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// The lines of a text that comes in pieces.
#[derive(Default)]
pub(super) struct Lines {
    /// What came after the last line end.
    rest: Vec<u8>,
}

impl Lines {
    /// Tells every line that the new piece completes. Each byte is looked at once: a text of many megabytes may well be
    /// one single line.
    pub(super) fn tell(&mut self, piece: &[u8], told: &mut dyn FnMut(&str)) {
        let mut parts = piece.split(|byte| *byte == b'\n');
        self.rest.extend_from_slice(parts.next().unwrap_or_default());
        for part in parts {
            told(&String::from_utf8_lossy(&self.rest));
            self.rest.clear();
            self.rest.extend_from_slice(part);
        }
    }
}
