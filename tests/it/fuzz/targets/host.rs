//! What the kernel, systemd and Aspera's own files say of the host.

use faspwall::engine::detect::aspera::conf::{Conf, manifest};
use faspwall::engine::detect::firewall::units::parse_units;
use faspwall::engine::detect::links::{parse_addresses, parse_links};
use faspwall::engine::detect::processes::{parse_stat, socket_inode};
use faspwall::engine::detect::session::words::{
    authenticated_user, parse_ssh_connection, parse_tmux_clients, terminal_of_path, title_user,
};
use faspwall::engine::detect::sockets;
use faspwall::engine::detect::sshd::units::{parse_socket, parse_units as units_of_sshd};
use faspwall::product::edit::{Edit, Place, edited};
use faspwall::product::merge::taken_back;

pub fn sockets(bytes: &[u8]) {
    let text = super::text(bytes);
    let found = sockets::parse(&text);
    assert!(found.len() < text.lines().count().max(1), "the heading was read");
    for socket in found {
        assert_eq!(socket.local.ip().to_canonical(), socket.local.ip());
    }
}

pub fn processes(bytes: &[u8]) {
    let text = super::text(bytes);
    for line in text.lines() {
        if let Some(process) = parse_stat(line) {
            let _ = (process.terminal(), process.is_sshd());
        }
        if let Some(user) = authenticated_user(line) {
            assert!(!user.is_empty() && line.contains(user));
        }
        drop((
            title_user(line),
            parse_ssh_connection(line),
            terminal_of_path(line),
            socket_inode(line),
        ));
    }
    assert!(parse_tmux_clients(&text).len() <= text.lines().count());
}

/// Three texts: addresses, and default routes of each family.
pub fn links(bytes: &[u8]) {
    let [addresses, v4, v6] = super::parts(bytes);
    let own = parse_addresses(&addresses);
    assert!(own.is_sorted_by_key(std::net::IpAddr::is_ipv6));
    for link in parse_links(&addresses, &[v4, v6], own.first().copied()) {
        assert!(!link.name.is_empty());
        assert!(
            link.addresses
                .iter()
                .all(|net| net.prefix_len() <= net.max_prefix_len())
        );
    }
}

pub fn units(bytes: &[u8]) {
    let text = super::text(bytes);
    for (id, unit) in parse_units(&text) {
        assert!(!id.is_empty());
        drop((unit.restored_file(), unit.file_after(&["-f"]), unit.runs("nft")));
    }
    for unit in units_of_sshd(&text) {
        assert!(!unit.id.is_empty() && unit.main_pid != Some(0));
    }
    let socket = parse_socket(&text);
    assert!(socket.streams.iter().all(|stream| text.contains(stream)));
    assert!(socket.service.is_none_or(|name| !name.is_empty()));
}

pub fn aspera(bytes: &[u8]) {
    let text = super::text(bytes);
    let conf = Conf::parse(&text);
    for problem in &conf.problems {
        assert!(
            problem.starts_with("line "),
            "a problem without a place: {problem}"
        );
    }
    drop(manifest(&text));
}

/// Two texts: the file, and what somebody adds to it afterwards. Values are put in place, twice is once, and taken back
/// the file is the same.
pub fn aspera_edit(bytes: &[u8]) {
    let [before, more] = super::parts(bytes);
    let element = |path, value: &str| Edit {
        place: Place::Element(path),
        value: value.to_owned(),
    };
    let edits = [
        element(&["server", "ssh_port"], "33001"),
        element(
            &["default", "transfer", "protocol_options", "bind_udp_port"],
            "33002",
        ),
        Edit {
            place: Place::Attribute {
                element: "web",
                name: "SshPort",
            },
            value: String::from("33001"),
        },
        Edit {
            place: Place::Trunks,
            value: String::from("55002"),
        },
    ];
    let after = match edited(&before, &edits) {
        Ok(after) => after,
        Err(error) => {
            super::readable(&error.to_string());
            assert!(
                error.to_string().starts_with("line "),
                "an error without a place: {error}"
            );
            return;
        }
    };
    assert_eq!(edited(&after, &edits).as_ref(), Ok(&after), "twice is not once");
    let conf = Conf::parse(&after);
    assert_eq!(
        (conf.ssh_port, conf.udp_port),
        (Some(33001), Some(33002)),
        "{after}"
    );
    assert_eq!(
        taken_back(&before, &after, &after),
        before,
        "taken back, the file is not the same"
    );
    drop(taken_back(&before, &after, &format!("{after}{more}")));
}
