//! How the operator is connected.
//!
//! `SSH_CONNECTION` alone tells lies: sudo strips it, and in tmux or screen it belongs to a login that may be long gone.
//! So the process tree is walked up to the sshd process, and the connection is the socket which that process holds.
//! Where the tree ends at a daemon, the walk goes on from whoever holds the other end of the terminal.

mod logins;
mod place;
pub mod words;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::processes::{self, Process, Processes, Terminal};
use super::sockets::{self, Socket};
use crate::facts::{Session, Via};
use crate::step::{Invocation, Tool};
use crate::system::System;
use words::{
    Tuple, is_connection_title, parse_ssh_connection, parse_tmux_clients, terminal_of_path, title_user,
};

pub use logins::{Login, comes_from_here, logins_on};

/// Levels of multiplexers inside each other, terminals behind terminals, that are followed.
const MAX_DEPTH: usize = 8;

/// How the person who started this process is connected; `None` when `/proc` cannot be read.
pub fn session(system: &dyn System) -> Option<Session> {
    session_of(system, &Processes::read(system), system.pid())
}

/// The same for another process.
pub fn session_of(system: &dyn System, processes: &Processes, pid: u32) -> Option<Session> {
    let start = processes.get(pid)?;
    let mut walk = Walk {
        system,
        processes,
        connections: sockets::established(system),
        seen: BTreeSet::new(),
        stale: None,
    };
    let found = walk.from(pid, 0);
    Some(found.unwrap_or_else(|| walk.without_connection(start)))
}

struct Walk<'a> {
    system: &'a dyn System,
    processes: &'a Processes,
    connections: Vec<Socket>,
    seen: BTreeSet<u32>,
    stale: Option<Tuple>,
}

impl Walk<'_> {
    /// Follows the line of parents; `None` when it meets no login.
    fn from(&mut self, pid: u32, depth: usize) -> Option<Session> {
        if depth > MAX_DEPTH {
            return None;
        }
        let processes = self.processes;
        let line = processes.ancestors(pid);
        let mut below: Vec<&Process> = Vec::new();
        if line.first().is_none_or(|p| self.seen.contains(&p.pid)) {
            return None;
        }
        for process in &line {
            if !self.seen.insert(process.pid) {
                break;
            }
            if process.serves_ssh() {
                return self
                    .ssh(process, &below, depth)
                    .or_else(|| self.by_environment(&below));
            }
            if process.comm == "mosh-server" {
                return Some(self.mosh(process));
            }
            if process.comm.starts_with("tmux: server") {
                return Some(self.multiplexer(process, Via::Tmux, &below, depth));
            }
            if self.is_screen_server(process) {
                return Some(self.multiplexer(process, Via::Screen, &below, depth));
            }
            below.push(process);
        }
        // The tree ended at a daemon, as with `run0` and `machinectl shell`: who sits at the other end of the terminal?
        let first = line.first()?;
        if let Terminal::Pts(number) = first.terminal()
            && let Some(master) = processes::terminal_master(self.system, processes, number)
            && let Some(found) = self.from(master, depth + 1)
        {
            return Some(found);
        }
        self.by_environment(&below)
    }

    /// The connection of an sshd ancestor. `below` are the processes from us up to it.
    fn ssh(&mut self, sshd: &Process, below: &[&Process], depth: usize) -> Option<Session> {
        let group = connection_group(self.system, self.processes, sshd);
        let first = group.last().copied().unwrap_or(sshd);
        if !processes::same_namespace(self.system, "net", first.pid, self.system.pid()) {
            return Some(Session {
                pid: Some(first.pid),
                evidence: format!(
                    "the login of process {} ({}) belongs to another network namespace: the firewall here does not see it",
                    first.pid, first.comm
                ),
                ..bare(Via::Local)
            });
        }
        let socket = self.held_connection(&group)?;
        if let Some(outer) = self.within_this_host(socket, depth) {
            return Some(outer);
        }
        let user = group
            .iter()
            .find_map(|p| title_user(&processes::title(self.system, p.pid)))
            .or_else(|| {
                below
                    .iter()
                    .find_map(|p| processes::environment(self.system, p.pid, "USER"))
            });
        Some(Session {
            user,
            pid: Some(first.pid),
            started_ms: Some(first.started_ms),
            evidence: format!(
                "process {} ({}) holds the connection from {} to port {}",
                first.pid,
                first.comm,
                socket.remote,
                socket.local.port()
            ),
            ..over(Via::Ssh, socket.remote, socket.local)
        })
    }

    /// `ssh localhost`, or through a forwarding of an ssh login: the way goes on from the process at the other end, which
    /// is on this host too.
    fn within_this_host(&mut self, socket: Socket, depth: usize) -> Option<Session> {
        let other_end = mirror(&self.connections, socket.remote, socket.local)?.inode;
        let owners = sockets::owners(self.system, self.processes);
        let client = *owners.get(&other_end)?.first()?;
        let found = self.attached(client, depth)?;
        Some(Session {
            evidence: format!(
                "logged in from this host itself (process {client}); {}",
                found.evidence
            ),
            ..found
        })
    }

    /// The socket of the login itself. What the login forwards has been opened later: it has a higher number.
    fn held_connection(&self, group: &[&Process]) -> Option<Socket> {
        group.iter().rev().find_map(|process| {
            processes::sockets_of(self.system, process.pid)
                .into_iter()
                .find_map(|inode| self.connections.iter().find(|c| c.inode == inode).copied())
        })
    }

    /// `SSH_CONNECTION` of the given processes, if such a connection is open now. For users who may not look into sshd.
    fn by_environment(&mut self, line: &[&Process]) -> Option<Session> {
        for process in line {
            let Some(text) = processes::environment(self.system, process.pid, "SSH_CONNECTION") else {
                continue;
            };
            let Some((client, server)) = parse_ssh_connection(&text) else {
                continue;
            };
            let open = |c: &Socket| c.remote == client && c.local == server;
            if !self.connections.iter().any(open) {
                self.stale = Some((client, server));
                continue;
            }
            // Everything from here up to the server belongs to the same login.
            let sshd = self
                .processes
                .ancestors(process.pid)
                .into_iter()
                .find(|p| p.serves_ssh());
            let first = sshd.map(|p| {
                let group = connection_group(self.system, self.processes, p);
                group.last().copied().unwrap_or(p)
            });
            return Some(Session {
                user: processes::environment(self.system, process.pid, "USER"),
                pid: first.map(|p| p.pid),
                started_ms: first.map(|p| p.started_ms),
                evidence: format!(
                    "SSH_CONNECTION of process {} names {client} to port {}, and that connection is open",
                    process.pid,
                    server.port()
                ),
                ..over(Via::Ssh, client, server)
            });
        }
        None
    }

    /// mosh speaks UDP; the ssh login that started it is gone.
    fn mosh(&self, server: &Process) -> Session {
        let from = processes::environment(self.system, server.pid, "SSH_CONNECTION")
            .and_then(|text| parse_ssh_connection(&text));
        Session {
            client: from.map(|(client, _)| client.ip()),
            server: from.map(|(_, server)| server.ip()),
            user: processes::environment(self.system, server.pid, "USER"),
            pid: Some(server.pid),
            started_ms: Some(server.started_ms),
            evidence: format!(
                "process {} (mosh-server) speaks UDP with a client that may change its address",
                server.pid
            ),
            ..bare(Via::Mosh)
        }
    }

    fn is_screen_server(&self, process: &Process) -> bool {
        process.comm == "screen" && processes::title(self.system, process.pid).starts_with("SCREEN")
    }

    /// The environment inside tmux or screen is that of an earlier login: only the attached clients tell.
    fn multiplexer(&mut self, server: &Process, via: Via, below: &[&Process], depth: usize) -> Session {
        let name = if via == Via::Tmux { "tmux" } else { "screen" };
        let mut clients = self.tmux_clients(server, via, below);
        if clients.is_empty() {
            clients = self.clients_by_terminal(server);
        }
        let mut best: Option<Session> = None;
        for client in clients {
            let Some(found) = self.attached(client, depth) else {
                continue;
            };
            // The clients come with the one that was used last, or is the newest, in front; a login over the network
            // matters most.
            if best.as_ref().is_none_or(|b| !b.is_remote() && found.is_remote()) {
                best = Some(found);
            }
        }
        let Some(found) = best else {
            return Session {
                evidence: format!(
                    "runs in {name} (process {}), and no client is attached",
                    server.pid
                ),
                ..bare(via)
            };
        };
        Session {
            via: if found.via == Via::Ssh { via } else { found.via },
            evidence: format!("attached to {name} (process {}); {}", server.pid, found.evidence),
            ..found
        }
    }

    fn attached(&mut self, client: u32, depth: usize) -> Option<Session> {
        let processes = self.processes;
        let process = processes.get(client)?;
        // A client that another one has led us through counts again: two panes may share one way up.
        let before = self.seen.clone();
        let found = self.from(client, depth + 1);
        self.seen = before;
        Some(found.unwrap_or_else(|| self.without_connection(process)))
    }

    /// Asks tmux for its clients, the one that was used last first.
    fn tmux_clients(&self, server: &Process, via: Via, below: &[&Process]) -> Vec<u32> {
        if via != Via::Tmux {
            return Vec::new();
        }
        let socket = below.iter().find_map(|process| {
            let text = processes::environment(self.system, process.pid, "TMUX")?;
            let mut part = text.rsplitn(3, ',').skip(1);
            let pid: u32 = part.next()?.parse().ok()?;
            let path = part.next()?.to_owned();
            (pid == server.pid).then_some(path)
        });
        let Some(socket) = socket else {
            return Vec::new();
        };
        let format = "#{client_activity} #{client_pid}";
        let words = ["-S", socket.as_str(), "list-clients", "-F", format];
        let Some(call) = self.as_owner(server, &socket, Tool::Tmux, &words) else {
            return Vec::new();
        };
        let output = self.system.run(&call).unwrap_or_default();
        parse_tmux_clients(&output.stdout)
    }

    /// A call that talks to a server on its socket, with the rights of the server's own user: where the socket is says an
    /// environment that this user has made. `None` where the socket is somebody else's.
    fn as_owner(&self, server: &Process, socket: &str, tool: Tool, words: &[&str]) -> Option<Invocation> {
        let status = PathBuf::from(format!("/proc/{}/status", server.pid));
        let status = self.system.read_text(&status)?;
        let (owner, group) = words::effective_ids(&status)?;
        if self.system.owner(Path::new(socket))? != owner {
            return None;
        }
        let call = if owner == self.system.ids().0 {
            Invocation::new(tool, words.iter().copied())
        } else {
            let rights = [
                format!("--reuid={owner}"),
                format!("--regid={group}"),
                "--clear-groups".to_owned(),
                "--no-new-privs".to_owned(),
                "--".to_owned(),
                self.system.locate(tool)?.display().to_string(),
            ];
            let words = words.iter().map(|word| (*word).to_owned());
            Invocation::new(Tool::Setpriv, rights.into_iter().chain(words))
        };
        Some(call.within(super::PROBE_LIMIT))
    }

    /// A multiplexer holds the terminals of its clients open, so whoever sits on those terminals is a client. Which of them
    /// was used last only tmux tells: here the newest is in front, for whoever comes in anew to confirm may leave the
    /// terminal of before attached (`screen -x`).
    fn clients_by_terminal(&self, server: &Process) -> Vec<u32> {
        let held: Vec<Terminal> = processes::open_files(self.system, server.pid)
            .iter()
            .filter_map(|(_, target)| terminal_of_path(target))
            .collect();
        let name = if server.comm == "screen" {
            "screen"
        } else {
            "tmux: client"
        };
        let attached = |p: &&Process| p.comm == name && p.pid != server.pid && held.contains(&p.terminal());
        let mut clients: Vec<&Process> = self.processes.all().filter(attached).collect();
        clients.sort_by_key(|client| Reverse((client.started_ms, client.pid)));
        clients.into_iter().map(|client| client.pid).collect()
    }

    /// Nobody's connection was met: the terminal tells what is left.
    fn without_connection(&self, process: &Process) -> Session {
        let user = processes::environment(self.system, process.pid, "USER");
        if let Some((via, evidence)) = place::place(self.system, self.processes, process) {
            return Session {
                user,
                evidence: format!("{evidence}, below no login of sshd"),
                ..bare(via)
            };
        }
        // Begun by ssh, and now somewhere this walk does not lead, such as an unknown multiplexer. What is no longer open
        // is not named as a connection.
        if let Some((client, server)) = self.stale {
            return Session {
                client: Some(client.ip()),
                server_port: Some(server.port()),
                user,
                evidence: format!(
                    "began with a login from {client} to port {} by SSH_CONNECTION, but no such connection is open",
                    server.port()
                ),
                ..bare(Via::Ssh)
            };
        }
        let terminal = match process.terminal() {
            Terminal::Console(number) => format!("on tty{number}"),
            Terminal::Serial => "on a serial line".to_owned(),
            Terminal::Pts(number) => format!("on the terminal pts/{number}"),
            Terminal::Other => "without a terminal".to_owned(),
        };
        Session {
            user,
            evidence: format!(
                "runs {terminal}, below neither a login of sshd nor one at a console: it cannot be told who types there, and from where"
            ),
            ..bare(Via::Unknown)
        }
    }
}

/// The other end of a connection, if it is on this host.
fn mirror(connections: &[Socket], client: SocketAddr, server: SocketAddr) -> Option<&Socket> {
    connections
        .iter()
        .find(|c| c.local == client && c.remote == server)
}

fn bare(via: Via) -> Session {
    Session {
        via,
        client: None,
        client_port: None,
        server: None,
        server_port: None,
        user: None,
        pid: None,
        started_ms: None,
        evidence: String::new(),
    }
}

fn over(via: Via, client: SocketAddr, server: SocketAddr) -> Session {
    Session {
        client: Some(client.ip()),
        client_port: Some(client.port()),
        server: Some(server.ip()),
        server_port: Some(server.port()),
        ..bare(via)
    }
}

/// The sshd processes of one connection, from the given one up to the one that was started for it; never the listener.
fn connection_group<'p>(system: &dyn System, processes: &'p Processes, sshd: &Process) -> Vec<&'p Process> {
    processes
        .ancestors(sshd.pid)
        .into_iter()
        .enumerate()
        .take_while(|(index, p)| {
            *index == 0 || (p.is_sshd() && is_connection_title(&processes::title(system, p.pid)))
        })
        .map(|(_, p)| p)
        .collect()
}
