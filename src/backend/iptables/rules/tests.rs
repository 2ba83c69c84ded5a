use super::*;
use crate::port::Direction;

fn requirement(ports: &str, peers: &[&str], group: Option<&str>) -> Requirement {
    Requirement {
        id: String::from("x"),
        direction: Direction::In,
        protocol: Protocol::Udp,
        ports: ports.parse().expect("ports"),
        peers: peers.iter().map(|net| net.parse().expect("a network")).collect(),
        group: group.map(|net| net.parse().expect("a group")),
        why: String::new(),
        source: String::new(),
    }
}

#[test]
fn matches_read_as_a_save_prints_them() {
    let plain = requirement("33001", &[], None);
    assert_eq!(matches(&plain, true, true, true), ["-p udp -m udp --dport 33001"]);
    assert_eq!(
        matches(&plain, false, false, false),
        ["-p udp -m udp --sport 33001"]
    );
    let near = requirement(
        "33001-33100",
        &["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"],
        None,
    );
    assert_eq!(
        matches(&near, true, true, true),
        [
            "-s 10.0.0.0/8 -p udp -m udp --dport 33001:33100",
            "-s 192.0.2.7/32 -p udp -m udp --dport 33001:33100"
        ]
    );
    assert_eq!(
        matches(&near, false, false, false),
        ["-d 2001:db8::/32 -p udp -m udp --sport 33001:33100"]
    );
}

#[test]
fn a_group_is_a_destination_of_its_family_alone() {
    let group = requirement("55001", &["10.0.0.0/8"], Some("239.1.2.3/32"));
    assert_eq!(
        matches(&group, true, true, true),
        ["-s 10.0.0.0/8 -d 239.1.2.3/32 -p udp -m udp --dport 55001"]
    );
    assert!(matches(&group, false, true, true).is_empty());
    // What this host sends to the group goes to the group, not to the members.
    assert_eq!(
        matches(&group, true, false, true),
        ["-d 239.1.2.3/32 -p udp -m udp --dport 55001"]
    );
}

#[test]
fn a_deny_takes_first_packets_of_others_only() {
    let nets: Vec<IpNet> = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]
        .map(|net| net.parse().expect("a network"))
        .to_vec();
    let lines = |tool, spared: &[IpNet]| -> Vec<String> {
        deny(tool, &[22], spared)
            .iter()
            .map(|rule| rule.line("-A", "faspwall:1"))
            .collect()
    };
    let first = "! -i lo -p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment \"faspwall:1:shut\"";
    assert_eq!(
        lines(Tool::IptablesNftRestore, &[]),
        [format!("-A INPUT {first} -j DROP")]
    );
    assert_eq!(
        lines(Tool::Ip6tablesLegacyRestore, &nets),
        [format!("-A INPUT ! -s 2001:db8::/32 {first} -j DROP")]
    );
    assert_eq!(
        lines(Tool::IptablesNftRestore, &nets),
        [
            format!("-A INPUT {first} -j faspwall"),
            String::from("-A faspwall -s 10.0.0.0/8 -m comment --comment \"faspwall:1:shut\" -j RETURN"),
            String::from("-A faspwall -s 192.0.2.0/24 -m comment --comment \"faspwall:1:shut\" -j RETURN"),
            String::from("-A faspwall -m comment --comment \"faspwall:1:shut\" -j DROP"),
        ]
    );
}

#[test]
fn the_operators_own_connection_has_a_rule_in_each_chain_of_its_family() {
    let session = Session {
        via: crate::facts::Via::Ssh,
        client: Some("192.0.2.7".parse().expect("an address")),
        client_port: Some(50_000),
        server: None,
        server_port: Some(22),
        user: None,
        pid: None,
        started_ms: None,
        evidence: String::new(),
    };
    let rule = |tool, chain: &str, matches: &str| Native {
        tool,
        table: String::from("filter"),
        chain: chain.to_owned(),
        matches: matches.to_owned(),
        need: String::from("ssh"),
        target: String::from("ACCEPT"),
    };
    let rules = [
        rule(Tool::IptablesNftRestore, "INPUT", "-p tcp -m tcp --dport 33001"),
        rule(Tool::IptablesNftRestore, "INPUT", "-p tcp -m tcp --dport 443"),
        rule(Tool::IptablesNftRestore, "OUTPUT", "-p tcp -m tcp --sport 33001"),
        rule(Tool::Ip6tablesNftRestore, "INPUT", "-p tcp -m tcp --dport 33001"),
        rule(
            Tool::IptablesNftRestore,
            "PREROUTING",
            "-p udp -m udp --dport 33001",
        ),
    ];
    let pins: Vec<String> = pins(&session, &rules)
        .iter()
        .map(|pin| pin.line("-I", "t"))
        .collect();
    assert_eq!(
        pins,
        [
            "-I INPUT -s 192.0.2.7/32 -p tcp -m tcp --sport 50000 --dport 22 -m comment --comment \"t:pin\" -j ACCEPT",
            "-I OUTPUT -d 192.0.2.7/32 -p tcp -m tcp --sport 22 --dport 50000 -m comment --comment \"t:pin\" -j ACCEPT"
        ]
    );
}
