//! Open sockets from `/proc/net`, and the programs that own them. Source: proc_pid_net(5), `Documentation/networking/proc_net_tcp.rst`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::processes::{self, Processes};
use crate::facts::Listener;
use crate::port::Protocol;
use crate::system::System;

const ESTABLISHED: u8 = 0x01;
/// State of a UDP socket that is not connected to one peer.
const UNCONNECTED: u8 = 0x07;
const LISTEN: u8 = 0x0a;

/// One line of `/proc/net/tcp` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Address and port of this host.
    pub local: SocketAddr,
    /// Address and port of the peer.
    pub remote: SocketAddr,
    /// State number.
    pub state: u8,
    /// Number of the user who opened it: who accepts a connection opens its socket.
    pub uid: u32,
    /// Inode, by which the owner is found.
    pub inode: u64,
}

/// Reads `/proc/net/{tcp,tcp6,udp,udp6}`. IPv4 inside IPv6 (`::ffff:a.b.c.d`) becomes IPv4.
pub fn parse(text: &str) -> Vec<Socket> {
    text.lines().skip(1).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Socket> {
    let mut field = line.split_whitespace();
    let local = parse_address(field.nth(1)?)?;
    let remote = parse_address(field.next()?)?;
    let state = u8::from_str_radix(field.next()?, 16).ok()?;
    let uid = field.nth(3)?.parse().ok()?;
    let inode = field.nth(1)?.parse().ok()?;
    Some(Socket {
        local,
        remote,
        state,
        uid,
        inode,
    })
}

fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // The kernel prints each 32-bit word as a number of its own byte order.
    let word = |at: usize| -> Option<[u8; 4]> {
        Some(
            u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16)
                .ok()?
                .to_ne_bytes(),
        )
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0u8; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn read(system: &dyn System, name: &str) -> Vec<Socket> {
    let path = Path::new("/proc/net").join(name);
    system
        .read_text(&path)
        .map(|text| parse(&text))
        .unwrap_or_default()
}

/// How many connections wait to be taken over by the listeners on a TCP port: the kernel shows the length of that queue
/// where a connection has its received bytes.
pub fn queued(system: &dyn System, port: u16) -> u64 {
    let text = |name: &str| {
        system
            .read_text(&Path::new("/proc/net").join(name))
            .unwrap_or_default()
    };
    [text("tcp"), text("tcp6")]
        .iter()
        .flat_map(|t| t.lines())
        .filter_map(|line| queue_of(line, port))
        .sum()
}

fn queue_of(line: &str, port: u16) -> Option<u64> {
    let mut field = line.split_whitespace();
    let local = parse_address(field.nth(1)?)?;
    let state = u8::from_str_radix(field.nth(1)?, 16).ok()?;
    let (_, received) = field.next()?.split_once(':')?;
    (local.port() == port && state == LISTEN)
        .then(|| u64::from_str_radix(received, 16).ok())
        .flatten()
}

/// TCP connections that are established now, IPv4 and IPv6.
pub fn established(system: &dyn System) -> Vec<Socket> {
    tcp(system, ESTABLISHED)
}

fn tcp(system: &dyn System, state: u8) -> Vec<Socket> {
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|name| read(system, name))
        .filter(|socket| socket.state == state)
        .collect()
}

/// Every socket that waits for packets, with its owner where that could be read (as root: always).
pub fn listeners(system: &dyn System, processes: &Processes) -> Vec<Listener> {
    let mut sockets: Vec<(Protocol, Socket)> = tcp(system, LISTEN)
        .into_iter()
        .map(|socket| (Protocol::Tcp, socket))
        .collect();
    for name in ["udp", "udp6"] {
        let open = read(system, name).into_iter().filter(|s| s.state == UNCONNECTED);
        sockets.extend(open.map(|socket| (Protocol::Udp, socket)));
    }
    let owners = owners(system, processes);
    let mut found: Vec<Listener> = sockets
        .into_iter()
        .map(|(protocol, socket)| {
            let owner = owners
                .get(&socket.inode)
                .and_then(|pids| processes.get(*pids.first()?));
            Listener {
                protocol,
                address: socket.local.ip(),
                port: socket.local.port(),
                program: owner.map(|p| p.comm.clone()),
                pid: owner.map(|p| p.pid),
                uid: Some(socket.uid),
            }
        })
        .collect();
    found.sort_by_key(|l| (l.protocol, l.port, l.address, l.pid));
    found.dedup();
    found
}

/// Owners of every open socket. A socket that systemd handed to a service has both as owners; the service comes first,
/// because it is the one that answers.
pub fn owners(system: &dyn System, processes: &Processes) -> BTreeMap<u64, Vec<u32>> {
    let mut owners: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for process in processes.all() {
        for inode in processes::sockets_of(system, process.pid) {
            let pids = owners.entry(inode).or_default();
            if !pids.contains(&process.pid) {
                pids.push(process.pid);
            }
        }
    }
    for pids in owners.values_mut() {
        pids.sort_by_key(|pid| (*pid == 1, *pid));
    }
    owners
}

/// TCP sockets of this host that have that port and are not waiting for connections, with the numbers of the processes that
/// hold them.
pub fn taken_by_connections(
    system: &dyn System,
    processes: &Processes,
    port: u16,
) -> Vec<(Socket, Option<u32>)> {
    let mut found: Vec<Socket> = ["tcp", "tcp6"]
        .iter()
        .flat_map(|name| read(system, name))
        .filter(|socket| socket.state != LISTEN && socket.local.port() == port)
        .collect();
    found.sort_by_key(|socket| (socket.local, socket.remote));
    if found.is_empty() {
        return Vec::new();
    }
    let owners = owners(system, processes);
    found
        .into_iter()
        .map(|socket| {
            (
                socket,
                owners.get(&socket.inode).and_then(|pids| pids.first().copied()),
            )
        })
        .collect()
}

/// A process that holds a listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its command name, which it may have chosen itself.
    pub name: String,
    /// Number of the user who opened the socket.
    pub uid: u32,
    /// Where it listens.
    pub address: IpAddr,
}

/// Who holds listening TCP sockets on `port`, an entry for each process and socket.
pub fn holders(system: &dyn System, port: u16) -> Vec<Holder> {
    let mut sockets = tcp(system, LISTEN);
    sockets.retain(|socket| socket.local.port() == port);
    // The common answer of a poll is "nobody yet": it costs two small files.
    if sockets.is_empty() {
        return Vec::new();
    }
    let processes = Processes::read(system);
    let mut found = Vec::new();
    for process in processes.all() {
        let held = processes::sockets_of(system, process.pid);
        let of_port = sockets.iter().filter(|socket| held.contains(&socket.inode));
        found.extend(of_port.map(|socket| Holder {
            pid: process.pid,
            name: process.comm.clone(),
            uid: socket.uid,
            address: socket.local.ip(),
        }));
    }
    found
}

/// Processes that hold a listening TCP socket on `port`, on whichever address, with their command names.
pub fn tcp_listeners(system: &dyn System, port: u16) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = holders(system, port)
        .into_iter()
        .map(|holder| (holder.pid, holder.name))
        .collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TCP: &str = include_str!("../../../tests/machines/debian-12/proc-net-tcp");
    const TCP6: &str = include_str!("../../../tests/machines/debian-12/proc-net-tcp6");

    #[test]
    fn a_listener_and_a_login_of_a_real_host_are_read() {
        let sockets = parse(TCP);
        let listener = sockets.iter().find(|s| s.state == LISTEN).expect("a listener");
        assert_eq!(listener.local, "0.0.0.0:22".parse().expect("address"));
        let login = sockets.iter().find(|s| s.state == ESTABLISHED).expect("a login");
        assert_eq!(login.local, "10.99.21.2:22".parse().expect("address"));
        assert_eq!(login.remote.ip().to_string(), "10.99.21.1");
    }

    #[test]
    fn both_kinds_of_version_6_lines_are_read() {
        let sockets = parse(TCP6);
        assert!(
            sockets
                .iter()
                .any(|s| s.state == LISTEN && s.local == "[::]:22".parse().expect("address"))
        );
        let mut connected: Vec<String> = sockets
            .iter()
            .filter(|s| s.state == ESTABLISHED)
            .map(|s| s.local.to_string())
            .collect();
        connected.sort();
        assert_eq!(connected, ["10.99.21.2:2222", "[fd99:21::2]:22"]);
    }

    proptest! {
        #[test]
        fn any_address_that_the_kernel_prints_is_read_back(bytes in any::<[u8; 16]>(), port in any::<u16>()) {
            let words: String = bytes
                .chunks_exact(4)
                .map(|c| format!("{:08X}", u32::from_ne_bytes([c[0], c[1], c[2], c[3]])))
                .collect();
            let read = parse_address(&format!("{words}:{port:04X}")).expect("an address");
            prop_assert_eq!(read, SocketAddr::new(Ipv6Addr::from(bytes).to_canonical(), port));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s)[0-9A-F: \n\u{e9}x]{0,200}") {
            let _ = parse(&text);
        }
    }
}
