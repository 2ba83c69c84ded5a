//! The running host. The one file that starts processes, touches files and reads clocks.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the one file with effects; everything else goes through the System trait"
)]

mod process;
mod trust;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use self::process::{finish, finish_told, on_terminal};
use super::{Lock, Output, PATH, System, SystemError};
use crate::step::{Invocation, Signal, Tool};

/// The host that this process runs on.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealSystem;

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SystemError {
    let path = path.to_owned();
    move |source| SystemError::File { what, path, source }
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
        // ufw keeps it beside its own files: Debian, Arch; Red Hat.
        if tool == Tool::UfwInit {
            let own = [
                "/usr/lib/ufw/ufw-init",
                "/lib/ufw/ufw-init",
                "/usr/libexec/ufw/ufw-init",
            ];
            return own.map(PathBuf::from).into_iter().find(|path| path.is_file());
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
            Signal::Kill => rustix::process::Signal::KILL,
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
mod tests;
