//! Rich rules, in the two forms in which firewalld has them: a line of text at run time, an element in a zone's file.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::xml::Element;
use crate::backend::nftables::packet::Family;
use crate::port::{PortRange, Protocol};

/// The far or the near end that a rule is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The network; `None` for a set or a hardware address, which cannot be told from here.
    pub net: Option<IpNet>,
    /// Everyone but this one.
    pub inverted: bool,
}

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Every packet.
    Everything,
    /// Ports of this host; the protocol as it is written.
    Port(PortRange, String),
    /// A service, by its name.
    Service(String),
    /// A protocol, by its name.
    Protocol(String),
    /// Something that is no packet to a port of this host, or is not understood.
    Other,
}

/// What becomes of a packet that a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Let in.
    Accept,
    /// Dropped silently, or refused with an answer.
    Refuse,
    /// It goes on.
    None,
}

/// A rich rule. Two are equal when they say the same, however they are written.
#[derive(Debug, Clone)]
pub struct Rich {
    /// Lower ones come first; below zero before all the rest of the zone, above zero after it.
    pub priority: i32,
    /// Only this family.
    pub family: Option<Family>,
    /// Who it is from.
    pub source: Option<End>,
    /// Where it goes to.
    pub destination: Option<End>,
    /// What it is about.
    pub what: What,
    /// What becomes of it.
    pub action: Action,
    /// Whether it has parts that are not told here: a rate limit, a log.
    pub more: bool,
    /// The rule as it was printed; empty for one that was not.
    pub written: String,
}

impl PartialEq for Rich {
    fn eq(&self, other: &Self) -> bool {
        let said = |rule: &Self| (rule.priority, rule.family, rule.action, rule.more);
        said(self) == said(other)
            && self.what == other.what
            && self.source == other.source
            && self.destination == other.destination
    }
}

impl Eq for Rich {}

impl Rich {
    /// A rule that says `action` about a port.
    pub fn port(ports: PortRange, protocol: Protocol, action: Action) -> Self {
        Self {
            priority: 0,
            family: None,
            source: None,
            destination: None,
            what: What::Port(ports, protocol.to_string()),
            action,
            more: false,
            written: String::new(),
        }
    }

    /// The same, only for packets from a network.
    #[must_use]
    pub fn from(mut self, net: IpNet, inverted: bool) -> Self {
        self.family = Some(family_of(&net));
        self.source = Some(End {
            net: Some(net),
            inverted,
        });
        self
    }

    /// The same, only for packets to a network.
    #[must_use]
    pub fn to(mut self, net: IpNet) -> Self {
        self.family = Some(family_of(&net));
        self.destination = Some(End {
            net: Some(net),
            inverted: false,
        });
        self
    }

    /// The same with a priority.
    #[must_use]
    pub fn at(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// The rule as firewalld prints it.
    pub fn text(&self) -> String {
        if !self.written.is_empty() {
            return self.written.clone();
        }
        let mut text = String::from("rule");
        if self.priority != 0 {
            let _ = write!(text, " priority=\"{}\"", self.priority);
        }
        if let Some(family) = self.family {
            let _ = write!(text, " family=\"{}\"", family_word(family));
        }
        for (word, end) in [("source", &self.source), ("destination", &self.destination)] {
            if let Some(End {
                net: Some(net),
                inverted,
            }) = end
            {
                let not = if *inverted { "NOT " } else { "" };
                let _ = write!(text, " {word} {not}address=\"{net}\"");
            }
        }
        let _ = match &self.what {
            What::Port(ports, protocol) => {
                write!(text, " port port=\"{ports}\" protocol=\"{protocol}\"")
            }
            What::Service(name) => write!(text, " service name=\"{name}\""),
            What::Protocol(name) => write!(text, " protocol value=\"{name}\""),
            What::Everything | What::Other => Ok(()),
        };
        text.push_str(match self.action {
            Action::Accept => " accept",
            Action::Refuse => " drop",
            Action::None => "",
        });
        text
    }

    /// The rule as firewalld writes it into the file of a zone.
    pub fn element(&self) -> String {
        let mut text = String::from("  <rule");
        if let Some(family) = self.family {
            let _ = write!(text, " family=\"{}\"", family_word(family));
        }
        if self.priority != 0 {
            let _ = write!(text, " priority=\"{}\"", self.priority);
        }
        text.push_str(">\n");
        for (word, end) in [("source", &self.source), ("destination", &self.destination)] {
            if let Some(End {
                net: Some(net),
                inverted,
            }) = end
            {
                let not = if *inverted { " invert=\"True\"" } else { "" };
                let _ = writeln!(text, "    <{word} address=\"{net}\"{not}/>");
            }
        }
        if let What::Port(ports, protocol) = &self.what {
            let _ = writeln!(text, "    <port port=\"{ports}\" protocol=\"{protocol}\"/>");
        }
        text.push_str(match self.action {
            Action::Accept => "    <accept/>\n",
            Action::Refuse => "    <drop/>\n",
            Action::None => "",
        });
        text.push_str("  </rule>\n");
        text
    }

    /// Reads a line such as `rule family="ipv4" source address="10.0.0.0/8" accept`. What is not understood makes it
    /// a rule about something else.
    pub fn parse(line: &str) -> Self {
        let mut rule = Self::nothing();
        line.clone_into(&mut rule.written);
        let mut part = "rule";
        let mut inverted = false;
        let mut port: Option<PortRange> = None;
        for word in words(line) {
            let Some((key, value)) = word.split_once('=') else {
                inverted = word.eq_ignore_ascii_case("not");
                if !inverted {
                    part = rule.begin(&word);
                }
                continue;
            };
            match (part, key) {
                ("rule", "priority") => rule.priority = value.parse().unwrap_or(0),
                ("rule", "family") => rule.family = family_named(value),
                ("source", _) => rule.source = Some(end(key, value, inverted)),
                ("destination", _) => rule.destination = Some(end(key, value, inverted)),
                ("service", "name") => rule.what = named(value).map_or(What::Other, What::Service),
                ("protocol", "value") => rule.what = named(value).map_or(What::Other, What::Protocol),
                ("port", "port") => port = range(value),
                ("port", "protocol") => {
                    let both = port.zip(named(value));
                    rule.what = both.map_or(What::Other, |(port, name)| What::Port(port, name));
                }
                _ => {}
            }
        }
        rule
    }

    fn nothing() -> Self {
        Self {
            priority: 0,
            family: None,
            source: None,
            destination: None,
            what: What::Everything,
            action: Action::None,
            more: false,
            written: String::new(),
        }
    }

    /// A word without a value begins a part of the rule.
    fn begin(&mut self, word: &str) -> &'static str {
        match word {
            "rule" => "rule",
            "source" => "source",
            "destination" => "destination",
            "service" => "service",
            "protocol" => "protocol",
            "port" => "port",
            "accept" => {
                self.action = Action::Accept;
                "accept"
            }
            "drop" | "reject" => {
                self.action = Action::Refuse;
                "refuse"
            }
            "log" | "nflog" | "audit" | "limit" => {
                self.more = true;
                "more"
            }
            "mark" => "mark",
            _ => {
                self.what = What::Other;
                "other"
            }
        }
    }

    /// Reads a `<rule>` of a zone's file.
    pub fn of_element(element: &Element) -> Self {
        let mut rule = Self::nothing();
        let number = element.attribute("priority").and_then(|p| p.parse().ok());
        rule.priority = number.unwrap_or(0);
        rule.family = element.attribute("family").and_then(family_named);
        for child in &element.children {
            let key = child.attributes.first().map_or("", |(key, _)| key.as_str());
            let address = child.attribute("address");
            let inverted = child.attribute("invert").is_some_and(yes);
            let far = || {
                end(
                    address.map_or(key, |_| "address"),
                    address.unwrap_or(""),
                    inverted,
                )
            };
            match child.name.as_str() {
                "source" => rule.source = Some(far()),
                "destination" => rule.destination = Some(far()),
                "service" => {
                    let name = child.attribute("name").and_then(named);
                    rule.what = name.map_or(What::Other, What::Service);
                }
                "protocol" => {
                    let name = child.attribute("value").and_then(named);
                    rule.what = name.map_or(What::Other, What::Protocol);
                }
                "port" => {
                    let both = port_of(child).and_then(|(ports, name)| Some((ports, named(&name)?)));
                    rule.what = both.map_or(What::Other, |(ports, name)| What::Port(ports, name));
                }
                "accept" | "drop" | "reject" | "mark" => {
                    rule.begin(&child.name);
                    rule.more |= child.first("limit").is_some();
                }
                other => {
                    rule.begin(other);
                }
            }
        }
        rule
    }
}

/// `<port port="33001" protocol="tcp"/>`
pub fn port_of(element: &Element) -> Option<(PortRange, String)> {
    let ports = range(element.attribute("port")?)?;
    Some((ports, element.attribute("protocol")?.to_owned()))
}

/// `33001` or `33001-33010`
pub fn range(text: &str) -> Option<PortRange> {
    text.trim().parse().ok()
}

/// A name of a service or a protocol. Firewalld knows none with other characters (its `check_name`, and the names in
/// /etc/protocols), so that it never has to write a quote within quotes.
fn named(text: &str) -> Option<String> {
    let fits = |letter: char| letter.is_alphanumeric() || "_-./+".contains(letter);
    (!text.is_empty() && text.chars().all(fits)).then(|| text.to_owned())
}

/// Whether a value of an attribute says yes.
pub fn yes(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "yes" | "true")
}

/// The family of a network.
pub fn family_of(net: &IpNet) -> Family {
    match net {
        IpNet::V4(_) => Family::V4,
        IpNet::V6(_) => Family::V6,
    }
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn family_named(word: &str) -> Option<Family> {
    match word {
        "ipv4" => Some(Family::V4),
        "ipv6" => Some(Family::V6),
        _ => None,
    }
}

fn end(key: &str, value: &str, inverted: bool) -> End {
    let net = (key == "address").then(|| net(value)).flatten();
    End { net, inverted }
}

/// A network, or an address as a network of one.
pub fn net(text: &str) -> Option<IpNet> {
    let host = text.parse::<IpAddr>().ok().map(IpNet::from);
    host.or_else(|| text.parse::<IpNet>().ok().map(|net| net.trunc()))
}

/// Words of a line; a quoted value may hold blanks, and its quotes are dropped.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    for letter in line.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => word.push(letter),
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            None => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
