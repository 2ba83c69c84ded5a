//! The whole way: before, trial 1, trial 2, committed, after a reboot, and back.

use super::{
    Family, Login, Protocol, Suite, WEB, WITH_FALLBACK, apply, assert_as_before, assert_fallback,
    assert_open, code, confirm, datagram_arrives, document, fingerprint, ruleset, server, status,
};

/// What others own and must find again.
fn assert_foreign(rules: &str, with_ban: bool) {
    let mut theirs = vec![
        "203.0.113.9 timeout 1d",
        "dnat to 172.31.255.2:443",
        "comment \"the door\"",
        "comment \"whatever is left\"",
        "ip saddr @addr-set-sshd reject",
    ];
    if with_ban {
        theirs.push("198.51.100.7 timeout 1h");
    }
    for text in theirs {
        assert!(rules.contains(text), "{text} is gone:\n{rules}");
    }
}

fn udp(machine: &super::Machine, family: Family) -> String {
    machine.scan(Protocol::Udp, "33001", family)[&33001].clone()
}

#[test]
fn ssh_moves_to_33001_and_22_closes_with_everything_kept_over_a_reboot_and_back() {
    let mut machine = server(Suite::Bookworm);
    machine.put("/root/answers.toml", WITH_FALLBACK, 0o600);
    let before = fingerprint(&machine);
    let text_before = ruleset(&machine);
    let mut first = Login::open(&machine, 22);
    assert_open(&machine, &[22]);
    assert_fallback(&machine, &[8080], "before");
    for family in [Family::V4, Family::V6] {
        assert_eq!(udp(&machine, family), "open|filtered", "{family:?}");
    }

    let trial = apply(&machine, 120);
    assert_open(&machine, &[22, 33001]);
    assert_fallback(&machine, &WEB, "in trial 1");
    for family in [Family::V4, Family::V6] {
        assert_eq!(
            udp(&machine, family),
            "closed",
            "{family:?}: nobody listens, the packet gets through"
        );
        assert!(datagram_arrives(&machine, family), "{family:?}");
        assert!(machine.ssh(33001, family, "true").ok(), "{family:?}");
    }
    first.assert_alive("in trial 1");
    assert_foreign(&ruleset(&machine), true);

    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_open(&machine, &[33001]);
    assert_fallback(&machine, &WEB, "in trial 2");
    first.assert_alive("in trial 2");

    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    let mut second = Login::open(&machine, 33001);
    let kept = |machine: &super::Machine, with_ban: bool| {
        assert_open(machine, &[33001]);
        assert_fallback(machine, &WEB, "when it is kept");
        for family in [Family::V4, Family::V6] {
            assert_eq!(udp(machine, family), "closed", "{family:?}");
            assert!(datagram_arrives(machine, family), "{family:?}");
            assert!(machine.ssh(33001, family, "true").ok(), "{family:?}");
        }
        assert_foreign(&ruleset(machine), with_ban);
        let status = status(machine);
        assert_eq!(status["applied"], done["transaction"], "{status}");
        assert_eq!(status["drift"], serde_json::json!([]), "{status}");
        let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
        assert_eq!(again["state"], "unchanged", "{again}");
        assert_eq!(again["changed"], false, "{again}");
    };
    kept(&machine, true);
    first.assert_alive("after the commit");
    assert!(!ruleset(&machine).contains("trial"), "{}", ruleset(&machine));

    machine.reboot();
    kept(&machine, false);
    drop((first, second));

    second = Login::open(&machine, 33001);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    assert_eq!(back["trial"], 1, "{back}");
    assert_open(&machine, &[22, 33001]);
    let back = document(&confirm(&machine, 22, &code(&back)));
    assert_eq!(back["trial"], 2, "{back}");
    assert_open(&machine, &[22]);
    let back = document(&confirm(&machine, 22, &code(&back)));
    assert_eq!(back["state"], "committed", "{back}");
    assert_open(&machine, &[22]);
    assert_fallback(&machine, &[8080], "after the way back");
    second.assert_alive("after the way back");
    let without_ban = |text: &str| {
        text.replace("198.51.100.7 timeout 1h, ", "")
            .replace(", 198.51.100.7 timeout 1h", "")
    };
    assert_eq!(ruleset(&machine), without_ban(&text_before));
    assert_as_before(&machine, &without_ban(&before), "after the way back");
    machine.reboot();
    assert_open(&machine, &[22]);
    assert_as_before(&machine, &without_ban(&before), "after the way back");
}
