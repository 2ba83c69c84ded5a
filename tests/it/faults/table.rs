//! What was found, kept over several runs, and the table that is made of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::case::{Case, Fault, Point, Verdict};
use super::host::{Firewall, Outcome};

/// How one fault ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    point: Point,
    fault: String,
    outcome: String,
}

impl Row {
    /// Of a case that is over.
    pub fn of(case: &Case, verdict: &Verdict) -> Self {
        let outcome = match verdict {
            Ok(Outcome::Before) => "before",
            Ok(Outcome::Committed) => "committed",
            Err(error) if error.contains("no sshd greets") => "locked out",
            Err(_) => "neither",
        };
        Self {
            point: case.point.clone(),
            fault: case.fault.name().to_owned(),
            outcome: outcome.to_owned(),
        }
    }

    /// Whether it ended as it should.
    pub fn good(&self) -> bool {
        ["before", "committed"].contains(&self.outcome.as_str())
    }

    /// The step of the journal to which the call belongs, as the steps call themselves.
    fn step(&self, says: &BTreeMap<String, String>) -> String {
        let Point {
            role, stage, what, ..
        } = &self.point;
        let stage = stage.trim_end_matches(" done");
        match (role.as_str(), stage) {
            ("rollback", "start" | "rolling-back") => format!("undo by hand: {what}"),
            ("guard", "start" | "rolling-back") => format!("undo by the guard: {what}"),
            ("recover", "start" | "rolling-back") => format!("check at boot: {what}"),
            ("apply", "start") => String::from("apply: detection, dry runs, snapshot"),
            ("confirm", "start") => String::from("confirm: who is it"),
            (_, "begin") => String::from("apply: arm the guard"),
            (_, "armed") => format!("{role}: the guard is armed"),
            ("apply", "waiting 1") => String::from("trial 1 waits"),
            ("confirm", "waiting 2") => String::from("trial 2 waits"),
            ("confirm", "confirmed 1") => String::from("trial 1 is confirmed"),
            ("confirm", "confirmed 2") => String::from("trial 2 is confirmed"),
            (_, "committed") => String::from("committed"),
            (_, "rolled-back") => format!("{role}: undone"),
            _ => match says.get(stage) {
                Some(say) => format!("{stage}: {say}"),
                None => format!("{role}, {stage}"),
            },
        }
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

    /// Whether that case is known to end well.
    pub fn knows(&self, case: &Case) -> bool {
        self.rows().iter().any(|row| row.good() && row.is_of(case))
    }

    /// One more; several attacks may write at once.
    pub fn note(&self, case: &Case, verdict: &Verdict) {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("tsv"));
        let line = format!("{}\n", Row::of(case, verdict));
        file.expect("the book")
            .write_all(line.as_bytes())
            .expect("a line of the book");
    }

    /// What the steps say of themselves.
    pub fn keep_steps(&self, steps: &[(String, String)]) {
        let text: String = steps
            .iter()
            .map(|(name, say)| format!("{name}\t{say}\n"))
            .collect();
        fs::write(self.path("steps"), text).expect("the steps");
    }

    fn steps(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.path("steps")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, say)| (name.to_owned(), say.to_owned()))
            .collect()
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
        write!(f, "{role}\t{stage}\t{what}\t{number}\t{fault}\t{outcome}")
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

fn line(text: &mut String, name: &str, rows: &[&Row]) {
    let cells = Fault::ALL.map(|fault| cell(rows.iter().filter(|row| row.fault == fault.name()).copied()));
    let name = name.replace('|', "\\|");
    let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
}

const ALL: [Firewall; 5] = [
    Firewall::Nftables,
    Firewall::IptablesNft,
    Firewall::IptablesLegacy,
    Firewall::Ufw,
    Firewall::Firewalld,
];

/// The whole table: the backends in sum, then each step by step.
pub fn table() -> String {
    let mut text = String::from(include_str!("head.md"));
    let of = |outcome: &str, rows: &[Row]| rows.iter().filter(|row| row.outcome == outcome).count();
    text.push_str(
        "| backend | faults | as before | as committed | neither | locked out |\n|---|---|---|---|---|---|\n",
    );
    let mut all = Vec::new();
    for firewall in ALL {
        let rows = Book::open(firewall).rows();
        sum_line(&mut text, firewall.name(), &rows, of);
        all.extend(rows);
    }
    sum_line(&mut text, "all", &all, of);
    for firewall in ALL {
        let book = Book::open(firewall);
        let (rows, says) = (book.rows(), book.steps());
        let _ = write!(text, "\n## {}\n\n| step | {}", firewall.name(), heads());
        let mut names: Vec<(usize, String)> = Vec::new();
        for row in &rows {
            let name = row.step(&says);
            if !names.iter().any(|(_, known)| *known == name) {
                names.push((rank(&row.point), name));
            }
        }
        names.sort();
        for (_, name) in names {
            let of_step: Vec<&Row> = rows.iter().filter(|row| row.step(&says) == name).collect();
            line(&mut text, &name, &of_step);
        }
        line(&mut text, "all", &rows.iter().collect::<Vec<_>>());
    }
    text
}

fn sum_line(text: &mut String, name: &str, rows: &[Row], of: impl Fn(&str, &[Row]) -> usize) {
    let _ = writeln!(
        text,
        "| {name} | {} | {} | {} | {} | {} |",
        rows.len(),
        of("before", rows),
        of("committed", rows),
        of("neither", rows),
        of("locked out", rows),
    );
}

/// Where a step stands in the course of a move.
fn rank(point: &Point) -> usize {
    let number = |text: &str| {
        let mut words = text.split(' ').skip(1);
        words
            .next()
            .and_then(|word| word.parse::<usize>().ok())
            .unwrap_or(0)
    };
    let stage = point.stage.as_str();
    match (point.role.as_str(), stage) {
        ("rollback", _) => 5_000,
        ("guard", _) => 6_000,
        ("recover", _) => 7_000,
        ("apply", "start") => 0,
        ("apply", "begin") => 1,
        ("apply", "armed") => 2,
        ("confirm", "start") => 1_500,
        ("confirm", "armed") => 1_501,
        ("confirm", "confirmed 1") => 1_502,
        ("confirm", "confirmed 2") => 2_500,
        (_, "waiting 1") => 1_400,
        (_, "waiting 2") => 2_400,
        (_, "committed") => 4_900,
        _ if stage.starts_with("trial1") => 1_000 + number(stage),
        _ if stage.starts_with("trial2") => 2_000 + number(stage),
        _ => 3_000 + number(stage),
    }
}
