use proptest::prelude::*;

use super::*;

const ZOO: &str = include_str!("../../../../tests/machines/debian-12-ufw-zoo/user.rules");
const NEW: &str = include_str!("../../../../tests/machines/debian-12-ufw-new/user.rules");

#[test]
fn rules_are_found_and_the_rest_is_left() {
    let file = RulesFile::parse(ZOO);
    assert_eq!(file.blocks.len(), ZOO.matches(MARK).count());
    assert!(file.takes_rules && file.blocks.iter().all(|block| block.tuple().is_some()));
    assert!(!file.lines().iter().any(|line| line.contains("ufw-after-logging")));
    let limit = file
        .blocks
        .iter()
        .find(|b| b.text.contains("limit any 2222"))
        .expect("the limit");
    assert_eq!(limit.lines().count(), 6);
}

#[test]
fn what_is_taken_out_goes_back_to_its_very_place() {
    let hand_made = ZOO.replace("\n### tuple ### limit", "\n# by hand\n\n### tuple ### limit");
    for text in [ZOO, &hand_made] {
        let whole = RulesFile::parse(text);
        for at in 0..whole.blocks.len() {
            let mut file = whole.clone();
            let block = file.blocks[at].clone();
            file.take_out(at);
            let cut = file.text();
            assert!(!cut.contains(&block.text) && cut.contains(&block.loose), "{at}");
            let mut again = RulesFile::parse(&cut);
            again.put_in(at, block);
            assert_eq!(again.text(), text, "{at}");
        }
    }
}

#[test]
fn a_file_without_rules_takes_the_first_one() {
    let mut file = RulesFile::parse(NEW);
    assert!(file.takes_rules && file.blocks.is_empty());
    let block = "\n### tuple ### allow tcp 1 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 1 -j ACCEPT\n";
    file.put_in(0, Block::new(block));
    let text = file.text();
    assert!(text.contains(&format!("{BEGINNING}\n{block}")), "{text}");
    assert_eq!(RulesFile::parse(&text).blocks.len(), 1);
    assert!(!RulesFile::parse("*filter\nCOMMIT\n").takes_rules);
}

proptest! {
    #[test]
    fn every_text_stays_as_it_is(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("### RULES ###"), Just("### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"), Just(""),
                Just("-A ufw-user-input -p tcp --dport 22 -j ACCEPT"), Just("# mine"), Just("COMMIT"), Just("### tuple ###"),
            ],
            0..24,
        ),
        ended: bool,
    ) {
        let mut text = lines.join("\n");
        if ended {
            text.push('\n');
        }
        let file = RulesFile::parse(&text);
        prop_assert_eq!(file.text(), text.clone());
        for at in 0..file.blocks.len() {
            let mut other = file.clone();
            let block = other.blocks[at].clone();
            other.take_out(at);
            other.put_in(at, block);
            prop_assert_eq!(other.text(), text.clone());
        }
    }
}
