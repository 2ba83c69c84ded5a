//! The rules of this host as texts that another network namespace can load: what belongs to other processes or to the
//! hardware is left out and named.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::port::Protocol;
use crate::step::Tool;

/// What an interface name may be at most (IFNAMSIZ without the last byte).
const NAME_LENGTH: usize = 15;
/// So many interfaces that only rules name are made; more would cost time and tell nothing.
const NAMED: usize = 48;

/// Words that an interface follows.
const LINK_WORDS: [&str; 6] = ["iif", "oif", "iifname", "oifname", "device", "devices"];

/// Everything that is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// `nft list ruleset`, without the tables that iptables-nft keeps.
    pub nft: String,
    /// What an iptables-save printed, and the program that reads it.
    pub saves: Vec<(Tool, String)>,
    /// `ipset save`
    pub ipset: String,
    /// Zones of a running firewalld, as it lists them.
    pub firewalld: Option<String>,
    /// What stands in the sets of firewalld's table, as commands of nft: entries may be there for now only.
    #[serde(default)]
    pub zone_sets: Vec<String>,
    /// Kernel settings that decide about packets: path below /proc/sys, value.
    pub settings: Vec<(String, String)>,
    /// What is not in the copy.
    pub left_out: Vec<String>,
    /// What the files hold that are loaded at the next boot: what they name counts as well.
    #[serde(skip)]
    pub at_boot: Vec<String>,
}

impl Copy {
    /// Interfaces that rules name.
    pub fn interfaces(&self) -> Vec<String> {
        let mut found = by_hand(&self.nft);
        found.extend(
            self.at_boot
                .iter()
                .flat_map(|text| by_hand(&text.replace('"', ""))),
        );
        let mut in_set = false;
        for line in self.nft.lines().map(str::trim) {
            if line.starts_with("set ") || line.starts_with("map ") || line == "}" {
                in_set = false;
            }
            let speaks = ["iif", "oif", "device", "ifname", "iface_index"]
                .iter()
                .any(|word| line.contains(word));
            in_set |= speaks && (line.starts_with("type ") || line.starts_with("typeof "));
            if speaks || in_set {
                found.extend(quoted(line).filter(|name| is_interface(name)));
            }
        }
        let saved = self.saves.iter().map(|(_, text)| text).chain(&self.at_boot);
        for line in saved.flat_map(|text| text.lines()) {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                if matches!(word, "-i" | "-o" | "--physdev-in" | "--physdev-out") {
                    found.extend(words.next().filter(|name| is_interface(name)).map(str::to_owned));
                }
            }
        }
        found.into_iter().take(NAMED).collect()
    }

    /// Networks and addresses that rules or sets name, but for those that mean everyone.
    pub fn networks(&self) -> Vec<IpNet> {
        let texts = [self.nft.as_str(), self.ipset.as_str()];
        let of_zones = self.firewalld.iter().chain(&self.zone_sets);
        let all = texts
            .into_iter()
            .chain(of_zones.map(String::as_str))
            .chain(self.saves.iter().map(|(_, text)| text.as_str()))
            .chain(self.at_boot.iter().map(String::as_str));
        let mut nets = BTreeSet::new();
        for word in all.flat_map(|text| text.split(|c: char| !(c.is_ascii_hexdigit() || ".:/-".contains(c))))
        {
            if let Some((first, last)) = word.split_once('-') {
                if let (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) = (first.parse(), last.parse()) {
                    nets.extend(ipnet::Ipv4Subnets::new(first, last, 0).map(IpNet::V4));
                }
            } else if let Ok(net) = word.parse::<IpNet>() {
                nets.insert(net);
            } else if word.contains(['.', ':'])
                && let Ok(address) = word.parse::<IpAddr>()
            {
                nets.insert(IpNet::from(address));
            }
        }
        nets.into_iter().filter(|net| net.prefix_len() > 0).collect()
    }

    /// Ports that rules let in or redirect to: worth a look before and after.
    pub fn ports(&self) -> Vec<(Protocol, u16)> {
        let mut found = BTreeSet::new();
        let saves = self.saves.iter().flat_map(|(_, text)| text.lines());
        for line in self.nft.lines().chain(saves) {
            let lets_in = ["accept", "ACCEPT", "redirect", "REDIRECT"]
                .iter()
                .any(|word| line.contains(word));
            let protocol = if line.contains("udp") {
                Protocol::Udp
            } else {
                Protocol::Tcp
            };
            for word in ["dport", "redirect to", "--dports", "--to-ports"] {
                let Some((_, rest)) = line.split_once(word).filter(|_| lets_in) else {
                    continue;
                };
                let list: String = rest
                    .trim_start_matches([' ', '{', ':', '='])
                    .chars()
                    .take_while(|c| c.is_ascii_digit() || ", ".contains(*c))
                    .collect();
                let ports = list.split([',', ' ']).filter_map(|port| port.parse::<u16>().ok());
                found.extend(ports.filter(|port| *port > 0).map(|port| (protocol, port)));
            }
        }
        found.into_iter().collect()
    }
}

/// The elements of the sets of `table inet firewalld` in what `nft list ruleset` printed, as commands that fill the same
/// sets of another firewalld.
pub fn zone_sets(ruleset: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for table in tables(ruleset) {
        if heading(table) != ("inet", "firewalld") {
            continue;
        }
        for (_, rest) in table
            .match_indices("\n\tset ")
            .map(|(at, word)| table.split_at(at + word.len()))
        {
            let Some((name, body)) = rest.split_once(" {") else {
                continue;
            };
            let body = body.split("\n\t}").next().unwrap_or_default();
            let mut command = format!("flush set inet firewalld {name}\n");
            if let Some((_, elements)) = body.split_once("elements = ") {
                command.push_str(&format!("add element inet firewalld {name} {elements}\n"));
            }
            commands.push(command);
        }
    }
    commands
}

/// Texts between quotation marks, but for comments and log prefixes.
fn quoted(line: &str) -> impl Iterator<Item = String> {
    let mut names = Vec::new();
    let mut before = "";
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 0 {
            before = part;
        } else {
            let last = before.split_whitespace().last();
            if !matches!(last, Some("comment" | "prefix" | "cgroupv2" | "skuid" | "skgid")) {
                names.push(part.to_owned());
            }
        }
    }
    names.into_iter()
}

/// Names that stand without quotes behind `iif` and its like, as people write them, also by way of `define`.
fn by_hand(text: &str) -> BTreeSet<String> {
    let mut spaced = String::with_capacity(text.len());
    for line in text.lines() {
        for letter in line.split('#').next().unwrap_or_default().chars() {
            if "{},:;=".contains(letter) {
                spaced.extend([' ', letter, ' ']);
            } else {
                spaced.push(letter);
            }
        }
        spaced.push_str(" ; ");
    }
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut found = BTreeSet::new();
    let mut variables = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        if LINK_WORDS.contains(word) {
            for value in values(words.get(at + 1..).unwrap_or_default()) {
                match value.strip_prefix('$') {
                    Some(variable) => variables.insert(variable),
                    None => found.insert(value.to_owned()),
                };
            }
        }
    }
    for (at, word) in words.iter().enumerate() {
        let name = words.get(at + 1).copied().unwrap_or_default();
        if *word == "define" && variables.contains(name) {
            let defined = values(words.get(at + 2..).unwrap_or_default());
            found.extend(defined.into_iter().map(str::to_owned));
        }
    }
    found.retain(|name| is_interface(name) && name.starts_with(|c: char| c.is_ascii_alphabetic()));
    found
}

/// What stands behind a word, or `=`: one value, or those of a list or the keys of a map.
fn values<'t>(words: &[&'t str]) -> Vec<&'t str> {
    let mut words = words.iter().copied();
    let mut behind = words
        .by_ref()
        .skip_while(|word| matches!(*word, "=" | "!=" | "!" | "==" | "vmap"));
    match behind.next() {
        None | Some(";" | "." | "map" | ",") => Vec::new(),
        Some("{") => {
            let mut keys = Vec::new();
            let mut key = true;
            for word in words.take_while(|word| *word != "}") {
                match word {
                    ":" => key = false,
                    "," => key = true,
                    ";" => {}
                    _ if key => keys.push(word),
                    _ => {}
                }
            }
            keys
        }
        Some(one) => vec![one],
    }
}

fn is_interface(name: &str) -> bool {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_.-@".contains(c));
    plain && !name.is_empty() && name.len() <= NAME_LENGTH && name != "." && name != ".."
}

/// A ruleset as `nft list ruleset` prints it, made loadable: without the tables named in `others`, without ownership by
/// a process, without flowtables. What was left out is added to the notes.
pub fn loadable(text: &str, others: &BTreeSet<(String, String)>, notes: &mut Vec<String>) -> String {
    let mut kept = defines(text);
    for table in tables(text) {
        let (family, name) = heading(table);
        if others.contains(&(family.to_owned(), name.to_owned())) {
            continue;
        }
        let mut in_flowtable = false;
        for line in table.lines() {
            let words = line.trim();
            if words.starts_with("flowtable ") {
                in_flowtable = true;
                notes.push(format!(
                    "flowtable of table {family} {name}: packets take the long way"
                ));
            }
            if in_flowtable {
                in_flowtable = words != "}";
                continue;
            }
            if let Some(flags) = words.strip_prefix("flags ")
                && line.starts_with('\t')
                && !line.starts_with("\t\t")
            {
                // Those of a table: only a table that sleeps must do so in the copy as well.
                if flags.contains("dormant") {
                    kept.push_str("\tflags dormant\n");
                }
                continue;
            }
            kept.push_str(&without_flow(line));
            kept.push('\n');
        }
    }
    kept
}

fn without_flow(line: &str) -> String {
    let Some(at) = line.find("flow add @").or_else(|| line.find("flow offload @")) else {
        return line.to_owned();
    };
    let (head, tail) = line.split_at(at);
    let rest = tail.splitn(4, ' ').nth(3).unwrap_or_default();
    format!("{head}counter {rest}")
}

/// The texts of the tables.
pub fn tables(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("table ") {
            start = Some(at);
        }
        at += line.len();
        if line.trim_end() == "}"
            && let Some(from) = start.take()
        {
            found.extend(text.get(from..at));
        }
    }
    found
}

/// The definitions of variables that a person has written before the tables.
pub fn defines(text: &str) -> String {
    let mut found = String::new();
    let mut goes_on = false;
    let mut open = 0_usize;
    for line in text.lines() {
        if !goes_on && !line.starts_with("define ") {
            continue;
        }
        let said = line.split('#').next().unwrap_or_default();
        open = (open + said.matches('{').count()).saturating_sub(said.matches('}').count());
        goes_on = open > 0 || said.trim_end().ends_with('\\');
        found.push_str(line);
        found.push('\n');
    }
    found
}

/// Family and name of a table's text.
pub fn heading(table: &str) -> (&str, &str) {
    let mut words = table.split_whitespace().skip(1);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

/// The table without what nft refused on a line (counted from 1), and that line; `None` when the table cannot do
/// without it.
pub fn mended(table: &str, line: usize) -> Option<(String, String)> {
    let mut lines: Vec<&str> = table.lines().collect();
    let index = line.checked_sub(1)?;
    let refused = (*lines.get(index)?).to_owned();
    let words = refused.trim();
    let structure = words.ends_with('{')
        || words == "}"
        || ["table ", "define "].iter().any(|word| words.starts_with(word));
    if structure {
        return None;
    }
    let is_rule = refused.starts_with("\t\t")
        && !["type ", "elements ", "flags ", "policy "]
            .iter()
            .any(|word| words.starts_with(word));
    if is_rule {
        *lines.get_mut(index)? = "\t\tcounter";
    } else {
        lines.remove(index);
    }
    Some((lines.join("\n") + "\n", words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "table inet filter {\n\tflags owner,persist\n\tflowtable f {\n\t\thook ingress priority filter\n\t\tdevices = { eth0 }\n\t}\n\
        \tset uplinks {\n\t\ttype ifname\n\t\telements = { \"eth0\",\n\t\t\t     \"wan-1\" }\n\t}\n\
        \tset ports {\n\t\ttype inet_service\n\t\tflags interval\n\t}\n\
        \tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\
        \t\tiifname \"br-*\" accept\n\t\tiif \"ens5\" tcp dport { 80, 443 } accept comment \"not-a-nic\"\n\
        \t\tct state established flow add @f\n\t\tmeta skuid \"aspera\" ip saddr { 10.0.0.0/8, 192.0.2.1-192.0.2.2 } drop\n\t}\n}\n\
        table ip nat {\n\tchain PREROUTING {\n\t}\n}\n";

    fn copy(text: &str) -> Copy {
        Copy {
            nft: text.to_owned(),
            ..Copy::default()
        }
    }

    #[test]
    fn what_rules_name_is_found() {
        let copy = copy(TEXT);
        assert_eq!(copy.interfaces(), ["ens5", "eth0", "wan-1"]);
        assert_eq!(copy.ports(), [(Protocol::Tcp, 80), (Protocol::Tcp, 443)]);
        let nets: Vec<String> = copy.networks().iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["10.0.0.0/8", "192.0.2.1/32", "192.0.2.2/32"]);
    }

    #[test]
    fn definitions_are_kept_with_all_their_lines() {
        let text = "flush ruleset\ndefine wan = eth0 # } {\ndefine nets = {\n\t10.0.0.0/8,\n\t192.0.2.0/24\n}\n\
            table ip a {\n\tchain c {\n\t\tiif $wan accept\n\t}\n}\ndefine far = 1.2.3.4, \\\n  1.2.3.5\ntable ip b {\n}\n";
        let kept = loadable(text, &BTreeSet::new(), &mut Vec::new());
        let begin = "define wan = eth0 # } {\ndefine nets = {\n\t10.0.0.0/8,\n\t192.0.2.0/24\n}\ndefine far = 1.2.3.4, \\\n  1.2.3.5\n";
        assert_eq!(
            kept.strip_prefix(begin).map(|rest| tables(rest).len()),
            Some(2),
            "{kept}"
        );
        assert_eq!(mended(&kept, 1), None, "what others refer to stays");
    }

    #[test]
    fn names_without_quotes_are_found_too() {
        let text = "define WAN = eth2\ndefine LAN = { enp1s0, enp2s0 } # both\ndefine PORT = 22\ntable inet a {\n\tchain c {\n\
            \t\ttype filter hook ingress device wan0 priority 0; policy accept;\n\t\tiif $WAN tcp dport $PORT accept\n\
            \t\tiif != lo oif { $LAN } drop\n\t\tiif ppp0 counter\n\t\tiif { tun0 } accept\n\t\tiif vmap { eth3 : jump c, lo : accept }\n\t}\n}\n";
        let names = copy(text).interfaces();
        assert_eq!(
            names,
            ["enp1s0", "enp2s0", "eth2", "eth3", "lo", "ppp0", "tun0", "wan0"]
        );
    }

    #[test]
    fn sets_of_firewalld_are_filled_as_they_are() {
        let text = "table inet other {\n\tset x {\n\t\telements = { 1.2.3.4 }\n\t}\n}\n\
                    table inet firewalld { # progname firewalld\n\tflags owner,persist\n\n\tset bad {\n\t\ttype ipv4_addr\n\
                    \t\telements = { 10.0.0.1,\n\t\t\t     10.0.0.2 }\n\t}\n\n\tset none {\n\t\ttype ipv6_addr\n\t}\n\n\tchain c {\n\t}\n}\n";
        assert_eq!(
            zone_sets(text),
            [
                "flush set inet firewalld bad\nadd element inet firewalld bad { 10.0.0.1,\n\t\t\t     10.0.0.2 }\n",
                "flush set inet firewalld none\n",
            ]
        );
    }

    #[test]
    fn ownership_flowtables_and_tables_of_iptables_are_left_out() {
        let mut notes = Vec::new();
        let others = BTreeSet::from([("ip".to_owned(), "nat".to_owned())]);
        let text = loadable(TEXT, &others, &mut notes);
        for gone in ["owner", "flowtable", "devices", "flow add", "table ip nat"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        assert!(text.contains("ct state established counter"), "{text}");
        assert!(text.contains("\t\tflags interval"), "{text}");
        assert_eq!(notes.len(), 1, "{notes:?}");
    }

    #[test]
    fn a_refused_rule_becomes_a_counter_and_a_refused_block_cannot_be_mended() {
        let table = "table inet a {\n\tchain c {\n\t\tsocket cgroupv2 level 1 \"x\" drop\n\t}\n}\n";
        let (text, rule) = mended(table, 3).expect("mended");
        assert_eq!(rule, "socket cgroupv2 level 1 \"x\" drop");
        assert!(text.contains("\t\tcounter\n"), "{text}");
        assert_eq!(mended(table, 2), None);
        assert_eq!(mended(table, 99), None);
    }
}
