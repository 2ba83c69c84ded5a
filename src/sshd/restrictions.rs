//! Restrictions that are tied to the present port: `Match LocalPort 22` with `ForceCommand`, `AllowUsers`, `ChrootDirectory`
//! and their like does not hold for logins on another one, and nobody would notice.

use std::path::PathBuf;

use super::config::{self, Effective, Line};
use super::logins::criterion;
use crate::facts::TwoPorts;

/// Keywords whose lines restrict a login whatever they name.
const LISTS: [&str; 4] = ["allowusers", "allowgroups", "denyusers", "denygroups"];
/// Keywords that restrict a login unless they have that value.
const UNLESS: [(&str, &str); 18] = [
    ("forcecommand", "none"),
    ("chrootdirectory", "none"),
    ("authenticationmethods", "any"),
    ("permitopen", "any"),
    ("permitlisten", "any"),
    ("permitrootlogin", "yes"),
    ("pubkeyauthentication", "yes"),
    ("passwordauthentication", "yes"),
    ("kbdinteractiveauthentication", "yes"),
    ("permittty", "yes"),
    ("allowtcpforwarding", "yes"),
    ("allowagentforwarding", "yes"),
    ("allowstreamlocalforwarding", "yes"),
    ("x11forwarding", "yes"),
    ("permituserrc", "yes"),
    ("gatewayports", "yes"),
    ("disableforwarding", "no"),
    ("refuseconnection", "no"),
];

fn restricts(keyword: &str, value: &str) -> bool {
    LISTS.contains(&keyword)
        || UNLESS
            .iter()
            .any(|(name, free)| *name == keyword && !value.eq_ignore_ascii_case(free))
}

/// A line inside of a `Match` block that looks at the port.
struct Tied {
    place: String,
    /// The port that it asks for; sshd takes one alone.
    port: u16,
    /// What else the block asks for.
    others: Vec<String>,
    keyword: String,
    value: String,
}

/// The criteria of a `Match` line beside the port.
fn other_criteria(line: &Line) -> Vec<String> {
    let mut words = line.arguments.iter();
    let mut others = Vec::new();
    while let Some(word) = words.next() {
        let port = word.to_ascii_lowercase();
        if port == "localport" {
            words.next();
        } else if !port.starts_with("localport=") {
            others.push(word.clone());
        }
    }
    others
}

fn lines(files: &[(PathBuf, String)]) -> Vec<Tied> {
    let mut found = Vec::new();
    for (path, text) in files {
        let mut block: Option<(u16, Vec<String>)> = None;
        for line in config::parse(text) {
            if line.keyword == "match" {
                let port = criterion(&line, "localport").and_then(|port| port.parse().ok());
                block = port.map(|port| (port, other_criteria(&line)));
            } else if let Some((port, others)) = &block {
                let value = line.arguments.join(" ");
                if restricts(&line.keyword, &value) {
                    let raw = text.lines().nth(line.number - 1).unwrap_or_default();
                    found.push(Tied {
                        place: format!("{} line {}: {}", path.display(), line.number, raw.trim()),
                        port: *port,
                        others: others.clone(),
                        keyword: line.keyword.clone(),
                        value,
                    });
                }
            }
        }
    }
    found
}

/// What restricts logins on one of the ports `before`, and not those on the port `after`: file, line and text of each.
pub fn tied(
    files: &[(PathBuf, String)],
    before: &[u16],
    after: u16,
    asked: Option<&TwoPorts>,
) -> Vec<String> {
    let all = lines(files);
    let same_there = |one: &Tied| {
        let same = |other: &Tied| {
            (&other.keyword, &other.value, &other.others) == (&one.keyword, &one.value, &one.others)
        };
        all.iter().any(|other| other.port == after && same(other))
    };
    let lost: Vec<&Tied> = all
        .iter()
        .filter(|tied| before.contains(&tied.port) && !same_there(tied))
        .collect();
    let mut found: Vec<String> = lost
        .iter()
        .map(|tied| format!("{} (Match LocalPort {})", tied.place, tied.port))
        .collect();
    let named = |keyword: &str| lost.iter().any(|tied| tied.keyword == keyword);
    found.extend(asked.iter().flat_map(|asked| differs(asked, &named)));
    found
}

/// What sshd itself says of one user, where no line of its files tells: restricted on the present port alone.
fn differs(asked: &TwoPorts, named: &dyn Fn(&str) -> bool) -> Vec<String> {
    let (here, there) = (
        Effective::parse(&asked.answers.0),
        Effective::parse(&asked.answers.1),
    );
    let keywords = UNLESS.iter().map(|(name, _)| *name).chain(LISTS);
    let lost = keywords.filter_map(|keyword| {
        let (now, then) = (here.values(keyword).join(" "), there.values(keyword).join(" "));
        let loses = !now.is_empty() && restricts(keyword, &now) && !restricts_too(keyword, &then);
        (loses && now != then && !named(keyword)).then(|| {
            let then = if then.is_empty() { "nothing" } else { &then };
            format!(
                "sshd -T for {}: {keyword} is {now} on TCP/{}, and {then} on TCP/{}",
                asked.user, asked.ports.0, asked.ports.1
            )
        })
    });
    lost.collect()
}

/// Whether there is a restriction of that kind there as well.
fn restricts_too(keyword: &str, value: &str) -> bool {
    !value.is_empty() && restricts(keyword, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        tied(
            &[("/etc/ssh/sshd_config".into(), text.to_owned())],
            &[22],
            33001,
            None,
        )
    }

    #[test]
    fn what_holds_on_the_present_port_alone_is_named() {
        let found =
            told("Port 22\nMatch LocalPort 22 User bob\n\tForceCommand internal-sftp\n\tMaxAuthTries 3\n");
        assert_eq!(
            found,
            ["/etc/ssh/sshd_config line 3: ForceCommand internal-sftp (Match LocalPort 22)"]
        );
        for free in [
            "Match LocalPort 22\n PermitRootLogin yes\n ForceCommand none\n",
            "Match LocalPort 2222\n AllowUsers x\n",
            "Match User bob\n AllowUsers x\n",
            "Match LocalPort 22\n AllowUsers x\nMatch LocalPort=33001\n AllowUsers x\n",
        ] {
            assert_eq!(told(free), [""; 0], "{free}");
        }
        let other = "Match User a LocalPort 22\n AllowUsers x\nMatch User b LocalPort 33001\n AllowUsers x\n";
        assert_eq!(told(other).len(), 1);
    }

    #[test]
    fn sshds_own_word_counts_where_no_line_tells() {
        let asked = TwoPorts {
            user: "joe".into(),
            groups: Vec::new(),
            ports: (22, 33001),
            answers: (
                "chrootdirectory /srv\nx11forwarding no\n".into(),
                "chrootdirectory none\nx11forwarding no\n".into(),
            ),
        };
        assert_eq!(
            tied(&[], &[22], 33001, Some(&asked)),
            ["sshd -T for joe: chrootdirectory is /srv on TCP/22, and none on TCP/33001"]
        );
    }
}
