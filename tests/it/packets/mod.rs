//! Real packets through real rules that nobody chose: whatever iptables has loaded, what the translator adds opens the
//! wanted ports, shuts 22, and goes away without a trace.

mod net;

use std::collections::BTreeMap;
use std::path::PathBuf;

use faspwall::backend::iptables::sweep::sweep;
use faspwall::backend::iptables::translate::Iptables;
use faspwall::backend::kernel;
use faspwall::backend::nftables::model::Ruleset;
use faspwall::backend::nftables::render::gaps;
use faspwall::backend::{Translator, Wish};
use faspwall::facts::{BackendId, BootFacts, Facts, Link};
use faspwall::plan::Requirement;
use faspwall::port::{Direction, PortRange, Protocol};
use faspwall::step::{NativeRule, Step, UNTIL};
use net::Net;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// A host as detection would describe it, with what its tools print now.
fn facts(net: &Net, variant: &str) -> Facts {
    let mut facts = Facts {
        backend: Some(BackendId::Iptables),
        addresses: ["10.97.0.1", "fd97::1"]
            .map(|a| a.parse().expect("an address"))
            .to_vec(),
        links: vec![Link {
            name: String::from("wan0"),
            addresses: ["10.97.0.1/24", "fd97::1/64"]
                .map(|a| a.parse().expect("a network"))
                .to_vec(),
            outside: true,
            ..Link::default()
        }],
        ..Facts::default()
    };
    facts.os.systemd = true;
    let boot = BootFacts {
        file: Some(PathBuf::from("/etc/iptables/rules.v4")),
        file6: Some(PathBuf::from("/etc/iptables/rules.v6")),
        enabled: Some(true),
        ..BootFacts::default()
    };
    facts.boots = BTreeMap::from([(BackendId::Iptables, boot)]);
    let seen = &mut facts.observations;
    seen.nft_json = Some(net.run(&["nft", "-j", "list", "ruleset"], ""));
    for family in ["iptables", "ip6tables"] {
        let save = format!("{family}-{variant}-save");
        let text = net.run(&[&save], "");
        seen.outputs.insert(save, text);
    }
    let restore = format!("iptables-{variant}-restore");
    let version = net.run(&[&restore, "--version"], "");
    seen.outputs
        .insert(String::from("iptables-restore --version"), version);
    facts
}

fn view(facts: &Facts) -> Ruleset {
    kernel::of_facts(facts)
        .expect("it is read")
        .expect("there is one")
}

/// Performs a sweep on the server as the engine does.
fn perform(net: &Net, step: &Step) {
    let Step::SweepIptables { tag, tools, then, .. } = step else {
        panic!("{step}");
    };
    for tool in tools {
        let save = net.run(&[&tool.name().replace("restore", "save")], "");
        let of_tool = |rule: &&NativeRule| rule.tool == *tool;
        let lines: Vec<(String, String)> = then
            .iter()
            .filter(of_tool)
            .map(|rule| {
                (
                    rule.table.clone(),
                    rule.rule.replace(UNTIL, "2037-12-31T23:59:59"),
                )
            })
            .collect();
        let batch = sweep(&save, tag, &lines);
        if !batch.is_empty() {
            net.run(&[tool.name(), "--noflush", "-w", "10"], &batch);
        }
    }
}

fn wanted() -> Vec<Requirement> {
    let requirement = |id: &str, direction, protocol, ports: &str, peers: &[&str]| Requirement {
        id: id.to_owned(),
        direction,
        protocol,
        ports: ports.parse::<PortRange>().expect("ports"),
        peers: peers.iter().map(|net| net.parse().expect("a network")).collect(),
        group: None,
        why: String::new(),
        source: String::new(),
    };
    let near = ["192.0.2.0/24", "10.97.0.0/24", "fd97::/64"];
    vec![
        requirement("ssh", Direction::In, Protocol::Tcp, "33001", &[]),
        requirement("udp", Direction::In, Protocol::Udp, "33001-33003", &near),
        requirement(
            "web",
            Direction::In,
            Protocol::Tcp,
            "33010",
            &["192.0.2.0/24", "2001:db8::/32"],
        ),
        requirement("out-tcp", Direction::Out, Protocol::Tcp, net::OUTSIDE, &[]),
        requirement("out-udp", Direction::Out, Protocol::Udp, net::OUTSIDE, &near),
    ]
}

/// Saves of both families without counters and comments.
fn saves(net: &Net, variant: &str) -> String {
    let families =
        ["iptables", "ip6tables"].map(|family| net.run(&[&format!("{family}-{variant}-save")], ""));
    families
        .concat()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n")
        .collect()
}

/// Nobody asked for these, or not for this stranger.
const CONTROLS: [(&str, u16); 3] = [("tcp", 33_010), ("tcp", 33_002), ("udp", 33_010)];

const PORTS: [(&str, u16); 4] = [("tcp", 33_001), ("udp", 33_001), ("udp", 33_002), ("udp", 33_003)];

fn whole_way(net: &mut Net, variant: &str, rules: &str) {
    for (family, icmp) in [("iptables", "icmp"), ("ip6tables", "ipv6-icmp")] {
        let text = rules.replace("ICMP", icmp);
        net.run(&[&format!("{family}-{variant}-restore")], &text);
    }
    let host = facts(net, variant);
    let before = saves(net, variant);
    let theirs = view(&host).without_ours();
    // What strikes only now and then tells nothing about the rest.
    let steady = !rules.contains("statistic") && !rules.contains("-m limit");
    let controls = |net: &mut Net| -> Vec<bool> {
        let both = [true, false].into_iter();
        both.flat_map(|v4| CONTROLS.map(|(protocol, port)| (v4, protocol, port)))
            .filter(|_| steady)
            .map(|(v4, protocol, port)| net.shut(v4, protocol, port))
            .collect()
    };
    let controls_before = controls(net);
    let requirements = wanted();
    let wish = Wish {
        gates: None,
        tag: String::from("faspwall:20261123-120000"),
        window_s: 60,
        facts: &host,
        theirs: &theirs,
        requirements: &requirements,
        closing: &[22],
        spared: &[],
        helper_port: None,
        kept: "",
    };
    let kept = Iptables
        .keeps(&wish)
        .unwrap_or_else(|why| panic!("{why:?}\n{rules}"));
    let pieces = Iptables.pieces(&wish, &kept);
    for phase in [&pieces.open, &pieces.settle] {
        for action in phase {
            perform(net, &action.step);
        }
        assert_eq!(
            gaps(&view(&facts(net, variant)), &requirements),
            [],
            "{rules}\n{kept}"
        );
        for v4 in [true, false] {
            for (protocol, port) in PORTS {
                assert!(
                    net.open(v4, protocol, port),
                    "{protocol}/{port} is shut, IPv4 {v4}:\n{rules}\n{}",
                    saves(net, variant)
                );
            }
            for protocol in ["tcp", "udp"] {
                assert!(
                    net.reaches_out(v4, protocol),
                    "no way out for {protocol}, IPv4 {v4}:\n{rules}\n{}",
                    saves(net, variant)
                );
            }
        }
    }
    assert_eq!(controls(net), controls_before, "{rules}\n{kept}");
    for v4 in [true, false] {
        assert!(net.shut(v4, "tcp", 22), "22 is open, IPv4 {v4}:\n{rules}\n{kept}");
    }
    perform(
        net,
        &Step::SweepIptables {
            tag: String::from("faspwall"),
            tools: vec![
                faspwall::backend::iptables::rules::tool(&host, true, variant_of(variant)),
                faspwall::backend::iptables::rules::tool(&host, false, variant_of(variant)),
            ],
            then: Vec::new(),
            seconds: 0,
        },
    );
    assert_eq!(saves(net, variant), before, "{rules}");
}

fn variant_of(name: &str) -> faspwall::backend::iptables::Variant {
    match name {
        "nft" => faspwall::backend::iptables::Variant::Nft,
        _ => faspwall::backend::iptables::Variant::Legacy,
    }
}

/// Conditions that a stranger's packet may or may not meet; none of them is a ban of the stranger's own address.
const CONDITIONS: [&str; 24] = [
    "",
    "-p tcp",
    "-p udp",
    "-p ICMP",
    "-p tcp --dport 22",
    "-p tcp --dport 33001",
    "-p udp --dport 33000:33002",
    "-p tcp -m multiport --dports 22,80,33000:33100",
    "-p tcp -m multiport ! --dports 22,80",
    "-p tcp --syn",
    "-p tcp ! --syn -m conntrack --ctstate NEW",
    "-p tcp --tcp-flags ALL NONE",
    "-p tcp --tcp-flags SYN,ACK SYN",
    "-m conntrack --ctstate INVALID",
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-m conntrack --ctstate NEW",
    "-m state --state NEW,ESTABLISHED",
    "-m addrtype --dst-type LOCAL",
    "-m addrtype ! --dst-type LOCAL",
    "-m limit --limit 1/hour --limit-burst 1",
    "-m length --length 0:500",
    "-m mark --mark 0x1",
    "-m pkttype --pkt-type broadcast",
    "-m statistic --mode nth --every 2 --packet 0",
];

/// Conditions on links, for chains in which packets come in.
const LINKS: [&str; 5] = ["", "-i wan+", "! -i lo", "-i eth0", "! -i wan0"];

fn ruleset() -> impl Strategy<Value = String> {
    let target = prop_oneof![
        4 => Just("ACCEPT"), 4 => Just("DROP"), 2 => Just("REJECT"), 2 => Just("RETURN"), 3 => Just("one"), 1 => Just("two"),
    ];
    let chain = prop_oneof![6 => Just("INPUT"), 2 => Just("OUTPUT"), 2 => Just("one"), 1 => Just("two")];
    let condition = || proptest::sample::select(CONDITIONS.to_vec());
    let link = || proptest::sample::select(LINKS.to_vec());
    let rule = (chain, condition(), link(), target).prop_map(|(chain, condition, link, target)| {
        let link = if chain == "INPUT" { link } else { "" };
        // A chain never leads to itself.
        let target = match (chain, target) {
            ("two", "one" | "two") | ("one", "one") => "RETURN",
            _ => target,
        };
        format!("-A {chain} {link} {condition} -j {target}\n")
    });
    let early = (
        condition(),
        link(),
        prop_oneof![Just("ACCEPT"), Just("DROP"), Just("RETURN")],
    )
        .prop_map(|(condition, link, target)| format!("-A PREROUTING {link} {condition} -j {target}\n"));
    let policy = || proptest::sample::select(vec!["ACCEPT", "DROP"]);
    (
        policy(),
        policy(),
        proptest::collection::vec(rule, 0..9),
        proptest::collection::vec(early, 0..3),
    )
        .prop_map(|(input, output, rules, early)| {
            format!(
                "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
                 :POSTROUTING ACCEPT [0:0]\n{}COMMIT\n*filter\n:INPUT {input} [0:0]\n:FORWARD ACCEPT [0:0]\n\
                 :OUTPUT {output} [0:0]\n:one - [0:0]\n:two - [0:0]\n-A INPUT -p ICMP -j ACCEPT\n\
                 -A OUTPUT -p ICMP -j ACCEPT\n{}COMMIT\n",
                early.concat(),
                rules.concat()
            )
        })
}

/// Neighbours of the sixth version find each other by ICMP: without it no packet arrives, whatever is opened.
fn keeps_neighbours(rules: &str) -> String {
    rules.replacen(
        ":POSTROUTING ACCEPT [0:0]\n",
        ":POSTROUTING ACCEPT [0:0]\n-A PREROUTING -p ICMP -j ACCEPT\n",
        1,
    )
}

fn any_ruleset_lets_in(variant: &'static str, cases: u32) {
    assert!(
        rustix::process::geteuid().is_root(),
        "namespaces need root: sudo bash tests/run"
    );
    let net = std::cell::RefCell::new(Net::new(&["22", "33001", "33002", "33003", "33010"]));
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let done = runner.run(&ruleset(), |rules| {
        whole_way(&mut net.borrow_mut(), variant, &keeps_neighbours(&rules));
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

#[test]
fn whatever_the_nft_variant_has_loaded_the_ports_open_and_all_goes_away_again() {
    any_ruleset_lets_in("nft", 24);
}

#[test]
fn whatever_the_legacy_variant_has_loaded_the_ports_open_and_all_goes_away_again() {
    any_ruleset_lets_in("legacy", 24);
}
