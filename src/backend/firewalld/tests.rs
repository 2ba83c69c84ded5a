use std::path::{Path, PathBuf};

use ipnet::IpNet;
use proptest::prelude::*;

use super::line::{Entry, Line, calls, parse, patched, text};
use super::need::{need, refusals};
use super::rich::{Action, Rich};
use super::state::{CONF, ETC, LISTED, PACKAGED, State, zone_file};
use super::{Firewalld, zone};
use crate::backend::nftables::model::Ruleset;
use crate::backend::{Translator, Wish};
use crate::facts::{Facts, Link, Observations, Session, Via};
use crate::plan::Requirement;
use crate::port::{Direction, PortRange, Protocol};

const SUITES: [&str; 2] = ["12", "13"];

/// A machine with its link in the zone dmz, networks bound to two others, rich rules of all priorities, a rule that
/// lives until the next reload and a port that comes with it.
#[allow(clippy::disallowed_methods, reason = "a test reads what was recorded")]
fn observed(suite: &str) -> Observations {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/machines/debian-{suite}-firewalld-zones"));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a recorded file");
    let mut seen = Observations {
        nft_json: Some(read(&root.join("nft-ruleset.json"))),
        ..Observations::default()
    };
    seen.outputs
        .insert(LISTED.to_owned(), read(&root.join("list-all-zones")));
    seen.files
        .insert(CONF.into(), read(&root.join("etc/firewalld.conf")));
    for (from, to) in [
        ("etc/zones", format!("{ETC}/zones")),
        ("packaged/zones", format!("{PACKAGED}/zones")),
        ("packaged/services", format!("{PACKAGED}/services")),
    ] {
        for entry in std::fs::read_dir(root.join(from)).expect("a recorded directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_owned();
            seen.files.insert(Path::new(&to).join(name), read(&path));
        }
    }
    seen
}

fn facts(suite: &str, client: Option<&str>) -> Facts {
    Facts {
        links: vec![Link {
            name: String::from("host0"),
            addresses: vec!["203.0.113.2/24".parse().expect("a network")],
            outside: true,
            ..Link::default()
        }],
        session: client.map(|client| Session {
            via: Via::Ssh,
            client: client.parse().ok(),
            client_port: Some(50_000),
            server: "203.0.113.2".parse().ok(),
            server_port: Some(22),
            user: None,
            pid: None,
            started_ms: None,
            evidence: String::new(),
        }),
        observations: observed(suite),
        ..Facts::default()
    }
}

fn kernel(facts: &Facts) -> Ruleset {
    let json = facts.observations.nft_json.as_deref().expect("recorded");
    let mut ruleset = Ruleset::parse(json).expect("recorded");
    ruleset.links = vec![String::from("host0")];
    ruleset
}

fn inbound(id: &str, protocol: Protocol, ports: &str, peers: &[&str]) -> Requirement {
    Requirement {
        id: id.to_owned(),
        direction: Direction::In,
        protocol,
        ports: ports.parse().expect("ports"),
        peers: peers.iter().map(|net| net.parse().expect("a network")).collect(),
        group: None,
        why: String::new(),
        source: String::new(),
    }
}

fn wish<'a>(
    facts: &'a Facts,
    theirs: &'a Ruleset,
    requirements: &'a [Requirement],
    closing: &'a [u16],
    spared: &'a [IpNet],
    kept: &'a str,
) -> Wish<'a> {
    Wish {
        gates: None,
        tag: String::from("faspwall:20261123-210000"),
        window_s: 120,
        facts,
        theirs,
        requirements,
        closing,
        spared,
        helper_port: Some(61_022),
        kept,
    }
}

fn entries(state: &State, zone: &str, requirement: &Requirement) -> Vec<String> {
    let zone = state.zone(false, zone).expect("the zone");
    let line = |entry| Line {
        permanent: false,
        zone: String::from("z"),
        entry,
    };
    let need = need(state, zone, false, requirement);
    need.add
        .into_iter()
        .map(|entry| line(entry).to_string())
        .collect()
}

#[test]
fn the_daemon_and_the_files_are_read_alike_and_what_differs_is_named() {
    for suite in SUITES {
        let state = State::read(&observed(suite)).expect("zones");
        assert_eq!(state.default, "public", "{suite}");
        let now = state.zone(false, "dmz").expect("dmz");
        assert_eq!(now.interfaces, ["host0"], "{suite}");
        assert_eq!(now.rich.len(), 4, "{suite}");
        assert_eq!(
            state.differences(),
            [
                "zone dmz: 1 rich rule only until the next reload",
                "zone dmz: port 4444/tcp only after the next reload",
            ],
            "{suite}"
        );
    }
}

#[test]
fn a_zone_needs_what_nothing_in_it_lets_in_yet() {
    for suite in SUITES {
        let state = State::read(&observed(suite)).expect("zones");
        let tcp =
            |ports: &str, peers: &[&str]| entries(&state, "dmz", &inbound("x", Protocol::Tcp, ports, peers));
        // The rule with priority 10 refuses it, after everything that is opened.
        assert_eq!(tcp("33001", &[]), ["firewall-cmd --zone=z --add-port=33001/tcp"]);
        assert_eq!(tcp("80", &[]), Vec::<String>::new(), "a service opens it");
        assert_eq!(tcp("9418", &[]), Vec::<String>::new(), "a port of others");
        assert_eq!(tcp("8080", &["10.2.0.0/16"]), Vec::<String>::new(), "a rich rule");
        assert_eq!(
            tcp("8080", &["172.16.0.0/12", "10.2.0.0/16", "2001:db8::/32"]),
            [
                "firewall-cmd --zone=z --add-rich-rule='rule family=\"ipv4\" source address=\"172.16.0.0/12\" port port=\"8080\" protocol=\"tcp\" accept'",
                "firewall-cmd --zone=z --add-rich-rule='rule family=\"ipv6\" source address=\"2001:db8::/32\" port port=\"8080\" protocol=\"tcp\" accept'",
            ]
        );
        let udp = |ports: &str| entries(&state, "dmz", &inbound("x", Protocol::Udp, ports, &[]));
        assert_eq!(
            udp("33001-33002"),
            ["firewall-cmd --zone=z --add-port=33001-33002/udp"]
        );
        assert_eq!(
            udp("33001-33010"),
            [
                "firewall-cmd --zone=z --add-rich-rule='rule port port=\"33001-33010\" protocol=\"udp\" accept'"
            ],
            "one of its ports is another's: their ranges would be joined"
        );
        assert_eq!(udp("33003"), Vec::<String>::new());
        let mut vlink = inbound("vlink", Protocol::Udp, "55001", &[]);
        vlink.group = "224.0.1.5/32".parse().ok();
        assert_eq!(
            entries(&state, "dmz", &vlink),
            [
                "firewall-cmd --zone=z --add-rich-rule='rule family=\"ipv4\" destination address=\"224.0.1.5/32\" port port=\"55001\" protocol=\"udp\" accept'"
            ]
        );
        let zone = state.zone(false, "dmz").expect("dmz");
        let refused = need(&state, zone, false, &inbound("x", Protocol::Tcp, "8443", &[])).refused_by;
        assert_eq!(
            refused,
            ["rule priority=\"-10\" port port=\"8443\" protocol=\"tcp\" drop"]
        );
    }
}

#[test]
fn strangers_come_to_the_zone_of_their_link_and_to_those_that_let_their_network_in() {
    for suite in SUITES {
        let facts = facts(suite, Some("10.1.2.3"));
        let state = State::read(&facts.observations).expect("zones");
        assert_eq!(state.serving(false, &facts), ["dmz", "internal"], "{suite}");
        assert_eq!(state.serving(true, &facts), ["dmz", "internal"], "{suite}");
        assert_eq!(
            state.zone_of_operator(false, &facts),
            Some((String::from("internal"), true))
        );
        let elsewhere = Facts {
            links: vec![Link {
                name: String::from("eth9"),
                outside: true,
                ..Link::default()
            }],
            ..facts
        };
        assert_eq!(
            state.serving(false, &elsewhere),
            ["internal", "public"],
            "{suite}"
        );
    }
}

/// The same machine with one more zone bound to a link that it has not now.
fn with_zone(suite: &str, zone: &str, link: &str, services: &str, target: &str) -> Facts {
    let mut facts = facts(suite, None);
    let listed = facts.observations.outputs.get_mut(LISTED).expect("listed");
    *listed = listed
        .split("\n\n")
        .filter(|text| text.split_whitespace().next() != Some(zone))
        .map(|text| format!("{text}\n\n"))
        .collect();
    listed.push_str(&format!(
        "{zone} (active)\n  target: {target}\n  interfaces: {link}\n  sources: \n  services: {services}\n  ports: \n  rich rules: \n"
    ));
    let service = |name: &str| format!("  <service name=\"{name}\"/>\n");
    let services: String = services.split_whitespace().map(service).collect();
    let target = if target == "default" {
        String::new()
    } else {
        format!(" target=\"{target}\"")
    };
    facts.observations.files.insert(
        zone_file(ETC, zone),
        format!("<zone{target}>\n  <interface name=\"{link}\"/>\n{services}</zone>\n"),
    );
    facts
}

#[test]
fn a_zone_that_loses_22_gets_the_new_port_whatever_its_link_is_called_or_does() {
    let needs = [
        inbound("ssh", Protocol::Tcp, "33001", &[]),
        inbound("fasp", Protocol::Udp, "33001", &[]),
    ];
    let lines = |facts: &Facts, zone: &str| -> Vec<String> {
        let theirs = kernel(facts);
        let told = Firewalld.keeps(&wish(facts, &theirs, &needs, &[22], &[], ""));
        let all = told.expect("no obstacle");
        let of_zone = |line: &&str| line.contains(&format!("--zone={zone} "));
        all.lines().filter(of_zone).map(str::to_owned).collect()
    };
    let refused = |lines: &[String]| lines.iter().filter(|line| line.contains("drop")).count();
    let opened = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.contains("--add-port=33001/"))
            .count()
    };
    for suite in SUITES {
        for link in ["tun9", "br-mgmt", "wg0"] {
            let facts = with_zone(suite, "work", link, "dhcpv6-client ssh", "default");
            let of_work = lines(&facts, "work");
            assert_eq!(
                (opened(&of_work), refused(&of_work)),
                (4, 2),
                "{link}: {of_work:?}"
            );
            let told = super::places(&facts);
            assert!(told.contains(&format!("zone work ({link})")), "{told:?}");
        }
        // Nobody loses anything there.
        let facts = with_zone(suite, "work", "tun9", "dhcpv6-client", "default");
        assert_eq!(lines(&facts, "work"), [""; 0], "{suite}");
        let facts = with_zone(suite, "block", "tun9", "", "%%REJECT%%");
        assert_eq!(lines(&facts, "block"), [""; 0], "{suite}");
        // Everything is open there already.
        let facts = with_zone(suite, "trusted", "tun9", "", "ACCEPT");
        let of_trusted = lines(&facts, "trusted");
        assert_eq!(
            (opened(&of_trusted), refused(&of_trusted)),
            (0, 2),
            "{of_trusted:?}"
        );
        // The guests of this host are libvirt's and Docker's to rule, whatever their bridges are called.
        for (zone, link) in [("libvirt", "lan7"), ("docker", "shop")] {
            let facts = with_zone(suite, zone, link, "ssh", "default");
            assert_eq!(lines(&facts, zone), [""; 0], "{suite}");
            // Unless strangers come in there.
            let mut outside = facts.clone();
            outside.links[0].name = link.to_owned();
            let of_zone = lines(&outside, zone);
            assert_eq!((opened(&of_zone), refused(&of_zone)), (4, 2), "{of_zone:?}");
        }
    }
}

/// `firewall-cmd --zone=dmz --add-port=33001/tcp --timeout=600`: the daemon lists it like any other port.
#[test]
fn a_port_that_firewalld_opens_for_a_while_gets_an_accept_of_its_own_for_good() {
    let needs = [inbound("ssh", Protocol::Tcp, "33001", &[])];
    let beside =
        "firewall-cmd --zone=dmz --add-rich-rule='rule port port=\"33001\" protocol=\"tcp\" accept'\n";
    let later = "firewall-cmd --permanent --zone=dmz --add-port=33001/tcp\n";
    let of_dmz = |facts: &Facts, kept: &str| -> String {
        let theirs = kernel(facts);
        let told = Firewalld.keeps(&wish(facts, &theirs, &needs, &[], &[], kept));
        let all = told.expect("no obstacle");
        let lines = all.lines().filter(|line| line.contains("--zone=dmz "));
        lines.map(|line| format!("{line}\n")).collect()
    };
    for suite in SUITES {
        let mut timed = facts(suite, None);
        let list = |facts: &mut Facts, text: &str| {
            let listed = facts.observations.outputs.get_mut(LISTED).expect("listed");
            *listed = with_lines(listed, &parse(text));
        };
        let others = "firewall-cmd --zone=dmz --add-port=33001/tcp\n";
        list(&mut timed, others);
        let wanted = format!("{beside}{later}");
        assert_eq!(of_dmz(&timed, ""), wanted, "{suite}");
        // Who may come is narrowed down: then it does not stay.
        let narrow = [inbound("ssh", Protocol::Tcp, "33001", &["10.0.0.0/8"])];
        let theirs = kernel(&timed);
        let told = Firewalld.keeps(&wish(&timed, &theirs, &narrow, &[], &[], &wanted));
        assert!(!told.expect("no obstacle").contains("rule port"), "{suite}");
        // The same is wanted when it is there, with the timed port and without it.
        let path = zone_file(ETC, "dmz");
        let with_ours = |mut facts: Facts, runtime: &str| {
            let file = facts.observations.files.get_mut(&path).expect("dmz");
            *file = file.replace("</zone>", "  <port port=\"33001\" protocol=\"tcp\"/>\n</zone>");
            list(&mut facts, runtime);
            facts
        };
        assert_eq!(
            of_dmz(&with_ours(timed.clone(), beside), &wanted),
            wanted,
            "{suite}"
        );
        let over = with_ours(facts(suite, None), beside);
        assert_eq!(of_dmz(&over, &wanted), wanted, "{suite}");
        // After a reload the permanent port alone is there, and enough.
        let reloaded = with_ours(facts(suite, None), others);
        assert_eq!(of_dmz(&reloaded, later), later, "{suite}");
    }
}

#[test]
fn what_stands_in_the_way_is_named_with_what_to_do() {
    let needs = [inbound("ssh", Protocol::Tcp, "33001", &[])];
    let told = |facts: &Facts, theirs: &Ruleset, needs: &[Requirement]| {
        let wish = wish(facts, theirs, needs, &[22], &[], "");
        Firewalld.keeps(&wish).expect_err("an obstacle").join("\n")
    };
    for suite in SUITES {
        let banned = facts(suite, Some("192.0.2.7"));
        let text = told(&banned, &kernel(&banned), &needs);
        assert!(
            text.contains("192.0.2.7") && text.contains("the zone block"),
            "{text}"
        );
        let refused = facts(suite, Some("198.51.100.77"));
        let text = told(&refused, &kernel(&refused), &needs);
        assert!(
            text.contains("--remove-rich-rule='rule family=\"ipv4\" source address=\"198.51.100.77\" drop'"),
            "{text}"
        );
        let host = facts(suite, None);
        let text = told(
            &host,
            &kernel(&host),
            &[inbound("https", Protocol::Tcp, "8443", &[])],
        );
        assert!(
            text.contains("zone dmz") && text.contains("priority=\"-10\""),
            "{text}"
        );
        let text = told(&host, &Ruleset::default(), &needs);
        assert!(text.contains("systemctl restart firewalld"), "{text}");
        let silent = Facts::default();
        let text = told(&silent, &Ruleset::default(), &needs);
        assert!(text.contains("firewall-cmd --list-all-zones"), "{text}");
    }
}

#[test]
fn a_change_and_its_way_back_leave_every_byte_of_others() {
    for suite in SUITES {
        let facts = facts(suite, None);
        let theirs = kernel(&facts);
        let needs = [
            inbound("ssh", Protocol::Tcp, "33001", &[]),
            inbound("fasp", Protocol::Udp, "33001-33010", &[]),
        ];
        let there = wish(&facts, &theirs, &needs, &[22], &[], "");
        let wanted = Firewalld.keeps(&there).expect("no obstacle");
        let pieces = Firewalld.pieces(&there, &wanted);
        assert!(
            pieces.bridge.is_empty(),
            "what is turned to the helper comes in by itself"
        );
        let zones: Vec<&PathBuf> = pieces.files.iter().map(|(path, _, _)| path).collect();
        let files = ["dmz", "internal", "public"].map(|zone| zone_file(ETC, zone));
        assert_eq!(zones, files.iter().collect::<Vec<_>>(), "{suite}: {wanted}");

        // The host afterwards, as firewalld would tell it.
        let mut after = facts.clone();
        for (path, _, content) in &pieces.files {
            after
                .observations
                .files
                .insert(path.clone(), content.clone().expect("kept"));
        }
        let listed = after.observations.outputs.get_mut(LISTED).expect("listed");
        *listed = with_lines(listed, &parse(&wanted));
        assert_eq!(
            Firewalld.kept(&after, &Ruleset::default(), &wanted),
            wanted,
            "{suite}"
        );
        let again = wish(&after, &theirs, &needs, &[22], &[], &wanted);
        assert_eq!(Firewalld.keeps(&again).expect("no obstacle"), wanted, "{suite}");
        let nothing = Firewalld.pieces(&again, &wanted);
        assert_eq!(nothing.files, Vec::new(), "{suite}");
        assert!(
            nothing.open.is_empty() && nothing.settle.is_empty(),
            "{nothing:?}"
        );

        let old = [inbound("ssh", Protocol::Tcp, "22", &[])];
        let back = Firewalld.pieces(&wish(&after, &theirs, &old, &[], &[], &wanted), "");
        for (path, _, content) in &back.files {
            assert_eq!(
                content.as_ref(),
                facts.observations.files.get(path),
                "{}",
                path.display()
            );
        }
        assert_eq!(back.files.len(), 3);
    }
}

/// What `--list-all-zones` prints once lines were added at run time.
fn with_lines(listed: &str, lines: &[Line]) -> String {
    let mut zone = String::new();
    let mut printed = String::new();
    for line in listed.lines() {
        if !line.starts_with([' ', '\t']) && !line.is_empty() {
            zone = line.split_whitespace().next().expect("a name").to_owned();
        }
        printed.push_str(line);
        let here = lines.iter().filter(|l| !l.permanent && l.zone == zone);
        for added in here {
            match &added.entry {
                Entry::Port(ports, protocol) if line.starts_with("  ports:") => {
                    printed.push_str(&format!(" {ports}/{protocol}"));
                }
                Entry::Rich(rule) if line.starts_with("  rich rules:") => {
                    printed.push_str(&format!("\n\t{}", rule.text()));
                }
                _ => {}
            }
        }
        printed.push('\n');
    }
    printed
}

#[test]
fn a_port_is_restricted_to_networks_without_pardon_for_anybody() {
    let nets = |list: &[&str]| -> Vec<IpNet> { list.iter().map(|n| n.parse().expect("a network")).collect() };
    let texts = |spared: &[&str]| -> Vec<String> {
        let entries = refusals(22, &nets(spared));
        let rules = entries.iter().map(|entry| match entry {
            Entry::Rich(rule) => rule.text(),
            Entry::Port(..) => panic!("{entry:?}"),
        });
        rules.collect()
    };
    assert_eq!(
        texts(&[]),
        ["rule priority=\"-32768\" port port=\"22\" protocol=\"tcp\" drop"]
    );
    assert_eq!(
        texts(&["10.0.0.0/8"]),
        [
            "rule priority=\"-32768\" family=\"ipv4\" source NOT address=\"10.0.0.0/8\" port port=\"22\" protocol=\"tcp\" drop",
            "rule priority=\"-32768\" family=\"ipv6\" port port=\"22\" protocol=\"tcp\" drop",
        ]
    );
    assert_eq!(
        texts(&["10.0.0.0/8", "198.51.100.0/24", "fd00::/8"]),
        [
            "rule priority=\"-32768\" family=\"ipv4\" source address=\"10.0.0.0/8\" port port=\"22\" protocol=\"tcp\" accept",
            "rule priority=\"-32768\" family=\"ipv4\" source address=\"198.51.100.0/24\" port port=\"22\" protocol=\"tcp\" accept",
            "rule priority=\"-32767\" family=\"ipv4\" port port=\"22\" protocol=\"tcp\" drop",
            "rule priority=\"-32768\" family=\"ipv6\" source NOT address=\"fd00::/8\" port port=\"22\" protocol=\"tcp\" drop",
        ]
    );
    // The zone bans an address of the first network.
    let facts = facts("12", None);
    let theirs = kernel(&facts);
    let needs = [inbound("ssh", Protocol::Tcp, "33001", &[])];
    let spared = nets(&["198.51.100.0/24", "10.0.0.0/8"]);
    let told = Firewalld.keeps(&wish(&facts, &theirs, &needs, &[22], &spared, ""));
    assert!(told.expect_err("a ban").join("\n").contains("198.51.100.77"));
    let one = nets(&["198.51.100.0/24"]);
    assert!(
        Firewalld
            .keeps(&wish(&facts, &theirs, &needs, &[22], &one, ""))
            .is_ok()
    );
}

#[test]
fn what_others_took_away_or_made_their_own_is_not_ours_any_more() {
    let facts = facts("12", None);
    let committed = "firewall-cmd --zone=dmz --add-port=9418/tcp\n\
                     firewall-cmd --zone=dmz --add-port=33001/tcp\n\
                     firewall-cmd --permanent --zone=dmz --add-port=4444/tcp\n\
                     firewall-cmd --permanent --zone=dmz --add-port=33001/tcp\n";
    assert_eq!(
        Firewalld.kept(&facts, &Ruleset::default(), committed),
        "firewall-cmd --permanent --zone=dmz --add-port=4444/tcp\n"
    );
}

#[test]
fn one_call_for_each_zone_and_kind() {
    let lines = parse(
        "firewall-cmd --zone=dmz --add-port=33001/tcp\n\
         firewall-cmd --zone=dmz --add-rich-rule='rule port port=\"22\" protocol=\"tcp\" drop'\n\
         firewall-cmd --zone=dmz --add-port=33001-33010/udp\n\
         firewall-cmd --zone=home --add-port=33001/tcp\n\
         something else\n",
    );
    let calls = calls(&lines, true);
    let typed: Vec<String> = calls.iter().map(|call| call.there.to_string()).collect();
    assert_eq!(
        typed,
        [
            "firewall-cmd --zone=dmz --add-port=33001/tcp --add-port=33001-33010/udp",
            "firewall-cmd --zone=dmz '--add-rich-rule=rule port port=\"22\" protocol=\"tcp\" drop'",
            "firewall-cmd --zone=home --add-port=33001/tcp",
        ]
    );
    assert_eq!(calls[0].back.to_string().matches("--remove-port").count(), 2);
}

#[test]
fn a_zone_file_in_any_shape_takes_lines_and_gives_them_back() {
    let ports: PortRange = "33001".parse().expect("a port");
    let port = Entry::Port(ports, Protocol::Tcp);
    let rule = Entry::Rich(Rich::port(ports, Protocol::Udp, Action::Accept).at(-32_768));
    for text in [
        "<?xml version=\"1.0\"?>\n<zone>\n  <!-- x -->\n</zone>\n",
        "<zone target=\"DROP\"><service name=\"ssh\"/></zone>",
        "<zone/>\n",
    ] {
        let with = patched(text, &[], &[&port, &rule]).expect("a zone");
        let zone = zone::of_file("z", &with);
        assert!(port.is_in(&zone) && rule.is_in(&zone), "{with}");
        let without = patched(&with, &[&rule, &port], &[]).expect("they are in it");
        assert_eq!(zone::of_file("z", &without), zone::of_file("z", text));
        if text.contains("</zone>") {
            assert_eq!(without, text);
        }
    }
    assert_eq!(patched("no zone at all", &[], &[&port]), None);
    assert_eq!(patched("<zone></zone>", &[&port], &[]), None);
}

proptest! {
    #[test]
    fn no_text_makes_reading_fail(listed in "(.{0,20}\n|[ \t]{1,2}(ports|rich rules|sources): .{0,30}\n){0,8}", file in ".{0,120}") {
        let mut seen = Observations::default();
        seen.outputs.insert(LISTED.to_owned(), listed);
        seen.files.insert(zone_file(ETC, "public"), file.clone());
        seen.files.insert(CONF.into(), file.clone());
        let facts = Facts { observations: seen, ..Facts::default() };
        let theirs = Ruleset::default();
        let needs = [inbound("ssh", Protocol::Tcp, "33001", &[])];
        let wish = wish(&facts, &theirs, &needs, &[22], &[], &file);
        let _ = Firewalld.keeps(&wish);
        let _ = Firewalld.pieces(&wish, &file);
        let _ = Firewalld.kept(&facts, &Ruleset::default(), &file);
    }

    #[test]
    fn rules_of_ours_are_known_again(first in 1u16..60_000, more in 0u16..100, udp: bool, priority in -32_768i32..=0, net in prop::option::of((any::<u32>(), 8u8..=32)), inverted: bool, accept: bool) {
        let ports = PortRange::new(first, first + more).expect("a range");
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        let action = if accept { Action::Accept } else { Action::Refuse };
        let mut rule = Rich::port(ports, protocol, action).at(priority);
        if let Some((bits, length)) = net {
            let net = ipnet::Ipv4Net::new(bits.into(), length).expect("a length").trunc();
            rule = rule.from(net.into(), inverted);
        }
        prop_assert_eq!(&Rich::parse(&rule.text()), &rule);
        let zone = zone::of_file("z", &format!("<zone>\n{}</zone>", rule.element()));
        prop_assert_eq!(&zone.rich, &vec![rule.clone()]);
        let lines = vec![Line { permanent: true, zone: String::from("z"), entry: Entry::Rich(rule) }];
        prop_assert_eq!(parse(&text(&lines)), lines);
    }
}
