//! What the operator chose: the answers file, read and written.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::facts::BackendId;
use crate::port::PortRange;

/// What becomes of TCP/22.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Legacy22 {
    /// Closed, after a login on the new port.
    #[default]
    Close,
    /// Left as it is.
    Keep,
    /// Only for the listed networks.
    Restrict,
}

/// Whether sshd is changed too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Daemon {
    /// sshd listens on the chosen port afterwards.
    #[default]
    Move,
    /// Only the firewall is changed.
    Leave,
}

/// `[ssh]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    /// The port that sshd shall use.
    pub port: u16,
    /// What becomes of TCP/22.
    pub legacy_22: Legacy22,
    /// Networks that may still use 22, with `restrict`.
    pub restrict_22_to: Vec<IpNet>,
    /// Whether sshd is changed too.
    pub daemon: Daemon,
}

/// An HTTP and an HTTPS port, each on when it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpPorts {
    /// Plain.
    pub http: Option<u16>,
    /// TLS.
    pub https: Option<u16>,
}

/// `[vlink]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlink {
    /// The UDP port, the same on every member.
    pub udp: u16,
    /// Multicast group or network.
    pub group: IpNet,
}

/// When rules for outbound packets are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outbound {
    /// Only where an output chain drops.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `[firewall]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// `None` is `auto`.
    pub backend: Option<BackendId>,
    /// Who may reach the opened ports; empty is everyone.
    pub sources: Vec<IpNet>,
    /// Outbound rules.
    pub outbound: Outbound,
    /// Turn on a default-deny set where nothing filters.
    pub default_deny: bool,
}

/// Everything that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Id of the role.
    pub role: String,
    /// SSH.
    pub ssh: Ssh,
    /// `[fasp] udp`
    pub fasp_udp: PortRange,
    /// HTTP fallback.
    pub http_fallback: HttpPorts,
    /// Web UI.
    pub web_ui: HttpPorts,
    /// Node API, TLS; off when absent.
    pub node_api: Option<u16>,
    /// Vlinks; off when absent.
    pub vlink: Option<Vlink>,
    /// Firewall.
    pub firewall: Firewall,
    /// Codes of advice accepted on purpose.
    pub accept: Vec<String>,
}
