//! One batch that takes rules away by their mark and puts others in.

use super::bans::{below, yields};
use super::save::{without_counters, words};
use crate::step::batch;

/// Chain of our own, for a deny that spares several networks.
pub const CHAIN: &str = "faspwall";

/// What `iptables-restore --noflush` is to read, when `save` is what is there: rules whose comment begins with `tag:`
/// go, and `then` (table, line) comes. Empty when there is nothing to do. Nothing is numbered: what others do
/// meanwhile does no harm.
pub fn sweep(save: &str, tag: &str, then: &[(String, String)]) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut table = "";
    let mut rules: Vec<(&str, &str)> = Vec::new();
    let mut own_chains: Vec<&str> = Vec::new();
    let mut staying: Vec<&str> = Vec::new();
    for line in save.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim();
        } else if line.strip_prefix(':').and_then(|l| l.split(' ').next()) == Some(CHAIN) {
            own_chains.push(table);
        }
        let Some(rule) = without_counters(line).strip_prefix("-A ") else {
            continue;
        };
        if tagged(rule, tag) {
            lines.push((table.to_owned(), format!("-D {rule}")));
            continue;
        }
        rules.push((table, without_counters(line)));
        let may_name = rule.contains('"') || rule.contains(CHAIN);
        if may_name && words(rule).iter().any(|word| word == CHAIN) {
            staying.push(table);
        }
    }
    let declares = |table: &str| {
        then.iter()
            .any(|(of, line)| of == table && line.starts_with(&format!("-A {CHAIN} ")))
    };
    for table in own_chains {
        if !declares(table) && !staying.contains(&table) {
            lines.push((table.to_owned(), format!("-X {CHAIN}")));
        }
    }
    let mut declared: Vec<(String, String)> = Vec::new();
    for (table, _) in then {
        if declares(table) && !declared.iter().any(|(of, _)| of == table) {
            declared.push((table.clone(), format!(":{CHAIN} - [0:0]")));
        }
    }
    // A declaration empties the chain: rules of ours in it are gone before they can be deleted one by one.
    lines.retain(|(table, line)| !(declares(table) && line.starts_with(&format!("-D {CHAIN} "))));
    declared.extend(lines);
    declared.extend(below_bans(&rules, then));
    batch(&declared)
}

/// The chain, number and rest of `-I CHAIN NUMBER REST`.
fn numbered(line: &str) -> Option<(&str, usize, &str)> {
    let (chain, rest) = line.strip_prefix("-I ")?.split_once(' ')?;
    let (number, rest) = rest.split_once(' ')?;
    Some((chain, number.parse().ok()?, rest))
}

/// Accepts for the top of a chain go below the bans that stand there, and what has a number below so many rules of others
/// less one; what else goes to the top meanwhile counts.
fn below_bans(rules: &[(&str, &str)], then: &[(String, String)]) -> Vec<(String, String)> {
    let mut on_top: Vec<(&str, &str)> = Vec::new();
    let mut placed = Vec::new();
    for (table, line) in then {
        let of_table: Vec<&str> = rules
            .iter()
            .filter(|(of, _)| of == table)
            .map(|(_, rule)| *rule)
            .collect();
        let chain = line.strip_prefix("-I ").and_then(|rest| rest.split(' ').next());
        let place = match numbered(line) {
            Some((chain, number, rest)) => {
                let own = format!("-A {chain} ");
                let others = of_table.iter().filter(|rule| rule.starts_with(&own)).count();
                Some((chain, rest, others.min(number.saturating_sub(1))))
            }
            None => yields(line, "-I ")
                .map(|(chain, rest)| (chain, rest, below(&of_table, chain)))
                .filter(|(_, _, bans)| *bans > 0),
        };
        if let Some((chain, rest, others)) = place {
            let above = on_top
                .iter()
                .filter(|place| **place == (table.as_str(), chain))
                .count();
            placed.push((table.clone(), format!("-I {chain} {} {rest}", others + above + 1)));
        } else {
            on_top.extend(chain.map(|chain| (table.as_str(), chain)));
            placed.push((table.clone(), line.clone()));
        }
    }
    placed
}

/// Whether a rule's comment begins with `tag:`.
pub fn tagged(rule: &str, tag: &str) -> bool {
    // Without quotes the words are what they look like; most rules bear no comment at all.
    if !rule.contains('"') && !rule.contains(tag) {
        return false;
    }
    let words = words(rule);
    let mut pairs = words.iter().zip(words.iter().skip(1));
    pairs.any(|(option, value)| {
        option == "--comment" && value.strip_prefix(tag).is_some_and(|rest| rest.starts_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::kept::live_in_place;
    use super::*;
    use crate::step::Tool;
    use proptest::prelude::*;

    const SAVE: &str = "*filter\n:INPUT DROP [7:420]\n:faspwall - [0:0]\n\
        -A INPUT -p tcp -m tcp --dport 33001 -m comment --comment \"faspwall:1:trial:ssh\" -j ACCEPT\n\
        [3:180] -A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"faspwall:1:shut\" -j faspwall\n\
        -A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"of faspwall:1:shut\" -j ACCEPT\n\
        -A faspwall -m comment --comment \"faspwall:1:shut\" -j DROP\nCOMMIT\n";

    #[test]
    fn only_what_bears_the_mark_goes_and_the_rest_is_not_named() {
        assert_eq!(
            sweep(SAVE, "faspwall:1:trial", &[]),
            "*filter\n-D INPUT -p tcp -m tcp --dport 33001 -m comment --comment \"faspwall:1:trial:ssh\" -j ACCEPT\nCOMMIT\n"
        );
        assert_eq!(sweep(SAVE, "faspwall:2", &[]), "");
        assert_eq!(sweep("", "faspwall", &[]), "");
        let all = sweep(SAVE, "faspwall", &[]);
        assert_eq!(all.lines().filter(|l| l.starts_with("-D ")).count(), 3);
        assert!(all.ends_with("-X faspwall\nCOMMIT\n"), "{all}");
    }

    #[test]
    fn an_accept_goes_below_what_bans_addresses_and_a_deny_to_the_top() {
        let save = "*filter\n:INPUT DROP [7:420]\n:f2b-sshd - [0:0]\n\
            -A INPUT -p tcp -m tcp --dport 33001 -m comment --comment \"faspwall:1:trial:ssh\" -j ACCEPT\n\
            [1:60] -A INPUT -p tcp -m multiport --dports 22,33001 -j f2b-sshd\n-A INPUT -i lo -j ACCEPT\n\
            -A f2b-sshd -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable\n-A f2b-sshd -j RETURN\nCOMMIT\n";
        let then = ["-j ACCEPT", "-j DROP", "-p udp -j ACCEPT"]
            .map(|rule| (String::from("filter"), format!("-I INPUT {rule}")));
        let text = sweep(save, "faspwall:1:trial", &then);
        let inserted: Vec<&str> = text.lines().filter(|line| line.starts_with("-I ")).collect();
        assert_eq!(
            inserted,
            [
                "-I INPUT 2 -j ACCEPT",
                "-I INPUT -j DROP",
                "-I INPUT 3 -p udp -j ACCEPT"
            ],
            "{text}"
        );
        assert_eq!(below_bans(&[], &then), then);
    }

    #[test]
    fn a_rule_with_a_number_goes_back_below_as_many_rules_of_others() {
        let kept = "iptables -t filter -A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"faspwall:1:shut\" -j DROP\n\
            iptables -t filter -A INPUT -p tcp -m tcp --dport 33001 -m comment --comment \"faspwall:1:ssh\" -j ACCEPT\n";
        let now = "*filter\n:INPUT DROP [7:420]\n-A INPUT -s 198.51.100.7/32 -j DROP\n\
            [2:120] -A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"faspwall:1:shut\" -j DROP\n\
            -A INPUT -p tcp -m tcp --dport 33001 -m comment --comment \"faspwall:1:ssh\" -j ACCEPT\n\
            -A INPUT -i lo -j ACCEPT\nCOMMIT\n";
        let rules = live_in_place(kept, |tool| (tool == Tool::IptablesRestore).then_some(now));
        let then: Vec<(String, String)> = rules.into_iter().map(|rule| (rule.table, rule.rule)).collect();
        let inserted = |save: &str| {
            let text = sweep(save, "faspwall", &then);
            let lines = text.lines().filter(|line| line.starts_with("-I "));
            lines
                .map(|line| line.split(" -m ").next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        let taken_back = "*filter\n-A INPUT -s 198.51.100.7/32 -j DROP\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
        assert_eq!(inserted(taken_back), ["-I INPUT 2 -p tcp", "-I INPUT 2 -p tcp"]);
        // Whoever emptied the chain meanwhile does not stand in the way.
        assert_eq!(
            inserted("*filter\nCOMMIT\n"),
            ["-I INPUT 1 -p tcp", "-I INPUT 1 -p tcp"]
        );
    }

    #[test]
    fn a_chain_that_is_written_anew_is_emptied_first() {
        let then = [(String::from("filter"), String::from("-A faspwall -j DROP"))];
        let text = sweep(SAVE, "faspwall", &then);
        assert!(text.starts_with("*filter\n:faspwall - [0:0]\n-D INPUT"), "{text}");
        assert!(!text.contains("-X") && !text.contains("-D faspwall"), "{text}");
    }

    proptest! {
        #[test]
        fn a_mark_is_found_however_it_is_quoted(
            parts in prop::collection::vec("--comment|--comm|ent|fw:1:x|fw|:1:|\"|\\\\| ", 0..10),
        ) {
            let rule = parts.concat();
            let words = words(&rule);
            let marked = words.windows(2).any(|pair| pair[0] == "--comment" && pair[1].starts_with("fw:1:"));
            prop_assert_eq!(tagged(&rule, "fw:1"), marked, "{}", rule);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s)[*:A-Za-z !\"\\\\\n-]{0,160}") {
            drop(sweep(&text, "faspwall", &[]));
        }
    }
}
