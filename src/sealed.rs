//! Sealed places: namespaces of our own, in which what a process can write to lies in memory and goes away with it.
//!
//! The lab and the rehearsal are made of these pieces.

use std::path::Path;
use std::time::Duration;

use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// Mount flags that a mount must keep when it is made read-only: a user namespace may not drop them.
const KEPT: [&str; 6] = ["nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"];

/// Asks again and again until there is an answer or the time is over.
pub fn poll<T>(system: &dyn System, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = system.boottime();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if system.boottime().saturating_sub(start) > limit {
            return None;
        }
        system.sleep(Duration::from_millis(5));
    }
}

/// Refuses to go on anywhere but in fresh namespaces: what follows would mount over /etc and /run.
pub fn check(system: &dyn System) -> Result<(), &'static str> {
    let devices = system
        .read_text(Path::new("/proc/self/net/dev"))
        .unwrap_or_default();
    let others = devices
        .lines()
        .skip(2)
        .any(|line| !line.trim_start().starts_with("lo:"));
    if others || devices.is_empty() {
        return Err("the network is not empty");
    }
    let processes = system
        .list(Path::new("/proc"))
        .iter()
        .filter_map(|path| path.file_name()?.to_str()?.parse::<u32>().ok())
        .count();
    if processes > 2 {
        return Err("other processes can be seen");
    }
    let mounts = system
        .read_text(Path::new("/proc/self/mountinfo"))
        .unwrap_or_default();
    if mounts.is_empty() || mounts.lines().any(|line| line.contains(" shared:")) {
        return Err("mounts are shared");
    }
    Ok(())
}

/// Makes every mount read-only that `chosen` names and that can be written to; the root directory must become so.
pub fn read_only(system: &dyn System, chosen: impl Fn(&Path) -> bool) -> Result<(), SystemError> {
    let mounts = system
        .read_text(Path::new("/proc/self/mountinfo"))
        .unwrap_or_default();
    for (point, options) in writable(&mounts) {
        if !chosen(Path::new(&point)) {
            continue;
        }
        let output = system.run(&mount(["-o", &options, &point]))?;
        // Below another mount, or gone: nobody can reach it. The root directory must be protected.
        if point == "/" && !output.ok() {
            system.run_ok(&mount(["-o", &options, &point]))?;
        }
    }
    Ok(())
}

/// Lays an empty directory in memory over another one.
pub fn empty(system: &dyn System, dir: &str, mode: &str) -> Result<(), SystemError> {
    let options = format!("mode={mode},nosuid,nodev");
    system
        .run_ok(&mount(["-t", "tmpfs", "-o", &options, "faspwall", dir]))
        .map(drop)
}

/// The words that start a hidden stage of this program.
pub fn stage(
    system: &dyn System,
    command: &str,
    stage: &str,
    words: &[String],
) -> Result<Vec<String>, SystemError> {
    let program = system
        .locate(Tool::Faspwall)
        .ok_or(SystemError::Missing { tool: Tool::Faspwall })?;
    let mut all = vec![
        program.to_string_lossy().into_owned(),
        command.to_owned(),
        stage.to_owned(),
    ];
    all.extend_from_slice(words);
    Ok(all)
}

/// What makes a program process 1 of everything new. It is tied to its parent, so that nothing of it can be left behind.
pub fn unshared(user: bool, program: impl IntoIterator<Item = String>) -> Invocation {
    let namespaces = [
        "--net",
        "--mount",
        "--ipc",
        "--pid",
        "--kill-child",
        "--mount-proc",
    ];
    let mapped: &[&str] = if user { &["--user", "--map-root-user"] } else { &[] };
    let words = mapped.iter().chain(&namespaces).copied().chain(["--"]);
    Invocation::new(Tool::Unshare, words.map(str::to_owned).chain(program))
}

/// A call of mount(8).
pub fn mount<'a>(words: impl IntoIterator<Item = &'a str>) -> Invocation {
    Invocation::new(Tool::Mount, words)
}

/// Mount points that can be written to, with the options that make each read-only (proc_pid_mountinfo(5)).
fn writable(mountinfo: &str) -> Vec<(String, String)> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(4);
            let point = unescaped(fields.next()?);
            let flags: Vec<&str> = fields.next()?.split(',').collect();
            let of_kernel = ["/proc", "/sys", "/dev"]
                .iter()
                .any(|dir| Path::new(&point).starts_with(dir));
            if of_kernel || flags.contains(&"ro") {
                return None;
            }
            let mut options = "remount,bind,ro".to_owned();
            for flag in flags.iter().filter(|flag| KEPT.contains(flag)) {
                options.push(',');
                options.push_str(flag);
            }
            Some((point, options))
        })
        .collect()
}

/// The kernel writes blanks in paths as `\040`.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written_to_is_made_read_only_with_its_flags() {
        let mounts = "\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 21 0:20 / /proc rw,nosuid - proc proc rw
23 21 0:21 / /media/a\\040disk rw,nosuid,nodev,noatime - vfat /dev/sdb1 rw
24 21 0:22 / /boot ro,relatime - ext4 /dev/vdb rw
25 21 0:23 / /dev/shm rw - tmpfs tmpfs rw
26 21 0:24 / /develop rw - ext4 /dev/vdc rw
";
        assert_eq!(
            writable(mounts),
            [
                ("/".to_owned(), "remount,bind,ro,relatime".to_owned()),
                (
                    "/media/a disk".to_owned(),
                    "remount,bind,ro,nosuid,nodev,noatime".to_owned()
                ),
                ("/develop".to_owned(), "remount,bind,ro".to_owned()),
            ]
        );
    }
}
