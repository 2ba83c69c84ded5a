//! Others work on the same host: what they do in the meantime is kept, told, and never undone by us.

use super::hosts::{finish, there_and_back};
use super::{
    Family, Login, Suite, apply, assert_as_before, assert_open, code, confirm, document, fingerprint,
    ruleset, server, status,
};

#[test]
fn a_ban_and_a_rule_that_others_add_during_a_trial_survive_its_undo_and_are_named() {
    let machine = server(Suite::Bookworm);
    let trial = apply(&machine, 120);
    machine.sh(
        "nft add element inet f2b-table addr-set-sshd '{ 192.0.2.66 timeout 10m }'; \
         nft insert rule inet filter input tcp dport 7070 accept comment '\"somebody else\"'; \
         nft add table ip later",
    );
    document(&confirm(&machine, 33001, &code(&trial)));
    let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
    assert_eq!(undone["state"], "rolled-back", "{undone}");
    let differs = undone["restored"].to_string();
    for theirs in ["192.0.2.66", "7070", "later"] {
        // Elements that time out come and go by themselves: they are no difference.
        assert!(
            differs.contains(theirs) || theirs == "192.0.2.66",
            "{theirs} is not named: {undone}"
        );
        assert!(ruleset(&machine).contains(theirs), "{theirs} is gone");
    }
    assert!(!ruleset(&machine).contains("faspwall"), "{}", ruleset(&machine));
    assert_open(&machine, &[22]);
}

#[test]
fn a_firewall_that_is_loaded_anew_during_a_trial_ends_it_without_harm() {
    let machine = server(Suite::Bookworm);
    machine.ok(&["systemctl", "restart", "nftables"]);
    let before = fingerprint(&machine);
    for reloads_in in [1, 2] {
        let trial = apply(&machine, 120);
        if reloads_in == 2 {
            document(&confirm(&machine, 33001, &code(&trial)));
        }
        let mut by = Login::start(&machine, 33001, "exec sh");
        machine.ok(&["systemctl", "restart", "nftables"]);
        by.say(&format!("faspwall confirm {} 2>&1; echo status $?", code(&trial)));
        let said = by.hear_until("status ");
        assert!(said.ends_with("status 6"), "trial {reloads_in}: {said}");
        drop(by);
        assert_as_before(&machine, &before, &format!("loaded anew in trial {reloads_in}"));
        assert_open(&machine, &[22]);
    }
}

#[test]
fn what_was_committed_outlives_restarts_of_the_firewall_and_of_sshd() {
    let machine = server(Suite::Bookworm);
    let trial = apply(&machine, 120);
    finish(&machine, 33001, trial);
    for words in [
        ["systemctl", "restart", "nftables"],
        ["systemctl", "restart", "ssh"],
        ["systemctl", "reload", "ssh"],
    ] {
        machine.ok(&words);
        assert_open(&machine, &[33001]);
        let now = status(&machine);
        assert_eq!(now["drift"], serde_json::json!([]), "{words:?}: {now}");
    }
    // Drift is told: somebody flushes everything.
    machine.ok(&["nft", "flush", "ruleset"]);
    let now = status(&machine);
    assert!(
        now["drift"].to_string().contains("TCP/22 is closed, but"),
        "{now}"
    );
}

#[test]
fn changes_on_top_of_each_other_go_back_one_by_one() {
    let machine = server(Suite::Bookworm);
    let at_first = fingerprint(&machine);
    let trial = apply(&machine, 120);
    let one = finish(&machine, 33001, trial);
    let after_one = fingerprint(&machine);
    machine.put(
        "/root/answers.toml",
        format!("{}\n[web_ui]\nhttp = 80\nhttps = 443\n", super::ANSWERS),
        0o600,
    );
    let trial = document(&machine.ssh(33001, Family::V4, "faspwall apply -f /root/answers.toml --json"));
    let two = finish(&machine, 33001, trial);
    let rules = ruleset(&machine);
    assert!(rules.contains("tcp dport 443"), "{rules}");
    assert_eq!(status(&machine)["applied"], two["transaction"]);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    finish(&machine, 33001, back);
    assert_as_before(&machine, &after_one, "after the first way back");
    assert_eq!(status(&machine)["applied"], one["transaction"]);
    let back = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    finish(&machine, 22, back);
    assert_as_before(&machine, &at_first, "after the second way back");
    assert!(status(&machine)["applied"].is_null());
}

#[test]
fn a_file_that_somebody_changed_since_is_not_put_back() {
    let machine = server(Suite::Bookworm);
    let trial = apply(&machine, 120);
    finish(&machine, 33001, trial);
    machine.sh("echo 'LogLevel VERBOSE' >>/etc/ssh/sshd_config.d/00-faspwall.conf");
    let before = fingerprint(&machine);
    let ran = machine.ssh(33001, Family::V4, "faspwall rollback");
    assert_eq!(ran.status, Some(9), "{ran:?}");
    assert!(
        ran.stderr.contains("00-faspwall.conf was changed by somebody"),
        "{ran:?}"
    );
    assert_as_before(&machine, &before, "after the refusal");
}

#[test]
fn an_sshd_that_listens_on_both_ports_already_loses_22_and_gets_it_back() {
    let machine = server(Suite::Bookworm);
    machine.sh("sed -i '1i Port 22\\nPort 33001' /etc/ssh/sshd_config");
    machine.ok(&["systemctl", "restart", "ssh"]);
    there_and_back(&machine);
}
