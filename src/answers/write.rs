//! From [`Answers`] to the text of an answers file: the commented template, filled in.

use ipnet::IpNet;
use toml::Value;

use super::{Answers, AsperaConf, Daemon, Legacy22, Outbound};
use crate::catalogue::{Catalogue, PortAnswer, Role};

/// Schema, help and example in one file.
const TEMPLATE: &str = include_str!("../../assets/answers.toml");

impl Answers {
    /// The commented template as it is.
    pub fn template() -> &'static str {
        TEMPLATE
    }

    /// The template with these answers in it; sections that the role does not have are left out.
    pub fn to_toml(&self, catalogue: &Catalogue) -> String {
        let role = catalogue.role(&self.role);
        let mut text = String::new();
        let mut section = String::new();
        // Comments and blank lines belong to the line after them, and go when it goes.
        let mut before = String::new();
        for line in TEMPLATE.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                if has(role, &section, "") {
                    text.push_str(&before);
                    text.push_str(line);
                    text.push('\n');
                }
                before.clear();
            } else if let Some((key, default, comment)) = key_line(line) {
                if has(role, &section, key) {
                    text.push_str(&before);
                    text.push_str(&self.filled(&section, key, default, comment));
                    text.push('\n');
                }
                before.clear();
            } else {
                before.push_str(line);
                before.push('\n');
            }
        }
        text
    }

    fn filled(&self, section: &str, key: &str, default: &str, comment: &str) -> String {
        let (mark, value) = match self.value(section, key) {
            Some(value) => ("", value),
            None => ("#", default.to_owned()),
        };
        let assignment = format!("{mark}{key} = {value}");
        if comment.is_empty() {
            assignment
        } else {
            format!("{assignment:<33} {comment}")
        }
    }

    /// The value of a key as TOML; `None` when it is off.
    fn value(&self, section: &str, key: &str) -> Option<String> {
        let port = |port: Option<u16>| port.map(|port| port.to_string());
        match (section, key) {
            ("", "schema") => Some("1".to_owned()),
            ("", "role") => Some(text(&self.role)),
            ("", "accept") => Some(texts(&self.accept)),
            ("", "extra") => Some(texts(&self.extra)),
            ("ssh", "port") => port(Some(self.ssh.port)),
            ("ssh", "legacy_22") => Some(text(match self.ssh.legacy_22 {
                Legacy22::Close => "close",
                Legacy22::Keep => "keep",
                Legacy22::Restrict => "restrict",
            })),
            ("ssh", "restrict_22_to") => Some(networks(&self.ssh.restrict_22_to)),
            ("ssh", "keep_22_until") => self.ssh.keep_22_until.map(|day| text(&day.to_string())),
            ("ssh", "daemon") => Some(text(match self.ssh.daemon {
                Daemon::Move => "move",
                Daemon::Leave => "leave",
            })),
            ("fasp", "udp") => Some(text(&self.fasp_udp.to_string())),
            ("http_fallback", "http") => port(self.http_fallback.http),
            ("http_fallback", "https") => port(self.http_fallback.https),
            ("web_ui", "http") => port(self.web_ui.http),
            ("web_ui", "https") => port(self.web_ui.https),
            ("node_api", "https") => port(self.node_api),
            ("vlink", "udp") => port(self.vlink.as_ref().map(|vlink| vlink.udp)),
            ("vlink", "group") => self.vlink.as_ref().map(|vlink| text(&vlink.group.to_string())),
            ("firewall", "backend") => Some(text(self.firewall.backend.map_or("auto", |id| id.as_str()))),
            ("firewall", "sources") => Some(networks(&self.firewall.sources)),
            ("firewall", "outbound") => Some(text(match self.firewall.outbound {
                Outbound::Auto => "auto",
                Outbound::Always => "always",
                Outbound::Never => "never",
            })),
            ("firewall", "default_deny") => Some(self.firewall.default_deny.to_string()),
            ("firewall", "enable_at_boot") => Some(self.firewall.enable_at_boot.to_string()),
            ("aspera", "conf") => Some(text(match self.aspera_conf {
                AsperaConf::Leave => "leave",
                AsperaConf::Set => "set",
            })),
            _ => None,
        }
    }
}

/// Whether the role has a section (empty key) or a key of it. Without a role everything is written.
fn has(role: Option<&Role>, section: &str, key: &str) -> bool {
    let Some(role) = role else { return true };
    match (section, key) {
        ("", "extra") => role.extras().next().is_some(),
        ("ssh", "legacy_22" | "restrict_22_to" | "keep_22_until" | "daemon") => role.takes_ssh(),
        ("ssh", _) => role.uses(PortAnswer::SshPort),
        ("fasp", _) => role.uses(PortAnswer::FaspUdp),
        ("http_fallback", _) => role.uses(PortAnswer::FallbackHttp),
        ("web_ui", _) => role.uses(PortAnswer::WebHttps),
        ("node_api", _) => role.uses(PortAnswer::NodeHttps),
        ("vlink", _) => role.uses(PortAnswer::VlinkUdp),
        ("aspera", _) => role.takes_ssh(),
        _ => true,
    }
}

/// Key, value and trailing comment of `key = value # comment`, also when the line is commented out as `#key = value`.
fn key_line(line: &str) -> Option<(&str, &str, &str)> {
    let (key, rest) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_key {
        return None;
    }
    let (value, comment) = match rest.find(" #") {
        Some(at) => (&rest[..at], rest[at..].trim_start()),
        None => (rest, ""),
    };
    Some((key, value.trim_end(), comment))
}

fn text(value: &str) -> String {
    Value::from(value).to_string()
}

fn texts(values: &[String]) -> String {
    Value::from(values.to_vec()).to_string()
}

fn networks(values: &[IpNet]) -> String {
    texts(&values.iter().map(ToString::to_string).collect::<Vec<_>>())
}
