//! Advice that needs a look into the live ruleset itself, as `nft -j list ruleset` prints it.
//!
//! The text is searched before it is parsed: on a host of many thousand rules most of these questions end there.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Advice, Case, Severity};
use crate::facts::BackendId;
use crate::port::{Direction, PortRange, Protocol};

/// The objects of the ruleset; none when it could not be read, or when `worth` finds nothing of interest in its text.
fn objects(case: &Case<'_>, worth: impl Fn(&str) -> bool) -> Vec<Value> {
    let Some(text) = case
        .facts
        .observations
        .nft_json
        .as_deref()
        .filter(|text| worth(text))
    else {
        return Vec::new();
    };
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut document)) => match document.remove("nftables") {
            Some(Value::Array(objects)) => objects,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn name<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Ports of the plan that a rule sends elsewhere before the input rules see them, a line each.
pub fn redirected(case: &Case<'_>) -> Vec<String> {
    let worth = |text: &str| {
        ["dnat", "DNAT", "redirect", "REDIRECT"]
            .iter()
            .any(|word| text.contains(word))
    };
    let mut lines = Vec::new();
    for object in objects(case, worth) {
        let Some(rule) = object
            .get("rule")
            .filter(|rule| !name(rule, "table").starts_with("faspwall"))
        else {
            continue;
        };
        let empty = Vec::new();
        let parts = rule.get("expr").and_then(Value::as_array).unwrap_or(&empty);
        if !parts.iter().any(sends_elsewhere) {
            continue;
        }
        for (protocol, ports) in parts.iter().flat_map(destination_ports) {
            let wanted = case.plan.requirements.iter().filter(|requirement| {
                requirement.direction == Direction::In
                    && requirement.protocol == protocol
                    && requirement.ports.overlaps(ports)
            });
            lines.extend(wanted.map(|requirement| {
                format!(
                    "{} {} {}: a rule sends {}/{ports} elsewhere, which {} needs",
                    name(rule, "family"),
                    name(rule, "table"),
                    name(rule, "chain"),
                    protocol.to_string().to_uppercase(),
                    requirement.id
                )
            }));
        }
    }
    lines.dedup();
    lines
}

fn sends_elsewhere(part: &Value) -> bool {
    let target = part.get("xt").map_or("", |target| name(target, "name"));
    part.get("dnat").is_some() || part.get("redirect").is_some() || ["DNAT", "REDIRECT"].contains(&target)
}

/// The ports of `tcp dport 8443`, `udp dport { 33001-33100, 55001 }` and the like.
fn destination_ports(part: &Value) -> Vec<(Protocol, PortRange)> {
    let Some((test, payload)) = part
        .get("match")
        .and_then(|test| Some((test, test.get("left")?.get("payload")?)))
    else {
        return Vec::new();
    };
    if name(payload, "field") != "dport" || name(test, "op") == "!=" {
        return Vec::new();
    }
    let protocol = match name(payload, "protocol") {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return Vec::new(),
    };
    let right = test.get("right").unwrap_or(&Value::Null);
    let members = match right.get("set") {
        Some(Value::Array(members)) => members.iter().collect(),
        _ => vec![right],
    };
    members
        .into_iter()
        .filter_map(ports)
        .map(|ports| (protocol, ports))
        .collect()
}

/// `8443`, or `{"range": [33001, 33100]}`.
fn ports(value: &Value) -> Option<PortRange> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([first, last]) => PortRange::new(port(first)?, port(last)?).ok(),
        _ => PortRange::single(port(value)?).ok(),
    }
}

/// What fail2ban bans, the address that the operator comes from or a network around it, and where: `the set f2b-table
/// addr-set-sshd`.
pub fn banned(case: &Case<'_>) -> Option<(IpNet, String)> {
    let client = case.client()?;
    let quoted = format!("\"{client}\"");
    let named = |text: &str| text.contains(&quoted) || text.contains("\"prefix\"");
    for object in objects(case, |text| text.contains("f2b") && named(text)) {
        for kind in ["set", "rule"] {
            let Some(inner) = object.get(kind) else { continue };
            let names = [name(inner, "table"), name(inner, "chain"), name(inner, "name")];
            if !names.iter().any(|name| name.contains("f2b")) {
                continue;
            }
            if let Some(network) = around(inner, client) {
                let place: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
                let kind = if kind == "rule" { "a rule in" } else { "the set" };
                return Some((network, format!("{kind} {}", place.join(" "))));
            }
        }
    }
    None
}

/// Where an address stands in there: by itself, or within `{"prefix": {"addr": "192.0.2.0", "len": 24}}`.
fn around(value: &Value, wanted: IpAddr) -> Option<IpNet> {
    match value {
        Value::String(text) => (text.parse() == Ok(wanted)).then(|| IpNet::from(wanted)),
        Value::Array(items) => items.iter().find_map(|item| around(item, wanted)),
        Value::Object(fields) => fields.iter().find_map(|(key, field)| match key.as_str() {
            "prefix" => network(field).filter(|network| network.contains(&wanted)),
            _ => around(field, wanted),
        }),
        _ => None,
    }
}

fn network(prefix: &Value) -> Option<IpNet> {
    let length = prefix.get("len").and_then(Value::as_u64)?;
    IpNet::new(name(prefix, "addr").parse().ok()?, u8::try_from(length).ok()?).ok()
}

/// FW009: runtime and permanent rules differ.
///
/// Told only where it is certain: a table that decides about packets now, and that neither the file loaded at boot nor a
/// file that it includes names.
pub fn runtime_differs(case: &Case<'_>) -> Option<Advice> {
    let boot = case.facts.boot_of(BackendId::Nftables);
    let (file, content) = (boot.file.as_ref()?, boot.text()?);
    let code: Vec<&str> = content
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .collect();
    let words: Vec<&str> = code
        .iter()
        .flat_map(|line| line.split([' ', '\t', ';', '{', '}']))
        .collect();
    if words.contains(&"include") {
        return None;
    }
    let mut missing: Vec<String> = case
        .facts
        .chains
        .iter()
        .filter(|chain| chain.owner.is_none() && !chain.table.starts_with("faspwall"))
        .filter(|chain| !words.contains(&chain.table.as_str()))
        .map(|chain| {
            format!(
                "table {} {} is loaded, but {} does not name it",
                chain.family,
                chain.table,
                file.display()
            )
        })
        .collect();
    missing.sort();
    missing.dedup();
    if missing.is_empty() {
        return None;
    }
    let text = format!(
        "Rules are in force that {} does not load at boot: after a restart they are gone, and what is kept now may not \
         fit the rest. Put them into the file, or take them out, before you go on.",
        file.display()
    );
    Some(Advice::new("FW009", Severity::Warning, text).seen(missing))
}
