//! The file of a zone: what a commit does to it, and how every byte of others stays or comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::line::{Call, Entry, Line, calls, patched};
use super::state::{ETC, PACKAGED, zone_file};
use super::translate::{minus, of};
use crate::backend::Wish;
use crate::step::{Action, Step};

/// The file of a zone and what a commit does to it.
pub struct ZoneFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What firewall-cmd leaves beside a file that it writes anew, and its content now.
    old: (PathBuf, Option<String>),
    /// Its text now.
    pub before: Option<String>,
    packaged: Option<String>,
    /// First: accepts in, refusals that are no longer wanted out.
    first: (Vec<Line>, Vec<Line>),
    /// Last: refusals in, accepts that are no longer wanted out.
    last: (Vec<Line>, Vec<Line>),
    /// Its text after the first and after the last; `None` when only firewalld can write it.
    pub text_kept: Option<String>,
    text_sealed: Option<String>,
}

fn entries(lines: &[Line]) -> Vec<&Entry> {
    lines.iter().map(|line| &line.entry).collect()
}

impl ZoneFile {
    /// Those that a change touches.
    pub fn all(wish: &Wish<'_>, kept: &[Line], wanted: &[Line]) -> Vec<Self> {
        let files = &wish.facts.observations.files;
        let zones: BTreeSet<&str> = kept
            .iter()
            .chain(wanted)
            .filter(|line| line.permanent)
            .map(|line| line.zone.as_str())
            .collect();
        let changed = zones.into_iter().map(|zone| Self::new(files, zone, kept, wanted));
        changed
            .filter(|file| {
                let lists = [&file.first.0, &file.first.1, &file.last.0, &file.last.1];
                lists.iter().any(|list| !list.is_empty())
            })
            .collect()
    }

    fn new(files: &BTreeMap<PathBuf, String>, zone: &str, kept: &[Line], wanted: &[Line]) -> Self {
        let of_zone = |lines: &[Line], refuses: bool| -> Vec<Line> {
            let lines = of(lines, true, refuses).into_iter();
            lines.filter(|line| line.zone == zone).collect()
        };
        let first = (
            minus(of_zone(wanted, false), kept),
            minus(of_zone(kept, true), wanted),
        );
        let last = (
            minus(of_zone(wanted, true), kept),
            minus(of_zone(kept, false), wanted),
        );
        let path = zone_file(ETC, zone);
        let before = files.get(&path).cloned();
        let packaged = files.get(&zone_file(PACKAGED, zone)).cloned();
        let base = before.clone().or_else(|| packaged.clone()).unwrap_or_default();
        let text_kept = patched(&base, &entries(&first.1), &entries(&first.0));
        let text_sealed = text_kept
            .as_ref()
            .and_then(|text| patched(text, &entries(&last.1), &entries(&last.0)));
        let old = path.with_extension("xml.old");
        Self {
            old: (old.clone(), files.get(&old).cloned()),
            path,
            before,
            packaged,
            first,
            last,
            text_kept: text_sealed.as_ref().and(text_kept),
            text_sealed,
        }
    }

    /// The file in the end. A copy of the packaged one that we had made is not needed once our lines are out of it.
    pub fn after(&self) -> Option<String> {
        self.text_sealed
            .clone()
            .filter(|text| self.packaged.as_ref() != Some(text))
    }

    /// The bytes of before, for an undo.
    fn back(&self) -> [Step; 2] {
        [
            Step::put(&self.path, self.before.as_deref(), 0o644),
            Step::put(&self.old.0, self.old.1.as_deref(), 0o644),
        ]
    }

    /// First: the accepts.
    pub fn keep(&self) -> Vec<Action> {
        let mut actions = permanent(&self.first, "for the next start");
        if let Some(first) = actions.first_mut() {
            // The bytes come last, when the calls are undone.
            first.undo.extend(self.back());
            let more = !self.last.0.is_empty() || !self.last.1.is_empty();
            let content = if more {
                self.text_kept.clone()
            } else {
                self.after()
            };
            actions.extend(self.as_it_was(content.as_ref()));
        }
        actions
    }

    /// Last: the refusals.
    pub fn seal(&self) -> Vec<Action> {
        let mut actions = permanent(&self.last, "for the next start, last");
        let untouched = self.first.0.is_empty() && self.first.1.is_empty();
        if let Some(first) = actions.first_mut() {
            if untouched {
                first.undo.extend(self.back());
            } else if let Some(text) = self.text_kept.as_ref() {
                first.undo.push(Step::put(&self.path, Some(text), 0o644));
            }
            actions.extend(self.as_it_was(self.after().as_ref()));
        }
        actions
    }

    /// firewall-cmd writes a file anew, without comments: the text of before with our lines in it goes over that.
    fn as_it_was(&self, content: Option<&String>) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.text_kept.is_some() {
            let say = match content {
                Some(_) => format!("{}: everything else as it was", self.path.display()),
                None => format!("{} is not needed any more", self.path.display()),
            };
            actions.push(Action::new(
                say,
                Step::put(&self.path, content.map(String::as_str), 0o644),
                vec![],
            ));
        }
        let say = format!("nothing of it is left in {}", self.old.0.display());
        actions.push(Action::new(
            say,
            Step::put(&self.old.0, self.old.1.as_deref(), 0o644),
            vec![],
        ));
        actions
    }
}

/// Permanent calls: additions before removals, so that a door is open at every moment.
fn permanent((add, out): &(Vec<Line>, Vec<Line>), how: &str) -> Vec<Action> {
    let said = |call: Call, verb: &str| {
        let say = format!("zone {}: {}{verb} {how}", call.zone, call.what.join(", "));
        Action::new(say, Step::Run(call.there), vec![Step::Run(call.back)])
    };
    let added = calls(add, true).into_iter().map(|call| said(call, ""));
    let taken = calls(out, false).into_iter().map(|call| said(call, " no more"));
    added.chain(taken).collect()
}
