use proptest::prelude::*;

use super::*;

const ZOO: &str = include_str!("../../../../tests/machines/debian-12-ufw-zoo/user.rules");

fn ours(words: &str, at: usize) -> Entry {
    let mut tuple = Tuple::parse_words(words).expect("a rule");
    tuple.comment = String::from("faspwall:20261123-073112:ssh");
    Entry {
        v6: false,
        at,
        what: What::Ours(Box::new(tuple)),
    }
}

fn without(file: &RulesFile, at: usize, shut: bool) -> Entry {
    let block = file.blocks[at].clone();
    Entry {
        v6: false,
        at,
        what: if shut {
            What::Shut(block)
        } else {
            What::Without(block)
        },
    }
}

fn some(file: &RulesFile) -> Vec<Entry> {
    sorted(vec![
        ours("allow tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in", 3),
        without(file, 2, false),
        without(file, 0, true),
        ours("deny tcp 22 0.0.0.0/0 any 0.0.0.0/0 in", 1),
        ours("allow udp 33001 0.0.0.0/0 any 0.0.0.0/0 in", file.blocks.len()),
    ])
}

#[test]
fn lines_can_be_shown_and_read_again() {
    let file = RulesFile::parse(ZOO);
    let entries = some(&file);
    let shown = text(&entries);
    assert_eq!(parse(&shown), entries, "{shown}");
    let wanted =
        "user.rules before 4: allow tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in # faspwall:20261123-073112:ssh";
    assert!(shown.lines().any(|line| line == wanted), "{shown}");
}

#[test]
fn what_was_done_to_a_file_is_seen_in_it_and_taken_back_byte_for_byte() {
    let file = RulesFile::parse(ZOO);
    let entries = some(&file);
    let changed = applied(&file, false, &entries);
    assert_eq!(present(&changed, false, &entries), entries);
    assert_eq!(theirs(&changed, false, &entries).text(), ZOO);
    let again = RulesFile::parse(&changed.text());
    assert_eq!(again.text(), changed.text());
    assert_eq!(
        theirs(&again, false, &present(&again, false, &entries)).text(),
        ZOO
    );
}

#[test]
fn what_the_operator_brought_back_is_his() {
    let file = RulesFile::parse(ZOO);
    let entries = some(&file);
    let mut changed = applied(&file, false, &entries);
    changed.put_in(99, file.blocks[0].clone());
    let now = present(&changed, false, &entries);
    assert_eq!(now.len(), entries.len() - 1);
    let theirs = theirs(&changed, false, &now);
    assert_eq!(theirs.text().matches(&file.blocks[0].text).count(), 1);
}

#[test]
fn between_two_states_everything_is_open_that_is_open_in_either() {
    let file = RulesFile::parse(ZOO);
    let entries = some(&file);
    let opens = |list: &[Entry]| list.iter().all(Entry::opens);
    let one = lenient(&[], &entries);
    assert!(opens(&one) && one.len() == 3);
    assert!(opens(&lenient(&entries, &[])));
    assert_eq!(sorted(lenient(&entries, &entries)), entries);
}

proptest! {
    #[test]
    fn any_set_of_entries_goes_in_and_out(
        places in proptest::collection::vec((0usize..12, 0u8..3), 0..8),
    ) {
        let file = RulesFile::parse(ZOO);
        let mut entries: Vec<Entry> = Vec::new();
        for (index, (at, kind)) in places.into_iter().enumerate() {
            let new = match kind {
                0 => ours(&format!("allow tcp {} 0.0.0.0/0 any 0.0.0.0/0 in", 40_000 + index), at),
                kind => without(&file, at, kind == 1),
            };
            let again = entries.iter().any(|e| e.at == new.at && e.what.block().is_some());
            if new.what.block().is_none() || !again {
                entries.push(new);
            }
        }
        let entries = sorted(entries);
        let changed = applied(&file, false, &entries);
        prop_assert_eq!(theirs(&changed, false, &entries).text(), ZOO);
        let reread = RulesFile::parse(&changed.text());
        let now = present(&reread, false, &entries);
        prop_assert_eq!(applied(&theirs(&reread, false, &now), false, &now).text(), changed.text());
        prop_assert_eq!(parse(&text(&entries)), entries);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(user6?.rules (before|without|shut) [0-9]{1,3}: .{0,40}\n){0,3}.{0,30}") {
        let entries = parse(&text);
        let file = RulesFile::parse(ZOO);
        let _ = applied(&theirs(&file, false, &entries), false, &entries);
    }
}
