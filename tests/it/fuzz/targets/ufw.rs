//! ufw's files: the rules of its operator, single tuples, settings, and lines of iptables in them.

use faspwall::backend::ufw::kept::{applied, parse, present, sorted, text, theirs};
use faspwall::backend::ufw::live::canonical;
use faspwall::backend::ufw::patch::{Naming, batch};
use faspwall::backend::ufw::rules_file::{Block, RulesFile};
use faspwall::backend::ufw::settings::Settings;
use faspwall::backend::ufw::tuple::Tuple;
use faspwall::step::IptablesRule;

/// Two texts: a file, and what is kept of us.
pub fn rules(bytes: &[u8]) {
    let [content, kept] = super::parts(bytes);
    let file = RulesFile::parse(&content);
    assert_eq!(file.text(), content, "read and written, the file is not the same");
    for at in 0..file.blocks.len().min(8) {
        let mut without = file.clone();
        let block = without.blocks[at].clone();
        without.take_out(at);
        without.put_in(at, block);
        assert_eq!(
            without.text(),
            content,
            "taken out and put in again, the file is not the same"
        );
    }
    let entries = parse(&kept);
    assert_eq!(
        parse(&text(&entries)),
        entries,
        "what is kept is not what is read"
    );
    let entries = sorted(entries);
    drop(present(&file, false, &entries));
    let own = theirs(&file, false, &[]);
    assert!(!own.tuples().iter().any(|(_, tuple)| tuple.ours()));
    let ours: Vec<_> = entries
        .into_iter()
        .filter(
            |entry| matches!(&entry.what, faspwall::backend::ufw::kept::What::Ours(tuple) if tuple.ours()),
        )
        .collect();
    let with = applied(&own, false, &ours);
    assert_eq!(
        theirs(&RulesFile::parse(&with.text()), false, &[])
            .text()
            .trim_end_matches('\n'),
        theirs(&own, false, &[]).text().trim_end_matches('\n'),
        "without ours, the file is not theirs"
    );
}

pub fn tuple(bytes: &[u8]) {
    let text = super::text(bytes);
    for line in text.lines() {
        if let Some(tuple) = Tuple::parse_words(line) {
            let words = tuple.words();
            let again = Tuple::parse_words(&words).expect("what is written can be read");
            assert_eq!(again, tuple, "{words}");
        }
        if let Some(tuple) = Tuple::parse(line) {
            drop(Block::new(tuple.block(false)).tuple());
        }
    }
}

/// Two texts: a save, and rules that are wanted.
pub fn live(bytes: &[u8]) {
    let [save, wanted] = super::parts(bytes);
    // A backslash may take its meaning from a quote, and an open word goes to the end of its line.
    let closed = |line: &&str| !line.contains('\\') && line.matches('"').count().is_multiple_of(2);
    for line in save.lines().filter(closed) {
        assert_eq!(
            canonical(line),
            canonical(line.trim()),
            "blanks around a rule are no part of it"
        );
    }
    let rules: Vec<IptablesRule> = wanted
        .lines()
        .enumerate()
        .map(|(at, rule)| IptablesRule {
            rule: rule.to_owned(),
            at,
            count: at % 3,
        })
        .collect();
    for naming in Naming::ALL {
        match batch(&save, "faspwall:1", &rules, naming) {
            Ok(Some(text)) => assert!(text.starts_with("*filter\n") && text.ends_with("\nCOMMIT\n")),
            Ok(None) => {}
            Err(error) => super::readable(&error.to_string()),
        }
    }
}

pub fn settings(bytes: &[u8]) {
    let [conf, defaults] = super::parts(bytes);
    let read = Settings::parse(&conf, &defaults);
    let asked = format!("{conf}\nENABLED=yes\n");
    let set = Settings::parse(&asked, &format!("{defaults}\nIPV6=no\n"));
    assert!(set.enabled && !set.ipv6, "the last line does not count");
    assert_eq!((set.input, set.output), (read.input, read.output));
}
