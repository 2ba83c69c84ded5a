//! What was found, kept over several runs, and the table that is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::case::End;
use super::host::{Firewall, Outcome};
use super::point::{Case, Fault, Point};

/// How one fault ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    point: Point,
    fault: String,
    outcome: String,
    silence_ms: u128,
    took_ms: u128,
}

impl Row {
    /// Of a case that is over.
    fn of(case: &Case, end: &End) -> Self {
        let outcome = match &end.verdict {
            Ok(Outcome::Before) => "before",
            Ok(Outcome::Committed) => "committed",
            Err(error) if error.contains("no sshd greets") => "locked out",
            Err(_) => "neither",
        };
        Self {
            point: case.point.clone(),
            fault: case.fault.name().to_owned(),
            outcome: outcome.to_owned(),
            silence_ms: end.silence.as_millis(),
            took_ms: end.took.as_millis(),
        }
    }

    /// Whether it ended as it should.
    pub fn good(&self) -> bool {
        ["before", "committed"].contains(&self.outcome.as_str())
    }

    /// Whether it is that case.
    pub fn is_of(&self, case: &Case) -> bool {
        self.point == case.point && self.fault == case.fault.name()
    }

    fn read(line: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split('\t').collect();
        Some(Self {
            point: Point::read(line)?,
            fault: (*parts.get(4)?).to_owned(),
            outcome: (*parts.get(5)?).to_owned(),
            silence_ms: parts.get(6)?.parse().ok()?,
            took_ms: parts.get(7)?.parse().ok()?,
        })
    }
}

/// The rows of a backend, in a file.
pub struct Book {
    name: &'static str,
}

fn dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults");
    fs::create_dir_all(&dir).expect("target/faults");
    dir
}

impl Book {
    /// Of that backend.
    pub fn open(firewall: Firewall) -> Self {
        Self {
            name: firewall.name(),
        }
    }

    fn path(&self, what: &str) -> PathBuf {
        dir().join(format!("{}.{what}", self.name))
    }

    /// What was found until now, the last of each case.
    pub fn rows(&self) -> Vec<Row> {
        let text = fs::read_to_string(self.path("tsv")).unwrap_or_default();
        let mut rows: Vec<Row> = Vec::new();
        for row in text.lines().filter_map(Row::read) {
            rows.retain(|old| old.point != row.point || old.fault != row.fault);
            rows.push(row);
        }
        rows
    }

    /// One more; several attacks may write at once.
    pub fn note(&self, case: &Case, end: &End) {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("tsv"));
        let line = format!("{}\n", Row::of(case, end));
        file.expect("the book")
            .write_all(line.as_bytes())
            .expect("a line of the book");
    }

    /// What the steps say of themselves, and all that can be met.
    pub fn keep(&self, steps: &[(String, String)], cases: &[Case]) {
        let text: String = steps
            .iter()
            .map(|(name, say)| format!("{name}\t{say}\n"))
            .collect();
        fs::write(self.path("steps"), text).expect("the steps");
        let line = |case: &Case| format!("{}\t{}\n", case.point.step(), case.fault.name());
        fs::write(self.path("cases"), cases.iter().map(line).collect::<String>()).expect("the cases");
    }

    fn pairs(&self, what: &str) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.path(what)).unwrap_or_default();
        let pair = |line: &str| {
            line.split_once('\t')
                .map(|(one, two)| (one.to_owned(), two.to_owned()))
        };
        text.lines().filter_map(pair).collect()
    }

    fn steps(&self) -> BTreeMap<String, String> {
        self.pairs("steps").into_iter().collect()
    }

    /// Step and fault of each case that there is.
    fn cases(&self) -> Vec<(String, String)> {
        self.pairs("cases")
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Point {
            role,
            stage,
            what,
            number,
        } = &self.point;
        let (fault, outcome) = (&self.fault, &self.outcome);
        let (silence, took) = (self.silence_ms, self.took_ms);
        write!(
            f,
            "{role}\t{stage}\t{what}\t{number}\t{fault}\t{outcome}\t{silence}\t{took}"
        )
    }
}

/// How many of these rows ended in which way: `3b 1c`.
fn cell<'r>(rows: impl Iterator<Item = &'r Row>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        let letter = match row.outcome.as_str() {
            "before" => "b",
            "committed" => "c",
            other => other,
        };
        *counts.entry(letter).or_default() += 1;
    }
    let words: Vec<String> = counts
        .iter()
        .map(|(letter, count)| format!("{count}{letter}"))
        .collect();
    words.join(" ")
}

fn heads() -> String {
    let names = Fault::ALL.map(|fault| fault.name());
    format!("{} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

/// `-` stands where no call of the step can meet that fault.
fn line(text: &mut String, name: &str, rows: &[&Row], fits: impl Fn(Fault) -> bool) {
    let cells = Fault::ALL.map(|fault| {
        let met = cell(rows.iter().filter(|row| row.fault == fault.name()).copied());
        match met.is_empty() && !fits(fault) {
            true => String::from("-"),
            false => met,
        }
    });
    let name = name.replace('|', "\\|");
    let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
}

/// Every host that is attacked.
pub const ALL: [Firewall; 7] = [
    Firewall::Nftables,
    Firewall::IptablesNft,
    Firewall::IptablesLegacy,
    Firewall::Ufw,
    Firewall::Firewalld,
    Firewall::Socket,
    Firewall::Close22,
];

/// The whole table: the hosts in sum, then each step by step.
pub fn table() -> String {
    let mut text = String::from(include_str!("head.md"));
    text.push_str(
        "| host | faults | as before | as committed | neither | locked out | longest silence | seconds a case |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut all = Vec::new();
    for firewall in ALL {
        let rows = Book::open(firewall).rows();
        sum_line(&mut text, firewall.name(), &rows);
        all.extend(rows);
    }
    sum_line(&mut text, "all", &all);
    text.push_str("\n| host | steps met | steps and faults met | cases met |\n|---|---|---|---|\n");
    for firewall in ALL {
        let book = Book::open(firewall);
        coverage_line(&mut text, firewall.name(), &book.rows(), &book.cases());
    }
    for firewall in ALL {
        steps_of(&mut text, firewall);
    }
    text
}

fn steps_of(text: &mut String, firewall: Firewall) {
    let book = Book::open(firewall);
    let (rows, says, cases) = (book.rows(), book.steps(), book.cases());
    let _ = write!(text, "\n## {}\n\n| step | {}", firewall.name(), heads());
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in &cases {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| rank(name));
    for name in names {
        let of_step: Vec<&Row> = rows.iter().filter(|row| row.point.step() == *name).collect();
        let said = says
            .get(name)
            .map_or(name.clone(), |say| format!("{name}: {say}"));
        line(text, &said, &of_step, |fault| {
            cases.iter().any(|(step, of)| step == name && of == fault.name())
        });
    }
    line(text, "all", &rows.iter().collect::<Vec<_>>(), |_| true);
}

fn sum_line(text: &mut String, name: &str, rows: &[Row]) {
    let of = |outcome: &str| rows.iter().filter(|row| row.outcome == outcome).count();
    let took: u128 = rows.iter().map(|row| row.took_ms).sum();
    let each = took / u128::try_from(rows.len().max(1)).unwrap_or(1);
    let silence = rows.iter().map(|row| row.silence_ms).max().unwrap_or_default();
    let _ = writeln!(
        text,
        "| {name} | {} | {} | {} | {} | {} | {}.{:02} s | {}.{} |",
        rows.len(),
        of("before"),
        of("committed"),
        of("neither"),
        of("locked out"),
        silence / 1000,
        silence % 1000 / 10,
        each / 1000,
        each % 1000 / 100,
    );
}

fn coverage_line(text: &mut String, name: &str, rows: &[Row], cases: &[(String, String)]) {
    let all: BTreeSet<(&str, &str)> = cases
        .iter()
        .map(|(step, fault)| (step.as_str(), fault.as_str()))
        .collect();
    let met: Vec<(String, &str)> = rows
        .iter()
        .map(|row| (row.point.step(), row.fault.as_str()))
        .collect();
    let met: BTreeSet<(&str, &str)> = met.iter().map(|(step, fault)| (step.as_str(), *fault)).collect();
    let met: BTreeSet<(&str, &str)> = met.intersection(&all).copied().collect();
    let steps = |of: &BTreeSet<(&str, &str)>| {
        of.iter()
            .map(|(step, _)| step.to_string())
            .collect::<BTreeSet<_>>()
            .len()
    };
    let _ = writeln!(
        text,
        "| {name} | {} of {} | {} of {} | {} of {} |",
        steps(&met),
        steps(&all),
        met.len(),
        all.len(),
        rows.len(),
        cases.len(),
    );
}

/// Where a step stands in the course of a move.
fn rank(name: &str) -> (usize, usize, String) {
    let back = name.strip_prefix("way back, ");
    let step = back.unwrap_or(name);
    let number = step
        .split_once(' ')
        .and_then(|(_, rest)| rest.parse::<usize>().ok())
        .unwrap_or_default();
    const ORDER: [&str; 18] = [
        ": detection",
        ": arm the guard",
        "apply: the guard is armed",
        "close-22: the guard is armed",
        "rollback: the guard is armed",
        "trial1 ",
        "trial 1 waits",
        "confirm: who",
        "confirm: the guard is armed",
        "trial 1 is confirmed",
        "trial2 ",
        "trial 2 waits",
        "trial 2 is confirmed",
        "commit ",
        "committed",
        "undo by hand",
        "undo by the guard",
        "check at boot",
    ];
    let place = ORDER
        .iter()
        .position(|part| step.contains(part))
        .unwrap_or(ORDER.len());
    let late = if back.is_some() { 100 } else { 0 };
    (place + late, number, step.to_owned())
}
