//! Keeps the new ports from outgoing connections of this host: one that got 33001 by chance while sshd starts anew would
//! keep it from listening there.

use std::path::PathBuf;

use super::change::FileChange;
use crate::facts::SshFacts;
use crate::plan::Requirement;
use crate::port::{Direction, PortRange, Protocol};

/// Our file, read at boot.
pub const FILE: &str = "/etc/sysctl.d/60-faspwall.conf";
/// The setting itself.
pub const SETTING: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/// A longer range is left to the operator: what is reserved is missing for connections.
const MOST: u32 = 100;

/// What is reserved, now and at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Our file.
    pub file: FileChange,
    /// The kernel's list before and afterwards; `None` where it stays as it is.
    pub live: Option<(String, String)>,
}

/// What is to be reserved for sshd on that port and for transfers over UDP; `None` where that is so, or cannot be set.
pub fn reserve(ssh: &SshFacts, port: u16, requirements: &[Requirement]) -> Option<Reservation> {
    let local = ssh.local_ports.as_ref()?;
    if !local.settable || local.overruled_by.is_some() {
        return None;
    }
    let transfers = requirements
        .iter()
        .filter(|r| r.direction == Direction::In && r.protocol == Protocol::Udp && r.ports.count() <= MOST);
    let ports = PortRange::single(port)
        .into_iter()
        .chain(transfers.map(|r| r.ports));
    let wanted: Vec<PortRange> = ports
        .filter(|range| (range.first()..=range.last()).any(|port| local.gives_away(port)))
        .collect();
    if wanted.is_empty() {
        return None;
    }
    let after = local.reserved_with(&wanted);
    Some(Reservation {
        file: FileChange {
            path: PathBuf::from(FILE),
            before: local.ours.clone(),
            after: Some(file(&after)),
        },
        live: Some((local.reserved.clone(), after)),
    })
}

fn file(list: &str) -> String {
    format!(
        "# Written by faspwall: outgoing connections do not get these ports. Go back with: faspwall rollback\n\
         net.ipv4.ip_local_reserved_ports = {list}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::LocalPorts;

    #[test]
    fn only_what_connections_could_get_is_reserved() {
        let mut ssh = SshFacts::default();
        assert_eq!(reserve(&ssh, 33001, &[]), None);
        let local = LocalPorts {
            range: (32768, 60999),
            reserved: "8080".into(),
            settable: true,
            ..LocalPorts::default()
        };
        ssh.local_ports = Some(local.clone());
        let found = reserve(&ssh, 33001, &[]).expect("reserved");
        assert_eq!(found.live, Some(("8080".into(), "8080,33001".into())));
        assert!(
            found
                .file
                .after
                .is_some_and(|text| text.ends_with("ports = 8080,33001\n"))
        );
        assert_eq!(reserve(&ssh, 2222, &[]), None);
        for other in [
            LocalPorts {
                settable: false,
                ..local.clone()
            },
            LocalPorts {
                overruled_by: Some("/etc/sysctl.conf".into()),
                ..local.clone()
            },
            LocalPorts {
                reserved: "33000-33010".into(),
                ..local
            },
        ] {
            ssh.local_ports = Some(other);
            assert_eq!(reserve(&ssh, 33001, &[]), None);
        }
    }
}
