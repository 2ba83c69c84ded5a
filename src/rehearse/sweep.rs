//! All 65,535 ports: which packets of a stranger get past every chain on the way in.
//!
//! Raw sockets on the host's side see what the kernel delivers, behind the last chain of whatever tool. So no port needs
//! a listener and no drop has to be waited for: one packet to each port, and what arrives is written down.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, ipproto, recvfrom, sendto,
    socket_with,
};

use super::cast::family;
use super::{RehearseError, Script};
use crate::matrix::{Family, SweepRow};
use crate::plan::Requirement;
use crate::port::{Direction, Protocol};
use crate::system::{System, SystemError};

/// Room for a packet to each port, as the kernel counts it.
const ROOM: usize = 128 * 1024 * 1024;
/// When fewer ports than this are silent they are asked again: a packet may have been lost for want of room.
const FEW: usize = 20_000;
/// Ports of one kind that a stranger's packet reached.
pub type Seen = Vec<(Protocol, Family, BTreeSet<u16>)>;

/// Sends a packet to every port of both families and tells which were delivered. A busy kernel may lose some of so many:
/// silent ports that matter, and those of `known`, are asked again.
pub fn sweep(
    system: &dyn System,
    script: &Script,
    far: &Path,
    known: Option<&Seen>,
) -> Result<Seen, RehearseError> {
    let mut seen = Vec::new();
    for (from, to) in ends(script) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let all: Vec<u16> = (1..=u16::MAX).collect();
            let mut ports = pass(system, far, (from, to), protocol, &all)?;
            let mut again: BTreeSet<u16> = all.into_iter().filter(|port| !ports.contains(port)).collect();
            if again.len() >= FEW {
                let mut matter = telling(script);
                let of_kind =
                    |(p, f, _): &&(Protocol, Family, BTreeSet<u16>)| *p == protocol && *f == family(from);
                matter.extend(known.into_iter().flatten().filter(of_kind).flat_map(|row| &row.2));
                again.retain(|port| matter.contains(port));
            }
            if !again.is_empty() {
                let again: Vec<u16> = again.into_iter().collect();
                ports.extend(pass(system, far, (from, to), protocol, &again)?);
            }
            seen.push((protocol, family(from), ports));
        }
    }
    Ok(seen)
}

/// With everything undone: ports that seemed to be shut before, opened without having been asked for, and are open now
/// had only been lost.
pub fn look_again(
    system: &dyn System,
    script: &Script,
    far: &Path,
    before: &mut Seen,
    after: &Seen,
) -> Result<(), RehearseError> {
    for (from, to) in ends(script) {
        for ((protocol, of, was), (_, _, is)) in before.iter_mut().zip(after) {
            let doubtful: Vec<u16> = is.difference(was).copied().collect();
            if *of == family(from) && !doubtful.is_empty() {
                was.extend(pass(system, far, (from, to), *protocol, &doubtful)?);
            }
        }
    }
    Ok(())
}

/// A stranger of each family, and the address of the host that he talks to.
fn ends(script: &Script) -> Vec<(IpAddr, IpAddr)> {
    let cast = &script.cast;
    let ends = cast
        .strangers
        .iter()
        .filter_map(|stranger| Some((*stranger, cast.near(*stranger)?)));
    ends.collect()
}

/// Ports that the change or a question is about, and their neighbours.
fn telling(script: &Script) -> BTreeSet<u16> {
    let mut ports: BTreeSet<u16> = script.questions.iter().map(|question| question.port).collect();
    ports.extend(script.closing.iter().copied());
    for requirement in &script.requirements {
        let (first, last) = (requirement.ports.first(), requirement.ports.last());
        ports.extend(first.saturating_sub(1).max(1)..=last.saturating_add(1));
    }
    ports
}

/// One packet to each of the ports; those that were delivered.
fn pass(
    system: &dyn System,
    far: &Path,
    ends: (IpAddr, IpAddr),
    protocol: Protocol,
    ports: &[u16],
) -> Result<BTreeSet<u16>, SystemError> {
    let failed = |source: io::Error| SystemError::Kernel {
        what: "packets to all ports could not be sent",
        source,
    };
    let ear = ear(ends.0, protocol).map_err(failed)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let hearing = scope.spawn(|| hear(&ear, ends.0, protocol, &over));
        let sending = scope.spawn(|| {
            let sent = system
                .enter_network(far)
                .and_then(|()| send(ends, protocol, ports).map_err(failed));
            over.store(true, Ordering::SeqCst);
            sent
        });
        let sent = sending.join().unwrap_or(Ok(()));
        let heard = hearing.join().unwrap_or_default();
        sent.map(|()| heard)
    })
}

/// A socket that gets a copy of every packet of a protocol that is delivered to this host.
fn ear(from: IpAddr, protocol: Protocol) -> io::Result<OwnedFd> {
    let number = match protocol {
        Protocol::Tcp => ipproto::TCP,
        Protocol::Udp => ipproto::UDP,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let ear = socket_with(kind(from), SocketType::RAW, flags, Some(number))?;
    if set_socket_recv_buffer_size_force(&ear, ROOM).is_err() {
        let _ = set_socket_recv_buffer_size(&ear, ROOM);
    }
    Ok(ear)
}

fn kind(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

/// Listens until the last packet was sent and nothing more comes.
fn hear(ear: &OwnedFd, from: IpAddr, protocol: Protocol, over: &AtomicBool) -> BTreeSet<u16> {
    const QUIET: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 30_000_000,
    };
    let mut heard = BTreeSet::new();
    let mut packet = [0u8; 128];
    loop {
        let last = over.load(Ordering::SeqCst);
        let mut fds = [PollFd::from_borrowed_fd(ear.as_fd(), PollFlags::IN)];
        if matches!(poll(&mut fds, Some(&QUIET)), Ok(0)) && last {
            return heard;
        }
        while let Ok((count, _, sender)) = recvfrom(ear, &mut packet[..], RecvFlags::empty()) {
            let sender = sender.and_then(|sender| SocketAddr::try_from(sender).ok());
            let bytes = packet.get(..count).unwrap_or_default();
            if sender.is_some_and(|sender| sender.ip() == from) {
                heard.extend(destination(bytes, from.is_ipv4(), protocol));
            }
        }
    }
}

/// The destination port of a packet: IPv4 comes with its header, IPv6 without. Of TCP only the first packet of a
/// connection counts: sessions that are open already have others.
fn destination(packet: &[u8], v4: bool, protocol: Protocol) -> Option<u16> {
    const FIN_SYN_RST_ACK: u8 = 0x17;
    const SYN: u8 = 0x02;
    let header = if v4 {
        usize::from(packet.first()? & 0x0f) * 4
    } else {
        0
    };
    if protocol == Protocol::Tcp && packet.get(header + 13)? & FIN_SYN_RST_ACK != SYN {
        return None;
    }
    let bytes = packet.get(header + 2..header + 4)?;
    Some(u16::from_be_bytes(<[u8; 2]>::try_from(bytes).ok()?))
}

/// A SYN or a datagram to each port. A socket that is closed while it waits for its answer says nothing more.
fn send(ends: (IpAddr, IpAddr), protocol: Protocol, ports: &[u16]) -> io::Result<()> {
    let (from, to) = ends;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let source = SocketAddr::new(from, 0);
    if protocol == Protocol::Udp {
        let socket = socket_with(kind(from), SocketType::DGRAM, flags, None)?;
        bind(&socket, &source)?;
        for port in ports {
            let target = SocketAddr::new(to, *port);
            // An answer to an earlier packet may be reported now; this one has then not been sent.
            if sendto(&socket, b"?", SendFlags::empty(), &target).is_err() {
                let _ = sendto(&socket, b"?", SendFlags::empty(), &target);
            }
        }
        return Ok(());
    }
    for port in ports {
        let socket = socket_with(kind(from), SocketType::STREAM, flags, None)?;
        bind(&socket, &source)?;
        let _ = connect(&socket, &SocketAddr::new(to, *port));
    }
    Ok(())
}

/// What the change made of it, and what of that nobody asked for.
pub fn rows(script: &Script, before: &Seen, after: &Seen) -> Vec<SweepRow> {
    let pairs = before.iter().zip(after);
    let rows = pairs.map(|((protocol, family, was), (_, _, is))| {
        let stranger = script
            .cast
            .strangers
            .iter()
            .find(|a| super::cast::family(**a) == *family);
        let asked = |requirement: &&Requirement| {
            let for_all = requirement.peers.is_empty()
                || stranger.is_some_and(|a| requirement.peers.iter().any(|net| net.contains(a)));
            requirement.direction == Direction::In
                && requirement.protocol == *protocol
                && requirement.group.is_none()
                && for_all
        };
        let wanted: Vec<&Requirement> = script.requirements.iter().filter(asked).collect();
        let opened: BTreeSet<u16> = is.difference(was).copied().collect();
        let closed: BTreeSet<u16> = was.difference(is).copied().collect();
        let closing =
            |port: &&u16| script.walls || (*protocol == Protocol::Tcp && script.closing.contains(port));
        let change = script.change.as_ref();
        let at_liberty = |port: &u16| {
            change.is_some_and(|change| change.drops_wall() || change.leaves_open(*protocol, *port))
        };
        let unasked: BTreeSet<u16> = opened
            .iter()
            .filter(|port| !wanted.iter().any(|r| r.ports.contains(**port)))
            .chain(closed.iter().filter(|port| !closing(port)))
            .copied()
            .filter(|port| !at_liberty(port))
            .collect();
        SweepRow {
            protocol: *protocol,
            family: *family,
            opened: ranges(&opened),
            closed: ranges(&closed),
            unasked: ranges(&unasked),
        }
    });
    rows.collect()
}

/// `22`, `33001-33100`
fn ranges(ports: &BTreeSet<u16>) -> Vec<String> {
    let mut found: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match found.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => found.push((*port, *port)),
        }
    }
    let text = |(first, last): (u16, u16)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    found.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_packet_is_behind_the_header_of_its_family() {
        let mut packet = vec![0x46u8; 24];
        packet.extend([0x12, 0x34, 0x80, 0xe9, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02]);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            assert_eq!(destination(&packet, true, protocol), Some(33001));
            assert_eq!(destination(&packet[24..], false, protocol), Some(33001));
        }
        assert_eq!(destination(&packet[..26], true, Protocol::Udp), None);
        packet[37] = 0x10;
        assert_eq!(destination(&packet, true, Protocol::Tcp), None);
    }

    #[test]
    fn neighbours_become_ranges() {
        let ports = BTreeSet::from([22, 33001, 33002, 33003, 65534, 65535]);
        assert_eq!(ranges(&ports), ["22", "33001-33003", "65534-65535"]);
        assert!(ranges(&BTreeSet::new()).is_empty());
    }
}
