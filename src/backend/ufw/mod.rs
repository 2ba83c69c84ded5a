//! ufw: reads its rules files and writes rules that are its own, in the form that it gives them itself.
//!
//! ufw's command line is not used for that. It writes its files one rule at a time, skips or changes rules in place
//! without a word when an older one speaks of the same port, and flushes its chains whenever a rule is inserted,
//! changed or deleted: what others put there at run time is lost. Here both files are written in one go, byte for byte
//! as ufw would have, and the rules in the kernel are changed in one batch for each family. Afterwards they are rules
//! of ufw like any other: `ufw status` shows them with their comment, and `ufw delete` takes them away.

mod decide;
mod health;
pub mod ipv6;
pub mod kept;
pub mod live;
pub mod patch;
mod pieces;
pub mod rules_file;
pub mod settings;
pub mod tuple;

use std::path::{Path, PathBuf};

use self::kept::Entry;
use self::rules_file::RulesFile;
use self::settings::{RULES, Settings};
use super::nftables::Ruleset;
use super::{Pieces, Translator, Wish};
use crate::facts::{BackendId, Facts};

/// ufw.
#[derive(Debug)]
pub struct Ufw;

/// The families that ufw looks after here: IPv4 always, IPv6 where it is told to.
fn families(settings: &Settings) -> &'static [bool] {
    if settings.ipv6 { &[false, true] } else { &[false] }
}

fn rules_path(v6: bool) -> PathBuf {
    let [four, six] = RULES;
    PathBuf::from(if v6 { six } else { four })
}

fn rules_text(facts: &Facts, v6: bool) -> Option<&String> {
    facts.observations.files.get(Path::new(&rules_path(v6)))
}

fn rules_file(facts: &Facts, v6: bool) -> RulesFile {
    RulesFile::parse(rules_text(facts, v6).map(String::as_str).unwrap_or_default())
}

impl Translator for Ufw {
    fn id(&self) -> BackendId {
        BackendId::Ufw
    }

    /// Rules of ours are known by their comments; where rules of others stood is told by the last commit alone.
    fn kept(&self, facts: &Facts, _live: &Ruleset, committed: &str) -> String {
        let known = kept::parse(committed);
        let mut now: Vec<Entry> = Vec::new();
        for v6 in [false, true] {
            now.extend(kept::present(&rules_file(facts, v6), v6, &known));
        }
        kept::text(&now)
    }

    fn keeps(&self, wish: &Wish<'_>) -> Result<String, Vec<String>> {
        let settings = Settings::of(wish.facts);
        let obstacles = health::obstacles(wish, &settings);
        if !obstacles.is_empty() {
            return Err(obstacles);
        }
        let known = kept::parse(wish.kept);
        let mut entries: Vec<Entry> = Vec::new();
        for v6 in families(&settings) {
            let theirs = kept::theirs(&rules_file(wish.facts, *v6), *v6, &known);
            entries.extend(decide::decide(wish, &settings, &theirs, &known, *v6));
        }
        let obstacles = health::blockers(wish, &settings);
        if obstacles.is_empty() {
            Ok(kept::text(&entries))
        } else {
            Err(obstacles)
        }
    }

    fn pieces(&self, wish: &Wish<'_>, wanted: &str) -> Pieces {
        pieces::pieces(wish, wanted)
    }
}

#[cfg(test)]
mod tests;
