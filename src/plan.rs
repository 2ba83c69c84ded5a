//! What the answers ask for, resolved against the catalogue: a list of requirements, without any firewall's language.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::answers::{Answers, Daemon, Legacy22, Mistake, OLD_SSH_PORT, Outbound};
use crate::catalogue::{Catalogue, Need, PortAnswer, Role};
use crate::port::{Direction, PortError, PortRange, Protocol};

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

impl Requirement {
    /// An SSH port that is open to everybody; `None` for 0.
    pub fn ssh(port: u16) -> Option<Self> {
        Some(Self {
            id: String::from("ssh"),
            direction: Direction::In,
            protocol: Protocol::Tcp,
            ports: PortRange::single(port).ok()?,
            peers: Vec::new(),
            group: None,
            why: String::from("the SSH port of before"),
            source: String::from("the snapshot"),
        })
    }
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
    /// The port that sshd shall use. For a role that takes no SSH from others (see [`Plan::inbound_ssh`]) it is the
    /// port of the far servers, and this host's sshd is left alone.
    pub ssh_port: u16,
    /// Whether sshd itself is changed.
    pub move_sshd: bool,
    /// TCP/22. `Keep` when `ssh_port` is 22.
    pub port_22: Port22,
    /// The day on which a kept 22 is to be closed.
    pub keep_22_until: Option<jiff::civil::Date>,
}

impl Plan {
    /// The requirement that lets SSH in, for roles that take it.
    pub fn inbound_ssh(&self) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| {
            requirement.direction == Direction::In
                && requirement.protocol == Protocol::Tcp
                && requirement.id == "ssh"
        })
    }

    /// The requirement that opens an inbound port, if one does.
    pub fn opens(&self, protocol: Protocol, port: u16) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| {
            requirement.direction == Direction::In
                && requirement.protocol == protocol
                && requirement.ports.contains(port)
        })
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The answers contradict themselves or the catalogue.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Answers(Vec<Mistake>),
    /// A catalogue that was not read from a checked file.
    #[error("the port of {need} in the catalogue cannot be used: {error}")]
    Port {
        /// The need.
        need: String,
        /// What is wrong.
        error: PortError,
    },
}

/// Resolves the answers against the catalogue. The requirements come in the catalogue's order, one for each need that
/// is on; nothing that was not asked for is in it.
pub fn plan(catalogue: &Catalogue, answers: &Answers) -> Result<Plan, PlanError> {
    let mistakes = answers.check(catalogue);
    let role = match catalogue.role(&answers.role) {
        Some(role) if mistakes.is_empty() => role,
        _ => return Err(PlanError::Answers(mistakes)),
    };
    let mut requirements = Vec::new();
    for need in &role.needs {
        let wanted = need.direction == Direction::In || answers.firewall.outbound != Outbound::Never;
        let ports = answers.ports_of(need).map_err(|error| PlanError::Port {
            need: need.id.clone(),
            error,
        })?;
        if let Some(ports) = ports.filter(|_| wanted) {
            requirements.push(requirement(role, need, ports, answers)?);
        }
    }
    let takes_ssh = role.takes_ssh();
    Ok(Plan {
        role: role.id.clone(),
        requirements,
        ssh_port: answers.ssh.port,
        move_sshd: takes_ssh && answers.ssh.daemon == Daemon::Move,
        keep_22_until: answers.ssh.keep_22_until.filter(|_| takes_ssh),
        port_22: if takes_ssh && answers.ssh.port != OLD_SSH_PORT {
            match answers.ssh.legacy_22 {
                Legacy22::Close => Port22::Close,
                Legacy22::Keep => Port22::Keep,
                Legacy22::Restrict => Port22::Restrict(answers.ssh.restrict_22_to.clone()),
            }
        } else {
            Port22::Keep
        },
    })
}

fn requirement(
    role: &Role,
    need: &Need,
    ports: PortRange,
    answers: &Answers,
) -> Result<Requirement, PlanError> {
    let group = match (need.answer, &answers.vlink, &need.group) {
        (PortAnswer::VlinkUdp, Some(vlink), _) => Some(vlink.group),
        (_, _, Some(group)) => Some(group.parse().map_err(|_| PlanError::Port {
            need: need.id.clone(),
            error: PortError::NotAPort(group.clone()),
        })?),
        _ => None,
    };
    Ok(Requirement {
        id: need.id.clone(),
        direction: need.direction,
        protocol: need.protocol,
        ports,
        peers: peers(role, need, answers),
        group,
        why: need.why.clone(),
        source: need.source.clone(),
    })
}

/// Who the port is for. The operator's list is for those who come in; only a host that nobody comes to, such as a
/// client, applies it to the servers that it goes to. A multicast packet goes out to its group and to nobody else.
fn peers(role: &Role, need: &Need, answers: &Answers) -> Vec<IpNet> {
    let listed = match need.direction {
        Direction::In => true,
        Direction::Out => need.group.is_none() && !role.listens(),
    };
    if listed && !answers.firewall.sources.is_empty() {
        let sources = answers.firewall.sources.iter().copied();
        // A group is IPv4, and only IPv4 hosts send to it.
        sources
            .filter(|net| need.group.is_none() || matches!(net, IpNet::V4(_)))
            .collect()
    } else {
        need.peers.clone()
    }
}
