//! Plans that meet an obstacle: the host is played as it is, cell by cell as a neighbour finds it, and what shuts each port
//! is named beside the obstacle.

use serde_json::Value;

use super::sandbox::Sandbox;
use super::truth::{ANSWERS, FIREWALLD, assert_named, the_truth_of};
use crate::boxes::Suite;

/// Every cell is as before, an obstacle says this, and nothing is safe to apply.
fn assert_refused(told: &Value, obstacle: &str) {
    assert_eq!(told["ok"], false, "{told:#}");
    let obstacles = told["obstacles"].as_array().expect("obstacles");
    let says = |text: &Value| text.as_str().is_some_and(|text| text.contains(obstacle));
    assert!(obstacles.iter().any(says), "{obstacles:#?}");
    for cell in told["cells"].as_array().expect("cells") {
        assert_eq!(cell["before"], cell["after"], "{cell}");
    }
    assert_eq!(told["undo"], Value::Array(vec![]), "{told:#}");
}

fn firewalld(suite: Suite, more: &str) -> Sandbox {
    Sandbox::debian(suite, &format!("{FIREWALLD}{more}"))
}

/// A network that the plan is for is bound to the zone block.
fn bound_to_block(suite: Suite) {
    let server = firewalld(
        suite,
        "for when in '' --permanent; do firewall-cmd -q $when --zone=block --add-source=198.51.100.0/24; done",
    );
    let answers = format!("{ANSWERS}\n[firewall]\nsources = [\"198.51.100.9/32\", \"2001:db8:9::9/128\"]\n");
    let told = the_truth_of(&server, &answers);
    assert_refused(&told, "puts 198.51.100.0/24 into the zone block");
    assert_named(
        &told,
        "zone block (source 198.51.100.0/24) of firewalld",
        "target: %%REJECT%%",
    );
    // The other family comes to the zone of the link, where nothing lets it in yet.
    assert_named(&told, "zone public of firewalld", "target: default");
}

#[test]
fn a_network_in_the_zone_block_is_played_and_named_on_debian_12() {
    bound_to_block(Suite::Bookworm);
}

#[test]
fn a_network_in_the_zone_block_is_played_and_named_on_debian_13() {
    bound_to_block(Suite::Trixie);
}

/// A rule of a priority below zero refuses the port, whatever the zone opens.
fn refused_first(suite: Suite) {
    let rule = "rule priority=\"-10\" port port=\"33001\" protocol=\"tcp\" reject";
    let server = firewalld(
        suite,
        &format!("firewall-cmd -q --zone=public --add-rich-rule='{rule}'"),
    );
    let told = the_truth_of(&server, ANSWERS);
    assert_refused(&told, rule);
    assert_named(&told, "zone public of firewalld", rule);
    let ssh = told["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter(|c| c["id"] == "ssh");
    for cell in ssh {
        assert_eq!(cell["before"], "reject", "{cell}");
    }
}

#[test]
fn a_rich_rule_of_a_low_priority_is_played_and_named_on_debian_12() {
    refused_first(Suite::Bookworm);
}

#[test]
fn a_rich_rule_of_a_low_priority_is_played_and_named_on_debian_13() {
    refused_first(Suite::Trixie);
}

/// `before.rules` drops the port in front of everything that ufw adds.
fn before_rules(suite: Suite) {
    let server = Sandbox::debian(
        suite,
        "sed -i '/^# allow MULTICAST mDNS/i -A ufw-before-input -p tcp --dport 33001 -j DROP' /etc/ufw/before.rules\n\
         ufw --force default deny incoming; ufw allow 22/tcp; ufw --force enable",
    );
    let told = the_truth_of(&server, ANSWERS);
    assert_refused(&told, "/etc/ufw/before.rules");
    assert_named(
        &told,
        "chain ufw-before-input",
        "-A ufw-before-input -p tcp -m tcp --dport 33001 -j DROP",
    );
}

#[test]
fn a_drop_in_before_rules_is_played_and_named_on_debian_12() {
    before_rules(Suite::Bookworm);
}

#[test]
fn a_drop_in_before_rules_is_played_and_named_on_debian_13() {
    before_rules(Suite::Trixie);
}
