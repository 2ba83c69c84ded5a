//! How the operator is connected, and who has logged in through a port.
//!
//! `SSH_CONNECTION` alone tells lies: sudo strips it, and in tmux or screen it belongs to a login that may be long gone.
//! So the process tree is walked up to the sshd process, and the connection is the socket which that process holds.
//! Where the tree ends at a daemon, the walk goes on from whoever holds the other end of the terminal.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::processes::{self, Process, Processes, Terminal};
use super::sockets::{self, Socket};
use crate::facts::{Session, Via};
use crate::step::{Invocation, Tool};
use crate::system::System;

/// Levels of multiplexers inside each other, terminals behind terminals, that are followed.
const MAX_DEPTH: usize = 8;

/// A login that sshd has authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Address and port it comes from.
    pub client: SocketAddr,
    /// Address and port of this host that it reached.
    pub server: SocketAddr,
    /// The sshd process that was started for the connection.
    pub pid: u32,
    /// When that process started, in milliseconds since boot (CLOCK_BOOTTIME).
    pub started_ms: u64,
}

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

/// What `SSH_CONNECTION` says: client first.
type Tuple = (SocketAddr, SocketAddr);

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
            if process.is_sshd() || process.comm == "dropbear" {
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
        let other_end = mirror(&self.connections, socket)?.inode;
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
                .find(|p| p.is_sshd());
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
            // The clients come with the one that was used last in front; a login over the network matters most.
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
        let call = Invocation::new(Tool::Tmux, ["-S", socket.as_str(), "list-clients", "-F", format])
            .within(super::PROBE_LIMIT);
        let output = self.system.run(&call).unwrap_or_default();
        parse_tmux_clients(&output.stdout)
    }

    /// A multiplexer holds the terminals of its clients open, so whoever sits on those terminals is a client.
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
        self.processes
            .all()
            .filter(|p| p.comm == name && p.pid != server.pid && held.contains(&p.terminal()))
            .map(|p| p.pid)
            .collect()
    }

    /// Nobody's connection was met: the terminal tells what is left.
    fn without_connection(&self, process: &Process) -> Session {
        let (via, terminal) = match process.terminal() {
            Terminal::Console(number) => (Via::Console, format!("the console tty{number}")),
            Terminal::Serial => (Via::Serial, "a serial or hypervisor console".to_owned()),
            Terminal::Pts(number) => (Via::Local, format!("the terminal pts/{number}")),
            Terminal::Other => (Via::Local, "no terminal".to_owned()),
        };
        let user = processes::environment(self.system, process.pid, "USER");
        // Begun by ssh, and now somewhere this walk does not lead, such as an unknown multiplexer: to take that for a
        // local console would be the dangerous mistake. What is no longer open is not named as a connection.
        if let (Via::Local, Some((client, server))) = (via, self.stale) {
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
        Session {
            user,
            evidence: format!("runs on {terminal}, below no login of sshd"),
            ..bare(via)
        }
    }
}

/// The other end of a connection, if it is on this host.
fn mirror(connections: &[Socket], socket: Socket) -> Option<&Socket> {
    connections
        .iter()
        .find(|c| c.local == socket.remote && c.remote == socket.local)
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

/// sshd shows in its title what it does: `sshd: root@pts/0`, `sshd-session: joe [priv]`, `sshd: /usr/sbin/sshd -D [listener] ...`.
fn is_connection_title(title: &str) -> bool {
    (title.starts_with("sshd: ") || title.starts_with("sshd-session: ")) && !title.contains("[listener]")
}

/// The user in `sshd: root@pts/0`, once the login is authenticated; before that, and in helpers, the title ends in a bracket.
fn authenticated_user(title: &str) -> Option<&str> {
    if !is_connection_title(title) || title.ends_with(']') {
        return None;
    }
    let (user, _terminal) = title.split_once(": ")?.1.rsplit_once('@')?;
    (!user.is_empty()).then_some(user)
}

fn title_user(title: &str) -> Option<String> {
    let user = authenticated_user(title).or_else(|| {
        let rest = title.split_once(": ")?.1.strip_suffix(" [priv]")?;
        (is_connection_title(title) && rest != "unknown").then_some(rest)
    })?;
    Some(user.to_owned())
}

fn parse_ssh_connection(text: &str) -> Option<Tuple> {
    let mut word = text.split_ascii_whitespace();
    let mut end = || -> Option<SocketAddr> {
        // A scope such as `fe80::1%eth0` does not show in /proc/net/tcp6.
        let address: IpAddr = word.next()?.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(
            address.to_canonical(),
            word.next()?.parse().ok()?,
        ))
    };
    Some((end()?, end()?))
}

fn parse_tmux_clients(text: &str) -> Vec<u32> {
    let mut clients: Vec<(u64, u32)> = text
        .lines()
        .filter_map(|line| {
            let (activity, pid) = line.trim().split_once(' ')?;
            Some((activity.parse().ok()?, pid.parse().ok()?))
        })
        .collect();
    clients.sort_unstable_by(|a, b| b.cmp(a));
    clients.into_iter().map(|(_, pid)| pid).collect()
}

fn terminal_of_path(target: &str) -> Option<Terminal> {
    if let Some(number) = target.strip_prefix("/dev/pts/") {
        return number.parse().ok().map(Terminal::Pts);
    }
    if let Some(number) = target.strip_prefix("/dev/tty").and_then(|n| n.parse().ok()) {
        return (number > 0).then_some(Terminal::Console(number));
    }
    let serial = [
        "/dev/ttyS",
        "/dev/hvc",
        "/dev/ttyAMA",
        "/dev/ttyUSB",
        "/dev/console",
    ];
    serial
        .iter()
        .any(|s| target.starts_with(s))
        .then_some(Terminal::Serial)
}

/// Logins over this host's TCP port `port` whose connection began at `since_ms` (CLOCK_BOOTTIME) or later.
///
/// Only authenticated ones count: sshd names the user without a bracket in its title, and a process of that user runs
/// below it. A scanner that merely connects, and a password that is still being asked for, do not. Nor does a login from
/// this host itself: it says nothing about the way from outside.
pub fn logins_on(system: &dyn System, port: u16, since_ms: u64) -> Vec<Login> {
    let all = sockets::established(system);
    let here = |c: &Socket| c.local.port() == port && mirror(&all, *c).is_none();
    let connections: Vec<Socket> = all.iter().copied().filter(here).collect();
    if connections.is_empty() {
        return Vec::new();
    }
    let processes = Processes::read(system);
    let mut logins: Vec<Login> = processes
        .all()
        .filter(|p| p.is_sshd())
        .filter_map(|sshd| login(system, &processes, &connections, sshd))
        .filter(|login| login.started_ms >= since_ms)
        .collect();
    logins.sort_by_key(|login| (login.started_ms, login.pid));
    logins.dedup_by(|a, b| (a.client, a.server) == (b.client, b.server));
    logins
}

fn has_both_ends(connections: &[Socket], client: SocketAddr, server: SocketAddr) -> bool {
    connections
        .iter()
        .any(|c| c.local == client && c.remote == server)
}

/// Whether the other end of a session's connection is on this host too, as with `ssh -p PORT localhost`.
pub fn comes_from_here(system: &dyn System, session: &Session) -> bool {
    let end = |ip: Option<IpAddr>, port: Option<u16>| Some(SocketAddr::new(ip?.to_canonical(), port?));
    match (
        end(session.client, session.client_port),
        end(session.server, session.server_port),
    ) {
        (Some(client), Some(server)) => {
            client.ip().is_loopback() || has_both_ends(&sockets::established(system), client, server)
        }
        _ => false,
    }
}

fn login(
    system: &dyn System,
    processes: &Processes,
    connections: &[Socket],
    sshd: &Process,
) -> Option<Login> {
    let user = authenticated_user(&processes::title(system, sshd.pid))?.to_owned();
    let group = connection_group(system, processes, sshd);
    let first = group.last().copied()?;
    if !processes.descendants(sshd.pid).iter().any(|p| !p.is_sshd()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn titles_tell_who_has_logged_in() {
        for (title, user) in [
            ("sshd: root@pts/0", Some("root")),
            ("sshd: root@notty", Some("root")),
            ("sshd: joe@example.com@pts/3", Some("joe@example.com")),
            ("sshd-session: root@notty", Some("root")),
            ("sshd-session: joe [priv]", None),
            ("sshd: unknown [net]", None),
            ("sshd-auth: joe [net]", None),
            ("sshd: [accepted]", None),
            (
                "sshd: /usr/sbin/sshd -D -o User=a@b [listener] 0 of 10-100 startups",
                None,
            ),
            ("/usr/sbin/sshd -D", None),
        ] {
            assert_eq!(authenticated_user(title), user, "{title}");
        }
        assert_eq!(title_user("sshd-session: joe [priv]").as_deref(), Some("joe"));
        assert_eq!(title_user("sshd: unknown [priv]"), None);
    }

    #[test]
    fn the_environment_variable_is_read_in_both_families() {
        let (client, server) = parse_ssh_connection("10.99.21.1 34510 10.99.21.2 22").expect("a tuple");
        assert_eq!(
            (client.to_string(), server.to_string()),
            ("10.99.21.1:34510".into(), "10.99.21.2:22".into())
        );
        let (client, server) =
            parse_ssh_connection("fe80::1%host0 40000 ::ffff:10.0.0.2 33001").expect("a tuple");
        assert_eq!(client.to_string(), "[fe80::1]:40000");
        assert_eq!(server.to_string(), "10.0.0.2:33001");
        assert!(parse_ssh_connection("10.99.21.1 34510 10.99.21.2").is_none());
    }

    #[test]
    fn the_tmux_client_that_was_used_last_comes_first() {
        assert_eq!(parse_tmux_clients("1700000001 40\n1700000009 41\nx\n"), [41, 40]);
    }

    #[test]
    fn terminals_are_known_by_their_names() {
        assert_eq!(terminal_of_path("/dev/pts/12"), Some(Terminal::Pts(12)));
        assert_eq!(terminal_of_path("/dev/tty1"), Some(Terminal::Console(1)));
        assert_eq!(terminal_of_path("/dev/ttyS0"), Some(Terminal::Serial));
        assert_eq!(terminal_of_path("/dev/tty"), None);
        assert_eq!(terminal_of_path("/dev/pts/ptmx"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s).{0,120}") {
            let _ = authenticated_user(&text);
            let _ = title_user(&text);
            let _ = parse_ssh_connection(&text);
            let _ = parse_tmux_clients(&text);
            let _ = terminal_of_path(&text);
        }
    }
}
