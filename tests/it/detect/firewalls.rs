//! Who owns the inbound rules: native rules are taken on, everything else is refused and left alone.

use faspwall::facts::{BackendId, Facts, InboundDefault, Unmanaged};

use super::{ask, facts, machine};
use crate::boxes::{Machine, Suite, seconds, wait};

const NATIVE: &str = "table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iif lo accept
    tcp dport 22 accept
  }
}
";

fn refused(facts: &Facts, owner: &str, command: &str) {
    assert_eq!(facts.backend, None, "{owner}");
    let refusal = facts.refusal.as_deref().unwrap_or_default();
    for part in [owner, command, "Nothing was changed"] {
        assert!(refusal.contains(part), "{part:?} in {refusal:?}");
    }
}

/// What looking must leave as it is.
fn state(machine: &Machine) -> String {
    machine.sh(
        "nft list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names; \
         systemctl list-units --all --plain --no-legend --type=service,socket,mount | sort; \
         find /etc /run/sshd /var/lib -newer /run/mark -type f; lsmod 2>/dev/null | wc -l",
    )
}

#[test]
fn native_rules_are_taken_on_and_looking_changes_nothing() {
    let machine = machine(Suite::Bookworm);
    let empty = facts(&machine);
    assert_eq!((empty.backend, empty.refusal), (Some(BackendId::Nftables), None));
    assert_eq!(empty.inbound_default, InboundDefault::Accept);
    assert_eq!(empty.boot.file.as_deref(), Some("/etc/nftables.conf".as_ref()));
    assert_eq!(
        (empty.boot.unit.as_deref(), empty.boot.enabled),
        (Some("nftables.service"), Some(false))
    );

    machine.feed(&["nft", "-f", "-"], NATIVE);
    // What fail2ban and docker put beside native rules is none of our business, and does not stop us.
    machine.sh(
        "iptables-nft -N f2b-sshd; iptables-nft -A f2b-sshd -s 192.0.2.7 -j REJECT; \
         iptables-nft -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd; iptables-nft -P FORWARD DROP; \
         systemctl enable -q nftables; touch /run/mark",
    );
    let before = state(&machine);
    let native = facts(&machine);
    assert_eq!(state(&machine), before);
    assert_eq!(native.backend, Some(BackendId::Nftables), "{:?}", native.refusal);
    assert_eq!(native.inbound_default, InboundDefault::Drop);
    assert_eq!(native.boot.enabled, Some(true));
    let input = native
        .chains
        .iter()
        .find(|c| c.table == "filter" && c.family == "inet");
    assert_eq!(input.and_then(|c| c.drops.as_deref()), Some("policy drop"));
    let fact = native
        .backends
        .iter()
        .find(|b| b.id == BackendId::Nftables)
        .expect("there");
    assert_eq!(
        (fact.version.as_deref(), fact.active, fact.owner),
        (Some("1.0.6"), true, true)
    );

    // Whoever is not root sees less, and is told so.
    machine.sh("useradd -m joe; su joe -c 'ask /tmp/a facts'");
    let facts: Facts = serde_json::from_str(&super::answer(&machine, "/tmp/a")).expect("JSON");
    assert!(!facts.privileged && facts.backend.is_none());
    assert_eq!(
        (facts.ssh.ports.as_slice(), facts.ssh.pid.is_some()),
        ([22].as_slice(), true)
    );
    assert!(facts.refusal.is_some_and(|r| r.contains("sudo")));
}

fn owner(facts: &Facts, expected: BackendId) {
    assert_eq!(
        (facts.backend, &facts.refusal),
        (Some(expected), &None),
        "{:?}",
        facts.chains
    );
    let fact = facts.backends.iter().find(|fact| fact.id == expected);
    assert!(fact.is_some_and(|fact| fact.owner), "{:?}", facts.backends);
}

#[test]
fn each_front_end_owns_its_host_until_its_files_and_the_kernel_disagree() {
    let machine = machine(Suite::Trixie);
    machine.ok(&["ufw", "--force", "enable"]);
    let ufw = facts(&machine);
    owner(&ufw, BackendId::Ufw);
    assert_eq!(ufw.boot.unit.as_deref(), Some("ufw.service"));
    assert_eq!(
        ufw.boot.enabled,
        Some(false),
        "its unit was disabled when the machine was made"
    );
    assert!(
        ufw.chains
            .iter()
            .any(|chain| chain.owner.as_deref() == Some("ufw"))
    );
    machine.ok(&["ufw", "default", "allow", "incoming"]);
    owner(&facts(&machine), BackendId::Ufw);
    machine.ok(&["ufw", "default", "deny", "incoming"]);

    machine.ok(&["nft", "flush", "ruleset"]);
    refused(&facts(&machine), "comes back", "ufw reload");
    machine.sh("ufw reload && sed -i s/^ENABLED=.*/ENABLED=no/ /etc/ufw/ufw.conf");
    refused(&facts(&machine), "switched off", "ufw enable");
    machine.sh("ufw --force enable && ufw --force disable");
    owner(&facts(&machine), BackendId::Nftables);

    machine.sh("nft flush ruleset; systemctl start firewalld");
    wait("firewalld's table", seconds(20), || {
        machine
            .ok(&["nft", "list", "tables"])
            .contains("firewalld")
            .then_some(())
    });
    let firewalld = facts(&machine);
    owner(&firewalld, BackendId::Firewalld);
    assert_eq!(
        (firewalld.boot.unit.as_deref(), firewalld.boot.enabled),
        (Some("firewalld.service"), Some(false))
    );
    machine.sh("systemctl stop firewalld; nft flush ruleset; systemctl enable -q firewalld");
    refused(&facts(&machine), "starts at boot", "systemctl disable firewalld");
}

#[test]
fn firewalld_whose_table_is_gone_or_left_behind_is_refused() {
    let machine = machine(Suite::Bookworm);
    let table = |there: bool| {
        wait("firewalld's table", seconds(20), || {
            (machine.ok(&["nft", "list", "tables"]).contains("inet firewalld") == there).then_some(())
        });
    };
    machine.sh("systemctl start firewalld");
    table(true);
    // The table is there before the daemon has put everything into it.
    wait("firewalld", seconds(20), || {
        machine.run(&["firewall-cmd", "--state"]).ok().then_some(())
    });
    machine.ok(&["nft", "flush", "ruleset"]);
    refused(
        &facts(&machine),
        "not in the kernel",
        "systemctl restart firewalld",
    );
    // What its reload then leaves behind: nothing new gets in.
    machine.run(&["firewall-cmd", "--reload"]);
    wait("the failed reload", seconds(20), || {
        machine
            .ok(&["nft", "list", "tables"])
            .contains("firewalld_policy_drop")
            .then_some(())
    });
    refused(
        &facts(&machine),
        "firewalld_policy_drop",
        "systemctl restart firewalld",
    );
    machine.sh("systemctl stop firewalld; nft flush ruleset; sed -i s/^CleanupOnExit=.*/CleanupOnExit=no/ /etc/firewalld/firewalld.conf; systemctl start firewalld");
    table(true);
    machine.sh("systemctl stop firewalld");
    refused(
        &facts(&machine),
        "does not run",
        "nft delete table inet firewalld",
    );
}

#[test]
fn iptables_owns_its_rules_in_both_variants_and_legacy_ones_beside_nftables() {
    let machine = machine(Suite::Trixie);
    machine.sh("iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT; iptables-nft -A INPUT -j REJECT");
    owner(&facts(&machine), BackendId::Iptables);
    machine.sh("nft flush ruleset; ip6tables-legacy -P INPUT DROP");
    let legacy = facts(&machine);
    owner(&legacy, BackendId::Iptables);
    assert_eq!(legacy.inbound_default, InboundDefault::Drop);
    machine.feed(&["nft", "-f", "-"], NATIVE);
    let both = facts(&machine);
    let mut all: Vec<BackendId> = both.backend.into_iter().chain(both.also.clone()).collect();
    all.sort();
    assert_eq!(all, [BackendId::Nftables, BackendId::Iptables]);
    assert!(both.contradictions.iter().any(|c| c.code == "FW004" && !c.blocks));
    machine.sh("ip6tables-legacy -P INPUT ACCEPT");
    let facts_now = facts(&machine);
    owner(&facts_now, BackendId::Nftables);
    assert!(facts_now.also.is_empty(), "an empty legacy table owns nothing");

    machine.sh("mv /usr/sbin/nft /usr/sbin/nft.away");
    let facts = facts(&machine);
    assert_eq!(facts.backend, None);
    assert!(facts.refusal.is_some_and(|r| r.contains("package nftables")));
    assert!(!ask(&machine, "session").is_empty());
}

#[test]
fn units_and_scripts_that_load_rules_at_boot_are_found() {
    let machine = machine(Suite::Bookworm);
    machine.sh("mkdir -p /etc/iptables && iptables-save >/etc/iptables/iptables.rules && ip6tables-save >/etc/iptables/ip6tables.rules");
    // As Arch has it.
    for (name, family) in [("iptables", ""), ("ip6tables", "6")] {
        machine.put(
            &format!("/etc/systemd/system/{name}.service"),
            format!(
                "[Service]\nType=oneshot\nExecStart=/usr/sbin/ip{family}tables-restore /etc/iptables/{name}.rules\n\
                 [Install]\nWantedBy=multi-user.target\n"
            ),
            0o644,
        );
    }
    machine.sh("systemctl daemon-reload; systemctl enable -q iptables");
    let boot = facts(&machine).boot_of(BackendId::Iptables).clone();
    assert_eq!(
        boot.file.as_deref(),
        Some("/etc/iptables/iptables.rules".as_ref())
    );
    assert_eq!(
        boot.file6.as_deref(),
        Some("/etc/iptables/ip6tables.rules".as_ref())
    );
    assert_eq!((boot.enabled, boot.enabled6), (Some(true), Some(false)));
    assert!(boot.content.is_some() && boot.content6.is_some());

    // As Debian's wiki has it.
    machine.sh("systemctl disable -q iptables; rm /etc/systemd/system/ip*tables.service; systemctl daemon-reload; mkdir -p /etc/network/if-pre-up.d");
    machine.put(
        "/etc/network/if-pre-up.d/iptables",
        "#!/bin/sh\n/sbin/iptables-restore < /etc/iptables.up.rules\n",
        0o755,
    );
    let boot = facts(&machine).boot_of(BackendId::Iptables).clone();
    assert_eq!(boot.file.as_deref(), Some("/etc/iptables.up.rules".as_ref()));
    assert_eq!(boot.unit.as_deref(), Some("/etc/network/if-pre-up.d/iptables"));
    assert_eq!((boot.enabled, boot.enabled6), (Some(true), Some(false)));
}

/// What is found, however long it takes.
fn patient(machine: &Machine) -> Facts {
    serde_json::from_str(&ask(machine, "slow-facts")).expect("JSON")
}

/// Refused by what runs at boot, with all of the words.
fn refused_at_boot(facts: &Facts, words: &[&str]) {
    for word in words {
        refused(facts, word, "Nothing was changed");
    }
}

#[test]
fn what_makes_rules_at_boot_by_itself_is_refused_with_its_line_until_it_is_switched_off() {
    let machine = machine(Suite::Bookworm);
    machine.feed(&["nft", "-f", "-"], NATIVE);
    let free = |what: &str| {
        let seen = patient(&machine);
        assert_eq!(
            (seen.backend, &seen.refusal),
            (Some(BackendId::Nftables), &None),
            "{what}"
        );
    };
    free("a host without any");

    let rules = "#!/bin/sh\n# the rules\niptables -F\niptables -P INPUT DROP\niptables -A INPUT -p tcp --dport 22 -j ACCEPT\n";
    machine.put("/etc/rc.local", rules, 0o755);
    let by_script = patient(&machine);
    refused_at_boot(
        &by_script,
        &[
            "/etc/rc.local is run at boot",
            "line 3: iptables -F",
            "chmod a-x /etc/rc.local",
            "FW009",
        ],
    );
    assert_eq!(by_script.unmanaged, [Unmanaged::Script("/etc/rc.local".into())]);
    machine.ok(&["chmod", "644", "/etc/rc.local"]);
    free("rc.local that is not run");

    machine.put(
        "/usr/local/sbin/firewall",
        "#!/bin/bash\nIPT=/usr/sbin/iptables\n$IPT -A INPUT -j DROP\n",
        0o755,
    );
    let unit = "[Service]\nType=oneshot\nExecStart=/usr/local/sbin/firewall start\n[Install]\nWantedBy=multi-user.target\n";
    machine.put("/etc/systemd/system/rules.service", unit, 0o644);
    machine.sh("systemctl daemon-reload; systemctl enable -q rules");
    refused_at_boot(
        &patient(&machine),
        &[
            "rules.service is enabled",
            "line 3 of /usr/local/sbin/firewall: $IPT -A INPUT -j DROP",
            "systemctl disable rules.service",
        ],
    );
    machine.sh("systemctl disable -q rules");
    free("a unit that is not enabled");

    machine.put(
        "/etc/cron.d/rules",
        "@reboot root /usr/local/sbin/firewall\n",
        0o644,
    );
    refused_at_boot(
        &patient(&machine),
        &["/etc/cron.d/rules has a line for @reboot", "line 3 of"],
    );
    machine.ok(&["rm", "/etc/cron.d/rules"]);

    // A program that makes its rules out of a file of its own, as its package enables it.
    machine.put(
        "/lib/systemd/system/ferm.service",
        unit.replace("/usr/local/sbin/firewall", "/usr/sbin/ferm"),
        0o644,
    );
    machine.sh("systemctl daemon-reload; systemctl enable -q ferm");
    refused_at_boot(&patient(&machine), &["ferm.service is enabled", "it starts ferm"]);
    machine.put("/etc/default/ferm", "ENABLED=\"no\"\n", 0o644);
    free("ferm that is switched off by its own file");

    machine.sh("mkdir -p /etc/network/if-up.d");
    machine.put(
        "/etc/network/if-up.d/masquerade",
        "#!/bin/sh\niptables -t nat -F\niptables -t nat -A POSTROUTING -o host0 -j MASQUERADE\niptables -A FORWARD -j ACCEPT\n",
        0o755,
    );
    free("a script that only translates");
}

#[test]
fn two_loaders_that_empty_each_others_rules_are_refused_with_both_names() {
    let machine = machine(Suite::Bookworm);
    machine.feed(&["nft", "-f", "-"], NATIVE);
    machine.sh("systemctl enable -q nftables; mkdir -p /etc/network/if-pre-up.d /etc/nftables.d");
    machine.put(
        "/etc/network/if-pre-up.d/firewall",
        "#!/bin/sh\nnft -f /etc/firewall.nft\n",
        0o755,
    );
    machine.put("/etc/firewall.nft", format!("flush ruleset\n{NATIVE}"), 0o644);
    refused_at_boot(
        &patient(&machine),
        &[
            "/etc/nftables.conf",
            "/etc/network/if-pre-up.d/firewall loads /etc/firewall.nft",
            "FW004",
        ],
    );
    // One that only adds is in nobody's way, and what the other file includes counts as its own.
    machine.put("/etc/firewall.nft", NATIVE, 0o644);
    machine.put("/etc/nftables.d/10-more.nft", "table inet more { }\n", 0o644);
    machine.sh("echo 'include \"/etc/nftables.d/*.nft\"' >>/etc/nftables.conf");
    let beside = patient(&machine);
    owner(&beside, BackendId::Nftables);
    assert_eq!(beside.boot.unit.as_deref(), Some("nftables.service"));
    let whole = beside.boot.whole.as_deref().unwrap_or_default();
    assert!(
        whole.contains("table inet more") && whole.contains("flush ruleset"),
        "{whole}"
    );
    assert!(!whole.contains("include"), "{whole}");

    machine.sh("rm /etc/network/if-pre-up.d/firewall; nft flush ruleset; systemctl enable -q firewalld; systemctl start firewalld");
    wait("firewalld", seconds(20), || {
        machine.run(&["firewall-cmd", "--state"]).ok().then_some(())
    });
    refused_at_boot(
        &patient(&machine),
        &[
            "nftables.service and firewalld.service are enabled",
            "systemctl disable nftables",
        ],
    );
    machine.sh("systemctl disable -q nftables");
    owner(&patient(&machine), BackendId::Firewalld);
}
