//! Whether a login that works on the present port would work on the new one: a `Match LocalPort` block can forbid it there
//! and nowhere else.
//!
//! sshd itself is asked (`sshd -T -C lport=...`); this reads its two answers, and finds the line that makes the
//! difference. Source: sshd_config(5) and `servconf.c` of OpenSSH 9.2 and 10.0.

use std::path::PathBuf;

use super::config::{self, Effective, Line};
use crate::facts::{SshFacts, TwoPorts};

/// Ways of proving who one is, as `sshd -T` names them.
const METHODS: [&str; 5] = [
    "pubkeyauthentication",
    "passwordauthentication",
    "kbdinteractiveauthentication",
    "gssapiauthentication",
    "hostbasedauthentication",
];

/// Whether anything in these files depends on the port that a login came through.
pub fn depends_on_port(files: &[(PathBuf, String)]) -> bool {
    files
        .iter()
        .flat_map(|(_, text)| config::parse(text))
        .any(|line| line.keyword == "match" && criterion(&line, "localport").is_some())
}

/// The value of a criterion of a `Match` line: `LocalPort 22`, or `LocalPort=22`.
pub(super) fn criterion(line: &Line, name: &str) -> Option<String> {
    let mut words = line.arguments.iter();
    while let Some(word) = words.next() {
        let (key, glued) = word
            .split_once('=')
            .map_or((word.as_str(), None), |(k, v)| (k, Some(v)));
        let value = match glued {
            Some(value) => value.to_owned(),
            None => words.next().cloned().unwrap_or_default(),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
    }
    None
}

/// `*` and `?` as in ssh_config(5), without regard to case.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            text.char_indices().any(|(at, _)| matches(rest, &text[at..])) || matches(rest, "")
        }
        Some(first) => {
            let mut chars = text.chars();
            chars
                .next()
                .is_some_and(|c| first == '?' || first.eq_ignore_ascii_case(&c))
                && matches(pattern_chars.as_str(), chars.as_str())
        }
    }
}

/// A list of patterns with commas or blanks between them; one with `!` that fits decides against it.
fn in_list(list: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in list.split([',', ' ']).filter(|pattern| !pattern.is_empty()) {
        match pattern.strip_prefix('!') {
            Some(denied) if matches(denied, text) => return false,
            Some(_) => {}
            None => found |= matches(pattern, text),
        }
    }
    found
}

/// What one answer of sshd means for one user: the keyword that forbids the login, or takes the shell from it.
fn refuses(answer: &Effective, who: &TwoPorts) -> Vec<&'static str> {
    let list = |keyword: &str| answer.values(keyword).join(" ");
    let on = |keyword: &str| answer.value(keyword).is_some_and(|value| value != "no");
    // A pattern with a host says less than it seems to: only the name before it is looked at.
    let names = |keyword: &str| {
        let list = list(keyword);
        let users: Vec<&str> = list
            .split(' ')
            .map(|pattern| pattern.split('@').next().unwrap_or_default())
            .collect();
        users.join(" ")
    };
    let in_group = |keyword: &str| {
        let list = list(keyword);
        who.groups.iter().any(|group| in_list(&list, group))
    };
    let mut found = Vec::new();
    if on("refuseconnection") {
        found.push("refuseconnection");
    }
    if answer.value("denyusers").is_some_and(|list| !list.contains('@'))
        && in_list(&list("denyusers"), &who.user)
    {
        found.push("denyusers");
    }
    if answer.value("allowusers").is_some() && !in_list(&names("allowusers"), &who.user) {
        found.push("allowusers");
    }
    if answer.value("denygroups").is_some() && in_group("denygroups") {
        found.push("denygroups");
    }
    // Without any group nothing is known of them.
    if answer.value("allowgroups").is_some() && !who.groups.is_empty() && !in_group("allowgroups") {
        found.push("allowgroups");
    }
    let root = answer.value("permitrootlogin").unwrap_or("yes");
    if who.user == "root" && ["no", "forced-commands-only"].contains(&root) {
        found.push("permitrootlogin");
    }
    if !METHODS.iter().any(|method| on(method)) {
        found.extend(METHODS);
    }
    if answer.value("maxsessions") == Some("0") {
        found.push("maxsessions");
    }
    if answer
        .value("forcecommand")
        .is_some_and(|command| command != "none")
    {
        found.push("forcecommand");
    }
    found
}

/// Where it says so: file, line, text.
fn place_of(files: &[(PathBuf, String)], keywords: &[&str], port: u16) -> Option<String> {
    for (path, text) in files {
        let mut inside = false;
        for line in config::parse(text) {
            if line.keyword == "match" {
                inside = criterion(&line, "localport").is_some_and(|value| value.parse() == Ok(port));
            } else if inside && keywords.contains(&line.keyword.as_str()) {
                let raw = text.lines().nth(line.number - 1).unwrap_or_default();
                return Some(format!(
                    "{} line {} says \"{}\"",
                    path.display(),
                    line.number,
                    raw.trim()
                ));
            }
        }
    }
    None
}

/// Why somebody who may log in on the present port may not do so on the new one.
pub fn refused_there(ssh: &SshFacts) -> Option<String> {
    let who = ssh.two_ports.as_ref()?;
    let (here, there) = (Effective::parse(&who.answers.0), Effective::parse(&who.answers.1));
    let before = refuses(&here, who);
    let mut new = refuses(&there, who);
    new.retain(|keyword| !before.contains(keyword));
    if new.is_empty() {
        return None;
    }
    let place = place_of(&ssh.config.files, &new, who.ports.1)
        .unwrap_or_else(|| format!("sshd's configuration sets {} there", new.join(", ")));
    Some(format!(
        "{} could not log in on TCP/{} as on TCP/{}, and so could not confirm the change: {place}, for logins on that \
         port. Change that Match block, and run this again",
        who.user, who.ports.1, who.ports.0
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(config: &str, here: &str, there: &str) -> SshFacts {
        let mut facts = SshFacts::default();
        facts.config.files = vec![("/etc/ssh/sshd_config".into(), config.to_owned())];
        facts.two_ports = Some(TwoPorts {
            user: "joe".into(),
            groups: vec!["joe".into(), "sudo".into()],
            ports: (22, 33001),
            answers: (here.to_owned(), there.to_owned()),
        });
        facts
    }

    const OPEN: &str = "pubkeyauthentication yes\npermitrootlogin yes\nforcecommand none\n";

    #[test]
    fn only_what_is_forbidden_on_the_new_port_alone_stands_in_the_way() {
        let config = "DenyUsers bob\nMatch User x LocalPort 22\n DenyUsers z\nMatch LocalPort 33001\n  AllowUsers aspera\n";
        assert!(depends_on_port(&facts(config, "", "").config.files));
        assert!(!depends_on_port(
            &facts("Match User localport\n", "", "").config.files
        ));
        let there = format!("{OPEN}allowusers aspera\n");
        let told = refused_there(&facts(config, OPEN, &there)).expect("refused");
        assert!(told.contains("line 5 says \"AllowUsers aspera\""), "{told}");
        assert_eq!(
            refused_there(&facts(config, &there, &there)),
            None,
            "no worse than before"
        );
        for fine in [
            "allowusers aspera\nallowusers j*\n",
            "allowgroups sudo\n",
            "denyusers joe@10.0.0.1\n",
            "denygroups x\n",
        ] {
            assert_eq!(
                refused_there(&facts(config, OPEN, &format!("{OPEN}{fine}"))),
                None,
                "{fine}"
            );
        }
        for bad in [
            "denyusers *\n",
            "allowgroups wheel\n",
            "denygroups sudo\n",
            "maxsessions 0\n",
            "refuseconnection yes\n",
        ] {
            assert!(
                refused_there(&facts(config, OPEN, &format!("{OPEN}{bad}"))).is_some(),
                "{bad}"
            );
        }
        assert!(refused_there(&facts(config, OPEN, "pubkeyauthentication no\n")).is_some());
        assert!(
            refused_there(&facts(
                config,
                OPEN,
                "pubkeyauthentication yes\nforcecommand internal-sftp\n"
            ))
            .is_some()
        );
    }

    #[test]
    fn patterns_are_those_of_ssh() {
        assert!(in_list("33001", "33001") && in_list("2?,*01", "33001") && !in_list("*,!33001", "33001"));
        assert!(!in_list("330", "33001") && !in_list("", "33001") && in_list("a b*", "bob"));
    }
}
