//! Reading sshd's configuration: the lines of its files, their includes, and what `sshd -T` says is in force.
//!
//! Source: sshd_config(5), sshd(8) and `servconf.c` of OpenSSH 9.2 and 10.0.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use super::command_line::{config_arguments, config_file};

/// Includes inside includes that sshd follows (`SERVCONF_MAX_DEPTH`).
const MAX_DEPTH: usize = 16;

/// One line of a configuration file that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// The keyword in lower case.
    pub keyword: String,
    /// Its arguments, without quotes.
    pub arguments: Vec<String>,
    /// Whether it stands below a `Match` of the same file. A `Match` line itself does.
    pub in_match: bool,
}

/// Reads a configuration file. What cannot be understood is left out: sshd itself checks the file.
pub fn parse(text: &str) -> Vec<Line> {
    let mut in_match = false;
    let mut lines = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let raw = raw.trim_matches([' ', '\t', '\r', '\x0c']);
        if raw.is_empty() || raw.starts_with('#') {
            continue;
        }
        // A keyword ends at a blank or at one `=`, as in `Port=22`.
        let end = raw
            .find(|c: char| c.is_ascii_whitespace() || c == '=')
            .unwrap_or(raw.len());
        let (keyword, rest) = raw.split_at(end);
        let keyword = keyword.trim_matches('"').to_ascii_lowercase();
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        in_match |= keyword == "match";
        lines.push(Line {
            number: index + 1,
            keyword,
            arguments: words(rest),
            in_match,
        });
    }
    lines
}

/// Splits arguments at blanks; quotes keep them together, a backslash protects a quote, `#` begins a comment.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(char::is_ascii_whitespace).is_some() {}
        match chars.peek() {
            None | Some('#') => return found,
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_ascii_whitespace()) {
            match c {
                '\\' if matches!(chars.peek(), Some('"' | '\'' | '\\')) => word.extend(chars.next()),
                '"' | '\'' if quote.is_none() => quote = Some(c),
                _ if quote == Some(c) => quote = None,
                _ => word.push(c),
            }
        }
        found.push(word);
    }
}

/// How [`files`] looks at the host.
pub trait Source {
    /// The content of a file; `None` when it cannot be read.
    fn read(&self, path: &Path) -> Option<String>;
    /// Everything in a directory.
    fn list(&self, dir: &Path) -> Vec<PathBuf>;
}

/// The main file and every file that it includes, in the order in which sshd reads them, each once.
///
/// A relative name is looked for in `/etc/ssh`, whatever the place of the main file, as sshd does.
pub fn files(main: &Path, source: &impl Source) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(main, source, 0, &mut found);
    found
}

fn collect(path: &Path, source: &impl Source, depth: usize, found: &mut Vec<(PathBuf, String)>) {
    if depth > MAX_DEPTH || found.iter().any(|(known, _)| known == path) {
        return;
    }
    let Some(text) = source.read(path) else {
        return;
    };
    found.push((path.to_owned(), text.clone()));
    for line in parse(&text).iter().filter(|line| line.keyword == "include") {
        for pattern in &line.arguments {
            for included in expand(&Path::new("/etc/ssh").join(pattern), source) {
                collect(&included, source, depth + 1, found);
            }
        }
    }
}

/// The files that a glob pattern names, sorted as glob(3) does in the C locale.
pub fn expand(pattern: &Path, source: &impl Source) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str();
        let text = name.to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            for path in &mut paths {
                path.push(name);
            }
            continue;
        }
        paths = paths
            .iter()
            .flat_map(|dir| source.list(dir))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|n| matches_glob(&text, &n.to_string_lossy()))
            })
            .collect();
    }
    paths.sort();
    paths
}

/// fnmatch(3) with the leading period rule, for one path component.
pub fn matches_glob(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where to go on after a mismatch: behind the last star, one more character swallowed.
    let (mut at, mut p, mut retry) = (0, 0, None);
    while at < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, at));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => bracket(&pattern, p, name[at]),
            Some('\\') if pattern.get(p + 1) == Some(&name[at]) => Some(p + 2),
            Some(c) if *c == name[at] => Some(p + 1),
            _ => None,
        };
        match (step, retry) {
            (Some(next), _) => {
                p = next;
                at += 1;
            }
            (None, Some((behind, from))) => {
                p = behind;
                at = from + 1;
                retry = Some((behind, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Matches `[a-z]` and `[!a-z]` at `start`; the index behind it when `c` fits.
fn bracket(pattern: &[char], start: usize, c: char) -> Option<usize> {
    let negated = matches!(pattern.get(start + 1), Some('!' | '^'));
    let first = start + 1 + usize::from(negated);
    let end = (first + 1..pattern.len()).find(|i| pattern[*i] == ']')?;
    let mut inside = false;
    let mut at = first;
    while at < end {
        if pattern.get(at + 1) == Some(&'-') && at + 2 < end {
            inside |= (pattern[at]..=pattern[at + 2]).contains(&c);
            at += 3;
        } else {
            inside |= pattern[at] == c;
            at += 1;
        }
    }
    (inside != negated).then_some(end + 1)
}

/// What `sshd -T` prints: the configuration in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    lines: Vec<(String, String)>,
}

impl Effective {
    /// Reads the output of `sshd -T`.
    pub fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(keyword, value)| (keyword.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { lines }
    }

    /// Every value of a keyword, in lower case, in order.
    pub fn values(&self, keyword: &str) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|(k, _)| k == keyword)
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// The first value of a keyword.
    pub fn value(&self, keyword: &str) -> Option<&str> {
        self.values(keyword).first().copied()
    }

    /// The `port` lines. Where a `ListenAddress` carries a port of its own they do not tell where sshd listens.
    pub fn ports(&self) -> Vec<u16> {
        self.values("port")
            .iter()
            .filter_map(|port| port.parse().ok())
            .collect()
    }

    /// The `listenaddress` lines as printed: `0.0.0.0:22`, `[::]:22`.
    pub fn listen_addresses(&self) -> Vec<String> {
        self.values("listenaddress")
            .into_iter()
            .map(str::to_owned)
            .collect()
    }
}

/// The ports that files in this order ask for: `Port` adds up over all of them, 22 where there is none.
///
/// For hosts where `sshd -T` gives no answer.
pub fn ports_in_files(files: &[(PathBuf, String)]) -> Vec<u16> {
    let mut ports: Vec<u16> = files
        .iter()
        .flat_map(|(_, text)| parse(text))
        .filter(|line| line.keyword == "port" && !line.in_match)
        .filter_map(|line| line.arguments.first()?.parse().ok())
        .collect();
    ports.dedup();
    if ports.is_empty() {
        ports.push(22);
    }
    ports
}

/// The version in `OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL ...`, in a banner, or in a usage message.
pub fn version(text: &str) -> Option<String> {
    let start = text.find("OpenSSH_")?;
    let word: String = text[start..]
        .chars()
        .take_while(|c| !c.is_whitespace() && *c != ',')
        .collect();
    (word.len() > "OpenSSH_".len()).then_some(word)
}

/// Program and arguments of a listener, from its command line or the title it shows instead of it.
pub fn listener_command(title: &str) -> (Option<String>, Vec<String>) {
    let line = title
        .strip_prefix("sshd: ")
        .and_then(|rest| Some(rest.split_once(" [listener]")?.0))
        .unwrap_or(title);
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next(), words.collect())
}

/// How many connections tried to log in and failed, in lines of sshd's log: several tries of one connection count once,
/// and one that got in after all does not count.
pub fn failed_logins(log: &str) -> u64 {
    let (mut failed, mut accepted) = (BTreeSet::new(), BTreeSet::new());
    for line in log.lines() {
        let Some((before, after)) = line.rsplit_once(" port ") else {
            continue;
        };
        let address = before.rsplit(' ').next().unwrap_or_default();
        let connection = (address, after.split(' ').next().unwrap_or_default());
        if line.starts_with("Accepted ") {
            accepted.insert(connection);
        } else if line.starts_with("Failed ")
            || line.starts_with("Invalid user ")
            || line.contains(" by authenticating user ")
            || line.contains(" by invalid user ")
        {
            failed.insert(connection);
        }
    }
    u64::try_from(failed.difference(&accepted).count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
