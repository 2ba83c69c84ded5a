//! Takes secrets out of a recording. Addresses, names of hosts, users, files and comments stay: rules are about them.
//!
//! Nothing that is taken out decides anything in faspwall, so a recorded host behaves as the real one did. What may be a
//! secret is told by its form (a key, a hash, a token) or by the name it is given (`password = ...`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

use super::{Content, Ended, Recording};

/// What stands in the place of a secret.
pub const MARK: &str = "REDACTED";

/// The variables of other processes' environments that detection reads; all others are left out.
const VARIABLES: [&str; 3] = ["SSH_CONNECTION", "TMUX", "USER"];

/// Fields of `/proc/PID/stat` behind the name, up to `starttime`. Source: proc_pid_stat(5).
const UP_TO_START: usize = 20;

/// A text is gone through until nothing more is found in it, but not more often than this.
const PASSES: usize = 16;

/// Names whose values are secrets, as a part of a longer name.
const SECRET_NAME: &str = r"[\w.:-]*(?:passw(?:or)?d|passphrase|passwd|secret|credential|encryption_key|private_?key|access_?key|community|api_?key|auth_?key|token)[\w.:-]*";

/// What stands in every name of a secret.
const SECRET_WORDS: &[&str] = &[
    "passw",
    "passphrase",
    "secret",
    "credential",
    "encryption_key",
    "private_key",
    "privatekey",
    "access_key",
    "accesskey",
    "community",
    "api_key",
    "apikey",
    "auth_key",
    "authkey",
    "token",
];

/// One kind of secret: its name in words, one and many, and its form. What the group `secret` matches is replaced, or
/// all of it where there is no such group. A form of a name and a value stays on one line: the word that the next line
/// begins with may be the name of the next secret.
struct Kind {
    one: &'static str,
    many: &'static str,
    form: Regex,
    /// One of these, in small letters, stands in whatever has the form. To look for them takes a small part of the time.
    signs: &'static [&'static str],
}

fn kind(one: &'static str, many: &'static str, signs: &'static [&'static str], form: &str) -> Kind {
    Kind {
        one,
        many,
        signs,
        form: Regex::new(form).expect("a pattern of this file, tried by its tests"),
    }
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    vec![
        kind(
            "private key",
            "private keys",
            &["private key-----"],
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?P<secret>[\s\S]*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
        ),
        kind(
            "public key",
            "public keys",
            &["aaaa"],
            r"\b(?:ssh-(?:rsa|dss|ed25519)|(?:sk-)?ecdsa-sha2-[\w-]+(?:@openssh\.com)?|sk-ssh-ed25519@openssh\.com) (?P<secret>AAAA[A-Za-z0-9+/=]{20,})",
        ),
        kind(
            "password hash",
            "password hashes",
            &["$"],
            r"\$(?:[1-7]|2[abxy]|y|gy|sha1|argon2[a-z]*|scrypt|pbkdf2[\w-]*)\$[./A-Za-z0-9$=,+-]{8,}",
        ),
        kind(
            "token",
            "tokens",
            &["eyj", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
            r"\beyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}",
        ),
        kind(
            "community string",
            "community strings",
            &["community", "com2sec", "sink"],
            r"(?im)^[ \t]*(?:(?:ro|rw)community6?|trapcommunity|com2sec6?[ \t]+\S+[ \t]+\S+|(?:trap|trap2|inform)sink[ \t]+\S+)[ \t]+(?P<secret>\S+)",
        ),
        kind(
            "token",
            "tokens",
            &["bearer", "basic"],
            r#"(?i)\b(?:bearer|basic)[ \t]+(?P<secret>[A-Za-z0-9+/=._~-]{8,})"#,
        ),
        kind(
            "password in an address",
            "passwords in addresses",
            &["://"],
            r"://[^/\s:@]*:(?P<secret>[^/\s@]+)@",
        ),
        kind(
            "value with a secret name",
            "values with secret names",
            SECRET_WORDS,
            // Without the bracket behind it, which may begin the next one.
            &format!(r#"(?i)<{SECRET_NAME}(?:\s[^<>]*)?>(?P<secret>[^<>]*[^<>\s][^<>]*)"#),
        ),
        kind(
            "value with a secret name",
            "values with secret names",
            SECRET_WORDS,
            &format!(r#"(?i)\b{SECRET_NAME}\\?["']?[ \t]*[=:][ \t]*\\?["'](?P<secret>[^"'\n\\]+)"#),
        ),
        kind(
            "value with a secret name",
            "values with secret names",
            SECRET_WORDS,
            &format!(r#"(?i)\b{SECRET_NAME}[ \t]*[=:][ \t]*(?P<secret>[^\s"',;<>\\\x00]+)"#),
        ),
        kind(
            "value with a secret name",
            "values with secret names",
            SECRET_WORDS,
            &format!(r#"(?i)--?{SECRET_NAME}[ \x00](?P<secret>[^\s"'\x00-][^\s\x00]*)"#),
        ),
    ]
});

static HARDWARE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)[0-9a-f:]+").expect("a pattern of this file, tried by its tests"));

static LOGIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(Failed \S+ for (?:invalid user )?|Accepted \S+ for |Invalid user |Connection (?:closed|reset) by (?:invalid|authenticating) user )(?P<user>.*?)( (?:from )?\S+ port \d+.*)?$",
    )
    .expect("a pattern of this file, tried by its tests")
});

/// Takes the secrets out; returns what they were, in words and numbers, for the person who sends the recording.
pub fn redact(recording: &mut Recording) -> Vec<String> {
    let mut work = Redaction::default();
    for (path, content) in &mut recording.files {
        if let Content::Text(text) = content {
            match of_process(path) {
                Some("environ") => *text = work.environment(text),
                Some("stat") => *text = without_memory(text),
                Some("cmdline") => *text = without_padding(text),
                _ => {}
            }
            *text = work.text(text);
        }
    }
    work.open_files(recording);
    for (call, ended) in &mut recording.calls {
        if let Ended::Printed(output) = ended {
            if call.argv.first().is_some_and(|program| program == "journalctl") {
                output.stdout = work.logins(&output.stdout);
            }
            output.stdout = work.text(&output.stdout);
            output.stderr = work.text(&output.stderr);
        }
    }
    for value in recording.env.values_mut().flatten() {
        *value = work.text(value);
    }
    work.told()
}

/// The last part of `/proc/PID/...`.
fn of_process(path: &Path) -> Option<&str> {
    path.starts_with("/proc").then_some(())?;
    path.file_name()?.to_str()
}

/// `/proc/PID/stat` up to the time at which the process started: addresses in its memory come after that.
fn without_memory(text: &str) -> String {
    let Some((name, rest)) = text.rsplit_once(')') else {
        return text.to_owned();
    };
    let fields: Vec<&str> = rest.split_whitespace().take(UP_TO_START).collect();
    format!("{name}) {}\n", fields.join(" "))
}

/// A process that names itself anew, as sshd does, fills the rest of its old command line with NUL.
fn without_padding(text: &str) -> String {
    match text.trim_end_matches('\0') {
        "" => String::new(),
        words => format!("{words}\0"),
    }
}

#[derive(Debug, Default)]
struct Redaction {
    /// How many of each kind, by its names.
    count: BTreeMap<(&'static str, &'static str), usize>,
    /// Hardware addresses and what each became: the same everywhere.
    hardware: BTreeMap<String, String>,
}

impl Redaction {
    fn found(&mut self, one: &'static str, many: &'static str) {
        *self.count.entry((one, many)).or_default() += 1;
    }

    fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        let small = text.to_ascii_lowercase();
        // What stands around a secret that was taken out may have the form of another one now.
        for _ in 0..PASSES {
            let before = self.count.values().sum::<usize>();
            for kind in KINDS.iter() {
                // Most texts have nothing: they are not written anew.
                if kind.signs.iter().any(|sign| small.contains(sign)) && kind.form.is_match(&text) {
                    text = self.without(kind, &text);
                }
            }
            if self.count.values().sum::<usize>() == before {
                break;
            }
        }
        self.without_hardware(&text)
    }

    fn without(&mut self, kind: &Kind, text: &str) -> String {
        kind.form
            .replace_all(text, |found: &Captures<'_>| {
                let whole = found.get(0).map_or("", |m| m.as_str());
                let start = found.get(0).map_or(0, |m| m.start());
                let secret = found.name("secret").or(found.get(0));
                let (from, to) = secret.map_or((0, 0), |m| (m.start() - start, m.end() - start));
                let already = whole.get(from..to).is_some_and(|s| s.trim() == MARK);
                if already {
                    return whole.to_owned();
                }
                self.found(kind.one, kind.many);
                let before = whole.get(..from).unwrap_or_default();
                let after = whole.get(to..).unwrap_or_default();
                format!("{before}{MARK}{after}")
            })
            .into_owned()
    }

    /// Six groups of two digits that are no part of an IPv6 address.
    fn without_hardware(&mut self, text: &str) -> String {
        if !text.contains(':') {
            return text.to_owned();
        }
        HARDWARE
            .replace_all(text, |found: &Captures<'_>| {
                let word = found.get(0).map_or("", |m| m.as_str());
                if !is_hardware(word) {
                    return word.to_owned();
                }
                let next = self.hardware.len() + 1;
                let lower = word.to_lowercase();
                self.hardware
                    .entry(lower)
                    .or_insert_with(|| format!("02:00:00:00:{:02x}:{:02x}", next >> 8 & 0xff, next & 0xff))
                    .clone()
            })
            .into_owned()
    }

    /// What a process has open tells which files somebody works on. Sockets and terminals tell who is connected.
    fn open_files(&mut self, recording: &mut Recording) {
        let kept = |target: &Path| {
            let target = target.to_string_lossy();
            target.starts_with("socket:[") || target.starts_with("/dev/")
        };
        let named: Vec<PathBuf> = recording
            .links
            .iter()
            .filter(|(path, _)| path.parent().and_then(of_process) == Some("fd"))
            .filter(|(_, target)| target.as_deref().is_some_and(|target| !kept(target)))
            .map(|(path, _)| path.clone())
            .collect();
        for path in named {
            recording.links.remove(&path);
            if let Some(names) = path.parent().and_then(|dir| recording.dirs.get_mut(dir)) {
                names.retain(|name| !path.ends_with(name));
            }
            self.found("name of an open file", "names of open files");
        }
    }

    fn environment(&mut self, text: &str) -> String {
        let mut kept = String::new();
        for pair in text.split_terminator('\0') {
            let name = pair.split('=').next().unwrap_or_default();
            if VARIABLES.contains(&name) {
                kept.push_str(pair);
                kept.push('\0');
            } else {
                self.found("variable of another process", "variables of other processes");
            }
        }
        kept
    }

    /// People type their password where their name is asked.
    fn logins(&mut self, text: &str) -> String {
        let mut lines = String::new();
        for line in text.lines() {
            match LOGIN.captures(line) {
                Some(found) => {
                    let part = |index: usize| found.get(index).map_or("", |m| m.as_str());
                    lines.push_str(&format!("{}{MARK}{}", part(1), part(3)));
                    self.found(
                        "user name in the log of logins",
                        "user names in the log of logins",
                    );
                }
                None => lines.push_str(line),
            }
            lines.push('\n');
        }
        lines
    }

    fn told(&self) -> Vec<String> {
        let mut told: Vec<String> = self
            .count
            .iter()
            .map(|((one, many), count)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect();
        match self.hardware.len() {
            0 => {}
            1 => told.push(String::from("1 hardware address, by an invented one")),
            count => told.push(format!("{count} hardware addresses, by invented ones")),
        }
        told
    }
}

/// A hardware address that names a device: not the broadcast address, not the empty one.
fn is_hardware(word: &str) -> bool {
    let groups: Vec<&str> = word.split(':').collect();
    groups.len() == 6
        && groups.iter().all(|group| group.len() == 2)
        && !["ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"].contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests;
