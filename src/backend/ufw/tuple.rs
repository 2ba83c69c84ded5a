//! One rule of ufw as it notes it itself: the `### tuple ###` lines of its rules files, and the lines of iptables that
//! ufw makes of them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::port::{PortRange, Protocol};

/// How a tuple line begins.
pub const MARK: &str = "### tuple ###";

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Lets it in.
    Allow,
    /// Drops it.
    Deny,
    /// Refuses it with an answer.
    Reject,
    /// Lets it in until one source asks too often.
    Limit,
}

impl Verb {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "allow" => Self::Allow,
            "deny" => Self::Deny,
            "reject" => Self::Reject,
            "limit" => Self::Limit,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reject => "reject",
            Self::Limit => "limit",
        }
    }
}

/// A rule of ufw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    /// For packets that are passed on (`ufw route`), not for this host.
    pub route: bool,
    /// What it does.
    pub verb: Verb,
    /// `log` or `log-all`; empty for a rule that does not log.
    pub log: String,
    /// `tcp`, `udp`, `any`, or another protocol.
    pub protocol: String,
    /// `any`, `22`, `5000:5010`, `80,443`.
    pub dport: String,
    /// Destination, `0.0.0.0/0` or `::/0` for anywhere.
    pub dst: String,
    /// The ports that it comes from.
    pub sport: String,
    /// Source.
    pub src: String,
    /// Application profiles of destination and source, `-` for none, as ufw writes them; `None` for a plain rule.
    pub apps: Option<(String, String)>,
    /// For packets that leave this host.
    pub outbound: bool,
    /// The link that it comes in by; empty for any.
    pub link_in: String,
    /// The link that it leaves by; empty for any.
    pub link_out: String,
    /// The comment, decoded.
    pub comment: String,
}

/// `in`, `out_eth0`, `in_eth0!out_eth1`: direction and links.
fn links(word: &str) -> Option<(bool, String, String)> {
    if let Some((from, to)) = word.split_once('!') {
        let from = from.strip_prefix("in_")?;
        let to = to.strip_prefix("out_")?;
        return Some((false, from.to_owned(), to.to_owned()));
    }
    let (direction, link) = word.split_once('_').unwrap_or((word, ""));
    match direction {
        "in" => Some((false, link.to_owned(), String::new())),
        "out" => Some((true, String::new(), link.to_owned())),
        _ => None,
    }
}

/// ufw writes comments as hexadecimal UTF-8.
fn from_hex(text: &str) -> Option<String> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let bytes = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high * 16 + low),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

fn to_hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Ranges of a port list; `any` is every port. What cannot be read could be any port.
fn port_ranges(text: &str) -> Vec<(u16, u16)> {
    let one = |part: &str| {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        Some((low.parse().ok()?, high.parse().ok()?))
    };
    let all: Option<Vec<(u16, u16)>> = text.split(',').map(one).collect();
    all.unwrap_or_else(|| vec![(0, u16::MAX)])
}

/// A network, with a bare address as the smallest one.
pub fn network(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok();
    net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Everything of one address family.
pub fn anywhere(v6: bool) -> &'static str {
    if v6 { "::/0" } else { "0.0.0.0/0" }
}

fn is_anywhere(text: &str) -> bool {
    matches!(text, "0.0.0.0/0" | "::/0")
}

/// A network as ufw writes it: a single address has no length.
pub fn written(net: &IpNet) -> String {
    let net = net.trunc();
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

impl Tuple {
    /// Reads a `### tuple ###` line; `None` for a line that ufw itself would skip.
    pub fn parse(line: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix(MARK)?;
        let (rest, comment) = rest.split_once(" comment=").unwrap_or((rest, ""));
        let mut tuple = Self::parse_words(rest)?;
        let comment = comment.trim();
        tuple.comment = from_hex(comment).unwrap_or_else(|| comment.to_owned());
        Some(tuple)
    }

    /// Reads the fields of such a line, without its comment. Older versions wrote neither direction nor links.
    pub fn parse_words(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let word = |at: usize| words.get(at).map(|word| (*word).to_owned());
        let last = match words.len() {
            7 | 9 => words.last().copied(),
            6 | 8 => Some("in"),
            _ => return None,
        };
        let (outbound, link_in, link_out) = links(last?)?;
        let action = word(0)?;
        let (route, action) = match action.strip_prefix("route:") {
            Some(action) => (true, action),
            None => (false, action.as_str()),
        };
        let (verb, log) = action.split_once('_').unwrap_or((action, ""));
        Some(Self {
            route,
            verb: Verb::parse(verb)?,
            log: log.to_owned(),
            protocol: word(1)?,
            dport: word(2)?,
            dst: word(3)?,
            sport: word(4)?,
            src: word(5)?,
            apps: if words.len() >= 8 {
                Some((word(6)?, word(7)?))
            } else {
                None
            },
            outbound,
            link_in,
            link_out,
            comment: String::new(),
        })
    }

    /// The fields as ufw writes them, without the comment.
    pub fn words(&self) -> String {
        let route = if self.route { "route:" } else { "" };
        let log = if self.log.is_empty() {
            String::new()
        } else {
            format!("_{}", self.log)
        };
        let apps = self
            .apps
            .as_ref()
            .map(|(to, from)| format!(" {to} {from}"))
            .unwrap_or_default();
        let direction = if self.outbound { "out" } else { "in" };
        let links = match (self.link_in.as_str(), self.link_out.as_str()) {
            ("", "") => direction.to_owned(),
            (link, "") | ("", link) => format!("{direction}_{link}"),
            (from, to) => format!("in_{from}!out_{to}"),
        };
        format!(
            "{route}{}{log} {} {} {} {} {}{apps} {links}",
            self.verb.word(),
            self.protocol,
            self.dport,
            self.dst,
            self.sport,
            self.src
        )
    }

    /// The whole block of the rules file, byte for byte as ufw writes it, the empty line before it included. Only for
    /// rules that we make: allow or deny, TCP or UDP, a port, without links, log or profile.
    pub fn block(&self, v6: bool) -> String {
        format!(
            "\n{MARK} {} comment={}\n{}\n",
            self.words(),
            to_hex(&self.comment),
            self.line(v6, "")
        )
    }

    /// The rule of iptables for it, with more conditions where they are given.
    pub fn line(&self, v6: bool, conditions: &str) -> String {
        let target = match self.verb {
            Verb::Allow => "ACCEPT",
            _ => "DROP",
        };
        format!("-A {} {}{conditions} -j {target}", self.chain(v6), self.matches())
    }

    /// The chain of this host's own packets that the rule goes to.
    pub fn chain(&self, v6: bool) -> &'static str {
        user_chain(v6, self.outbound)
    }

    fn matches(&self) -> String {
        let mut text = format!("-p {}", self.protocol);
        let several = self.dport.contains([':', ',']);
        if several {
            text.push_str(&format!(" -m multiport --dports {}", self.dport));
        }
        if !is_anywhere(&self.dst) {
            text.push_str(&format!(" -d {}", self.dst));
        }
        if !several && self.dport != "any" {
            text.push_str(&format!(" --dport {}", self.dport));
        }
        if !is_anywhere(&self.src) {
            text.push_str(&format!(" -s {}", self.src));
        }
        text
    }

    /// Whether the comment says that the rule is ours.
    pub fn ours(&self) -> bool {
        self.comment.starts_with("faspwall:")
    }

    fn far(&self) -> (&str, &str) {
        if self.outbound {
            (&self.dst, &self.src)
        } else {
            (&self.src, &self.dst)
        }
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        self.protocol == "any" || self.protocol == protocol.to_string()
    }

    /// Whether it could decide about some packet of that traffic.
    pub fn touches(&self, traffic: &Traffic) -> bool {
        let (far, near) = self.far();
        let ports = port_ranges(&self.dport);
        !self.route
            && self.outbound == traffic.outbound
            && self.speaks(traffic.protocol)
            && self.link_in != "lo"
            && self.link_out != "lo"
            && ports
                .iter()
                .any(|(low, high)| *low <= traffic.ports.last() && *high >= traffic.ports.first())
            && overlap(far, traffic.peer.as_ref())
            && near_fits(near, traffic.group.as_ref())
    }

    /// Whether it is for everyone that the traffic is for: a rule for fewer is a ban, or a favour, of its own.
    pub fn for_all(&self, traffic: &Traffic) -> bool {
        let (far, _) = self.far();
        contains(far, traffic.peer.as_ref())
    }

    /// Whether it decides about every packet of that traffic.
    pub fn covers(&self, traffic: &Traffic) -> bool {
        let (_, near) = self.far();
        let ports = port_ranges(&self.dport);
        self.touches(traffic)
            && self.for_all(traffic)
            && self.sport == "any"
            && self.link_in.is_empty()
            && self.link_out.is_empty()
            && contains(near, traffic.group.as_ref())
            && ports
                .iter()
                .any(|(low, high)| *low <= traffic.ports.first() && *high >= traffic.ports.last())
    }

    /// Whether all its packets of that protocol are of that traffic.
    pub fn within(&self, traffic: &Traffic) -> bool {
        let (far, near) = self.far();
        let fits = |text: &str, net: Option<&IpNet>| match (net, network(text)) {
            (None, _) => true,
            (Some(net), Some(own)) => net.contains(&own),
            (Some(_), None) => false,
        };
        let ports = port_ranges(&self.dport);
        self.touches(traffic)
            && fits(far, traffic.peer.as_ref())
            && fits(near, traffic.group.as_ref())
            && ports
                .iter()
                .all(|(low, high)| *low >= traffic.ports.first() && *high <= traffic.ports.last())
    }
}

/// The chain for packets to this host or from it that ufw puts rules of its operator into.
pub fn user_chain(v6: bool, outbound: bool) -> &'static str {
    match (v6, outbound) {
        (false, false) => "ufw-user-input",
        (false, true) => "ufw-user-output",
        (true, false) => "ufw6-user-input",
        (true, true) => "ufw6-user-output",
    }
}

/// Packets of one kind: what a rule is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Leaves this host.
    pub outbound: bool,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Destination ports.
    pub ports: PortRange,
    /// The other side; `None` for everyone.
    pub peer: Option<IpNet>,
    /// The multicast group that it is for.
    pub group: Option<IpNet>,
}

/// Whether a rule's address has something in common with a network; what cannot be read could be anything.
fn overlap(text: &str, net: Option<&IpNet>) -> bool {
    match (net, network(text)) {
        (Some(net), Some(own)) => net.contains(&own) || own.contains(net),
        _ => true,
    }
}

/// Whether a rule's address holds all of a network.
fn contains(text: &str, net: Option<&IpNet>) -> bool {
    is_anywhere(text)
        || match (net, network(text)) {
            (Some(net), Some(own)) => own.contains(net),
            _ => false,
        }
}

/// Whether a rule about an address of this side can be about traffic to this host, or to a group.
fn near_fits(text: &str, group: Option<&IpNet>) -> bool {
    match (group, network(text)) {
        (None, Some(own)) => !own.addr().is_multicast() || is_anywhere(text),
        (Some(_), _) => overlap(text, group),
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests;
