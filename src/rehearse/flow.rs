//! Sessions that were open before the rules came: they must live on, whether conntrack knows them or not.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::FAR_FILE;
use super::serve::for_port;
use crate::matrix::Rehearsal;
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};
use crate::transaction::Phase;

/// How long an echo may take: a lost packet is sent again after a fifth of a second.
const PATIENCE: Duration = Duration::from_millis(600);

/// An open connection.
pub struct Session(TcpStream);

impl Session {
    /// Opens connections from a far address to a port of the host.
    pub fn open(
        system: &dyn System,
        far: &Path,
        from: IpAddr,
        to: SocketAddr,
        count: usize,
    ) -> Result<Vec<Self>, SystemError> {
        thread::scope(|scope| {
            let opened = scope.spawn(|| {
                system.enter_network(far)?;
                let all: io::Result<Vec<Self>> = (0..count).map(|_| Self::connect(from, to)).collect();
                all.map_err(|source| SystemError::Kernel {
                    what: "the copy takes no connection without any rules",
                    source,
                })
            });
            opened.join().unwrap_or(Ok(Vec::new()))
        })
    }

    fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let family = if from.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddr::new(from, 0))?;
        connect(&socket, &to)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Says a number and hears it back.
    pub fn alive(&mut self, system: &dyn System) -> bool {
        let (Ok(random), Ok(to)) = (system.random(), self.0.peer_addr()) else {
            return false;
        };
        let nonce = for_port(random, to.port());
        let end = Instant::now() + PATIENCE;
        let said = self.0.write_all(&nonce.to_ne_bytes());
        let mut heard = Vec::new();
        let mut bytes = [0u8; 64];
        while said.is_ok() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.0.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            match self.0.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(count) => heard.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            }
            // Echoes of numbers that were given up on may come first.
            if heard.ends_with(&nonce.to_ne_bytes()) {
                return true;
            }
        }
        false
    }
}

/// Makes the kernel track connections before the copy's own rules do.
const TRACKING: &str = "table inet faspwall_tracking {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tct state new accept\n\t}\n}\n";

/// The sessions that were open before.
pub struct Flows {
    /// Known to conntrack from its first packet on.
    tracked: Option<Session>,
    /// Never seen by conntrack: each says its first word at another time.
    untracked: Vec<Session>,
    /// More of them, that speak when all is undone.
    spare: Vec<Session>,
    /// Whether the first one lives on; `None` when the host's own rules ended it.
    pub tracked_ok: Option<bool>,
    /// The same of the others.
    pub untracked_ok: Option<bool>,
    /// What is to be said of sessions that end and may.
    pub left_to_end: Option<String>,
    primed: bool,
}

impl Flows {
    /// Opens all of them, before any rule is there.
    pub fn open(system: &dyn System, flow: Option<(IpAddr, SocketAddr)>) -> Result<Self, SystemError> {
        let mut flows = Self {
            tracked: None,
            untracked: Vec::new(),
            spare: Vec::new(),
            tracked_ok: None,
            untracked_ok: None,
            left_to_end: None,
            primed: false,
        };
        let Some((from, to)) = flow else { return Ok(flows) };
        let far = Path::new(FAR_FILE);
        flows.untracked = Session::open(system, far, from, to, 3)?;
        flows.spare = Session::open(system, far, from, to, 2)?;
        if system.locate(Tool::Nft).is_some() {
            let call = Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(TRACKING);
            flows.primed = system.run(&call)?.ok();
        }
        flows.tracked = Session::open(system, far, from, to, 1)?.pop();
        if let Some(session) = &mut flows.tracked {
            session.alive(system);
        }
        Ok(flows)
    }

    /// The copy is loaded: a session that it ends by itself tells nothing about the change.
    pub fn loaded(&mut self, system: &dyn System) -> Result<(), SystemError> {
        if self.primed {
            let words = ["delete", "table", "inet", "faspwall_tracking"];
            system.run_ok(&Invocation::new(Tool::Nft, words))?;
        }
        self.tracked_ok = match &mut self.tracked {
            Some(session) => session.alive(system).then_some(true),
            None => None,
        };
        self.untracked_ok = match self.untracked.pop() {
            Some(mut session) => session.alive(system).then_some(true),
            None => None,
        };
        Ok(())
    }

    /// Everything is undone. A rule of the host that counts newcomers has met a good many in the copy by now: sessions
    /// that it ends without the change as well were not ended by the change.
    pub fn undone(&mut self, system: &dyn System, rehearsal: &mut Rehearsal) {
        if self.untracked_ok != Some(false) || !rehearsal.undo.is_empty() {
            return;
        }
        if !self.spare.drain(..).all(|mut session| session.alive(system)) {
            self.untracked_ok = None;
            rehearsal.flow_untracked = None;
            rehearsal.not_rehearsed.push(
                "an open session unknown to conntrack: a rule of this host that counts new connections ends it, with or without the change"
                    .to_owned(),
            );
        }
    }

    /// The commit of a way back is done, which shuts the port of these sessions. Where the rules of before let nothing out
    /// from it, they end: no harm, for a login through the other port has been proved twice by then.
    pub fn look_back(&mut self, system: &dyn System) {
        let before = (self.tracked_ok, self.untracked_ok);
        self.look(system, Phase::Commit);
        for (was, is) in [
            (before.0, &mut self.tracked_ok),
            (before.1, &mut self.untracked_ok),
        ] {
            if was == Some(true) && *is == Some(false) {
                *is = None;
                self.left_to_end = Some(String::from(
                    "an open session through the port that is left: the rules of before let nothing out from it, so it ends when the way back is kept",
                ));
            }
        }
    }

    /// A phase is done.
    pub fn look(&mut self, system: &dyn System, phase: Phase) {
        if let (Some(ok), Some(session)) = (&mut self.tracked_ok, &mut self.tracked) {
            *ok &= *ok && session.alive(system);
        }
        // Each has one word: with it conntrack gets to know the session.
        let speaks = matches!(phase, Phase::Trial2 | Phase::Commit);
        if let (true, Some(ok), Some(mut session)) = (speaks, &mut self.untracked_ok, self.untracked.pop()) {
            *ok &= session.alive(system);
        }
    }
}
