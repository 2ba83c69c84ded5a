//! The answers file: what is read, what is written, and every mistake with its place.

use faspwall::answers::{Answers, Daemon, HttpPorts, Legacy22, Outbound, Vlink};
use faspwall::catalogue::{Catalogue, PortAnswer, Role};
use faspwall::facts::BackendId;
use faspwall::plan::{Port22, plan};
use faspwall::port::{Direction, PortRange};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn read(text: &str) -> Result<Answers, Vec<String>> {
    Answers::from_toml("a.toml", text, Catalogue::builtin())
        .map_err(|error| error.to_string().lines().map(str::to_owned).collect())
}

fn mistakes(text: &str) -> Vec<String> {
    read(text).expect_err("there are mistakes")
}

/// The one mistake of a file that begins with schema and role `connect-server`.
fn mistake(rest: &str) -> String {
    let lines = mistakes(&format!("schema = 1\nrole = \"connect-server\"\n{rest}"));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.into_iter().next().expect("one")
}

fn role(id: &str) -> &'static Role {
    Catalogue::builtin().role(id).expect("a role")
}

/// The sample of the manual, to the letter.
const SAMPLE: &str = r#"schema = 1
role = "connect-server"           # an id of `faspwall roles`

[ssh]
port = 33001                      # the port sshd shall use
legacy_22 = "close"               # close | keep | restrict   (keep needs  accept = ["FW001"])
restrict_22_to = []               # CIDRs, with legacy_22 = "restrict"
daemon = "move"                   # move: sshd is changed too | leave: only the firewall

[fasp]
udp = "33001"                     # a port, or a range such as "33001-33100"

[http_fallback]                   # roles that have it; absent = off
http = 8080
https = 8443

[web_ui]
http = 80
https = 443

[vlink]
udp = 55001
group = "224.0.0.0/4"

[firewall]
backend = "auto"                  # auto | nftables | iptables | ufw | firewalld | pf | ipfw | windows
sources = []                      # CIDRs that may reach the opened ports; empty = everyone, IPv4 and IPv6
outbound = "auto"                 # auto: rules only where the output policy drops | always | never
default_deny = false              # turn on a default-deny inbound set where nothing filters today

accept = []                       # codes of advice accepted on purpose, such as "FW001"
"#;

#[test]
fn the_sample_of_the_manual_is_read() {
    let answers = read(SAMPLE).expect("right");
    let mut wanted = Answers::for_role(role("connect-server"));
    wanted.http_fallback = HttpPorts {
        http: Some(8080),
        https: Some(8443),
    };
    wanted.web_ui = HttpPorts {
        http: Some(80),
        https: Some(443),
    };
    wanted.vlink = Some(Vlink::default());
    assert_eq!(answers, wanted);
    assert_eq!(wanted.vlink.expect("on").udp, 55_001);
}

#[test]
fn a_last_line_accept_counts_although_it_stands_below_firewall() {
    let text = SAMPLE
        .replace("accept = []  ", "accept = [\"FW001\"]  ")
        .replace("\"close\"  ", "\"keep\"  ");
    let answers = read(&text).expect("right");
    assert_eq!(answers.accept, ["FW001"]);
    assert_eq!(answers.ssh.legacy_22, Legacy22::Keep);
}

#[test]
fn what_the_command_line_accepts_counts_as_if_the_file_said_it() {
    let text = b"schema = 1\nrole = \"client\"\naccept = [\"FW004\"]\n";
    let accepted = ["FW004".to_owned(), "FW013".to_owned()];
    let answers =
        Answers::from_bytes_accepting("a.toml", text, Catalogue::builtin(), &accepted).expect("right");
    assert_eq!(answers.accept, ["FW004", "FW013"]);
    let keep = b"schema = 1\nrole = \"connect-server\"\n[ssh]\nlegacy_22 = \"keep\"\n";
    let accepted = ["FW001".to_owned()];
    assert!(Answers::from_bytes("a.toml", keep, Catalogue::builtin()).is_err());
    assert!(Answers::from_bytes_accepting("a.toml", keep, Catalogue::builtin(), &accepted).is_ok());
}

#[test]
fn places_are_right_after_an_item_that_could_not_be_read() {
    let head = "schema = 1\nrole = \"client\"\n[firewall]\n";
    assert_eq!(
        mistakes(&format!(
            "{head}sources = [\"home\",\n  \"10.0.0.0/8\",\n  \"192.0.2.7/24\"]\n"
        )),
        [
            "a.toml:4:12: \"home\" is no network; write \"192.0.2.0/24\"",
            "a.toml:6:3: 192.0.2.7/24 has bits set behind its length; write 192.0.2.0/24 for the network, or \
             192.0.2.7/32 for the one host",
        ]
    );
    assert_eq!(
        mistakes(&format!("{head}accept = [\"FW01\"]\n")),
        ["a.toml:4:11: there is no advice \"FW01\"; did you mean \"FW001\"?"]
    );
}

#[test]
fn the_template_is_itself_an_answers_file() {
    let answers = read(Answers::template()).expect("right");
    assert_eq!(answers, Answers::for_role(role("connect-server")));
}

#[test]
fn the_template_with_every_option_turned_on_is_right_too() {
    let optional = |line: &str| {
        let key = line.strip_prefix('#')?.split_once(" = ")?.0;
        // A day goes with legacy_22 = "keep", which is not the default.
        let is_key = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && key != "keep_22_until";
        is_key.then(|| line[1..].to_owned())
    };
    let lines: Vec<String> = Answers::template()
        .lines()
        .map(|line| optional(line).unwrap_or_else(|| line.to_owned()))
        .collect();
    let answers = read(&lines.join("\n")).expect("right");
    let role = role("connect-server");
    let defaults: Vec<_> = role
        .needs
        .iter()
        .filter(|need| need.answer != PortAnswer::Fixed)
        .map(|need| {
            (
                &need.id,
                answers
                    .ports_of(need)
                    .expect("a port")
                    .map(|ports| ports.to_string()),
            )
        })
        .collect();
    for (id, port) in defaults {
        assert_eq!(port.as_ref(), Some(&role.need(id).expect("there").ports), "{id}");
    }
    assert_eq!(answers.vlink, Some(Vlink::default()));
}

#[test]
fn the_smallest_file_takes_the_defaults_of_its_role() {
    for role in &Catalogue::builtin().roles {
        let text = format!("schema = 1\nrole = \"{}\"\n", role.id);
        assert_eq!(read(&text), Ok(Answers::for_role(role)), "{}", role.id);
    }
    let client = Answers::for_role(role("client"));
    assert_eq!(
        (client.ssh.legacy_22, client.ssh.daemon),
        (Legacy22::Keep, Daemon::Leave)
    );
    let console = Answers::for_role(role("console"));
    assert_eq!((console.web_ui.http, console.web_ui.https), (None, Some(443)));
    let node = Answers::for_role(role("transfer-node"));
    assert_eq!(node.node_api, Some(9092));
}

#[test]
fn a_section_without_keys_is_off() {
    let answers = read("schema = 1\nrole = \"console\"\n[web_ui]\n[node_api]\n").expect("right");
    assert_eq!(answers.web_ui, HttpPorts::default());
    assert_eq!(answers.node_api, None);
}

#[test]
fn a_role_may_be_named_by_an_alias() {
    let answers = read("schema = 1\nrole = \"HSTS\"\n[node_api]\nhttps = 9092\n").expect("right");
    assert_eq!(answers.role, "high-speed-transfer-server");
    assert_eq!(answers.node_api, Some(9092));
}

#[test]
fn everything_wrong_is_reported_at_once_a_line_each_in_the_order_of_the_file() {
    let text = "role = \"conect-server\"\nacept = []\n\n[ssh]\nport = \"33001\"\nlegacy_22 = \"clsoe\"\nport2 = 1\n\n\
                [fasp]\nudp = \"33100-33001\"\n\n[web_ui]\nhttps = 70000\n\n[firewall]\nsources = [\"10.0.0.0/8\", 5]\n\
                backend = \"iptable\"\n";
    assert_eq!(
        mistakes(text),
        [
            "a.toml:1:1: \"schema\" is missing in the top of the file; write   schema = 1",
            "a.toml:1:8: there is no role \"conect-server\"; did you mean \"connect-server\"?",
            "a.toml:2:1: unknown key \"acept\" in the top of the file; did you mean \"accept\"?",
            "a.toml:5:8: ssh.port is text in quotes, but a whole number is wanted; write   port = 33001",
            "a.toml:6:13: ssh.legacy_22 = \"clsoe\" is not possible; did you mean \"close\"?",
            "a.toml:7:1: unknown key \"port2\" in [ssh]; did you mean \"port\"?",
            "a.toml:10:7: the range 33100-33001 is inverted: the lower port comes first; write   udp = \"33001\"   or   \
             udp = \"33001-33100\"",
            "a.toml:13:9: \"70000\" is not a port: a number from 1 to 65535 is wanted; write   https = 8443",
            "a.toml:16:26: firewall.sources is a whole number, but a list of texts is wanted; write   sources = \
             [\"192.0.2.0/24\"]",
            "a.toml:17:11: firewall.backend = \"iptable\" is not possible; did you mean \"iptables\"?",
        ]
    );
}

/// What follows schema and role in a file, and its one mistake.
const MISTAKES: &[(&str, &str)] = &[
    (
        "schema2 = 1\n",
        "a.toml:3:1: unknown key \"schema2\" in the top of the file; did you mean \"schema\"?",
    ),
    (
        "[ssh]\nport = 0\n",
        "a.toml:4:8: \"0\" is not a port: a number from 1 to 65535 is wanted; write   port = 33001",
    ),
    (
        "[ssh]\nport = -22\n",
        "a.toml:4:8: \"-22\" is not a port: a number from 1 to 65535 is wanted; write   port = 33001",
    ),
    (
        "[ssh]\nlegacy_22 = \"keep\"\n",
        "a.toml:4:13: legacy_22 = \"keep\" leaves TCP/22 open to everyone; write   accept = [\"FW001\"]   if that is \
             meant, keep_22_until = \"2027-01-31\"   to be reminded, or   legacy_22 = \"close\"",
    ),
    (
        "[ssh]\nlegacy_22 = \"restrict\"\n",
        "a.toml:4:13: legacy_22 = \"restrict\" without networks; write   restrict_22_to = [\"192.0.2.0/24\"]   or   \
             legacy_22 = \"close\"",
    ),
    (
        "[ssh]\nlegacy_22 = \"restrict\"\nrestrict_22_to = [\"0.0.0.0/1\", \"128.0.0.0/1\"]\n",
        "a.toml:5:18: restrict_22_to holds every address, which restricts nothing; name your own networks",
    ),
    (
        "[ssh]\nport = 22\nlegacy_22 = \"restrict\"\nrestrict_22_to = [\"192.0.2.0/24\"]\n",
        "a.toml:5:13: ssh.port is 22, so legacy_22 = \"restrict\" has no old port to restrict; write   port = 33001",
    ),
    (
        "[fasp]\nudp = \"33001-55100\"\n[vlink]\nudp = 55001\n",
        "a.toml:4:7: the range 33001-55100 of fasp.udp swallows vlink.udp = 55001; end the range before it, or choose \
             another port",
    ),
    (
        "[vlink]\nudp = 33001\n",
        "a.toml:4:7: vlink.udp and fasp.udp are both udp 33001; give each a port of its own",
    ),
    (
        "[web_ui]\nhttps = 33001\n",
        "a.toml:4:9: web_ui.https and ssh.port are both tcp 33001; give each a port of its own",
    ),
    (
        "[http_fallback]\nhttp = 22\n",
        "a.toml:4:8: http_fallback.http = 22 is the old SSH port; choose another one, such as 8080",
    ),
    (
        "[firewall]\nsources = [\"192.0.2.7/24\"]\n",
        "a.toml:4:12: 192.0.2.7/24 has bits set behind its length; write 192.0.2.0/24 for the network, or 192.0.2.7/32 \
             for the one host",
    ),
    (
        "[firewall]\nsources = [\"192.0.2.7\"]\n",
        "a.toml:4:12: \"192.0.2.7\" is no network; write \"192.0.2.7/32\"",
    ),
    (
        "[firewall]\nsources = [\"192.0.2.0/33\"]\n",
        "a.toml:4:12: \"192.0.2.0/33\" is no network; write \"192.0.2.0/24\"",
    ),
    (
        "[firewall]\nsources = [\"home\"]\n",
        "a.toml:4:12: \"home\" is no network; write \"192.0.2.0/24\"",
    ),
    (
        "[firewall]\nsources = [\"2001:db8::/32\", \"224.0.0.0/4\"]\n",
        "a.toml:4:29: 224.0.0.0/4 is a multicast network: nobody sends from it; name the networks that packets come \
             from",
    ),
    (
        "[vlink]\ngroup = \"ff02::/16\"\n",
        "a.toml:4:9: ff02::/16 is IPv6, but Vlinks use IPv4 multicast; write a network within 224.0.0.0/4",
    ),
    (
        "[vlink]\ngroup = \"10.0.0.0/8\"\n",
        "a.toml:4:9: 10.0.0.0/8 is no multicast network; write one within 224.0.0.0/4",
    ),
    (
        "[vlink]\nudp = 55001\n[firewall]\nsources = [\"2001:db8::/32\"]\n",
        "a.toml:6:11: firewall.sources holds no IPv4 network, but Vlinks use IPv4 multicast; add the members' network",
    ),
    (
        "accept = [\"FW01\"]\n",
        "a.toml:3:11: there is no advice \"FW01\"; did you mean \"FW001\"?",
    ),
    (
        "accept = [\"fw001\"]\n",
        "a.toml:3:11: there is no advice \"fw001\"; did you mean \"FW001\"?",
    ),
    (
        "extra = [\"metering\"]\n",
        "a.toml:3:10: the role connect-server has no optional port \"metering\"; nothing can stand here",
    ),
    (
        "[firewall]\ndefault_deny = \"yes\"\n",
        "a.toml:4:16: firewall.default_deny is text in quotes, but true or false \
          is wanted; write   default_deny = true",
    ),
    (
        "ssh = 22\n",
        "a.toml:3:7: ssh is a whole number, but a section is wanted; write   [ssh]",
    ),
];

#[test]
fn each_rule_has_a_message_that_says_what_would_be_right() {
    for (rest, wanted) in MISTAKES {
        assert_eq!(mistake(rest), *wanted);
    }
}

#[test]
fn options_that_the_role_does_not_have_are_named_with_the_roles_that_have_them() {
    let with = |role: &str, rest: &str| mistakes(&format!("schema = 1\nrole = \"{role}\"\n{rest}"));
    assert_eq!(
        with("enterprise-server", "[http_fallback]\nhttp = 8080\n"),
        [
            "a.toml:3:1: the role enterprise-server has no [http_fallback]; take it out, or choose a role that has it: \
             connect-server, high-speed-transfer-server, transfer-node"
        ]
    );
    assert_eq!(
        with("client", "[ssh]\nlegacy_22 = \"close\"\n"),
        [
            "a.toml:4:13: the role client has no ssh.legacy_22; it takes no SSH from others, so this host's sshd stays \
             as it is; take the line out"
        ]
    );
    assert_eq!(
        with("high-speed-transfer-server", "extra = [\"metring\"]\n"),
        [
            "a.toml:3:10: the role high-speed-transfer-server has no optional port \"metring\"; did you mean \
             \"metering\"?"
        ]
    );
    assert_eq!(with("shares", "[ssh]\nport = 22\n").len(), 1);
    assert_eq!(with("client", "[ssh]\nkeep_22_until = \"2027-01-31\"\n").len(), 1);
    assert!(read("schema = 1\nrole = \"enterprise-server\"\n[http_fallback]\n").is_ok());
}

#[test]
fn broken_text_is_pointed_at() {
    let lines = mistakes("schema = 1\nrole = \"client\"\n[ssh\nport = 1\n");
    assert!(lines[0].starts_with("a.toml:3:"), "{lines:?}");
    assert!(lines[0].contains("this is not TOML"), "{lines:?}");
    let error = Answers::from_bytes("a.toml", b"schema = 1\nrole = \"\xff\"", Catalogue::builtin());
    let error = error.expect_err("no text").to_string();
    assert_eq!(
        error,
        "a.toml:2:9: this byte is not UTF-8 text; save the file as UTF-8"
    );
    assert!(
        mistakes("")
            .iter()
            .any(|line| line.contains("\"role\" is missing"))
    );
}

#[test]
fn written_files_keep_the_comments_and_leave_out_what_the_role_does_not_have() {
    let catalogue = Catalogue::builtin();
    let server = Answers::for_role(role("connect-server")).to_toml(catalogue);
    assert!(server.contains("# What becomes of TCP/22"));
    assert!(
        server.contains("\n#http = 8080\n"),
        "off is written as a comment:\n{server}"
    );
    let client = Answers::for_role(role("client")).to_toml(catalogue);
    assert!(
        !client.contains("legacy_22") && !client.contains("[web_ui]"),
        "{client}"
    );
    assert!(client.contains("[vlink]"));
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![select(vec![22, 33_001, 8080, 443, 55_001, 9092]), 1u16..]
}

fn network() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<u32>(), 0u8..=32).prop_map(|(bits, length)| {
            IpNet::V4(Ipv4Net::new(bits.into(), length).expect("a length").trunc())
        }),
        (any::<u128>(), 0u8..=128).prop_map(|(bits, length)| {
            IpNet::V6(Ipv6Net::new(bits.into(), length).expect("a length").trunc())
        }),
    ]
}

fn networks() -> impl Strategy<Value = Vec<IpNet>> {
    prop_oneof![Just(Vec::new()), proptest::collection::vec(network(), 1..4)]
}

prop_compose! {
    fn web()(http in proptest::option::of(port()), https in proptest::option::of(port())) -> HttpPorts {
        HttpPorts { http, https }
    }
}

prop_compose! {
    /// Answers that a wizard could hold: only options that the role has, not all of them without mistakes.
    fn answers()(
        role in select(Catalogue::builtin().roles.iter().collect::<Vec<_>>()),
        (ssh_port, first, more) in (port(), port(), prop_oneof![Just(0u16), any::<u16>()]),
        legacy_22 in select(vec![Legacy22::Close, Legacy22::Keep, Legacy22::Restrict]),
        daemon in select(vec![Daemon::Move, Daemon::Leave]),
        day in proptest::option::of((2026i16..2100, 1i8..=12, 1i8..=28)),
        (restrict_22_to, sources) in (networks(), networks()),
        (fallback, web_ui, node_api) in (web(), web(), proptest::option::of(port())),
        vlink in proptest::option::of((port(), any::<u32>(), 4u8..=32)),
        backend in proptest::option::of(select(BackendId::ALL.to_vec())),
        outbound in select(vec![Outbound::Auto, Outbound::Always, Outbound::Never]),
        (default_deny, enable_at_boot) in (any::<bool>(), any::<bool>()),
        accept in subsequence(vec!["FW001", "FW003", "FW013"], 0..=3),
        take_extra in any::<bool>(),
    ) -> Answers {
        let mut answers = Answers::for_role(role);
        if role.uses(PortAnswer::SshPort) {
            answers.ssh.port = ssh_port;
        }
        if role.takes_ssh() {
            answers.ssh.legacy_22 = legacy_22;
            answers.ssh.daemon = daemon;
            answers.ssh.keep_22_until = day.map(|(year, month, day)| jiff::civil::date(year, month, day));
            answers.ssh.restrict_22_to = restrict_22_to;
        }
        if role.uses(PortAnswer::FaspUdp) {
            answers.fasp_udp = PortRange::new(first, first.saturating_add(more)).expect("ordered");
        }
        if role.uses(PortAnswer::FallbackHttp) {
            answers.http_fallback = fallback;
        }
        if role.uses(PortAnswer::WebHttps) {
            answers.web_ui = web_ui;
        }
        if role.uses(PortAnswer::NodeHttps) {
            answers.node_api = node_api;
        }
        if role.uses(PortAnswer::VlinkUdp) {
            answers.vlink = vlink.map(|(udp, bits, length)| {
                let address = std::net::Ipv4Addr::from(bits >> 4 | 0xe000_0000);
                Vlink { udp, group: IpNet::V4(Ipv4Net::new(address, length).expect("a length").trunc()) }
            });
        }
        answers.firewall.backend = backend;
        answers.firewall.sources = sources;
        answers.firewall.outbound = outbound;
        answers.firewall.default_deny = default_deny;
        answers.firewall.enable_at_boot = enable_at_boot;
        answers.accept = accept.into_iter().map(str::to_owned).collect();
        if take_extra {
            answers.extra = role.extras().map(|need| need.id.clone()).collect();
        }
        answers
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(answers in answers()) {
        let catalogue = Catalogue::builtin();
        let text = answers.to_toml(catalogue);
        let back = Answers::from_toml("a.toml", &text, catalogue);
        if answers.check(catalogue).is_empty() {
            prop_assert_eq!(back.as_ref(), Ok(&answers), "\n{}", text);
        } else {
            // The file and the wizard obey the same rules: the same mistakes, each with a place in the file.
            let found = back.expect_err("mistakes").problems;
            let mut faults: Vec<String> = found.iter().map(|problem| problem.fault.to_string()).collect();
            let mut wanted: Vec<String> =
                answers.check(catalogue).iter().map(|mistake| mistake.fault.to_string()).collect();
            faults.sort();
            wanted.sort();
            faults.dedup();
            wanted.dedup();
            prop_assert_eq!(faults, wanted, "\n{}", text);
            prop_assert!(found.iter().all(|problem| problem.place.line > 1));
        }
    }

    #[test]
    fn a_plan_opens_what_was_asked_for_and_nothing_else(answers in answers()) {
        let catalogue = Catalogue::builtin();
        let Ok(plan) = plan(catalogue, &answers) else {
            prop_assert!(!answers.check(catalogue).is_empty());
            return Ok(());
        };
        prop_assert!(answers.check(catalogue).is_empty());
        let role = catalogue.role(&answers.role).expect("a role");
        let mut ids = std::collections::BTreeSet::new();
        for requirement in &plan.requirements {
            prop_assert!(ids.insert(&requirement.id), "{} is there twice", requirement.id);
            let need = role.need(&requirement.id).expect("a need of the role");
            prop_assert_eq!(answers.ports_of(need), Ok(Some(requirement.ports)));
            prop_assert_eq!((need.direction, need.protocol), (requirement.direction, requirement.protocol));
            if requirement.direction == Direction::In && !answers.firewall.sources.is_empty() {
                prop_assert!(!requirement.peers.is_empty(), "{} is wider than the sources", requirement.id);
                prop_assert!(requirement.peers.iter().all(|net| answers.firewall.sources.contains(net)));
            }
        }
        for need in &role.needs {
            let asked = answers.ports_of(need).expect("a port").is_some();
            let wanted = asked && (need.direction == Direction::In || answers.firewall.outbound != Outbound::Never);
            prop_assert_eq!(wanted, ids.contains(&need.id), "{}", need.id);
        }
        if answers.ssh.port == 22 || !role.takes_ssh() {
            prop_assert_eq!(&plan.port_22, &Port22::Keep);
        }
        prop_assert!(plan.keep_22_until.is_none() || plan.port_22 == Port22::Keep);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Answers::from_bytes("a.toml", &bytes, Catalogue::builtin());
        let text = String::from_utf8_lossy(&bytes);
        let _ = Catalogue::read("c.toml", &text);
    }

    #[test]
    fn no_edit_of_a_good_file_makes_the_reader_panic(at in any::<prop::sample::Index>(), with in "\\PC{0,3}", cut in 0usize..20) {
        let good: Vec<char> = SAMPLE.chars().collect();
        let at = at.index(good.len());
        let text: String =
            good[..at].iter().copied().chain(with.chars()).chain(good[(at + cut).min(good.len())..].iter().copied()).collect();
        if let Err(error) = Answers::from_toml("a.toml", &text, Catalogue::builtin()) {
            let lines = text.lines().count() + 1;
            for problem in &error.problems {
                prop_assert!((1..=lines).contains(&problem.place.line));
                prop_assert!(!problem.to_string().contains('\n'));
            }
        }
    }
}

#[test]
fn a_day_until_which_22_is_kept_takes_the_place_of_the_acceptance() {
    let read = |ssh: &str| {
        let text = format!("schema = 1\nrole = \"high-speed-transfer-server\"\n[ssh]\nport = 33001\n{ssh}");
        faspwall::answers::Answers::from_toml("a.toml", &text, faspwall::catalogue::Catalogue::builtin())
    };
    let answers = read("legacy_22 = \"keep\"\nkeep_22_until = \"2027-01-31\"\n").expect("right");
    let day = answers.ssh.keep_22_until.expect("kept").to_string();
    assert_eq!(day, "2027-01-31");
    let again = answers.to_toml(faspwall::catalogue::Catalogue::builtin());
    let again =
        faspwall::answers::Answers::from_toml("b.toml", &again, faspwall::catalogue::Catalogue::builtin());
    assert_eq!(again.expect("its own text"), answers);
    let no_day = read("legacy_22 = \"keep\"\nkeep_22_until = \"2027-02-30\"\n").expect_err("no such day");
    assert!(no_day.to_string().contains("a.toml:6:17:"), "{no_day}");
    assert!(no_day.to_string().contains("2027-02-30"), "{no_day}");
    assert!(read("legacy_22 = \"close\"\nkeep_22_until = \"2027-01-31\"\n").is_err());
}
