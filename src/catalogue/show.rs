//! The catalogue for people and for programs.

use serde_json::{Value, json};

use super::{Catalogue, Need, Role};

impl Catalogue {
    /// The JSON of `faspwall roles --json`.
    pub fn to_json(&self) -> Value {
        json!({
            "schema": "faspwall.roles/1",
            "roles": self.roles.iter().map(role_json).collect::<Vec<_>>(),
            "udp": self.udp,
        })
    }

    /// The text of `faspwall roles`: every role, then the UDP rules, then the documents that the numbers stand for.
    pub fn to_text(&self) -> String {
        let mut sources = Vec::new();
        let mut lines = Vec::new();
        for role in &self.roles {
            lines.extend(role_lines(role, &mut sources));
            lines.push(String::new());
        }
        lines.push("How many UDP ports does FASP need?".to_owned());
        for rule in &self.udp {
            lines.push(format!(
                "  {}  {}",
                rule.name,
                reference(&rule.source, &mut sources)
            ));
            lines.extend(folded_lines(&rule.why, "       "));
        }
        lines.push(String::new());
        lines.extend(source_lines(&sources));
        lines.join("\n") + "\n"
    }
}

impl Role {
    /// One role with its ports, each with why and the number of its document, and the documents.
    pub fn to_text(&self) -> String {
        let mut sources = Vec::new();
        let mut lines = role_lines(self, &mut sources);
        lines.push(String::new());
        lines.extend(source_lines(&sources));
        lines.join("\n") + "\n"
    }
}

fn role_lines<'a>(role: &'a Role, sources: &mut Vec<&'a str>) -> Vec<String> {
    let mut lines = vec![format!("{}   {}", role.id, role.name)];
    lines.extend(folded_lines(&role.summary, "  "));
    if !role.aliases.is_empty() {
        lines.extend(folded_lines(&format!("Also: {}", role.aliases.join(", ")), "  "));
    }
    for need in &role.needs {
        lines.extend(need_lines(need, sources));
    }
    lines
}

/// `[3]`: the number of a document, which is added to the list when it is new.
fn reference<'a>(source: &'a str, sources: &mut Vec<&'a str>) -> String {
    let number = sources
        .iter()
        .position(|known| *known == source)
        .unwrap_or_else(|| {
            sources.push(source);
            sources.len() - 1
        });
    format!("[{}]", number + 1)
}

fn source_lines(sources: &[&str]) -> Vec<String> {
    let mut lines = vec!["Documents".to_owned()];
    for (number, source) in sources.iter().enumerate() {
        let (title, address) = source.split_once(" <").unwrap_or((source, ""));
        let mut title = folded_lines(title, "       ");
        if let Some(first) = title.first_mut() {
            *first = format!("  {:<4} {}", format!("[{}]", number + 1), first.trim_start());
        }
        lines.extend(title);
        lines.extend(folded_lines(address.trim_end_matches('>'), "       "));
    }
    lines
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

fn need_lines<'a>(need: &'a Need, sources: &mut Vec<&'a str>) -> Vec<String> {
    let head = format!(
        "  {:<3}  {}  {:<10}  {:<8}  {:<18}  {}",
        need.direction,
        need.protocol.to_string().to_uppercase(),
        need.ports,
        need.default.as_str(),
        need.id,
        need.answer.key().unwrap_or("")
    );
    let mut lines = vec![head.trim_end().to_owned()];
    let indent = "       ";
    let why = format!("{} {}", need.why, reference(&need.source, sources));
    lines.extend(folded_lines(&why, indent));
    if let Some(group) = &need.group {
        lines.push(format!("{indent}To: {group} (multicast)"));
    }
    if !need.condition.is_empty() {
        lines.extend(folded_lines(&format!("When: {}", need.condition), indent));
    }
    if !need.peers.is_empty() {
        let peers: Vec<_> = need.peers.iter().map(ToString::to_string).collect();
        lines.extend(folded_lines(&format!("From: {}", peers.join(", ")), indent));
    }
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
