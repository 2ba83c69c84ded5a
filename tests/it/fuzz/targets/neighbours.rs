//! What decides beside sshd's own files: its command line, a socket of systemd, SELinux, fail2ban, TCP wrappers.

use std::collections::HashSet;

use faspwall::facts::{SocketFacts, SshFacts};
use faspwall::sshd::change::FileChange;
use faspwall::sshd::command_line::{after, options, ports, rewrite};
use faspwall::sshd::config::listener_command;
use faspwall::sshd::neighbours::{Label, jail_port, watch};
use faspwall::sshd::socket::{listen_on, port_of, streams};
use faspwall::sshd::wrappers::refused;

/// Three texts: the title of sshd's process, a file of its environment, and its unit. After a move the command line no
/// longer names the old port, and in the files nothing but an option with that port is another.
pub fn command_line(bytes: &[u8]) {
    let [title, environment, unit] = super::parts(bytes);
    let (_, arguments) = listener_command(&title);
    let moved = after(&arguments, &[22], &[33001]);
    assert_eq!(
        after(&moved, &[33001], &[33001]),
        moved,
        "what has moved moves again"
    );
    assert!(!ports(&arguments, &[22], &[33001]).contains(&22), "{moved:?}");
    let given = options(&arguments).len();
    let ssh = SshFacts {
        args: arguments,
        start: vec![
            ("/etc/default/ssh".into(), environment),
            ("/etc/systemd/system/ssh.service".into(), unit),
        ],
        ..SshFacts::default()
    };
    let changes = match rewrite(&ssh, &[22], &[33001]) {
        Ok(changes) => changes,
        Err(error) => return assert!(!error.to_string().trim().is_empty()),
    };
    let changed: usize = changes.iter().map(changed_lines).sum();
    assert!(
        changed <= given,
        "{changed} lines for {given} options: {changes:?}"
    );
}

fn changed_lines(change: &FileChange) -> usize {
    let before = change.before.as_deref().unwrap_or_default();
    let after = change.after.as_deref().unwrap_or_default();
    assert_eq!(
        before.split('\n').count(),
        after.split('\n').count(),
        "a line is lost or added in {}",
        change.path.display()
    );
    let both = before.split('\n').zip(after.split('\n'));
    both.filter(|(old, new)| old != new).count()
}

/// Lines are streams of a socket of systemd: those of others stay, and none is left on the old port.
pub fn socket(bytes: &[u8]) {
    let text = super::text(bytes);
    let now: Vec<String> = text.lines().map(str::to_owned).collect();
    let moved = streams(&now, &[22], &[33001]);
    assert!(
        !moved.iter().any(|stream| port_of(stream) == Some(22)),
        "{moved:?}"
    );
    let kept: HashSet<&String> = moved.iter().collect();
    for stream in now.iter().filter(|stream| port_of(stream) != Some(22)) {
        assert!(kept.contains(stream), "the stream {stream:?} is lost");
    }
    assert_eq!(
        streams(&moved, &[33001], &[33001]),
        moved,
        "what has moved moves again"
    );
    let socket = SocketFacts {
        streams: now,
        ..SocketFacts::default()
    };
    if let Some(change) = listen_on("ssh.socket", &socket, &[22], &[33001]) {
        let after = change.after.unwrap_or_default();
        let written: Vec<&str> = after
            .split('\n')
            .filter_map(|line| line.strip_prefix("ListenStream="))
            .collect();
        assert_eq!(written[1..], moved, "{after}");
    }
}

/// Four texts: what `semanage port -l` and `fail2ban-client -d` print, hosts.allow and hosts.deny.
pub fn neighbours(bytes: &[u8]) {
    let [labels, jails, allow, deny] = super::parts(bytes);
    if let Some(label) = Label::needed(&labels, 33001) {
        assert!(
            label
                .before
                .is_none_or(|kind| kind != "ssh_port_t" && labels.contains(&kind))
        );
    }
    let known = format!("{labels}\nssh_port_t tcp 22, 33000-33001\n");
    assert_eq!(
        Label::needed(&known, 33001),
        None,
        "sshd may bind what its type names"
    );
    let ssh = |jail| SshFacts {
        jail,
        ..SshFacts::default()
    };
    if let Some(port) = jail_port(&jails)
        && let Some(change) = watch(&ssh(Some((port, None))), &[33001])
    {
        let text = change.after.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines[1] == "[sshd]", "{text:?}");
        assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
        let watched = lines[2].strip_prefix("port = ").expect("the ports").to_owned();
        let again = watch(&ssh(Some((watched, Some(text)))), &[33001]);
        assert_eq!(again.map(|change| change.path), None, "twice is not once");
    }
    let from = "192.0.2.7".parse().expect("an address");
    let refused = |allow: &str, deny: &str| {
        refused(
            &SshFacts {
                wrappers: Some((allow.to_owned(), deny.to_owned())),
                ..SshFacts::default()
            },
            from,
        )
    };
    let told = refused(&allow, &deny);
    assert!(told.is_none_or(|text| text.contains("/etc/hosts.")));
    assert_eq!(
        refused(&format!("sshd: 192.0.2.7\n{allow}"), &deny),
        None,
        "the first line decides"
    );
    assert_eq!(
        refused("", &deny.replace('\n', "\n#").replacen("", "#", 1)),
        None,
        "a comment refuses"
    );
}
