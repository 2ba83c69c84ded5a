//! From the text of a catalogue to roles and rules, with a place for every mistake.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::fault::{CatalogueError, Fault};
use super::{Catalogue, Need, NeedDefault, PortAnswer, Role, UdpPorts, UdpRule, folded, names};
use crate::document::{Found, Reader, Section, Shape, hint};
use crate::port::{Direction, PortRange, Protocol};

/// A need as it is written, before a role lends it a source.
struct Draft {
    need: Need,
    has_source: bool,
}

type Sources = BTreeMap<String, String>;
/// `None` is a need with a mistake of its own: it has been reported, and who refers to it is not to blame.
type Drafts = BTreeMap<String, Option<Draft>>;

/// Reads a catalogue.
pub fn read(file: &str, text: &str) -> Result<Catalogue, CatalogueError> {
    let mut reader = Reader::<Fault>::new(file, text);
    let document = reader.parse();
    let top = Section::new(document.get_ref(), "", 0);
    reader.only(top, &["schema", "source", "need", "role", "udp"]);
    match reader.number(top, "schema", "schema = 1") {
        Some(1) => {}
        Some(other) => reader.problem_at("schema", Fault::Schema(other)),
        None => {
            if !top.keys().any(|key| key == "schema") {
                reader.problem(0, missing("schema", "the top of the file", "1"));
            }
        }
    }
    let sources = sources(&mut reader, top);
    let drafts = drafts(&mut reader, top, &sources);
    let roles = roles(&mut reader, top, &sources, &drafts);
    let udp = rules(&mut reader, top, &sources);
    if !top.keys().any(|key| key == "role") {
        reader.problem(0, Fault::Empty);
    }
    let problems = reader.finish();
    if problems.is_empty() {
        Ok(Catalogue { roles, udp })
    } else {
        Err(CatalogueError { problems })
    }
}

fn missing(key: &str, section: &str, example: &str) -> Shape {
    Shape::Missing {
        key: key.to_owned(),
        section: section.to_owned(),
        example: example.to_owned(),
    }
}

/// The tables below `[name]`, each with its key.
fn named<'a>(reader: &mut Reader<'_, Fault>, parent: &'a Option<Found<'a>>) -> Vec<(String, Found<'a>)> {
    let Some(parent) = parent else {
        return Vec::new();
    };
    let section = parent.section();
    let keys: Vec<String> = section.keys().map(str::to_owned).collect();
    let mut tables = Vec::new();
    for key in keys {
        if let Some(found) = reader.table_owned(parent, &key) {
            if !is_id(&key) {
                reader.problem(found.offset(), Fault::Id(key.clone()));
            }
            tables.push((key, found));
        }
    }
    tables
}

fn sources(reader: &mut Reader<'_, Fault>, top: Section<'_>) -> Sources {
    let parent = reader.table(top, "source");
    let mut sources = Sources::new();
    for (key, found) in named(reader, &parent) {
        let section = found.section();
        reader.only(section, &["title", "address"]);
        let title = reader.required(section, "title", "\"Name of the document, topic\"");
        let address = reader.required(section, "address", "\"https://...\"");
        sources.insert(
            key,
            format!("{} <{}>", title.unwrap_or_default(), address.unwrap_or_default()),
        );
    }
    sources
}

fn drafts(reader: &mut Reader<'_, Fault>, top: Section<'_>, sources: &Sources) -> Drafts {
    let parent = reader.table(top, "need");
    let mut drafts = Drafts::new();
    for (key, found) in named(reader, &parent) {
        let draft = draft(reader, &key, &found, sources);
        drafts.insert(key, draft);
    }
    drafts
}

const NEED_KEYS: [&str; 11] = [
    "id",
    "direction",
    "protocol",
    "ports",
    "answer",
    "default",
    "group",
    "condition",
    "peers",
    "why",
    "source",
];

fn draft(reader: &mut Reader<'_, Fault>, key: &str, found: &Found<'_>, sources: &Sources) -> Option<Draft> {
    let section = found.section();
    reader.only(section, &NEED_KEYS);
    let id = reader.text(section, "id", "id = \"ssh\"").unwrap_or(key);
    if !is_id(id) {
        reader.problem(found.offset(), Fault::Id(id.to_owned()));
    }
    let direction = reader.required_word(
        section,
        "direction",
        &[("in", Direction::In), ("out", Direction::Out)],
    );
    let protocol = reader.required_word(
        section,
        "protocol",
        &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)],
    );
    let ports = reader.required(section, "ports", "\"33001\"");
    if let Some(Err(error)) = ports.map(str::parse::<PortRange>) {
        reader.problem_at(&format!("need.{key}.ports"), error);
    }
    let answers = PortAnswer::ALL.map(|answer| (answer.as_str(), answer));
    let answer = reader.required_word(section, "answer", &answers);
    let defaults =
        [NeedDefault::On, NeedDefault::Off, NeedDefault::Loopback].map(|default| (default.as_str(), default));
    let default = reader.required_word(section, "default", &defaults);
    let group = reader
        .text(section, "group", "group = \"224.0.0.0/4\"")
        .map(str::to_owned);
    if let Some(group) = &group {
        check_group(reader, &format!("need.{key}.group"), group);
    }
    let condition = reader.text(section, "condition", "condition = \"only when ...\"");
    let peers = networks(reader, section, "peers");
    let why = reader.required(section, "why", "\"What the port is for.\"");
    let source = reader.text(section, "source", "source = \"hsts-4-4\"");
    let source_text = source.and_then(|name| source_of(reader, &format!("need.{key}.source"), name, sources));
    let need = Need {
        id: id.to_owned(),
        direction: direction?,
        protocol: protocol?,
        ports: ports?.to_owned(),
        answer: answer?,
        default: default?,
        group,
        condition: condition.unwrap_or_default().to_owned(),
        why: why?.to_owned(),
        peers,
        source: source_text.unwrap_or_default(),
    };
    agree(reader, key, &need);
    Some(Draft {
        need,
        has_source: source.is_some(),
    })
}

/// What the parts of one need must have to do with each other.
fn agree(reader: &mut Reader<'_, Fault>, key: &str, need: &Need) {
    let gives = match need.answer {
        PortAnswer::Fixed => need.protocol,
        PortAnswer::FaspUdp | PortAnswer::VlinkUdp => Protocol::Udp,
        _ => Protocol::Tcp,
    };
    if gives != need.protocol {
        let fault = Fault::Protocol {
            answer: need.answer.as_str(),
            gives,
            is: need.protocol,
        };
        reader.problem_at(&format!("need.{key}.answer"), fault);
    }
    let opened = need.answer != PortAnswer::Fixed || need.direction != Direction::In;
    if need.default == NeedDefault::Loopback && opened {
        reader.problem_at(&format!("need.{key}.default"), Fault::Loopback);
    }
}

fn check_group(reader: &mut Reader<'_, Fault>, path: &str, text: &str) {
    match text.parse::<IpNet>() {
        Ok(net) if net.trunc() == net => {
            if !super::is_multicast_v4(net) {
                reader.problem_at(path, Fault::Group(net));
            }
        }
        _ => reader.problem_at(path, Fault::Network(text.to_owned())),
    }
}

fn networks(reader: &mut Reader<'_, Fault>, section: Section<'_>, key: &str) -> Vec<IpNet> {
    let texts = reader.texts(section, key, &format!("{key} = [\"192.0.2.0/24\"]"));
    let mut networks = Vec::new();
    for (path, text) in texts.unwrap_or_default() {
        match text.parse::<IpNet>() {
            Ok(net) if net.trunc() == net => networks.push(net),
            _ => reader.problem_at(&path, Fault::Network(text.to_owned())),
        }
    }
    networks
}

fn source_of(reader: &mut Reader<'_, Fault>, path: &str, name: &str, sources: &Sources) -> Option<String> {
    if let Some(text) = sources.get(name) {
        return Some(text.clone());
    }
    let fault = Fault::Unknown {
        table: "source",
        name: name.to_owned(),
        hint: hint(name, sources.keys().map(String::as_str)),
    };
    reader.problem_at(path, fault);
    None
}

fn roles(reader: &mut Reader<'_, Fault>, top: Section<'_>, sources: &Sources, drafts: &Drafts) -> Vec<Role> {
    let mut roles = Vec::new();
    let mut used = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for found in reader.tables(top, "role") {
        let Some(role) = role(reader, &found, sources, drafts, &mut used) else {
            continue;
        };
        let own: BTreeSet<String> = names(&role).map(folded).collect();
        for name in &own {
            if !taken.insert(name.clone()) {
                let fault = Fault::Twice {
                    what: "the name",
                    name: names(&role)
                        .find(|known| folded(known) == *name)
                        .unwrap_or(name)
                        .to_owned(),
                };
                reader.problem(found.offset(), fault);
            }
        }
        roles.push(role);
    }
    for key in drafts.keys().filter(|key| !used.contains(*key)) {
        let fault = Fault::Unused {
            table: "need",
            name: key.clone(),
        };
        reader.problem_at(&format!("need.{key}"), fault);
    }
    roles
}

fn role(
    reader: &mut Reader<'_, Fault>,
    found: &Found<'_>,
    sources: &Sources,
    drafts: &Drafts,
    used: &mut BTreeSet<String>,
) -> Option<Role> {
    let section = found.section();
    reader.only(section, &["id", "name", "aliases", "summary", "source", "needs"]);
    let id = reader.required(section, "id", "\"connect-server\"");
    if let Some(id) = id.filter(|id| !is_id(id)) {
        reader.problem_at("role.id", Fault::Id(id.to_owned()));
    }
    let name = reader.required(section, "name", "\"Connect Server\"");
    let summary = reader.required(section, "summary", "\"One sentence.\"");
    let aliases = reader.texts(section, "aliases", "aliases = [\"CS\"]");
    let source = reader.required(section, "source", "\"hsts-4-4\"");
    let source = source.and_then(|name| source_of(reader, "role.source", name, sources));
    let listed = reader.texts(section, "needs", "needs = [\"ssh\", \"fasp\"]");
    if listed.is_none() {
        reader.problem(
            found.offset(),
            missing("needs", "[[role]]", "[\"ssh\", \"fasp\"]"),
        );
    }
    let mut needs: Vec<Need> = Vec::new();
    for (path, key) in listed.unwrap_or_default() {
        used.insert(key.to_owned());
        let Some(draft) = drafts.get(key) else {
            let fault = Fault::Unknown {
                table: "need",
                name: key.to_owned(),
                hint: hint(key, drafts.keys().map(String::as_str)),
            };
            reader.problem_at(&path, fault);
            continue;
        };
        let Some(draft) = draft else { continue };
        let mut need = draft.need.clone();
        if !draft.has_source {
            need.source = source.clone().unwrap_or_default();
        }
        if needs.iter().any(|other| other.id == need.id) {
            let fault = Fault::Twice {
                what: "the need",
                name: need.id.clone(),
            };
            reader.problem_at(&path, fault);
        }
        needs.push(need);
    }
    Some(Role {
        id: id?.to_owned(),
        name: name?.to_owned(),
        aliases: aliases
            .unwrap_or_default()
            .into_iter()
            .map(|(_, alias)| alias.to_owned())
            .collect(),
        summary: summary?.to_owned(),
        needs,
    })
}

fn rules(reader: &mut Reader<'_, Fault>, top: Section<'_>, sources: &Sources) -> Vec<UdpRule> {
    let mut rules: Vec<UdpRule> = Vec::new();
    for found in reader.tables(top, "udp") {
        let Some(rule) = rule(reader, &found, sources) else {
            continue;
        };
        if rules.iter().any(|other| other.id == rule.id) {
            let fault = Fault::Twice {
                what: "the UDP rule",
                name: rule.id.clone(),
            };
            reader.problem(found.offset(), fault);
        }
        rules.push(rule);
    }
    rules
}

fn rule(reader: &mut Reader<'_, Fault>, found: &Found<'_>, sources: &Sources) -> Option<UdpRule> {
    let section = found.section();
    reader.only(section, &["id", "name", "systems", "ports", "why", "source"]);
    let id = reader.required(section, "id", "\"linux\"");
    if let Some(id) = id.filter(|id| !is_id(id)) {
        reader.problem_at("udp.id", Fault::Id(id.to_owned()));
    }
    let name = reader.required(section, "name", "\"Linux\"");
    let systems = reader.texts(section, "systems", "systems = [\"*\"]");
    let ports = reader.required_word(
        section,
        "ports",
        &[
            ("one", UdpPorts::One),
            ("per-session", UdpPorts::PerSession),
            ("per-session-if-accounts", UdpPorts::PerSessionIfAccounts),
        ],
    );
    let why = reader.required(section, "why", "\"One sentence.\"");
    let source = reader.required(section, "source", "\"udp-general\"");
    let source = source.and_then(|name| source_of(reader, "udp.source", name, sources));
    Some(UdpRule {
        id: id?.to_owned(),
        name: name?.to_owned(),
        systems: systems
            .unwrap_or_default()
            .into_iter()
            .map(|(_, system)| system.to_owned())
            .collect(),
        ports: ports?,
        why: why?.to_owned(),
        source: source?,
    })
}

fn is_id(text: &str) -> bool {
    let good = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    good && !text.is_empty() && text.len() <= 40 && !text.starts_with('-') && !text.ends_with('-')
}
