//! firewalld's files, its rich rules, and what `firewall-cmd --list-all-zones` prints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use faspwall::backend::firewalld::State;
use faspwall::backend::firewalld::line::{Entry, Line, parse, patched, text};
use faspwall::backend::firewalld::rich::{Action, Rich, What};
use faspwall::backend::firewalld::state::{CONF, DIRECT, LISTED, setting, zone_file, zones_seen};
use faspwall::backend::firewalld::xml::{self, Element};
use faspwall::backend::firewalld::zone::{listed, of_file, service_of_file};
use faspwall::facts::Observations;
use faspwall::port::{PortRange, Protocol};

fn depth(element: &Element) -> usize {
    1 + element.children.iter().map(depth).max().unwrap_or(0)
}

/// One text, read as each kind of file: zone, service, policy, direct rules, firewalld.conf.
pub fn files(bytes: &[u8]) {
    let content = super::text(bytes);
    let root = xml::parse(&content);
    assert!(
        depth(&root) <= 64,
        "elements lie deeper than any reader of them may go"
    );
    let zone = of_file("public", &content);
    assert_eq!(zone.name, "public");
    drop(service_of_file(&content));
    drop(setting(&content, "DefaultZone"));
    let paths = [zone_file("/etc/firewalld", "public"), CONF.into(), DIRECT.into()];
    let more = ["services/ssh.xml", "policies/all.xml", "ipsets/one.xml"]
        .map(|name| PathBuf::from("/etc/firewalld").join(name));
    let files: BTreeMap<PathBuf, String> = paths
        .into_iter()
        .chain(more)
        .map(|path| (path, content.clone()))
        .collect();
    let seen = Observations {
        files,
        outputs: BTreeMap::from([(
            LISTED.to_owned(),
            String::from("public (active)\n  services: ssh\n"),
        )]),
        ..Observations::default()
    };
    drop(zones_seen(&seen));
    let state = State::read(&seen).expect("one zone is listed");
    assert_eq!(state.permanent.len(), 1);
}

/// What a commit puts into a zone's file comes out again, and every byte of others stays.
pub fn patch(bytes: &[u8]) {
    let content = super::text(bytes);
    let port = |port: u16, protocol| Entry::Port(one(port), protocol);
    let spared = Rich::port(one(22), Protocol::Tcp, Action::Accept)
        .from("192.0.2.0/24".parse().expect("a network"), false);
    let entries = [
        port(33001, Protocol::Tcp),
        port(33001, Protocol::Udp),
        Entry::Rich(spared.at(-32_768)),
        Entry::Rich(Rich::port(one(22), Protocol::Tcp, Action::Refuse).at(-32_767)),
    ];
    let all: Vec<&Entry> = entries.iter().collect();
    let Some(with) = patched(&content, &[], &all) else {
        return;
    };
    let zone = of_file("z", &with);
    assert!(all.iter().all(|entry| entry.is_in(&zone)), "{with:?}");
    let back = patched(&with, &all, &[]).expect("what was put in can be taken out");
    // Of `<zone/>` there remains the same with a beginning and an end.
    let opened = ">\n</zone>";
    let closed = |at: usize| format!("{}/>{}", &back[..at], &back[at + opened.len()..]);
    let same = back == content || back.match_indices(opened).any(|(at, _)| closed(at) == content);
    assert!(same, "taken out again, {content:?} is {back:?}");
}

pub fn rich(bytes: &[u8]) {
    let content = super::text(bytes);
    for line in content.lines() {
        let rule = Rich::parse(line);
        let mut own = rule.clone();
        own.written.clear();
        let again = Rich::parse(&own.text());
        let ends = [&own.source, &own.destination];
        let hidden = ends.into_iter().flatten().any(|end| end.net.is_none());
        if own.what != What::Other && !own.more && !hidden {
            assert_eq!(again, rule, "{line:?} is understood, and written as another rule");
        }
        let mut once = again.clone();
        once.written.clear();
        assert_eq!(
            Rich::parse(&once.text()),
            again,
            "written and read, {line:?} is another rule"
        );
        drop(rule.element());
    }
    let lines: Vec<Line> = parse(&content);
    let written = text(&lines);
    assert_eq!(
        text(&parse(&written)),
        written,
        "what is kept is not what is read"
    );
}

/// Two texts: the zones now, and firewalld.conf.
pub fn list(bytes: &[u8]) {
    let [zones, conf] = super::parts(bytes);
    let (read, default) = listed(&zones);
    if let Some(default) = default {
        assert!(read.iter().any(|zone| zone.name == default));
    }
    let seen = Observations {
        outputs: BTreeMap::from([(LISTED.to_owned(), zones)]),
        files: BTreeMap::from([(PathBuf::from(CONF), conf)]),
        ..Observations::default()
    };
    if let Some(state) = State::read(&seen) {
        assert_eq!(state.runtime.len(), read.len());
        drop(state.zone_of_link(false, "eth0"));
    }
}

fn one(port: u16) -> PortRange {
    PortRange::single(port).expect("a port")
}
