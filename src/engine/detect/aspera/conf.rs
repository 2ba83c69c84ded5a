//! Reading `aspera.conf` and `product-info.mf`: XML that people edit by hand, so mistakes are told and read over. A pull
//! parser does that; one that builds a tree refuses the whole file for a forgotten end tag.
//!
//! Names and defaults: the schema of aspera.conf 4.4.7 as published with IBM's command line tool; `<WEB>` from the
//! manuals of Connect Server 3.5.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::harmless::is_tricky;
use crate::port::parse_port;

/// Ports of the HTTP fallback where the file gives none.
const FALLBACK_PORTS: (u16, u16) = (8080, 8443);
/// Elements may not lie deeper than this; those of the schema need eight.
const DEPTH: usize = 64;
/// Port of Vlinks where `<mcast_port>` is 0 or missing.
const VLINK_PORT: u16 = 55001;

/// What `aspera.conf` says about ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// `<default><transfer><protocol_options><bind_udp_port>`
    pub udp_port: Option<u16>,
    /// `<udp_port_reuse>`
    pub udp_port_reuse: Option<bool>,
    /// `<server><ssh_port>`
    pub ssh_port: Option<u16>,
    /// `UdpPort` of `<WEB>`: what the old web pages tell clients.
    pub web_udp_port: Option<u16>,
    /// `SshPort` of `<WEB>`.
    pub web_ssh_port: Option<u16>,
    /// `HttpFallbackPort` of `<WEB>`.
    pub web_http_port: Option<u16>,
    /// `HttpsFallbackPort` of `<WEB>`.
    pub web_https_port: Option<u16>,
    /// `<http_server>`: HTTP port, and whether it is enabled.
    pub http: Option<(u16, bool)>,
    /// `<http_server>`: HTTPS port, and whether it is enabled.
    pub https: Option<(u16, bool)>,
    /// `<mcast_port>` of a trunk that is on.
    pub vlink_port: Option<u16>,
    /// `<id>` of that trunk.
    pub vlink_id: Option<String>,
    /// Whether there are `<rproxy>` rules.
    pub reverse_proxy: bool,
    /// What could not be understood, with its line.
    pub problems: Vec<String>,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Names of the elements from the root down, in lower case; an attribute follows as `@name`.
    path: Vec<String>,
    text: String,
    line: usize,
}

/// Every value of the file, and what is wrong with the file as XML.
#[derive(Debug, Default)]
struct Tree {
    entries: Vec<Entry>,
    problems: Vec<String>,
}

impl Tree {
    fn read(text: &str) -> Self {
        let mut tree = Self::default();
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        // Wrong end tags are told and passed over here, instead of ending the file.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        let mut open: Vec<(String, String, usize)> = Vec::new();
        let (mut line, mut counted) = (1, 0);
        loop {
            let event = reader.read_event();
            let position = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            line += line_ends(text.get(counted..position).unwrap_or_default());
            counted = position.max(counted);
            if open.len() > DEPTH {
                tree.problems.push(format!(
                    "line {line}: elements lie too deep; what follows was not read"
                ));
                break;
            }
            match event {
                Ok(Event::Eof) => break,
                Ok(Event::Start(start)) => {
                    let name = lower(start.name().as_ref());
                    open.push((name, String::new(), line));
                    tree.attributes(&open, &start, line);
                }
                Ok(Event::Empty(start)) => {
                    open.push((lower(start.name().as_ref()), String::new(), line));
                    tree.attributes(&open, &start, line);
                    tree.close(&mut open);
                }
                Ok(Event::End(end)) => tree.end(&mut open, &lower(end.name().as_ref()), line),
                Ok(Event::Text(part)) => push(&mut open, &part),
                Ok(Event::CData(part)) => push(&mut open, &part),
                Ok(_) => {}
                Err(error) => {
                    tree.problems
                        .push(format!("line {line}: {error}; what follows was not read"));
                    break;
                }
            }
        }
        for (name, _, line) in &open {
            tree.problems
                .push(format!("line {line}: <{name}> is never closed"));
        }
        while !open.is_empty() {
            tree.close(&mut open);
        }
        tree
    }

    fn attributes(&mut self, open: &[(String, String, usize)], start: &BytesStart<'_>, line: usize) {
        for attribute in start.attributes() {
            match attribute {
                Ok(attribute) => {
                    let mut path: Vec<String> = open.iter().map(|(name, _, _)| name.clone()).collect();
                    path.push(format!("@{}", lower(attribute.key.as_ref())));
                    self.entries.push(Entry {
                        path,
                        text: attribute.value.trim().to_owned(),
                        line,
                    });
                }
                Err(error) => self.problems.push(format!("line {line}: {error}")),
            }
        }
    }

    /// An end tag: of the element that is open, of one further out, or of none.
    fn end(&mut self, open: &mut Vec<(String, String, usize)>, name: &str, line: usize) {
        let Some(at) = open.iter().rposition(|(known, _, _)| known == name) else {
            self.problems
                .push(format!("line {line}: </{name}> closes nothing"));
            return;
        };
        while open.len() > at {
            if open.len() > at + 1
                && let Some((inner, _, began)) = open.last()
            {
                self.problems.push(format!(
                    "line {began}: <{inner}> is not closed before </{name}> in line {line}"
                ));
            }
            self.close(open);
        }
    }

    fn close(&mut self, open: &mut Vec<(String, String, usize)>) {
        let path: Vec<String> = open.iter().map(|(name, _, _)| name.clone()).collect();
        if let Some((_, text, line)) = open.pop() {
            self.entries.push(Entry {
                path,
                text: text.trim().to_owned(),
                line,
            });
        }
    }

    /// The value at a path below the root, whatever the root is called. Empty values and `AS_NULL` say nothing.
    fn value(&self, path: &[&str]) -> Option<&Entry> {
        let fits = |e: &&Entry| e.path.get(1..).is_some_and(|below| below == path);
        self.entries
            .iter()
            .filter(fits)
            .rfind(|e| !e.text.is_empty() && e.text != "AS_NULL")
    }

    fn has(&self, path: &[&str]) -> bool {
        self.entries
            .iter()
            .any(|e| e.path.get(1..).is_some_and(|below| below == path))
    }

    fn port(&mut self, path: &[&str]) -> Option<u16> {
        let entry = self.value(path)?.clone();
        // 0 stands for the default all over the schema.
        if entry.text == "0" {
            return None;
        }
        match parse_port(&entry.text) {
            Ok(port) => Some(port),
            Err(_) => {
                self.complain(&entry, "a port from 1 to 65535");
                None
            }
        }
    }

    fn flag(&mut self, path: &[&str]) -> Option<bool> {
        let entry = self.value(path)?.clone();
        let value = truth(&entry.text);
        if value.is_none() {
            self.complain(&entry, "true or false");
        }
        value
    }

    fn complain(&mut self, entry: &Entry, wanted: &str) {
        let name = entry.path.last().map_or("", String::as_str);
        let shown: String = entry.text.chars().filter(|c| !is_tricky(*c)).take(40).collect();
        let name = name.strip_prefix('@').map_or(format!("<{name}>"), str::to_owned);
        self.problems.push(format!(
            "line {}: {name} is \"{shown}\", not {wanted}",
            entry.line
        ));
    }
}

fn lower(name: &str) -> String {
    name.to_lowercase()
}

fn push(open: &mut [(String, String, usize)], part: &str) {
    if let Some((_, text, _)) = open.last_mut() {
        text.push_str(part);
    }
}

fn line_ends(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// The spellings of true and false that were seen in real files: elements have `true` and `1`, `<WEB>` has `yes`.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl Conf {
    /// Reads the file. It always gives an answer; what is wrong stands in `problems`.
    pub fn parse(text: &str) -> Self {
        let mut tree = Tree::read(text);
        let options = ["default", "transfer", "protocol_options"];
        let option = |name| [&options[..], &[name]].concat();
        let web_fallback = tree.flag(&["web", "@httpfallback"]);
        let mut fallback = |port: &str, enable: &str, attribute: &str, usual: u16| {
            let own = tree.has(&["http_server"]).then(|| {
                let port = tree.port(&["http_server", port]).unwrap_or(usual);
                (port, tree.flag(&["http_server", enable]).unwrap_or(false))
            });
            own.or_else(|| {
                let port = tree.port(&["web", attribute])?;
                Some((port, web_fallback.unwrap_or(false)))
            })
        };
        let http = fallback("http_port", "enable_http", "@httpfallbackport", FALLBACK_PORTS.0);
        let https = fallback(
            "https_port",
            "enable_https",
            "@httpsfallbackport",
            FALLBACK_PORTS.1,
        );
        let (vlink_port, vlink_id) = vlink(&mut tree).unzip();
        let vlink_id = vlink_id.filter(|id| !id.is_empty());
        Self {
            udp_port: tree.port(&option("bind_udp_port")),
            udp_port_reuse: tree.flag(&option("udp_port_reuse")),
            ssh_port: tree.port(&["server", "ssh_port"]),
            web_udp_port: tree.port(&["web", "@udpport"]),
            web_ssh_port: tree.port(&["web", "@sshport"]),
            web_http_port: tree.port(&["web", "@httpfallbackport"]),
            web_https_port: tree.port(&["web", "@httpsfallbackport"]),
            http,
            https,
            vlink_port,
            vlink_id,
            reverse_proxy: tree.has(&["server", "rproxy", "rules", "rule"]),
            problems: tree.problems,
        }
    }
}

/// Port and id of the first trunk that is on. All members of a Vlink use the same port.
fn vlink(tree: &mut Tree) -> Option<(u16, String)> {
    let trunk = ["trunks", "trunk"];
    let mut members: Vec<Entry> = Vec::new();
    for entry in tree.entries.clone() {
        let Some(below) = entry.path.get(1..) else {
            continue;
        };
        if below == trunk {
            // An element is entered when it ends: its children came before it.
            let mut one = Tree {
                entries: std::mem::take(&mut members),
                problems: Vec::new(),
            };
            let on = one.flag(&["trunks", "trunk", "on"]) == Some(true);
            let port = one.port(&["trunks", "trunk", "mcast_port"]);
            let id = one.value(&["trunks", "trunk", "id"]).map(|id| id.text.clone());
            tree.problems.append(&mut one.problems);
            if on {
                return Some((port.unwrap_or(VLINK_PORT), id.unwrap_or_default()));
            }
        } else if below.starts_with(&trunk.map(str::to_owned)) {
            members.push(entry);
        }
    }
    None
}

/// Name and version in `product-info.mf`; empty where they are missing.
pub fn manifest(text: &str) -> (String, String) {
    let tree = Tree::read(text);
    let value = |name| tree.value(&[name]).map(|e| e.text.clone()).unwrap_or_default();
    (value("name"), value("version"))
}

#[cfg(test)]
mod tests;
