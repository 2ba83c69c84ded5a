//! Whose new login speaks for the operator, where the word `keep` is typed beside it: the operator's own, from outside.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::Engine;
use super::detect::links::Printed;
use super::detect::processes::Processes;
use super::detect::session::{Login, logins_on, session};
use super::journal::Transaction;
use crate::facts::{Link, Session, Via};
use crate::system::System;

/// The logins on the new port since a trial began.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Those that count.
    pub counted: Vec<Login>,
    /// The others, each with what is held against it.
    pub others: Vec<(Login, String)>,
}

impl Seen {
    /// Who was seen, and why that does not count.
    pub fn why_not(&self) -> Vec<String> {
        let one = |(login, why): &(Login, String)| format!("{} from {} {why}", login.user, login.client.ip());
        self.others.iter().map(one).collect()
    }
}

impl Engine<'_> {
    /// Looks for logins on the new port, and judges them.
    pub(super) fn seen_on(&self, transaction: &Transaction, door: u16) -> Seen {
        let mut seen = Seen::default();
        let logins = logins_on(self.system, door, transaction.waiting_since().unwrap_or(0));
        if logins.is_empty() {
            return seen;
        }
        let own = session(self.system);
        let accounts = accounts(&transaction.by, own.as_ref(), self.system.env("SUDO_USER"));
        let reached = own.as_ref().and_then(|session| session.server);
        let links = Printed::read(self.system).links(reached);
        let addresses = addresses_everywhere(self.system);
        for login in logins {
            let client = login.client.ip().to_canonical();
            match objection(&login.user, client, &accounts, &links, &addresses) {
                None => seen.counted.push(login),
                Some(why) => seen.others.push((login, why)),
            }
        }
        seen
    }
}

/// The accounts that are the operator's; empty when they are not known.
fn accounts(by: &str, session: Option<&Session>, sudo: Option<String>) -> Vec<String> {
    let known = session.filter(|s| s.via != Via::Unknown);
    if known.is_none() && sudo.is_none() {
        return Vec::new();
    }
    let mut accounts = vec![String::from("root")];
    accounts.extend(by.split(' ').next().map(str::to_owned));
    accounts.extend(known.and_then(|s| s.user.clone()));
    accounts.extend(sudo);
    accounts.sort();
    accounts.dedup();
    accounts
}

/// What is held against a login.
fn objection(
    user: &str,
    client: IpAddr,
    accounts: &[String],
    links: &[Link],
    addresses: &[IpAddr],
) -> Option<String> {
    if client.is_loopback() || addresses.contains(&client) {
        return Some(String::from("comes from this host itself"));
    }
    let inside = |link: &&Link| {
        let near = |net: &&ipnet::IpNet| net.contains(&client) && net.prefix_len() > 0;
        !link.outside && link.addresses.iter().any(|net| near(&net))
    };
    if let Some(link) = links.iter().find(inside) {
        return Some(format!(
            "comes from a container or machine on this host ({})",
            link.name
        ));
    }
    let stranger = !accounts.is_empty() && !accounts.iter().any(|account| account == user);
    stranger.then(|| format!("is no account of yours ({})", accounts.join(", ")))
}

/// The addresses of this host in every network namespace of which a process can be seen.
fn addresses_everywhere(system: &dyn System) -> Vec<IpAddr> {
    let mut spaces: BTreeMap<PathBuf, u32> = BTreeMap::new();
    for process in Processes::read(system).all() {
        let link = system.read_link(Path::new(&format!("/proc/{}/ns/net", process.pid)));
        if let Some(space) = link {
            spaces.entry(space).or_insert(process.pid);
        }
    }
    let mut found = Vec::new();
    for pid in spaces.values() {
        let text = |name: &str| {
            let path = PathBuf::from(format!("/proc/{pid}/net/{name}"));
            system.read_text(&path).unwrap_or_default()
        };
        found.extend(of_trie(&text("fib_trie")));
        found.extend(of_inet6(&text("if_inet6")));
    }
    found.sort();
    found.dedup();
    found
}

/// The local addresses in `/proc/net/fib_trie`: each stands in the line before `/32 host LOCAL`.
fn of_trie(text: &str) -> Vec<IpAddr> {
    let mut last: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.map(IpAddr::V4));
        }
    }
    found
}

/// The addresses in `/proc/net/if_inet6`: 32 digits at the start of each line.
fn of_inet6(text: &str) -> Vec<IpAddr> {
    let number = |line: &str| u128::from_str_radix(line.get(..32)?, 16).ok();
    text.lines()
        .filter_map(number)
        .map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_kernel() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.99.1.0\n        /24 link UNICAST\nLocal:\n     |-- 10.99.1.2\n        /32 host LOCAL\n     |-- 10.99.1.255\n        /32 link BROADCAST\n";
        assert_eq!(
            of_trie(trie),
            ["10.99.1.2".parse::<IpAddr>().expect("an address")]
        );
        let six = "fd99000100000000000000000000000a 05 40 00 80 host0\nshort\n";
        assert_eq!(
            of_inet6(six),
            ["fd99:1::a".parse::<IpAddr>().expect("an address")]
        );
    }

    #[test]
    fn a_login_counts_only_for_its_own_account_and_from_outside() {
        let link = |name: &str, net: &str, outside| Link {
            name: name.into(),
            addresses: vec![net.parse().expect("a network")],
            outside,
            ..Link::default()
        };
        let links = [
            link("eth0", "192.0.2.1/24", true),
            link("docker0", "172.17.0.1/16", false),
        ];
        let own = ["192.0.2.1".parse().expect("an address")];
        let joe = [String::from("joe"), String::from("root")];
        let held = |user: &str, ip: &str, accounts: &[String]| {
            objection(user, ip.parse().expect("an address"), accounts, &links, &own).unwrap_or_default()
        };
        assert_eq!(held("joe", "192.0.2.7", &joe), "");
        assert_eq!(held("root", "198.51.100.7", &joe), "");
        assert_eq!(held("bob", "198.51.100.7", &[]), "", "nobody's account is known");
        assert!(held("bob", "198.51.100.7", &joe).contains("(joe, root)"));
        assert!(held("joe", "172.17.0.5", &joe).contains("docker0"));
        assert!(held("joe", "192.0.2.1", &joe).contains("from this host itself"));
    }

    #[test]
    fn the_operators_accounts_are_those_of_the_session() {
        let session = |via, user: &str| Session {
            via,
            user: Some(user.into()),
            client: None,
            client_port: None,
            server: None,
            server_port: None,
            pid: None,
            started_ms: None,
            evidence: String::new(),
        };
        let ssh = session(Via::Ssh, "joe");
        assert_eq!(
            accounts("joe from 192.0.2.7 on port 22", Some(&ssh), None),
            ["joe", "root"]
        );
        let lost = session(Via::Unknown, "root");
        assert!(accounts("root at a local console", Some(&lost), None).is_empty());
        let sudo = accounts("root at a local console", Some(&lost), Some("ann".into()));
        assert_eq!(sudo, ["ann", "root"]);
    }
}
