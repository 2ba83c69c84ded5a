//! Recorded hosts: made from real machines by the scripts in `tests/machines`, and everything that runs on them.
//!
//! A script `NAME.sh` says in its first lines what the host is, on which releases it is recorded, and who must be found
//! to own its inbound rules; the rest is run on a fresh machine. `NAME-12` and `NAME-13` hold what `faspwall capture`
//! wrote there.

mod live;
mod property;
mod record;
mod replay;

use std::fs;
use std::path::{Path, PathBuf};

use crate::boxes::Suite;

/// Where scripts and recordings are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines")
}

/// A script, and what its first lines say.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Name of the file, without `.sh`.
    pub name: String,
    /// All of it.
    pub text: String,
    /// `12`, `13`.
    pub suites: Vec<String>,
    /// Who looks: `root` unless it says otherwise.
    pub user: Option<String>,
    /// The owner that must be found; `None` when the host is refused.
    pub owner: Option<String>,
    /// Others that drop packets as well.
    pub also: Vec<String>,
    /// A word of the refusal.
    pub refuses: Option<String>,
    /// What becomes of a packet that nobody names.
    pub default: Option<String>,
}

impl Script {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut script = Self {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            ..Self::default()
        };
        let words = |value: &str| value.split_whitespace().map(str::to_owned).collect();
        for line in text.lines().skip(1).take_while(|line| line.starts_with("# ")) {
            let value = |key: &str| line.strip_prefix(key).map(|value| value.trim().to_owned());
            if let Some(value) = value("# suites:") {
                script.suites = words(&value);
            }
            script.user = script.user.or(value("# user:"));
            script.owner = script.owner.or(value("# owner:"));
            script.also = value("# also:").map_or(script.also, |value| words(&value));
            script.refuses = script.refuses.or(value("# refuses:"));
            script.default = script.default.or(value("# default:"));
        }
        assert!(
            !script.suites.is_empty() && script.owner.is_some() != script.refuses.is_some(),
            "{}: its first lines name suites, and either an owner or a refusal",
            path.display()
        );
        script.text = text;
        script
    }

    /// The recordings that are made from it: directory and release.
    pub fn recordings(&self) -> Vec<(PathBuf, Suite)> {
        let suite = |number: &String| match number.as_str() {
            "12" => Suite::Bookworm,
            "13" => Suite::Trixie,
            other => panic!("{}: no release {other}", self.name),
        };
        self.suites
            .iter()
            .map(|number| (folder().join(format!("{}-{number}", self.name)), suite(number)))
            .collect()
    }
}

/// Every script, by name.
pub fn scripts() -> Vec<Script> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder())
        .expect("tests/machines")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Script::read(path)).collect()
}
