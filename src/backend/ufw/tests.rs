//! The translator on recorded hosts: what it keeps, that its steps lead there and back, and what it refuses.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::live::canonical;
use super::patch::Naming;
use super::settings::{CONF, DEFAULTS};
use super::*;
use crate::backend::iptables::{Variant, save};
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::render::gaps;
use crate::backend::nftables::shut::is_shut;
use crate::plan::Requirement;
use crate::port::{Direction, Protocol};
use crate::step::{Action, Step};

macro_rules! machine {
    ($name:literal) => {
        Host::new([
            include_str!(concat!("../../../tests/machines/", $name, "/ufw.conf")),
            include_str!(concat!("../../../tests/machines/", $name, "/default-ufw")),
            include_str!(concat!("../../../tests/machines/", $name, "/user.rules")),
            include_str!(concat!("../../../tests/machines/", $name, "/user6.rules")),
            include_str!(concat!("../../../tests/machines/", $name, "/iptables-nft-save")),
            include_str!(concat!("../../../tests/machines/", $name, "/ip6tables-nft-save")),
        ])
    };
}

fn older_denies() -> Host {
    machine!("debian-12-ufw-older-denies")
}

/// Files byte for byte, rules as they count.
type Picture = (BTreeMap<PathBuf, String>, Vec<String>);

/// A recorded host on which steps are performed.
#[derive(Debug, Clone, PartialEq)]
struct Host {
    facts: Facts,
    saves: [String; 2],
}

impl Host {
    fn new([conf, defaults, rules, rules6, saved, saved6]: [&str; 6]) -> Self {
        let mut facts = Facts::default();
        let [four, six] = RULES;
        for (path, text) in [(CONF, conf), (DEFAULTS, defaults), (four, rules), (six, rules6)] {
            facts.observations.files.insert(path.into(), text.to_owned());
        }
        Self {
            facts,
            saves: [saved.to_owned(), saved6.to_owned()],
        }
    }

    fn edit(&mut self, path: &str, from: &str, to: &str) {
        let text = self
            .facts
            .observations
            .files
            .get_mut(Path::new(path))
            .expect("a file");
        assert!(text.contains(from), "{from} is not in {path}");
        *text = text.replace(from, to);
    }

    fn ruleset(&self) -> Ruleset {
        let [saved, saved6] = &self.saves;
        let mut ruleset = save::read(saved, "ip", Variant::Nft);
        let six = save::read(saved6, "ip6", Variant::Nft);
        ruleset.tables.extend(six.tables);
        ruleset.chains.extend(six.chains);
        ruleset.rules.extend(six.rules);
        ruleset.addresses = ["203.0.113.20", "2001:db8::20"]
            .map(|a| a.parse().expect("an address"))
            .to_vec();
        ruleset.links = vec![String::from("eth0")];
        ruleset
    }

    fn perform(&mut self, step: &Step) {
        match step {
            Step::Write { path, content, .. } => {
                self.facts
                    .observations
                    .files
                    .insert(path.clone(), content.clone());
            }
            Step::PatchIptables {
                tool, sweep, rules, ..
            } => {
                let six = tool.name().starts_with("ip6");
                let [four, other] = &mut self.saves;
                let saved = if six { other } else { four };
                if let Some(batch) = patch::batch(saved, sweep, rules, Naming::Printed).expect("a batch") {
                    *saved = patch::tests::after(saved, &batch);
                }
            }
            Step::Run(call) => assert_eq!(call.args, ["--noflush", "--test"]),
            other => panic!("unexpected: {other}"),
        }
    }

    fn perform_all<'a>(&mut self, actions: impl IntoIterator<Item = &'a Action>) {
        for action in actions {
            self.perform(&action.step);
        }
    }

    fn undo_all<'a>(&mut self, actions: impl DoubleEndedIterator<Item = &'a Action>) {
        for step in actions.rev().flat_map(|action| &action.undo) {
            self.perform(step);
        }
    }

    fn picture(&self) -> Picture {
        let rules = self.saves.iter().flat_map(|saved| saved.lines());
        let mut rules: Vec<_> = rules.filter_map(canonical).collect();
        rules.sort_by(|one, other| one.chain.cmp(&other.chain));
        let rules = rules.iter().map(|rule| format!("{rule:?}")).collect();
        (self.facts.observations.files.clone(), rules)
    }

    fn wish<'a>(&'a self, theirs: &'a Ruleset, asked: &'a Asked, kept: &'a str) -> Wish<'a> {
        Wish {
            gates: None,
            tag: String::from("faspwall:20261123-073112"),
            window_s: 60,
            facts: &self.facts,
            theirs,
            requirements: &asked.requirements,
            closing: &asked.closing,
            spared: &asked.spared,
            helper_port: asked.helper_port,
            kept,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Asked {
    requirements: Vec<Requirement>,
    closing: Vec<u16>,
    spared: Vec<ipnet::IpNet>,
    helper_port: Option<u16>,
}

fn need(id: &str, protocol: Protocol, ports: &str, peers: &[&str]) -> Requirement {
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

fn main_case() -> Asked {
    Asked {
        requirements: vec![
            need("ssh", Protocol::Tcp, "33001", &[]),
            need("fasp", Protocol::Udp, "33001", &[]),
            need("fallback-https", Protocol::Tcp, "8443", &[]),
        ],
        closing: vec![22],
        spared: Vec::new(),
        helper_port: Some(61_022),
    }
}

fn kept_on(host: &Host, asked: &Asked) -> String {
    let theirs = host.ruleset().without_ours();
    Ufw.keeps(&host.wish(&theirs, asked, ""))
        .expect("nothing in the way")
}

/// Performs the whole change as the engine orders it; returns what is kept.
fn walk(host: &mut Host, asked: &Asked, committed: &str) -> String {
    let theirs = host.ruleset().without_ours();
    let now = Ufw.kept(&host.facts, &Ruleset::default(), committed);
    let before = host.clone();
    let wish = before.wish(&theirs, asked, &now);
    let wanted = Ufw.keeps(&wish).expect("nothing in the way");
    carry(host, &Ufw.pieces(&wish, &wanted), asked);
    wanted
}

fn assert_same(now: &Picture, before: &Picture, when: &str) {
    let lines = |(files, rules): &Picture| {
        let files: Vec<String> = files.values().cloned().collect();
        format!("{}{}", files.join("\n"), rules.join("\n"))
    };
    let (now, before) = (lines(now), lines(before));
    let diff = similar::TextDiff::from_lines(&before, &now);
    assert!(now == before, "{when}:\n{}", diff.unified_diff());
}

fn carry(host: &mut Host, pieces: &Pieces, asked: &Asked) {
    let before = host.picture();
    let open = |host: &Host| gaps(&host.ruleset(), &asked.requirements).is_empty();
    host.perform_all(&pieces.check);
    host.perform_all(&pieces.open);
    assert!(
        open(host),
        "trial 1: {:?}",
        gaps(&host.ruleset(), &asked.requirements)
    );
    // What runs out by itself is given new time in trial 2 and in the commit.
    let opened: Vec<&Step> = pieces.open.iter().map(|action| &action.step).collect();
    assert_eq!(opened, pieces.timed.iter().collect::<Vec<_>>());
    let with_trial = host.picture();
    pieces.timed.iter().for_each(|step| host.perform(step));
    assert_same(&host.picture(), &with_trial, "new time");
    let mut undone = host.clone();
    undone.undo_all(pieces.open.iter());
    assert_same(&undone.picture(), &before, "the undo of the trial");
    let commit: Vec<&Action> = [&pieces.keep, &pieces.bridge, &pieces.settle, &pieces.seal]
        .into_iter()
        .flatten()
        .collect();
    for done in 0..=commit.len() {
        let mut undone = host.clone();
        undone.perform_all(commit.iter().copied().take(done));
        // Also when the last one was begun and nothing came of it.
        undone.undo_all(commit.iter().copied().take(done + 1));
        for step in &pieces.restore {
            undone.perform(step);
        }
        undone.undo_all(pieces.open.iter());
        let when = format!("undone after {done} of {}", commit.len());
        assert_same(&undone.picture(), &before, &when);
    }
    host.perform_all(commit);
    assert!(
        open(host),
        "committed: {:?}",
        gaps(&host.ruleset(), &asked.requirements)
    );
    assert!(!host.saves.concat().contains("faspwall"), "{:?}", host.saves);
}

#[test]
fn older_denies_are_taken_out_and_the_ban_keeps_its_place() {
    let text = kept_on(&older_denies(), &main_case());
    let four: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("user.rules"))
        .collect();
    insta::assert_snapshot!(four.join("\n"));
    assert_eq!(text.lines().count(), four.len() * 2);
}

#[test]
fn the_change_leads_there_and_back_on_every_recorded_host() {
    for mut host in [
        older_denies(),
        machine!("debian-13-ufw-older-denies"),
        machine!("debian-12-ufw-zoo"),
    ] {
        let before = host.clone();
        let asked = main_case();
        let kept = walk(&mut host, &asked, "");
        assert!(is_shut(&host.ruleset(), 22), "{:#?}", host.saves);
        // Rendered again there is nothing to do.
        let theirs = host.ruleset().without_ours();
        let now = Ufw.kept(&host.facts, &Ruleset::default(), &kept);
        assert_eq!(now, kept);
        let wish = host.wish(&theirs, &asked, &now);
        assert_eq!(Ufw.keeps(&wish).as_ref(), Ok(&kept));
        let pieces = Ufw.pieces(&wish, &kept);
        assert!(pieces.files.is_empty() && pieces.open.is_empty() && pieces.keep.is_empty());
        // And back.
        let back = Asked {
            requirements: vec![need("ssh", Protocol::Tcp, "22", &[])],
            closing: vec![33_001],
            ..Asked::default()
        };
        let wish = host.wish(&theirs, &back, &now);
        let pieces = Ufw.pieces(&wish, "");
        let mut returned = host.clone();
        carry(&mut returned, &pieces, &back);
        assert_eq!(returned.picture(), before.picture());
    }
}

#[test]
fn rules_that_say_more_than_port_22_stay_and_a_deny_goes_before_them() {
    let mut host = machine!("debian-12-ufw-zoo");
    let text = kept_on(&host, &main_case());
    assert!(
        text.contains("deny tcp 22 0.0.0.0/0 any 0.0.0.0/0 in # faspwall:20261123-073112:shut"),
        "{text}"
    );
    assert!(!text.contains("20:25"), "{text}");
    assert!(text.contains("OpenSSH"), "the profile is not taken out: {text}");
    walk(&mut host, &main_case(), "");
    assert!(gaps(&host.ruleset(), &[need("smtp", Protocol::Tcp, "25", &[])]).is_empty());
}

#[test]
fn a_restricted_22_stays_open_for_the_spared_networks_alone() {
    let mut host = older_denies();
    let asked = Asked {
        spared: vec!["192.0.2.0/24".parse().expect("a network")],
        ..main_case()
    };
    let text = walk(&mut host, &asked, "");
    assert!(
        text.contains("allow tcp 22 0.0.0.0/0 any 192.0.2.0/24 in # faspwall:20261123-073112:spared"),
        "{text}"
    );
    assert!(!text.contains("deny tcp 22"), "{text}");
    assert!(
        gaps(
            &host.ruleset(),
            &[need("ssh", Protocol::Tcp, "22", &["192.0.2.0/24"])]
        )
        .is_empty()
    );
    assert!(
        !gaps(
            &host.ruleset(),
            &[need("ssh", Protocol::Tcp, "22", &["198.51.100.0/24"])]
        )
        .is_empty()
    );
}

#[test]
fn a_port_that_ufw_limits_is_open_and_yet_the_limit_goes_when_the_port_is_wanted() {
    let host = machine!("debian-12-ufw-zoo");
    let limited = need("any", Protocol::Tcp, "33002", &[]);
    assert!(gaps(&host.ruleset(), std::slice::from_ref(&limited)).is_empty());
    let asked = Asked {
        requirements: vec![limited],
        ..Asked::default()
    };
    let text = kept_on(&host, &asked);
    assert!(
        text.contains("limit tcp 33002") && text.contains("allow tcp 33002"),
        "{text}"
    );
    assert!(is_shut(&host.ruleset(), 33_001));
}

#[test]
fn a_spared_network_is_let_in_before_a_deny_that_a_wider_rule_makes_necessary() {
    let mut host = machine!("debian-12-ufw-zoo");
    let asked = Asked {
        spared: vec!["192.0.2.0/24".parse().expect("a network")],
        ..main_case()
    };
    let text = walk(&mut host, &asked, "");
    let place = |words: &str| text.lines().position(|line| line.contains(words)).expect(words);
    assert!(
        place("allow tcp 22 0.0.0.0/0 any 192.0.2.0/24 in #") < place("deny tcp 22 0.0.0.0/0 any"),
        "{text}"
    );
    assert!(
        gaps(
            &host.ruleset(),
            &[need("ssh", Protocol::Tcp, "22", &["192.0.2.0/24"])]
        )
        .is_empty()
    );
}

#[test]
fn where_the_default_lets_everything_in_a_deny_is_added_and_nothing_else() {
    let mut host = machine!("debian-12-ufw-ours");
    let rules = "*filter\n:ufw-user-input - [0:0]\n### RULES ###\n\n### END RULES ###\nCOMMIT\n";
    for path in RULES {
        host.facts
            .observations
            .files
            .insert(path.into(), rules.to_owned());
    }
    host.edit(
        DEFAULTS,
        "DEFAULT_INPUT_POLICY=\"DROP\"",
        "DEFAULT_INPUT_POLICY=\"ACCEPT\"",
    );
    host.saves = host.saves.map(|saved| {
        let kept =
            |line: &&str| !line.starts_with("-A ufw-user-input") && !line.starts_with("-A ufw6-user-input");
        let lines: Vec<&str> = saved.lines().filter(kept).collect();
        lines.join("\n").replace(":INPUT DROP", ":INPUT ACCEPT") + "\n"
    });
    let text = kept_on(&host, &main_case());
    assert_eq!(
        text,
        "user.rules before 1: deny tcp 22 0.0.0.0/0 any 0.0.0.0/0 in # faspwall:20261123-073112:shut\n\
         user6.rules before 1: deny tcp 22 ::/0 any ::/0 in # faspwall:20261123-073112:shut\n"
    );
}

#[test]
fn what_leaves_is_let_out_only_where_the_default_keeps_it_in() {
    let out = |group: Option<&str>| Requirement {
        direction: Direction::Out,
        group: group.map(|net| net.parse().expect("a group")),
        ..need("servers", Protocol::Udp, "33001-33010", &[])
    };
    let asked = Asked {
        requirements: vec![out(None), out(Some("239.255.10.1/32"))],
        ..Asked::default()
    };
    assert_eq!(kept_on(&older_denies(), &asked), "");
    let host = machine!("debian-12-ufw-strict");
    let text = kept_on(&host, &asked);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("allow udp 33001:33010 239.255.10.1 any 0.0.0.0/0 out #"),
        "{text}"
    );
    walk(&mut machine!("debian-12-ufw-strict"), &asked, "");
}

#[test]
fn a_group_is_for_its_family_and_ipv6_only_where_ufw_looks_after_it() {
    let mut asked = main_case();
    asked.requirements = vec![Requirement {
        group: Some("239.255.10.1/32".parse().expect("a group")),
        ..need("vlink", Protocol::Udp, "55001", &[])
    }];
    asked.closing.clear();
    let text = kept_on(&older_denies(), &asked);
    assert_eq!(
        text,
        "user.rules before 6: allow udp 55001 239.255.10.1 any 0.0.0.0/0 in # faspwall:20261123-073112:vlink\n"
    );
    let mut host = older_denies();
    host.edit(DEFAULTS, "IPV6=yes", "IPV6=no");
    assert!(!kept_on(&host, &main_case()).contains("user6"));
}

#[test]
fn where_ufw_shuts_ipv6_nothing_is_wanted_of_it() {
    let mut host = machine!("debian-12-ufw-without-ipv6");
    let ruleset = host.ruleset();
    let six = |chain: &crate::backend::nftables::model::Chain| chain.family == "ip6";
    assert_eq!(ruleset.chains.iter().filter(|c| six(c)).count(), 3);
    assert!(
        ruleset
            .chains
            .iter()
            .filter(|c| six(c))
            .all(|c| ipv6::is_off_in(&ruleset, c))
    );
    let text = walk(&mut host, &main_case(), "");
    assert!(!text.contains("user6") && text.contains("limit tcp 22"), "{text}");
    assert!(is_shut(&host.ruleset(), 22));
    // Anything else in there was written by somebody who wants IPv6.
    let [_, saved6] = &mut host.saves;
    *saved6 = saved6.replace(
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    );
    let ruleset = host.ruleset();
    assert!(!ruleset.chains.iter().any(|c| ipv6::is_off_in(&ruleset, c)));
    let looked_after = older_denies().ruleset();
    assert!(
        !looked_after
            .chains
            .iter()
            .any(|c| ipv6::is_off_in(&looked_after, c))
    );
}

fn refusal(host: &Host, asked: &Asked) -> String {
    let theirs = host.ruleset().without_ours();
    let refused = Ufw
        .keeps(&host.wish(&theirs, asked, ""))
        .expect_err("it is refused");
    refused.join("\n")
}

#[test]
fn a_ufw_that_is_off_or_half_loaded_is_refused_with_what_to_type() {
    let asked = main_case();
    let mut off = older_denies();
    off.edit(CONF, "ENABLED=yes", "ENABLED=no");
    assert!(refusal(&off, &asked).contains("still in the kernel"));
    let mut flushed = older_denies();
    flushed.saves = ["", ""].map(|_| String::from("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"));
    assert!(refusal(&flushed, &asked).contains("sudo ufw reload"));
    let mut emptied = older_denies();
    emptied.saves = emptied.saves.map(|saved| {
        let kept = |line: &&str| !line.starts_with("-A ufw-user-") && !line.starts_with("-A ufw6-user-");
        saved.lines().filter(kept).collect::<Vec<_>>().join("\n")
    });
    assert!(refusal(&emptied, &asked).contains("none of the rules in /etc/ufw/user.rules is in the kernel"));
    let mut unhooked = older_denies();
    unhooked.saves = unhooked
        .saves
        .map(|saved| saved.replace("-j ufw-user-input", "-j ufw-not-local"));
    assert!(refusal(&unhooked, &asked).contains("no rule in the kernel leads to ufw's chain ufw-user-input"));
    let mut unreadable = older_denies();
    unreadable.facts.observations.files.remove(Path::new(RULES[1]));
    assert!(refusal(&unreadable, &asked).contains("/etc/ufw/user6.rules could not be read"));
    let mut strange = older_denies();
    strange.edit(RULES[0], "### RULES ###", "### MINE ###");
    assert!(refusal(&strange, &asked).contains("### RULES ###"));
}

#[test]
fn rules_in_front_of_ufws_own_are_named_with_their_file() {
    let with = |line: &str| {
        let mut host = older_denies();
        let [saved, _] = &mut host.saves;
        *saved = saved.replace(
            "-A ufw-before-input -j ufw-not-local",
            &format!("{line}\n-A ufw-before-input -j ufw-not-local"),
        );
        host
    };
    let drops = with("-A ufw-before-input -p tcp -m multiport --dports 33000:34000 -j DROP");
    let text = refusal(&drops, &main_case());
    for part in [
        "TCP/33001 would stay shut",
        "--dports 33000:34000 -j DROP",
        "/etc/ufw/before.rules",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let opens = with("-A ufw-before-input -p tcp -m tcp --dport 22 -j ACCEPT");
    let text = refusal(&opens, &main_case());
    assert!(
        text.contains("TCP/22 would stay open") && text.contains("/etc/ufw/before.rules"),
        "{text}"
    );
    let ban = with("-A ufw-before-input -s 203.0.113.0/24 -p tcp -m tcp --dport 33001 -j DROP");
    assert!(!kept_on(&ban, &main_case()).is_empty());
}

fn asked() -> impl Strategy<Value = Asked> {
    let ports = prop_oneof![
        Just("22"),
        Just("33001"),
        Just("33002"),
        Just("8443"),
        Just("2222"),
        Just("5000-5020"),
        Just("9000-9001"),
        Just("20-30"),
    ];
    let peers = prop_oneof![
        Just(vec![]),
        Just(vec!["10.0.0.0/8"]),
        Just(vec!["203.0.113.7/32", "2001:db8:5::/48"]),
        Just(vec!["0.0.0.0/0"]),
    ];
    let one = (ports, peers, any::<bool>()).prop_map(|(ports, peers, udp)| {
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        need("any", protocol, ports, &peers)
    });
    (proptest::collection::vec(one, 0..5), any::<bool>(), any::<bool>()).prop_map(
        |(requirements, close, spare)| {
            let open_22 = requirements
                .iter()
                .any(|r| r.protocol == Protocol::Tcp && r.ports.contains(22));
            Asked {
                requirements,
                closing: if close && !open_22 { vec![22] } else { Vec::new() },
                spared: if spare {
                    vec!["198.51.100.0/24".parse().expect("a network")]
                } else {
                    Vec::new()
                },
                helper_port: close.then_some(61_022),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_is_asked_is_open_afterwards_and_nothing_is_left_after_the_undo(asked in asked(), zoo: bool) {
        let mut host = if zoo { machine!("debian-12-ufw-zoo") } else { older_denies() };
        let before = host.clone();
        let kept = walk(&mut host, &asked, "");
        prop_assert!(asked.closing.is_empty() || !asked.spared.is_empty() || is_shut(&host.ruleset(), 22));
        // What nobody asked for is as before.
        for port in [21, 80, 7070, 33_003, 40_000] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let wanted = asked.requirements.iter().any(|r| r.protocol == protocol && r.ports.contains(port));
                let other = [need("other", protocol, &port.to_string(), &[])];
                let open = |host: &Host| gaps(&host.ruleset(), &other).is_empty();
                prop_assert!(wanted || open(&host) == open(&before), "{protocol}/{port}");
            }
        }
        let theirs = host.ruleset().without_ours();
        let now = Ufw.kept(&host.facts, &Ruleset::default(), &kept);
        let wish = host.wish(&theirs, &asked, &now);
        prop_assert_eq!(Ufw.keeps(&wish), Ok(kept.clone()));
        let pieces = Ufw.pieces(&host.wish(&theirs, &Asked::default(), &now), "");
        let mut returned = host.clone();
        carry(&mut returned, &pieces, &Asked::default());
        prop_assert_eq!(returned.picture(), before.picture());
    }
}
