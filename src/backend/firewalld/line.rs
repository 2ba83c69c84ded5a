//! What faspwall keeps in firewalld: one command a line, as it could be typed, and the same as an element of a zone's
//! file. Rules of firewalld bear no mark, so these lines are how ours are known again.

use std::fmt;
use std::ops::Range;

use super::rich::{Action, Rich, range};
use super::xml;
use super::zone::{self, Zone};
use crate::port::{PortRange, Protocol};
use crate::step::{Invocation, Tool, quoted};

/// The lowest priority number that firewalld knows: before every other rule of a zone.
pub const FIRST: i32 = -32_768;
/// Rules with a priority up to this one are our refusals, and those spared from them.
const REFUSALS: i32 = FIRST + 1;

/// What is added to a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A port that everyone may use.
    Port(PortRange, Protocol),
    /// A rich rule.
    Rich(Rich),
}

/// An addition to a zone, now or for the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// For the next start; otherwise now.
    pub permanent: bool,
    /// The zone.
    pub zone: String,
    /// What is added.
    pub entry: Entry,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, value) = self.entry.option(true);
        write!(
            f,
            "firewall-cmd {}--zone={} --{word}={}",
            if self.permanent { "--permanent " } else { "" },
            self.zone,
            quoted(&value)
        )
    }
}

impl Entry {
    /// Whether it refuses packets, or spares somebody from that.
    pub fn refuses(&self) -> bool {
        matches!(self, Self::Rich(rule) if rule.priority <= REFUSALS)
    }

    /// The option that adds it or takes it away, and its value.
    fn option(&self, add: bool) -> (&'static str, String) {
        match (self, add) {
            (Self::Port(ports, protocol), true) => ("add-port", format!("{ports}/{protocol}")),
            (Self::Port(ports, protocol), false) => ("remove-port", format!("{ports}/{protocol}")),
            (Self::Rich(rule), true) => ("add-rich-rule", rule.text()),
            (Self::Rich(rule), false) => ("remove-rich-rule", rule.text()),
        }
    }

    /// The lines of a zone's file that say it, as firewalld itself writes them.
    pub fn element(&self) -> String {
        match self {
            Self::Port(ports, protocol) => {
                format!("  <port port=\"{ports}\" protocol=\"{protocol}\"/>\n")
            }
            Self::Rich(rule) => rule.element(),
        }
    }

    /// Whether a zone has it.
    pub fn is_in(&self, zone: &Zone) -> bool {
        match self {
            Self::Port(ports, protocol) => {
                let name = protocol.to_string();
                // Firewalld joins ranges that overlap.
                zone.ports.iter().any(|(range, of)| {
                    *of == name && range.contains(ports.first()) && range.contains(ports.last())
                })
            }
            Self::Rich(rule) => zone.rich.contains(rule),
        }
    }

    /// Takes it out of a zone as it was read.
    pub fn take_out(&self, zone: &mut Zone) {
        match self {
            Self::Port(ports, protocol) => {
                let name = protocol.to_string();
                zone.ports.retain(|(range, of)| range != ports || *of != name);
            }
            Self::Rich(rule) => zone.rich.retain(|one| one != rule),
        }
    }
}

/// Reads lines back; what is not in our very words is none of ours and left out.
pub fn parse(text: &str) -> Vec<Line> {
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    let rest = text.trim().strip_prefix("firewall-cmd ")?;
    let after = rest.strip_prefix("--permanent ");
    let rest = after.unwrap_or(rest);
    let (zone, option) = rest.strip_prefix("--zone=")?.split_once(' ')?;
    let entry = if let Some(value) = option.strip_prefix("--add-port=") {
        let (ports, protocol) = value.split_once('/')?;
        let protocol = [Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .find(|one| one.to_string() == protocol)?;
        Entry::Port(range(ports)?, protocol)
    } else {
        let value = option.strip_prefix("--add-rich-rule=")?;
        let mut rule = Rich::parse(value.trim_matches('\''));
        rule.written.clear();
        Entry::Rich(rule)
    };
    let line = Line {
        permanent: after.is_some(),
        zone: zone.to_owned(),
        entry,
    };
    (line.to_string() == text.trim()).then_some(line)
}

/// The lines as they are kept in a journal and shown.
pub fn text(lines: &[Line]) -> String {
    lines
        .iter()
        .fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

/// One call for each zone and kind: firewalld takes many ports in one, but not ports and rich rules together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The zone.
    pub zone: String,
    /// `TCP/33001`, `TCP/22 refused`
    pub what: Vec<String>,
    /// The call.
    pub there: Invocation,
    /// The call that takes it back.
    pub back: Invocation,
}

/// The calls that add lines, or take them away. All of them must be for the same time.
pub fn calls(lines: &[Line], add: bool) -> Vec<Call> {
    let mut zones: Vec<&str> = lines.iter().map(|line| line.zone.as_str()).collect();
    zones.dedup();
    let mut calls = Vec::new();
    for zone in zones {
        for rich in [false, true] {
            let wanted = |line: &&Line| line.zone == zone && matches!(line.entry, Entry::Rich(_)) == rich;
            let group: Vec<&Line> = lines.iter().filter(wanted).collect();
            if !group.is_empty() {
                calls.push(Call {
                    zone: zone.to_owned(),
                    what: group.iter().map(|line| said(&line.entry)).collect(),
                    there: invocation(&group, add),
                    back: invocation(&group, !add),
                });
            }
        }
    }
    calls
}

fn invocation(group: &[&Line], add: bool) -> Invocation {
    let mut args = Vec::new();
    if group.iter().any(|line| line.permanent) {
        args.push(String::from("--permanent"));
    }
    args.extend(group.first().map(|line| format!("--zone={}", line.zone)));
    for line in group {
        let (word, value) = line.entry.option(add);
        args.push(format!("--{word}={value}"));
    }
    Invocation::new(Tool::FirewallCmd, args).within(std::time::Duration::from_secs(30))
}

fn said(entry: &Entry) -> String {
    match entry {
        Entry::Port(ports, protocol) => format!("{}/{ports}", protocol.to_string().to_uppercase()),
        Entry::Rich(rule) => {
            let verb = match rule.action {
                Action::Refuse => " refused",
                Action::Accept | Action::None => "",
            };
            let ends = rule.source.iter().chain(&rule.destination);
            let nets: Vec<String> = ends
                .filter_map(|end| end.net.map(|net| (end.inverted, net)))
                .map(|(not, net)| {
                    if not {
                        format!("all but {net}")
                    } else {
                        net.to_string()
                    }
                })
                .collect();
            let what = match &rule.what {
                super::rich::What::Port(ports, protocol) => format!("{}/{ports}", protocol.to_uppercase()),
                _ => String::from("all"),
            };
            let whom = if nets.is_empty() {
                String::new()
            } else {
                format!(" for {}", nets.join(" to "))
            };
            format!("{what}{whom}{verb}")
        }
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The text of a zone's file with entries taken out and added; `None` when the text has not got what is to be taken
/// out in these words, or is no zone.
pub fn patched(text: &str, out: &[&Entry], add: &[&Entry]) -> Option<String> {
    let mut patched = text.to_owned();
    for entry in out {
        let lines = entry.element();
        let comments = xml::comments(&patched);
        // Ours stand at the end of the zone, and not within a rule: there they would stand further in.
        let end = end_of_zone(&patched, &comments)?;
        let at = patched
            .get(..end)?
            .rmatch_indices(&lines)
            .map(|(at, _)| at)
            .filter(|at| !comments.iter().any(|comment| comment.contains(at)))
            .find(|at| !patched.get(..*at).is_some_and(|head| head.ends_with(BLANKS)))?;
        patched.replace_range(at..at + lines.len(), "");
    }
    let added: String = add.iter().map(|entry| entry.element()).collect();
    if added.is_empty() {
        return Some(patched);
    }
    let comments = xml::comments(&patched);
    if end_of_zone(&patched, &comments).is_none() {
        // `<zone/>`: nothing is in it yet.
        let outside = |at: &usize| !comments.iter().any(|comment| comment.contains(at));
        let start = patched.rmatch_indices('<').map(|(at, _)| at).find(outside)?;
        let at = patched.rmatch_indices("/>").map(|(at, _)| at).find(outside)?;
        let only = at > start && patched.get(start..)?.starts_with("<zone");
        only.then(|| patched.replace_range(at..at + 2, ">\n</zone>"))?;
    }
    let before = patched.clone();
    let end = end_of_zone(&patched, &xml::comments(&patched))?;
    // Blanks before the end of the zone stay before it.
    let at = patched.get(..end)?.trim_end_matches(BLANKS).len();
    patched.insert_str(at, &added);
    // A file that its operator has written strangely is left to firewalld.
    let zone = zone::of_file("", &patched);
    let there = add.iter().all(|entry| entry.is_in(&zone));
    let back = self::patched(&patched, add, &[]);
    (there && back.is_some_and(|back| back == before)).then_some(patched)
}

/// Where the zone is closed; what stands behind that is not in it.
fn end_of_zone(text: &str, comments: &[Range<usize>]) -> Option<usize> {
    let mut closed = text.rmatch_indices("</zone>").map(|(at, _)| at);
    closed.find(|at| !comments.iter().any(|comment| comment.contains(at)))
}
