//! What titles, variables and names of terminals say about a login. Pure.

use std::net::{IpAddr, SocketAddr};

use super::super::processes::Terminal;

/// What `SSH_CONNECTION` says: client first.
pub type Tuple = (SocketAddr, SocketAddr);

/// sshd shows in its title what it does: `sshd: root@pts/0`, `sshd-session: joe [priv]`, `sshd: /usr/sbin/sshd -D [listener] ...`.
pub fn is_connection_title(title: &str) -> bool {
    (title.starts_with("sshd: ") || title.starts_with("sshd-session: ")) && !title.contains("[listener]")
}

/// The user in `sshd: root@pts/0`, once the login is authenticated; before that, and in helpers, the title ends in a bracket.
pub fn authenticated_user(title: &str) -> Option<&str> {
    if !is_connection_title(title) || title.ends_with(']') {
        return None;
    }
    let (user, _terminal) = title.split_once(": ")?.1.rsplit_once('@')?;
    (!user.is_empty()).then_some(user)
}

/// The user in the title of a connection's process, whichever of its processes that is.
pub fn title_user(title: &str) -> Option<String> {
    let user = authenticated_user(title).or_else(|| {
        let rest = title.split_once(": ")?.1.strip_suffix(" [priv]")?;
        (is_connection_title(title) && rest != "unknown").then_some(rest)
    })?;
    Some(user.to_owned())
}

/// Client and server in `SSH_CONNECTION`.
pub fn parse_ssh_connection(text: &str) -> Option<Tuple> {
    let mut word = text.split_ascii_whitespace();
    let mut end = || -> Option<SocketAddr> {
        // A scope such as `fe80::1%eth0` does not show in /proc/net/tcp6.
        let address: IpAddr = word.next()?.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(
            address.to_canonical(),
            word.next()?.parse().ok()?,
        ))
    };
    Some((end()?, end()?))
}

/// Process numbers in lines of `ACTIVITY PID`, the latest activity first.
pub fn parse_tmux_clients(text: &str) -> Vec<u32> {
    let mut clients: Vec<(u64, u32)> = text
        .lines()
        .filter_map(|line| {
            let (activity, pid) = line.trim().split_once(' ')?;
            Some((activity.parse().ok()?, pid.parse().ok()?))
        })
        .collect();
    clients.sort_unstable_by(|a, b| b.cmp(a));
    clients.into_iter().map(|(_, pid)| pid).collect()
}

/// The effective user and group in `/proc/PID/status`.
pub fn effective_ids(status: &str) -> Option<(u32, u32)> {
    let effective = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Some((effective("Uid:")?, effective("Gid:")?))
}

/// What a device file is.
pub fn terminal_of_path(target: &str) -> Option<Terminal> {
    if let Some(number) = target.strip_prefix("/dev/pts/") {
        return number.parse().ok().map(Terminal::Pts);
    }
    if let Some(number) = target.strip_prefix("/dev/tty").and_then(|n| n.parse().ok()) {
        return (number > 0).then_some(Terminal::Console(number));
    }
    let serial = [
        "/dev/ttyS",
        "/dev/hvc",
        "/dev/ttyAMA",
        "/dev/ttyUSB",
        "/dev/console",
    ];
    serial
        .iter()
        .any(|s| target.starts_with(s))
        .then_some(Terminal::Serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn titles_tell_who_has_logged_in() {
        for (title, user) in [
            ("sshd: root@pts/0", Some("root")),
            ("sshd: root@notty", Some("root")),
            ("sshd: joe@example.com@pts/3", Some("joe@example.com")),
            ("sshd-session: root@notty", Some("root")),
            ("sshd-session: joe [priv]", None),
            ("sshd: unknown [net]", None),
            ("sshd-auth: joe [net]", None),
            ("sshd: [accepted]", None),
            (
                "sshd: /usr/sbin/sshd -D -o User=a@b [listener] 0 of 10-100 startups",
                None,
            ),
            ("/usr/sbin/sshd -D", None),
        ] {
            assert_eq!(authenticated_user(title), user, "{title}");
        }
        assert_eq!(title_user("sshd-session: joe [priv]").as_deref(), Some("joe"));
        assert_eq!(title_user("sshd: unknown [priv]"), None);
    }

    #[test]
    fn the_environment_variable_is_read_in_both_families() {
        let (client, server) = parse_ssh_connection("10.99.21.1 34510 10.99.21.2 22").expect("a tuple");
        assert_eq!(
            (client.to_string(), server.to_string()),
            ("10.99.21.1:34510".into(), "10.99.21.2:22".into())
        );
        let (client, server) =
            parse_ssh_connection("fe80::1%host0 40000 ::ffff:10.0.0.2 33001").expect("a tuple");
        assert_eq!(client.to_string(), "[fe80::1]:40000");
        assert_eq!(server.to_string(), "10.0.0.2:33001");
        assert!(parse_ssh_connection("10.99.21.1 34510 10.99.21.2").is_none());
    }

    #[test]
    fn the_tmux_client_that_was_used_last_comes_first() {
        assert_eq!(parse_tmux_clients("1700000001 40\n1700000009 41\nx\n"), [41, 40]);
    }

    #[test]
    fn terminals_are_known_by_their_names() {
        assert_eq!(terminal_of_path("/dev/pts/12"), Some(Terminal::Pts(12)));
        assert_eq!(terminal_of_path("/dev/tty1"), Some(Terminal::Console(1)));
        assert_eq!(terminal_of_path("/dev/ttyS0"), Some(Terminal::Serial));
        assert_eq!(terminal_of_path("/dev/tty"), None);
        assert_eq!(terminal_of_path("/dev/pts/ptmx"), None);
    }

    #[test]
    fn the_effective_ids_are_the_second_numbers() {
        let status = "Name:\ttmux\nUid:\t0\t1\t2\t3\nGid:\t10\t11\t12\t13\n";
        assert_eq!(effective_ids(status), Some((1, 11)));
        assert_eq!(effective_ids("Uid:\t0\t1\nGid:\tx\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "(?s).{0,120}") {
            let _ = authenticated_user(&text);
            let _ = title_user(&text);
            let _ = parse_ssh_connection(&text);
            let _ = parse_tmux_clients(&text);
            let _ = effective_ids(&text);
            let _ = terminal_of_path(&text);
        }
    }
}
