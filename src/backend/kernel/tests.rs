use super::*;
use crate::backend::nftables::inspect::inspect_view;

const JSON: &str = include_str!("../../../tests/rulesets/iptables-both/nft-ruleset.json");

fn saves() -> BTreeMap<String, String> {
    let all = [
        (
            "iptables-nft-save",
            include_str!("../../../tests/rulesets/iptables-both/iptables-nft-save"),
        ),
        (
            "ip6tables-nft-save",
            include_str!("../../../tests/rulesets/iptables-both/ip6tables-nft-save"),
        ),
        (
            "iptables-legacy-save",
            include_str!("../../../tests/rulesets/iptables-both/iptables-legacy-save"),
        ),
    ];
    all.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

#[test]
fn tables_of_all_tools_stand_beside_each_other() {
    let ruleset = view(JSON, &saves()).expect("recorded");
    let names: Vec<String> = ruleset
        .tables
        .iter()
        .map(|t| format!("{} {}", t.family, t.name))
        .collect();
    for name in [
        "ip filter",
        "ip6 filter",
        "ip raw",
        "ip nat",
        "inet filter",
        "ip filter (legacy)",
    ] {
        assert_eq!(names.iter().filter(|n| *n == name).count(), 1, "{name}");
    }
    let commented =
        |r: &&crate::backend::nftables::model::Rule| r.comment.as_deref() == Some("web \"x\" it's");
    assert_eq!(ruleset.rules.iter().filter(commented).count(), 1);
    let droppers: Vec<(String, String)> = inspect_view(ruleset)
        .chains
        .into_iter()
        .filter(|c| c.drops.is_some())
        .map(|c| {
            (
                format!("{} {} {}", c.family, c.table, c.chain),
                c.owner.unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        ("ip filter INPUT", "iptables-nft"),
        ("ip6 filter INPUT", "iptables-nft"),
        ("ip filter (legacy) INPUT", "iptables-legacy"),
    ];
    assert_eq!(droppers, expected.map(|(c, o)| (c.to_owned(), o.to_owned())));
}

#[test]
fn a_save_that_leaves_out_rules_does_not_hide_them() {
    let mut saves = saves();
    let short = saves["ip6tables-nft-save"].replace("-A INPUT -m rt --rt-type 0 -j DROP\n", "");
    assert_ne!(short, saves["ip6tables-nft-save"]);
    saves.insert("ip6tables-nft-save".to_owned(), short);
    let ruleset = view(JSON, &saves).expect("recorded");
    let filter = |r: &&crate::backend::nftables::model::Rule| r.table == "filter";
    for rule in ruleset.rules.iter().filter(filter) {
        assert_eq!(rule.native().is_some(), rule.family == "ip", "{rule:?}");
    }
}

#[test]
fn a_save_is_asked_for_where_iptables_has_tables() {
    let ruleset = Ruleset::parse(JSON).expect("recorded");
    assert_eq!(families_of_iptables(&ruleset), ["ip", "ip6"]);
    let native = include_str!("../../../tests/rulesets/two-input-chains.json");
    let ruleset = Ruleset::parse(native).expect("recorded");
    assert!(families_of_iptables(&ruleset).is_empty());
}

#[test]
fn the_plain_name_tells_its_variant_in_the_text() {
    let header = |name: &str| variant_of(&saves()[name]);
    assert_eq!(header("iptables-nft-save"), Variant::Nft);
    assert_eq!(header("iptables-legacy-save"), Variant::Legacy);
}

#[test]
fn a_table_that_iptables_cannot_read_is_not_its_own_whatever_its_name() {
    let json = include_str!("../../../tests/rulesets/named-like-iptables.json");
    let says = include_str!("../../../tests/rulesets/named-like-iptables.save");
    let whose = |saves: &BTreeMap<String, String>| {
        owner(
            &view(json, saves).expect("recorded from nft 1.0.6"),
            "ip",
            "filter",
        )
    };
    assert_eq!(whose(&BTreeMap::new()).as_deref(), Some("iptables-nft"));
    let known = BTreeMap::from([("iptables-nft-save".to_owned(), says.to_owned())]);
    assert_eq!(whose(&known), None);
}
