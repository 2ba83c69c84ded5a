//! `/etc/ufw/user.rules` and `user6.rules`, taken apart into the blocks of single rules and put together again: what is
//! not touched keeps every byte.

use super::tuple::{MARK, Tuple};

/// The line after which ufw writes its rules.
const BEGINNING: &str = "### RULES ###";

/// One rule in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What stands before it and belongs to no rule: nothing, in a file that ufw wrote.
    pub loose: String,
    /// The empty line before it, its tuple line, and its lines for iptables.
    pub text: String,
}

impl Block {
    /// A block of its own text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            loose: String::new(),
            text: text.into(),
        }
    }

    /// The rule; `None` when ufw itself would skip the line.
    pub fn tuple(&self) -> Option<Tuple> {
        self.text.lines().find_map(Tuple::parse)
    }

    /// The rules of iptables that it consists of.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| is_rule(line))
    }
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesFile {
    head: String,
    /// Its rules, in order.
    pub blocks: Vec<Block>,
    tail: String,
    /// Whether there is a place for rules in it.
    pub takes_rules: bool,
}

fn is_rule(line: &str) -> bool {
    line.starts_with("-A ") || line.starts_with("-I ")
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

impl RulesFile {
    /// Takes the file apart. Every text can be read, and is the same again when it is written.
    pub fn parse(text: &str) -> Self {
        let mut file = Self::default();
        let mut waiting = String::new();
        let mut in_block = false;
        for line in text.split_inclusive('\n') {
            if !file.takes_rules {
                file.head.push_str(line);
                file.takes_rules = line.trim() == BEGINNING;
            } else if line.trim_start().starts_with(MARK) {
                let (loose, own) = split_blank(&waiting);
                file.blocks.push(Block {
                    loose: loose.to_owned(),
                    text: format!("{own}{line}"),
                });
                waiting.clear();
                in_block = true;
            } else if let (true, true, Some(block)) = (in_block, is_rule(line), file.blocks.last_mut()) {
                block.text.push_str(line);
            } else {
                waiting.push_str(line);
                in_block = false;
            }
        }
        file.tail = waiting;
        file
    }

    /// The file as it is written.
    pub fn text(&self) -> String {
        let mut text = self.head.clone();
        for block in &self.blocks {
            text.push_str(&block.loose);
            text.push_str(&block.text);
        }
        text.push_str(&self.tail);
        text
    }

    /// Its rules, with their places; what ufw would skip is left out.
    pub fn tuples(&self) -> Vec<(usize, Tuple)> {
        let all = self.blocks.iter().enumerate();
        all.filter_map(|(at, block)| Some((at, block.tuple()?))).collect()
    }

    /// Takes a rule out; what stood around it stays.
    pub fn take_out(&mut self, at: usize) {
        if at >= self.blocks.len() {
            return;
        }
        let gone = self.blocks.remove(at);
        match self.blocks.get_mut(at) {
            Some(next) => next.loose = format!("{}{}", gone.loose, next.loose),
            None => self.tail = format!("{}{}", gone.loose, self.tail),
        }
    }

    /// Puts a rule before the one at that place, or at the end. What stood before it when it was taken out goes before
    /// it again.
    pub fn put_in(&mut self, at: usize, mut block: Block) {
        let at = at.min(self.blocks.len());
        let after = self
            .blocks
            .get_mut(at)
            .map_or(&mut self.tail, |next| &mut next.loose);
        match after.strip_prefix(block.loose.as_str()) {
            Some(rest) => *after = rest.to_owned(),
            None => block.loose.clear(),
        }
        self.blocks.insert(at, block);
    }

    /// Every line for iptables, in order.
    pub fn lines(&self) -> Vec<&str> {
        self.blocks.iter().flat_map(Block::lines).collect()
    }
}

/// Cuts off the empty line at the end, which belongs to the rule that follows.
fn split_blank(text: &str) -> (&str, &str) {
    let start = text
        .strip_suffix('\n')
        .and_then(|rest| rest.rfind('\n'))
        .map_or(0, |at| at + 1);
    let (before, last) = text.split_at(start);
    if is_blank(last) {
        (before, last)
    } else {
        (text, "")
    }
}

#[cfg(test)]
mod tests;
