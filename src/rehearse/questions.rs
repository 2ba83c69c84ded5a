//! What is asked of the copy: every wanted port from everybody it is for, the port that is to be shut, and controls.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Subject;
use super::cast::{Cast, family};
use super::copy::Copy;
use crate::change::Change;
use crate::matrix::Family;
use crate::plan::Requirement;
use crate::port::{Direction, Protocol};

/// A port that no catalogue and no vendor knows: what becomes of it is what becomes of everything nobody names.
const NOBODYS: u16 = 49_877;
/// So many ports that nobody asked for are looked at.
const CONTROLS: usize = 10;
/// Of a list of networks so many in each family are tried.
const NETWORKS: usize = 4;

/// One packet that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Id of the requirement, `close-22`, or `control`.
    pub id: String,
    /// Way of the packet.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The address on the far side.
    pub far: IpAddr,
    /// The address of the host.
    pub near: IpAddr,
    /// The group that it is sent to, for multicast.
    pub group: Option<Ipv4Addr>,
    /// Port of the server.
    pub port: u16,
    /// What must become of it; `None` for what must stay as it was.
    pub wanted: Option<bool>,
}

impl Question {
    /// IPv4 or IPv6.
    pub fn family(&self) -> Family {
        family(self.far)
    }

    /// `TCP/33001`
    pub fn port_name(&self) -> String {
        format!("{}/{}", self.protocol.to_string().to_uppercase(), self.port)
    }

    /// The address for [`crate::matrix::Cell::from`].
    pub fn from(&self) -> String {
        match (self.direction, self.group) {
            (Direction::Out, Some(group)) => group.to_string(),
            _ => self.far.to_string(),
        }
    }
}

/// All questions. Whoever sends is put on the far side.
pub fn questions(subject: &Subject<'_>, cast: &mut Cast, copy: &Copy) -> Vec<Question> {
    let mut asked = Asked {
        cast,
        change: subject.change,
        list: Vec::new(),
    };
    for requirement in subject.requirements {
        asked.requirement(requirement);
    }
    for port in subject.closing {
        asked.closing(*port, subject.spared);
    }
    asked.controls(subject, copy);
    asked.list
}

struct Asked<'c> {
    cast: &'c mut Cast,
    change: Option<&'c Change>,
    list: Vec<Question>,
}

impl Asked<'_> {
    fn push(&mut self, id: &str, way: (Direction, Protocol, u16), far: IpAddr, wanted: Option<bool>) {
        let Some(near) = self.cast.near(far) else { return };
        let (direction, protocol, port) = way;
        self.list.push(Question {
            id: id.to_owned(),
            direction,
            protocol,
            far,
            near,
            group: None,
            port,
            wanted,
        });
    }

    /// Everybody: the operator, and a stranger of each family.
    fn everybody(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.cast.admin.into_iter().collect();
        all.extend(&self.cast.strangers);
        all
    }

    fn requirement(&mut self, requirement: &Requirement) {
        let mut ports = vec![requirement.ports.first(), requirement.ports.last()];
        ports.dedup();
        let (inside, outside) = self.peers(requirement);
        for port in ports {
            let way = (requirement.direction, requirement.protocol, port);
            let start = self.list.len();
            for far in &inside {
                self.push(&requirement.id, way, *far, Some(true));
            }
            let at_liberty = |change: &Change| change.leaves_open(requirement.protocol, port);
            if requirement.direction == Direction::In && !self.change.is_some_and(at_liberty) {
                for far in &outside {
                    self.push(&requirement.id, way, *far, None);
                }
            }
            if let Some(group) = requirement.group.and_then(member_of_group) {
                for question in self.list.iter_mut().skip(start) {
                    question.group = Some(group);
                }
            }
        }
        if requirement.group.is_some() {
            self.list.retain(|q| q.group.is_none() || q.far.is_ipv4());
        }
    }

    /// Addresses that the requirement is for, and others.
    fn peers(&mut self, requirement: &Requirement) -> (Vec<IpAddr>, Vec<IpAddr>) {
        if requirement.peers.is_empty() {
            let strangers = self.cast.strangers.clone();
            let all = if requirement.direction == Direction::In {
                self.everybody()
            } else {
                strangers
            };
            return (all, Vec::new());
        }
        self.of_networks(&requirement.peers)
    }

    fn of_networks(&mut self, nets: &[IpNet]) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let mut inside: Vec<IpAddr> = Vec::new();
        for v4 in [true, false] {
            let of_family = nets.iter().filter(|net| net.addr().is_ipv4() == v4);
            for net in of_family.take(NETWORKS) {
                let member = self.cast.member(net);
                inside.extend(member.filter(|address| !inside.contains(address)));
            }
        }
        let contains = |a: &IpAddr| nets.iter().any(|net| net.contains(a));
        let mut outside: Vec<IpAddr> = self.cast.admin.filter(|a| !contains(a)).into_iter().collect();
        inside.extend(self.cast.admin.filter(|a| contains(a) && !inside.contains(a)));
        for wanted in [Family::Ipv4, Family::Ipv6] {
            let one = self.cast.outsider(wanted, nets);
            outside.extend(one.filter(|address| !outside.contains(address)));
        }
        (inside, outside)
    }

    fn closing(&mut self, port: u16, spared: &[IpNet]) {
        let way = (Direction::In, Protocol::Tcp, port);
        let id = format!("close-{port}");
        let (inside, outside) = if spared.is_empty() {
            (Vec::new(), self.everybody())
        } else {
            self.of_networks(spared)
        };
        for far in outside {
            self.push(&id, way, far, Some(false));
        }
        for far in inside {
            self.push(&id, way, far, None);
        }
    }

    /// Ports that nobody asked for: what listens here, what a rule names, and one that nobody knows.
    fn controls(&mut self, subject: &Subject<'_>, copy: &Copy) {
        // Without its default-deny set the host lets in whatever listens.
        if subject.change.is_some_and(Change::drops_wall) {
            return;
        }
        let asked = |protocol: Protocol, port: u16| {
            let tcp = protocol == Protocol::Tcp;
            subject
                .change
                .is_some_and(|change| change.leaves_open(protocol, port))
                || (tcp && subject.closing.contains(&port))
                || subject
                    .requirements
                    .iter()
                    .any(|r| r.direction == Direction::In && r.protocol == protocol && r.ports.contains(port))
        };
        // What listens comes first: a service that is cut off is missed by somebody.
        let listening = subject.facts.listeners.iter().filter(|l| !l.loopback());
        let mut all: Vec<(Protocol, u16)> = listening.map(|l| (l.protocol, l.port)).collect();
        all.sort_unstable();
        all.extend(copy.ports());
        let mut known = BTreeSet::new();
        let chosen = all
            .into_iter()
            .filter(|(protocol, port)| !asked(*protocol, *port))
            .filter(|one| known.insert(*one))
            .take(CONTROLS)
            .chain([(Protocol::Tcp, NOBODYS), (Protocol::Udp, NOBODYS)]);
        for (protocol, port) in chosen.collect::<BTreeSet<_>>() {
            for far in self.cast.strangers.clone() {
                // A default-deny set refuses all of them, but for an sshd that stays where it is.
                let kept = protocol == Protocol::Tcp && subject.facts.ssh.ports.contains(&port);
                let wanted = (subject.walls() && !kept).then_some(false);
                self.push("control", (Direction::In, protocol, port), far, wanted);
            }
        }
    }
}

/// An address within a multicast network.
fn member_of_group(net: IpNet) -> Option<Ipv4Addr> {
    let IpNet::V4(net) = net else { return None };
    // 239.192.33.1 when the whole of 224.0.0.0/4 is meant: local to an organisation (RFC 2365).
    let wish = u32::from(Ipv4Addr::new(239, 192, 33, 1));
    let address = u32::from(net.network()) | (wish & u32::from(net.hostmask()));
    Some(Ipv4Addr::from(address)).filter(Ipv4Addr::is_multicast)
}
