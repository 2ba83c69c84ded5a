//! Names for the files of a recording: what a person understands, and what no directory can be left by.

use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Longest name that is made of a command line.
const LONGEST: usize = 80;

/// Gives every answer a name of its own.
#[derive(Debug, Default)]
pub struct Names {
    given: BTreeSet<String>,
}

impl Names {
    /// `commands/nft_-j_list_ruleset.out` for `nft -j list ruleset`.
    pub fn of_call(&mut self, argv: &[String], ending: &str) -> String {
        let words = plain(&argv.join(" "));
        let stem: String = words.chars().take(LONGEST).collect();
        let stem = stem.trim_end_matches(['.', '_', '-']);
        self.free(&format!("commands/{stem}"), ending)
    }

    /// `files/etc/nftables.conf` for `/etc/nftables.conf`.
    pub fn of_file(&mut self, path: &Path) -> String {
        let mut name = String::from("files");
        for part in path.components() {
            if let Component::Normal(part) = part {
                name.push('/');
                name.push_str(&plain(&part.to_string_lossy()));
            }
        }
        self.free(&name, "")
    }

    fn free(&mut self, stem: &str, ending: &str) -> String {
        let mut name = format!("{stem}{ending}");
        let mut number = 2;
        while !self.given.insert(name.clone()) {
            name = format!("{stem}-{number}{ending}");
            number += 1;
        }
        name
    }
}

/// Letters, digits and `.`, `_`, `-`; everything else becomes `_`. Never `.` or `..`, never empty.
fn plain(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut name = String::new();
    for c in text.chars() {
        let c = if keep(c) { c } else { '_' };
        // What is not kept comes in rows: `^(a|b) `.
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    let name = name.trim_end_matches('_');
    if name.chars().all(|c| c == '.') {
        return format!("_{name}");
    }
    name.to_owned()
}

/// Whether a name in the index stays inside its directory.
pub fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_tell_what_they_hold() {
        let mut names = Names::default();
        let argv = ["nft", "-j", "list", "ruleset"].map(String::from);
        assert_eq!(names.of_call(&argv, ".out"), "commands/nft_-j_list_ruleset.out");
        assert_eq!(names.of_call(&argv, ".out"), "commands/nft_-j_list_ruleset-2.out");
        let path = Path::new("/etc/ufw/ufw.conf");
        assert_eq!(names.of_file(path), "files/etc/ufw/ufw.conf");
        assert_eq!(
            names.of_file(Path::new("/etc/a b/\u{1b}[2J")),
            "files/etc/a_b/_2J"
        );
    }

    #[test]
    fn no_name_of_an_index_leads_out_of_its_directory() {
        assert!(is_inside("files/etc/hosts"));
        for name in ["", "/etc/shadow", "../x", "files/../../x", "."] {
            assert!(!is_inside(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_name_that_is_given_is_free_and_inside(paths in prop::collection::vec("(?s)/.{0,20}", 1..6)) {
            let mut names = Names::default();
            let mut seen = BTreeSet::new();
            for path in &paths {
                let name = names.of_file(Path::new(path));
                prop_assert!(is_inside(&name), "{}", name);
                prop_assert!(seen.insert(name));
                prop_assert!(is_inside(&names.of_call(std::slice::from_ref(path), ".out")));
            }
        }
    }
}
