//! The same promises on a host whose firewall is ufw, with rules of its operator and of others.

use super::{
    Family, Login, Machine, Protocol, Ran, Suite, WITH_FALLBACK, apply, code, confirm, datagram_arrives,
    document, seconds, status, until_over, wait,
};

/// An older rule against each of the wanted ports but one, a ban, a rule of its operator's own, and one that only
/// `before.rules` has.
const RULES: &str = "systemctl enable --quiet ufw
    sed -i '/^# allow MULTICAST mDNS/i -A ufw-before-input -p tcp --dport 9990 -m comment --comment \"in front\" -j ACCEPT' \
        /etc/ufw/before.rules
    ufw allow 22/tcp
    ufw --force enable
    ufw deny 33001/tcp
    ufw deny 8443/tcp
    ufw allow 8080/tcp comment 'the shop'
    ufw prepend deny from 203.0.113.9
    ufw limit from 198.51.100.0/24 to any port 33001 proto udp";

/// What others do at run time, in ufw's own chains too.
pub const OTHERS: &str = "iptables -I INPUT -s 198.51.100.7 -j DROP
    iptables -I ufw-user-input -p tcp --dport 7070 -m comment --comment 'by hand' -j ACCEPT
    ip6tables -A ufw6-user-input -p tcp --dport 7071 -j ACCEPT";

/// A machine with ufw as it is after a boot, the program, and answers.
pub fn server(suite: Suite) -> Machine {
    let mut machine = Machine::boot(suite);
    machine.install();
    machine.sh(RULES);
    machine.put("/root/answers.toml", WITH_FALLBACK, 0o600);
    machine.reboot();
    machine.sh(OTHERS);
    machine
}

/// Rules without counters and dates, and everything else that must be the same again after an undo.
fn picture(machine: &Machine) -> String {
    machine.sh(
        "for save in iptables-save ip6tables-save; do $save 2>/dev/null | sed '/^#/d; s/\\[[0-9:]*\\]//'; done; \
         nft list tables; find /etc/ssh /etc/ufw /etc/default/ufw /etc/nftables* /etc/systemd/system -type f \
         | sort | xargs stat -c '%n %a %s'; cat /etc/ufw/user.rules /etc/ufw/user6.rules; ss -Hltn | awk '{print $4}' | sort; \
         systemctl list-units --all --plain --no-legend 'faspwall*' | awk '$3 != \"inactive\" {print $1, $3}'",
    )
}

fn assert_same(machine: &Machine, before: &str, when: &str) {
    let start = std::time::Instant::now();
    while picture(machine) != before {
        if start.elapsed() > seconds(5) {
            let now = picture(machine);
            let diff = similar::TextDiff::from_lines(before, &now);
            panic!("{when}, the host is not as before:\n{}", diff.unified_diff());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// What is let in of these ports, in both families: nobody listens on most of them, so that a packet that gets through is
/// answered "closed".
fn assert_let_in(machine: &Machine, ports: &[u16], when: &str) {
    for family in [Family::V4, Family::V6] {
        let seen = machine.scan(Protocol::Tcp, "22,33001,8080,8443,80,443,9", family);
        for (port, state) in seen {
            let wanted = ports.contains(&port);
            assert_eq!(
                state != "filtered",
                wanted,
                "{when}, TCP/{port} over {family:?} is {state}"
            );
        }
    }
}

/// What others own and must find again.
fn assert_others(machine: &Machine, when: &str) {
    let saved = machine.sh("iptables-save 2>/dev/null; ip6tables-save 2>/dev/null");
    for theirs in [
        "-A INPUT -s 198.51.100.7/32 -j DROP",
        "--dport 7070 -m comment --comment \"by hand\" -j ACCEPT",
        "--dport 7071 -j ACCEPT",
        "-A ufw-user-input -s 203.0.113.9/32 -j DROP",
        "--dport 9990 -m comment --comment \"in front\" -j ACCEPT",
        "-A ufw-user-input -p tcp -m tcp --dport 8080 -j ACCEPT",
    ] {
        assert!(saved.contains(theirs), "{when}, {theirs} is gone:\n{saved}");
    }
}

fn there_and_back(suite: Suite) {
    let mut machine = server(suite);
    let before = picture(&machine);
    let mut first = Login::open(&machine, 22);
    assert_let_in(&machine, &[22, 8080], "before");

    let trial = apply(&machine, 120);
    assert_let_in(&machine, &[22, 33001, 8080, 8443, 80, 443], "in trial 1");
    for family in [Family::V4, Family::V6] {
        assert!(datagram_arrives(&machine, family), "{family:?}");
        assert!(machine.ssh(33001, family, "true").ok(), "{family:?}");
    }
    assert_others(&machine, "in trial 1");
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_let_in(&machine, &[33001, 8080, 8443, 80, 443], "in trial 2");
    first.assert_alive("in trial 2");
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{done}");
    first.assert_alive("after the commit");

    let kept = |machine: &Machine, when: &str| {
        assert_let_in(machine, &[33001, 8080, 8443, 80, 443], when);
        for family in [Family::V4, Family::V6] {
            assert!(datagram_arrives(machine, family), "{family:?}, {when}");
            assert!(machine.ssh(33001, family, "true").ok(), "{family:?}, {when}");
        }
        assert_others(machine, when);
        let now = status(machine);
        assert_eq!(now["applied"], done["transaction"], "{now}");
        assert_eq!(now["drift"], serde_json::json!([]), "{when}: {now}");
        let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
        assert_eq!(again["changed"], false, "{again}");
    };
    kept(&machine, "after the commit");
    let shown = machine.ok(&["ufw", "status", "numbered"]);
    assert!(
        shown.contains(":ssh")
            && shown.contains(":fallback-https")
            && !shown.contains("DENY IN     Anywhere"),
        "{shown}"
    );
    drop(first);
    machine.reboot();
    machine.sh(OTHERS);
    kept(&machine, "after a reboot");

    let mut second = Login::open(&machine, 33001);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    assert_let_in(
        &machine,
        &[22, 33001, 8080, 8443, 80, 443],
        "in trial 1 of the way back",
    );
    super::hosts::finish(&machine, 22, back);
    assert_let_in(&machine, &[22, 8080], "after the way back");
    second.assert_alive("after the way back");
    assert_others(&machine, "after the way back");
    assert_same(&machine, &before, "after the way back");
    drop(second);
    machine.reboot();
    machine.sh(OTHERS);
    assert_same(&machine, &before, "after another reboot");
}

#[test]
fn on_debian_12_ssh_moves_older_denies_give_way_and_come_back_byte_for_byte() {
    there_and_back(Suite::Bookworm);
}

#[test]
fn on_debian_13_ssh_moves_older_denies_give_way_and_come_back_byte_for_byte() {
    there_and_back(Suite::Trixie);
}

#[test]
fn what_is_written_is_what_ufw_writes_itself_and_its_operator_may_go_on() {
    let machine = server(Suite::Bookworm);
    let trial = apply(&machine, 120);
    // Somebody else is at work with ufw: the commit waits until he has finished.
    let hold =
        "import fcntl, time; f = open('/run/ufw.lock', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(8)";
    machine.ok(&["systemd-run", "--quiet", "--unit=hold", "python3", "-c", hold]);
    super::hosts::finish(&machine, 33001, trial);
    assert!(!machine.run(&["systemctl", "is-active", "--quiet", "hold"]).ok());
    let files = "cat /etc/ufw/user.rules /etc/ufw/user6.rules";
    let ours = machine.sh(files);
    // ufw writes both files anew, and loads its chains from them.
    machine.sh("ufw allow 9999/tcp && ufw delete allow 9999/tcp");
    assert_eq!(machine.sh(files), ours);
    assert_let_in(
        &machine,
        &[33001, 8080, 8443, 80, 443],
        "after ufw wrote its files anew",
    );
    machine.sh("ufw allow 4443/tcp && ufw prepend deny from 203.0.113.77");
    let now = status(&machine);
    assert_eq!(now["drift"], serde_json::json!([]), "{now}");
    let again = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    assert_eq!(again["changed"], false, "{again}");
    // What its operator added meanwhile stays over the way back.
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    super::hosts::finish(&machine, 22, back);
    let shown = machine.ok(&["ufw", "status"]);
    for theirs in [
        "4443/tcp",
        "203.0.113.77",
        "33001/tcp                  DENY",
        "8443/tcp                   DENY",
        "22/tcp",
    ] {
        assert!(shown.contains(theirs), "{theirs} is not in\n{shown}");
    }
    assert!(!shown.contains("faspwall"), "{shown}");
    assert_let_in(&machine, &[22, 8080], "after the way back");
}

#[test]
fn unconfirmed_with_everything_killed_22_opens_by_itself_and_an_undo_leaves_nothing() {
    let machine = server(Suite::Bookworm);
    let before = picture(&machine);
    let trial = apply(&machine, 10);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    assert_let_in(&machine, &[33001, 8080, 8443, 80, 443], "in trial 2");
    machine.sh("systemctl stop 'faspwall*.timer' 'faspwall*.service'; \
         for p in $(ps -eo pid,comm | awk '$2 ~ /^faspwall/ {print $1}'); do kill -9 $p; done");
    wait("22 open again", seconds(20), || {
        machine.ssh(22, Family::V4, "true").ok().then_some(())
    });
    // What was let in stays for a day longer, with nobody behind it: a clock that is set ahead must not shut both ports.
    let seen = machine.scan(Protocol::Tcp, "33001", Family::V6);
    assert_eq!(seen[&33001], "closed");
    let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
    assert_eq!(undone["restored"], "equal", "{undone}");
    assert_same(&machine, &before, "after the undo");
    assert_let_in(&machine, &[22, 8080], "after the undo");
}

#[test]
fn an_unconfirmed_trial_leaves_nothing_behind() {
    let machine = server(Suite::Trixie);
    let before = picture(&machine);
    apply(&machine, 10);
    assert_let_in(&machine, &[22, 33001, 8080, 8443, 80, 443], "in trial 1");
    let over = until_over(&machine, 30);
    assert!(over["applied"].is_null(), "{over}");
    assert!(
        over["events"]
            .to_string()
            .contains("the ruleset equals the snapshot"),
        "{over}"
    );
    assert_same(&machine, &before, "after the undo");
}

/// The plan of a machine on which nothing may be done: refused with the words.
fn assert_refused(machine: &Machine, words: &str) {
    let before = picture(machine);
    let ran: Ran = machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--json"]);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        !ran.ok() && said.contains(words),
        "{words:?} is not said: {ran:?}"
    );
    assert_eq!(picture(machine), before);
}

#[test]
fn a_rule_in_before_rules_that_defeats_an_accept_is_named() {
    let machine = server(Suite::Bookworm);
    machine.sh(
        "sed -i '/^# allow MULTICAST mDNS/i -A ufw-before-input -p tcp --dport 33001 -j DROP' /etc/ufw/before.rules; ufw reload",
    );
    assert_refused(
        &machine,
        "-A ufw-before-input -p tcp -m tcp --dport 33001 -j DROP",
    );
    assert_refused(&machine, "/etc/ufw/before.rules");
}

#[test]
fn a_ufw_that_is_on_without_its_chains_is_refused_and_one_that_was_flushed_too() {
    let machine = server(Suite::Bookworm);
    machine.sh("iptables -F ufw-user-input; ip6tables -F ufw6-user-input");
    assert_refused(&machine, "sudo ufw reload");
    machine.sh("nft flush ruleset");
    assert_refused(&machine, "ufw");
    machine.ok(&["ufw", "reload"]);
    machine.ok(&["ufw", "disable"]);
    let ran = machine.run(&["faspwall", "plan", "-f", "/root/answers.toml"]);
    assert!(!ran.stdout.contains("user.rules"), "{ran:?}");
}

/// Walks the whole move from a local console and from logins on 33001, and back.
fn from_the_console(machine: &Machine) {
    let trial = document(&machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--json"]));
    super::hosts::finish(machine, 33001, trial);
}

#[test]
fn a_limit_on_22_is_taken_out_rule_by_rule_and_comes_back() {
    let machine = server(Suite::Trixie);
    for rules in [
        "ufw limit 22/tcp; ufw reload",
        "ufw allow 22/tcp; ufw limit 33001/tcp; ufw reload",
    ] {
        machine.sh(rules);
        machine.sh("iptables -I ufw-user-input -p tcp --dport 7072 -j ACCEPT");
        let before = picture(&machine);
        from_the_console(&machine);
        assert_let_in(&machine, &[33001, 8080, 8443, 80, 443], rules);
        super::faults::go_back(&machine);
        assert_same(&machine, &before, rules);
    }
}

#[test]
fn with_the_older_variant_of_iptables_ufw_is_the_same() {
    let mut machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.sh("for name in iptables ip6tables; do update-alternatives --quiet --set $name /usr/sbin/$name-legacy; done");
    machine.sh(RULES);
    machine.put("/root/answers.toml", WITH_FALLBACK, 0o600);
    machine.reboot();
    machine.sh(OTHERS);
    let before = picture(&machine);
    from_the_console(&machine);
    assert_let_in(&machine, &[33001, 8080, 8443, 80, 443], "after the commit");
    assert_others(&machine, "after the commit");
    super::faults::go_back(&machine);
    assert_same(&machine, &before, "after the way back");
    assert_let_in(&machine, &[22, 8080], "after the way back");
}

#[test]
fn without_ipv6_in_ufw_the_ports_open_for_ipv4_alone_and_that_is_told() {
    let mut machine = Machine::boot(Suite::Bookworm);
    machine.install();
    machine.sh("sed -i 's/^IPV6=yes/IPV6=no/' /etc/default/ufw");
    machine.sh(RULES);
    machine.put("/root/answers.toml", WITH_FALLBACK, 0o600);
    machine.reboot();
    let six = machine.sh("ip6tables-save 2>/dev/null | sed '/^#/d; s/\\[[0-9:]*\\]//'");
    let planned = machine.ok(&["faspwall", "plan", "-f", "/root/answers.toml"]);
    assert!(planned.contains("IPV6=no in /etc/default/ufw"), "{planned}");
    let rehearsed = machine.run(&["faspwall", "rehearse", "-f", "/root/answers.toml"]);
    assert!(rehearsed.ok(), "{rehearsed:?}");
    from_the_console(&machine);
    let seen = |family| machine.scan(Protocol::Tcp, "22,33001,8443", family);
    assert_eq!(
        seen(Family::V4).values().collect::<Vec<_>>(),
        ["filtered", "closed", "open"]
    );
    assert_eq!(
        machine.sh("ip6tables-save 2>/dev/null | sed '/^#/d; s/\\[[0-9:]*\\]//'"),
        six
    );
    assert_eq!(status(&machine)["drift"], serde_json::json!([]));
}

#[test]
fn what_the_rehearsal_says_is_what_the_move_does() {
    let machine = server(Suite::Bookworm);
    machine.sh("ufw limit 22/tcp");
    let ran = machine.run(&["faspwall", "rehearse", "-f", "/root/answers.toml", "--json"]);
    let told = document(&ran);
    assert_eq!(told["undo"], serde_json::json!([]), "{told}");
    assert!(ran.ok(), "{ran:?}");
}

#[test]
fn a_22_restricted_to_a_network_lets_in_that_network_alone() {
    let machine = server(Suite::Bookworm);
    let here = machine.address(Family::V4);
    let net = here
        .rsplit_once('.')
        .map(|(net, _)| format!("{net}.0/24"))
        .expect("an address");
    machine.sh("ufw allow 20:25/tcp; ufw default deny outgoing");
    let answers = WITH_FALLBACK.replace(
        "legacy_22 = \"close\"",
        &format!("legacy_22 = \"restrict\"\nrestrict_22_to = [\"{net}\"]"),
    );
    machine.put("/root/answers.toml", answers, 0o600);
    machine.sh(OTHERS);
    let before = picture(&machine);
    from_the_console(&machine);
    let seen = |family| machine.scan(Protocol::Tcp, "21,22,33001,8443", family);
    assert_eq!(
        seen(Family::V4).values().collect::<Vec<_>>(),
        ["closed", "open", "closed", "open"]
    );
    assert_eq!(
        seen(Family::V6).values().collect::<Vec<_>>(),
        ["closed", "filtered", "closed", "open"]
    );
    super::faults::go_back(&machine);
    assert_same(&machine, &before, "after the way back");
}

#[test]
fn killed_at_any_change_of_its_live_rules_everything_can_be_taken_back() {
    let machine = server(Suite::Bookworm);
    // The program is known by its name alone: a link that may be moved.
    let program = "/usr/sbin/iptables-nft-restore";
    machine.ok(&["ln", "-sf", "/usr/sbin/xtables-nft-multi", program]);
    let before = picture(&machine);
    let mut number = 1;
    loop {
        let trial = document(&machine.run(&["faspwall", "apply", "-f", "/root/answers.toml", "--json"]));
        let fault = super::killed::killer(&machine, program, "*", number);
        let ran = confirm(&machine, 33001, &code(&trial));
        let ran = if ran.ok() {
            confirm(&machine, 33001, &code(&trial))
        } else {
            ran
        };
        let met = fault.calls() >= number;
        drop(fault);
        if !met {
            assert!(ran.ok(), "{ran:?}");
            break;
        }
        assert!(!ran.ok(), "call {number}: {ran:?}");
        let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
        assert_eq!(undone["restored"], "equal", "call {number}: {undone}");
        assert_same(&machine, &before, &format!("killed at call {number}"));
        number += 1;
    }
    assert!(number > 4, "only {number} calls were seen");
    super::faults::go_back(&machine);
    assert_same(&machine, &before, "after the way back");
}
