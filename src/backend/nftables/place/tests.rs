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
