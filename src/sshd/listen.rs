//! `ListenAddress` lines: which of them bear a port of their own, and how such a line comes to bear another one.
//!
//! A line without a port listens on every port of the `Port` lines, wherever those stand. A line with a port listens on
//! that one alone, and overrules ports of the command line as well. Where there is no line at all, sshd listens on every
//! address. Source: sshd_config(5), sshd(8) and `servconf.c` of OpenSSH 9.2 and 10.0.

use std::net::IpAddr;

use super::command_line;
use super::config::{self, Line};
use crate::facts::SshFacts;

/// The port that is sshd's own where nothing else is said.
const USUAL: u16 = 22;

/// A place with a port: `10.0.0.1:22`, `[::1]:22`, `host:22`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address as it is written, brackets included.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What follows it: `rdomain` and its name.
    pub rest: String,
}

impl Place {
    /// The same place with another port, as a value of `ListenAddress`.
    pub fn at(&self, port: u16) -> String {
        format!("{}:{port}{}", self.host, self.rest)
    }

    /// Whether only this host can reach it.
    pub fn loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Reads the arguments of a `ListenAddress` line; `None` when they bear no port. `::1` bears none, `[::1]:22` does. Words
/// that would have to be quoted are none of an address or a routing domain.
pub fn place(arguments: &[String]) -> Option<Place> {
    let plain = |word: &String| {
        let mut letters = word.chars();
        !word.is_empty() && letters.all(|c| c.is_ascii_graphic() && !"\"'\\#".contains(c))
    };
    if !arguments.iter().all(plain) {
        return None;
    }
    let (value, rest) = arguments.split_first()?;
    let bare_v6 = !value.starts_with('[') && value.matches(':').count() > 1;
    let (host, port) = value.rsplit_once([':', '/']).filter(|_| !bare_v6)?;
    // sshd does not start with `host:22/1`, and neither is that a place of its own.
    let whole = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.is_some_and(|inside| !inside.contains(['[', ']'])),
        None => !host.contains([':', '/', ']']),
    };
    if !whole {
        return None;
    }
    let rest: String = rest.iter().map(|word| format!(" {word}")).collect();
    Some(Place {
        host: host.to_owned(),
        port: port.parse().ok()?,
        rest,
    })
}

/// All `ListenAddress` lines of sshd's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Those with a port, each once.
    pub fixed: Vec<Place>,
    /// Whether `Port` lines count somewhere: there is a line without a port, or no line at all.
    pub open: bool,
}

impl Places {
    /// Reads them from sshd's command line and files.
    pub fn of(ssh: &SshFacts) -> Self {
        let mut lines = lines(ssh);
        lines.retain(|line| line.keyword == "listenaddress");
        let mut places = Self {
            fixed: Vec::new(),
            open: lines.is_empty(),
        };
        for line in lines {
            match place(&line.arguments) {
                Some(place) if !places.fixed.contains(&place) => places.fixed.push(place),
                Some(_) => {}
                None => places.open = true,
            }
        }
        places
    }

    /// Whether sshd can be reached from this host alone.
    pub fn only_loopback(&self) -> bool {
        !self.open && self.fixed.iter().all(Place::loopback)
    }

    /// The places that get the new ports when sshd goes from some ports to others: those whose port goes, else those with
    /// the usual one, else all of them, unless one of them has a new port already. A place for this host alone is left
    /// alone.
    pub fn moving(&self, before: &[u16], after: &[u16]) -> Vec<&Place> {
        let outside: Vec<&Place> = self.fixed.iter().filter(|place| !place.loopback()).collect();
        let goes = |place: &Place| before.contains(&place.port) && !after.contains(&place.port);
        let mut found = outside.clone();
        found.retain(|place| goes(place));
        if found.is_empty() {
            found.clone_from(&outside);
            found.retain(|place| place.port == USUAL);
        }
        if !found.is_empty() {
            return found;
        }
        let moved = outside.iter().any(|place| after.contains(&place.port));
        if self.open || moved { Vec::new() } else { outside }
    }

    /// What a file says afterwards about its places: for each line that changes, the lines that take its place.
    fn instead_of(&self, line: &Line, before: &[u16], after: &[u16]) -> Option<Vec<String>> {
        let place = place(&line.arguments).filter(|place| !place.loopback())?;
        let goes = before.contains(&place.port) && !after.contains(&place.port);
        if !goes && !self.moving(before, after).contains(&&place) {
            return None;
        }
        let has = |port: u16| {
            self.fixed
                .iter()
                .any(|known| known.host == place.host && known.rest == place.rest && known.port == port)
        };
        let keeps = after.iter().any(|port| has(*port));
        let mut new: Vec<u16> = after.to_vec();
        new.retain(|port| !before.contains(port));
        if new.is_empty() && goes && !keeps {
            new = after.to_vec();
        }
        new.retain(|port| !has(*port));
        let new: Vec<String> = new
            .iter()
            .map(|port| format!("ListenAddress {}", place.at(*port)))
            .collect();
        (goes || !new.is_empty()).then_some(new)
    }

    /// A file with its places on other ports. A line whose port goes becomes a comment with that mark.
    pub fn rewrite(&self, content: &str, mark: &str, before: &[u16], after: &[u16]) -> String {
        let lines = config::parse(content);
        let mut text = String::with_capacity(content.len() + 64);
        for (index, raw) in content.split_inclusive('\n').enumerate() {
            let line = lines
                .iter()
                .find(|line| line.number == index + 1 && line.keyword == "listenaddress" && !line.in_match);
            let Some((line, new)) = line.and_then(|line| Some((line, self.instead_of(line, before, after)?)))
            else {
                text.push_str(raw);
                continue;
            };
            let goes = place(&line.arguments).is_some_and(|place| !after.contains(&place.port));
            if goes {
                text.push_str(mark);
            }
            text.push_str(raw);
            if !raw.ends_with('\n') {
                text.push('\n');
            }
            new.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        }
        text
    }
}

/// What the command line and the files say, outside of Match blocks.
fn lines(ssh: &SshFacts) -> Vec<Line> {
    let given = command_line::options(&ssh.args).into_iter();
    let given: String = given
        .filter_map(|given| Some(format!("{}\n", given.value.filter(|_| given.flag == 'o')?)))
        .collect();
    let files = ssh.config.files.iter().map(|(_, text)| text.as_str());
    let lines = std::iter::once(given.as_str())
        .chain(files)
        .flat_map(config::parse);
    lines.filter(|line| !line.in_match).collect()
}

/// What a second sshd needs besides `-p` to be reached where the first one is reached.
pub fn door_options(ssh: &SshFacts, door: u16, before: &[u16], after: &[u16]) -> Vec<String> {
    let places = Places::of(ssh);
    let moving = places.moving(before, after);
    moving
        .into_iter()
        .flat_map(|place| ["-o".to_owned(), format!("ListenAddress={}", place.at(door))])
        .collect()
}

/// The same for the helper of the handover: logins are turned to it at whatever address the kernel chooses, so it must
/// listen on all of them.
pub fn helper_options(ssh: &SshFacts, port: u16) -> Vec<String> {
    let lines = lines(ssh);
    if !lines.iter().any(|line| line.keyword == "listenaddress") {
        return Vec::new();
    }
    let family = lines
        .iter()
        .find(|line| line.keyword == "addressfamily")
        .and_then(|line| line.arguments.first());
    let only = |flag: &str, name: &str| {
        ssh.args.iter().any(|arg| arg == flag) || family.is_some_and(|f| f.eq_ignore_ascii_case(name))
    };
    let all = [("0.0.0.0", only("-6", "inet6")), ("[::]", only("-4", "inet"))];
    all.iter()
        .filter(|(_, excluded)| !excluded)
        .flat_map(|(host, _)| ["-o".to_owned(), format!("ListenAddress={host}:{port}")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Places {
        let mut ssh = SshFacts::default();
        ssh.config.files = vec![("/etc/ssh/sshd_config".into(), text.to_owned())];
        Places::of(&ssh)
    }

    #[test]
    fn a_port_is_told_from_a_part_of_an_address() {
        let read = |text: &str| place(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(read("::1"), None);
        assert_eq!(read("10.0.0.1"), None);
        assert_eq!(read("[::1]"), None);
        assert_eq!(
            read("[::]:22").map(|p| p.at(33001)).as_deref(),
            Some("[::]:33001")
        );
        assert_eq!(
            read("10.0.0.1:22 rdomain red").map(|p| p.at(1)).as_deref(),
            Some("10.0.0.1:1 rdomain red")
        );
        assert!(read("localhost:22").is_some_and(|p| p.loopback()));
    }

    #[test]
    fn the_new_port_goes_where_the_old_one_was() {
        let text = "ListenAddress 10.0.0.1:22\nListenAddress 192.0.2.1:2222\nListenAddress 127.0.0.1:22\n";
        let after = places(text).rewrite(text, "#x ", &[22, 2222], &[2222, 33001]);
        assert_eq!(
            after,
            "#x ListenAddress 10.0.0.1:22\nListenAddress 10.0.0.1:33001\nListenAddress 192.0.2.1:2222\n\
             ListenAddress 127.0.0.1:22\n"
        );
    }

    #[test]
    fn a_port_that_stays_has_the_new_one_beside_it() {
        let text = "ListenAddress [::]:22";
        let both = places(text).rewrite(text, "#x ", &[22], &[22, 33001]);
        assert_eq!(both, "ListenAddress [::]:22\nListenAddress [::]:33001\n");
        let last = places(&both).rewrite(&both, "#x ", &[22, 33001], &[33001]);
        assert_eq!(last, "#x ListenAddress [::]:22\nListenAddress [::]:33001\n");
    }

    #[test]
    fn lines_without_a_port_are_left_to_the_port_lines() {
        let text = "ListenAddress 10.0.0.1\n";
        let found = places(text);
        assert!(found.open && found.fixed.is_empty());
        assert_eq!(found.rewrite(text, "#x ", &[22], &[33001]), text);
        assert!(places("UsePAM yes\n").open);
        assert!(!places("ListenAddress 10.0.0.1:22\n").open);
    }
}
