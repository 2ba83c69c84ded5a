use super::*;

fn requirement(peers: &[&str], group: Option<&str>) -> Requirement {
    Requirement {
        id: String::from("need"),
        direction: Direction::In,
        protocol: Protocol::Udp,
        ports: PortRange::single(55_001).expect("a port"),
        peers: peers.iter().map(|net| net.parse().expect("a network")).collect(),
        group: group.map(|net| net.parse().expect("a network")),
        why: String::new(),
        source: String::new(),
    }
}

fn default_drop(rule: &str) -> Ruleset {
    Ruleset::parse(&format!(
        r#"{{"nftables": [{{"table": {{"family": "inet", "name": "t"}}}},
        {{"chain": {{"family": "inet", "table": "t", "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}}}
        {rule}]}}"#
    ))
    .expect("JSON")
}

fn accepting(matches: &str) -> Ruleset {
    default_drop(&format!(
        r#", {{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": 4, "expr": [{matches},
        {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "udp", "field": "dport"}}}}, "right": 55001}}}},
        {{"accept": null}}]}}}}"#
    ))
}

#[test]
fn a_rule_for_the_networks_that_were_asked_for_closes_the_gap() {
    let rule = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}"#;
    let within = [requirement(&["10.1.0.0/16"], None)];
    assert_eq!(gaps(&default_drop(""), &within).len(), 1);
    assert_eq!(gaps(&accepting(rule), &within), vec![]);
    for peers in [
        &["10.0.0.0/7"][..],
        &["192.168.0.0/16"],
        &["10.1.0.0/16", "fd00::/8"],
        &[],
    ] {
        assert_eq!(
            gaps(&accepting(rule), &[requirement(peers, None)]).len(),
            1,
            "{peers:?}"
        );
    }
}

/// `ip saddr != 192.0.2.0/24` says nothing of packets that have no such header.
#[test]
fn a_rule_for_all_but_a_network_of_ipv4_lets_nobody_in_by_ipv6() {
    let rule = r#"{"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"prefix": {"addr": "192.0.2.0", "len": 24}}}}"#;
    assert_eq!(
        gaps(&accepting(rule), &[requirement(&["fd00::/8"], None)]).len(),
        1
    );
    assert_eq!(
        gaps(&accepting(rule), &[requirement(&["10.0.0.0/8"], None)]),
        vec![]
    );
}

/// iptables has a rule for each network, where nft has one with a set.
#[test]
fn a_rule_for_each_network_closes_the_gap() {
    let rule = |net: &str, handle: u8| {
        format!(
            r#", {{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": {handle}, "expr": [
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "{net}", "len": 16}}}}}}}},
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "udp", "field": "dport"}}}}, "right": 55001}}}},
            {{"accept": null}}]}}}}"#
        )
    };
    let both = default_drop(&(rule("10.1.0.0", 4) + &rule("10.2.0.0", 5)));
    let one = default_drop(&rule("10.1.0.0", 4));
    let asked = [requirement(&["10.1.0.0/16", "10.2.0.0/16"], None)];
    assert_eq!(gaps(&both, &asked), vec![]);
    assert_eq!(gaps(&one, &asked).len(), 1);
}

#[test]
fn a_rule_for_the_group_closes_the_gap() {
    let rule = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": {"prefix": {"addr": "224.0.0.0", "len": 4}}}}"#;
    assert_eq!(
        gaps(&accepting(rule), &[requirement(&[], Some("239.1.0.0/16"))]),
        vec![]
    );
    assert_eq!(
        gaps(&default_drop(""), &[requirement(&[], Some("239.1.0.0/16"))]).len(),
        1
    );
    assert_eq!(
        gaps(&accepting(rule), &[requirement(&[], Some("192.0.2.0/24"))]).len(),
        1
    );
}

#[test]
fn a_hole_in_the_middle_of_a_range_is_found() {
    let holed = |right: &str| {
        default_drop(&format!(
            r#", {{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": 4, "expr": [
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "udp", "field": "dport"}}}}, "right": {right}}}}},
            {{"accept": null}}]}}}}"#
        ))
    };
    let mut wanted = requirement(&[], None);
    wanted.ports = "33001-33010".parse().expect("a range");
    let wanted = [wanted];
    assert_eq!(gaps(&holed(r#"{"range": [33001, 33010]}"#), &wanted), vec![]);
    let hole = r#"{"set": [{"range": [33001, 33004]}, {"range": [33006, 33010]}]}"#;
    assert_eq!(gaps(&holed(hole), &wanted).len(), 1);
}

/// As nft 1.0.6 prints elements: in a set, in one whose elements all run out, in pairs, and in a map of verdicts.
#[test]
fn a_port_that_is_let_in_for_a_while_only_is_not_open() {
    let lists = |elements: &str, flags: &str| {
        format!(
            r#", {{"set": {{"family": "inet", "table": "t", "name": "s", "type": "inet_service", "handle": 9, "flags": [{flags}], "elem": [{elements}]}}}}"#
        )
    };
    let looked_up = |left: &str| {
        format!(
            r#", {{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": 4, "expr": [
            {{"match": {{"op": "==", "left": {left}, "right": "@s"}}}}, {{"accept": null}}]}}}}"#
        )
    };
    let port = r#"{"payload": {"protocol": "udp", "field": "dport"}}"#;
    let pair = format!(r#"{{"concat": [{{"meta": {{"key": "l4proto"}}}}, {port}]}}"#);
    let mapped = format!(
        r#", {{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": 4, "expr": [{{"vmap": {{"key": {port}, "data": "@s"}}}}]}}}}"#
    );
    let wanted = [requirement(&[], None)];
    for (rule, value, verdict) in [
        (looked_up(port), "55001", ""),
        (looked_up(&pair), r#"{"concat": ["udp", 55001]}"#, ""),
        (mapped, "55001", r#", {"accept": null}"#),
    ] {
        for (times, open) in [
            (r#", "timeout": 600, "expires": 590"#, false),
            (r#", "expires": 590"#, false),
            (r#", "comment": "for good""#, true),
        ] {
            let element = format!(r#"{{"elem": {{"val": {value}{times}}}}}"#);
            let element = if verdict.is_empty() {
                element
            } else {
                format!("[{element}{verdict}]")
            };
            let ruleset = default_drop(&(lists(&element, r#""timeout""#) + &rule));
            assert_eq!(gaps(&ruleset, &wanted).is_empty(), open, "{rule} {element}");
        }
    }
}

#[test]
fn a_rate_limit_in_a_set_and_a_sleeping_table_shut_nothing_for_certain() {
    let limit = r#", {"rule": {"family": "inet", "table": "t", "chain": "input", "handle": 4, "expr": [
        {"set": {"op": "update", "elem": {"payload": {"protocol": "ip", "field": "saddr"}}, "set": "@m",
         "stmt": [{"limit": {"rate": 5, "per": "minute", "inv": true}}]}}, {"drop": null}]}},
        {"rule": {"family": "inet", "table": "t", "chain": "input", "handle": 5, "expr": [{"accept": null}]}}"#;
    let ruleset = default_drop(limit);
    let chain = &ruleset.chains[0];
    let packet = Packet::inbound(Protocol::Tcp, Family::V4, 22, Kind::Opening);
    assert!(!reach::fate(&ruleset, chain, packet).certain);
    let mut asleep = default_drop("");
    assert_eq!(gaps(&asleep, &[requirement(&[], None)]).len(), 1);
    asleep.tables[0].dormant = true;
    assert_eq!(gaps(&asleep, &[requirement(&[], None)]), vec![]);
}

#[test]
fn a_port_that_is_sent_elsewhere_before_the_filter_is_no_open_port() {
    let translating = |matches: &str| {
        Ruleset::parse(&format!(
            r#"{{"nftables": [{{"table": {{"family": "ip", "name": "nat"}}}},
            {{"chain": {{"family": "ip", "table": "nat", "name": "pre", "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}}}},
            {{"rule": {{"family": "ip", "table": "nat", "chain": "pre", "handle": 7, "expr": [{matches}
            {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "udp", "field": "dport"}}}}, "right": 55001}}}},
            {{"dnat": {{"addr": "172.17.0.2"}}}}]}}}}]}}"#
        ))
        .expect("JSON")
    };
    let wanted = [requirement(&[], None)];
    let on = |op: &str, name: &str| {
        translating(&format!(
            r#"{{"match": {{"op": "{op}", "left": {{"meta": {{"key": "iifname"}}}}, "right": "{name}"}}}},"#
        ))
    };
    for ruleset in [translating(""), on("!=", "docker0"), on("==", "eth0")] {
        let found = gaps(&ruleset, &wanted);
        assert_eq!(found[0].1, "ip nat pre: rule 7 of pre: sent elsewhere");
    }
    for ruleset in [on("==", "br-none"), on("!=", "eth0")] {
        assert_eq!(gaps(&ruleset, &wanted), vec![]);
    }
}

#[test]
fn an_accept_goes_below_bans_but_never_below_a_refusal() {
    let rule = |handle: u8, rest: &str| {
        format!(
            r#", {{"rule": {{"family": "inet", "table": "t", "chain": "input", "handle": {handle}, "expr": [{rest}]}}}}"#
        )
    };
    let ban = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "203.0.113.66"}}, {"drop": null}"#;
    let lo = r#"{"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}, {"accept": null}"#;
    let all = r#"{"drop": null}"#;
    let below = |rules: &[&str]| {
        let text: String = (4..)
            .zip(rules)
            .map(|(handle, rest)| rule(handle, rest))
            .collect();
        place(&default_drop(&text), &[requirement(&[], None)])[0].below
    };
    assert_eq!(below(&[lo, ban, lo]), 2);
    assert_eq!(below(&[ban, all, ban]), 1);
    assert_eq!(below(&[all, ban]), 0);
    assert_eq!(below(&[lo]), 0);
}

fn of_iptables(text: &str) -> Ruleset {
    use crate::backend::iptables::{Variant, save};
    let mut ruleset = save::read(text, "ip", Variant::Nft);
    ruleset.addresses = vec![
        "192.0.2.9".parse().expect("an address"),
        "10.9.0.1".parse().expect("an address"),
    ];
    ruleset.links = vec![String::from("eth0"), String::from("wg0")];
    ruleset
}

fn ssh(direction: Direction, peers: &[&str]) -> Requirement {
    Requirement {
        protocol: Protocol::Tcp,
        ports: PortRange::single(33_001).expect("a port"),
        direction,
        ..requirement(peers, None)
    }
}

#[test]
fn what_may_not_be_tracked_is_not_surely_established() {
    let filter = "*filter\n:INPUT DROP [0:0]\n:OUTPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 33001 -m conntrack --ctstate NEW -j ACCEPT\n\
                  -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\nCOMMIT\n";
    let with = |raw: &str| {
        of_iptables(&format!(
            "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{raw}COMMIT\n{filter}"
        ))
    };
    let asked = [ssh(Direction::In, &[])];
    for tracked in [
        "",
        "-A PREROUTING -p udp -j NOTRACK\n",
        "-A OUTPUT -p tcp -m tcp --sport 80 -j CT --notrack\n",
    ] {
        assert_eq!(gaps(&with(tracked), &asked), vec![], "{tracked}");
    }
    for not in [
        "-A PREROUTING -j NOTRACK\n",
        "-A OUTPUT -p tcp -m tcp --sport 33001 -j CT --notrack\n",
    ] {
        assert_eq!(gaps(&with(not), &asked).len(), 1, "{not}");
        // Let in whatever its state is, it is open all the same.
        let all = filter
            .replace(" -m conntrack --ctstate NEW", "")
            .replace(":OUTPUT DROP", ":OUTPUT ACCEPT");
        let open = of_iptables(&format!(
            "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{not}COMMIT\n{all}"
        ));
        assert_eq!(gaps(&open, &asked), vec![], "{not}");
    }
    let native = default_drop(
        r#", {"chain": {"family": "inet", "table": "t", "name": "early", "type": "filter", "hook": "prerouting", "prio": -300, "policy": "accept"}},
        {"rule": {"family": "inet", "table": "t", "chain": "early", "handle": 4, "expr": [{"notrack": null}]}},
        {"rule": {"family": "inet", "table": "t", "chain": "input", "handle": 5, "expr": [
            {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "new"]}}, {"accept": null}]}}"#,
    );
    assert_eq!(gaps(&native, &asked).len(), 1);
}

#[test]
fn what_wg_quick_takes_away_from_other_links_shuts_nothing() {
    let guard = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 10.9.0.1/32 ! -i wg0 -m addrtype ! --src-type LOCAL -j DROP\nCOMMIT\n";
    let ruleset = of_iptables(guard);
    assert_eq!(gaps(&ruleset, &[ssh(Direction::In, &[])]), vec![]);
    assert_eq!(
        crate::backend::nftables::inspect::inbound_default(&ruleset),
        crate::facts::InboundDefault::Accept
    );
    // To whatever address: that is no guard of one.
    let all = of_iptables(&guard.replace("-d 10.9.0.1/32 ", ""));
    assert_eq!(gaps(&all, &[ssh(Direction::In, &[])]).len(), 1);
}

#[test]
fn a_far_side_that_is_banned_from_logging_in_here_can_still_be_reached() {
    let banned = |test: &str| {
        of_iptables(&format!(
            "*filter\n:INPUT ACCEPT [0:0]\n:f2b - [0:0]\n-A INPUT -p tcp {test} -j f2b\n-A f2b -s 203.0.113.9/32 -j REJECT\nCOMMIT\n"
        ))
    };
    let far = [ssh(Direction::Out, &["203.0.113.9/32"])];
    for port in [
        "-m tcp --dport 22",
        "-m multiport --dports 22,80",
        "-m tcp --dport 1:1023",
    ] {
        assert_eq!(gaps(&banned(port), &far), vec![], "{port}");
    }
    for port in ["", "-m tcp --dport 1024:65535", "-m tcp --dport 40000"] {
        assert_eq!(gaps(&banned(port), &far).len(), 1, "{port}");
    }
}
