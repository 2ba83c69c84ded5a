//! Roles of Aspera hosts and the ports that each needs, read from `assets/catalogue.toml`.
//!
//! Adding a port means adding lines to that file, with why and source; no code changes.

mod fault;
mod read;
mod show;

use std::sync::OnceLock;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::document::nearest;
use crate::port::{Direction, PortError, PortRange, Protocol};

pub use fault::{CatalogueError, Fault};

/// The file that is built into the program.
const BUILTIN: &str = include_str!("../../assets/catalogue.toml");

/// A kind of Aspera host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Stable id, such as `connect-server`.
    pub id: String,
    /// Name as an installer knows it.
    pub name: String,
    /// Other names, old and new.
    pub aliases: Vec<String>,
    /// One sentence.
    pub summary: String,
    /// Its ports.
    pub needs: Vec<Need>,
}

/// When a need applies without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeedDefault {
    /// Always part of the role.
    On,
    /// Only when the answers ask for it.
    Off,
    /// Must stay on the loopback address: never opened, warned about when reachable.
    Loopback,
}

/// Which answer gives the port of a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortAnswer {
    /// `[ssh] port`
    SshPort,
    /// `[fasp] udp`
    FaspUdp,
    /// `[http_fallback] http`
    FallbackHttp,
    /// `[http_fallback] https`
    FallbackHttps,
    /// `[web_ui] http`
    WebHttp,
    /// `[web_ui] https`
    WebHttps,
    /// `[vlink] udp`
    VlinkUdp,
    /// `[node_api] https`
    NodeHttps,
    /// Not configurable here: the catalogue's own number.
    Fixed,
}

/// One port that a role needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Stable id within the role, such as `ssh`, `fasp`, `fallback-http`.
    pub id: String,
    /// Inbound or outbound, seen from this host.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Port or range by default, such as `33001`.
    pub ports: String,
    /// The answer that replaces the default.
    pub answer: PortAnswer,
    /// On, off, or loopback only.
    pub default: NeedDefault,
    /// Multicast group, for Vlinks.
    pub group: Option<String>,
    /// When it applies, in words; empty when always.
    pub condition: String,
    /// Why, in our own words.
    pub why: String,
    /// Networks it is for when the answers name none; empty is everyone.
    #[serde(default)]
    pub peers: Vec<IpNet>,
    /// Where the vendor says so: title and address of the document.
    pub source: String,
}

/// How many UDP ports FASP needs on a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UdpPorts {
    /// All transfers share one.
    One,
    /// One for each transfer that runs at the same time.
    PerSession,
    /// As `PerSession` when two or more accounts transfer at the same time, else one.
    PerSessionIfAccounts,
}

/// The UDP rule of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpRule {
    /// Stable id, such as `windows`.
    pub id: String,
    /// Name of the platform.
    pub name: String,
    /// Ids of operating systems; `*` is every other one.
    pub systems: Vec<String>,
    /// How many ports.
    pub ports: UdpPorts,
    /// Why, in our own words.
    pub why: String,
    /// Where the vendor says so.
    pub source: String,
}

impl UdpRule {
    /// The ports for `sessions` transfers at a time by `accounts` accounts, counting up from `base`.
    ///
    /// The vendor's example: base 33001 and ten transfers on Windows are 33001 to 33010.
    pub fn range(&self, base: u16, sessions: u16, accounts: u16) -> Result<PortRange, PortError> {
        let many = match self.ports {
            UdpPorts::One => false,
            UdpPorts::PerSession => true,
            UdpPorts::PerSessionIfAccounts => accounts > 1,
        };
        let more = if many { sessions.saturating_sub(1) } else { 0 };
        let last = u32::from(base) + u32::from(more);
        match u16::try_from(last) {
            Ok(last) => PortRange::new(base, last),
            Err(_) => Err(PortError::NotAPort(last.to_string())),
        }
    }

    /// Whether one port can be too few here.
    pub fn may_need_range(&self) -> bool {
        self.ports != UdpPorts::One
    }
}

impl NeedDefault {
    /// The word used in files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Loopback => "loopback",
        }
    }
}

impl PortAnswer {
    /// Every answer.
    pub const ALL: [Self; 9] = [
        Self::SshPort,
        Self::FaspUdp,
        Self::FallbackHttp,
        Self::FallbackHttps,
        Self::WebHttp,
        Self::WebHttps,
        Self::VlinkUdp,
        Self::NodeHttps,
        Self::Fixed,
    ];

    /// The word used in the catalogue and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SshPort => "ssh_port",
            Self::FaspUdp => "fasp_udp",
            Self::FallbackHttp => "fallback_http",
            Self::FallbackHttps => "fallback_https",
            Self::WebHttp => "web_http",
            Self::WebHttps => "web_https",
            Self::VlinkUdp => "vlink_udp",
            Self::NodeHttps => "node_https",
            Self::Fixed => "fixed",
        }
    }

    /// The key of the answers file, such as `ssh.port`; `None` when the port is fixed.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::SshPort => Some("ssh.port"),
            Self::FaspUdp => Some("fasp.udp"),
            Self::FallbackHttp => Some("http_fallback.http"),
            Self::FallbackHttps => Some("http_fallback.https"),
            Self::WebHttp => Some("web_ui.http"),
            Self::WebHttps => Some("web_ui.https"),
            Self::VlinkUdp => Some("vlink.udp"),
            Self::NodeHttps => Some("node_api.https"),
            Self::Fixed => None,
        }
    }
}

impl Role {
    /// The need with this id.
    pub fn need(&self, id: &str) -> Option<&Need> {
        self.needs.iter().find(|need| need.id == id)
    }

    /// Whether an answer has a meaning for this role.
    pub fn uses(&self, answer: PortAnswer) -> bool {
        self.needs.iter().any(|need| need.answer == answer)
    }

    /// Whether transfers come in through this host's own sshd, so that moving it and shutting 22 make sense.
    pub fn takes_ssh(&self) -> bool {
        self.needs
            .iter()
            .any(|need| need.answer == PortAnswer::SshPort && need.direction == Direction::In)
    }

    /// Whether the role opens ports to others, multicast between members of a Vlink left aside.
    pub fn listens(&self) -> bool {
        self.needs.iter().any(|need| {
            need.direction == Direction::In && need.group.is_none() && need.default != NeedDefault::Loopback
        })
    }

    /// The needs that are off, and that no section of the answers turns on: they are asked for by id.
    pub fn extras(&self) -> impl Iterator<Item = &Need> {
        self.needs
            .iter()
            .filter(|need| need.default == NeedDefault::Off && need.answer == PortAnswer::Fixed)
    }
}

/// Everything that is known about Aspera hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The roles, in the order in which they are shown.
    pub roles: Vec<Role>,
    /// How many UDP ports a platform needs.
    pub udp: Vec<UdpRule>,
}

impl Catalogue {
    /// The catalogue that comes with the program.
    pub fn builtin() -> &'static Self {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(|| {
            Self::read("assets/catalogue.toml", BUILTIN).expect("the built-in catalogue is checked by a test")
        })
    }

    /// Reads a catalogue; every mistake in it is reported at once.
    pub fn read(file: &str, text: &str) -> Result<Self, CatalogueError> {
        read::read(file, text)
    }

    /// A role by its id or by one of its names, old or new; case, blanks and dashes do not matter.
    pub fn role(&self, name: &str) -> Option<&Role> {
        let wanted = folded(name);
        self.roles.iter().find(|role| role.id == name).or_else(|| {
            self.roles
                .iter()
                .find(|role| names(role).any(|known| folded(known) == wanted))
        })
    }

    /// The id of the role that was probably meant.
    pub fn nearest_role(&self, name: &str) -> Option<&str> {
        let hit = nearest(name, self.roles.iter().flat_map(names))?;
        self.role(hit).map(|role| role.id.as_str())
    }

    /// The UDP rule for an operating system (`ID` of os-release, `windows`, `macos`) and the product's `udp_port_reuse`.
    pub fn udp_rule(&self, system: &str, udp_port_reuse: Option<bool>) -> Option<&UdpRule> {
        let by_system = |wanted: &str| {
            self.udp
                .iter()
                .find(|rule| rule.systems.iter().any(|id| id == wanted))
        };
        let exclusive = self.udp.iter().find(|rule| rule.id == "no-reuse");
        if let (Some(false), Some(rule)) = (udp_port_reuse, exclusive) {
            return Some(rule);
        }
        by_system(&system.to_lowercase()).or_else(|| by_system("*"))
    }
}

fn names(role: &Role) -> impl Iterator<Item = &str> {
    [role.id.as_str(), role.name.as_str()]
        .into_iter()
        .chain(role.aliases.iter().map(String::as_str))
}

/// A name without case, blanks, dashes and brackets.
fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether a network lies within 224.0.0.0/4.
pub fn is_multicast_v4(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.addr().is_multicast() && net.prefix_len() >= 4,
        IpNet::V6(_) => false,
    }
}
