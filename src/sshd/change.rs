//! How sshd comes to listen on other ports: a drop-in where the main file includes a directory before its first Match,
//! else a line at the top of the main file.
//!
//! `Port` accumulates over all files, everything else is taken from its first mention. So a port that shall go must be
//! taken out wherever it is written, and a port that shall stay must be written as soon as another one is.

use std::path::PathBuf;

use crate::facts::SshFacts;

/// Name of the drop-in: before every other, because names are read in order.
pub const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-faspwall.conf";
/// What marks a line that we took out of service in a file of the operator.
const MARK: &str = "#faspwall ";
/// Above lines of ours at the top of a main file that includes no drop-ins.
const NOTE: &str = "# The next lines were written by faspwall. Go back with: faspwall rollback";

/// Below them, where the operator's own first line could be taken for one of them.
const END: &str = "# So far the lines of faspwall.";

/// One file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// Its content now; `None` when it is not there.
    pub before: Option<String>,
    /// Its content afterwards; `None` when it shall be gone.
    pub after: Option<String>,
}

/// Why sshd's ports cannot be changed for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshdObstacle {
    /// `sshd -T` did not answer.
    #[error("sshd cannot read its own configuration: {0}. Mend it first: sshd -t names file and line")]
    Unreadable(String),
    /// A ListenAddress line with its own port decides.
    #[error(
        "{file} line {line} says \"{text}\": a ListenAddress with a port decides by itself, Port lines do not count for \
         it. Take the port out of that line, or choose daemon = \"leave\" and move sshd by hand"
    )]
    ListenAddress {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Its text.
        text: String,
    },
    /// Ports come from the command line.
    #[error(
        "sshd was started with {0}: ports given on the command line overrule its files. Change them where it is started, or choose daemon = \"leave\""
    )]
    CommandLine(String),
    /// systemd owns the port.
    #[error(
        "systemd holds the SSH port ({0}): sshd's own Port lines decide nothing. Change ListenStream there, or choose daemon = \"leave\""
    )]
    Socket(String),
    /// No OpenSSH server.
    #[error("{0} is not OpenSSH: its port must be changed by hand; choose daemon = \"leave\"")]
    Other(String),
    /// No sshd runs.
    #[error(
        "no sshd is listening on this host: start it first (systemctl start ssh), or choose daemon = \"leave\""
    )]
    None,
}

/// A `Port` or `ListenAddress` line of the files.
fn keyword(line: &str) -> (String, &str) {
    let line = line.trim_start();
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (
        word.to_ascii_lowercase(),
        rest.trim_matches(|c: char| c.is_whitespace() || c == '=' || c == '"'),
    )
}

/// Whether a ListenAddress value bears a port: `1.2.3.4:22`, `[::1]:22`, `host:22`, but not `::1`.
fn bears_port(value: &str) -> bool {
    let value = value.split_whitespace().next().unwrap_or_default();
    match value.strip_prefix('[') {
        Some(rest) => rest.contains("]:"),
        None => value.matches(':').count() == 1,
    }
}

/// Whether sshd can be moved at all, by its facts.
pub fn movable(ssh: &SshFacts) -> Result<(), SshdObstacle> {
    use crate::facts::Activation;
    if ssh.ports.is_empty() && ssh.activation == Activation::None {
        return Err(SshdObstacle::None);
    }
    if let Activation::Socket(unit) = &ssh.activation {
        return Err(SshdObstacle::Socket(unit.clone()));
    }
    if !ssh.daemon.is_empty() && !ssh.daemon.to_ascii_lowercase().contains("openssh") {
        return Err(SshdObstacle::Other(ssh.daemon.clone()));
    }
    if let Some(error) = &ssh.config.error {
        return Err(SshdObstacle::Unreadable(error.clone()));
    }
    let given = ssh.args.iter().find(|arg| {
        let option = arg.to_ascii_lowercase();
        arg.starts_with("-p")
            || option.starts_with("-oport")
            || option.starts_with("port=")
            || option.starts_with("-olistenaddress")
            || option.starts_with("listenaddress=")
    });
    if let Some(arg) = given {
        return Err(SshdObstacle::CommandLine(arg.clone()));
    }
    for (path, content) in &ssh.config.files {
        for (number, line) in content.lines().enumerate() {
            let (word, value) = keyword(line);
            if word == "listenaddress" && bears_port(value) {
                return Err(SshdObstacle::ListenAddress {
                    file: path.display().to_string(),
                    line: number + 1,
                    text: line.trim().to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Whether the main file includes the drop-in directory before its first Match.
fn includes_drop_ins(main: &str) -> bool {
    for line in main.lines() {
        let (word, value) = keyword(line);
        match word.as_str() {
            "match" => return false,
            "include"
                if value
                    .split_whitespace()
                    .any(|v| v.trim_matches('"') == "/etc/ssh/sshd_config.d/*.conf") =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// A main file without the lines that we put at its top, and the ports that those named.
fn without_our_top(main: &str) -> (&str, Vec<u16>) {
    let mut rest = match main.strip_prefix(NOTE).and_then(|rest| rest.strip_prefix('\n')) {
        Some(rest) => rest,
        None => return (main, Vec::new()),
    };
    let mut ports = Vec::new();
    while let Some((line, after)) = rest.split_once('\n') {
        let port = line.strip_prefix("Port ").and_then(|port| port.parse().ok());
        let Some(port) = port else {
            rest = if line == END { after } else { rest };
            break;
        };
        ports.push(port);
        rest = after;
    }
    (rest, ports)
}

/// The ports that stand in lines of ours: an earlier change made sshd listen there.
pub fn ours(ssh: &SshFacts) -> Vec<u16> {
    let files = ssh.config.files.iter().enumerate();
    let ports = files.flat_map(|(number, (path, content))| {
        if path.as_os_str() == DROP_IN {
            let lines = content.lines().map(keyword).filter(|(word, _)| word == "port");
            lines.filter_map(|(_, port)| port.parse().ok()).collect()
        } else if number == 0 {
            without_our_top(content).1
        } else {
            Vec::new()
        }
    });
    ports.collect()
}

/// The files that make sshd listen on exactly `ports` (ascending). Lines of others that name a port which shall go are
/// turned into comments that say so.
pub fn listen_on(ssh: &SshFacts, ports: &[u16]) -> Result<Vec<FileChange>, SshdObstacle> {
    movable(ssh)?;
    let mut changes = Vec::new();
    let Some((main_path, main)) = ssh.config.files.first() else {
        return Err(SshdObstacle::Unreadable(format!(
            "{} is not there",
            ssh.config.main.display()
        )));
    };
    let drop_in = includes_drop_ins(main);
    let mut wanted: Vec<u16> = ports.to_vec();
    for (path, content) in &ssh.config.files {
        if path.as_os_str() == DROP_IN {
            continue;
        }
        let theirs = if path == main_path {
            without_our_top(content).0
        } else {
            content
        };
        let after = without_ports(theirs, ports, &mut wanted);
        let after = if path == main_path && !drop_in {
            with_lines_on_top(&after, &wanted_lines(ports))
        } else {
            after
        };
        if after != *content {
            changes.push(FileChange {
                path: path.clone(),
                before: Some(content.clone()),
                after: Some(after),
            });
        }
    }
    if drop_in {
        let before = ssh
            .config
            .files
            .iter()
            .find(|(p, _)| p.as_os_str() == DROP_IN)
            .map(|(_, c)| c.clone());
        let after = format!(
            "# Written by faspwall. Go back with: faspwall rollback\n{}",
            wanted_lines(&wanted)
        );
        let after = (!wanted.is_empty()).then_some(after);
        if before != after {
            changes.push(FileChange {
                path: PathBuf::from(DROP_IN),
                before,
                after,
            });
        }
    }
    Ok(changes)
}

fn wanted_lines(ports: &[u16]) -> String {
    ports.iter().map(|port| format!("Port {port}\n")).collect()
}

/// Comments out Port lines that shall go, and in the main file without drop-ins all of them; a line that shall stay is
/// struck from `wanted`.
fn without_ports(content: &str, ports: &[u16], wanted: &mut Vec<u16>) -> String {
    let mut after = String::with_capacity(content.len() + 64);
    for line in content.split_inclusive('\n') {
        let (word, value) = keyword(line);
        let port = value
            .split_whitespace()
            .next()
            .and_then(|v| v.parse::<u16>().ok());
        match (word.as_str(), port) {
            ("port", Some(port)) if ports.contains(&port) => {
                wanted.retain(|w| *w != port);
                after.push_str(line);
            }
            ("port", _) => {
                after.push_str(MARK);
                after.push_str(line);
            }
            _ => after.push_str(line),
        }
    }
    after
}

fn with_lines_on_top(content: &str, lines: &str) -> String {
    let first = content.lines().map(keyword).find(|(word, _)| word == "port");
    if first.is_some()
        && lines
            .lines()
            .all(|line| content.lines().any(|l| l.trim() == line))
    {
        return content.to_owned();
    }
    let missing: String = lines
        .lines()
        .filter(|line| !content.lines().any(|l| l.trim() == *line))
        .fold(String::new(), |text, line| text + line + "\n");
    let end = if content.starts_with("Port ") {
        format!("{END}\n")
    } else {
        String::new()
    };
    format!("{NOTE}\n{missing}{end}{content}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Activation, SshdConfig};

    fn facts(files: &[(&str, &str)]) -> SshFacts {
        SshFacts {
            daemon: "OpenSSH_9.2p1".into(),
            ports: vec![22],
            activation: Activation::Service("ssh.service".into()),
            config: SshdConfig {
                main: "/etc/ssh/sshd_config".into(),
                files: files
                    .iter()
                    .map(|(p, c)| (PathBuf::from(p), (*c).to_owned()))
                    .collect(),
                ports: vec![22],
                ..SshdConfig::default()
            },
            ..SshFacts::default()
        }
    }

    const DEBIAN: &str = "Include /etc/ssh/sshd_config.d/*.conf\n#Port 22\nUsePAM yes\n";

    fn after(changes: &[FileChange], path: &str) -> Option<String> {
        changes
            .iter()
            .find(|c| c.path.as_os_str() == path)
            .and_then(|c| c.after.clone())
    }

    #[test]
    fn a_drop_in_names_every_port_that_shall_stay() {
        let changes = listen_on(&facts(&[("/etc/ssh/sshd_config", DEBIAN)]), &[22, 33001]).expect("movable");
        assert_eq!(changes.len(), 1);
        let text = after(&changes, DROP_IN).expect("written");
        assert!(text.contains("Port 22\nPort 33001\n"), "{text}");
    }

    #[test]
    fn an_explicit_port_line_is_taken_out_of_service_not_lost() {
        let main = "Include /etc/ssh/sshd_config.d/*.conf\nPort 22\n";
        let changes = listen_on(&facts(&[("/etc/ssh/sshd_config", main)]), &[33001]).expect("movable");
        assert_eq!(
            after(&changes, "/etc/ssh/sshd_config").as_deref(),
            Some("Include /etc/ssh/sshd_config.d/*.conf\n#faspwall Port 22\n")
        );
        assert!(after(&changes, DROP_IN).expect("written").contains("Port 33001"));
    }

    #[test]
    fn without_an_include_before_the_first_match_the_lines_go_to_the_top_of_the_main_file() {
        let main = "UsePAM yes\nMatch User x\n  X11Forwarding no\nInclude /etc/ssh/sshd_config.d/*.conf\n";
        let changes = listen_on(&facts(&[("/etc/ssh/sshd_config", main)]), &[33001]).expect("movable");
        let text = after(&changes, "/etc/ssh/sshd_config").expect("changed");
        assert!(
            text.find("Port 33001").expect("there") < text.find("Match").expect("there"),
            "{text}"
        );
        assert!(text.ends_with(main));
    }

    #[test]
    fn lines_of_ours_are_known_and_make_room_for_others() {
        let before = [("/etc/ssh/sshd_config", "UsePAM yes\nPort 2200\n")];
        let moved = listen_on(&facts(&before), &[2200, 33001]).expect("movable");
        let text = after(&moved, "/etc/ssh/sshd_config").expect("changed");
        let again = facts(&[("/etc/ssh/sshd_config", &text)]);
        assert_eq!(ours(&again), [33001]);
        let moved = listen_on(&again, &[2200, 2222]).expect("movable");
        assert_eq!(
            after(&moved, "/etc/ssh/sshd_config").expect("changed"),
            format!("{NOTE}\nPort 2222\nUsePAM yes\nPort 2200\n")
        );
        let drop_in = [
            ("/etc/ssh/sshd_config", DEBIAN),
            (DROP_IN, "# x\nPort 22\nPort 33001\n"),
        ];
        assert_eq!(ours(&facts(&drop_in)), [22, 33001]);
        assert_eq!(ours(&facts(&before)), [0_u16; 0]);
    }

    #[test]
    fn a_port_line_at_the_top_of_the_operators_file_is_not_taken_for_ours() {
        let path = "/etc/ssh/sshd_config";
        let both = listen_on(&facts(&[(path, "Port 22\nUsePAM yes\n")]), &[22, 33001]).expect("movable");
        let text = after(&both, path).expect("changed");
        assert!(text.ends_with("Port 22\nUsePAM yes\n"), "{text}");
        assert_eq!(ours(&facts(&[(path, &text)])), [33001]);
        let again = listen_on(&facts(&[(path, &text)]), &[22, 33001]).expect("movable");
        assert_eq!(again, []);
        let moved = listen_on(&facts(&[(path, &text)]), &[33001]).expect("movable");
        assert!(
            after(&moved, path)
                .expect("changed")
                .contains("#faspwall Port 22\n")
        );
    }

    #[test]
    fn a_listen_address_with_a_port_is_refused_with_its_place() {
        let main = format!("{DEBIAN}ListenAddress ::1\nListenAddress 127.0.0.1:22\n");
        let error = listen_on(&facts(&[("/etc/ssh/sshd_config", &main)]), &[33001]).expect_err("refused");
        assert!(error.to_string().contains("line 5"), "{error}");
    }

    #[test]
    fn nothing_is_written_when_sshd_already_listens_as_wanted() {
        let main = "Include /etc/ssh/sshd_config.d/*.conf\nPort 33001\n";
        assert_eq!(
            listen_on(&facts(&[("/etc/ssh/sshd_config", main)]), &[33001]).expect("movable"),
            vec![]
        );
    }
}
