//! `nft -j list ruleset`, and the text of tables and of the file that is loaded at boot.

use std::collections::{BTreeMap, BTreeSet};

use faspwall::backend::kernel;
use faspwall::backend::nftables::boot_file::without_include;
use faspwall::backend::nftables::inspect::{fingerprint, inspect_view};
use faspwall::rehearse::copy::{heading, loadable, mended, tables};

pub fn json(bytes: &[u8]) {
    let [json, save, save6] = super::parts(bytes);
    let saves = BTreeMap::from([
        (String::from("iptables-save"), save),
        (String::from("ip6tables-save"), save6),
    ]);
    match kernel::view(&json, &saves) {
        Err(error) => super::readable(&error.to_string()),
        Ok(ruleset) => {
            assert_eq!(fingerprint(&ruleset), fingerprint(&ruleset.clone()));
            let rules = ruleset.rules.len();
            let inspection = inspect_view(ruleset);
            assert!(inspection.ruleset.rules.len() == rules, "a rule was lost");
        }
    }
}

pub fn text(bytes: &[u8]) {
    let text = super::text(bytes);
    for table in tables(&text).into_iter().take(4) {
        let at = text.find(table).expect("a table is a part of the text");
        assert!(text[at..].starts_with("table "));
        let (family, name) = heading(table);
        let others = BTreeSet::from([(family.to_owned(), name.to_owned())]);
        let (mut notes, mut all) = (Vec::new(), Vec::new());
        let without = loadable(&text, &others, &mut notes);
        let whole = loadable(&text, &BTreeSet::new(), &mut all);
        assert!(without.len() <= whole.len() && notes.len() <= all.len());
        for line in [0, 1, 2, table.lines().count(), usize::MAX] {
            if let Some((rest, taken)) = mended(table, line) {
                assert!(!taken.is_empty() || rest.lines().count() < table.lines().count() + 1);
            }
        }
    }
    let without = without_include(&text);
    assert!(without.len() <= text.len());
    if !text.contains("faspwall") {
        assert_eq!(without, text, "a file without our line was changed");
    }
}
