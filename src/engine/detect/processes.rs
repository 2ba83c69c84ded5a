//! The process table, read from `/proc`: who started whom, on which terminal, holding which sockets.
//!
//! Source: proc_pid_stat(5), proc_pid_fd(5), proc_pid_fdinfo(5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::system::System;

/// Milliseconds of one tick of `starttime`: USER_HZ is 100 on every architecture that Rust has a Linux target for.
const TICK_MS: u64 = 10;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The process that started it, or that took it over.
    pub parent: u32,
    /// Its command name, at most 15 bytes.
    pub comm: String,
    /// Device number of its controlling terminal, 0 without one.
    pub tty: u32,
    /// When it started, in milliseconds since boot, rounded down to 10.
    pub started_ms: u64,
}

/// What a controlling terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// A virtual console `ttyN`.
    Console(u32),
    /// A serial line, a hypervisor's console, or the system console of a container.
    Serial,
    /// A pseudo terminal `/dev/pts/N`.
    Pts(u32),
    /// None, or one of another kind.
    Other,
}

impl Process {
    /// Kind of the controlling terminal. Numbers: `Documentation/admin-guide/devices.txt` of the kernel.
    pub fn terminal(&self) -> Terminal {
        let major = (self.tty >> 8) & 0xfff;
        let minor = (self.tty & 0xff) | ((self.tty >> 12) & 0xfff00);
        match (major, minor) {
            (4, 1..=63) => Terminal::Console(minor),
            (4, 64..) | (5, 1) | (188 | 204 | 229, _) => Terminal::Serial,
            (136..=143, _) => Terminal::Pts((major - 136) * 256 + minor),
            _ => Terminal::Other,
        }
    }

    /// Whether it is a process of OpenSSH's server; since 9.8 a login is held by `sshd-session`.
    pub fn is_sshd(&self) -> bool {
        is_sshd_name(&self.comm)
    }

    /// Whether it is a process of dropbear, which gives itself that name also where it serves a connection.
    pub fn is_dropbear(&self) -> bool {
        self.comm == "dropbear"
    }

    /// Whether it is a process of either.
    pub fn serves_ssh(&self) -> bool {
        self.is_sshd() || self.is_dropbear()
    }
}

/// Whether a program of OpenSSH's server is called so.
pub fn is_sshd_name(name: &str) -> bool {
    matches!(name, "sshd" | "sshd-session" | "sshd-auth")
}

/// Whether a file of dropbear is called so: alone, or as one program with its tools.
pub fn is_dropbear_name(name: &str) -> bool {
    matches!(name, "dropbear" | "dropbearmulti")
}

/// Reads one `/proc/PID/stat`.
pub fn parse_stat(text: &str) -> Option<Process> {
    // The command name may hold blanks and brackets: it ends at the last one.
    let (head, tail) = text.rsplit_once(')')?;
    let (pid, comm) = head.split_once('(')?;
    let field: Vec<&str> = tail.split_whitespace().collect();
    let started: u64 = field.get(19)?.parse().ok()?;
    Some(Process {
        pid: pid.trim().parse().ok()?,
        parent: field.get(1)?.parse().ok()?,
        comm: comm.to_owned(),
        // The kernel prints the device number as a signed int.
        tty: u32::try_from(field.get(4)?.parse::<i64>().ok()?).unwrap_or(0),
        started_ms: started.saturating_mul(TICK_MS),
    })
}

/// Every process that could be seen, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    by_pid: BTreeMap<u32, Process>,
}

impl Processes {
    /// Reads the table.
    pub fn read(system: &dyn System) -> Self {
        let by_pid = system
            .list("/proc".as_ref())
            .iter()
            .filter(|path| {
                path.file_name()
                    .is_some_and(|n| n.as_encoded_bytes().iter().all(u8::is_ascii_digit))
            })
            .filter_map(|path| parse_stat(&system.read_text(&path.join("stat"))?))
            .map(|process| (process.pid, process))
            .collect();
        Self { by_pid }
    }

    /// One of them.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid)
    }

    /// All of them, by number.
    pub fn all(&self) -> impl Iterator<Item = &Process> {
        self.by_pid.values()
    }

    /// The process itself, its parent, and so on up to the first one.
    pub fn ancestors(&self, pid: u32) -> Vec<&Process> {
        let mut line: Vec<&Process> = Vec::new();
        let mut next = pid;
        while let Some(process) = self.get(next) {
            // A table read while processes come and go may hold a ring.
            if line.iter().any(|p| p.pid == process.pid) {
                break;
            }
            line.push(process);
            next = process.parent;
        }
        line
    }

    /// Processes that a process started, and theirs.
    pub fn descendants(&self, pid: u32) -> Vec<&Process> {
        let mut seen = BTreeSet::from([pid]);
        let mut found = Vec::new();
        let mut at = vec![pid];
        while let Some(parent) = at.pop() {
            for child in self.all().filter(|p| p.parent == parent) {
                if seen.insert(child.pid) {
                    found.push(child);
                    at.push(child.pid);
                }
            }
        }
        found
    }
}

fn proc_file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// The command line as the process shows it: arguments in one line, or the title it has given itself.
pub fn title(system: &dyn System, pid: u32) -> String {
    let text = system.read_text(&proc_file(pid, "cmdline")).unwrap_or_default();
    text.trim_end_matches('\0')
        .replace('\0', " ")
        .trim_end()
        .to_owned()
}

/// Number of the user whose rights a process has. The owner of its directory in `/proc` does not tell: a process that may
/// not be dumped looks like root's there.
pub fn user_of(system: &dyn System, pid: u32) -> Option<u32> {
    users_of(system, pid)?.1
}

/// Number of the user who started a process, whatever rights its program brings (`passwd`, `su`).
pub fn real_user_of(system: &dyn System, pid: u32) -> Option<u32> {
    users_of(system, pid)?.0
}

/// The real user and the effective one.
fn users_of(system: &dyn System, pid: u32) -> Option<(Option<u32>, Option<u32>)> {
    let status = system.read_text(&proc_file(pid, "status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
    Some((numbers.next().flatten(), numbers.next().flatten()))
}

/// A variable of the environment that the process was started with.
pub fn environment(system: &dyn System, pid: u32, name: &str) -> Option<String> {
    let text = system.read_text(&proc_file(pid, "environ"))?;
    text.split('\0')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

/// Open files of a process, by descriptor number: what `/proc/PID/fd` points at.
pub fn open_files(system: &dyn System, pid: u32) -> Vec<(u32, String)> {
    let mut files: Vec<(u32, String)> = system
        .list(&proc_file(pid, "fd"))
        .iter()
        .filter_map(|path| {
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, system.read_link(path)?.to_string_lossy().into_owned()))
        })
        .collect();
    files.sort_unstable();
    files
}

/// Inode numbers of the sockets of a process, lowest descriptor first.
pub fn sockets_of(system: &dyn System, pid: u32) -> Vec<u64> {
    open_files(system, pid)
        .iter()
        .filter_map(|(_, target)| socket_inode(target))
        .collect()
}

/// The inode number in `socket:[123]`.
pub fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether two processes share a namespace (`net`, `mnt`); what cannot be read counts as shared.
pub fn same_namespace(system: &dyn System, kind: &str, one: u32, other: u32) -> bool {
    let name = format!("ns/{kind}");
    match (
        system.read_link(&proc_file(one, &name)),
        system.read_link(&proc_file(other, &name)),
    ) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// The process at the other end of the pseudo terminal `/dev/pts/NUMBER`: ssh's server, a terminal emulator, `run0`.
pub fn terminal_master(system: &dyn System, processes: &Processes, number: u32) -> Option<u32> {
    let wanted = number.to_string();
    let holders = processes.all().filter(|process| {
        open_files(system, process.pid).iter().any(|(fd, target)| {
            target.ends_with("/ptmx")
                && system
                    .read_text(&proc_file(process.pid, &format!("fdinfo/{fd}")))
                    .is_some_and(|info| master_index(&info) == Some(wanted.as_str()))
        })
    });
    // A container has terminals with the same numbers: the one that shares our file tree comes first.
    let own = system.pid();
    let mut holders: Vec<(bool, u32)> = holders
        .map(|p| (!same_namespace(system, "mnt", p.pid, own), p.pid))
        .collect();
    holders.sort_unstable();
    holders.first().map(|(_, pid)| *pid)
}

fn master_index(fdinfo: &str) -> Option<&str> {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("tty-index:").map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_command_name_with_brackets_and_blanks_is_read_to_its_end() {
        let line =
            "812 (tmux: server (1)) S 1 812 812 0 -1 4194368 300 0 0 0 5 2 0 0 20 0 1 0 12345 9000 900";
        let process = parse_stat(line).expect("a process");
        assert_eq!(process.comm, "tmux: server (1)");
        assert_eq!((process.parent, process.started_ms), (1, 123_450));
        assert_eq!(process.terminal(), Terminal::Other);
    }

    #[test]
    fn terminals_are_told_apart_by_their_device_number() {
        let on = |tty| Process {
            pid: 1,
            parent: 0,
            comm: String::new(),
            tty,
            started_ms: 0,
        };
        assert_eq!(on(0x0401).terminal(), Terminal::Console(1));
        assert_eq!(on(0x0440).terminal(), Terminal::Serial);
        assert_eq!(on(0xe500).terminal(), Terminal::Serial);
        assert_eq!(on(0x8803).terminal(), Terminal::Pts(3));
        assert_eq!(on(0x8901).terminal(), Terminal::Pts(257));
        assert_eq!(on(0).terminal(), Terminal::Other);
    }

    #[test]
    fn a_ring_of_parents_ends() {
        let mut table = Processes::default();
        for (pid, parent) in [(5, 6), (6, 5)] {
            let process = Process {
                pid,
                parent,
                comm: "x".into(),
                tty: 0,
                started_ms: 0,
            };
            table.by_pid.insert(pid, process);
        }
        assert_eq!(table.ancestors(5).len(), 2);
        assert_eq!(table.descendants(5).len(), 1);
    }

    #[test]
    fn the_index_of_a_terminal_master_is_found() {
        assert_eq!(
            master_index("pos:\t0\nflags:\t02\nmnt_id:\t31\ntty-index:\t7\n"),
            Some("7")
        );
        assert_eq!(socket_inode("socket:[77]"), Some(77));
        assert_eq!(socket_inode("pipe:[77]"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
            let _ = parse_stat(&text);
            let _ = master_index(&text);
            let _ = socket_inode(&text);
        }
    }
}
