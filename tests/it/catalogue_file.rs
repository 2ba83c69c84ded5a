//! A catalogue of one's own: what is read, every mistake with its place, and what is shown of it.

use faspwall::catalogue::Catalogue;
use proptest::prelude::*;

const BUILTIN: &str = include_str!("../../assets/catalogue.toml");

const SMALL: &str = r#"schema = 1
[source.doc]
title = "A document"
address = "https://example.com/doc"
[need.ssh]
direction = "in"
protocol = "tcp"
ports = "33001"
answer = "ssh_port"
default = "on"
why = "Sessions."
[[role]]
id = "server"
name = "Server"
aliases = ["S"]
summary = "Takes sessions."
source = "doc"
needs = ["ssh"]
"#;

/// The mistakes of the small catalogue after one replacement.
fn mistakes(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from}");
    let text = SMALL.replacen(from, to, 1);
    let error = Catalogue::read("c.toml", &text).expect_err(&text);
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_need_takes_the_source_of_its_role() {
    let catalogue = Catalogue::read("c.toml", SMALL).expect("right");
    let need = catalogue.roles[0].need("ssh").expect("there");
    assert_eq!(need.source, "A document <https://example.com/doc>");
    assert!(need.peers.is_empty() && need.group.is_none() && need.condition.is_empty());
}

/// One replacement in the small catalogue, and what is said of it.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "schema = 1",
        "schema = 2",
        "c.toml:1:10: schema 2 is not known; this program reads schema = 1",
    ),
    (
        "schema = 1\n",
        "",
        "c.toml:1:1: \"schema\" is missing in the top of the file; write   schema = 1",
    ),
    (
        "title = \"A document\"\n",
        "",
        "c.toml:2:1: \"title\" is missing in [source.doc]; write   title = \"Name of the document, topic\"",
    ),
    (
        "address",
        "adress",
        "c.toml:4:1: unknown key \"adress\" in [source.doc]; did you mean \"address\"?",
    ),
    (
        "\"in\"",
        "\"inn\"",
        "c.toml:6:13: need.ssh.direction = \"inn\" is not possible; possible: in, out",
    ),
    (
        "\"in\"",
        "3",
        "c.toml:6:13: need.ssh.direction is a whole number, but text in quotes is wanted; write   direction = \"in\"",
    ),
    (
        "\"33001\"",
        "\"70000\"",
        "c.toml:8:9: ports: \"70000\" is not a port: a number from 1 to 65535 is wanted, such as \"33001\" or \"33001-33100\"",
    ),
    (
        "\"33001\"",
        "\"9-3\"",
        "c.toml:8:9: ports: the range 9-3 is inverted: the lower port comes first, such as \"33001\" or \"33001-33100\"",
    ),
    (
        "\"ssh_port\"",
        "\"fasp_udp\"",
        "c.toml:9:10: answer \"fasp_udp\" gives a udp port, but the need is tcp; make them agree",
    ),
    (
        "\"on\"",
        "\"loopback\"",
        "c.toml:10:11: a loopback port is inbound and fixed; write   direction = \"in\"   and   answer = \"fixed\"",
    ),
    (
        "why = \"Sessions.\"\n",
        "",
        "c.toml:5:1: \"why\" is missing in [need.ssh]; write   why = \"What the port is for.\"",
    ),
    (
        "\"Sessions.\"",
        "\" \"",
        "c.toml:11:7: \"why\" is missing in [need.ssh]; write   why = \"What the port is for.\"",
    ),
    (
        "\"server\"",
        "\"The Server\"",
        "c.toml:13:6: \"The Server\" is no id; use small letters, digits and dashes, such as \"connect-server\"",
    ),
    (
        "source = \"doc\"",
        "source = \"dok\"",
        "c.toml:17:10: there is no [source.dok]; did you mean \"doc\"?",
    ),
    (
        "[\"ssh\"]",
        "[\"ssh\", \"ssh\"]",
        "c.toml:18:17: the need \"ssh\" is there twice; give each a name of its own",
    ),
    (
        "[\"ssh\"]",
        "[\"ssh\", \"fsap\"]",
        "c.toml:18:17: there is no [need.fsap]; possible: ssh",
    ),
    (
        "why =",
        "peers = [\"192.0.2.1/24\"]\nwhy =",
        "c.toml:11:10: \"192.0.2.1/24\" is no network; write an address with its length and without host bits, such as \"192.0.2.0/24\"",
    ),
    (
        "why =",
        "group = \"10.0.0.0/8\"\nwhy =",
        "c.toml:11:9: 10.0.0.0/8 is no IPv4 multicast network; it must lie within 224.0.0.0/4",
    ),
];

#[test]
fn each_mistake_has_its_place_and_says_what_would_be_right() {
    for (from, to, wanted) in MISTAKES {
        let lines = mistakes(from, to);
        assert!(
            lines.iter().any(|line| line == wanted),
            "wanted {wanted}\ngot {lines:#?}"
        );
        assert!(lines.len() <= 2, "{lines:#?}");
    }
}

#[test]
fn a_need_that_no_role_uses_and_a_name_of_two_roles_are_mistakes() {
    let lines = mistakes("needs = [\"ssh\"]", "needs = []");
    assert_eq!(
        lines,
        ["c.toml:5:1: [need.ssh] is used by no role; name it in one, or take it out"]
    );
    let twice = format!(
        "{SMALL}[[role]]\nid = \"s\"\nname = \"Other\"\nsummary = \"x\"\nsource = \"doc\"\nneeds = [\"ssh\"]\n"
    );
    let error = Catalogue::read("c.toml", &twice)
        .expect_err("S and s")
        .to_string();
    assert_eq!(
        error,
        "c.toml:19:1: the name \"s\" is there twice; give each a name of its own"
    );
    let error = Catalogue::read("c.toml", "schema = 1\n")
        .expect_err("empty")
        .to_string();
    assert_eq!(
        error,
        "c.toml:1:1: there is no [[role]]; a catalogue needs at least one"
    );
}

#[test]
fn the_json_of_roles_has_every_field() {
    let json = Catalogue::builtin().to_json();
    assert_eq!(json["schema"], "faspwall.roles/1");
    let role = &json["roles"][1];
    assert_eq!(role["id"], "connect-server");
    assert_eq!(role["aliases"][0], "CS");
    let ssh = &role["needs"][0];
    for (field, value) in [
        ("id", "ssh"),
        ("direction", "in"),
        ("protocol", "tcp"),
        ("ports", "33001"),
        ("default", "on"),
        ("key", "ssh.port"),
    ] {
        assert_eq!(ssh[field], value, "{field}");
    }
    assert!(ssh["why"].is_string() && ssh["source"].is_string() && ssh["group"].is_null());
    assert_eq!(json["udp"][0]["ports"], "per-session");
    assert_eq!(
        json["roles"].as_array().map(Vec::len),
        Some(Catalogue::builtin().roles.len())
    );
}

#[test]
fn the_text_of_roles_fits_a_console_and_says_why() {
    let text = Catalogue::builtin().to_text();
    // Each document is named once, at the end, and every number leads to one.
    let (ports, documents) = text.split_once("Documents\n").expect("both parts");
    for number in ports
        .split('[')
        .skip(1)
        .map(|rest| rest.split(']').next().expect("a number"))
    {
        assert!(documents.contains(&format!("  [{number}]")), "{number}");
    }
    for line in text.lines() {
        assert!(line.is_ascii(), "{line}");
        let long_word = line.split_whitespace().any(|word| word.len() > 60);
        assert!(line.len() <= 79 || long_word, "{line}");
    }
    for wanted in [
        "connect-server   Connect Server\n",
        "ssh.port\n",
        "       To: 224.0.0.0/4 (multicast)\n",
        "  in   TCP  31415       loopback  database\n",
        "Documents\n  [1]  Aspera Connect Server 3.5.1",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// An edit anywhere in the built-in file is read, or reported on one line for each mistake, with a place that exists.
    #[test]
    fn no_edit_of_the_catalogue_makes_the_reader_panic(at in any::<prop::sample::Index>(), with in "\\PC{0,3}", cut in 0usize..40) {
        let at = at.index(BUILTIN.len());
        let end = (at + cut).min(BUILTIN.len());
        let text = format!("{}{with}{}", &BUILTIN[..at], &BUILTIN[end..]);
        if let Err(error) = Catalogue::read("c.toml", &text) {
            let lines = text.lines().count() + 1;
            prop_assert!(!error.problems.is_empty());
            for problem in &error.problems {
                prop_assert!((1..=lines).contains(&problem.place.line));
                prop_assert!(!problem.to_string().contains('\n'));
            }
        }
    }
}
