//! Others that must know sshd's port: SELinux lets it bind only ports of its type, fail2ban bans only on the ports that
//! its jail names.
//!
//! fail2ban was tried on Debian 12 (1.0.2 with iptables) and 13 (1.1.0 with nftables). What `semanage port -l` prints
//! and takes is from its manual and source (policycoreutils 3.5): no host with SELinux was at hand to try it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::change::FileChange;
use crate::facts::SshFacts;
use crate::step::{Action, Invocation, Step, Tool};

/// Our file for fail2ban's jails: `jail.d/*.local` is read last, by name.
pub const JAIL: &str = "/etc/fail2ban/jail.d/zz-faspwall.local";
/// The type of the ports that sshd may bind.
const TYPE: &str = "ssh_port_t";
/// SELinux's policy is built anew for one port, which takes its time.
const LABEL_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// A port that SELinux is to know as sshd's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The port.
    pub port: u16,
    /// The type that this very port has now; `None` where it has none of its own.
    pub before: Option<String>,
}

impl Label {
    /// What a port needs, by `semanage port -l`; `None` when sshd may bind it.
    pub fn needed(list: &str, port: u16) -> Option<Self> {
        let mut before = None;
        for line in list.lines() {
            let mut words = line.split_whitespace();
            let (Some(kind), Some("tcp")) = (words.next(), words.next()) else {
                continue;
            };
            for range in words.map(|word| word.trim_end_matches(',')) {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
                    continue;
                };
                if kind == TYPE && (first..=last).contains(&port) {
                    return None;
                }
                if first == port && last == port {
                    before = Some(kind.to_owned());
                }
            }
        }
        Some(Self { port, before })
    }

    fn call(&self, verb: &str, kind: Option<&str>) -> Invocation {
        let port = self.port.to_string();
        let mut words = vec!["port", verb];
        words.extend(kind.into_iter().flat_map(|kind| ["-t", kind]));
        words.extend(["-p", "tcp", &port]);
        Invocation::new(Tool::Semanage, words).within(LABEL_LIMIT)
    }

    /// Takes it away again.
    pub fn undo(&self) -> Step {
        Step::Try(match &self.before {
            Some(kind) => self.call("-m", Some(kind)),
            None => self.call("-d", None),
        })
    }

    /// Sets it: before a second sshd is started there.
    pub fn action(&self) -> Action {
        let verb = if self.before.is_some() { "-m" } else { "-a" };
        Action::new(
            format!(
                "let SELinux allow sshd the port TCP/{} (by its manual; not verified on a host with SELinux)",
                self.port
            ),
            Step::Run(self.call(verb, Some(TYPE))),
            vec![self.undo()],
        )
    }
}

/// The `port` of the sshd jail, in what `fail2ban-client -d` prints: `ssh`, `22,33001`.
pub fn jail_port(dump: &str) -> Option<String> {
    let of_sshd = dump.lines().filter(|line| line.contains("'sshd'"));
    let value = |line: &str| {
        let (_, rest) = line.split_once("['port', '")?;
        Some(rest.split_once('\'')?.0.to_owned())
    };
    // It is written into a file of ours: anything but names, numbers and ranges is not for us to repeat.
    let plain = |value: &String| {
        let mut letters = value.chars();
        letters.all(|c| c.is_ascii_alphanumeric() || ",:-_ ".contains(c))
    };
    of_sshd.filter_map(value).find(plain)
}

/// Whether a port is among those that a jail names.
pub fn covers(ports: &str, port: u16) -> bool {
    ports.split(',').map(str::trim).any(|part| {
        let (first, last) = part.split_once([':', '-']).unwrap_or((part, part));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&port),
            _ => part == "ssh" && port == 22,
        }
    })
}

/// The change of our jail file that makes fail2ban watch these ports besides those it watches.
pub fn watch(ssh: &SshFacts, ports: &[u16]) -> Option<FileChange> {
    let (watched, ours) = ssh.jail.as_ref()?;
    let mut all = watched.trim().to_owned();
    for port in ports {
        if !covers(&all, *port) {
            all = format!("{all},{port}");
        }
    }
    (all != watched.trim()).then(|| FileChange {
        path: PathBuf::from(JAIL),
        before: ours.clone(),
        after: Some(format!(
            "# Written by faspwall. Go back with: faspwall rollback\n[sshd]\nport = {all}\n"
        )),
    })
}

/// Has fail2ban read its jail again. A plain reload leaves the rules of an action as they are; a restart of the jail makes
/// them anew and keeps its bans. Seen with fail2ban 1.1.0 and nftables.
pub fn read_jails() -> Invocation {
    fail2ban(&["reload", "--restart", "sshd"])
}

/// A call of fail2ban.
pub fn fail2ban(words: &[&str]) -> Invocation {
    Invocation::new(Tool::Fail2banClient, words.iter().copied()).within(LABEL_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "SELinux Port Type              Proto    Port Number\n\n\
        ephemeral_port_t               tcp      32768-60999\n\
        http_cache_port_t              tcp      8080, 8118, 8123, 10001-10010\n\
        ssh_port_t                     tcp      2200-2210, 22\n\
        http_port_t                    udp      33002\n";

    #[test]
    fn a_port_gets_sshds_type_and_loses_it_again() {
        assert_eq!(Label::needed(LIST, 22), None);
        assert_eq!(Label::needed(LIST, 2205), None);
        let new = Label::needed(LIST, 33001).expect("a label").action();
        assert_eq!(
            new.step.to_string(),
            "semanage port -a -t ssh_port_t -p tcp 33001"
        );
        assert_eq!(new.undo[0].to_string(), "semanage port -d -p tcp 33001 || true");
        let other = Label::needed(LIST, 8080).expect("a label").action();
        assert_eq!(
            other.step.to_string(),
            "semanage port -m -t ssh_port_t -p tcp 8080"
        );
        assert_eq!(
            other.undo[0].to_string(),
            "semanage port -m -t http_cache_port_t -p tcp 8080 || true"
        );
        assert_eq!(Label::needed(LIST, 33002).expect("a label").before, None);
    }

    #[test]
    fn the_jail_watches_the_new_port_beside_the_old_one() {
        let dump = "['add', 'sshd', 'systemd']\n['multi-set', 'sshd', 'action', 'nftables', [['name', 'sshd'], ['port', 'ssh'], ['protocol', 'tcp']]]\n";
        assert_eq!(jail_port(dump).as_deref(), Some("ssh"));
        assert_eq!(jail_port("['add', 'nginx', 'auto']\n"), None);
        let ssh = |port: &str| SshFacts {
            jail: Some((port.to_owned(), None)),
            ..SshFacts::default()
        };
        let change = watch(&ssh("ssh"), &[33001]).expect("a change");
        assert!(
            change
                .after
                .is_some_and(|text| text.ends_with("[sshd]\nport = ssh,33001\n"))
        );
        assert_eq!(watch(&ssh("0:65535"), &[33001]), None);
        assert_eq!(watch(&ssh("ssh,33001"), &[22, 33001]), None);
        assert_eq!(watch(&SshFacts::default(), &[33001]), None);
    }
}
