//! Which ports this host gives to its own outgoing connections. Source: `Documentation/networking/ip-sysctl.rst` of the
//! kernel, `ip_local_port_range` and `ip_local_reserved_ports`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::port::PortRange;

/// The kernel's settings about them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalPorts {
    /// The first and the last port that a connection may get by itself.
    pub range: (u16, u16),
    /// Those among them that none gets, as the kernel prints them: `33001,33010-33020`.
    pub reserved: String,
    /// Whether the setting can be changed from here: containers often see it read-only.
    pub settable: bool,
    /// Content of our own file for it.
    pub ours: Option<String>,
    /// A file that sets it as well, and is read after ours at boot.
    pub overruled_by: Option<PathBuf>,
}

impl LocalPorts {
    /// Whether an outgoing connection could get the port.
    pub fn gives_away(&self, port: u16) -> bool {
        (self.range.0..=self.range.1).contains(&port) && !numbers(&self.reserved).contains(&port)
    }

    /// What is reserved, and these ports as well.
    pub fn reserved_with(&self, more: &[PortRange]) -> String {
        let mut all = numbers(&self.reserved);
        all.extend(more.iter().flat_map(|range| range.first()..=range.last()));
        text(&all)
    }
}

/// What is left of a list without the ports that another one has and a third one has not.
pub fn without(list: &str, gone: &str, kept: &str) -> String {
    let (gone, kept) = (numbers(gone), numbers(kept));
    let mut left = numbers(list);
    left.retain(|port| !gone.contains(port) || kept.contains(port));
    text(&left)
}

/// Whether every port of one list is in another one.
pub fn holds(list: &str, wanted: &str) -> bool {
    numbers(list).is_superset(&numbers(wanted))
}

/// Reads `33001,33010-33020`.
fn numbers(text: &str) -> BTreeSet<u16> {
    let ranges = text.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?)
    });
    ranges.flatten().collect()
}

/// Prints it as the kernel does.
fn text(ports: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => ranges.push((*port, *port)),
        }
    }
    let words = ranges.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    words.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_already_stays_so() {
        let local = LocalPorts {
            range: (32768, 60999),
            reserved: "8080,33000,40000-40002".into(),
            ..LocalPorts::default()
        };
        let more = [
            "33001".parse().expect("a port"),
            "40003-40005".parse().expect("ports"),
        ];
        let all = local.reserved_with(&more);
        assert_eq!(all, "8080,33000-33001,40000-40005");
        assert!(local.gives_away(33001) && !local.gives_away(33000) && !local.gives_away(22));
        assert_eq!(
            without(&format!("{all},50000"), &all, &local.reserved),
            "8080,33000,40000-40002,50000"
        );
        assert!(holds(&all, "33001,40004") && !holds(&all, "33002"));
        assert_eq!(
            (text(&numbers("\n")), text(&numbers("x,65535"))),
            (String::new(), "65535".into())
        );
    }
}
