//! Rehearsals.

use crate::matrix::{Blocker, Cell, Family, Rehearsal, SweepRow, Verdict};
use crate::port::{Direction, Protocol};

const STRANGER: [&str; 2] = ["198.51.100.9", "2001:db8:ffff::9"];
const YOU: &str = "10.0.0.7";

fn cell(id: &str, from: &str, protocol: Protocol, port: u16, wanted: Option<bool>) -> Cell {
    let (before, after) = match wanted {
        Some(true) => (Verdict::Drop, Verdict::Accept),
        Some(false) => (Verdict::Accept, Verdict::Drop),
        None => (Verdict::Drop, Verdict::Drop),
    };
    Cell {
        id: id.into(),
        from: from.into(),
        direction: Direction::In,
        protocol,
        port,
        family: if from.contains(':') {
            Family::Ipv6
        } else {
            Family::Ipv4
        },
        wanted,
        before,
        after,
        boot: wanted.map(|_| after),
    }
}

fn cells() -> Vec<Cell> {
    let mut cells = vec![cell("ssh", YOU, Protocol::Tcp, 33001, Some(true))];
    for from in STRANGER {
        cells.push(cell("ssh", from, Protocol::Tcp, 33001, Some(true)));
        cells.push(cell("fasp", from, Protocol::Udp, 33001, Some(true)));
        cells.push(cell("close-22", from, Protocol::Tcp, 22, Some(false)));
        cells.push(cell("control", from, Protocol::Tcp, 9090, None));
    }
    cells
}

/// Everything as it should be.
pub fn rehearsal() -> Rehearsal {
    Rehearsal {
        cells: cells(),
        flow_tracked: Some(true),
        flow_untracked: Some(true),
        undo: vec![],
        blockers: vec![],
        sweep: vec![],
        failed: None,
        obstacles: vec![],
        not_rehearsed: vec!["the label that SELinux wants for the port".into()],
        millis: 812,
    }
}

/// What is loaded at boot shuts a port that is open until then.
pub fn shut_at_boot() -> Rehearsal {
    let mut rehearsal = rehearsal();
    for cell in &mut rehearsal.cells {
        if cell.port == 33001 && cell.protocol == Protocol::Tcp {
            cell.boot = Some(Verdict::Drop);
        }
    }
    Rehearsal {
        blockers: vec![Blocker {
            port: "TCP/33001".into(),
            layer: "input, chain inet filter input, at the next boot".into(),
            rule: "policy drop".into(),
            hint: "It is not in force now: /etc/nftables.conf brings it at the next boot. Mend it there, or load it now and \
                   try again:   nft -f /etc/nftables.conf"
                .into(),
        }],
        ..rehearsal
    }
}

/// A rule further up still drops one port.
pub fn red_rehearsal() -> Rehearsal {
    let mut rehearsal = rehearsal();
    for cell in &mut rehearsal.cells {
        if cell.protocol == Protocol::Udp {
            cell.after = Verdict::Drop;
        }
        // A change that fails before the boot is not asked for what comes after it.
        cell.boot = None;
    }
    Rehearsal {
        flow_untracked: None,
        undo: vec!["+ inet filter input: tcp dport 33001 accept".into()],
        blockers: vec![
            Blocker {
                port: "UDP/33001".into(),
                layer: "netdev ingress".into(),
                rule: "table netdev edge, chain in: udp dport 20000-40000 drop".into(),
                hint: "That chain runs before every other one. Let the port through there: nft insert rule netdev edge in \
                       udp dport 33001 accept"
                    .into(),
            },
            Blocker {
                port: "TCP/33001".into(),
                layer: "loopback listener".into(),
                rule: "sshd listens on 127.0.0.1 only".into(),
                hint: "Take ListenAddress out of sshd_config.".into(),
            },
        ],
        millis: 1404,
        ..rehearsal
    }
}

/// The same as a success, with all ports compared.
pub fn swept_rehearsal() -> Rehearsal {
    let row = |protocol, family, unasked: &[&str]| SweepRow {
        protocol,
        family,
        opened: vec!["33001".into()],
        closed: if protocol == Protocol::Tcp {
            vec!["22".into()]
        } else {
            vec![]
        },
        unasked: unasked.iter().map(|port| (*port).to_owned()).collect(),
    };
    Rehearsal {
        sweep: vec![
            row(Protocol::Tcp, Family::Ipv4, &[]),
            row(Protocol::Udp, Family::Ipv4, &["33002-33100"]),
            row(Protocol::Tcp, Family::Ipv6, &[]),
            row(Protocol::Udp, Family::Ipv6, &[]),
        ],
        millis: 9300,
        ..rehearsal()
    }
}
