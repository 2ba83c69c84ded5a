//! What makes inbound rules at boot by commands of its own: a script full of `iptables -A INPUT`, `ferm`, `firehol start`.
//!
//! No file is loaded there that ours could be added to, and what it empties is gone. Lines that only let packets in, and
//! those for other tables and for packets that are passed on, take nothing away from us.

use std::path::{Path, PathBuf};

use super::commands::{Command, Form, commands};
use super::scripts::{Loads, Source, is_for_nft, loads};
use crate::facts::{Contradiction, Unmanaged};
use crate::system::System;

/// Programs that make a whole firewall out of a configuration of their own, with the words that start them; none: any.
const BUILDERS: [(&str, &[&str]); 8] = [
    ("ferm", &[]),
    ("firehol", &["start", "restart", "try"]),
    ("arno-iptables-firewall", &["start", "restart", "force-reload"]),
    ("apf", &["-s", "--start", "-r", "--restart"]),
    ("psa-firewall", &[]),
    ("vuurmuur", &[]),
    ("uif", &[]),
    ("shorewall", &["start", "restart", "try"]),
];
/// Scripts of System V whose firewalls are found by their units and files.
const KNOWN: [&str; 9] = [
    "nftables",
    "iptables",
    "ip6tables",
    "netfilter-persistent",
    "iptables-persistent",
    "ufw",
    "firewalld",
    "shorewall",
    "csf",
];
/// Scripts may lie anywhere; elsewhere only a name that speaks of a firewall is worth reading a file that may be long.
const SCRIPTS_LIE_IN: [&str; 3] = ["/etc", "/root", "/home"];
const TELLING_NAMES: [&str; 7] = [".sh", "firewall", "iptables", "ip6tables", "nft", "rules", "ferm"];
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "ksh", "zsh", ".", "source"];
/// Programs that only speak of others.
const TALKS: [&str; 7] = ["echo", "printf", "logger", "grep", "egrep", "sed", "awk"];
/// Words before a command.
const BEFORE: [&str; 12] = [
    "if", "then", "else", "do", "!", "{", "exec", "nohup", "sudo", "root", "env", "time",
];
/// How many scripts are looked into that others call.
const FOLLOWED: usize = 32;

/// The language in which such rules are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Iptables,
    Ip6tables,
    Nft,
    Other,
}

/// A command that makes inbound rules.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    line: usize,
    text: String,
    language: Language,
}

/// Something that makes inbound rules at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The file with the command.
    pub file: PathBuf,
    /// What runs it at boot, and how it is written.
    by: (PathBuf, Form),
    made: Made,
}

/// All of them that run at boot, one for each source.
pub fn writers(system: &dyn System, sources: &[Source]) -> Vec<Writer> {
    let mut found = Vec::new();
    let mut left = FOLLOWED;
    for source in sources.iter().filter(|source| source.enabled) {
        let by = (source.path.clone(), source.form);
        let of = |file: &Path, made: Made| Writer {
            file: file.to_owned(),
            by: by.clone(),
            made,
        };
        let name = service_name(&source.path);
        if KNOWN.contains(&name) || is_for_nft(&source.text) {
            continue;
        }
        if let Some(made) = by_name(system, name).or_else(|| made_by(source.form, &source.text)) {
            found.push(of(&source.path, made));
            continue;
        }
        for script in called(&commands(source.form, &source.text)) {
            if left == 0 {
                break;
            }
            left -= 1;
            let text = system.read_text(&script).unwrap_or_default();
            if let (false, Some(made)) = (is_for_nft(&text), made_by(Form::Script, &text)) {
                found.push(of(&script, made));
                break;
            }
        }
    }
    found
}

/// `ferm` of `/etc/systemd/system/multi-user.target.wants/ferm.service` and of `/etc/rc2.d/S01ferm`.
fn service_name(path: &Path) -> &str {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let in_rc = path
        .parent()
        .and_then(|dir| dir.to_str())
        .is_some_and(|dir| dir.contains("/rc"));
    match name.strip_suffix(".service") {
        Some(name) => name,
        None if in_rc => name.trim_start_matches(|c: char| c == 'S' || c.is_ascii_digit()),
        None => "",
    }
}

/// A service that is known by its name, unless its own switch is off.
fn by_name(system: &dyn System, name: &str) -> Option<Made> {
    let (name, _) = BUILDERS.iter().find(|(builder, _)| *builder == name)?;
    let switch = system.read_text(&Path::new("/etc/default").join(name));
    let off = switch.unwrap_or_default().lines().any(|line| {
        let (key, value) = line.trim().split_once('=').unwrap_or_default();
        let value = value.trim_matches(['"', '\'']);
        ["ENABLED", "START_FIREHOL"].contains(&key) && value.eq_ignore_ascii_case("no")
    });
    (!off).then(|| Made {
        line: 0,
        text: (*name).to_owned(),
        language: Language::Other,
    })
}

/// The first command of a text that makes inbound rules which no later command replaces from a file.
fn made_by(form: Form, text: &str) -> Option<Made> {
    let mut found: Vec<Made> = Vec::new();
    let all = commands(form, text);
    let names = |program: &str| form == Form::Script && text.contains(program);
    let (of_iptables, of_nft) = (names("tables"), names("nft"));
    for command in &all {
        if let Some((loads, _)) = loads(command) {
            let replaces = !command.has(&["-n", "--noflush"]);
            found.retain(|made| !(replaces && is_replaced(made, loads)));
            continue;
        }
        if let Some(language) = makes(command, of_iptables, of_nft) {
            found.push(Made {
                line: command.line,
                text: command.words.join(" "),
                language,
            });
        }
    }
    found.into_iter().next()
}

/// Whether a file that is loaded afterwards leaves nothing of it.
fn is_replaced(made: &Made, loads: Loads) -> bool {
    match loads {
        Loads::Iptables => made.language == Language::Iptables,
        Loads::Ip6tables => made.language == Language::Ip6tables,
        // Emptied before it is filled.
        Loads::Nft => made.language == Language::Nft && made.text.contains("flush"),
    }
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Whether a command makes inbound rules. `of_iptables` and `of_nft` tell whether its text names those programs at all:
/// scripts call them by variables and functions of their own, and feed them lines.
fn makes(command: &Command, of_iptables: bool, of_nft: bool) -> Option<Language> {
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    let first = *words.first()?;
    if TALKS.contains(&base(first)) {
        return None;
    }
    for (at, word) in words.iter().enumerate() {
        let rest = words.get(at + 1..).unwrap_or_default();
        // Called, not only named: `ls /etc/ferm`.
        let called = at == 0 || words.get(at - 1).is_some_and(|before| BEFORE.contains(before));
        if let Some(language) = program(word)
            && iptables_makes(rest)
        {
            return Some(language);
        }
        if (base(word) == "nft" && nft_makes(rest)) || (called && starts_builder(word, rest)) {
            let nft = base(word) == "nft";
            return Some(if nft { Language::Nft } else { Language::Other });
        }
        if of_iptables && called && word.starts_with('$') && iptables_makes(rest) {
            return Some(Language::Iptables);
        }
    }
    let fills = words.contains(&"INPUT") && iptables_makes(&words);
    let shuts = first == ":INPUT" && words.get(1) != Some(&"ACCEPT");
    if of_iptables && (fills || shuts) {
        return Some(Language::Iptables);
    }
    (of_nft && nft_makes(&words)).then_some(Language::Nft)
}

/// Which of the two programs of iptables a word calls, in whatever variant.
fn program(word: &str) -> Option<Language> {
    match base(word) {
        "iptables" | "iptables-nft" | "iptables-legacy" => Some(Language::Iptables),
        "ip6tables" | "ip6tables-nft" | "ip6tables-legacy" => Some(Language::Ip6tables),
        _ => None,
    }
}

fn starts_builder(word: &str, rest: &[&str]) -> bool {
    let builder = BUILDERS.iter().find(|(builder, _)| *builder == base(word));
    builder.is_some_and(|(_, starts)| starts.is_empty() || rest.iter().any(|word| starts.contains(word)))
}

/// Whether the words after `iptables` empty the chain INPUT, or put something there that is not there to let packets in.
fn iptables_makes(words: &[&str]) -> bool {
    let after = |names: &[&str]| {
        let at = words.iter().position(|word| names.contains(word))?;
        Some(words.get(at + 1).copied().unwrap_or_default())
    };
    if after(&["-t", "--table"]).is_some_and(|table| table != "filter") {
        return false;
    }
    if let Some(chain) = after(&["-F", "--flush"]) {
        let of_all = chain.is_empty() || chain.starts_with(['-', '>', '2', '&', '}']);
        return of_all || chain == "INPUT";
    }
    let chain_and = |names: &[&str]| after(names) == Some("INPUT");
    // `for chain in INPUT FORWARD; do iptables -P $chain DROP; done`
    if after(&["-P", "--policy"]).is_some_and(|chain| chain == "INPUT" || chain.starts_with('$')) {
        return !words.contains(&"ACCEPT");
    }
    let lets_in =
        after(&["-j", "--jump"]).is_some_and(|to| ["ACCEPT", "RETURN", "LOG", "NFLOG"].contains(&to));
    chain_and(&["-A", "--append", "-I", "--insert", "-R", "--replace"]) && !lets_in
}

/// The same for the words after `nft`, or those that it is fed.
fn nft_makes(words: &[&str]) -> bool {
    let pair = |first: &[&str], second: &str| {
        let found = words
            .windows(2)
            .position(|two| first.contains(&two[0]) && two[1] == second);
        found.map(|at| words.get(at + 2..).unwrap_or_default())
    };
    let input = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case("input"));
    let other = |words: &[&str]| {
        words
            .iter()
            .any(|word| ["nat", "mangle", "raw", "arp"].contains(word))
    };
    if pair(&["flush"], "ruleset").is_some() || pair(&["hook"], "input").is_some() {
        return true;
    }
    if let Some(rest) =
        pair(&["flush"], "table").or_else(|| pair(&["flush"], "chain").filter(|rest| input(rest)))
    {
        return !other(rest);
    }
    let rule = pair(&["add", "insert", "replace"], "rule");
    rule.is_some_and(|rest| input(rest) && !rest.contains(&"accept"))
}

/// Scripts that are called by commands.
fn called(all: &[Command]) -> Vec<PathBuf> {
    let script = |command: &Command| {
        let mut words = command.words.iter().map(String::as_str);
        let mut word = words.find(|word| !BEFORE.contains(word))?;
        if SHELLS.contains(&base(word)) {
            word = words.find(|word| !word.starts_with('-'))?;
        }
        let readable = SCRIPTS_LIE_IN.iter().any(|dir| Path::new(word).starts_with(dir))
            || TELLING_NAMES.iter().any(|name| word.contains(name));
        (word.starts_with('/') && readable).then(|| PathBuf::from(word))
    };
    all.iter().filter_map(script).collect()
}

impl Writer {
    /// Why nothing can be kept beside it, and the ways out.
    pub fn contradiction(&self) -> Contradiction {
        let (by, form) = (self.by.0.display(), self.by.1);
        let name = self
            .by
            .0
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is = match form {
            Form::Unit if name.ends_with(".service") => format!("the unit {name} is enabled"),
            Form::Cron => format!("{by} has a line for @reboot"),
            _ => format!("{by} is run at boot"),
        };
        let line = match (self.made.line, self.file == self.by.0) {
            (0, _) => format!("it starts {}", self.made.text),
            (number, true) => format!("line {number}: {}", self.shown()),
            (number, false) => format!("line {number} of {}: {}", self.file.display(), self.shown()),
        };
        let off = match form {
            Form::Unit if name.ends_with(".service") => format!("systemctl disable {name}"),
            Form::Script => format!("chmod a-x {by}, or take those lines out of it"),
            _ => format!("take that line out of {by}"),
        };
        Contradiction {
            code: String::from("FW009"),
            blocks: true,
            text: format!(
                "{is} and makes inbound rules by commands of its own ({line}): at the next boot it would take away or shut \
                 what is opened now, and nothing can be kept beside it. Either leave the rules to it and write the ports \
                 in there by hand; or have the rules that are in force now loaded from a file (iptables: package \
                 iptables-persistent, then netfilter-persistent save; nftables: nft -s list ruleset into the file of \
                 nftables.service), switch this off ({off}), and run faspwall again"
            ),
        }
    }

    fn shown(&self) -> String {
        self.made.text.chars().take(80).collect()
    }

    /// Who is told what to put where by hand.
    pub fn unmanaged(&self) -> Unmanaged {
        let file = self.file.display().to_string();
        match self.made.language {
            Language::Iptables | Language::Ip6tables => Unmanaged::Script(file),
            Language::Nft => Unmanaged::Rules(file),
            Language::Other => Unmanaged::Rules(format!("{} (what it is made from)", self.made.text)),
        }
    }
}

#[cfg(test)]
mod tests;
