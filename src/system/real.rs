//! The running host. The one file that starts processes, touches files and reads clocks.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the one file with effects; everything else goes through the System trait"
)]

mod trust;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Lock, Output, PATH, System, SystemError};
use crate::step::{Invocation, Signal, Tool};

/// The host that this process runs on.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealSystem;

impl RealSystem {
    fn command(self, call: &Invocation) -> Result<Command, SystemError> {
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
}

impl RealSystem {
    /// Starts a program with pipes on all its ends.
    fn piped(self, call: &Invocation) -> Result<Child, SystemError> {
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
fn on_terminal(mut command: Command) -> Command {
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

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SystemError {
    let path = path.to_owned();
    move |source| SystemError::File { what, path, source }
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
        call: super::summary(call),
        limit,
    }
}

/// Feeds and drains a child; kills it at the limit. A grandchild that keeps the pipes open does not hold us up: once
/// the child itself has ended, what it had printed by then counts.
fn finish(child: Child, call: &Invocation) -> Result<Output, SystemError> {
    finish_told(child, call, &mut |_| {})
}

/// The same, with each line told as it comes.
fn finish_told(
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
struct Lines {
    /// What came after the last line end.
    rest: Vec<u8>,
}

impl Lines {
    /// Tells every line that the new piece completes. Each byte is looked at once: a text of many megabytes may well be
    /// one single line.
    fn tell(&mut self, piece: &[u8], told: &mut dyn FnMut(&str)) {
        let mut parts = piece.split(|byte| *byte == b'\n');
        self.rest.extend_from_slice(parts.next().unwrap_or_default());
        for part in parts {
            told(&String::from_utf8_lossy(&self.rest));
            self.rest.clear();
            self.rest.extend_from_slice(part);
        }
    }
}

/// The length of a file up to its last line end: what comes after was cut off in the middle of writing.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut byte = [0u8; 1];
    while end > 0 {
        file.read_exact_at(&mut byte, end - 1)?;
        if byte == *b"\n" {
            break;
        }
        end -= 1;
    }
    Ok(end)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Gives a file the owner, group, SELinux label, access list and other extended attributes of the one whose place it
/// takes. Best effort: a file system without such things, or a user who may not set them, must not stop an undo.
fn belong_as(file: &File, old: &Path) {
    let Ok(known) = fs::metadata(old) else {
        return;
    };
    let fresh = file.metadata();
    if fresh.is_ok_and(|fresh| (fresh.uid(), fresh.gid()) != (known.uid(), known.gid())) {
        drop(std::os::unix::fs::fchown(
            file,
            Some(known.uid()),
            Some(known.gid()),
        ));
    }
    let mut names = vec![0; 65_536];
    let length = rustix::fs::listxattr(old, &mut names).unwrap_or(0);
    let names = names.get(..length).unwrap_or_default().split(|byte| *byte == 0);
    for name in names.filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65_536];
        if let Ok(length) = rustix::fs::getxattr(old, name, &mut value) {
            let value = value.get(..length).unwrap_or_default();
            let _ = rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty());
        }
    }
}

impl System for RealSystem {
    fn run(&self, call: &Invocation) -> Result<Output, SystemError> {
        finish(self.piped(call)?, call)
    }

    fn run_told(&self, call: &Invocation, told: &mut dyn FnMut(&str)) -> Result<Output, SystemError> {
        finish_told(self.piped(call)?, call, told)
    }

    fn run_on_terminal(
        &self,
        call: &Invocation,
        env: &[(String, String)],
    ) -> Result<Option<i32>, SystemError> {
        let mut command = on_terminal(self.command(call)?);
        command.envs(env.iter().map(|(k, v)| (k, v)));
        let status = command.status().map_err(|source| SystemError::Start {
            tool: call.tool,
            source,
        })?;
        Ok(status.code())
    }

    fn become_program(&self, call: &Invocation) -> SystemError {
        match self.command(call) {
            Ok(command) => SystemError::Start {
                tool: call.tool,
                source: on_terminal(command).exec(),
            },
            Err(error) => error,
        }
    }

    fn die_with_parent(&self) -> Result<(), SystemError> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(|e| {
            SystemError::Kernel {
                what: "cannot tie this process to its parent",
                source: e.into(),
            }
        })
    }

    fn run_as_init(&self, call: &Invocation) -> Result<Option<i32>, SystemError> {
        let failed = |source| SystemError::Start {
            tool: call.tool,
            source,
        };
        let mut command = on_terminal(self.command(call)?);
        let child = command.spawn().map_err(failed)?;
        let child = i32::try_from(child.id()).unwrap_or(0);
        loop {
            // Any child: orphans of the whole namespace are children of process 1.
            match rustix::process::wait(rustix::process::WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child => {
                    return Ok(status.exit_status());
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(failed(e.into())),
            }
        }
    }

    fn detach(&self, call: &Invocation) -> Result<(), SystemError> {
        let mut command = self.command(call)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|source| SystemError::Start {
            tool: call.tool,
            source,
        })?;
        // Reaped here when it ends before we do; otherwise process 1 inherits it.
        thread::spawn(move || drop(child.wait()));
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, SystemError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(file_error("read", path)(e)),
        }
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let mut entries: Vec<PathBuf> = fs::read_dir(dir)
            .map(|d| d.flatten().map(|e| e.path()).collect())
            .unwrap_or_default();
        entries.sort();
        entries
    }

    fn read_link(&self, path: &Path) -> Option<PathBuf> {
        fs::read_link(path).ok()
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        fs::canonicalize(path).ok()
    }

    fn owner(&self, path: &Path) -> Option<u32> {
        fs::metadata(path).ok().map(|m| m.uid())
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        fs::metadata(path).ok().map(|m| m.permissions().mode() & 0o7777)
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), SystemError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".faspwall-new");
        let beside = path.with_file_name(name);
        let write = || -> io::Result<()> {
            match fs::remove_file(&beside) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&beside)?;
            belong_as(&file, path);
            // After the owner: a change of that takes special bits away.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            sync_dir(path)
        };
        write().map_err(|e| {
            drop(fs::remove_file(&beside));
            file_error("write", path)(e)
        })
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> Result<(), SystemError> {
        let write = || -> io::Result<()> {
            let fresh = !path.exists();
            let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
            let mut file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(no_follow)
                .open(path)?;
            let whole = whole_lines(&file)?;
            file.set_len(whole)?;
            if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
                // A full disk may have taken a part of the line.
                drop(file.set_len(whole));
                return Err(error);
            }
            if fresh { sync_dir(path) } else { Ok(()) }
        };
        write().map_err(file_error("append to", path))
    }

    fn remove(&self, path: &Path) -> Result<(), SystemError> {
        match fs::remove_file(path) {
            Ok(()) => sync_dir(path).map_err(file_error("remove", path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(file_error("remove", path)(e)),
        }
    }

    fn remove_dir(&self, path: &Path) -> Result<(), SystemError> {
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(file_error("remove", path)(e)),
            _ => Ok(()),
        }
    }

    fn make_dir(&self, path: &Path, mode: u32) -> Result<(), SystemError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(file_error("make", path))
    }

    fn relied_on(&self, path: &Path) -> Result<(), SystemError> {
        trust::relied_on(path)
    }

    fn seclude(&self, dir: &Path) -> Result<(), SystemError> {
        trust::seclude(dir)
    }

    fn lock(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow)
            .open(path)
            // A disk that became read-only must not stop an undo.
            .or_else(|error| {
                let mut reading = OpenOptions::new();
                let reading = reading.read(true).custom_flags(no_follow);
                reading.open(path).map_err(|_| error)
            })
            .map_err(file_error("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock {
                _file: Box::new(file),
            })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(file_error("lock", path)(e)),
        }
    }

    fn lock_record(&self, path: &Path) -> Result<Option<Lock>, SystemError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(file_error("open", path))?;
        let how = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::fcntl_lock(&file, how) {
            Ok(()) => Ok(Some(Lock {
                _file: Box::new(file),
            })),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(None),
            Err(error) => Err(file_error("lock", path)(error.into())),
        }
    }

    fn locate(&self, tool: Tool) -> Option<PathBuf> {
        if tool == Tool::Faspwall {
            // After an upgrade the kernel says `/usr/bin/faspwall (deleted)`; the new file stands in its place.
            let text = std::env::current_exe().ok()?.display().to_string();
            let path = PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text));
            return path.is_file().then_some(path);
        }
        // Aspera's installer puts its programs beside its libraries, not into the PATH.
        if tool == Tool::Ascp {
            let own = PathBuf::from("/opt/aspera/bin/ascp");
            return own.is_file().then_some(own);
        }
        which::which_in(tool.name(), Some(PATH), "/").ok()
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn ids(&self) -> (u32, u32) {
        (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        )
    }

    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn enter_network(&self, path: &Path) -> Result<(), SystemError> {
        use std::os::fd::AsFd;
        let file = File::open(path).map_err(file_error("open", path))?;
        let network = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(file.as_fd(), network)
            .map_err(|error| file_error("enter", path)(error.into()))
    }

    fn tune(&self, path: &Path, value: &str) -> Result<(), SystemError> {
        let write = || {
            OpenOptions::new()
                .write(true)
                .open(path)?
                .write_all(value.as_bytes())
        };
        write().map_err(file_error("write", path))
    }

    fn input(&self) -> Result<String, SystemError> {
        io::read_to_string(io::stdin()).map_err(|source| SystemError::Kernel {
            what: "cannot read the standard input",
            source,
        })
    }

    fn signal(&self, pid: u32, signal: Signal) -> Result<(), SystemError> {
        let target = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        let signal = match signal {
            Signal::Hup => rustix::process::Signal::HUP,
            Signal::Term => rustix::process::Signal::TERM,
        };
        match target.map(|pid| rustix::process::kill_process(pid, signal)) {
            Some(Ok(())) => Ok(()),
            Some(Err(e)) => Err(SystemError::Kernel {
                what: "cannot signal the process",
                source: e.into(),
            }),
            None => Err(SystemError::Kernel {
                what: "cannot signal the process",
                source: io::Error::from(io::ErrorKind::InvalidInput),
            }),
        }
    }

    fn boottime(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            u64::try_from(now.tv_sec).unwrap_or(0),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        )
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }

    fn random(&self) -> Result<u64, SystemError> {
        let mut bytes = [0u8; 8];
        let got =
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|e| {
                SystemError::Kernel {
                    what: "no random numbers",
                    source: e.into(),
                }
            })?;
        if got == bytes.len() {
            Ok(u64::from_ne_bytes(bytes))
        } else {
            Err(SystemError::Kernel {
                what: "no random numbers",
                source: io::ErrorKind::UnexpectedEof.into(),
            })
        }
    }

    fn ignore_hang_up(&self) {
        // A handler that only notes the signal takes the place of the default, which would end us.
        let noted = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let _ = signal_hook::flag::register(signal_hook::consts::SIGHUP, noted);
    }

    fn become_independent(&self) {
        let _ = rustix::process::setsid();
        // Best effort, each: without cgroups, or without the right to write there, the guard lives in the login's
        // group and only an end of the whole session by force can reach it.
        drop(fs::write(
            "/sys/fs/cgroup/cgroup.procs",
            std::process::id().to_string(),
        ));
        drop(fs::write("/proc/self/oom_score_adj", "-1000"));
        let ignored = signal_hook::iterator::Signals::new([
            signal_hook::consts::SIGHUP,
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGPIPE,
        ]);
        if let Ok(mut signals) = ignored {
            thread::spawn(move || for _ in signals.forever() {});
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_whole_however_they_come() {
        let mut heard = Vec::new();
        let mut lines = Lines::default();
        for piece in ["one\ntw", "o", "\n\nthree\nno end"] {
            lines.tell(piece.as_bytes(), &mut |line| heard.push(line.to_owned()));
        }
        assert_eq!(heard, ["one", "two", "", "three"]);
    }

    #[test]
    fn a_file_that_is_written_anew_belongs_to_whom_it_did() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("rules");
        fs::write(&path, "before").expect("written");
        // A plain user can give a file to no one else.
        let root = rustix::process::geteuid().is_root();
        if root {
            std::os::unix::fs::chown(&path, Some(1234), Some(4321)).expect("given away");
        }
        let flags = rustix::fs::XattrFlags::empty();
        let marked = rustix::fs::setxattr(&path, "user.note", b"theirs", flags).is_ok();
        let before = fs::metadata(&path).expect("there");
        RealSystem.replace(&path, b"after", 0o640).expect("replaced");
        let after = fs::metadata(&path).expect("there");
        assert_eq!(fs::read(&path).expect("read"), b"after");
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_eq!(after.permissions().mode() & 0o7777, 0o640);
        if marked {
            let mut value = [0; 64];
            let length = rustix::fs::getxattr(&path, "user.note", &mut value).expect("kept");
            assert_eq!(&value[..length], b"theirs");
        }
    }

    #[test]
    fn all_that_a_program_prints_is_read_though_another_keeps_its_pipes() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "sleep 60 & head -c 3000000 /dev/zero; echo $! >&2"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let call = Invocation::new(Tool::Nft, Vec::<String>::new());
        let start = Instant::now();
        let output = finish(command.spawn().expect("sh"), &call).expect("it ended");
        assert_eq!(output.stdout.len(), 3_000_000);
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nobody waits for the other"
        );
        let other = output.stderr.trim().parse().expect("a number");
        RealSystem.signal(other, Signal::Term).expect("it runs still");
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal");
        let system = RealSystem;
        system.append(&path, b"first\n").expect("written");
        fs::write(&path, b"first\n{\"entry\":\"int").expect("torn");
        system.append(&path, b"second\n").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"first\nsecond\n");
    }

    /// Started by the next test, as a program of ours.
    #[test]
    #[ignore = "prints what it was started with"]
    fn prints_its_surroundings() {
        for (name, value) in std::env::vars_os() {
            println!("has {}={}", name.display(), value.display());
        }
        println!("in {}", std::env::current_dir().expect("a directory").display());
        println!("given {:?}", std::env::args().next_back());
    }

    #[test]
    fn a_program_is_started_with_a_fixed_environment_and_no_shell() {
        let hostile = "$(touch /tmp/x); `id` \"quoted\" *";
        let words = [
            "--exact",
            "system::real::tests::prints_its_surroundings",
            "--include-ignored",
            "--nocapture",
            "--skip",
            hostile,
        ];
        let call = Invocation::new(Tool::Faspwall, words);
        let output = RealSystem.run_ok(&call).expect("started");
        let mut seen: Vec<&str> = output
            .stdout
            .lines()
            .filter(|line| line.starts_with("has "))
            .collect();
        seen.sort_unstable();
        assert_eq!(
            seen,
            ["has LC_ALL=C", &format!("has PATH={PATH}")],
            "{}",
            output.stdout
        );
        assert!(output.stdout.contains("in /\n"), "{}", output.stdout);
        assert!(
            output.stdout.contains(&format!("given {:?}", Some(hostile))),
            "{}",
            output.stdout
        );
    }

    #[test]
    fn no_program_is_a_shell_and_none_is_found_in_the_path_of_the_caller() {
        let shells = [
            "sh", "bash", "dash", "env", "eval", "su", "sudo", "python3", "perl",
        ];
        for tool in [
            Tool::Nft,
            Tool::Sshd,
            Tool::Ip,
            Tool::Wall,
            Tool::Mount,
            Tool::Systemctl,
        ] {
            assert!(!shells.contains(&tool.name()));
            if let Some(path) = RealSystem.locate(tool) {
                assert!(
                    PATH.split(':').any(|dir| path.parent() == Some(Path::new(dir))),
                    "{}",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn no_link_is_followed_when_a_file_is_written_appended_to_or_locked() {
        let dir = tempfile::tempdir().expect("a directory");
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "of others").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("made");
        let system = RealSystem;
        assert!(system.append(&link, b"x\n").is_err());
        assert!(system.lock(&link).is_err());
        // Also where somebody guessed the name of the file beside it.
        std::os::unix::fs::symlink(&target, dir.path().join("link.faspwall-new")).expect("made");
        system.replace(&link, b"ours", 0o600).expect("replaced");
        assert_eq!(fs::read(&target).expect("read"), b"of others");
        let meta = fs::symlink_metadata(&link).expect("there");
        assert!(meta.is_file() && meta.permissions().mode() & 0o777 == 0o600);
    }
}
