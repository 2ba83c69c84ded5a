//! sshd on this host: who starts it, where it listens, and who else must know its port.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LocalPorts;

/// Who starts sshd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// A systemd service, by its unit name (`ssh.service`, `sshd.service`).
    Service(String),
    /// A systemd socket, by its unit name.
    Socket(String),
    /// A daemon without a service manager; the pid file it wrote, when there is one.
    Plain(Option<PathBuf>),
    /// No sshd runs.
    #[default]
    None,
}

/// The effective configuration of sshd as `sshd -T` prints it, and the files behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshdConfig {
    /// `/etc/ssh/sshd_config`, or what `-f` names.
    pub main: PathBuf,
    /// Every file that was read, in order, with its content: the main file first.
    pub files: Vec<(PathBuf, String)>,
    /// `port` lines of `sshd -T`.
    pub ports: Vec<u16>,
    /// `listenaddress` lines of `sshd -T`, as printed (`0.0.0.0:22`, `[::]:22`).
    pub listen_addresses: Vec<String>,
    /// Whether `sshd -T` answered; if not, why.
    pub error: Option<String>,
}

impl SshdConfig {
    /// TCP ports on which sshd listens for others by this configuration, ascending. The `listenaddress` lines decide: where
    /// each of them has a port of its own, a `port` line says nothing.
    pub fn listening(&self) -> Vec<u16> {
        let port = |place: &String| -> Option<u16> {
            let (host, port) = place.rsplit_once(':')?;
            let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
            let outside = !address.is_some_and(|address| address.is_loopback());
            port.split(' ').next()?.parse().ok().filter(|_| outside)
        };
        let mut ports: Vec<u16> = self.listen_addresses.iter().filter_map(port).collect();
        if ports.is_empty() {
            ports.clone_from(&self.ports);
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// A systemd socket that holds sshd's port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketFacts {
    /// What it listens on, as `ListenStream=` takes it: `[::]:22`, `0.0.0.0:22`, `/run/ssh.sock`.
    pub streams: Vec<String>,
    /// The service that it starts; `None` where each connection gets an instance of its own.
    pub service: Option<String>,
    /// Drop-ins of the unit, in the order in which they count.
    pub drop_ins: Vec<PathBuf>,
    /// Content of our own drop-in.
    pub ours: Option<String>,
    /// Whether Ubuntu's `sshd-socket-generator` is installed, which makes the streams out of sshd's configuration.
    pub generator: bool,
}

/// sshd's own word on a login of one user through two ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoPorts {
    /// Who logs in.
    pub user: String,
    /// The user's groups, as far as the host's own files name them.
    pub groups: Vec<String>,
    /// The present port, and the new one.
    pub ports: (u16, u16),
    /// What `sshd -T -C` prints for each.
    pub answers: (String, String),
}

/// sshd on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshFacts {
    /// `OpenSSH_9.2p1`, `dropbear`, ...; empty when there is none.
    pub daemon: String,
    /// Absolute path of the program that listens (from `/proc/PID/exe`), or the located one.
    pub program: Option<PathBuf>,
    /// TCP ports on which an sshd listens on a non-loopback address now, ascending.
    pub ports: Vec<u16>,
    /// Process number of the listener.
    pub pid: Option<u32>,
    /// Its command line, without the program name.
    pub args: Vec<String>,
    /// Files that may hold its options, with their content; read only when an option says where it listens.
    #[serde(default)]
    pub start: Vec<(PathBuf, String)>,
    /// Who starts it.
    pub activation: Activation,
    /// Whether its service can be told to read its configuration again (`ExecReload`); `None` where that is not known.
    #[serde(default)]
    pub reloads: Option<bool>,
    /// The socket that holds its port, with [`Activation::Socket`].
    #[serde(default)]
    pub socket: Option<SocketFacts>,
    /// Its configuration.
    pub config: SshdConfig,
    /// Asked only once a new port is known, and only where a `Match` block looks at ports.
    #[serde(default)]
    pub two_ports: Option<TwoPorts>,
    /// Restrictions for logins on the present port that do not hold on the new one: place and line of each.
    #[serde(default)]
    pub tied: Vec<String>,
    /// Connections of this host that have the new port as their own end, which keep a listener from it.
    #[serde(default)]
    pub in_the_way: Vec<String>,
    /// Which ports outgoing connections get; asked only on a running host.
    #[serde(default)]
    pub local_ports: Option<LocalPorts>,
    /// What `semanage port -l` prints, where SELinux is on.
    #[serde(default)]
    pub labels: Option<String>,
    /// The ports that the sshd jail of a running fail2ban names, and our own file for it.
    #[serde(default)]
    pub jail: Option<(String, Option<String>)>,
    /// `/etc/hosts.allow` and `/etc/hosts.deny`, where sshd obeys them.
    #[serde(default)]
    pub wrappers: Option<(String, String)>,
    /// Failed logins in the last 24 hours, where a log could be read.
    pub failed_logins: Option<u64>,
}
