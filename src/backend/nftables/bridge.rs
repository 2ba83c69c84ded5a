//! Filters of the bridge that a host is reached over: they see its packets before any other chain does.

use super::inspect::{families, is_inbound};
use super::model::{Chain, Ruleset};
use super::packet::{Kind, Packet};
use super::reach;
use crate::facts::Link;
use crate::plan::Requirement;
use crate::port::Direction;

/// The requirements that a filter of bridges may refuse, where strangers come in by a bridge with an address: its chain,
/// why, and the ports.
pub fn refused<'r>(
    ruleset: &'r Ruleset,
    links: &[Link],
    requirements: &[Requirement],
) -> Vec<(&'r Chain, String, Vec<String>)> {
    let on_a_bridge = links
        .iter()
        .any(|link| link.outside && link.kind.as_deref() == Some("bridge") && !link.addresses.is_empty());
    let awake = |chain: &&Chain| {
        let mut tables = ruleset.tables.iter();
        !tables.any(|t| t.dormant && t.family == chain.family && t.name == chain.table)
    };
    let filters = ruleset.chains.iter().filter(|chain| {
        on_a_bridge && chain.family == "bridge" && is_inbound(chain) && !chain.table.starts_with("faspwall")
    });
    let mut found = Vec::new();
    for chain in filters.filter(awake) {
        let refused: Vec<(String, String)> = requirements
            .iter()
            .filter_map(|requirement| {
                let protocol = requirement.protocol.to_string().to_uppercase();
                Some((
                    reason(ruleset, chain, requirement)?,
                    format!("{protocol}/{}", requirement.ports),
                ))
            })
            .collect();
        if let Some((reason, _)) = refused.first().cloned() {
            found.push((chain, reason, refused.into_iter().map(|(_, port)| port).collect()));
        }
    }
    found
}

fn reason(ruleset: &Ruleset, chain: &Chain, requirement: &Requirement) -> Option<String> {
    let (kind, outbound) = match requirement.direction {
        Direction::In => (Kind::Opening, false),
        Direction::Out => (Kind::Reply, true),
    };
    families(&chain.family).iter().find_map(|family| {
        let packet = Packet {
            group: requirement.group,
            peers: &requirement.peers,
            outbound,
            ..Packet::inbound(requirement.protocol, *family, requirement.ports.first(), kind)
        };
        reach::fate(ruleset, chain, packet).dropped_by
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset(rules: &str) -> Ruleset {
        Ruleset::parse(&format!(
            r#"{{"nftables": [{{"table": {{"family": "bridge", "name": "filter"}}}},
            {{"chain": {{"family": "bridge", "table": "filter", "name": "in", "type": "filter", "hook": "input", "prio": -200, "policy": "drop"}}}}
            {rules}]}}"#
        ))
        .expect("JSON")
    }

    fn accept(matches: &str) -> String {
        format!(
            r#", {{"rule": {{"family": "bridge", "table": "filter", "chain": "in", "handle": 4, "expr": [{matches}, {{"accept": null}}]}}}}"#
        )
    }

    fn bridge() -> Link {
        Link {
            name: String::from("br0"),
            kind: Some(String::from("bridge")),
            addresses: vec!["192.0.2.9/24".parse().expect("a network")],
            outside: true,
            ..Link::default()
        }
    }

    #[test]
    fn a_filter_of_bridges_refuses_what_it_does_not_let_in_where_the_host_is_on_one() {
        let ssh = [Requirement::ssh(33001).expect("a requirement")];
        let port = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 33001}}"#;
        let arp = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ether", "field": "type"}}, "right": "arp"}}"#;
        let both = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ether", "field": "type"}}, "right": {"set": ["ip", "ip6"]}}}"#;
        let only_arp = ruleset(&accept(arp));
        let found = refused(&only_arp, &[bridge()], &ssh);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].1.as_str(), found[0].2.as_slice()),
            ("policy drop", &["TCP/33001".to_owned()][..])
        );
        for open in [port, both] {
            let open = ruleset(&(accept(arp) + &accept(open)));
            assert!(refused(&open, &[bridge()], &ssh).is_empty());
        }
        let plain = Link {
            kind: None,
            ..bridge()
        };
        assert!(refused(&only_arp, &[plain], &ssh).is_empty(), "no bridge");
        let guests = Link {
            outside: false,
            ..bridge()
        };
        assert!(refused(&only_arp, &[guests], &ssh).is_empty(), "of guests");
    }
}
