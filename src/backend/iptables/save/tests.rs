use super::*;
use crate::backend::nftables::inspect::path_chains;
use crate::backend::nftables::packet::{Family, Kind, Packet};
use crate::backend::nftables::reach::{diverted, fate};
use crate::port::Protocol;
use proptest::prelude::*;

const SAVE: &str = include_str!("../../../../tests/rulesets/iptables-both/iptables-nft-save");
const SAVE_6: &str = include_str!("../../../../tests/rulesets/iptables-both/ip6tables-nft-save");

fn dropped(ruleset: &Ruleset, chain: &str, packet: Packet<'static>) -> Option<String> {
    let of_filter = |c: &&Chain| c.name == chain && c.table.starts_with("filter");
    let chain = ruleset.chains.iter().find(of_filter).expect("the chain");
    fate(ruleset, chain, packet).dropped_by
}

fn comes_in(protocol: Protocol, port: u16) -> Packet<'static> {
    Packet::inbound(protocol, Family::V4, port, Kind::Opening)
}

#[test]
fn words_are_taken_apart_as_the_tool_does() {
    assert_eq!(
        words(r#"-A INPUT -m comment --comment "web \"x\" it\'s -j DROP" -j ACCEPT"#),
        [
            "-A",
            "INPUT",
            "-m",
            "comment",
            "--comment",
            "web \"x\" it's -j DROP",
            "-j",
            "ACCEPT"
        ]
    );
    assert_eq!(words(r#"a "" b"#), ["a", "", "b"]);
}

#[test]
fn a_real_save_is_read_whole() {
    let ruleset = read(SAVE, "ip", Variant::Nft);
    let names: Vec<&str> = ruleset.tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["raw", "filter", "nat"]);
    let input = ruleset
        .chains
        .iter()
        .find(|c| c.table == "filter" && c.name == "INPUT")
        .expect("INPUT");
    let base = input.base.as_ref().expect("a hook");
    assert_eq!(
        (base.hook.as_str(), base.priority, base.policy.as_str()),
        ("input", 0, "accept")
    );
    let rules: Vec<&Rule> = ruleset.rules_of(input).collect();
    assert_eq!(rules.len(), 14);
    assert_eq!(rules[6].comment.as_deref(), Some("web \"x\" it's"));
    assert_eq!(rules[6].handle, 7);
    assert_eq!(
        rules[13].native(),
        Some("-A INPUT -j REJECT --reject-with icmp-host-prohibited")
    );
}

#[test]
fn packets_fare_in_the_model_as_the_rules_say() {
    let ruleset = read(SAVE, "ip", Variant::Nft);
    for open in [22, 80, 443, 8050] {
        assert_eq!(
            dropped(&ruleset, "INPUT", comes_in(Protocol::Tcp, open)),
            None,
            "{open}"
        );
    }
    for shut in [33_001, 8101, 79] {
        assert_eq!(
            dropped(&ruleset, "INPUT", comes_in(Protocol::Tcp, shut)).as_deref(),
            Some("rule 14 of INPUT: reject"),
            "{shut}"
        );
    }
    // The rate of the extension may strike at any time.
    assert_eq!(
        dropped(&ruleset, "INPUT", comes_in(Protocol::Tcp, 2222)).as_deref(),
        Some("rule 12 of INPUT: drop")
    );
    assert!(dropped(&ruleset, "INPUT", comes_in(Protocol::Udp, 33_001)).is_some());
    // Answers are let out; the chain for certain destinations is no obstacle to the rest of the world.
    let reply = Packet::inbound(Protocol::Tcp, Family::V4, 33_001, Kind::Reply);
    assert_eq!(dropped(&ruleset, "OUTPUT", reply), None);
    // The check of the way back does not hit an ordinary stranger.
    let raw = ruleset.chains.iter().find(|c| c.table == "raw").expect("raw");
    assert_eq!(
        fate(&ruleset, raw, comes_in(Protocol::Tcp, 33_001)).dropped_by,
        None
    );
}

#[test]
fn with_the_links_known_a_rule_for_them_counts() {
    let mut ruleset = read(SAVE, "ip", Variant::Nft);
    let udp = || comes_in(Protocol::Udp, 33_001);
    for (links, open) in [
        (vec!["eth0"], true),
        (vec!["eth0", "eth1"], true),
        (vec!["wan0"], false),
        (vec!["eth0", "wan0"], false),
    ] {
        ruleset.links = links.iter().map(|&l| l.to_owned()).collect();
        assert_eq!(dropped(&ruleset, "INPUT", udp()).is_none(), open, "{links:?}");
    }
}

#[test]
fn a_policy_that_drops_answers_is_seen_in_the_sixth_version_too() {
    let ruleset = read(SAVE_6, "ip6", Variant::Nft);
    let packet = |kind| Packet::inbound(Protocol::Tcp, Family::V6, 33_001, kind);
    assert_eq!(
        dropped(&ruleset, "INPUT", packet(Kind::Opening)).as_deref(),
        Some("policy drop")
    );
    assert_eq!(dropped(&ruleset, "OUTPUT", packet(Kind::Reply)), None);
}

#[test]
fn what_nat_sends_elsewhere_is_found() {
    let ruleset = read(SAVE, "ip", Variant::Nft);
    let nat = ruleset
        .chains
        .iter()
        .find(|c| c.table == "nat" && c.name == "PREROUTING")
        .expect("nat");
    assert!(diverted(&ruleset, nat, comes_in(Protocol::Tcp, 8443)).is_some());
    assert_eq!(diverted(&ruleset, nat, comes_in(Protocol::Tcp, 443)), None);
}

#[test]
fn the_older_variant_has_tables_of_its_own_in_the_order_of_the_kernel() {
    let ruleset = read(SAVE, "ip", Variant::Legacy);
    assert!(ruleset.tables.iter().any(|t| t.name == "filter (legacy)"));
    let hooks: Vec<(&str, &str)> = path_chains(&ruleset)
        .iter()
        .map(|c| (c.table.as_str(), c.name.as_str()))
        .collect();
    assert_eq!(
        hooks,
        [
            ("raw (legacy)", "PREROUTING"),
            ("filter (legacy)", "INPUT"),
            ("raw (legacy)", "OUTPUT"),
            ("filter (legacy)", "OUTPUT"),
        ]
    );
}

#[test]
fn a_timed_accept_of_ours_holds_as_long_as_it_is_there() {
    let text = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 33001 -m time --datestop \
                2026-11-23T20:20:20 -m comment --comment \"TAG\" -j ACCEPT\nCOMMIT\n";
    let fate_of = |tag: &str| {
        let ruleset = read(&text.replace("TAG", tag), "ip", Variant::Nft);
        dropped(&ruleset, "INPUT", comes_in(Protocol::Tcp, 33_001))
    };
    assert_eq!(fate_of("faspwall:20261123-201000:trial:ssh"), None);
    assert_eq!(fate_of("night shift").as_deref(), Some("policy drop"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s)[*:A-Za-z0-9 !\"\\\\\n\\[\\],/+.-]{0,200}") {
        drop(read(&text, "ip", Variant::Nft));
        drop(read(&format!("*filter\n:INPUT DROP [0:0]\n-A INPUT {text}\nCOMMIT\n"), "ip6", Variant::Legacy));
    }

    #[test]
    fn no_order_of_real_words_makes_it_panic(words in proptest::collection::vec(
        proptest::sample::select(SAVE.split_whitespace().collect::<Vec<_>>()), 0..12)
    ) {
        let text = format!("*filter\n:INPUT DROP [0:0]\n-A INPUT {}\nCOMMIT\n", words.join(" "));
        let ruleset = read(&text, "ip", Variant::Nft);
        for chain in path_chains(&ruleset) {
            drop(fate(&ruleset, chain, comes_in(Protocol::Tcp, 33_001)));
        }
    }
}
