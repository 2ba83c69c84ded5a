use proptest::prelude::*;

use super::*;
use crate::backend::ufw::rules_file::RulesFile;

const ZOO: [&str; 2] = [
    include_str!("../../../../tests/machines/debian-12-ufw-zoo/user.rules"),
    include_str!("../../../../tests/machines/debian-12-ufw-zoo/user6.rules"),
];
const OURS: [&str; 2] = [
    include_str!("../../../../tests/machines/debian-12-ufw-ours/user.rules"),
    include_str!("../../../../tests/machines/debian-12-ufw-ours/user6.rules"),
];

fn all(text: &str) -> Vec<Tuple> {
    text.lines().filter_map(Tuple::parse).collect()
}

fn tuple(words: &str) -> Tuple {
    Tuple::parse_words(words).expect("a rule")
}

fn tcp(ports: &str, peer: Option<&str>) -> Traffic {
    Traffic {
        outbound: false,
        protocol: Protocol::Tcp,
        ports: ports.parse().expect("ports"),
        peer: peer.map(|net| net.parse().expect("a network")),
        group: None,
    }
}

#[test]
fn every_line_that_ufw_wrote_is_understood_and_written_alike() {
    for text in ZOO.into_iter().chain(OURS) {
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(MARK)).collect();
        let tuples = all(text);
        assert!(lines.len() > 4);
        assert_eq!(lines.len(), tuples.len());
        for (line, tuple) in lines.iter().zip(tuples) {
            let comment = if tuple.comment.is_empty() {
                String::new()
            } else {
                format!(" comment={}", to_hex(&tuple.comment))
            };
            assert_eq!(*line, format!("{MARK} {}{comment}", tuple.words()));
        }
    }
}

#[test]
fn the_zoo_is_told_apart() {
    let zoo = all(ZOO[0]);
    let find = |words: &str| {
        zoo.iter()
            .find(|t| t.words() == words)
            .unwrap_or_else(|| panic!("no {words}"))
    };
    let app = find("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in");
    assert_eq!(app.apps, Some((String::from("OpenSSH"), String::from("-"))));
    let commented = find("allow tcp 5000:5010 0.0.0.0/0 any 10.0.0.0/8 in");
    assert_eq!(commented.comment, "hello wörld");
    let route = find("route:allow any any 0.0.0.0/0 any 10.1.0.0/16 in_eth0!out_eth1");
    assert!(route.route && route.link_in == "eth0" && route.link_out == "eth1");
    assert_eq!(find("deny_log tcp 7071 0.0.0.0/0 any 0.0.0.0/0 in").log, "log");
    assert_eq!(
        find("limit tcp 33002 0.0.0.0/0 any 0.0.0.0/0 in").verb,
        Verb::Limit
    );
    assert!(find("deny tcp 25 0.0.0.0/0 any 0.0.0.0/0 out").outbound);
}

#[test]
fn our_rules_are_written_as_ufw_itself_writes_them() {
    for (v6, text) in [(false, OURS[0]), (true, OURS[1])] {
        let file = RulesFile::parse(text);
        let ours: Vec<_> = file
            .blocks
            .iter()
            .filter(|b| b.tuple().is_some_and(|t| t.ours()))
            .collect();
        assert!(ours.len() > 4);
        for block in ours {
            assert_eq!(block.tuple().expect("a rule").block(v6), block.text);
        }
    }
}

#[test]
fn a_rule_for_one_source_is_for_fewer_than_all() {
    let ban = tuple("deny tcp 33001 0.0.0.0/0 any 203.0.113.0/24 in");
    let everyone = tcp("33001", None);
    assert!(ban.touches(&everyone) && !ban.for_all(&everyone) && ban.within(&everyone));
    assert!(ban.for_all(&tcp("33001", Some("203.0.113.7/32"))));
    assert!(!ban.touches(&tcp("33001", Some("198.51.100.0/24"))));
}

#[test]
fn ranges_lists_and_any_are_ports() {
    let range = tuple("allow tcp 20:25 0.0.0.0/0 any 0.0.0.0/0 in");
    assert!(range.covers(&tcp("22", None)) && !range.within(&tcp("22", None)));
    assert!(!range.covers(&tcp("22-26", None)) && range.touches(&tcp("25-30", None)));
    let list = tuple("deny tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in");
    assert!(list.touches(&tcp("443", None)) && !list.touches(&tcp("8443", None)));
    let any = tuple("allow any any 0.0.0.0/0 any 0.0.0.0/0 in");
    assert!(any.covers(&tcp("1-65535", None)));
}

#[test]
fn other_ways_links_and_groups_do_not_concern_a_port() {
    let port = tcp("33001", None);
    for words in [
        "route:deny tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in",
        "deny tcp 33001 0.0.0.0/0 any 0.0.0.0/0 out",
        "deny udp 33001 0.0.0.0/0 any 0.0.0.0/0 in",
        "deny tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in_lo",
        "deny any 33001 239.255.10.1 any 0.0.0.0/0 in",
    ] {
        assert!(!tuple(words).touches(&port), "{words}");
    }
    let here = tuple("deny tcp 33001 10.0.0.5 any 0.0.0.0/0 in");
    assert!(here.touches(&port) && here.for_all(&port) && !here.covers(&port));
    let link = tuple("allow tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in_eth1");
    assert!(link.touches(&port) && !link.covers(&port));
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(text in "(### tuple ### )?[a-z_:!0-9./ =-]{0,80}( comment=[0-9a-fx]{0,9})?") {
        if let Some(tuple) = Tuple::parse(&text) {
            let _ = (tuple.words(), tuple.block(true));
            for traffic in [tcp("22", None), tcp("1-65535", Some("10.0.0.0/8"))] {
                let covers = tuple.covers(&traffic);
                prop_assert!(!covers || tuple.touches(&traffic));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again(text in "[a-z]{3,6}", port in 1u16.., v6: bool) {
        let mut tuple = tuple("allow tcp 1 ::/0 any ::/0 in");
        tuple.dport = port.to_string();
        tuple.comment = format!("faspwall:{text}");
        let block = tuple.block(v6);
        let line = block.lines().nth(1).unwrap_or_default();
        prop_assert_eq!(Tuple::parse(line), Some(tuple));
    }
}
