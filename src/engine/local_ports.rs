//! What could keep sshd from its new port without listening there: this host's own outgoing connections.

use std::path::{Path, PathBuf};

use super::detect::processes::{Processes, is_sshd_name};
use super::detect::sockets::taken_by_connections;
use super::{Engine, EngineError};
use crate::change::Change;
use crate::facts::LocalPorts;
use crate::facts::local_ports::holds;
use crate::sshd::reserve::{FILE, SETTING};
use crate::system::System;

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Where systemd and procps look for settings; the names in all of them count in one order.
const PLACES: [&str; 4] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
];
/// procps reads it after all others.
const LAST: &str = "/etc/sysctl.conf";

impl Engine<'_> {
    /// The kernel's settings about ports of outgoing connections.
    pub(super) fn local_ports(&self) -> Option<LocalPorts> {
        let text = |path: &str| self.system.read_text(Path::new(path));
        let range = text(RANGE)?;
        let mut range = range.split_whitespace().map(str::parse);
        let (Some(Ok(first)), Some(Ok(last))) = (range.next(), range.next()) else {
            return None;
        };
        let mounts = text("/proc/self/mountinfo").unwrap_or_default();
        Some(LocalPorts {
            range: (first, last),
            reserved: text(SETTING)?.trim().to_owned(),
            settable: writable(&mounts, Path::new(SETTING)),
            ours: text(FILE),
            overruled_by: self.overruled_by(),
        })
    }

    fn overruled_by(&self) -> Option<PathBuf> {
        let files = PLACES.iter().flat_map(|dir| self.system.list(Path::new(dir)));
        let ours = Path::new(FILE).file_name();
        let later =
            files.filter(|path| path.extension().is_some_and(|e| e == "conf") && path.file_name() > ours);
        let sets = |path: &PathBuf| {
            let text = self.system.read_text(path).unwrap_or_default();
            let mut lines = text.lines().map(|line| line.trim().trim_start_matches('-'));
            lines.any(|line| {
                let name = line.split('=').next().unwrap_or_default().trim();
                name.replace('/', ".") == "net.ipv4.ip_local_reserved_ports"
            })
        };
        later.chain([PathBuf::from(LAST)]).find(sets)
    }

    /// Connections that have the port as their end on this host. Logins of sshd itself keep nobody from listening.
    pub(super) fn connections_on(&self, port: u16) -> Vec<String> {
        connections(self.system, port)
    }

    /// Fails when the kernel does not keep what it was told to.
    pub(super) fn reserved(&self, change: &Change) -> Result<(), EngineError> {
        let Some((_, Some((_, wanted)))) = &change.before.reserved else {
            return Ok(());
        };
        let now = self.system.read_text(Path::new(SETTING)).unwrap_or_default();
        if holds(&now, wanted) {
            return Ok(());
        }
        Err(EngineError::Refused(format!(
            "{SETTING} holds {:?} and not {wanted}, which was written to it",
            now.trim()
        )))
    }
}

/// `curl (1234) to 192.0.2.1:443`
fn connections(system: &dyn System, port: u16) -> Vec<String> {
    let processes = Processes::read(system);
    let taken = taken_by_connections(system, &processes, port);
    let named = taken.into_iter().filter_map(|(socket, pid)| {
        let process = processes.get(pid?)?;
        let login = socket.uid == 0 && is_sshd_name(&process.comm);
        (!login).then(|| format!("{} ({}) to {}", process.comm, process.pid, socket.remote))
    });
    named.collect()
}

/// Whether the mount that a file lies on lets it be written: the last one of those nearest to it.
fn writable(mounts: &str, file: &Path) -> bool {
    let near = mounts.lines().filter_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let field: Vec<&str> = head.split(' ').collect();
        let point = Path::new(*field.get(4)?);
        let of_mount = *field.get(5)?;
        let of_system = tail.split(' ').nth(2).unwrap_or_default();
        let read_only = [of_mount, of_system]
            .iter()
            .any(|list| list.split(',').any(|word| word == "ro"));
        file.starts_with(point)
            .then(|| (point.components().count(), !read_only))
    });
    near.max_by_key(|(depth, _)| *depth)
        .is_some_and(|(_, writable)| writable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_tells_whether_a_setting_can_be_written() {
        let file = Path::new(SETTING);
        let host = "1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / /proc rw,nosuid - proc proc rw\n";
        assert!(writable(host, file));
        let container = format!("{host}3 2 0:2 /sys /proc/sys ro,nosuid - proc proc rw\n");
        assert!(!writable(&container, file));
        let own_network = format!("{container}4 3 0:2 /sys/net /proc/sys/net rw - proc proc rw\n");
        assert!(writable(&own_network, file));
        assert!(!writable(&host.replace("proc proc rw", "proc proc ro"), file));
        assert!(!writable("", file));
    }
}
