//! What faspwall keeps in ufw's files: rules of ours, and where rules of others stood that had to go. One line each,
//! so that it can be shown, stored, and taken back.

use serde_json::{Value, json};

use super::rules_file::{Block, RulesFile};
use super::tuple::{Tuple, Verb};

/// One change of a rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In `user6.rules`.
    pub v6: bool,
    /// The place among the rules of others, counted from 0: a rule of ours goes before it.
    pub at: usize,
    /// What is changed there.
    pub what: What,
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A rule of ours.
    Ours(Box<Tuple>),
    /// A rule of others that shuts what is to be open, taken out.
    Without(Block),
    /// A rule of others that opens what is to be shut, taken out.
    Shut(Block),
}

impl What {
    fn block(&self) -> Option<&Block> {
        match self {
            Self::Ours(_) => None,
            Self::Without(block) | Self::Shut(block) => Some(block),
        }
    }
}

fn file_name(v6: bool) -> &'static str {
    if v6 { "user6.rules" } else { "user.rules" }
}

impl Entry {
    /// `user.rules before 3: allow tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in # faspwall:20261123-073112:ssh`, or
    /// `user.rules without 2: [...]` (or `shut`) with the block as JSON.
    pub fn line(&self) -> String {
        let file = file_name(self.v6);
        let place = self.at + 1;
        match &self.what {
            What::Ours(tuple) => format!("{file} before {place}: {} # {}", tuple.words(), tuple.comment),
            What::Without(block) => format!("{file} without {place}: {}", stored(block)),
            What::Shut(block) => format!("{file} shut {place}: {}", stored(block)),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (head, rest) = line.split_once(": ")?;
        let mut words = head.split_whitespace();
        let v6 = match words.next()? {
            "user.rules" => false,
            "user6.rules" => true,
            _ => return None,
        };
        let kind = words.next()?;
        let at = words.next()?.parse::<usize>().ok()?.checked_sub(1)?;
        let what = match kind {
            "before" => {
                let (fields, comment) = rest.split_once(" # ")?;
                let mut tuple = Tuple::parse_words(fields)?;
                comment.trim().clone_into(&mut tuple.comment);
                What::Ours(Box::new(tuple))
            }
            "without" => What::Without(restored(rest)?),
            "shut" => What::Shut(restored(rest)?),
            _ => return None,
        };
        Some(Self { v6, at, what })
    }

    /// Whether both ask for the same, whoever made it.
    fn same(&self, other: &Self) -> bool {
        let what = match (&self.what, &other.what) {
            (What::Ours(one), What::Ours(other)) => one.words() == other.words(),
            (one, other) => match (one.block(), other.block()) {
                (Some(one), Some(other)) => one.text == other.text,
                _ => false,
            },
        };
        what && self.v6 == other.v6
    }

    /// Whether it opens something, and does not shut it.
    fn opens(&self) -> bool {
        match &self.what {
            What::Ours(tuple) => tuple.verb == Verb::Allow,
            What::Without(_) => true,
            What::Shut(_) => false,
        }
    }
}

fn stored(block: &Block) -> Value {
    json!([block.loose, block.text])
}

fn restored(text: &str) -> Option<Block> {
    let (loose, text) = serde_json::from_str::<(String, String)>(text).ok()?;
    Some(Block { loose, text })
}

/// All lines of a kept text.
pub fn parse(text: &str) -> Vec<Entry> {
    text.lines().filter_map(Entry::parse).collect()
}

/// In the order of their places, what is taken out first.
pub fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| (entry.v6, entry.at, entry.what.block().is_none()));
    entries
}

/// What a file holds of us now. Only the last commit knows what was taken out; what its operator brought back since is
/// his again.
pub fn present(file: &RulesFile, v6: bool, known: &[Entry]) -> Vec<Entry> {
    let texts: Vec<&str> = file.blocks.iter().map(|block| block.text.as_str()).collect();
    let gone = |entry: &&Entry| {
        let block = entry.what.block();
        entry.v6 == v6 && block.is_some_and(|block| !texts.contains(&block.text.as_str()))
    };
    let mut entries: Vec<Entry> = known.iter().filter(gone).cloned().collect();
    let taken: Vec<usize> = entries.iter().map(|entry| entry.at).collect();
    // Places are counted as they would be if nothing had been taken out.
    let mut at = 0;
    let past = |mut at: usize| {
        while taken.contains(&at) {
            at += 1;
        }
        at
    };
    for block in &file.blocks {
        match block.tuple().filter(Tuple::ours) {
            Some(tuple) => entries.push(Entry {
                v6,
                at: past(at),
                what: What::Ours(Box::new(tuple)),
            }),
            None => at = past(at) + 1,
        }
    }
    sorted(entries)
}

/// The kept text.
pub fn text(entries: &[Entry]) -> String {
    entries
        .iter()
        .fold(String::new(), |sum, entry| sum + &entry.line() + "\n")
}

/// What may stand in the files while one set of entries gives way to another: whatever either opens, and only what both
/// shut.
pub fn lenient(one: &[Entry], other: &[Entry]) -> Vec<Entry> {
    let has = |list: &[Entry], entry: &Entry| list.iter().any(|known| known.same(entry));
    let mut all: Vec<Entry> = one.iter().filter(|entry| entry.opens()).cloned().collect();
    for entry in other {
        let wanted = if entry.opens() { true } else { has(one, entry) };
        if wanted && !has(&all, entry) {
            all.push(entry.clone());
        }
    }
    all
}

/// The file as its operator has it: without ours, and with what was taken out back in its place.
pub fn theirs(file: &RulesFile, v6: bool, kept: &[Entry]) -> RulesFile {
    let mut theirs = file.clone();
    for at in (0..theirs.blocks.len()).rev() {
        let ours = theirs
            .blocks
            .get(at)
            .and_then(Block::tuple)
            .is_some_and(|t| t.ours());
        if ours {
            theirs.take_out(at);
        }
    }
    let mut gone: Vec<(usize, &Block)> = kept
        .iter()
        .filter(|entry| entry.v6 == v6)
        .filter_map(|entry| Some((entry.at, entry.what.block()?)))
        .collect();
    gone.sort_by_key(|(at, _)| *at);
    for (at, block) in gone {
        // Its operator may have brought it back.
        if !theirs.blocks.iter().any(|known| known.text == block.text) {
            theirs.put_in(at, block.clone());
        }
    }
    theirs
}

/// Their file with these entries.
pub fn applied(theirs: &RulesFile, v6: bool, entries: &[Entry]) -> RulesFile {
    let mut file = theirs.clone();
    let mut place: Vec<Option<usize>> = (0..file.blocks.len()).map(Some).collect();
    for entry in entries.iter().filter(|entry| entry.v6 == v6) {
        if let Some(block) = entry.what.block()
            && let Some(at) = found(&file, &place, entry.at, block)
        {
            file.take_out(at);
            place.remove(at);
        }
    }
    for entry in entries.iter().filter(|entry| entry.v6 == v6) {
        if let What::Ours(tuple) = &entry.what {
            let at = place
                .iter()
                .position(|theirs| theirs.is_some_and(|theirs| theirs >= entry.at))
                .unwrap_or(place.len());
            file.put_in(at, Block::new(tuple.block(v6)));
            place.insert(at, None);
        }
    }
    file
}

/// Where a rule that is to go stands now: at its place, or wherever else its operator has moved it since.
fn found(file: &RulesFile, place: &[Option<usize>], at: usize, block: &Block) -> Option<usize> {
    let here = place.iter().position(|theirs| *theirs == Some(at));
    let same = |index: &usize| file.blocks.get(*index).is_some_and(|b| b.text == block.text);
    here.filter(same).or_else(|| (0..file.blocks.len()).find(same))
}

#[cfg(test)]
mod tests;
