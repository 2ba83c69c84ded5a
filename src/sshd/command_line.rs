//! sshd's command line: which options it was started with, and which of them decide where it listens.
//!
//! `-p` overrules `Port` lines of the files, `-o Port=` adds to them, and a `ListenAddress` with a port overrules both.
//! Source: sshd(8) and `sshd.c` of OpenSSH 9.2 and 10.0.

use std::path::{Path, PathBuf};

use super::change::{FileChange, SshdObstacle};
use super::listen::place;
use crate::facts::SshFacts;

/// Options with a value, which may be glued on.
const WITH_VALUE: &str = "fophcCEgubk";

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its letter.
    pub flag: char,
    /// Its value, where it has one.
    pub value: Option<String>,
}

impl Given {
    /// As words of a command line.
    pub fn words(&self) -> impl Iterator<Item = String> {
        [format!("-{}", self.flag)].into_iter().chain(self.value.clone())
    }

    /// Keyword in lower case and value of an `-o` option.
    pub fn setting(&self) -> Option<(String, &str)> {
        let value = self.value.as_deref().filter(|_| self.flag == 'o')?;
        let end = value.find(|c: char| c.is_whitespace() || c == '=')?;
        let (word, rest) = value.split_at(end);
        let rest = rest.trim_matches(|c: char| c.is_whitespace() || c == '=' || c == '"');
        Some((word.to_ascii_lowercase(), rest))
    }

    fn sets(&self, keyword: &str) -> bool {
        self.setting().is_some_and(|(word, _)| word == keyword)
    }

    /// Whether it decides where sshd listens.
    pub fn listens(&self) -> bool {
        self.flag == 'p' || self.sets("port") || self.sets("listenaddress")
    }
}

impl Given {
    /// The port that it names, if it names one.
    fn port(&self) -> Option<u16> {
        if self.flag == 'p' {
            return self.value.as_ref()?.parse().ok();
        }
        match self.setting()? {
            (word, value) if word == "port" => value.parse().ok(),
            (word, value) if word == "listenaddress" => Some(place(&[value.to_owned()])?.port),
            _ => None,
        }
    }

    /// The same for another port.
    fn with_port(&self, port: u16) -> Self {
        let (Some(value), Some(old)) = (&self.value, self.port()) else {
            return self.clone();
        };
        let head = value.strip_suffix(&old.to_string()).unwrap_or(value);
        Self {
            flag: self.flag,
            value: Some(format!("{head}{port}")),
        }
    }

    /// How it may stand in a file: glued or apart, in quotes or not.
    fn spellings(&self) -> Vec<String> {
        let Some(value) = &self.value else {
            return Vec::new();
        };
        let blank = value.replacen('=', " ", 1);
        let mut found = Vec::new();
        for value in [value, &blank] {
            for quote in ["", "'", "\"", "\\\""] {
                if quote.is_empty() && value.contains(' ') {
                    continue;
                }
                for gap in [" ", ""] {
                    found.push(format!("-{}{gap}{quote}{value}{quote}", self.flag));
                }
            }
        }
        found
    }
}

/// Whether `-p` is given: then `Port` lines of the files do not count.
pub fn overrules_files(arguments: &[String]) -> bool {
    options(arguments).iter().any(|given| given.flag == 'p')
}

/// Ports and places on the command line, with what comes instead of each when sshd goes from some ports to others.
fn moved(arguments: &[String], before: &[u16], after: &[u16]) -> Vec<(Given, Vec<Given>)> {
    let given: Vec<Given> = options(arguments)
        .into_iter()
        .filter(|g| g.port().is_some())
        .collect();
    let goes = |port: u16| before.contains(&port) && !after.contains(&port);
    let named: Vec<u16> = given.iter().filter_map(Given::port).collect();
    let any_goes = named.iter().any(|port| goes(*port));
    let moves = |port: u16| {
        if any_goes {
            goes(port)
        } else {
            port == 22 || !named.contains(&22)
        }
    };
    let mut new: Vec<u16> = after.to_vec();
    new.retain(|port| !before.contains(port));
    let mut pending = new.clone();
    given
        .into_iter()
        .map(|option| {
            let port = option.port().unwrap_or_default();
            let mut instead = Vec::new();
            if !goes(port) {
                instead.push(option.clone());
            }
            if moves(port) {
                // Each place gets the new ports; a plain port is named once.
                let place = option.sets("listenaddress");
                let ports = if place {
                    new.clone()
                } else {
                    std::mem::take(&mut pending)
                };
                instead.extend(ports.iter().map(|port| option.with_port(*port)));
            }
            (option, instead)
        })
        .collect()
}

/// The plain ports that the command line names after the move.
pub fn ports(arguments: &[String], before: &[u16], after: &[u16]) -> Vec<u16> {
    let moved = moved(arguments, before, after)
        .into_iter()
        .flat_map(|(_, new)| new);
    moved
        .filter(|given| !given.sets("listenaddress"))
        .filter_map(|given| given.port())
        .collect()
}

/// The arguments after the move.
pub fn after(arguments: &[String], before: &[u16], after: &[u16]) -> Vec<String> {
    let mut moved = moved(arguments, before, after);
    options(arguments)
        .into_iter()
        .flat_map(|given| match moved.iter().position(|(old, _)| *old == given) {
            Some(at) => moved.remove(at).1,
            None => vec![given],
        })
        .flat_map(|given| given.words().collect::<Vec<_>>())
        .collect()
}

/// The changes of the files that give sshd its command line: `SSHD_OPTS` in `/etc/default/ssh`, `OPTIONS` in
/// `/etc/sysconfig/sshd`, `ExecStart` of a unit in `/etc`. Empty when no option needs to change.
pub fn rewrite(ssh: &SshFacts, before: &[u16], after: &[u16]) -> Result<Vec<FileChange>, SshdObstacle> {
    let mut changes: Vec<FileChange> = Vec::new();
    for (option, instead) in moved(&ssh.args, before, after) {
        if instead == [option.clone()] {
            continue;
        }
        let text: Vec<String> = option.spellings();
        let found = ssh.start.iter().find_map(|(path, content)| {
            let known = changes.iter().find(|change| change.path == *path);
            let now = known.and_then(|change| change.after.as_ref()).unwrap_or(content);
            let after = text
                .iter()
                .find_map(|spelling| replaced(path, now, spelling, &option, &instead))?;
            Some((path, content, after))
        });
        let Some((path, content, after)) = found else {
            return Err(SshdObstacle::CommandLine(
                option.words().collect::<Vec<_>>().join(" "),
            ));
        };
        changes.retain(|change| change.path != *path);
        changes.push(FileChange {
            path: path.clone(),
            before: Some(content.clone()),
            after: Some(after),
        });
    }
    Ok(changes)
}

/// The text with one spelling of an option replaced, where it stands alone in a line that counts.
fn replaced(path: &Path, text: &str, spelling: &str, option: &Given, instead: &[Given]) -> Option<String> {
    let unit = path.extension().is_some_and(|e| e == "service" || e == "conf");
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let counts =
            !line.trim_start().starts_with('#') && (!unit || line.trim_start().starts_with("ExecStart="));
        if let Some(at) = line.find(spelling).filter(|_| counts) {
            let (head, tail) = (&line[..at], &line[at + spelling.len()..]);
            let edge = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || "\"'=".contains(c));
            if edge(head.chars().next_back()) && edge(tail.chars().next()) {
                let old = option.port()?.to_string();
                let new: Vec<String> = instead
                    .iter()
                    .filter_map(|given| Some((spelling.rfind(&old)?, given.port()?)))
                    .map(|(at, port)| format!("{}{port}{}", &spelling[..at], &spelling[at + old.len()..]))
                    .collect();
                return Some(format!(
                    "{}{head}{}{tail}{}",
                    &text[..start],
                    new.join(" "),
                    &text[start + line.len()..]
                ));
            }
        }
        start += line.len();
    }
    None
}

/// Reads arguments. A title of a process shows `-o "Port 22"` without the quotes: the value is then put together again.
pub fn options(arguments: &[String]) -> Vec<Given> {
    let mut found = Vec::new();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.strip_prefix('-') else {
            continue;
        };
        for (at, flag) in letters.char_indices() {
            if !WITH_VALUE.contains(flag) {
                found.push(Given { flag, value: None });
                continue;
            }
            let glued = &letters[at + flag.len_utf8()..];
            let mut value = if glued.is_empty() {
                rest.next().cloned()
            } else {
                Some(glued.to_owned())
            };
            if flag == 'o'
                && value.as_ref().is_some_and(|v| !v.contains(['=', ' ']))
                && let Some(more) = rest.next_if(|word| !word.starts_with('-'))
            {
                value = value.map(|word| format!("{word}={more}"));
            }
            found.push(Given { flag, value });
            break;
        }
    }
    found
}

/// Those arguments that change the configuration, for asking `sshd -T` the same question: `-f`, `-o`, `-p`, `-4`, `-6` ...
pub fn config_arguments(arguments: &[String]) -> Vec<String> {
    options(arguments)
        .iter()
        .filter(|given| "fophc46".contains(given.flag))
        .flat_map(Given::words)
        .collect()
}

/// Those that a second sshd on another port needs as well: all but file, port, address with a port, and pid file.
pub fn carried(arguments: &[String]) -> Vec<String> {
    options(arguments)
        .iter()
        .filter(|given| "ohc46".contains(given.flag) && !given.sets("pidfile"))
        .filter(|given| !given.listens() || (given.sets("listenaddress") && given.port().is_none()))
        .flat_map(Given::words)
        .collect()
}

/// The file that `-f` names.
pub fn config_file(arguments: &[String]) -> Option<PathBuf> {
    options(arguments)
        .into_iter()
        .find(|given| given.flag == 'f')
        .and_then(|given| given.value.map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn started(args: &str, path: &str, text: &str) -> SshFacts {
        SshFacts {
            args: words(args),
            start: vec![(path.into(), text.to_owned())],
            ..SshFacts::default()
        }
    }

    #[test]
    fn an_option_is_changed_where_it_is_written() {
        for (args, text, ports, wanted) in [
            (
                "-D -p 22",
                "# -p 22\nSSHD_OPTS=\"-p 22 -4\"\n",
                [33001].as_slice(),
                "# -p 22\nSSHD_OPTS=\"-p 33001 -4\"\n",
            ),
            (
                "-D -p 22",
                "SSHD_OPTS=-p22\n",
                &[22, 33001],
                "SSHD_OPTS=-p22 -p33001\n",
            ),
            (
                "-D -o Port=22",
                "OPTIONS='-o Port=22'",
                &[33001],
                "OPTIONS='-o Port=33001'",
            ),
            (
                "-D -o Port 22",
                "OPTIONS='-o \"Port 22\"'",
                &[33001],
                "OPTIONS='-o \"Port 33001\"'",
            ),
            (
                "-D -o ListenAddress=10.0.0.1:22 -o ListenAddress=[::1]:2222",
                "OPTIONS=-o ListenAddress=10.0.0.1:22 -o ListenAddress=[::1]:2222\n",
                &[33001],
                "OPTIONS=-o ListenAddress=10.0.0.1:33001 -o ListenAddress=[::1]:2222\n",
            ),
        ] {
            let ssh = started(args, "/etc/default/ssh", text);
            let changes = rewrite(&ssh, &[22], ports).expect(args);
            assert_eq!(changes[0].after.as_deref(), Some(wanted), "{args}");
        }
        let unit = "[Service]\nDescription=-p 22\nExecStart=\nExecStart=/usr/sbin/sshd -D -p 22\n";
        let ssh = started("-D -p 22", "/etc/systemd/system/ssh.service.d/port.conf", unit);
        let changes = rewrite(&ssh, &[22], &[33001]).expect("found");
        assert!(changes[0].after.as_ref().is_some_and(|text| {
            text.ends_with("=-p 22\nExecStart=\nExecStart=/usr/sbin/sshd -D -p 33001\n")
        }));
        assert_eq!(
            after(&words("-D -p 22 -4"), &[22], &[33001]),
            words("-D -p 33001 -4")
        );
    }

    #[test]
    fn an_option_that_is_found_nowhere_is_named() {
        let ssh = started("-D -p 22", "/etc/default/ssh", "SSHD_OPTS=-p 2222\n");
        let error = rewrite(&ssh, &[22], &[33001]).expect_err("refused");
        assert!(error.to_string().contains("-p 22"), "{error}");
        assert_eq!(
            rewrite(&ssh, &[2222], &[2222, 33001]).map(|_| ()),
            Err(SshdObstacle::CommandLine("-p 22".into()))
        );
        assert_eq!(rewrite(&started("-D", "/x", ""), &[22], &[33001]), Ok(vec![]));
    }

    #[test]
    fn what_decides_where_sshd_listens_is_told_from_the_rest() {
        let line = words(
            "-D4 -p 22 -oPort=2222 -o ListenAddress 10.0.0.1 -o UsePAM=no -o PidFile=/run/x -h/etc/k -E log -f /etc/c",
        );
        let given: Vec<Given> = options(&line).into_iter().filter(Given::listens).collect();
        assert_eq!(given.len(), 3, "{given:?}");
        assert_eq!(given[2].setting(), Some(("listenaddress".into(), "10.0.0.1")));
        assert_eq!(
            carried(&line),
            words("-4 -o ListenAddress=10.0.0.1 -o UsePAM=no -h /etc/k")
        );
        assert_eq!(
            config_arguments(&line),
            words(
                "-4 -p 22 -o Port=2222 -o ListenAddress=10.0.0.1 -o UsePAM=no -o PidFile=/run/x -h /etc/k -f /etc/c"
            )
        );
        assert_eq!(config_file(&line), Some("/etc/c".into()));
    }
}
