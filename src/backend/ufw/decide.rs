//! What has to change in ufw's own rules so that the wanted ports are open and the others shut.
//!
//! The first rule that fits a packet decides. An accept therefore goes before the first rule that would keep everyone
//! out, and no further up: bans of single sources that stand before it keep their right. A rule that says nothing else
//! than the opposite of what is wanted is taken out, for ufw would change it in place or skip the new one silently.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::kept::{Entry, What, sorted};
use super::rules_file::RulesFile;
use super::settings::Settings;
use super::tuple::{Traffic, Tuple, Verb, anywhere, written};
use crate::backend::Wish;
use crate::facts::InboundDefault;
use crate::plan::Requirement;
use crate::port::{Direction, PortRange, Protocol};

/// Traffic that is to be let through, and for which requirement.
#[derive(Debug, Clone)]
pub struct Need {
    /// Id of the requirement.
    pub id: String,
    /// The packets.
    pub traffic: Traffic,
}

/// What a requirement asks of the rules of one family: one need for each network.
pub fn needs(requirements: &[Requirement], v6: bool) -> Vec<Need> {
    let mut needs = Vec::new();
    for requirement in requirements {
        let of_family = |net: &IpNet| matches!(net, IpNet::V6(_)) == v6;
        if requirement.group.as_ref().is_some_and(|group| !of_family(group)) {
            continue;
        }
        let peers: Vec<Option<IpNet>> = if requirement.peers.is_empty() {
            vec![None]
        } else {
            let own = requirement.peers.iter().copied().filter(of_family);
            own.map(Some).collect()
        };
        needs.extend(peers.into_iter().map(|peer| {
            Need {
                id: requirement.id.clone(),
                traffic: Traffic {
                    outbound: requirement.direction == Direction::Out,
                    protocol: requirement.protocol,
                    ports: requirement.ports,
                    // A packet to a group leaves for the group itself.
                    peer: peer.or_else(|| {
                        let out = requirement.direction == Direction::Out;
                        requirement.group.filter(|_| out)
                    }),
                    group: requirement
                        .group
                        .filter(|_| requirement.direction == Direction::In),
                },
            }
        }));
    }
    needs
}

/// The rule that lets that traffic through, or shuts it.
pub fn rule(verb: Verb, traffic: &Traffic, v6: bool, comment: String) -> Tuple {
    let everyone = anywhere(v6).to_owned();
    let far = traffic.peer.as_ref().map_or_else(|| everyone.clone(), written);
    let near = traffic.group.as_ref().map_or_else(|| everyone.clone(), written);
    let (src, dst) = if traffic.outbound {
        (near, far)
    } else {
        (far, near)
    };
    let ports = if traffic.ports.first() == traffic.ports.last() {
        traffic.ports.first().to_string()
    } else {
        format!("{}:{}", traffic.ports.first(), traffic.ports.last())
    };
    Tuple {
        route: false,
        verb,
        log: String::new(),
        protocol: traffic.protocol.to_string(),
        dport: ports,
        dst,
        sport: String::from("any"),
        src,
        apps: None,
        outbound: traffic.outbound,
        link_in: String::new(),
        link_out: String::new(),
        comment,
    }
}

/// Whether a rule keeps that traffic out, or some of it, and not only from some.
pub fn blocks(tuple: &Tuple, traffic: &Traffic) -> bool {
    tuple.verb != Verb::Allow && tuple.touches(traffic) && tuple.for_all(traffic)
}

/// Whether a rule may let some of that traffic in.
pub fn admits(tuple: &Tuple, traffic: &Traffic) -> bool {
    matches!(tuple.verb, Verb::Allow | Verb::Limit) && tuple.touches(traffic)
}

/// Whether these rules, asked in this order, let all of that traffic through; `unsaid` is what the policy does.
pub fn lets_through<'t>(
    rules: impl IntoIterator<Item = &'t Tuple>,
    traffic: &Traffic,
    unsaid: InboundDefault,
) -> bool {
    for tuple in rules {
        if blocks(tuple, traffic) {
            return false;
        }
        if tuple.verb == Verb::Allow && tuple.covers(traffic) {
            return true;
        }
    }
    unsaid == InboundDefault::Accept
}

/// The TCP port that is to be shut, from everyone.
pub fn shut(port: u16) -> Option<Traffic> {
    Some(Traffic {
        outbound: false,
        protocol: Protocol::Tcp,
        ports: PortRange::single(port).ok()?,
        peer: None,
        group: None,
    })
}

/// One family's file while it is decided on.
struct Family<'a> {
    v6: bool,
    rules: Vec<(usize, Tuple)>,
    file: &'a RulesFile,
    settings: &'a Settings,
    tag: &'a str,
    /// What is kept now.
    kept: &'a [Entry],
    out: BTreeSet<usize>,
    entries: Vec<Entry>,
}

/// Everything that is to be kept in the file of one family.
pub fn decide(
    wish: &Wish<'_>,
    settings: &Settings,
    theirs: &RulesFile,
    kept: &[Entry],
    v6: bool,
) -> Vec<Entry> {
    let mut family = Family {
        v6,
        rules: theirs.tuples(),
        file: theirs,
        settings,
        tag: &wish.tag,
        kept,
        out: BTreeSet::new(),
        entries: Vec::new(),
    };
    family.open(&needs(wish.requirements, v6));
    for port in wish.closing {
        if let Some(traffic) = shut(*port) {
            family.shut(&traffic, wish.spared);
        }
    }
    sorted(family.entries)
}

impl Family<'_> {
    fn staying(&self) -> impl Iterator<Item = &(usize, Tuple)> {
        self.rules.iter().filter(|(at, _)| !self.out.contains(at))
    }

    fn first(&self, mut fits: impl FnMut(&Tuple) -> bool) -> Option<usize> {
        self.staying().find(|(_, tuple)| fits(tuple)).map(|(at, _)| *at)
    }

    fn take_out(&mut self, places: Vec<usize>, what: impl Fn(super::rules_file::Block) -> What) {
        for at in places {
            if let (Some(block), true) = (self.file.blocks.get(at), self.out.insert(at)) {
                self.entries.push(Entry {
                    v6: self.v6,
                    at,
                    what: what(block.clone()),
                });
            }
        }
    }

    fn put(&mut self, verb: Verb, traffic: &Traffic, need: &str, before: Option<usize>) {
        let tuple = rule(verb, traffic, self.v6, format!("{}:{need}", self.tag));
        let known = self
            .entries
            .iter()
            .any(|entry| matches!(&entry.what, What::Ours(own) if own.words() == tuple.words()));
        if known {
            return;
        }
        let before = before.unwrap_or(self.file.blocks.len());
        // One of ours that stands well stays where it is, whatever was added around it since.
        let at = self
            .kept
            .iter()
            .filter(|entry| entry.v6 == self.v6 && entry.at <= before)
            .find(|entry| matches!(&entry.what, What::Ours(own) if own.words() == tuple.words()))
            .map_or(before, |entry| entry.at);
        self.entries.push(Entry {
            v6: self.v6,
            at,
            what: What::Ours(Box::new(tuple)),
        });
    }

    fn open(&mut self, needs: &[Need]) {
        let missing: Vec<&Need> = needs
            .iter()
            .filter(|need| {
                let rules = self.rules.iter().map(|(_, tuple)| tuple);
                !lets_through(rules, &need.traffic, self.settings.policy(&need.traffic))
            })
            .collect();
        let opposite = |tuple: &Tuple| {
            let protocols: &[Protocol] = match tuple.protocol.as_str() {
                "tcp" => &[Protocol::Tcp],
                "udp" => &[Protocol::Udp],
                // A port of any protocol is one of these two; without a port it is much more.
                "any" if tuple.dport != "any" => &[Protocol::Tcp, Protocol::Udp],
                _ => return false,
            };
            tuple.sport == "any"
                && protocols.iter().all(|protocol| {
                    missing.iter().any(|need| {
                        need.traffic.protocol == *protocol
                            && blocks(tuple, &need.traffic)
                            && tuple.within(&need.traffic)
                    })
                })
        };
        let opposites: Vec<usize> = self
            .rules
            .iter()
            .filter(|(_, tuple)| opposite(tuple))
            .map(|(at, _)| *at)
            .collect();
        self.take_out(opposites, What::Without);
        for need in missing {
            let before = self.first(|tuple| blocks(tuple, &need.traffic));
            self.put(Verb::Allow, &need.traffic, &need.id, before);
        }
    }

    fn shut(&mut self, traffic: &Traffic, spared: &[IpNet]) {
        let own: Vec<IpNet> = spared
            .iter()
            .copied()
            .filter(|net| matches!(net, IpNet::V6(_)) == self.v6)
            .collect();
        let for_spared = |tuple: &Tuple| {
            let source = super::tuple::network(&tuple.src);
            own.iter()
                .any(|net| source.is_some_and(|source| net.contains(&source)))
        };
        let only_this = |tuple: &Tuple| tuple.protocol == "tcp" && tuple.within(traffic);
        let openers: Vec<usize> = self
            .staying()
            .filter(|(_, tuple)| admits(tuple, traffic) && only_this(tuple) && !for_spared(tuple))
            .map(|(at, _)| *at)
            .collect();
        self.take_out(openers, What::Shut);
        let admitted = self.first(|tuple| admits(tuple, traffic) && !for_spared(tuple));
        let denied =
            self.first(|tuple| matches!(tuple.verb, Verb::Deny | Verb::Reject) && tuple.covers(traffic));
        let shut_already = match (admitted, denied) {
            (Some(admitted), Some(denied)) => denied < admitted,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => self.settings.input != InboundDefault::Accept,
        };
        let before = [admitted, denied].into_iter().flatten().min();
        for net in own {
            let traffic = Traffic {
                peer: Some(net),
                ..traffic.clone()
            };
            let open = {
                // A deny of ours would come before what opens it further down.
                let end = before.filter(|_| !shut_already).unwrap_or(usize::MAX);
                let rules = self.staying().filter(|(at, _)| *at < end);
                lets_through(rules.map(|(_, tuple)| tuple), &traffic, InboundDefault::Drop)
            };
            if !open {
                let blocked = self.first(|tuple| blocks(tuple, &traffic));
                let before = [before, blocked].into_iter().flatten().min();
                self.put(Verb::Allow, &traffic, "spared", before);
            }
        }
        if !shut_already {
            self.put(Verb::Deny, traffic, "shut", before);
        }
    }
}
