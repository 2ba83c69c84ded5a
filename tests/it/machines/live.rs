//! `capture` and `--machine` on real machines: what is seen of a host is seen again of its recording.

use super::record::{captured, prepared};
use super::scripts;
use crate::boxes::{Machine, Ran, Suite};

const ANSWERS: &str = "schema = 1\nrole = \"connect-server\"\n\n[firewall]\nsources = [\"192.0.2.0/24\"]\n";

/// A machine that a script has made, with answers and a recording of itself.
fn recorded(name: &str, suite: Suite) -> Machine {
    let script = scripts().into_iter().find(|s| s.name == name).expect("a script");
    let machine = prepared(&script, suite);
    machine.put("/run/answers.toml", ANSWERS, 0o644);
    // What is asked only once the new port is known is in no recording: here there is nothing to be done about it.
    machine.ok(&["sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=33001"]);
    captured(&machine, "faspwall capture /run/recorded");
    machine
}

/// What is printed, without what changes from one second to the next: numbers of processes and transactions.
fn told(ran: &Ran) -> String {
    let mut text = String::new();
    for line in format!("{}{}status {:?}", ran.stdout, ran.stderr, ran.status).lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        for at in 1..words.len() {
            // ufw writes comments in hexadecimal digits, the name of the transaction among them.
            if words[at - 1].ends_with("process") || words[at].starts_with("comment=") {
                words[at] = "N";
            }
        }
        text.push_str(&words.join(" "));
        text.push('\n');
    }
    let id = |part: &str| {
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let (day, rest) = part.split_at_checked(8)?;
        let (dash, rest) = rest.split_at_checked(1)?;
        let (time, rest) = rest.split_at_checked(6)?;
        (digits(day) && dash == "-" && digits(time)).then(|| format!("ID{rest}"))
    };
    // A transaction bears the second of its preview.
    let mut parts = text.split("2026");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let whole = format!("2026{part}");
        clean.push_str(&id(&whole).unwrap_or(whole));
    }
    clean
}

fn answers_as_the_live_one(name: &str, suite: Suite) {
    let machine = recorded(name, suite);
    let before =
        machine.sh("nft -s list ruleset; find /etc /var/lib /run/recorded -type f | sort | xargs md5sum");
    for words in [
        "detect",
        "detect --json",
        "roles",
        "status",
        "status --json",
        "plan -f /run/answers.toml --diff",
        "plan -f /run/answers.toml --json --exit-code",
    ] {
        let run = |more: &str| machine.run(&["sh", "-c", &format!("faspwall {more} {words}")]);
        let (live, replayed) = (run(""), run("--machine /run/recorded -v"));
        assert_eq!(told(&replayed), told(&live), "{name}: {words}");
    }
    let after =
        machine.sh("nft -s list ruleset; find /etc /var/lib /run/recorded -type f | sort | xargs md5sum");
    assert_eq!(after, before, "looking changed something");
}

#[test]
fn a_recorded_nftables_host_answers_as_the_live_one() {
    answers_as_the_live_one("nftables", Suite::Bookworm);
}

#[test]
fn a_recorded_ufw_host_answers_as_the_live_one() {
    answers_as_the_live_one("ufw-deny", Suite::Trixie);
}

#[test]
fn a_recorded_firewalld_host_answers_as_the_live_one() {
    answers_as_the_live_one("firewalld-zones", Suite::Bookworm);
}

#[test]
fn a_capture_overwrites_nothing_changes_nothing_and_is_for_its_owner_only() {
    let machine = recorded("iptables-nft", Suite::Bookworm);
    let files =
        machine.sh("cd /run/recorded; stat -c '%a %U %n' . machine.toml answers.jsonl files/etc/os-release");
    assert_eq!(
        files,
        "700 root .\n600 root machine.toml\n600 root answers.jsonl\n600 root files/etc/os-release\n"
    );
    let again = machine.run(&["faspwall", "capture", "/run/recorded"]);
    assert_eq!(again.status, Some(2), "{}", again.stderr);
    assert!(again.stderr.contains("not empty"), "{}", again.stderr);
    let told = machine.ok(&["faspwall", "capture", "/run/second"]);
    for part in [
        "/run/second",
        "taken out",
        "still in it",
        "--machine /run/second detect",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    for words in [
        "apply -f /run/answers.toml",
        "confirm 1234",
        "rollback",
        "capture /run/third",
    ] {
        let ran = machine.run(&["sh", "-c", &format!("faspwall --machine /run/recorded {words}")]);
        assert_eq!(ran.status, Some(2), "{words}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("is a recorded host"),
            "{words}: {}",
            ran.stderr
        );
    }
    let wrong = machine.run(&["faspwall", "--machine", "/etc", "detect"]);
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.stderr.contains("faspwall capture"), "{}", wrong.stderr);
}
