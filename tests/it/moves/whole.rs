//! The whole way: before, trial 1, trial 2, committed, after a reboot, and back.

use super::{
    Family, Login, Machine, Protocol, Suite, WEB, WITH_FALLBACK, apply, assert_as_before, assert_fallback,
    assert_open, code, confirm, datagram_arrives, document, fingerprint, ruleset, server, status,
};

/// The same text without the ban that was made at run time: nobody loads it at boot. Newer releases print one element a
/// line where there are several.
fn without_ban(text: &str) -> String {
    let mut joined = String::new();
    for line in text.split_inclusive('\n') {
        match joined.strip_suffix(",\n") {
            Some(start) => joined = format!("{start}, {}", line.trim_start()),
            None => joined.push_str(line),
        }
    }
    joined
        .replace("198.51.100.7 timeout 1h, ", "")
        .replace(", 198.51.100.7 timeout 1h", "")
}

/// The rules of others, line by line: no table and no set of ours, no rule that bears our name, no blank line.
fn theirs(rules: &str) -> Vec<&str> {
    let mut block_of_ours_ends = None;
    let mut kept = Vec::new();
    for line in rules.lines().filter(|line| !line.is_empty()) {
        if let Some(end) = block_of_ours_ends {
            block_of_ours_ends = (line != end).then_some(end);
        } else if line.contains("faspwall") {
            block_of_ours_ends =
                line.ends_with('{')
                    .then_some(if line.starts_with('\t') { "\t}" } else { "}" });
        } else {
            kept.push(line);
        }
    }
    kept
}

/// Every line of others is there, in its order, and no line more.
fn assert_foreign(machine: &Machine, before: &str, when: &str) {
    let now = ruleset(machine);
    assert_eq!(theirs(&now), theirs(before), "{when}:\n{now}");
}

/// What a stranger of either family finds: these ports of SSH open, those of the web let in, UDP/33001 let in or not, its
/// neighbours in no case.
fn assert_let_in(machine: &Machine, ssh: &[u16], web: &[u16], udp: bool, when: &str) {
    assert_open(machine, ssh);
    assert_fallback(machine, web, when);
    let look = |family| machine.scan(Protocol::Udp, "33000-33002", family);
    let both = std::thread::scope(|scope| {
        let v6 = scope.spawn(|| look(Family::V6));
        [
            (Family::V4, look(Family::V4)),
            (Family::V6, v6.join().expect("a scan")),
        ]
    });
    for (family, seen) in both {
        // Nobody listens on 33001 over UDP: a packet that gets through is answered "closed".
        for (port, state) in seen {
            let wanted = if udp && port == 33001 {
                "closed"
            } else {
                "open|filtered"
            };
            assert_eq!(state, wanted, "{when}, UDP/{port} over {family:?}");
        }
        if udp {
            assert!(datagram_arrives(machine, family), "{when}, {family:?}");
        }
        for port in ssh {
            assert!(
                machine.ssh(*port, family, "true").ok(),
                "{when}, a login on {port}, {family:?}"
            );
        }
    }
}

/// 33001 and the web are open, 22 is shut, everything of others is there, and there is nothing left to do.
fn assert_kept(machine: &Machine, rules: &str, transaction: &serde_json::Value, when: &str) {
    assert_let_in(machine, &[33001], &WEB, true, when);
    assert_foreign(machine, rules, when);
    let status = status(machine);
    assert_eq!(&status["applied"], transaction, "{when}: {status}");
    assert_eq!(status["drift"], serde_json::json!([]), "{when}: {status}");
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{when}: {again}");
    assert_eq!(again["changed"], false, "{when}: {again}");
}

fn there_and_back(suite: Suite) {
    let mut machine = server(suite);
    machine.put("/root/answers.toml", WITH_FALLBACK, 0o600);
    let before = fingerprint(&machine);
    let rules = ruleset(&machine);
    let mut first = Login::open(&machine, 22);
    assert_let_in(&machine, &[22], &[8080], false, "before");

    let trial = apply(&machine, 240);
    assert_let_in(&machine, &[22, 33001], &WEB, true, "in trial 1");
    first.assert_alive("in trial 1");
    assert_foreign(&machine, &rules, "in trial 1");

    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_let_in(&machine, &[33001], &WEB, true, "in trial 2");
    first.assert_alive("in trial 2");
    assert_foreign(&machine, &rules, "in trial 2");

    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    assert_kept(&machine, &rules, &done["transaction"], "after the commit");
    first.assert_alive("after the commit");
    assert!(!ruleset(&machine).contains("trial"), "{}", ruleset(&machine));

    machine.reboot();
    let rules = without_ban(&rules);
    assert_kept(&machine, &rules, &done["transaction"], "after a reboot");
    drop(first);

    let mut second = Login::open(&machine, 33001);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    assert_eq!(back["trial"], 1, "{back}");
    assert_open(&machine, &[22, 33001]);
    let back = document(&confirm(&machine, 22, &code(&back)));
    assert_eq!(back["trial"], 2, "{back}");
    assert_open(&machine, &[22]);
    let back = document(&confirm(&machine, 22, &code(&back)));
    assert_eq!(back["state"], "committed", "{back}");
    assert_let_in(&machine, &[22], &[8080], false, "after the way back");
    second.assert_alive("after the way back");
    assert_eq!(ruleset(&machine), rules);
    assert_as_before(&machine, &without_ban(&before), "after the way back");
    machine.reboot();
    assert_let_in(&machine, &[22], &[8080], false, "after the way back and a reboot");
    assert_as_before(&machine, &without_ban(&before), "after the way back and a reboot");
}

#[test]
fn ssh_moves_to_33001_and_22_closes_with_everything_kept_over_a_reboot_and_back() {
    there_and_back(Suite::Bookworm);
}

#[test]
fn debian_13_with_its_sshd_in_three_programs_moves_over_a_reboot_and_back() {
    there_and_back(Suite::Trixie);
}
