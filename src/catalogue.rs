//! Roles of Aspera hosts and the ports that each needs, read from `assets/catalogue.toml`.

use serde::{Deserialize, Serialize};

use crate::port::{Direction, Protocol};

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
    /// Where the vendor says so.
    pub source: String,
}
