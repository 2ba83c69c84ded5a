//! The layers of the library: what each may use, and that nothing uses more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The layers from bottom to top, each with the layers that it may use.
///
/// A layer may name only layers above it in this table, so that no cycle can even be written down; the one exception
/// is a pair that counts as one layer: the journal stores a change, and a change is cut into the journal's phases.
const LAYERS: [(&str, &[&str]); 24] = [
    ("harmless", &[]),
    ("port", &[]),
    ("matrix", &["port"]),
    ("step", &["harmless"]),
    ("document", &["harmless"]),
    ("facts", &["port"]),
    ("catalogue", &["port", "document"]),
    ("answers", &["port", "document", "facts", "catalogue"]),
    ("plan", &["port", "catalogue", "answers"]),
    ("notice", &["port", "facts", "catalogue", "answers", "plan"]),
    (
        "product",
        &["harmless", "port", "facts", "catalogue", "answers", "plan"],
    ),
    ("backend", &["port", "step", "facts", "plan"]),
    ("sshd", &["port", "step", "facts", "plan"]),
    (
        "advice",
        &["port", "facts", "catalogue", "answers", "plan", "product", "sshd"],
    ),
    ("transaction", &["answers", "step", "change"]),
    (
        "change",
        &[
            "port",
            "step",
            "facts",
            "catalogue",
            "answers",
            "plan",
            "notice",
            "product",
            "advice",
            "backend",
            "sshd",
            "transaction",
        ],
    ),
    ("system", &["harmless", "step"]),
    (
        "engine",
        &[
            "harmless",
            "port",
            "step",
            "facts",
            "catalogue",
            "answers",
            "plan",
            "product",
            "advice",
            "backend",
            "sshd",
            "transaction",
            "change",
            "system",
        ],
    ),
    ("sealed", &["step", "system"]),
    ("lab", &["harmless", "step", "system", "engine", "sealed"]),
    (
        "rehearse",
        &[
            "port",
            "matrix",
            "step",
            "facts",
            "plan",
            "backend",
            "transaction",
            "change",
            "system",
            "engine",
            "sealed",
        ],
    ),
    (
        "tui",
        &[
            "harmless",
            "port",
            "matrix",
            "step",
            "facts",
            "catalogue",
            "answers",
            "plan",
            "product",
            "advice",
            "sshd",
            "transaction",
            "change",
        ],
    ),
    (
        "cli",
        &[
            "harmless",
            "port",
            "matrix",
            "step",
            "document",
            "facts",
            "catalogue",
            "answers",
            "plan",
            "notice",
            "advice",
            "backend",
            "sshd",
            "transaction",
            "change",
            "system",
            "engine",
            "lab",
            "rehearse",
            "tui",
        ],
    ),
    ("main", &["cli", "system"]),
];

/// Two modules that count as one layer.
const PAIR: [&str; 2] = ["transaction", "change"];

fn position(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|(name, _)| *name == layer)
}

/// The layers that a source text names, comments left aside: `crate::x`, `crate::{x, y::z}`, and the same after
/// `faspwall::`, which is how the program itself sees the library.
fn uses(source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    for root in ["crate::", "faspwall::"] {
        for (start, _) in code.match_indices(root) {
            let rest = &code[start + root.len()..];
            let heads = match rest.strip_prefix('{') {
                Some(group) => group_heads(group),
                None => vec![word(rest)],
            };
            found.extend(heads);
        }
    }
    found.remove("");
    found
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_')
        .collect()
}

/// The first words of the items of `a::b, c::{d, e}, f}`.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut head = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(std::mem::take(&mut head)),
            _ if depth == 0 => head.push(c),
            _ => {}
        }
    }
    heads.push(head);
    heads.iter().map(|head| word(head.trim())).collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the source directory can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What a file does that its layer may not.
fn violations(layer: &str, source: &str) -> Vec<String> {
    let Some(at) = position(layer) else {
        return vec![format!("{layer} is no layer of the table in tests/it/arch.rs")];
    };
    let allowed = LAYERS[at].1;
    uses(source)
        .into_iter()
        .filter(|used| used != layer && position(used).is_some() && !allowed.contains(&used.as_str()))
        .map(|used| format!("{layer} must not use {used}"))
        .collect()
}

#[test]
fn every_file_keeps_to_its_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 10, "the sources were not found");
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src");
        let first = relative.iter().next().expect("a name").to_string_lossy();
        let layer = first.trim_end_matches(".rs");
        if layer == "lib" {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("readable");
        for violation in violations(layer, &text) {
            wrong.push(format!("src/{}: {violation}", relative.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_table_is_ordered_so_that_no_cycle_can_be_written() {
    for (at, (layer, allowed)) in LAYERS.iter().enumerate() {
        for used in *allowed {
            let below = position(used).unwrap_or_else(|| panic!("{layer} uses {used}, which is no layer"));
            let one_layer = PAIR.contains(layer) && PAIR.contains(used);
            assert!(
                below < at || one_layer,
                "{layer} stands before {used} in the table and may not use it"
            );
        }
    }
}

#[test]
fn the_wizard_knows_neither_the_host_nor_the_engine() {
    let (_, allowed) = LAYERS[position("tui").expect("a layer")];
    for door in ["system", "engine", "lab", "rehearse", "backend"] {
        assert!(!allowed.contains(&door), "tui may not use {door}");
    }
}

#[test]
fn a_planted_violation_is_found() {
    assert_eq!(
        violations("plan", "use crate::system::System;"),
        ["plan must not use system"]
    );
    assert_eq!(
        violations(
            "port",
            "use crate::{\n    facts::{Facts, Os},\n    step::Tool,\n};"
        ),
        ["port must not use facts", "port must not use step"]
    );
    assert_eq!(
        violations("tui", "let x = crate::engine::detect();"),
        ["tui must not use engine"]
    );
    assert!(violations("plan", "//! See [`crate::system`].\nuse crate::port::PortRange;").is_empty());
    assert!(!violations("unheard_of", "").is_empty());
}

/// The crate's own list of promises names tests; a name without a test would promise nothing.
#[test]
fn every_promise_has_the_tests_that_it_names() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("src/lib.rs")).expect("src/lib.rs");
    let (_, promises) = text.split_once("# Promises").expect("a list of promises");
    let (promises, _) = promises.split_once("# Glossary").expect("its end");
    let names: Vec<&str> = promises.split('`').skip(1).step_by(2).collect();
    assert!(names.len() >= 9, "{names:?}");
    let mut tests = String::new();
    let mut folders = vec![root.join("tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if let Ok(source) = std::fs::read_to_string(entry.path()) {
                tests.push_str(&source);
            }
        }
    }
    for name in names {
        assert!(
            tests.contains(&format!("#[test]\nfn {name}()")),
            "no test is called {name}"
        );
    }
}
