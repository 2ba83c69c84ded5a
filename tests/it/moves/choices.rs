//! The other choices of the answers file: restrict, keep, leave, a network that is spared, a role without 22.

use super::{
    Family, Login, Protocol, Suite, apply, assert_open, code, confirm, document, fingerprint, ruleset,
    server, status,
};

#[test]
fn restrict_leaves_22_to_the_named_network_and_shuts_it_for_everyone_else() {
    let mut machine = server(Suite::Bookworm);
    let ours = format!("10.98.{}.0/24", machine.number());
    machine.put(
        "/root/answers.toml",
        format!(
            "schema = 1\nrole = \"connect-server\"\n[ssh]\nport = 33001\nlegacy_22 = \"restrict\"\nrestrict_22_to = [\"{ours}\"]\n"
        ),
        0o600,
    );
    let banning = "s/^table inet filter {/&\\n\\tset bad {\\n\\t\\ttype ipv4_addr\\n\\t\\telements = { 203.0.113.66 }\\n\\t}/; \
                   s/^\\t\\tiif \"lo\" accept/&\\n\\t\\tip saddr @bad drop/; \
                   s/^table inet gate {/&\\n\\tset bad {\\n\\t\\ttype ipv4_addr\\n\\t\\telements = { 203.0.113.66 }\\n\\t}/";
    machine.ok(&["sed", "-i", banning, "/etc/nftables.conf"]);
    machine.ok(&["systemctl", "restart", "nftables"]);
    machine.ok(&["chown", "root:adm", "/etc/nftables.conf"]);
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 120);
    assert_open(&machine, &[22, 33001]);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    let restricted = |machine: &super::Machine, when: &str| {
        let v4 = machine.scan(Protocol::Tcp, "22,33001", Family::V4);
        assert_eq!(
            (v4[&22].as_str(), v4[&33001].as_str()),
            ("open", "open"),
            "{when}"
        );
        let v6 = machine.scan(Protocol::Tcp, "22,33001", Family::V6);
        assert_eq!(
            (v6[&22].as_str(), v6[&33001].as_str()),
            ("filtered", "open"),
            "{when}"
        );
        for chain in ["filter input", "gate early"] {
            let rules = machine.sh(&format!("nft list chain inet {chain}"));
            let at = |what: &str| {
                rules
                    .find(what)
                    .unwrap_or_else(|| panic!("{when}: {what}: {rules}"))
            };
            assert!(at("@bad drop") < at(":ssh\""), "{when}: {rules}");
        }
    };
    restricted(&machine, "in trial 2");
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    restricted(&machine, "after the commit");
    first.assert_alive("after the commit");
    let now = status(&machine);
    assert_eq!(now["drift"], serde_json::json!([]), "{now}");
    machine.reboot();
    restricted(&machine, "after a reboot");
    let again = document(&machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--json"]));
    assert_eq!(again["state"], "unchanged", "{again}");
    let owner = machine.ok(&["stat", "-c", "%U:%G %a", "/etc/nftables.conf"]);
    assert_eq!(owner.trim(), "root:adm 755");
    moves_on_to_another_port(&machine);
}

/// sshd leaves the port to which faspwall had moved it.
fn moves_on_to_another_port(machine: &super::Machine) {
    machine.sh("sed -i 's/port = 33001/port = 2222/' /root/answers.toml");
    let login = "faspwall apply -f /root/answers.toml --json --confirm-within 120s";
    let trial = document(&machine.ssh(33001, Family::V4, login));
    let trial = document(&confirm(machine, 2222, &code(&trial)));
    let done = document(&confirm(machine, 2222, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    let seen = machine.scan(Protocol::Tcp, "22,2222,33001", Family::V4);
    assert_eq!(
        (seen[&22].as_str(), seen[&2222].as_str()),
        ("open", "open"),
        "{seen:?}"
    );
    assert_ne!(seen[&33001], "open");
    let listening = machine.sh("ss -Hltn | awk '{print $4}' | sed 's/.*://' | sort -nu");
    assert_eq!(listening.split_whitespace().collect::<Vec<_>>(), ["22", "2222"]);
    let drop_in = machine.ok(&["cat", "/etc/ssh/sshd_config.d/00-faspwall.conf"]);
    assert!(!drop_in.contains("33001"), "{drop_in}");
}

#[test]
fn keep_needs_its_acceptance_and_shuts_nothing() {
    let machine = server(Suite::Bookworm);
    machine.put(
        "/root/answers.toml",
        "schema = 1\nrole = \"connect-server\"\n[ssh]\nport = 33001\nlegacy_22 = \"keep\"\n",
        0o600,
    );
    let before = fingerprint(&machine);
    let refused = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml");
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("FW001"), "{refused:?}");
    assert_eq!(fingerprint(&machine), before);

    let trial = document(&machine.ssh(
        22,
        Family::V4,
        "faspwall apply -f /root/answers.toml --accept FW001 --json",
    ));
    assert_open(&machine, &[22, 33001]);
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(
        done["state"], "committed",
        "nothing is shut, so there is no trial 2: {done}"
    );
    assert_open(&machine, &[22, 33001]);
    for port in [22, 33001] {
        for family in [Family::V4, Family::V6] {
            assert!(machine.ssh(port, family, "true").ok(), "{port} {family:?}");
        }
    }
    a_way_back_that_locks_out_is_refused(&machine);
    let back = document(&machine.ssh(22, Family::V4, "faspwall rollback --json"));
    let back = document(&confirm(&machine, 22, &code(&back)));
    if back["state"] != "committed" {
        let back = document(&confirm(&machine, 22, &code(&back)));
        assert_eq!(back["state"], "committed", "{back}");
    }
    super::assert_as_before(&machine, &before, "after the way back");
    assert_open(&machine, &[22]);
}

/// The port of before was shut by somebody since, and that of today goes with our rules.
fn a_way_back_that_locks_out_is_refused(machine: &super::Machine) {
    let committed = ruleset(machine);
    let hostile = "add table inet later; add chain inet later input { type filter hook input priority 5; }; \
                   add rule inet later input tcp dport 22 ct state new drop";
    machine.ok(&["nft", hostile]);
    let refused = machine.ssh(33001, Family::V4, "faspwall rollback --json");
    assert_eq!(refused.status, Some(9), "{refused:?}");
    let told: serde_json::Value = serde_json::from_str(&refused.stdout).expect("a document");
    let red = told["cells"].as_array().expect("cells").iter();
    let red: Vec<_> = red.filter(|cell| cell["ok"] == false).collect();
    assert_eq!((red.len(), red[0]["port"].as_u64()), (1, Some(22)), "{told}");
    assert!(refused.stderr.contains("--accept lockout-risk"), "{refused:?}");
    machine.ok(&["nft", "delete table inet later"]);
    assert_eq!(ruleset(machine), committed);
}

#[test]
fn leave_touches_no_file_of_sshd() {
    let machine = server(Suite::Bookworm);
    machine.put(
        "/root/answers.toml",
        "schema = 1\nrole = \"connect-server\"\n[ssh]\nport = 33001\nlegacy_22 = \"close\"\ndaemon = \"leave\"\n",
        0o600,
    );
    let files = |machine: &super::Machine| machine.sh("find /etc/ssh -type f | sort | xargs sha256sum");
    let (before, rules) = (files(&machine), ruleset(&machine));
    let refused = machine.ssh(22, Family::V4, "faspwall apply -f /root/answers.toml");
    assert_eq!(
        refused.status,
        Some(9),
        "nobody listens on the new port: {refused:?}"
    );
    assert!(
        refused.stderr.contains("does not listen on TCP/33001"),
        "{refused:?}"
    );
    assert_eq!((files(&machine), ruleset(&machine)), (before, rules));

    machine.put(
        "/etc/ssh/sshd_config.d/ports.conf",
        "Port 22\nPort 33001\n",
        0o644,
    );
    machine.ok(&["systemctl", "reload", "ssh"]);
    let before = files(&machine);
    let trial = apply(&machine, 120);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    assert_open(&machine, &[33001]);
    assert_eq!(files(&machine), before);
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["state"], "unchanged", "{again}");
}
