use proptest::prelude::*;

use super::*;

const SAVE: &str = include_str!("../../../../tests/machines/debian-12-ufw-older-denies/iptables-nft-save");

fn wanted(rule: &str, count: usize, at: usize) -> IptablesRule {
    IptablesRule {
        rule: rule.to_owned(),
        count,
        at,
    }
}

fn batch(save: &str, sweep: &str, rules: &[IptablesRule]) -> Result<Option<String>, PatchError> {
    super::batch(save, sweep, rules, Naming::Printed)
}

/// What a save says after a batch, for the commands that batches are made of.
pub fn after(save: &str, batch: &str) -> String {
    let mut lines: Vec<String> = save.lines().map(str::to_owned).collect();
    for command in batch.lines() {
        let number = command.strip_prefix("-D ").and_then(|rest| rest.split_once(' '));
        if let Some((chain, number)) = number.filter(|(_, number)| number.parse::<usize>().is_ok()) {
            let of_chain = format!("-A {chain} ");
            let mut places = (0..lines.len()).filter(|at| lines[*at].starts_with(&of_chain));
            let at = places
                .nth(number.parse::<usize>().expect("a number") - 1)
                .expect("so many rules");
            lines.remove(at);
        } else if let Some(rule) = command.strip_prefix("-D ") {
            let known = format!("-A {rule}");
            let at = lines
                .iter()
                .position(|line| *line == known)
                .unwrap_or_else(|| panic!("no {known}"));
            lines.remove(at);
        } else if let Some(rest) = command.strip_prefix("-I ") {
            let words: Vec<&str> = rest.splitn(3, ' ').collect();
            let (chain, number) = (words[0], words[1].parse::<usize>().expect("a number"));
            let of_chain = format!("-A {chain} ");
            let places: Vec<usize> = (0..lines.len())
                .filter(|at| lines[*at].starts_with(&of_chain))
                .collect();
            assert!(number <= places.len() + 1, "{command} of {}", places.len());
            let end = lines
                .iter()
                .position(|line| line == "COMMIT")
                .expect("the table's end");
            let after_last = places.last().map_or(end, |at| at + 1);
            let at = places.get(number - 1).copied().unwrap_or(after_last);
            lines.insert(at, format!("-A {chain} {}", words[2]));
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_batch_is_made_once_and_then_nothing_is_left_to_do() {
    let rules = [
        wanted("-A ufw-user-input -p tcp --dport 33001 -j DROP", 0, 0),
        wanted("-A ufw-user-input -p tcp --dport 33001 -j ACCEPT", 1, 2),
        wanted("-A ufw-user-output -p udp --dport 5 -j ACCEPT", 1, 9),
    ];
    let made = batch(SAVE, "", &rules)
        .expect("a batch")
        .expect("something to do");
    assert_eq!(
        made,
        "*filter\n-D ufw-user-input -p tcp -m tcp --dport 33001 -j DROP\n\
         -I ufw-user-input 3 -p tcp --dport 33001 -j ACCEPT\n\
         -I ufw-user-output 1 -p udp --dport 5 -j ACCEPT\nCOMMIT\n"
    );
    assert_eq!(batch(&after(SAVE, &made), "", &rules), Ok(None));
}

#[test]
fn marked_rules_are_swept_and_do_not_count_as_places() {
    let mark = |need: &str| {
        wanted(
            &format!(
                "-A ufw-user-input -p tcp --dport 1 -m comment --comment \"faspwall:X:trial:{need}\" -j ACCEPT"
            ),
            1,
            0,
        )
    };
    let made = batch(SAVE, "", &[mark("a"), mark("b")])
        .expect("a batch")
        .expect("something to do");
    let trial = after(SAVE, &made);
    let rule = wanted("-A ufw-user-input -p tcp --dport 33001 -j ACCEPT", 1, 1);
    let made = batch(&trial, "faspwall:X:trial", std::slice::from_ref(&rule))
        .expect("a batch")
        .expect("something to do");
    let settled = after(&trial, &made);
    assert!(!settled.contains("faspwall"), "{settled}");
    let direct = batch(SAVE, "", &[rule])
        .expect("a batch")
        .expect("something to do");
    assert_eq!(settled, after(SAVE, &direct));
    assert_eq!(batch(SAVE, "faspwall:X", &[]), Ok(None));
}

#[test]
fn a_chain_that_is_gone_is_told() {
    let rule = wanted("-A ufw-nowhere -j ACCEPT", 1, 0);
    assert_eq!(
        batch(SAVE, "", std::slice::from_ref(&rule)),
        Err(PatchError::NoChain(String::from("ufw-nowhere")))
    );
    let gone = IptablesRule { count: 0, ..rule };
    assert_eq!(batch(SAVE, "", &[gone]), Ok(None));
    assert!(matches!(
        batch(SAVE, "", &[wanted("what", 1, 0)]),
        Err(PatchError::NoRule(_))
    ));
}

#[test]
fn however_rules_are_named_the_same_ones_go() {
    let rules = [
        wanted("-A ufw-user-input -p tcp --dport 33001 -j DROP", 0, 0),
        wanted("-A ufw-user-input -p tcp --dport 22 -j ACCEPT", 0, 0),
        wanted("-A ufw-user-input -p tcp --dport 8080 -j ACCEPT", 2, 1),
    ];
    let by = |naming| {
        let batch = super::batch(SAVE, "", &rules, naming).expect("a batch");
        batch.expect("something to do")
    };
    assert!(by(Naming::Typed).contains("-D ufw-user-input -p tcp --dport 33001 -j DROP\n"));
    assert!(
        by(Naming::Numbered).contains("-D ufw-user-input 4\n"),
        "{}",
        by(Naming::Numbered)
    );
    assert_eq!(
        after(SAVE, &by(Naming::Numbered)),
        after(SAVE, &by(Naming::Printed))
    );
}

proptest! {
    #[test]
    fn any_state_leads_back_to_the_first(ports in proptest::collection::vec((1u16..9, 0usize..3, 0usize..12), 1..6)) {
        let rules: Vec<IptablesRule> = ports
            .iter()
            .map(|(port, count, at)| wanted(&format!("-A ufw-user-input -p tcp --dport {port} -j ACCEPT"), *count, *at))
            .collect();
        let back: Vec<IptablesRule> = rules.iter().map(|rule| IptablesRule { count: 0, ..rule.clone() }).collect();
        if let Some(made) = batch(SAVE, "", &rules).expect("a batch") {
            let moved = after(SAVE, &made);
            if let Some(made) = batch(&moved, "", &back).expect("a batch") {
                prop_assert_eq!(after(&moved, &made), SAVE);
            }
        }
    }

    #[test]
    fn no_save_makes_it_panic(save in "(?s)[*:A-Z a-z!\n\"0-9-]{0,160}", rule in "-A [a-z]{1,3} [a-z -]{0,20}") {
        let _ = batch(&save, "faspwall:X", &[wanted(&rule, 1, 3)]);
    }
}
