use proptest::prelude::*;

use super::*;
use crate::backend::iptables::{Variant, save};

macro_rules! machine {
    ($name:literal) => {
        [
            (
                include_str!(concat!("../../../../tests/machines/", $name, "/user.rules")),
                include_str!(concat!(
                    "../../../../tests/machines/",
                    $name,
                    "/iptables-nft-save"
                )),
            ),
            (
                include_str!(concat!("../../../../tests/machines/", $name, "/user6.rules")),
                include_str!(concat!(
                    "../../../../tests/machines/",
                    $name,
                    "/ip6tables-nft-save"
                )),
            ),
        ]
    };
}

fn live(save_text: &str, v6: bool) -> Live {
    let family = if v6 { "ip6" } else { "ip" };
    Live::read(&save::read(save_text, family, Variant::Nft), "filter", v6)
}

#[test]
fn each_line_of_a_file_is_found_in_the_kernel() {
    for machine in [
        machine!("debian-12-ufw-zoo"),
        machine!("debian-12-ufw-ours"),
        machine!("debian-12-ufw-older-denies"),
        machine!("debian-13-ufw-older-denies"),
    ] {
        for (v6, (rules, saved)) in [false, true].into_iter().zip(machine) {
            let live = live(saved, v6);
            let file = RulesFile::parse(rules);
            assert!(!file.blocks.is_empty());
            for line in file.lines() {
                let rule = canonical(line).expect("a rule");
                assert!(
                    live.place(&rule).is_some(),
                    "{line} is not in\n{:#?}",
                    live.chain(&rule.chain)
                );
            }
        }
    }
}

#[test]
fn what_others_put_there_at_run_time_stays_in_its_place() {
    let [(rules, saved), _] = machine!("debian-12-ufw-older-denies");
    let live = live(saved, false);
    let now = RulesFile::parse(rules);
    let deny = now
        .blocks
        .iter()
        .position(|b| b.text.contains("deny tcp 33001"))
        .expect("the deny");
    let mut after = now.clone();
    after.take_out(deny);
    let ours = Tuple {
        comment: String::from("faspwall:X:ssh"),
        ..Tuple::parse_words("allow tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in").expect("a rule")
    };
    after.put_in(99, crate::backend::ufw::rules_file::Block::new(ours.block(false)));
    let (moved, rules) = live.moved(&now, &after);
    assert_eq!(rules.len(), 2);
    let chain = moved.chain("ufw-user-input");
    assert!(chain[0].line.contains("by hand"), "{chain:?}");
    assert_eq!(
        chain.last().map(|live| live.line.as_str()),
        Some("-A ufw-user-input -p tcp --dport 33001 -j ACCEPT")
    );
    assert!(!chain.iter().any(|live| live.line.contains("33001 -j DROP")));
    // The way back leads to the same chain.
    let back = live.as_is(&now, &after);
    let deny = back
        .iter()
        .find(|rule| rule.rule.ends_with("DROP"))
        .expect("the deny");
    assert_eq!(deny.count, 1);
    assert!(live.chain("ufw-user-input")[deny.at].line.contains("33001"));
    let (again, _) = moved.moved(&after, &now);
    let rules = |live: &Live| -> Vec<Option<Canonical>> {
        live.chain("ufw-user-input")
            .iter()
            .map(|live| live.rule.clone())
            .collect()
    };
    assert_eq!(rules(&again), rules(&live));
}

#[test]
fn a_rule_of_ours_goes_before_what_somebody_added_at_run_time_against_it() {
    let [(rules, saved), _] = machine!("debian-12-ufw-older-denies");
    let saved = saved.replacen(
        "-A ufw-user-input",
        "-A ufw-user-input -p tcp -m tcp --dport 443 -j DROP\n-A ufw-user-input",
        1,
    );
    let live = live(&saved, false);
    let now = RulesFile::parse(rules);
    let mut after = now.clone();
    let ours = Tuple {
        comment: String::from("faspwall:X:https"),
        ..Tuple::parse_words("allow tcp 443 0.0.0.0/0 any 0.0.0.0/0 in").expect("a rule")
    };
    after.put_in(99, crate::backend::ufw::rules_file::Block::new(ours.block(false)));
    let (_, rules) = live.moved(&now, &after);
    assert_eq!(rules[0].at, 0);
}

#[test]
fn the_trial_goes_before_a_general_deny_and_after_bans() {
    let [(_, saved), _] = machine!("debian-12-ufw-older-denies");
    let live = live(saved, false);
    let traffic = super::super::decide::shut(33_001).expect("a port");
    let at = live.place_for("ufw-user-input", &traffic);
    assert!(
        live.chain("ufw-user-input")[at]
            .line
            .contains("--dport 33001 -j DROP")
    );
    assert!(
        live.chain("ufw-user-input")[..at]
            .iter()
            .any(|live| live.line.contains("203.0.113.9"))
    );
    let shop = super::super::decide::shut(8080).expect("a port");
    assert!(live.lets_through("ufw-user-input", &shop, InboundDefault::Drop));
    assert!(!live.lets_through("ufw-user-input", &traffic, InboundDefault::Accept));
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(line in "-[AI] [a-z]{1,4}( !| -[spdijm]| --[a-z]{1,8}| [a-z0-9./:]{1,9}| \"[a-z ]{0,4}\"){0,9}") {
        let _ = canonical(&line);
        let _ = as_tuple(&line, false);
    }
}
