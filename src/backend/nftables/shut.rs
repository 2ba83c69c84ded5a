//! Whether a port is shut: by our own deny, or by whatever else stands on the way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::inspect::{families, is_inbound, path_chains};
use super::model::Ruleset;
use super::packet::{Family, Kind, Packet};
use super::{reach, render};
use crate::port::Protocol;

/// Whether the deny that we keep is live.
pub fn has_our_deny(ruleset: &Ruleset) -> bool {
    ruleset.rules.iter().any(|rule| {
        let native = rule.table == render::TABLE && rule.chain == "shut";
        let marked = rule.tagged("faspwall")
            && rule
                .comment
                .as_deref()
                .is_some_and(|c| c.ends_with(":shut") && !c.ends_with(":trial:shut"));
        native || marked
    })
}

/// Whether new connections to a TCP port are dropped for everyone, in both families.
pub fn is_shut(ruleset: &Ruleset, port: u16) -> bool {
    is_shut_but_for(ruleset, port, &[])
}

/// Whether nobody can open a connection to a TCP port but those of these networks.
pub fn is_shut_but_for(ruleset: &Ruleset, port: u16, spared: &[IpNet]) -> bool {
    let blocked = |family: Family| {
        let peers: Vec<IpNet> = match stranger(family, spared) {
            _ if spared.is_empty() => Vec::new(),
            Some(stranger) => vec![stranger.into()],
            None => return true,
        };
        path_chains(ruleset)
            .into_iter()
            .filter(|c| is_inbound(c))
            .any(|chain| {
                let sees = families(&chain.family).contains(&family);
                let packet = Packet {
                    peers: &peers,
                    ..Packet::inbound(Protocol::Tcp, family, port, Kind::Opening)
                };
                sees && reach::fate(ruleset, chain, packet).certain
            })
    };
    blocked(Family::V4) && blocked(Family::V6)
}

/// An address that is in none of the networks; `None` when they hold every address that is tried.
fn stranger(family: Family, spared: &[IpNet]) -> Option<IpAddr> {
    let v4 = [
        [203, 0, 113, 77],
        [198, 51, 100, 77],
        [192, 0, 2, 77],
        [100, 127, 255, 77],
    ];
    let v6 = [
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77],
        [0x3fff, 0, 0, 0, 0, 0, 0, 0x77],
    ];
    let candidates: Vec<IpAddr> = match family {
        Family::V4 => v4.map(|octets| IpAddr::from(Ipv4Addr::from(octets))).to_vec(),
        Family::V6 => v6.map(|groups| IpAddr::from(Ipv6Addr::from(groups))).to_vec(),
    };
    let free = |address: &IpAddr| !spared.iter().any(|net| net.contains(address));
    candidates.into_iter().find(free)
}
