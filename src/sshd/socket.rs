//! A systemd socket that holds sshd's port: which streams it gets, and the drop-in that says so.
//!
//! sshd's own `Port` lines decide nothing then, unless a generator makes the streams out of them. They are written all the
//! same: should the host be switched from the socket to the service one day, sshd is where the firewall expects it.
//!
//! Three shapes are known. Debian: `ListenStream=22` in the unit, changed by a drop-in. Ubuntu 22.10 to 23.10: an upgrade
//! wrote `/etc/systemd/system/ssh.socket.d/addresses.conf` once; a drop-in with a later name wins. Ubuntu 24.04 and later:
//! `sshd-socket-generator` reads sshd's configuration at boot and at every `daemon-reload` and writes
//! `/run/systemd/generator/ssh.socket.d/addresses.conf`, nothing for the default ports. The first was tried on real
//! machines, the other two are from Ubuntu's documentation and the generator's source.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::change::FileChange;
use crate::facts::SocketFacts;

/// Where a generator puts what it made.
const GENERATED: &str = "/run/systemd/generator";

/// Our drop-in for a socket unit: its name comes after all usual ones, the last one wins.
pub fn drop_in(unit: &str) -> PathBuf {
    Path::new("/etc/systemd/system")
        .join(format!("{unit}.d"))
        .join("zz-faspwall.conf")
}

/// A stream of a socket unit that is a place in the network, cut before its port.
fn cut(stream: &str) -> Option<(&str, u16)> {
    let (host, port) = stream.rsplit_once(':').unwrap_or(("", stream));
    let address = host.trim_matches(['[', ']']);
    let place = host.is_empty() || address.parse::<IpAddr>().is_ok();
    port.parse().ok().filter(|_| place).map(|port| (host, port))
}

/// The port of a stream such as `[::]:22` or `22`; `None` for a path, a vsock address, and the loopback address.
pub fn port_of(stream: &str) -> Option<u16> {
    let (host, port) = cut(stream)?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    (!address.is_ok_and(|address| address.is_loopback())).then_some(port)
}

/// The streams with sshd's ports changed from some to others, in the order in which they stood.
pub fn streams(now: &[String], before: &[u16], after: &[u16]) -> Vec<String> {
    let goes = |port: u16| before.contains(&port) && !after.contains(&port);
    let named: BTreeSet<u16> = now.iter().filter_map(|stream| port_of(stream)).collect();
    let any_goes = named.iter().any(|port| goes(*port));
    let added: Vec<u16> = after
        .iter()
        .copied()
        .filter(|port| !before.contains(port))
        .collect();
    // The new port goes where the old one was; where nothing goes, beside the usual one.
    let moving = |port: u16| {
        if any_goes {
            goes(port)
        } else {
            port == 22 || !named.contains(&22)
        }
    };
    let mut known = HashSet::new();
    let mut found: Vec<String> = Vec::new();
    let mut add = |stream: String| {
        if known.insert(stream.clone()) {
            found.push(stream);
        }
    };
    for stream in now {
        let Some(port) = port_of(stream) else {
            add(stream.clone());
            continue;
        };
        if !goes(port) {
            add(stream.clone());
        }
        if moving(port) {
            let host = cut(stream).map_or("", |(host, _)| host);
            let separator = if host.is_empty() { "" } else { ":" };
            added
                .iter()
                .for_each(|port| add(format!("{host}{separator}{port}")));
        }
    }
    found
}

/// The change of the socket's drop-in, if it needs one: a generator that alone decides follows sshd's own files.
pub fn listen_on(unit: &str, socket: &SocketFacts, before: &[u16], after: &[u16]) -> Option<FileChange> {
    let path = drop_in(unit);
    let by_hand = socket.drop_ins.iter().any(|file| !file.starts_with(GENERATED));
    if socket.generator && !by_hand {
        return None;
    }
    let wanted = streams(&socket.streams, before, after);
    if wanted == socket.streams {
        return None;
    }
    let lines: String = wanted
        .iter()
        .map(|stream| format!("ListenStream={stream}\n"))
        .collect();
    Some(FileChange {
        path,
        before: socket.ours.clone(),
        after: Some(format!(
            "# Written by faspwall. Go back with: faspwall rollback\n[Socket]\nListenStream=\n{lines}"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_places_in_the_network_have_a_port() {
        assert_eq!(port_of("22"), Some(22));
        assert_eq!(port_of("[::]:22"), Some(22));
        assert_eq!(port_of("0.0.0.0:2222"), Some(2222));
        for other in ["/run/ssh.sock", "vsock::22", "127.0.0.1:22", "@abstract:22"] {
            assert_eq!(port_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_new_port_goes_where_the_old_one_was() {
        let now = list(&[
            "0.0.0.0:22",
            "[::]:22",
            "127.0.0.1:22",
            "192.0.2.1:2222",
            "/run/x",
        ]);
        assert_eq!(
            streams(&now, &[22, 2222], &[2222, 33001]),
            [
                "0.0.0.0:33001",
                "[::]:33001",
                "127.0.0.1:22",
                "192.0.2.1:2222",
                "/run/x"
            ]
        );
        let both = streams(&list(&["22"]), &[22], &[22, 33001]);
        assert_eq!(both, ["22", "33001"]);
        assert_eq!(streams(&both, &[22, 33001], &[33001]), ["33001"]);
    }

    #[test]
    fn a_generator_follows_the_files_unless_somebody_overrules_it() {
        let mut socket = SocketFacts {
            streams: list(&["0.0.0.0:22", "[::]:22"]),
            generator: true,
            drop_ins: vec!["/run/systemd/generator/ssh.socket.d/addresses.conf".into()],
            ..SocketFacts::default()
        };
        assert_eq!(listen_on("ssh.socket", &socket, &[22], &[33001]), None);
        socket
            .drop_ins
            .push("/etc/systemd/system/ssh.socket.d/override.conf".into());
        let change = listen_on("ssh.socket", &socket, &[22], &[33001]).expect("a drop-in");
        assert_eq!(
            change.path,
            Path::new("/etc/systemd/system/ssh.socket.d/zz-faspwall.conf")
        );
        let text = change.after.expect("content");
        assert!(
            text.ends_with("ListenStream=\nListenStream=0.0.0.0:33001\nListenStream=[::]:33001\n"),
            "{text}"
        );
    }
}
