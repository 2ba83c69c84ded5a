//! What scripts rely on: the fields of the JSON documents, and the exit status of every kind of end.

use serde_json::Value;

use super::{Family, Suite, code, confirm, document, server};

/// Fails the test when a field is missing; `null` counts as being there.
fn assert_fields(document: &Value, schema: &str, fields: &[&str]) {
    assert_eq!(document["schema"], format!("faspwall.{schema}/1"), "{document}");
    for field in fields {
        let pointer = format!("/{}", field.replace('.', "/"));
        assert!(
            document.pointer(&pointer).is_some(),
            "{schema} has no {field}: {document}"
        );
    }
}

const TRIAL: [&str; 8] = [
    "transaction",
    "state",
    "changed",
    "trial",
    "code",
    "deadline",
    "seconds_left",
    "next",
];

#[test]
fn documents_and_exit_statuses_are_as_scripts_expect_them() {
    let machine = server(Suite::Bookworm);
    let over_ssh = |command: &str| machine.ssh(22, Family::V4, command);

    let seen = document(&over_ssh("faspwall detect --json"));
    let fields = [
        "os.id",
        "os.version",
        "privileged",
        "backends",
        "backend",
        "inbound_default",
        "ssh.daemon",
        "ssh.ports",
        "ssh.activation",
        "ssh.session.via",
        "ssh.session.client",
        "ssh.session.client_port",
        "ssh.session.server_port",
        "aspera",
        "foreign",
        "advice",
    ];
    assert_fields(&seen, "detect", &fields);
    assert_eq!(seen["os"]["id"], "debian");
    assert_eq!(seen["privileged"], true);
    assert_eq!(seen["backend"], "nftables");
    assert_eq!(seen["inbound_default"], "drop");
    assert_eq!(seen["ssh"]["ports"], serde_json::json!([22]));
    assert_eq!(seen["ssh"]["session"]["via"], "ssh");
    assert_eq!(seen["ssh"]["session"]["server_port"], 22);
    for backend in seen["backends"].as_array().expect("a list") {
        for field in ["id", "version", "installed", "active", "owner", "reason"] {
            assert!(backend.get(field).is_some(), "no {field}: {backend}");
        }
    }
    for foreign in seen["foreign"].as_array().expect("a list") {
        for field in ["owner", "kind", "count"] {
            assert!(foreign.get(field).is_some(), "no {field}: {foreign}");
        }
    }

    let pending = over_ssh("faspwall plan -f /root/answers.toml --json --exit-code");
    assert_eq!(pending.status, Some(10), "{pending:?}");
    let plan = document(&over_ssh("faspwall plan -f /root/answers.toml --json"));
    let fields = [
        "backend", "changed", "rules", "steps", "undo", "diff", "advice", "phases",
    ];
    assert_fields(&plan, "plan", &fields);
    assert_eq!(plan["changed"], true);
    for rule in plan["rules"].as_array().expect("a list") {
        for field in [
            "id",
            "action",
            "direction",
            "protocol",
            "ports",
            "sources",
            "why",
            "source",
            "state",
        ] {
            assert!(rule.get(field).is_some(), "no {field}: {rule}");
        }
        assert!(["add", "present", "remove"].contains(&rule["state"].as_str().expect("text")));
    }
    for step in plan["steps"].as_array().expect("a list") {
        assert!(step["phase"].is_string() && step["display"].is_string(), "{step}");
        assert!(
            ["argv", "write", "remove"]
                .iter()
                .any(|field| step.get(field).is_some()),
            "{step}"
        );
    }

    let trial = document(&over_ssh(
        "faspwall apply -f /root/answers.toml --json --confirm-within 1m",
    ));
    assert_fields(&trial, "apply", &TRIAL);
    let left = trial["seconds_left"].as_u64().expect("a number");
    assert!((50..=60).contains(&left), "{trial}");
    let deadline = trial["deadline"].as_str().expect("text");
    assert!(deadline.len() == 20 && deadline.ends_with('Z'), "{deadline}");
    let now = document(&machine.run(&["faspwall", "status", "--json"]));
    assert_fields(
        &now,
        "status",
        &["open.txn", "open.trial", "seconds_left", "applied", "drift"],
    );
    let longer = document(&over_ssh("faspwall extend 60s --json"));
    assert_fields(&longer, "extend", &TRIAL);
    assert!(
        longer["seconds_left"].as_u64().expect("a number") > left,
        "{longer}"
    );
    assert_eq!(over_ssh("faspwall apply -f /root/answers.toml").status, Some(8));

    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_fields(&trial, "confirm", &TRIAL);
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_fields(
        &done,
        "confirm",
        &["transaction", "state", "changed", "next", "restored"],
    );
    assert_eq!(done["changed"], true);
    let same = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_fields(&same, "apply", &["transaction", "state", "changed", "next"]);
    let none = machine.ssh(
        33001,
        Family::V4,
        "faspwall plan -f /root/answers.toml --exit-code",
    );
    assert_eq!(none.status, Some(0), "{none:?}");

    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    assert_fields(&back, "rollback", &TRIAL);
    let undone = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    assert_fields(
        &undone,
        "rollback",
        &["transaction", "state", "changed", "restored", "next"],
    );
    assert_eq!(
        undone["state"], "rolled-back",
        "the way back was undone, the move stays: {undone}"
    );
    assert_eq!(undone["restored"], "equal", "{undone}");
    super::assert_open(&machine, &[33001]);
    let list = document(&machine.run(&["faspwall", "snapshots", "--json"]));
    assert_fields(&list, "snapshots", &["snapshots"]);
}

#[test]
fn mistakes_are_told_with_their_own_exit_status() {
    let machine = server(Suite::Bookworm);
    machine.sh("useradd -m visitor; cp /root/answers.toml /tmp/answers.toml; chmod 644 /tmp/answers.toml");
    let as_visitor =
        |words: &str| machine.run(&["setpriv", "--reuid=visitor", "--clear-groups", "sh", "-c", words]);
    for words in [
        "faspwall apply -f /tmp/answers.toml",
        "faspwall confirm 123456",
        "faspwall rollback",
        "faspwall extend",
        "faspwall plan -f /tmp/answers.toml",
    ] {
        let ran = as_visitor(words);
        assert_eq!(ran.status, Some(4), "{words}: {ran:?}");
        assert!(ran.stderr.contains("root"), "{words}: {ran:?}");
    }
    for words in ["detect", "roles", "generate answers"] {
        let ran = as_visitor(&format!("faspwall {words}"));
        assert_eq!(ran.status, Some(0), "{words}: {ran:?}");
    }
    machine.put(
        "/root/wrong.toml",
        "schema = 1\nrole = \"connect-server\"\n[ssh]\nport = 99999\n",
        0o600,
    );
    for (words, status, told) in [
        (&["apply", "-f", "/root/wrong.toml"][..], 2, "wrong.toml"),
        (&["plan", "-f", "/root/none.toml"], 2, "not there"),
        (
            &["apply", "-f", "/root/answers.toml", "--confirm-within", "1s"],
            2,
            "10s to 15m",
        ),
        (&["rollback", "yesterday"], 2, "a transaction looks like"),
        (&["frobnicate"], 2, "frobnicate"),
        (&["rollback"], 9, "nothing to go back from"),
        (&["confirm", "123456"], 9, "no change waits"),
        (&["extend"], 9, "no change waits"),
    ] {
        let ran = machine.run(&[&["faspwall"], words].concat());
        assert_eq!(ran.status, Some(status), "{words:?}: {ran:?}");
        assert!(ran.stderr.contains(told), "{words:?}: {ran:?}");
    }
    let risky = "faspwall apply -f /root/answers.toml --no-confirm";
    let ran = machine.ssh(22, Family::V4, risky);
    assert_eq!(ran.status, Some(9), "{ran:?}");
    assert!(ran.stderr.contains("lockout-risk"), "{ran:?}");
    super::assert_open(&machine, &[22]);
    let ran = machine.run(&[
        "faspwall",
        "apply",
        "-f",
        "/root/answers.toml",
        "--no-confirm",
        "--json",
    ]);
    let done = document(&ran);
    assert_eq!(done["state"], "committed", "at a local console: {done}");
    super::assert_open(&machine, &[33001]);
}
