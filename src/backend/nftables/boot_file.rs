//! The file that is loaded at boot, and the line in it that reads ours.

use std::path::PathBuf;

use crate::facts::BootFacts;

/// Where what is kept is written.
pub const NFT_FILE: &str = "/etc/nftables.d/faspwall.nft";
/// Reads our file and no other: what else lies in that directory may be switched off on purpose.
const INCLUDE: &str = "include \"/etc/nftables.d/faspwall*.nft\"";
const INCLUDE_NOTE: &str = "# The next line was added by faspwall; it reads the rules that faspwall keeps.";

/// The include line is added to the file that is loaded at boot, and taken out again with the last of our rules:
/// path, content now, content afterwards; `None` when the file stays as it is.
pub fn boot_file_change(boot: &BootFacts, no_rules: bool) -> Option<(PathBuf, String, String)> {
    let (path, content) = (boot.file.clone()?, boot.content.clone()?);
    let after = if no_rules {
        without_include(&content)
    } else {
        with_include(&content)
    };
    (after != content).then_some((path, content, after))
}

/// The boot file with our include line at its end. A glob that matches nothing is no error for nft, a missing file is.
fn with_include(content: &str) -> String {
    let reads_it = |(depth, line): (u32, &str)| depth == 0 && reads_ours(line);
    if outline(content).any(reads_it) {
        return content.to_owned();
    }
    let end = if content.is_empty() || content.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{content}{end}{INCLUDE_NOTE}\n{INCLUDE}\n")
}

/// The lines of a file, each with the number of blocks that it begins in.
fn outline(content: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut depth = 0_u32;
    content.lines().map(move |line| {
        let here = depth;
        for word in words(line) {
            match word {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        (here, line)
    })
}

/// What an include line reads: a path, perhaps with `*` for a part of its name. nft looks for others in `/etc`.
pub fn included(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("include")?.trim_start();
    let (path, rest) = rest.strip_prefix('"')?.split_once('"')?;
    if path.starts_with('.') || !matches!(rest.trim(), "" | ";") {
        return None;
    }
    Some(if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/etc/{path}")
    })
}

/// Whether a path with `*` in its last part means this file.
pub fn means(pattern: &str, path: &str) -> bool {
    let (Some((dir, pattern)), Some((of, name))) = (pattern.rsplit_once('/'), path.rsplit_once('/')) else {
        return false;
    };
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first).filter(|_| dir == of) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    // What begins with a dot is never meant.
    rest.ends_with(last) && !(name.starts_with('.') && first.is_empty())
}

/// Whether a line reads our file.
fn reads_ours(line: &str) -> bool {
    included(line).is_some_and(|pattern| means(&pattern, NFT_FILE))
}

/// The line that would read our file inside of a block, where what stands in it is an error.
pub fn reads_ours_in_a_block(content: &str) -> Option<&str> {
    let mut lines = outline(content);
    let found = lines.find(|(depth, line)| *depth > 0 && reads_ours(line));
    found.map(|(_, line)| line.trim())
}

/// The words of a file: names, braces, strings as one word each; comments are left out.
fn words(content: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in content.lines() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = match first {
                '#' => break,
                '"' => rest.get(1..).and_then(|tail| tail.find('"')).map(|at| at + 2),
                '{' | '}' | ';' => Some(1),
                _ => rest.find(|c: char| c.is_whitespace() || "{};#\"".contains(c)),
            };
            let (word, tail) = rest.split_at(end.unwrap_or(rest.len()));
            found.push(word);
            rest = tail.trim_start();
        }
        found.push(";");
    }
    found
}

/// Splits `inet filter` or, of the family ip, `filter` off the words after `table` or `chain`.
fn place<'w>(words: &[&'w str]) -> Option<(&'w str, &'w str, usize)> {
    const FAMILIES: [&str; 6] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];
    match words {
        [family, name, ..] if FAMILIES.contains(family) => Some((family, name, 2)),
        [name, ..] => Some(("ip", name, 1)),
        [] => None,
    }
}

/// What `define NAME = VALUE` says of a variable, where that is one word.
fn value_of<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    let plain = name.strip_prefix('$')?;
    let at = words
        .windows(3)
        .rposition(|three| three == ["define", plain, "="])?;
    let value = words.get(at + 3).copied()?;
    let ends = words.get(at + 4).is_none_or(|next| *next == ";");
    (ends && !value.starts_with(['$', '{', '"'])).then_some(value)
}

/// Whether a boot file makes a chain, given as family, table and name; `None` when it cannot be told: other files are
/// read by it, or names come from variables that are more than a word.
pub fn makes(content: &str, wanted: (&str, &str, &str)) -> Option<bool> {
    let own = without_include(content);
    let mut words = words(&own);
    if words.contains(&"include") {
        return None;
    }
    for at in 0..words.len() {
        let Some(word) = words.get(at).copied().filter(|word| word.starts_with('$')) else {
            continue;
        };
        // What a rule says by variables is no name.
        let before = words.get(at.saturating_sub(3)..at).unwrap_or_default();
        match value_of(&words, word) {
            Some(value) => words.splice(at..=at, [value]).for_each(drop),
            None if before.iter().any(|word| ["table", "chain"].contains(word)) => return None,
            None => {}
        }
    }
    let (mut depth, mut table) = (0_u32, None);
    for (at, word) in words.iter().enumerate() {
        let rest = words.get(at + 1..).unwrap_or_default();
        let before = at
            .checked_sub(1)
            .and_then(|at| words.get(at))
            .copied()
            .unwrap_or(";");
        let begins = matches!(before, ";" | "{" | "}" | "add" | "create");
        match *word {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "table" if depth == 0 && begins => table = place(rest).map(|(family, name, _)| (family, name)),
            "chain" if depth == 0 && begins => {
                let found = place(rest)
                    .and_then(|(family, table, used)| rest.get(used).map(|chain| (family, table, *chain)));
                if found == Some(wanted) {
                    return Some(true);
                }
            }
            "chain" if depth == 1 && begins => {
                let here = table == Some((wanted.0, wanted.1));
                if here && rest.first() == Some(&wanted.2) {
                    return Some(true);
                }
            }
            _ => {}
        }
    }
    Some(false)
}

/// The rules that a boot file writes into a chain, in its own words; `None` when they cannot be told in their order.
pub fn statements<'c>(content: &'c str, wanted: (&str, &str, &str)) -> Option<Vec<Vec<&'c str>>> {
    let words = words(content);
    let uncertain = |word: &str| word.starts_with('$') || ["include", "rule"].contains(&word);
    if words.iter().any(|word| uncertain(word)) {
        return None;
    }
    let (mut depth, mut table, mut here) = (0_u32, None, false);
    let mut found: Vec<Vec<&str>> = Vec::new();
    let mut statement: Vec<&str> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let rest = words.get(at + 1..).unwrap_or_default();
        match *word {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                here &= depth > 1;
            }
            "table" if depth == 0 => table = place(rest).map(|(family, name, _)| (family, name)),
            "chain" if depth == 1 => {
                here = table == Some((wanted.0, wanted.1)) && rest.first() == Some(&wanted.2);
            }
            _ => {}
        }
        if !here || depth < 2 {
            statement.clear();
        } else if depth == 2 && *word == ";" {
            let declares = matches!(
                statement.first(),
                None | Some(&("type" | "policy" | "comment" | "hook"))
            );
            let whole = std::mem::take(&mut statement);
            found.extend((!declares).then_some(whole));
        } else if !(depth == 2 && *word == "{" && statement.is_empty()) {
            statement.push(word);
        }
    }
    Some(found)
}

/// Whether a boot file names a table at all.
pub fn knows_table(content: &str, family: &str, table: &str) -> bool {
    let words = words(content);
    let mut at = words.iter().enumerate().filter(|(_, word)| **word == "table");
    at.any(|(at, _)| {
        let rest = words.get(at + 1..).unwrap_or_default();
        place(rest).is_some_and(|(of, name, _)| (of, name) == (family, table))
    })
}

/// The boot file without the lines that we added; an include line of the operator's own stays.
pub fn without_include(content: &str) -> String {
    content.replace(&format!("{INCLUDE_NOTE}\n{INCLUDE}\n"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n\tchain input { # chain other {\n\
        \t\ttype filter hook input priority 0; policy drop;\n\t\tlog prefix \"chain x { \" accept\n\t}\n\tchain last {\n\t}\n}\n\
        add table ip6 six\nadd chain ip6 six in { type filter hook input priority 0; }\ntable four { chain in { } }\n";

    #[test]
    fn a_boot_file_tells_which_chains_it_makes() {
        for (chain, made) in [
            (("inet", "filter", "input"), true),
            (("inet", "filter", "last"), true),
            (("ip6", "six", "in"), true),
            (("ip", "four", "in"), true),
            (("inet", "filter", "other"), false),
            (("inet", "filter", "x"), false),
            (("ip", "filter", "input"), false),
            (("inet", "four", "in"), false),
        ] {
            assert_eq!(makes(FILE, chain), Some(made), "{chain:?}");
        }
        assert!(knows_table(FILE, "ip6", "six") && !knows_table(FILE, "ip", "six"));
        let ours = with_include(FILE);
        assert_eq!(makes(&ours, ("inet", "filter", "last")), Some(true));
        let theirs = format!("{FILE}include \"/etc/nftables/*.nft\"\n");
        assert_eq!(makes(&theirs, ("inet", "x", "y")), None);
        let named = |value: &str| {
            format!("define t = {value}\ntable inet $t {{ chain y {{ ip saddr $n drop; }} }}\n")
        };
        assert_eq!(makes(&named("x"), ("inet", "x", "y")), Some(true));
        assert_eq!(makes(&named("z"), ("inet", "x", "y")), Some(false));
        assert_eq!(makes(&named("$u"), ("inet", "x", "y")), None);
        assert_eq!(
            makes(&named("x").replace("define", "# define"), ("inet", "x", "y")),
            None
        );
        assert_eq!(
            makes("delete table inet x; chain\n}}{", ("inet", "x", "y")),
            Some(false)
        );
    }

    #[test]
    fn the_rules_of_a_chain_are_told_in_their_order() {
        let file = "table ip t {\n\tset s { type ipv4_addr; }\n\tchain other { drop; }\n\tchain in {\n\
            \t\ttype filter hook input priority 0; policy drop;\n\t\tip saddr @s drop\n\
            \t\ttcp dport { 22,\n\t\t80 } accept; iif lo accept\n\t}\n}\n";
        let rules = statements(file, ("ip", "t", "in")).expect("certain");
        let rules: Vec<String> = rules.iter().map(|words| words.join(" ")).collect();
        assert_eq!(rules.len(), 3, "{rules:?}");
        assert_eq!(
            (rules[0].as_str(), rules[2].as_str()),
            ("ip saddr @s drop", "iif lo accept")
        );
        assert!(rules[1].starts_with("tcp dport { 22,"), "{rules:?}");
        assert_eq!(
            statements(&format!("{file}add rule ip t in drop\n"), ("ip", "t", "in")),
            None
        );
        assert!(statements(&with_include(file), ("ip", "t", "in")).is_none());
    }

    #[test]
    fn an_include_line_counts_for_ours_only_where_ours_can_be_read() {
        for line in [
            "include \"/etc/nftables.d/*.nft\"",
            "  include \"nftables.d/*\";",
            "include \"/etc/nftables.d/f*wall.nft\"",
        ] {
            let above = format!("{line}\ntable inet t {{ }}\n");
            assert_eq!(with_include(&above), above);
            assert_eq!(reads_ours_in_a_block(&above), None);
            let inside = format!("table inet t {{ # }}\n{line}\n}}\n");
            assert!(with_include(&inside).ends_with(&format!("{INCLUDE}\n")), "{line}");
            assert_eq!(reads_ours_in_a_block(&inside), Some(line.trim()));
        }
        for line in [
            "# include \"/etc/nftables.d/*.nft\"",
            "include \"/etc/nftables/*.nft\"",
            "include \"/etc/nftables.d/0*.nft\"",
            "include \"./nftables.d/*.nft\"",
        ] {
            assert!(with_include(line).contains(INCLUDE), "{line}");
            assert_eq!(reads_ours_in_a_block(&format!("table t {{\n{line}\n}}\n")), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_the_comparison_panic(pattern in "[/a.*]{0,12}", path in "[/a.]{0,12}") {
            let _ = means(&pattern, &path);
            assert!(means("/etc/x/*", &format!("/etc/x/a{}", path.replace('/', ""))));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s)[a-z {};\"#$\n]{0,120}") {
            let _ = makes(&text, ("inet", "a", "b"));
            let _ = statements(&text, ("inet", "a", "b"));
        }
    }
}
