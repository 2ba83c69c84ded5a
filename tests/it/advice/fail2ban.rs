//! FW011: whom fail2ban bans, and on which ports.

use super::{Answers, Daemon, Severity, answers, given, server, severity};

#[test]
fn fw011_blocks_where_fail2ban_has_banned_you() {
    let mut facts = server();
    let set = |address: &str| {
        format!(
            r#"{{"nftables":[{{"set":{{"family":"inet","table":"f2b-table","name":"addr-set-sshd",
            "elem":["198.51.100.1",{{"elem":{{"val":"{address}","timeout":600}}}}]}}}}]}}"#
        )
    };
    facts.observations.nft_json = Some(set("10.0.0.7"));
    let advice = given("FW011", &answers("connect-server"), &facts).expect("given");
    assert!(advice.blocks());
    assert!(
        advice.text.contains("fail2ban-client unban 10.0.0.7"),
        "{}",
        advice.text
    );
    assert_eq!(
        advice.evidence,
        ["10.0.0.7 is in the set f2b-table addr-set-sshd"]
    );
    // A network in which the address lies, as iptables writes it down.
    let rule = |length: u8| {
        format!(
            r#"{{"nftables":[{{"rule":{{"family":"ip","table":"filter","chain":"f2b-sshd","expr":[{{"match":{{"op":"==",
            "left":{{"payload":{{"protocol":"ip","field":"saddr"}}}},
            "right":{{"prefix":{{"addr":"10.0.0.0","len":{length}}}}}}}}},{{"reject":null}}]}}}}]}}"#
        )
    };
    facts.observations.nft_json = Some(rule(24));
    let advice = given("FW011", &answers("connect-server"), &facts).expect("given");
    assert_eq!(advice.evidence, ["10.0.0.0/24 is in a rule in filter f2b-sshd"]);
    assert!(advice.text.ends_with("unban 10.0.0.0/24"), "{}", advice.text);
    facts.observations.nft_json = Some(rule(30));
    assert_eq!(severity("FW011", &answers("connect-server"), &facts), None);
    // Banned is somebody else, although the address is in a set of another tool.
    let others = r#"{"nftables":[{"set":{"table":"f2b-table","name":"addr-set-sshd","elem":["10.0.0.77"]}},
        {"set":{"table":"filter","name":"friends","elem":["10.0.0.7"]}}]}"#;
    assert!(serde_json::from_str::<serde_json::Value>(others).is_ok());
    for text in [set("10.0.0.77"), others.to_owned()] {
        facts.observations.nft_json = Some(text);
        assert_eq!(severity("FW011", &answers("connect-server"), &facts), None);
    }
}

#[test]
fn fw011_says_what_becomes_of_the_jail_whether_or_not_somebody_is_banned() {
    let with = |jail: &str, ports: &[u16]| {
        let mut facts = server();
        facts.ssh.jail = Some((jail.to_owned(), None));
        facts.ssh.ports = ports.to_vec();
        facts
    };
    let mut answers = answers("connect-server");
    let told = given("FW011", &answers, &with("ssh", &[22])).expect("given");
    assert_eq!(told.severity, Severity::Note);
    assert!(told.text.contains("told to watch TCP/33001"), "{}", told.text);
    // It watches the port already.
    for jail in ["ssh,33001", "0:65535", "30000:40000"] {
        assert_eq!(severity("FW011", &answers, &with(jail, &[22])), None, "{jail}");
    }
    // sshd stays as it is, so nobody tells fail2ban either.
    let by_hand = |answers: &Answers, ports: &[u16]| {
        let advice = given("FW011", answers, &with("ssh", ports)).expect("given");
        assert_eq!(advice.severity, Severity::Warning, "{}", advice.text);
        assert!(advice.text.contains("Set   port = ssh,33001"), "{}", advice.text);
    };
    by_hand(&answers, &[33001]);
    assert_eq!(
        severity("FW011", &answers, &with("ssh", &[22, 33001])),
        Some(Severity::Note)
    );
    answers.ssh.daemon = Daemon::Leave;
    by_hand(&answers, &[22, 33001]);
}
