//! What the answers ask for, resolved against the catalogue: a list of requirements, without any firewall's language.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::port::{Direction, PortRange, Protocol};

/// One port that must be open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Id of the need, such as `ssh`.
    pub id: String,
    /// Inbound or outbound.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The ports.
    pub ports: PortRange,
    /// Networks it is for; empty is everyone, IPv4 and IPv6.
    pub peers: Vec<IpNet>,
    /// Destination group, for multicast.
    pub group: Option<IpNet>,
    /// Why.
    pub why: String,
    /// Who says so.
    pub source: String,
}

/// What shall become of the old SSH port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Port22 {
    /// Shut for everyone, after proof.
    Close,
    /// Shut for everyone but these networks, after proof.
    Restrict(Vec<IpNet>),
    /// Left alone.
    Keep,
}

/// The whole request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Id of the role.
    pub role: String,
    /// Open ports wanted.
    pub requirements: Vec<Requirement>,
    /// The port that sshd shall use.
    pub ssh_port: u16,
    /// Whether sshd itself is changed.
    pub move_sshd: bool,
    /// TCP/22. `Keep` when `ssh_port` is 22.
    pub port_22: Port22,
}
