//! The catalogue for people and for programs.

use serde_json::{Value, json};

use super::{Catalogue, Need, NeedDefault, Role};

impl Catalogue {
    /// The JSON of `faspwall roles --json`.
    pub fn to_json(&self) -> Value {
        json!({
            "schema": "faspwall.roles/1",
            "roles": self.roles.iter().map(role_json).collect::<Vec<_>>(),
            "udp": self.udp,
        })
    }

    /// The text of `faspwall roles`.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for role in &self.roles {
            lines.extend(role.to_text().lines().map(str::to_owned));
            lines.push(String::new());
        }
        lines.push("How many UDP ports does FASP need?".to_owned());
        for rule in &self.udp {
            lines.push(format!("  {}", rule.name));
            lines.extend(folded_lines(&rule.why, "      "));
            lines.extend(folded_lines(&format!("Source: {}", rule.source), "      "));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Role {
    /// One role with its ports, each with why and source.
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("{}   {}", self.id, self.name)];
        lines.extend(folded_lines(&self.summary, "  "));
        if !self.aliases.is_empty() {
            lines.extend(folded_lines(&format!("Also: {}", self.aliases.join(", ")), "  "));
        }
        for need in &self.needs {
            lines.extend(need_lines(need));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

fn role_json(role: &Role) -> Value {
    json!({
        "id": role.id,
        "name": role.name,
        "aliases": role.aliases,
        "summary": role.summary,
        "needs": role.needs.iter().map(need_json).collect::<Vec<_>>(),
    })
}

fn need_json(need: &Need) -> Value {
    json!({
        "id": need.id,
        "direction": need.direction,
        "protocol": need.protocol,
        "ports": need.ports,
        "default": need.default,
        "key": need.answer.key(),
        "group": need.group,
        "peers": need.peers,
        "condition": need.condition,
        "why": need.why,
        "source": need.source,
    })
}

fn need_lines(need: &Need) -> Vec<String> {
    let default = match need.default {
        NeedDefault::On => "on",
        NeedDefault::Off => "off",
        NeedDefault::Loopback => "never open",
    };
    let mut head = format!(
        "  {:<3}  {}  {:<11}  {:<10}  {}",
        need.direction,
        need.protocol.to_string().to_uppercase(),
        need.ports,
        default,
        need.id
    );
    if let Some(key) = need.answer.key() {
        head.push_str(&format!("   set by {key}"));
    }
    if let Some(group) = &need.group {
        head.push_str(&format!("   multicast {group}"));
    }
    let mut lines = vec![head];
    lines.extend(folded_lines(&need.why, "         "));
    if !need.condition.is_empty() {
        lines.extend(folded_lines(&format!("When: {}", need.condition), "         "));
    }
    if !need.peers.is_empty() {
        let peers: Vec<_> = need.peers.iter().map(ToString::to_string).collect();
        lines.extend(folded_lines(&format!("From: {}", peers.join(", ")), "         "));
    }
    lines.extend(folded_lines(&format!("Source: {}", need.source), "         "));
    lines
}

/// Breaks text between words so that lines stay within 79 columns; a longer word stays whole.
fn folded_lines(text: &str, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let fits = line.chars().count() + 1 + word.chars().count() <= 79;
        if line.len() > indent.len() && !fits {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.len() > indent.len() {
        lines.push(line);
    }
    lines
}
