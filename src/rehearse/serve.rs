//! Listeners that give back what they hear: on the host's side for ports that come in, on the far side for those that
//! go out. One thread for each side serves all of them.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};

use super::questions::Question;
use crate::port::{Direction, Protocol};
use crate::system::{System, SystemError};

/// Bytes of a question: a number that no other question bears.
pub const NONCE: usize = 8;

/// A question's number for a port: it tells the listener which port was meant.
pub fn for_port(nonce: u64, port: u16) -> u64 {
    nonce & !u64::from(u16::MAX) | u64::from(port)
}

/// What a listener says to what it has heard: the same, or, when the question was for another port, its opposite. A rule
/// of the host has sent it here then.
fn reply(heard: &[u8], own: io::Result<SocketAddr>) -> Vec<u8> {
    let nonce = <[u8; NONCE]>::try_from(heard).map(u64::from_ne_bytes);
    match (nonce, own) {
        (Ok(nonce), Ok(own)) if for_port(nonce, own.port()) != nonce => (!nonce).to_ne_bytes().to_vec(),
        _ => heard.to_vec(),
    }
}

/// The questions that have arrived, answered or not.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Arc<Mutex<HashSet<u64>>>);

impl Arrivals {
    fn note(&self, bytes: &[u8]) {
        if let Ok(nonce) = <[u8; NONCE]>::try_from(bytes) {
            let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            set.insert(u64::from_ne_bytes(nonce));
        }
    }

    /// Whether a question has arrived.
    pub fn has(&self, nonce: u64) -> bool {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.contains(&nonce)
    }
}

enum Socket {
    Door(TcpListener),
    Talk(TcpStream),
    Datagrams(UdpSocket),
    /// Multicast goes one way: nothing is given back.
    Group(UdpSocket),
}

impl Socket {
    fn poll_fd(&self) -> PollFd<'_> {
        let fd = match self {
            Self::Door(socket) => socket.as_fd(),
            Self::Talk(socket) => socket.as_fd(),
            Self::Datagrams(socket) | Self::Group(socket) => socket.as_fd(),
        };
        PollFd::from_borrowed_fd(fd, PollFlags::IN)
    }
}

/// Listens on the host's side, and on `far` for what goes out. Besides the questions' own ports, TCP `extra` ports are
/// served on the host's side.
pub fn listen(
    system: &dyn System,
    questions: &[Question],
    extra: &[SocketAddr],
    far: &Path,
) -> Result<Arrivals, SystemError> {
    let arrivals = Arrivals::default();
    let of = |direction| questions.iter().filter(move |q| q.direction == direction);
    let near = open(of(Direction::In), extra).map_err(refused)?;
    let outside = thread::scope(|scope| {
        let outside = scope.spawn(|| {
            system.enter_network(far)?;
            open(of(Direction::Out), &[]).map_err(refused)
        });
        outside.join().unwrap_or(Ok(Vec::new()))
    })?;
    for sockets in [near, outside] {
        let arrivals = arrivals.clone();
        thread::spawn(move || serve(sockets, &arrivals));
    }
    Ok(arrivals)
}

fn refused(source: io::Error) -> SystemError {
    SystemError::Kernel {
        what: "the copy cannot listen on a port",
        source,
    }
}

fn open<'q>(questions: impl Iterator<Item = &'q Question>, extra: &[SocketAddr]) -> io::Result<Vec<Socket>> {
    let mut known: HashSet<(Protocol, SocketAddr)> = HashSet::new();
    let mut sockets = Vec::new();
    for question in questions {
        let own = match question.direction {
            Direction::In => question.near,
            Direction::Out => question.far,
        };
        let address = SocketAddr::new(question.group.map_or(own, IpAddr::V4), question.port);
        if !known.insert((question.protocol, address)) {
            continue;
        }
        sockets.push(match (question.protocol, question.group, own) {
            (Protocol::Udp, Some(group), IpAddr::V4(own)) => {
                Socket::Group(member(group, own, question.port)?)
            }
            (Protocol::Udp, _, _) => Socket::Datagrams(quiet(UdpSocket::bind(address)?)?),
            (Protocol::Tcp, _, _) => Socket::Door(door(address)?),
        });
    }
    for address in extra {
        if known.insert((Protocol::Tcp, *address)) {
            sockets.push(Socket::Door(door(*address)?));
        }
    }
    Ok(sockets)
}

fn door(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn quiet(socket: UdpSocket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn member(group: Ipv4Addr, own: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((group, port))?;
    socket.join_multicast_v4(&group, &own)?;
    quiet(socket)
}

/// Serves until the process ends.
fn serve(mut sockets: Vec<Socket>, arrivals: &Arrivals) {
    while !sockets.is_empty() {
        let mut fds: Vec<PollFd<'_>> = sockets.iter().map(Socket::poll_fd).collect();
        match poll(&mut fds, None) {
            Err(error) if error != rustix::io::Errno::INTR => return,
            _ => {}
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let mut kept = Vec::with_capacity(sockets.len());
        for (socket, ready) in sockets.into_iter().zip(ready) {
            if ready {
                answer(socket, arrivals, &mut kept);
            } else {
                kept.push(socket);
            }
        }
        sockets = kept;
    }
}

fn answer(socket: Socket, arrivals: &Arrivals, kept: &mut Vec<Socket>) {
    let mut bytes = [0u8; 64];
    match socket {
        Socket::Door(door) => {
            while let Ok((talk, _)) = door.accept() {
                if talk.set_nonblocking(true).is_ok() {
                    drop(talk.set_nodelay(true));
                    kept.push(Socket::Talk(talk));
                }
            }
            kept.push(Socket::Door(door));
        }
        Socket::Talk(mut talk) => match talk.read(&mut bytes) {
            Ok(0) => {}
            Ok(count) => {
                let heard = bytes.get(..count).unwrap_or_default();
                arrivals.note(heard);
                if talk.write_all(&reply(heard, talk.local_addr())).is_ok() {
                    kept.push(Socket::Talk(talk));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => kept.push(Socket::Talk(talk)),
            Err(_) => {}
        },
        Socket::Datagrams(datagrams) => {
            while let Ok((count, from)) = datagrams.recv_from(&mut bytes) {
                let heard = bytes.get(..count).unwrap_or_default();
                arrivals.note(heard);
                drop(datagrams.send_to(&reply(heard, datagrams.local_addr()), from));
            }
            kept.push(Socket::Datagrams(datagrams));
        }
        Socket::Group(group) => {
            while let Ok((count, _)) = group.recv_from(&mut bytes) {
                arrivals.note(bytes.get(..count).unwrap_or_default());
            }
            kept.push(Socket::Group(group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_was_meant_for_another_port_gets_its_opposite() {
        let nonce = for_port(0x1234_5678_9abc_def0, 33001);
        let heard = nonce.to_ne_bytes();
        let on = |port: u16| Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(reply(&heard, on(33001)), heard);
        assert_eq!(reply(&heard, on(8080)), (!nonce).to_ne_bytes());
        assert_eq!(reply(b"SSH-2.0", on(8080)), b"SSH-2.0");
    }
}
