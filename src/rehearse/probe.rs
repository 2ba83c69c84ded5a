//! Sends questions and waits for what comes of them, all at the same time.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::questions::Question;
use super::serve::{Arrivals, NONCE, for_port};
use crate::matrix::Verdict;
use crate::port::{Direction, Protocol};
use crate::system::{System, SystemError};

/// How long an answer may take before it counts as lost: everything happens inside one kernel.
pub const PATIENCE: Duration = Duration::from_millis(250);
/// The same for a question whose loss would be bad news: this host may be busy.
pub const MORE_PATIENCE: Duration = Duration::from_millis(1000);

/// A socket that waits for its answer.
enum Waiting {
    /// Sent its SYN.
    Knocking(TcpStream),
    /// Sent its number.
    Talking(TcpStream),
    Datagram(UdpSocket),
    /// Sent to a group: what counts is that it arrived.
    Group(UdpSocket),
    Answered(Verdict),
}

/// Where the questions are put from.
#[derive(Clone, Copy)]
pub struct Sides<'s> {
    /// The host.
    pub system: &'s dyn System,
    /// The far side's namespace.
    pub far: &'s Path,
    /// What the listeners have heard.
    pub arrivals: &'s Arrivals,
}

/// Asks all questions; the answers are in the same order.
pub fn ask(
    sides: Sides<'_>,
    questions: &[&Question],
    patience: Duration,
) -> Result<Vec<Verdict>, SystemError> {
    let mut nonces = Vec::with_capacity(questions.len());
    for _ in questions {
        nonces.push(sides.system.random()?);
    }
    for (nonce, question) in nonces.iter_mut().zip(questions) {
        *nonce = for_port(*nonce, question.port);
    }
    let inbound = |question: &Question| question.direction == Direction::In;
    let put = |inward: bool| -> Vec<Option<Waiting>> {
        let pairs = questions.iter().zip(&nonces);
        let put = |(question, nonce): (&&Question, &u64)| {
            (inbound(question) == inward).then(|| send(question, *nonce))
        };
        pairs.map(put).collect()
    };
    let coming = thread::scope(|scope| {
        let coming = scope.spawn(|| {
            sides.system.enter_network(sides.far)?;
            Ok::<_, SystemError>(put(true))
        });
        coming.join().unwrap_or(Ok(Vec::new()))
    })?;
    let going = put(false);
    let mut all: Vec<Waiting> = coming
        .into_iter()
        .zip(going)
        .map(|(inward, outward)| inward.or(outward).unwrap_or(Waiting::Answered(Verdict::Drop)))
        .collect();
    let start = Instant::now();
    let mut end = start + patience;
    let mut answered = 0;
    while wait(&mut all, end) {
        for ((waiting, nonce), question) in all.iter_mut().zip(&nonces).zip(questions) {
            let expected = Expected {
                nonce: *nonce,
                elsewhere: elsewhere(question),
            };
            step(waiting, &expected, sides.arrivals);
        }
        let now = all.iter().filter(|w| matches!(w, Waiting::Answered(_))).count();
        if now > answered {
            answered = now;
            // Where answers are slow, silence must last longer to count.
            end = end.max(start + start.elapsed().saturating_mul(4).min(MORE_PATIENCE));
        }
    }
    let verdict = |waiting: Waiting| match waiting {
        Waiting::Answered(verdict) => verdict,
        _ => Verdict::Drop,
    };
    Ok(all.into_iter().map(verdict).collect())
}

/// Asks again and again until everything is answered; before there are rules there is nothing that could stop it but
/// cables that the kernel has not connected yet.
pub fn warm_up(sides: Sides<'_>, questions: &[&Question]) -> Result<bool, SystemError> {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        let verdicts = ask(sides, questions, Duration::from_millis(100))?;
        if verdicts.iter().all(|verdict| verdict.lets_in()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Asks, and asks once more with more patience those whose answer is not the wished one.
pub fn ask_surely(
    sides: Sides<'_>,
    questions: &[&Question],
    wished: impl Fn(usize) -> Option<bool>,
) -> Result<Vec<Verdict>, SystemError> {
    let mut verdicts = ask(sides, questions, PATIENCE)?;
    let doubtful: Vec<usize> = (0..questions.len())
        .filter(|index| wished(*index) == Some(true) && verdicts.get(*index) == Some(&Verdict::Drop))
        .collect();
    let again: Vec<&Question> = doubtful
        .iter()
        .filter_map(|i| questions.get(*i).copied())
        .collect();
    if again.is_empty() {
        return Ok(verdicts);
    }
    for (index, verdict) in doubtful.into_iter().zip(ask(sides, &again, MORE_PATIENCE)?) {
        if let Some(place) = verdicts.get_mut(index) {
            *place = verdict;
        }
    }
    Ok(verdicts)
}

/// Opens a socket and sends. An error is an answer, too.
fn send(question: &Question, nonce: u64) -> Waiting {
    let sent = match (question.protocol, question.group) {
        (Protocol::Tcp, _) => knock(question),
        (Protocol::Udp, None) => datagram(question, nonce),
        (Protocol::Udp, Some(_)) => to_group(question, nonce),
    };
    sent.unwrap_or_else(|error| Waiting::Answered(judged(&error)))
}

fn ends(question: &Question) -> (SocketAddr, SocketAddr) {
    let (client, server) = match question.direction {
        Direction::In => (question.far, question.near),
        Direction::Out => (question.near, question.far),
    };
    let server = question.group.map_or(server, IpAddr::V4);
    (SocketAddr::new(client, 0), SocketAddr::new(server, question.port))
}

fn socket(from: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if from.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    bind(&socket, &from)?;
    Ok(socket)
}

fn knock(question: &Question) -> io::Result<Waiting> {
    let (client, server) = ends(question);
    let socket = socket(client, SocketType::STREAM)?;
    match connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(Waiting::Knocking(TcpStream::from(socket))),
        Err(error) => Err(error.into()),
    }
}

fn datagram(question: &Question, nonce: u64) -> io::Result<Waiting> {
    let (client, server) = ends(question);
    let socket = socket(client, SocketType::DGRAM)?;
    connect(&socket, &server)?;
    let socket = UdpSocket::from(socket);
    socket.send(&nonce.to_ne_bytes())?;
    Ok(Waiting::Datagram(socket))
}

fn to_group(question: &Question, nonce: u64) -> io::Result<Waiting> {
    let (client, server) = ends(question);
    let socket = socket(client, SocketType::DGRAM)?;
    if let IpAddr::V4(own) = client.ip() {
        rustix::net::sockopt::set_ip_multicast_if(&socket, &own)?;
        // What the sender's own side hears of it has passed no firewall.
        rustix::net::sockopt::set_ip_multicast_loop(&socket, false)?;
    }
    let socket = UdpSocket::from(socket);
    socket.send_to(&nonce.to_ne_bytes(), server)?;
    Ok(Waiting::Group(socket))
}

/// What an error says: the kernel does not let a packet out (dropped on the way out), or somebody refused it.
fn judged(error: &io::Error) -> Verdict {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::TIMEDOUT) => Verdict::Drop,
        _ => Verdict::Reject,
    }
}

/// Waits until something happens; `false` when all is answered or the time is over.
fn wait(all: &mut [Waiting], end: Instant) -> bool {
    let mut left = end.saturating_duration_since(Instant::now());
    let open = all.iter().any(|waiting| !matches!(waiting, Waiting::Answered(_)));
    if !open || left.is_zero() {
        return false;
    }
    // Another thread notes what arrived at a group; no socket here tells of it.
    if all.iter().any(|waiting| matches!(waiting, Waiting::Group(_))) {
        left = left.min(Duration::from_millis(5));
    }
    let mut fds: Vec<PollFd<'_>> = all.iter().filter_map(poll_fd).collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    let _ = poll(&mut fds, Some(&timeout));
    true
}

fn poll_fd(waiting: &Waiting) -> Option<PollFd<'_>> {
    let (fd, flags): (BorrowedFd<'_>, PollFlags) = match waiting {
        Waiting::Knocking(stream) => (stream.as_fd(), PollFlags::OUT),
        Waiting::Talking(stream) => (stream.as_fd(), PollFlags::IN),
        Waiting::Datagram(socket) | Waiting::Group(socket) => (socket.as_fd(), PollFlags::IN),
        Waiting::Answered(_) => return None,
    };
    Some(PollFd::from_borrowed_fd(fd, flags))
}

/// What an answer is compared with.
struct Expected {
    nonce: u64,
    /// What it means that another port answered.
    elsewhere: Verdict,
}

impl Expected {
    /// What an answer says; `None` when it is none to this question.
    fn verdict(&self, answer: u64) -> Option<Verdict> {
        match answer {
            same if same == self.nonce => Some(Verdict::Accept),
            other if other == !self.nonce => Some(self.elsewhere),
            _ => None,
        }
    }
}

/// A rule has sent the packet to another port, where somebody answered: whoever wants this port's own program does not
/// reach it, but the port is not shut either.
fn elsewhere(question: &Question) -> Verdict {
    if question.wanted == Some(true) {
        Verdict::Reject
    } else {
        Verdict::Accept
    }
}

/// Takes one socket as far as it goes.
fn step(waiting: &mut Waiting, expected: &Expected, arrivals: &Arrivals) {
    let now = std::mem::replace(waiting, Waiting::Answered(Verdict::Drop));
    *waiting = match now {
        Waiting::Knocking(stream) => knocked(stream, expected.nonce),
        Waiting::Talking(stream) => talked(stream, expected),
        Waiting::Datagram(socket) => {
            let mut bytes = [0u8; NONCE];
            match socket.recv(&mut bytes) {
                Ok(_) => match expected.verdict(u64::from_ne_bytes(bytes)) {
                    Some(verdict) => Waiting::Answered(verdict),
                    None => Waiting::Datagram(socket),
                },
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Waiting::Answered(judged(&error)),
                _ => Waiting::Datagram(socket),
            }
        }
        Waiting::Group(_) if arrivals.has(expected.nonce) => Waiting::Answered(Verdict::Accept),
        other => other,
    };
}

fn knocked(mut stream: TcpStream, nonce: u64) -> Waiting {
    match stream.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return Waiting::Answered(judged(&error)),
    }
    if stream.peer_addr().is_err() {
        return Waiting::Knocking(stream);
    }
    match stream.write_all(&nonce.to_ne_bytes()) {
        Ok(()) => Waiting::Talking(stream),
        Err(error) => Waiting::Answered(judged(&error)),
    }
}

fn talked(mut stream: TcpStream, expected: &Expected) -> Waiting {
    let mut bytes = [0u8; NONCE];
    match stream.read(&mut bytes) {
        Ok(NONCE) => Waiting::Answered(
            expected
                .verdict(u64::from_ne_bytes(bytes))
                .unwrap_or(Verdict::Reject),
        ),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waiting::Talking(stream),
        Ok(_) => Waiting::Answered(Verdict::Reject),
        Err(error) => Waiting::Answered(judged(&error)),
    }
}
