//! Advice: which code is given when, how much it weighs, and what is shown for it.

mod dropbear;
mod fail2ban;

use std::net::IpAddr;

use faspwall::advice::{Advice, Severity, review};
use faspwall::answers::{ADVICE_CODES, Answers, Daemon, Legacy22};
use faspwall::catalogue::Catalogue;
use faspwall::facts::{
    Activation, AsperaFacts, ChainFact, Facts, Foreign, InboundDefault, Link, Listener, LocalPorts, Narrow,
    Session, SshFacts, Via,
};
use faspwall::plan::plan;
use faspwall::port::Protocol;

fn answers(role: &str) -> Answers {
    Answers::for_role(Catalogue::builtin().role(role).expect("a role"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn listener(program: &str, address: &str, port: u16) -> Listener {
    Listener {
        protocol: Protocol::Tcp,
        address: ip(address),
        port,
        program: Some(program.into()),
        pid: Some(812),
        uid: Some(0),
    }
}

fn chain(table: &str, owner: Option<&str>, drops: Option<&str>) -> ChainFact {
    ChainFact {
        family: "inet".into(),
        table: table.into(),
        chain: "input".into(),
        hook: "input".into(),
        priority: 0,
        policy: "drop".into(),
        drops: drops.map(str::to_owned),
        owner: owner.map(str::to_owned),
    }
}

/// A plain server: default-drop, sshd on 22, the operator connected to it.
fn server() -> Facts {
    Facts {
        hostname: "aspera01".into(),
        privileged: true,
        inbound_default: InboundDefault::Drop,
        chains: vec![chain("filter", None, Some("policy drop"))],
        ssh: SshFacts {
            daemon: "OpenSSH_9.2p1".into(),
            ports: vec![22],
            failed_logins: Some(4812),
            ..SshFacts::default()
        },
        session: Some(Session {
            via: Via::Ssh,
            client: Some(ip("::ffff:10.0.0.7")),
            client_port: Some(51_844),
            server: Some(ip("192.0.2.1")),
            server_port: Some(22),
            user: Some("root".into()),
            pid: Some(900),
            started_ms: Some(1),
            evidence: "SSH_CONNECTION".into(),
        }),
        listeners: vec![listener("sshd", "0.0.0.0", 22)],
        ..Facts::default()
    }
}

fn reviewed(answers: &Answers, facts: &Facts) -> Vec<Advice> {
    let plan = plan(Catalogue::builtin(), answers).expect("a plan");
    review(&plan, answers, facts)
}

fn codes(answers: &Answers, facts: &Facts) -> Vec<String> {
    reviewed(answers, facts)
        .into_iter()
        .map(|advice| advice.code)
        .collect()
}

fn given(code: &str, answers: &Answers, facts: &Facts) -> Option<Advice> {
    reviewed(answers, facts)
        .into_iter()
        .find(|advice| advice.code == code)
}

fn severity(code: &str, answers: &Answers, facts: &Facts) -> Option<Severity> {
    given(code, answers, facts).map(|advice| advice.severity)
}

#[test]
fn a_move_from_22_on_a_plain_server_has_notes_and_no_obstacle() {
    let advice = reviewed(&answers("connect-server"), &server());
    let seen: Vec<_> = advice
        .iter()
        .map(|advice| (advice.code.as_str(), advice.severity))
        .collect();
    assert_eq!(seen, [("FW002", Severity::Note), ("FW003", Severity::Note)]);
}

#[test]
fn nothing_is_said_of_a_host_that_was_not_looked_at() {
    for role in &Catalogue::builtin().roles {
        let codes = codes(&Answers::for_role(role), &Facts::default());
        let wanted: &[&str] = if role.takes_ssh() { &["FW002"] } else { &[] };
        assert_eq!(codes, wanted, "{}", role.id);
    }
}

#[test]
fn fw001_blocks_until_22_is_shut_or_it_is_accepted() {
    let facts = server();
    let mut open = answers("connect-server");
    open.ssh.port = 22;
    let advice = given("FW001", &open, &facts).expect("given");
    assert!(advice.blocks() && !advice.accepted);
    let evidence = advice.evidence.join("\n");
    assert!(evidence.contains("sshd logged 4,812 failed logins"), "{evidence}");
    assert!(
        evidence.contains("sshd (pid 812) listens on 0.0.0.0, TCP/22"),
        "{evidence}"
    );
    assert!(evidence.contains("inet filter input: policy drop"), "{evidence}");
    assert!(
        evidence.contains("your own connection uses it (from 10.0.0.7)"),
        "{evidence}"
    );
    open.accept = vec!["FW001".into()];
    let advice = given("FW001", &open, &facts).expect("still shown");
    assert_eq!((advice.severity, advice.accepted), (Severity::Warning, true));

    let mut kept = answers("connect-server");
    kept.ssh.legacy_22 = Legacy22::Keep;
    kept.accept = vec!["FW001".into()];
    assert_eq!(severity("FW001", &kept, &facts), Some(Severity::Warning));
    let mut restricted = answers("connect-server");
    restricted.ssh.legacy_22 = Legacy22::Restrict;
    restricted.ssh.restrict_22_to = vec!["10.0.0.0/24".parse().expect("a network")];
    assert_eq!(severity("FW001", &restricted, &facts), None);
    assert_eq!(severity("FW001", &answers("client"), &facts), None);
}

#[test]
fn fw002_tells_whether_sshd_will_be_there() {
    let mut facts = server();
    let mut answers = answers("connect-server");
    assert_eq!(severity("FW002", &answers, &facts), Some(Severity::Note));
    answers.ssh.daemon = Daemon::Leave;
    assert_eq!(severity("FW002", &answers, &facts), Some(Severity::Blocker));
    answers.ssh.legacy_22 = Legacy22::Keep;
    answers.accept = vec!["FW001".into()];
    assert_eq!(severity("FW002", &answers, &facts), Some(Severity::Warning));
    facts.ssh.ports = vec![22, 33_001];
    assert_eq!(severity("FW002", &answers, &facts), None);
}

#[test]
fn fw002_names_the_program_that_holds_the_port() {
    let mut facts = server();
    facts.listeners.push(listener("nginx", "::", 33_001));
    let advice = given("FW002", &answers("connect-server"), &facts).expect("given");
    assert!(advice.blocks());
    assert_eq!(advice.evidence, ["nginx (pid 812) listens on ::, TCP/33001"]);
}

#[test]
fn fw003_blocks_where_there_would_be_no_way_back() {
    let mut facts = server();
    let mut answers = answers("connect-server");
    assert_eq!(severity("FW003", &answers, &facts), Some(Severity::Note));
    answers.ssh.daemon = Daemon::Leave;
    assert_eq!(severity("FW003", &answers, &facts), Some(Severity::Blocker));
    facts.ssh.ports = vec![22, 33_001];
    assert_eq!(severity("FW003", &answers, &facts), Some(Severity::Note));
    // Whoever may still use 22 is not cut off.
    answers.ssh.legacy_22 = Legacy22::Restrict;
    answers.ssh.restrict_22_to = vec!["10.0.0.0/24".parse().expect("a network")];
    assert_eq!(severity("FW003", &answers, &facts), None);
    // A console needs no port.
    let mut console = server();
    console.session = Some(Session {
        via: Via::Console,
        client: None,
        client_port: None,
        server: None,
        server_port: None,
        ..server().session.expect("one")
    });
    assert_eq!(
        severity("FW003", &self::answers("connect-server"), &console),
        None
    );
}

#[test]
fn fw003_sees_what_default_deny_would_cut() {
    let mut facts = server();
    facts.inbound_default = InboundDefault::Accept;
    facts.chains.clear();
    facts.session.as_mut().expect("one").server_port = Some(2222);
    let mut answers = answers("connect-server");
    assert_eq!(severity("FW003", &answers, &facts), None);
    answers.firewall.default_deny = true;
    assert_eq!(severity("FW003", &answers, &facts), Some(Severity::Blocker));
    facts.session.as_mut().expect("one").server_port = Some(33_001);
    assert_eq!(severity("FW003", &answers, &facts), None);
    let session = facts.session.as_mut().expect("one");
    (session.via, session.server_port) = (Via::Mosh, None);
    assert_eq!(severity("FW003", &answers, &facts), Some(Severity::Blocker));
}

#[test]
fn fw004_counts_tools_and_not_chains() {
    let mut facts = server();
    facts.chains.push(chain("filter", None, Some("rule drops")));
    assert_eq!(severity("FW004", &answers("connect-server"), &facts), None);
    facts
        .chains
        .push(chain("f2b-table", Some("fail2ban"), Some("set of addresses")));
    let advice = given("FW004", &answers("connect-server"), &facts).expect("given");
    assert_eq!(advice.severity, Severity::Warning);
    assert_eq!(advice.evidence.len(), 3);
    assert!(advice.text.contains("fail2ban, table filter"), "{}", advice.text);
}

#[test]
fn fw005_says_how_to_enable_the_unit() {
    let mut facts = server();
    facts.boot.enabled = Some(false);
    facts.boot.unit = Some("nftables.service".into());
    facts.boot.file = Some("/etc/nftables.conf".into());
    let advice = given("FW005", &answers("connect-server"), &facts).expect("given");
    assert!(
        advice.text.contains("systemctl enable nftables.service"),
        "{}",
        advice.text
    );
    facts.boot.enabled = Some(true);
    assert_eq!(severity("FW005", &answers("connect-server"), &facts), None);
}

#[test]
fn fw006_and_fw016_compare_with_the_product() {
    let mut facts = server();
    facts.aspera = Some(AsperaFacts {
        conf: Some("/opt/aspera/etc/aspera.conf".into()),
        udp_port: Some(33_001),
        ssh_port: Some(33_001),
        http: Some((8080, false)),
        https: Some((8443, true)),
        ..AsperaFacts::default()
    });
    let mut answers = answers("connect-server");
    assert_eq!(severity("FW006", &answers, &facts), None);
    answers.http_fallback.https = Some(8443);
    assert_eq!(severity("FW006", &answers, &facts), None);
    answers.http_fallback.http = Some(8080);
    let advice = given("FW006", &answers, &facts).expect("given");
    assert_eq!(
        advice.evidence,
        ["/opt/aspera/etc/aspera.conf: enable_http is false"]
    );
    assert_eq!(severity("FW016", &answers, &facts), None);
    facts.aspera.as_mut().expect("one").udp_port = Some(33_002);
    facts.aspera.as_mut().expect("one").ssh_port = Some(22);
    let advice = given("FW016", &answers, &facts).expect("given");
    assert_eq!(
        advice.evidence,
        [
            "/opt/aspera/etc/aspera.conf: ssh_port is 22, but ssh.port is 33001",
            "/opt/aspera/etc/aspera.conf: bind_udp_port is 33002, but fasp.udp is 33001",
        ]
    );
    assert!(
        advice
            .text
            .contains("asconfigurator -x \"set_server_data;ssh_port,33001\""),
        "{}",
        advice.text
    );
}

#[test]
fn fw016_knows_the_defaults_of_the_file_and_the_old_web_pages() {
    let mut facts = server();
    let mut answers = answers("connect-server");
    facts.aspera = Some(AsperaFacts {
        conf: Some("/opt/aspera/etc/aspera.conf".into()),
        web_ssh_port: Some(22),
        web_https_port: Some(8443),
        vlink_port: Some(55_002),
        vlink_id: Some("108".into()),
        ..AsperaFacts::default()
    });
    answers.fasp_udp = "33010-33020".parse().expect("a range");
    answers.vlink = Some(faspwall::answers::Vlink::default());
    answers.http_fallback.https = Some(8444);
    let advice = given("FW016", &answers, &facts).expect("given");
    assert_eq!(
        advice.evidence,
        [
            "SshPort of <WEB> is 22, but ssh.port is 33001",
            "bind_udp_port is not set, which means 33001, but fasp.udp is 33010",
            "https_port is not set, which means 8443, but http_fallback.https is 8444",
            "HttpsFallbackPort of <WEB> is 8443, but http_fallback.https is 8444",
            "mcast_port is 55002, but vlink.udp is 55001",
        ]
        .map(|line| format!("/opt/aspera/etc/aspera.conf: {line}"))
    );
    for command in [
        "asconfigurator -x \"set_node_data;transfer_protocol_options_bind_udp_port,33010\"",
        "asconfigurator -x \"set_trunk_data;id,108;trunk_mcast_port,55001\"   and its <WEB> section in the file by hand",
        "service asperacentral restart && service asperahttpd restart && service asperanoded restart",
    ] {
        assert!(advice.text.contains(command), "{command}: {}", advice.text);
    }
    let off = given("FW006", &answers, &facts).expect("given");
    assert!(off.evidence[0].ends_with("enable_https is not set, which means false"));
    answers.aspera_conf = faspwall::answers::AsperaConf::Set;
    for code in ["FW006", "FW016"] {
        assert_eq!(severity(code, &answers, &facts), Some(Severity::Note), "{code}");
    }
    // What could not be read is not taken for a default.
    facts.aspera.as_mut().expect("one").problems = vec!["line 1: x".into()];
    assert_eq!(severity("FW006", &answers, &facts), None);
}

#[test]
fn fw018_tells_of_a_fallback_whose_port_stays_shut() {
    let mut facts = server();
    let mut answers = answers("connect-server");
    facts.aspera = Some(AsperaFacts {
        conf: Some("/opt/aspera/etc/aspera.conf".into()),
        http: Some((8080, true)),
        https: Some((8443, false)),
        ..AsperaFacts::default()
    });
    let advice = given("FW018", &answers, &facts).expect("given");
    assert!(
        advice.text.contains("Write http = 8080 in [http_fallback]"),
        "{}",
        advice.text
    );
    assert_eq!(advice.evidence.len(), 1);
    answers.http_fallback.http = Some(8080);
    assert_eq!(severity("FW018", &answers, &facts), None);
}

#[test]
fn fw007_and_fw017_follow_the_platform() {
    let mut facts = server();
    let mut answers = answers("connect-server");
    facts.os.id = "windows".into();
    let advice = given("FW007", &answers, &facts).expect("given");
    assert!(advice.text.contains("33001-33100"), "{}", advice.text);
    answers.fasp_udp = "33001-33010".parse().expect("a range");
    assert_eq!(severity("FW007", &answers, &facts), None);
    assert_eq!(severity("FW017", &answers, &facts), None);
    facts.os.id = "debian".into();
    assert_eq!(severity("FW017", &answers, &facts), Some(Severity::Note));
    facts.aspera = Some(AsperaFacts {
        udp_port_reuse: Some(false),
        ..AsperaFacts::default()
    });
    assert_eq!(severity("FW017", &answers, &facts), None);
    answers.fasp_udp = "33001".parse().expect("a port");
    assert_eq!(severity("FW007", &answers, &facts), Some(Severity::Warning));
}

#[test]
fn fw020_to_fw022_tell_what_becomes_of_the_ports_of_sshd() {
    let mut facts = server();
    let mut answers = answers("connect-server");
    let local = LocalPorts {
        range: (32768, 60999),
        reserved: "33002".into(),
        settable: true,
        ..LocalPorts::default()
    };
    facts.ssh.local_ports = Some(local.clone());
    let advice = given("FW020", &answers, &facts).expect("given");
    assert_eq!(advice.severity, Severity::Note);
    assert!(advice.text.contains("This change reserves it"), "{}", advice.text);
    facts.ssh.local_ports = Some(LocalPorts {
        settable: false,
        ..local.clone()
    });
    let advice = given("FW020", &answers, &facts).expect("given");
    let command = "sysctl -w net.ipv4.ip_local_reserved_ports=33001-33002   ";
    assert!(advice.text.contains(command), "{}", advice.text);
    facts.ssh.local_ports = Some(LocalPorts {
        reserved: "33001".into(),
        ..local
    });
    assert_eq!(severity("FW020", &answers, &facts), None);

    facts.ssh.tied = vec!["/etc/ssh/sshd_config line 9: AllowUsers a".into()];
    assert_eq!(severity("FW021", &answers, &facts), Some(Severity::Blocker));
    answers.accept.push("FW021".into());
    assert_eq!(severity("FW021", &answers, &facts), Some(Severity::Warning));

    assert_eq!(severity("FW022", &answers, &facts), None);
    facts.listeners.push(listener("gitea", "::", 22));
    let advice = given("FW022", &answers, &facts).expect("given");
    assert!(advice.text.contains("served by gitea"), "{}", advice.text);
    // systemd holds it for sshd.
    facts.listeners = vec![listener("systemd", "::", 22)];
    facts.ssh.activation = Activation::Socket("ssh.socket".into());
    assert_eq!(severity("FW022", &answers, &facts), None);
}

#[test]
fn fw008_sees_a_container_on_a_planned_port() {
    let mut facts = server();
    facts.listeners.push(listener("docker-proxy", "0.0.0.0", 8443));
    let mut answers = answers("connect-server");
    assert_eq!(severity("FW008", &answers, &facts), None);
    answers.http_fallback.https = Some(8443);
    assert_eq!(severity("FW008", &answers, &facts), Some(Severity::Warning));
}

#[test]
fn fw008_sees_a_rule_that_sends_a_planned_port_elsewhere() {
    let mut facts = server();
    let rule = |port: &str, verdict: &str| {
        format!(
            r#"{{"nftables":[{{"rule":{{"family":"ip","table":"nat","chain":"DOCKER","expr":[
            {{"match":{{"op":"==","left":{{"payload":{{"protocol":"tcp","field":"dport"}}}},"right":{port}}}}},{verdict}]}}}}]}}"#
        )
    };
    facts.observations.nft_json = Some(rule("33001", r#"{"dnat":{"addr":"172.17.0.2","port":22}}"#));
    let advice = given("FW008", &answers("connect-server"), &facts).expect("given");
    assert_eq!(
        advice.evidence,
        ["ip nat DOCKER: a rule sends TCP/33001 elsewhere, which ssh needs"]
    );
    facts.observations.nft_json = Some(rule("33001", r#"{"xt":{"type":"target","name":"DNAT"}}"#));
    assert_eq!(
        severity("FW008", &answers("connect-server"), &facts),
        Some(Severity::Warning)
    );
    let many = r#"{"set":[80,{"range":[33000,33100]}]}"#;
    facts.observations.nft_json = Some(rule(many, r#"{"redirect":{"port":61022}}"#));
    let advice = given("FW008", &answers("connect-server"), &facts).expect("given");
    assert_eq!(
        advice.evidence,
        ["ip nat DOCKER: a rule sends TCP/33000-33100 elsewhere, which ssh needs"]
    );
    let other_than = rule("33001", r#"{"dnat":{}}"#).replace("==", "!=");
    facts.observations.nft_json = Some(other_than);
    assert_eq!(severity("FW008", &answers("connect-server"), &facts), None);
    // Our own turn of new logins, in the middle of a change, is no container.
    facts.observations.nft_json =
        Some(rule("33001", r#"{"redirect":{}}"#).replace("\"nat\"", "\"faspwall_bridge\""));
    assert_eq!(severity("FW008", &answers("connect-server"), &facts), None);
    for other in [
        rule("33002", r#"{"dnat":{}}"#),
        rule("33001", r#"{"accept":null}"#),
        "{ dnat".to_owned(),
    ] {
        facts.observations.nft_json = Some(other);
        assert_eq!(severity("FW008", &answers("connect-server"), &facts), None);
    }
}

#[test]
fn fw009_sees_a_table_that_is_not_loaded_at_boot() {
    let mut facts = server();
    facts.boot.file = Some("/etc/nftables.conf".into());
    facts.boot.content = Some("flush ruleset\n# table inet filter\ntable inet other {\n}\n".into());
    let advice = given("FW009", &answers("connect-server"), &facts).expect("given");
    assert_eq!(
        advice.evidence,
        ["table inet filter is loaded, but /etc/nftables.conf does not name it"]
    );
    for content in ["table inet filter {\n}\n", "include \"/etc/nftables.d/*.nft\"\n"] {
        facts.boot.content = Some(content.into());
        assert_eq!(severity("FW009", &answers("connect-server"), &facts), None);
    }
    // What other tools load is theirs to keep.
    facts.boot.content = Some("flush ruleset\n".into());
    facts.chains[0].owner = Some("fail2ban".into());
    assert_eq!(severity("FW009", &answers("connect-server"), &facts), None);
}

#[test]
fn fw010_and_fw011_concern_a_new_port_only() {
    let mut facts = server();
    facts.selinux = Some("enforcing".into());
    facts.foreign = vec![Foreign {
        owner: "fail2ban".into(),
        kind: "set elements".into(),
        count: 3,
    }];
    let mut answers = answers("connect-server");
    let advice = given("FW010", &answers, &facts).expect("given");
    assert!(advice.text.contains("was not tested here"), "{}", advice.text);
    assert!(
        advice
            .text
            .contains("semanage port -a -t ssh_port_t -p tcp 33001"),
        "{}",
        advice.text
    );
    assert_eq!(severity("FW011", &answers, &facts), Some(Severity::Warning));
    answers.ssh.port = 22;
    assert_eq!(severity("FW010", &answers, &facts), None);
    assert_eq!(severity("FW011", &answers, &facts), None);
}

#[test]
fn fw012_needs_a_look_at_the_rules_and_lists_what_default_deny_would_cut() {
    let mut facts = server();
    facts.inbound_default = InboundDefault::Accept;
    facts.chains = vec![chain("filter", None, None)];
    facts.listeners.push(listener("cockpit", "::", 9090));
    facts.listeners.push(listener("redis", "127.0.0.1", 6379));
    let advice = given("FW012", &answers("connect-server"), &facts).expect("given");
    let evidence = advice.evidence.join("\n");
    assert!(
        evidence.contains("cockpit") && !evidence.contains("redis"),
        "{evidence}"
    );
    facts.privileged = false;
    assert_eq!(severity("FW012", &answers("connect-server"), &facts), None);
    facts.privileged = true;
    facts.observations.nft_error = Some("no".into());
    assert_eq!(severity("FW012", &answers("connect-server"), &facts), None);
}

#[test]
fn fw013_blocks_where_you_could_not_confirm() {
    let facts = server();
    let mut answers = answers("connect-server");
    answers.firewall.sources = vec!["192.0.2.0/24".parse().expect("a network")];
    assert_eq!(severity("FW013", &answers, &facts), Some(Severity::Blocker));
    answers.ssh.legacy_22 = Legacy22::Restrict;
    answers.ssh.restrict_22_to = vec!["10.0.0.0/24".parse().expect("a network")];
    assert_eq!(severity("FW013", &answers, &facts), Some(Severity::Warning));
    // The address came mapped into IPv6; it is found in an IPv4 network all the same.
    answers
        .firewall
        .sources
        .push("10.0.0.0/8".parse().expect("a network"));
    assert_eq!(severity("FW013", &answers, &facts), None);
}

#[test]
fn fw019_blocks_where_ssh_would_be_open_to_more_than_today() {
    let mut facts = server();
    let mut answers = answers("connect-server");
    assert_eq!(severity("FW019", &answers, &facts), None);
    facts.narrow = Some(Narrow {
        networks: vec!["10.0.0.0/8".parse().expect("a network")],
        links: vec!["lan0".into()],
    });
    facts.links = vec![Link {
        name: "lan0".into(),
        addresses: vec!["192.168.7.1/24".parse().expect("a network")],
        ..Link::default()
    }];
    let advice = given("FW019", &answers, &facts).expect("given");
    assert_eq!(advice.severity, Severity::Blocker);
    for words in [
        "10.0.0.0/8, the interface lan0",
        "TCP/33001 to everyone",
        "sources = [\"10.0.0.0/8\", \"192.168.7.0/24\"]",
    ] {
        assert!(advice.text.contains(words), "{words:?} in {}", advice.text);
    }
    answers.accept = vec!["FW019".into()];
    assert_eq!(severity("FW019", &answers, &facts), Some(Severity::Warning));
    answers.accept.clear();
    answers.firewall.sources = vec!["10.0.0.0/8".parse().expect("a network")];
    assert_eq!(severity("FW019", &answers, &facts), None);
    answers.firewall.sources.clear();
    // Where sshd listens elsewhere the rules for 22 say nothing about it.
    facts.ssh.ports = vec![2222];
    assert_eq!(severity("FW019", &answers, &facts), None);
}

#[test]
fn fw014_sees_a_database_that_listens_to_everyone() {
    let mut facts = server();
    facts
        .listeners
        .push(listener("asperaredisd", "127.0.0.1", 31_415));
    assert_eq!(severity("FW014", &answers("connect-server"), &facts), None);
    facts.listeners.push(listener("asperaredisd", "::", 31_415));
    let advice = given("FW014", &answers("connect-server"), &facts).expect("given");
    assert_eq!(advice.evidence.len(), 1);
    assert!(advice.evidence[0].starts_with("asperaredisd (pid 812) listens on ::, TCP/31415."));
    // What the plan opens on purpose is no surprise.
    let mut node = answers("transfer-node");
    facts.listeners.push(listener("asperacentral", "0.0.0.0", 40_001));
    node.extra = vec!["legacy-central".into()];
    let evidence = given("FW014", &node, &facts).expect("given").evidence.join("\n");
    assert!(!evidence.contains("40001"), "{evidence}");
}

#[test]
fn fw015_sees_a_slip_of_the_finger() {
    let facts = server();
    let mut answers = answers("connect-server");
    answers.ssh.port = 3301;
    answers.fasp_udp = "30001".parse().expect("a port");
    let advice = given("FW015", &answers, &facts).expect("given");
    assert_eq!(advice.evidence, ["ssh.port = 3301", "fasp.udp = 30001"]);
    answers.ssh.port = 33_010;
    answers.fasp_udp = "33001-33100".parse().expect("a range");
    assert_eq!(severity("FW015", &answers, &facts), None);
}

/// Everything at once: every code that facts can lead to, each known to the answers file, in order, in plain text.
#[test]
fn every_code_can_be_accepted_and_speaks_plainly() {
    let mut facts = server();
    facts.os.id = "windows".into();
    facts
        .chains
        .push(chain("f2b-table", Some("fail2ban"), Some("set of addresses")));
    facts.boot.enabled = Some(false);
    facts.selinux = Some("enforcing".into());
    facts.aspera = Some(AsperaFacts {
        http: Some((8081, false)),
        ..AsperaFacts::default()
    });
    facts.listeners.push(listener("docker-proxy", "0.0.0.0", 8080));
    facts.listeners.push(listener("asperacentral", "0.0.0.0", 40_001));
    let mut answers = answers("connect-server");
    answers.ssh.port = 3301;
    answers.ssh.daemon = Daemon::Leave;
    answers.http_fallback.http = Some(8080);
    answers.firewall.sources = vec!["192.0.2.0/24".parse().expect("a network")];
    let all = reviewed(&answers, &facts);
    let seen: Vec<_> = all.iter().map(|advice| advice.code.as_str()).collect();
    assert_eq!(
        seen,
        [
            "FW002", "FW003", "FW004", "FW005", "FW006", "FW007", "FW008", "FW011", "FW013", "FW014",
            "FW015", "FW016"
        ]
    );
    assert!(all.iter().any(Advice::blocks));
    for advice in &all {
        assert!(ADVICE_CODES.contains(&advice.code.as_str()), "{}", advice.code);
        assert!(
            !advice.text.contains("  ") || advice.text.contains("   "),
            "{}",
            advice.text
        );
        assert!(advice.text.is_ascii() && advice.evidence.iter().all(|line| line.is_ascii()));
    }
    answers.accept = seen.iter().map(|code| (*code).to_owned()).collect();
    let accepted = reviewed(&answers, &facts);
    assert_eq!(accepted.len(), all.len());
    assert!(accepted.iter().all(|advice| advice.accepted && !advice.blocks()));
}
