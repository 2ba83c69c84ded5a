//! Sessions that were open before the rules came: they must live on, whether conntrack knows them or not.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::system::{System, SystemError};

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
        let Ok(nonce) = system.random() else { return false };
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
