//! How sshd comes to listen on other ports: a drop-in where the main file includes a directory before its first Match,
//! else a line at the top of the main file.
//!
//! `Port` accumulates over all files, everything else is taken from its first mention. So a port that shall go must be
//! taken out wherever it is written, and a port that shall stay must be written as soon as another one is.

use std::path::{Path, PathBuf};

use super::by_hand::{by_hand, is_moved_here};
use super::command_line;
use super::config;
use super::listen::Places;
use super::{neighbours, socket};
use crate::facts::{Activation, SshFacts};

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
    /// It runs without the directory that it locks itself into before a login.
    #[error(
        "sshd turns every new login away, because its directory {0} is missing. Make it, log in once more, and run this again:   \
         mkdir -m 0755 {0}"
    )]
    NoDirectory(String),
    /// Nobody outside can reach it.
    #[error(
        "sshd listens on loopback addresses only (ListenAddress): another port would be out of reach as well. Let it \
         listen on an address that others reach, or choose daemon = \"leave\""
    )]
    Loopback,
    /// Ports come from the command line.
    #[error(
        "sshd was started with {0}, and that was found in none of the files from which its service takes options: ports given \
         on the command line overrule its files. Change it where sshd is started, or choose daemon = \"leave\""
    )]
    CommandLine(String),
    /// No OpenSSH server that we know how to move.
    #[error(
        "{daemon} is not moved by faspwall. {first} daemon = \"leave\" in [ssh]: the firewall is changed alone"
    )]
    Other {
        /// What it is.
        daemon: String,
        /// What comes before the answer: steps for people, where it does not listen there yet.
        first: String,
    },
    /// No sshd runs.
    #[error(
        "no sshd is listening on this host: start it first (systemctl start ssh), or choose daemon = \"leave\""
    )]
    None,
}

/// Whether sshd can be moved at all, by its facts.
fn movable(ssh: &SshFacts, ports: &[u16]) -> Result<(), SshdObstacle> {
    if ssh.ports.is_empty() && ssh.activation == Activation::None {
        return Err(SshdObstacle::None);
    }
    if !is_moved_here(ssh) {
        let port = ports.last().copied().unwrap_or(22);
        let first = if ssh.ports.contains(&port) {
            format!("It listens on TCP/{port} already: set")
        } else {
            format!("By hand:\n{}\nThen set", by_hand(&ssh.daemon, port).join("\n"))
        };
        return Err(SshdObstacle::Other {
            daemon: ssh.daemon.clone(),
            first,
        });
    }
    if let Some(error) = &ssh.config.error {
        let missing = error.split_once("Missing privilege separation directory: ");
        let directory = missing.and_then(|(_, rest)| rest.split_whitespace().next());
        return Err(match directory {
            Some(directory) => SshdObstacle::NoDirectory(directory.to_owned()),
            None => SshdObstacle::Unreadable(error.clone()),
        });
    }
    // With a socket systemd opens the port, whatever sshd is told.
    let socket = matches!(ssh.activation, Activation::Socket(_));
    if !socket && Places::of(ssh).only_loopback() {
        return Err(SshdObstacle::Loopback);
    }
    Ok(())
}

/// Whether the main file includes the drop-in before its first Match. A relative name is looked for in `/etc/ssh`.
fn includes_drop_ins(main: &str) -> bool {
    let (dir, name) = DROP_IN.rsplit_once('/').unwrap_or_default();
    let reads = |pattern: &String| {
        let pattern = Path::new("/etc/ssh").join(pattern);
        let file = pattern
            .file_name()
            .map(|n| n.to_string_lossy())
            .unwrap_or_default();
        pattern.parent() == Some(Path::new(dir)) && config::matches_glob(&file, name)
    };
    config::parse(main)
        .iter()
        .take_while(|line| !line.in_match)
        .any(|line| line.keyword == "include" && line.arguments.iter().any(reads))
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
            let lines = config::parse(content).into_iter();
            let lines = lines.filter(|line| line.keyword == "port");
            lines
                .filter_map(|line| line.arguments.first()?.parse().ok())
                .collect()
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
    movable(ssh, ports)?;
    let mut changes = Vec::new();
    let Some((main_path, main)) = ssh.config.files.first() else {
        return Err(SshdObstacle::Unreadable(format!(
            "{} is not there",
            ssh.config.main.display()
        )));
    };
    let places = Places::of(ssh);
    let before = ssh.config.listening();
    let drop_in = includes_drop_ins(main);
    let socket = matches!(ssh.activation, Activation::Socket(_));
    let started = if socket {
        Vec::new()
    } else {
        command_line::rewrite(ssh, &before, ports)?
    };
    // Where every place has a port of its own, or -p overrules the files, their Port lines do not count.
    let counts = places.open && (socket || !command_line::overrules_files(&ssh.args));
    let mut wanted: Vec<u16> = if counts { ports.to_vec() } else { Vec::new() };
    if !started.is_empty() {
        let named = command_line::ports(&ssh.args, &before, ports);
        wanted.retain(|port| !named.contains(port));
    }
    for (path, content) in &ssh.config.files {
        if path.as_os_str() == DROP_IN {
            continue;
        }
        let theirs = if path == main_path && counts {
            without_our_top(content).0
        } else {
            content
        };
        let mut after = places.rewrite(theirs, MARK, &before, ports);
        if counts {
            after = without_ports(&after, ports, &mut wanted);
        }
        if path == main_path && !drop_in && counts {
            after = with_lines_on_top(&after, &wanted_lines(ports));
        }
        if after != *content {
            changes.push(FileChange {
                path: path.clone(),
                before: Some(content.clone()),
                after: Some(after),
            });
        }
    }
    changes.extend(started);
    if drop_in && counts {
        changes.extend(drop_in_change(ssh, &wanted));
    }
    if let (Activation::Socket(unit), Some(socket)) = (&ssh.activation, &ssh.socket) {
        changes.extend(socket::listen_on(unit, socket, &ssh.ports, ports));
    }
    if !changes.is_empty() {
        changes.extend(neighbours::watch(ssh, ports));
    }
    Ok(changes)
}

/// Our drop-in with these ports; it goes when there are none.
fn drop_in_change(ssh: &SshFacts, ports: &[u16]) -> Option<FileChange> {
    let mut files = ssh.config.files.iter();
    let before = files
        .find(|(path, _)| path.as_os_str() == DROP_IN)
        .map(|(_, content)| content.clone());
    let after = format!(
        "# Written by faspwall. Go back with: faspwall rollback\n{}",
        wanted_lines(ports)
    );
    let after = (!ports.is_empty()).then_some(after);
    (before != after).then(|| FileChange {
        path: PathBuf::from(DROP_IN),
        before,
        after,
    })
}

fn wanted_lines(ports: &[u16]) -> String {
    ports.iter().map(|port| format!("Port {port}\n")).collect()
}

/// Comments out Port lines that shall go; a line that shall stay is struck from `wanted`.
fn without_ports(content: &str, ports: &[u16], wanted: &mut Vec<u16>) -> String {
    let lines = config::parse(content);
    let mut after = String::with_capacity(content.len() + 64);
    for (index, raw) in content.split_inclusive('\n').enumerate() {
        let line = lines
            .iter()
            .find(|line| line.number == index + 1 && line.keyword == "port" && !line.in_match);
        if let Some(line) = line {
            let port = line.arguments.first().and_then(|value| value.parse::<u16>().ok());
            match port.filter(|port| ports.contains(port)) {
                Some(port) => wanted.retain(|w| *w != port),
                None => after.push_str(MARK),
            }
        }
        after.push_str(raw);
    }
    after
}

fn with_lines_on_top(content: &str, lines: &str) -> String {
    if lines
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
    use crate::facts::SshdConfig;

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
    fn a_listen_address_with_a_port_is_changed_in_its_place() {
        let main = format!("{DEBIAN}ListenAddress ::1\nListenAddress 192.0.2.1:22\n");
        let changes = listen_on(&facts(&[("/etc/ssh/sshd_config", &main)]), &[33001]).expect("movable");
        let text = after(&changes, "/etc/ssh/sshd_config").expect("changed");
        assert!(
            text.ends_with("::1\n#faspwall ListenAddress 192.0.2.1:22\nListenAddress 192.0.2.1:33001\n"),
            "{text}"
        );
        assert!(after(&changes, DROP_IN).expect("written").contains("Port 33001"));
        let only = "ListenAddress 192.0.2.1:22\nInclude sshd_config.d/*.conf\n";
        let changes = listen_on(&facts(&[("/etc/ssh/sshd_config", only)]), &[33001]).expect("movable");
        assert_eq!(after(&changes, DROP_IN), None, "a Port line would not count");
        let error = listen_on(
            &facts(&[("/etc/ssh/sshd_config", "ListenAddress [::1]:22\n")]),
            &[33001],
        );
        assert!(error.expect_err("refused").to_string().contains("loopback"));
    }

    #[test]
    fn what_is_no_openssh_of_unix_is_told_how_to_move() {
        for (daemon, words) in [
            ("dropbear", "add -p 33001 to DROPBEAR_EXTRA_ARGS"),
            ("OpenSSH_for_Windows_9.5p1", "Restart-Service sshd"),
            ("other", "let it listen on TCP/33001"),
        ] {
            let mut ssh = facts(&[("/etc/ssh/sshd_config", DEBIAN)]);
            ssh.daemon = daemon.into();
            let error = listen_on(&ssh, &[33001]).expect_err("refused");
            assert!(error.to_string().contains(words), "{error}");
            assert!(
                error.to_string().contains("Then set daemon = \"leave\""),
                "{error}"
            );
            ssh.ports = vec![22, 33001];
            let error = listen_on(&ssh, &[33001]).expect_err("refused");
            assert!(
                error.to_string().contains("already: set daemon = \"leave\""),
                "{error}"
            );
        }
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
