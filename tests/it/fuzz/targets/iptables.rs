//! `iptables-save`, the files that are loaded at boot, and what we keep.

use faspwall::backend::iptables::save::{read, without_counters, words};
use faspwall::backend::iptables::sweep::{sweep, tagged};
use faspwall::backend::iptables::{Variant, kept};

pub fn save(bytes: &[u8]) {
    let text = super::text(bytes);
    for family in ["ip", "ip6"] {
        let ruleset = read(&text, family, Variant::Nft);
        for rule in &ruleset.rules {
            let native = rule.native().expect("every rule keeps its text");
            assert!(text.contains(native), "{native:?} is not in the text");
        }
        drop(faspwall::backend::nftables::inspect::inspect_view(ruleset));
    }
    let batch = sweep(&text, "faspwall:1", &[]);
    for line in batch.lines().filter(|line| line.starts_with("-D ")) {
        assert!(tagged(line, "faspwall:1"), "a rule of others goes: {line}");
    }
}

fn ours(line: &str) -> bool {
    let declared = line
        .trim()
        .strip_prefix(':')
        .and_then(|rest| rest.split(' ').next());
    declared == Some("faspwall") || tagged(without_counters(line), "faspwall")
}

/// Two texts: a file, and lines that we want in it.
pub fn file(bytes: &[u8]) {
    let [content, wanted] = super::parts(bytes);
    let without = kept::without_ours(&content);
    // A quote may stand in the middle of a word.
    if !content.replace(['"', '\\'], "").contains("faspwall") {
        assert_eq!(without, content, "a file without rules of ours was changed");
    }
    assert_eq!(kept::without_ours(&without), without, "once is not enough");
    // A plan has some tens of rules; it is the file that others may have written without end.
    let rules: Vec<(String, String)> = wanted
        .lines()
        .take(200)
        .enumerate()
        .map(|(at, line)| {
            let table = ["filter", "raw", "nat"][at % 3];
            let line: String = line.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
            let rule = format!("-A INPUT -p tcp -m comment --comment \"faspwall:1:{line}\" -j ACCEPT");
            (table.to_owned(), rule)
        })
        .collect();
    let Some(patched) = kept::patched(Some(&content), &rules) else {
        assert!(rules.is_empty());
        return;
    };
    let mut found = kept::in_file(&patched);
    let mut expected = rules.clone();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "not the rules that were wanted");
    let theirs = |text: &str| -> Vec<String> {
        let lines = kept::without_ours(text);
        // A carriage return at the end of a line is the operator's as well.
        lines
            .split_terminator('\n')
            .filter(|line| !ours(line))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        theirs(&patched),
        theirs(&content),
        "lines of others are not the same"
    );
    let back = kept::patched(Some(&patched), &[]).unwrap_or_default();
    assert_eq!(back.trim_end_matches('\n'), without.trim_end_matches('\n'));
    assert_eq!(
        kept::patched(Some(&patched), &rules).as_deref(),
        Some(patched.as_str()),
        "twice is not once"
    );
}

pub fn kept(bytes: &[u8]) {
    let text = super::text(bytes);
    let rules = kept::commands(&text);
    let written = kept::text(rules.clone());
    let again = kept::text(kept::commands(&written));
    assert_eq!(written, again, "what is written is not what is read");
    assert_eq!(kept::live(&written).len(), kept::commands(&written).len());
    assert!(!kept::has_deny(&kept::accepts(&text)));
    for line in text.lines() {
        let all = words(line);
        assert!(all.len() <= line.len());
        let quoted: Vec<String> = all
            .iter()
            .map(|word| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")))
            .collect();
        assert_eq!(words(&quoted.join(" ")), all, "quoted words are other words");
    }
}
