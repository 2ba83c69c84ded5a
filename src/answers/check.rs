//! The rules that concern values, whether they were typed into the wizard or into a file.

use ipnet::IpNet;

use super::{Answers, Legacy22, OLD_SSH_PORT};
use crate::catalogue::{Catalogue, Need, PortAnswer, Role, is_multicast_v4};
use crate::document::{Shape, hint};
use crate::port::{Direction, PortError, PortRange, Protocol};

/// Everything that `accept` may name: the codes of [`crate::advice`] and the risk that only a flag accepts.
pub const ADVICE_CODES: [&str; 23] = [
    "FW001",
    "FW002",
    "FW003",
    "FW004",
    "FW005",
    "FW006",
    "FW007",
    "FW008",
    "FW009",
    "FW010",
    "FW011",
    "FW012",
    "FW013",
    "FW014",
    "FW015",
    "FW016",
    "FW017",
    "FW018",
    "FW019",
    "FW020",
    "FW021",
    "FW022",
    "lockout-risk",
];

/// What can be wrong with answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The form of the file.
    #[error(transparent)]
    Shape(#[from] Shape),
    /// A format of another version.
    #[error("schema {0} is not known; this program reads schema = 1")]
    Schema(i64),
    /// A role that the catalogue does not have.
    #[error("there is no role {found:?}; {hint}")]
    Role {
        /// As written.
        found: String,
        /// What was probably meant, or every role.
        hint: String,
    },
    /// No port, or an inverted range.
    #[error("{error}; write   {example}")]
    Port {
        /// What is wrong.
        error: PortError,
        /// What would be right.
        example: String,
    },
    /// A range that holds another chosen port.
    #[error(
        "the range {range} of {key} swallows {other} = {port}; end the range before it, or choose another port"
    )]
    Swallows {
        /// The key of the range.
        key: String,
        /// The range.
        range: PortRange,
        /// The key of the other one.
        other: String,
        /// Its port or range.
        port: PortRange,
    },
    /// One port for two things.
    #[error("{key} and {other} are both {protocol} {port}; give each a port of its own")]
    Twice {
        /// The later key.
        key: String,
        /// The earlier one.
        other: String,
        /// TCP or UDP.
        protocol: Protocol,
        /// The port.
        port: PortRange,
    },
    /// 22 for something that is not SSH.
    #[error("{key} = 22 is the old SSH port; choose another one, such as {example}")]
    OldSshPort {
        /// The key.
        key: String,
        /// The catalogue's default.
        example: String,
    },
    /// No network.
    #[error("{found:?} is no network; write {example:?}")]
    Network {
        /// As written.
        found: String,
        /// What would be right.
        example: String,
    },
    /// A network with bits set behind its length.
    #[error(
        "{found} has bits set behind its length; write {right} for the network, or {host} for the one host"
    )]
    HostBits {
        /// As written.
        found: IpNet,
        /// The network.
        right: IpNet,
        /// The host alone.
        host: IpNet,
    },
    /// A group of the wrong family.
    #[error("{0} is IPv6, but Vlinks use IPv4 multicast; write a network within 224.0.0.0/4")]
    GroupFamily(IpNet),
    /// A group that is no multicast network.
    #[error("{0} is no multicast network; write one within 224.0.0.0/4")]
    Group(IpNet),
    /// A network that nobody sends from.
    #[error("{0} is a multicast network: nobody sends from it; name the networks that packets come from")]
    Multicast(IpNet),
    /// An option that the role does not have.
    #[error("the role {role} has no {option}; {hint}")]
    NoSuchOption {
        /// The option, such as `[http_fallback]`.
        option: String,
        /// The role.
        role: String,
        /// Which roles have it, or that it can be left out.
        hint: String,
    },
    /// Sources of which none can send to the Vlink group.
    #[error(
        "firewall.sources holds no IPv4 network, but Vlinks use IPv4 multicast; add the members' network"
    )]
    NoVlinkSource,
    /// 22 kept without saying that this is meant.
    #[error(
        "legacy_22 = \"keep\" leaves TCP/22 open to everyone; write   accept = [\"FW001\"]   if that is meant, keep_22_until = \"2027-01-31\"   to be reminded, or   legacy_22 = \"close\""
    )]
    KeepNotAccepted,
    /// No day of the calendar.
    #[error("{0:?} is not a day; write year, month and day:   keep_22_until = \"2027-01-31\"")]
    Date(String),
    /// A day without anything that ends on it.
    #[error("keep_22_until is for legacy_22 = \"keep\"; take the line out, or write   legacy_22 = \"keep\"")]
    DateWithoutKeep,
    /// Restricted to nobody.
    #[error(
        "legacy_22 = \"restrict\" without networks; write   restrict_22_to = [\"192.0.2.0/24\"]   or   legacy_22 = \"close\""
    )]
    RestrictWithoutNetworks,
    /// Restricted to everyone.
    #[error("restrict_22_to holds every address, which restricts nothing; name your own networks")]
    RestrictToEveryone,
    /// 22 is the port to be used.
    #[error("ssh.port is 22, so legacy_22 = \"restrict\" has no old port to restrict; write   port = 33001")]
    RestrictedPortInUse,
    /// A code that no advice has.
    #[error("there is no advice {found:?}; {hint}")]
    Code {
        /// As written.
        found: String,
        /// What was probably meant.
        hint: String,
    },
    /// A need that the role does not have, or that needs no asking.
    #[error("the role {role} has no optional port {found:?}; {hint}")]
    Extra {
        /// As written.
        found: String,
        /// The role.
        role: String,
        /// What was probably meant.
        hint: String,
    },
}

/// A fault and the key it belongs to, such as `fasp.udp` or `firewall.sources[1]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {fault}")]
pub struct Mistake {
    /// The key.
    pub key: String,
    /// What is wrong, and what would be right.
    pub fault: Fault,
}

fn mistake(key: impl Into<String>, fault: Fault) -> Mistake {
    Mistake {
        key: key.into(),
        fault,
    }
}

impl Answers {
    /// Every mistake in the values, in no particular order. Options that the role does not have are left aside: they
    /// open nothing, and only a file that spells them out is told so.
    pub fn check(&self, catalogue: &Catalogue) -> Vec<Mistake> {
        let mut found = Vec::new();
        match catalogue.role(&self.role) {
            Some(role) => {
                self.check_ports(role, &mut found);
                self.check_ssh(role, &mut found);
                self.check_extra(role, &mut found);
                self.check_group(role, &mut found);
            }
            None => found.push(mistake("role", no_role(&self.role, catalogue))),
        }
        for (number, net) in self.firewall.sources.iter().enumerate() {
            check_network(&format!("firewall.sources[{number}]"), *net, &mut found);
        }
        for (number, net) in self.ssh.restrict_22_to.iter().enumerate() {
            check_network(&format!("ssh.restrict_22_to[{number}]"), *net, &mut found);
        }
        for (number, code) in self.accept.iter().enumerate() {
            if !ADVICE_CODES.contains(&code.as_str()) {
                let fault = Fault::Code {
                    found: code.clone(),
                    hint: hint(code, ADVICE_CODES.into_iter()),
                };
                found.push(mistake(format!("accept[{number}]"), fault));
            }
        }
        found
    }

    fn check_ports(&self, role: &Role, found: &mut Vec<Mistake>) {
        let mut chosen: Vec<(String, &Need, PortRange)> = Vec::new();
        for need in &role.needs {
            let key = need.answer.key().unwrap_or(&need.id).to_owned();
            match self.ports_of(need) {
                Ok(None) => {}
                Ok(Some(ports)) if need.direction == Direction::In => {
                    if ports.contains(OLD_SSH_PORT)
                        && need.protocol == Protocol::Tcp
                        && need.answer != PortAnswer::SshPort
                    {
                        let fault = Fault::OldSshPort {
                            key: key.clone(),
                            example: need.ports.clone(),
                        };
                        found.push(mistake(key.clone(), fault));
                    }
                    for (other_key, other, other_ports) in &chosen {
                        let both_fixed =
                            need.answer == PortAnswer::Fixed && other.answer == PortAnswer::Fixed;
                        if need.protocol == other.protocol && ports.overlaps(*other_ports) && !both_fixed {
                            let fault = clash(&key, ports, other_key, *other_ports, need.protocol);
                            // A fixed port has no key to point at: then it is the other one that can move.
                            let path = match &fault {
                                Fault::Swallows { key, .. } if key.contains('.') => key.clone(),
                                _ if need.answer == PortAnswer::Fixed => other_key.clone(),
                                _ => key.clone(),
                            };
                            found.push(mistake(path, fault));
                        }
                    }
                    chosen.push((key, need, ports));
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    let fault = Fault::Port {
                        error,
                        example: format!("{key} = {}", need.ports),
                    };
                    found.push(mistake(key, fault));
                }
            }
        }
        found.dedup();
    }

    fn check_ssh(&self, role: &Role, found: &mut Vec<Mistake>) {
        if !role.takes_ssh() {
            return;
        }
        if self.ssh.keep_22_until.is_some() && self.ssh.legacy_22 != Legacy22::Keep {
            found.push(mistake("ssh.keep_22_until", Fault::DateWithoutKeep));
        }
        match self.ssh.legacy_22 {
            Legacy22::Close => {}
            Legacy22::Keep => {
                if !self.accepts("FW001") && self.ssh.keep_22_until.is_none() {
                    found.push(mistake("ssh.legacy_22", Fault::KeepNotAccepted));
                }
            }
            Legacy22::Restrict => {
                if self.ssh.port == OLD_SSH_PORT {
                    found.push(mistake("ssh.legacy_22", Fault::RestrictedPortInUse));
                }
                if self.ssh.restrict_22_to.is_empty() {
                    found.push(mistake("ssh.legacy_22", Fault::RestrictWithoutNetworks));
                }
                if IpNet::aggregate(&self.ssh.restrict_22_to)
                    .iter()
                    .any(|net| net.prefix_len() == 0)
                {
                    found.push(mistake("ssh.restrict_22_to", Fault::RestrictToEveryone));
                }
            }
        }
    }

    fn check_extra(&self, role: &Role, found: &mut Vec<Mistake>) {
        for (number, id) in self.extra.iter().enumerate() {
            if !role.extras().any(|need| need.id == *id) {
                let possible: Vec<&str> = role.extras().map(|need| need.id.as_str()).collect();
                let fault = Fault::Extra {
                    found: id.clone(),
                    role: role.id.clone(),
                    hint: hint(id, possible.into_iter()),
                };
                found.push(mistake(format!("extra[{number}]"), fault));
            }
        }
    }

    fn check_group(&self, role: &Role, found: &mut Vec<Mistake>) {
        let Some(vlink) = self.vlink.as_ref().filter(|_| role.uses(PortAnswer::VlinkUdp)) else {
            return;
        };
        let fault = match vlink.group {
            IpNet::V6(_) => Fault::GroupFamily(vlink.group),
            net if !is_multicast_v4(net) => Fault::Group(net),
            net if net.trunc() != net => host_bits(net),
            _ => {
                let sources = &self.firewall.sources;
                if !sources.is_empty() && sources.iter().all(|net| matches!(net, IpNet::V6(_))) {
                    found.push(mistake("firewall.sources", Fault::NoVlinkSource));
                }
                return;
            }
        };
        found.push(mistake("vlink.group", fault));
    }
}

/// The fault for a role that the catalogue does not have.
pub(super) fn no_role(name: &str, catalogue: &Catalogue) -> Fault {
    let hint = match catalogue.nearest_role(name) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            let ids: Vec<&str> = catalogue.roles.iter().map(|role| role.id.as_str()).collect();
            format!("possible: {}", ids.join(", "))
        }
    };
    Fault::Role {
        found: name.to_owned(),
        hint,
    }
}

fn clash(key: &str, ports: PortRange, other: &str, other_ports: PortRange, protocol: Protocol) -> Fault {
    let (range_key, range, single_key, single) = if ports.count() >= other_ports.count() {
        (key, ports, other, other_ports)
    } else {
        (other, other_ports, key, ports)
    };
    if range.count() > 1 {
        Fault::Swallows {
            key: range_key.to_owned(),
            range,
            other: single_key.to_owned(),
            port: single,
        }
    } else {
        Fault::Twice {
            key: key.to_owned(),
            other: other.to_owned(),
            protocol,
            port: ports,
        }
    }
}

fn check_network(key: &str, net: IpNet, found: &mut Vec<Mistake>) {
    if net.trunc() != net {
        found.push(mistake(key, host_bits(net)));
    } else if net.addr().is_multicast() {
        found.push(mistake(key, Fault::Multicast(net)));
    }
}

fn host_bits(net: IpNet) -> Fault {
    Fault::HostBits {
        found: net,
        right: net.trunc(),
        host: IpNet::from(net.addr()),
    }
}
