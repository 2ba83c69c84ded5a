//! What was seen on the host: plain data, filled by `engine::detect` and read by everything that plans or shows.

pub mod local_ports;
mod ssh;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::port::Protocol;

pub use local_ports::LocalPorts;
pub use ssh::{Activation, SocketFacts, SshFacts, SshdConfig, TwoPorts};

/// The firewalls that faspwall knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendId {
    /// Native nftables rules.
    Nftables,
    /// iptables, whichever variant.
    Iptables,
    /// ufw
    Ufw,
    /// firewalld
    Firewalld,
    /// pf (macOS, BSD)
    Pf,
    /// ipfw (old macOS, FreeBSD)
    Ipfw,
    /// Windows Defender Firewall
    Windows,
}

impl BackendId {
    /// Every backend, in the order in which they are listed on screen.
    pub const ALL: [Self; 7] = [
        Self::Nftables,
        Self::Iptables,
        Self::Ufw,
        Self::Firewalld,
        Self::Pf,
        Self::Ipfw,
        Self::Windows,
    ];

    /// The id used in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
            Self::Pf => "pf",
            Self::Ipfw => "ipfw",
            Self::Windows => "windows",
        }
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BackendId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|id| id.as_str() == text).ok_or(())
    }
}

/// The operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `ID` of os-release, such as `debian`.
    pub id: String,
    /// `VERSION_ID`, empty where there is none.
    pub version: String,
    /// `PRETTY_NAME`.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// Whether process 1 is systemd.
    pub systemd: bool,
    /// Elsewhere: a file that, once it is there, is looked at soon after the next boot.
    #[serde(default)]
    pub boot_hook: Option<PathBuf>,
}

/// What was found of one firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendFact {
    /// Which.
    pub id: BackendId,
    /// Its version, where it could be asked.
    pub version: Option<String>,
    /// The program is there.
    pub installed: bool,
    /// It filters now.
    pub active: bool,
    /// Its rules decide about packets that come in.
    pub owner: bool,
    /// How that was found out, or why it is not used.
    pub reason: String,
}

/// What happens to an inbound packet that no rule names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InboundDefault {
    /// Let in: nothing filters.
    #[default]
    Accept,
    /// Dropped silently.
    Drop,
    /// Refused with an answer.
    Reject,
}

impl fmt::Display for InboundDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        })
    }
}

/// One base chain on the way of an inbound packet (or of its reply), as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainFact {
    /// `inet`, `ip`, `ip6` or `netdev`.
    pub family: String,
    /// Table name.
    pub table: String,
    /// Chain name.
    pub chain: String,
    /// `ingress`, `prerouting`, `input`, `output`.
    pub hook: String,
    /// Priority; lower runs earlier.
    pub priority: i64,
    /// `accept` or `drop`.
    pub policy: String,
    /// Why a new connection could be dropped here, such as `policy drop`; `None` when it cannot.
    pub drops: Option<String>,
    /// Who made the table, where that can be told: `fail2ban`, `docker`, `iptables-nft`, ...
    pub owner: Option<String>,
}

/// Rules that are not ours and stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// Who made them: `docker`, `fail2ban`, `nftables ruleset`, ...
    pub owner: String,
    /// `rules`, `set elements`, ...
    pub kind: String,
    /// How many.
    pub count: usize,
}

/// A socket that waits for packets from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The address it is bound to; unspecified means every address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The program that owns it, when that could be read.
    pub program: Option<String>,
    /// Its process number.
    pub pid: Option<u32>,
    /// Number of the user who opened the socket.
    #[serde(default)]
    pub uid: Option<u32>,
}

impl Listener {
    /// Whether it may be what the name of its program says: anybody can give a program the name of a daemon, but only
    /// root opens a socket as root.
    pub fn of_root(&self) -> bool {
        self.uid.is_none_or(|uid| uid == 0)
    }

    /// Whether only this host can reach it.
    pub fn loopback(&self) -> bool {
        self.address.is_loopback()
    }
}

/// How the operator reaches this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// A plain ssh login.
    Ssh,
    /// tmux whose attached client came in by ssh.
    Tmux,
    /// GNU screen whose attached client came in by ssh.
    Screen,
    /// mosh (UDP).
    Mosh,
    /// A virtual console of the machine itself.
    Console,
    /// A serial line or hypervisor console.
    Serial,
    /// machinectl, nsenter, a container's exec, or another way that needs no network port of this host.
    Local,
    /// It could not be told: a shell that its login left behind, a service, a desktop. It proves nothing, and counts
    /// neither as a console nor as a connection.
    Unknown,
}

/// The connection of the person at the keyboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// How.
    pub via: Via,
    /// Address it comes from.
    pub client: Option<IpAddr>,
    /// Port it comes from.
    pub client_port: Option<u16>,
    /// Address of this host that it reached.
    pub server: Option<IpAddr>,
    /// Port of this host that it reached.
    pub server_port: Option<u16>,
    /// User name of the login.
    pub user: Option<String>,
    /// The sshd process that holds the connection.
    pub pid: Option<u32>,
    /// When that process started, in milliseconds since boot (CLOCK_BOOTTIME).
    pub started_ms: Option<u64>,
    /// One sentence: how it was found out, or what stood in the way.
    pub evidence: String,
}

impl Session {
    /// Whether the connection runs over a TCP port of this host's sshd.
    pub fn is_remote(&self) -> bool {
        self.server_port.is_some() || self.via == Via::Mosh
    }

    /// Whether the person sits at this host: whatever the firewall does, the way back stays in their hands.
    pub fn is_local(&self) -> bool {
        matches!(self.via, Via::Console | Via::Serial | Via::Local)
    }
}

/// An installed Aspera product and the ports that its aspera.conf names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsperaFacts {
    /// Product name, such as `IBM Aspera High-Speed Transfer Server`.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Where it was found.
    pub path: PathBuf,
    /// The role of the catalogue that fits, such as `connect-server`.
    pub role: Option<String>,
    /// `aspera.conf`, when it could be read.
    pub conf: Option<PathBuf>,
    /// `<bind_udp_port>`
    pub udp_port: Option<u16>,
    /// `<udp_port_reuse>`
    pub udp_port_reuse: Option<bool>,
    /// `<server><ssh_port>`
    pub ssh_port: Option<u16>,
    /// `<http_server>`: HTTP port, and whether it is enabled.
    pub http: Option<(u16, bool)>,
    /// `<http_server>`: HTTPS port, and whether it is enabled.
    pub https: Option<(u16, bool)>,
    /// `<mcast_port>` of a trunk that is on.
    pub vlink_port: Option<u16>,
    /// `<id>` of that trunk.
    #[serde(default)]
    pub vlink_id: Option<String>,
    /// `SshPort` of `<WEB>`
    #[serde(default)]
    pub web_ssh_port: Option<u16>,
    /// `UdpPort` of `<WEB>`
    #[serde(default)]
    pub web_udp_port: Option<u16>,
    /// `HttpFallbackPort` of `<WEB>`
    #[serde(default)]
    pub web_http_port: Option<u16>,
    /// `HttpsFallbackPort` of `<WEB>`
    #[serde(default)]
    pub web_https_port: Option<u16>,
    /// Its text. It may hold secrets, so it goes nowhere from here.
    #[serde(skip)]
    pub conf_text: Option<String>,
    /// What in aspera.conf could not be understood, with its line.
    pub problems: Vec<String>,
}

/// A network interface of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its kind where it is no plain device: `bridge`, `veth`, `wireguard`, ...
    pub kind: Option<String>,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<IpNet>,
    /// Whether a default route leaves by it.
    pub default_route: bool,
    /// Whether strangers may come in by it: not loopback, and not a link to containers or machines on this host.
    pub outside: bool,
}

/// What makes the ruleset come back after a reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFacts {
    /// The file that is loaded at boot, such as `/etc/nftables.conf`.
    pub file: Option<PathBuf>,
    /// Its content.
    pub content: Option<String>,
    /// The same with the files that it includes in their places, where it includes any in `/etc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<String>,
    /// The unit that loads it.
    pub unit: Option<String>,
    /// Whether that unit is enabled; `None` when it cannot be told (no systemd).
    pub enabled: Option<bool>,
    /// The file for IPv6, where the tool keeps the two families apart.
    #[serde(default)]
    pub file6: Option<PathBuf>,
    /// Its content.
    #[serde(default)]
    pub content6: Option<String>,
    /// The unit for IPv6, where it is another one.
    #[serde(default)]
    pub unit6: Option<String>,
    /// Whether that one is enabled.
    #[serde(default)]
    pub enabled6: Option<bool>,
}

impl BootFacts {
    /// What the file does, as far as it could be read.
    pub fn text(&self) -> Option<&str> {
        self.whole.as_deref().or(self.content.as_deref())
    }
}

/// Of a firewall of which nothing is known.
static NO_BOOT: BootFacts = BootFacts {
    file: None,
    content: None,
    whole: None,
    unit: None,
    enabled: None,
    file6: None,
    content6: None,
    unit6: None,
    enabled6: None,
};

/// From where TCP/22 is let in today, where that is not from everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrow {
    /// Networks that a rule names.
    pub networks: Vec<IpNet>,
    /// Interfaces that a rule names.
    pub links: Vec<String>,
}

/// Two sources on the host that should agree about its firewall, and do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The advice under which it is told: `FW004`, `FW005`, `FW009`.
    pub code: String,
    /// Whether nothing may be applied while it lasts.
    pub blocks: bool,
    /// What was seen, and the way out.
    pub text: String,
}

/// A firewall that is recognised but never written to: its own program would overwrite, or not allow, what others add.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmanaged {
    /// ConfigServer firewall.
    Csf,
    /// Shorewall.
    Shorewall,
    /// Proxmox VE's firewall.
    Proxmox,
    /// OpenWrt's firewall4.
    OpenWrt,
    /// A program that has locked its table (`flags owner`), such as `inet guard`.
    Locked(String),
    /// A script that makes inbound rules at boot in the language of iptables: its path.
    Script(String),
    /// Anything else that makes inbound rules at boot by itself: the path of the script, or its name.
    Rules(String),
}

/// Raw outputs that a backend reads again: the same bytes decide what is shown and what is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observations {
    /// `nft -j list ruleset`
    pub nft_json: Option<String>,
    /// Why the ruleset could not be read.
    pub nft_error: Option<String>,
    /// Other outputs by the command line that printed them, such as `iptables-nft-save`.
    pub outputs: BTreeMap<String, String>,
    /// Files that a backend reads, with their content: persistence files, zones, our own. Absent files are not in it.
    pub files: BTreeMap<PathBuf, String>,
}

/// Everything that was found out. Fields that could not be read stay empty; nothing is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Name of the host.
    pub hostname: String,
    /// Operating system.
    pub os: Os,
    /// Effective user is root.
    pub privileged: bool,
    /// Every firewall known here.
    pub backends: Vec<BackendFact>,
    /// The one that decides and can be used.
    pub backend: Option<BackendId>,
    /// Others whose chains drop packets as well: each gets the accepts for its own chains, none of them a deny.
    #[serde(default)]
    pub also: Vec<BackendId>,
    /// Firewalls that were recognised and are left to their own programs.
    #[serde(default)]
    pub unmanaged: Vec<Unmanaged>,
    /// What does not fit together.
    #[serde(default)]
    pub contradictions: Vec<Contradiction>,
    /// Why none can be used: what was found, and what to do.
    pub refusal: Option<String>,
    /// What happens to a packet nobody names.
    pub inbound_default: InboundDefault,
    /// Base chains on the way in and out.
    pub chains: Vec<ChainFact>,
    /// Rules of others.
    pub foreign: Vec<Foreign>,
    /// From where alone TCP/22 is let in; `None` where it is open to everyone, or no rule speaks of it.
    #[serde(default)]
    pub narrow: Option<Narrow>,
    /// What loads the rules of the firewall in `backend` at boot.
    pub boot: BootFacts,
    /// The same for every firewall that is installed.
    #[serde(default)]
    pub boots: BTreeMap<BackendId, BootFacts>,
    /// sshd.
    pub ssh: SshFacts,
    /// The operator's connection.
    pub session: Option<Session>,
    /// Open sockets.
    pub listeners: Vec<Listener>,
    /// Aspera product.
    pub aspera: Option<AsperaFacts>,
    /// SELinux mode, `enforcing`, `permissive`, or `None` when it is off or absent.
    pub selinux: Option<String>,
    /// Addresses of this host that others may reach, for the text that tells how to log in.
    pub addresses: Vec<IpAddr>,
    /// Network interfaces.
    #[serde(default)]
    pub links: Vec<Link>,
    /// What the backend reads.
    #[serde(skip)]
    pub observations: Observations,
}

impl Facts {
    /// What loads the rules of a firewall at boot.
    pub fn boot_of(&self, id: BackendId) -> &BootFacts {
        let of_owner = self.boots.is_empty() && self.backend.is_none_or(|owner| owner == id);
        match self.boots.get(&id) {
            Some(boot) => boot,
            None if of_owner => &self.boot,
            None => &NO_BOOT,
        }
    }
}
