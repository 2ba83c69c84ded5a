//! What we keep, as text: one command for each rule. The same lines stand in the files that are loaded at boot.

use super::bans::{below, yields};
use super::rules::SHUT;
use super::save::{without_counters, words};
use super::sweep::{CHAIN, tagged};
use crate::step::{NativeRule, Tool, plain_name};

const MARK: &str = "faspwall";
/// Above a file, or a table in a file, that was not there before.
const MADE: &str = "# Made by faspwall.";

/// `iptables-nft -t filter -A INPUT ... -j ACCEPT`
pub fn command(tool: Tool, table: &str, line: &str) -> String {
    format!("{} -t {table} {line}", plain_name(tool))
}

/// The program, table and line of each command.
pub fn commands(text: &str) -> Vec<NativeRule> {
    let tools = [
        Tool::IptablesRestore,
        Tool::Ip6tablesRestore,
        Tool::IptablesNftRestore,
        Tool::Ip6tablesNftRestore,
        Tool::IptablesLegacyRestore,
        Tool::Ip6tablesLegacyRestore,
    ];
    let one = |line: &str| {
        let (name, rest) = line.split_once(" -t ")?;
        let (table, rule) = rest.split_once(' ')?;
        let tool = tools.into_iter().find(|tool| plain_name(*tool) == name)?;
        Some(NativeRule {
            tool,
            table: table.to_owned(),
            rule: rule.trim_end().to_owned(),
        })
    };
    text.lines().filter_map(one).collect()
}

/// The chain of a line.
fn chain_of(line: &str) -> &str {
    line.split(' ').nth(1).unwrap_or_default()
}

/// Text in the one order that does not depend on the order of tables and chains in a file.
pub fn text(mut rules: Vec<NativeRule>) -> String {
    rules.sort_by(|a, b| (a.tool, &a.table, chain_of(&a.rule)).cmp(&(b.tool, &b.table, chain_of(&b.rule))));
    rules.iter().fold(String::new(), |sum, rule| {
        sum + &command(rule.tool, &rule.table, &rule.rule) + "\n"
    })
}

/// The same rules without those that shut anything. A carriage return at the end of a line stays.
pub fn accepts(text: &str) -> String {
    text.split_terminator('\n')
        .filter(|line| !shuts(line))
        .fold(String::new(), |sum, line| sum + line + "\n")
}

/// Whether anything among them shuts a port.
pub fn has_deny(text: &str) -> bool {
    text.split_terminator('\n').any(shuts)
}

fn shuts(line: &str) -> bool {
    let words = words(line);
    let mut pairs = words.iter().zip(words.iter().skip(1));
    pairs.any(|(option, value)| option == "--comment" && value.ends_with(&format!(":{SHUT}")))
}

/// The same rules for the kernel: at the top of their chains, the first one last. In a chain of our own they follow
/// each other.
pub fn live(text: &str) -> Vec<NativeRule> {
    let own = format!("-A {CHAIN} ");
    let (in_own, others): (Vec<NativeRule>, Vec<NativeRule>) = commands(text)
        .into_iter()
        .partition(|rule| rule.rule.starts_with(&own));
    let at_top = others.into_iter().rev().map(|rule| NativeRule {
        rule: rule.rule.replacen("-A ", "-I ", 1),
        ..rule
    });
    in_own.into_iter().chain(at_top).collect()
}

/// The same rules at the places where they stand now, as `-I CHAIN NUMBER`: somebody may have put others above them since.
/// The number counts the rules of others alone. `save` is what the save program beside a restore program prints.
pub fn live_in_place<'s>(text: &str, save: impl Fn(Tool) -> Option<&'s str>) -> Vec<NativeRule> {
    let mut rules = live(text);
    for rule in &mut rules {
        let place = rule.rule.strip_prefix("-I ").and_then(|rest| {
            let (chain, matches) = rest.split_once(' ')?;
            let number = others_above(save(rule.tool)?, &rule.table, &format!("-A {rest}"))? + 1;
            Some(format!("-I {chain} {number} {matches}"))
        });
        if let Some(line) = place {
            rule.rule = line;
        }
    }
    rules
}

/// How many rules of others stand above a line in its chain; `None` when it is not there.
fn others_above(save: &str, table: &str, line: &str) -> Option<usize> {
    let start = format!("-A {} ", chain_of(line));
    let mut here = false;
    let mut above = 0;
    for found in save.lines().map(|line| without_counters(line.trim())) {
        if let Some(name) = found.strip_prefix('*') {
            here = name.trim() == table;
        } else if here && found == line {
            return Some(above);
        } else if here && found.starts_with(&start) && !tagged(found, MARK) {
            above += 1;
        }
    }
    None
}

/// Our rules in a file that is loaded at boot: table and line.
pub fn in_file(content: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in content.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            name.trim().clone_into(&mut table);
        } else if ours(line) && without_counters(line).starts_with("-A ") {
            found.push((table.clone(), without_counters(line).to_owned()));
        }
    }
    found
}

/// A line of a file that is ours: a marked rule, or the declaration of our chain.
fn ours(line: &str) -> bool {
    let declared = line.strip_prefix(':').and_then(|rest| rest.split(' ').next());
    declared == Some(CHAIN) || tagged(without_counters(line), MARK)
}

/// The chains that a table has by itself.
fn built_in(table: &str) -> &'static [&'static str] {
    match table {
        "raw" => &["PREROUTING", "OUTPUT"],
        "nat" => &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
        "mangle" => &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
        _ => &["INPUT", "FORWARD", "OUTPUT"],
    }
}

/// A file with these rules of ours (table and line) and no others, each above everything in its chain; every other
/// byte stays. `None`: there is no such file, or need not be.
pub fn patched(content: Option<&str>, rules: &[(String, String)]) -> Option<String> {
    let mut text = content.map(without_ours).unwrap_or_default();
    let mut tables: Vec<&str> = Vec::new();
    for (table, _) in rules {
        if !tables.contains(&table.as_str()) {
            tables.push(table);
        }
    }
    for table in tables {
        let mut lines = String::new();
        if rules
            .iter()
            .any(|(of, line)| of == table && line.starts_with(&format!("-A {CHAIN} ")))
        {
            lines.push_str(&format!(":{CHAIN} - [0:0]\n"));
        }
        for (_, line) in rules.iter().filter(|(of, _)| of == table) {
            let place = yields(line, "-A ").and_then(|(chain, _)| after_bans(&text, table, chain));
            match place {
                Some(at) => {
                    let end = text.get(..at).map_or("", line_end);
                    text.insert_str(at, &format!("{end}{line}\n"));
                }
                None => lines.extend([line.as_str(), "\n"]),
            }
        }
        text = with_lines(&text, table, &lines);
    }
    (content.is_some_and(|content| !content.starts_with(MADE)) || !text.is_empty()).then_some(text)
}

/// Where the bans at the top of a chain end, with what we have put below them; `None` without bans.
fn after_bans(content: &str, table: &str, chain: &str) -> Option<usize> {
    let (mut here, mut at) = (false, 0);
    let (mut rules, mut ends) = (Vec::new(), Vec::new());
    for line in content.split_inclusive('\n') {
        at += line.len();
        let word = line.trim();
        if let Some(name) = word.strip_prefix('*') {
            here = name.trim() == table;
        } else if here && without_counters(word).starts_with("-A ") {
            let rule = without_counters(word);
            rules.push(rule);
            if chain_of(rule) == chain {
                ends.push((at, ours(word)));
            }
        }
    }
    let bans = below(&rules, chain).checked_sub(1)?;
    let (end, _) = ends.get(bans)?;
    let added = ends.iter().skip(bans + 1).take_while(|(_, ours)| *ours).last();
    Some(added.map_or(*end, |(end, _)| *end))
}

/// Puts lines below the declarations of a table, which is added when the file does not have it.
fn with_lines(content: &str, table: &str, lines: &str) -> String {
    let mut place = None;
    let mut here = false;
    let mut at = 0;
    for line in content.split_inclusive('\n') {
        let next = at + line.len();
        let word = line.trim();
        if let Some(name) = word.strip_prefix('*') {
            here = name.trim() == table;
            if here {
                place = Some(next);
            }
        } else if here && word.starts_with(':') {
            place = Some(next);
        } else if word == "COMMIT" {
            here = false;
        }
        at = next;
    }
    if let Some(place) = place {
        let (head, tail) = content.split_at(place);
        return format!("{head}{}{lines}{tail}", line_end(head));
    }
    let end = line_end(content);
    let chains: String = built_in(table)
        .iter()
        .map(|chain| format!(":{chain} ACCEPT [0:0]\n"))
        .collect();
    format!("{content}{end}{MADE}\n*{table}\n{chains}{lines}COMMIT\n")
}

/// What ends the last line of a text, where nothing does.
fn line_end(text: &str) -> &'static str {
    if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    }
}

/// The file without our rules, and without the tables that were made for nothing else.
pub fn without_ours(content: &str) -> String {
    // From its end on, as a table that goes may have stood in one that goes then as well. Of each table that is not at its
    // beginning yet: how much stands below it, and whether it has a rule.
    let (mut kept, mut open): (Vec<&str>, Vec<(usize, bool)>) = Default::default();
    for line in content.split_inclusive('\n').rev() {
        let word = line.trim();
        if word == MADE {
            match open.last().copied() {
                Some((_, true)) => kept.push(line),
                Some((below, false)) => {
                    kept.truncate(below);
                    open.pop();
                }
                None => {}
            }
        } else if !ours(word) {
            match open.last_mut() {
                _ if word == "COMMIT" => open.push((kept.len(), false)),
                Some((_, rules)) => *rules |= word.starts_with('-'),
                None => {}
            }
            kept.push(line);
        }
    }
    kept.into_iter().rev().collect()
}

#[cfg(test)]
mod tests;
