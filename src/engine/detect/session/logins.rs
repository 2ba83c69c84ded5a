//! Who has logged in through a port, as proof that it can be reached.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::super::processes::{self, Process, Processes};
use super::super::sockets::{self, Socket};
use super::words::authenticated_user;
use super::{connection_group, mirror};
use crate::facts::Session;
use crate::system::System;

/// A login that sshd, or dropbear, has authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Address and port it comes from.
    pub client: SocketAddr,
    /// Address and port of this host that it reached.
    pub server: SocketAddr,
    /// The process of the server that was started for the connection.
    pub pid: u32,
    /// When that process started, in milliseconds since boot (CLOCK_BOOTTIME).
    pub started_ms: u64,
}

/// Logins over this host's TCP port `port` whose connection began at `since_ms` (CLOCK_BOOTTIME) or later.
///
/// Only authenticated ones count: sshd names the user without a bracket in its title, and a process of that user runs
/// below it. A scanner that merely connects, and a password that is still being asked for, do not. Nor does a login from
/// this host itself: it says nothing about the way from outside. Anybody can give a program sshd's name and title, so the
/// connection must have been accepted by root, and its process must be root's and run a file of sshd. dropbear has no title
/// that names the user: there it is the one to whom its processes belong.
pub fn logins_on(system: &dyn System, port: u16, since_ms: u64) -> Vec<Login> {
    let all = sockets::established(system);
    let here = |c: &Socket| c.local.port() == port && c.uid == 0 && mirror(&all, c.remote, c.local).is_none();
    let connections: Vec<Socket> = all.iter().copied().filter(here).collect();
    if connections.is_empty() {
        return Vec::new();
    }
    let processes = Processes::read(system);
    let mut logins: Vec<Login> = processes
        .all()
        .filter(|p| p.serves_ssh())
        .filter_map(|sshd| login(system, &processes, &connections, sshd))
        .filter(|login| login.started_ms >= since_ms)
        .collect();
    logins.sort_by_key(|login| (login.started_ms, login.pid));
    logins.dedup_by(|a, b| (a.client, a.server) == (b.client, b.server));
    logins
}

/// Whether the other end of a session's connection is on this host too, as with `ssh -p PORT localhost`.
pub fn comes_from_here(system: &dyn System, session: &Session) -> bool {
    let end = |ip: Option<IpAddr>, port: Option<u16>| Some(SocketAddr::new(ip?.to_canonical(), port?));
    match (
        end(session.client, session.client_port),
        end(session.server, session.server_port),
    ) {
        (Some(client), Some(server)) => {
            client.ip().is_loopback() || mirror(&sockets::established(system), client, server).is_some()
        }
        _ => false,
    }
}

/// Whether a process that bears the name of sshd or dropbear belongs to root and runs its file. A newer dropbear (Debian 13
/// has one) gives root's rights away after a login: there its listener, which has started it, is root's.
fn is_genuine(system: &dyn System, processes: &Processes, process: &Process) -> bool {
    let of_root = |process: &Process| {
        runs_its_file(system, process) && processes::user_of(system, process.pid) == Some(0)
    };
    let starter = || processes.get(process.parent).filter(|p| p.is_dropbear());
    of_root(process)
        || (process.is_dropbear() && runs_its_file(system, process) && starter().is_some_and(of_root))
}

fn runs_its_file(system: &dyn System, process: &Process) -> bool {
    let file = system.read_link(Path::new(&format!("/proc/{}/exe", process.pid)));
    let name = file.as_deref().and_then(Path::file_name).unwrap_or_default();
    let name = name.to_string_lossy();
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    if process.is_dropbear() {
        processes::is_dropbear_name(name)
    } else {
        processes::is_sshd_name(name)
    }
}

/// Whose login a dropbear serves: its own user, where it has given root's rights away, else that of the process that it has
/// started. A program that brings rights of its own does not make its caller somebody else.
fn user_of_dropbear(system: &dyn System, processes: &Processes, dropbear: &Process) -> Option<String> {
    let mut below = processes
        .all()
        .filter(|p| p.parent == dropbear.pid && !p.is_dropbear());
    let started = processes::real_user_of(system, below.next()?.pid)?;
    let own = processes::real_user_of(system, dropbear.pid)?;
    let number = if own == 0 { started } else { own }.to_string();
    let users = system.read_text(Path::new("/etc/passwd"))?;
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let known = fields.find(|fields| fields.get(2) == Some(&number.as_str()))?;
    known.first().map(ToString::to_string)
}

fn login(
    system: &dyn System,
    processes: &Processes,
    connections: &[Socket],
    sshd: &Process,
) -> Option<Login> {
    let user = if sshd.is_dropbear() {
        user_of_dropbear(system, processes, sshd)?
    } else {
        authenticated_user(&processes::title(system, sshd.pid))?.to_owned()
    };
    let group = connection_group(system, processes, sshd);
    let first = group.last().copied()?;
    if !is_genuine(system, processes, first) {
        return None;
    }
    if !processes.descendants(sshd.pid).iter().any(|p| !p.serves_ssh()) {
        return None;
    }
    let held = |p: &&Process| {
        let inodes = processes::sockets_of(system, p.pid);
        inodes
            .into_iter()
            .find_map(|inode| connections.iter().find(|c| c.inode == inode))
    };
    let socket = group.iter().find_map(held)?;
    Some(Login {
        user,
        client: socket.remote,
        server: socket.local,
        pid: first.pid,
        started_ms: first.started_ms,
    })
}
