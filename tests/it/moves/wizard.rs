//! The wizard on a real machine, in a real terminal of 80x24, over a real login on port 22.

use super::{
    Family, Machine, Suite, assert_as_before, assert_open, confirm, document, fingerprint, firewalld,
    iptables, server, status, ufw,
};
use crate::boxes::seconds;
use crate::lab::wizard::{code_on, fill, to_the_rehearsal, to_the_trial};

const COMMAND: &str = "LANG=C.UTF-8 faspwall";

#[test]
fn a_person_at_the_wizard_moves_ssh_and_everything_is_kept_over_a_reboot() {
    moves(server(Suite::Bookworm), "nftables");
}

#[test]
fn a_person_at_the_wizard_moves_a_host_of_iptables() {
    let machine = iptables::server(Suite::Bookworm, "nft", iptables::CLOUD_4, iptables::CLOUD_6);
    moves(machine, "iptables");
}

#[test]
fn a_person_at_the_wizard_moves_a_host_of_ufw() {
    moves(ufw::server(Suite::Bookworm), "ufw");
}

#[test]
fn a_person_at_the_wizard_moves_a_host_of_firewalld() {
    moves(firewalld::guarded(Suite::Trixie), "firewalld");
}

#[test]
fn a_rule_that_ufw_cannot_pass_is_named_and_nothing_is_applied() {
    let machine = ufw::server(Suite::Bookworm);
    machine.sh(
        "nft add table inet edge && nft 'add chain inet edge pre { type filter hook prerouting priority -300; }' \
         && nft add rule inet edge pre udp dport 33000-34000 drop",
    );
    let terminal = machine.terminal(22, COMMAND);
    let pages = to_the_rehearsal(&terminal);
    for told in [
        "UDP/33001  open      drop    drop    FAILED",
        "chain inet edge pre: udp dport 33000-34000",
        "ERROR not safe to apply",
        "( Apply... )",
    ] {
        assert!(pages.contains(told), "{told:?} is not told:\n{pages}");
    }
    // Enter tells more about the marked test, and applies nothing; neither does the button.
    terminal.keys(&["Enter"]);
    terminal.wait_for("fasp UDP/33001: FAILED", seconds(10));
    terminal.keys(&["Escape"]);
    terminal.wait_for("( Apply... )", seconds(10));
    terminal.keys(&["BTab", "Enter"]);
    terminal.wait_for(">( Apply... )<", seconds(10));
    assert!(status(&machine)["open"].is_null());
    assert_open(&machine, &[22]);
}

/// The whole way, over a real login on port 22, with the firewall of this host, which the pages must name.
fn moves(mut machine: Machine, firewall: &str) {
    assert_open(&machine, &[22]);
    let terminal = machine.terminal(22, COMMAND);
    let pages = to_the_trial(&terminal);
    assert!(
        pages.contains(&format!("ok {firewall} carries the rules")),
        "{pages}"
    );
    assert!(pages.contains("ok safe to apply"), "{pages}");
    assert_open(&machine, &[22, 33001]);
    let code = code_on(&terminal.screen());

    // Enter alone keeps nothing, and neither does the word while nobody has proved the new port.
    terminal.keys(&["Enter"]);
    fill(&terminal, "keep");
    terminal.wait_until("the word to be refused", seconds(10), |screen| {
        screen.contains("keep is not taken yet") && !screen.contains("[keep")
    });
    assert_eq!(status(&machine)["open"]["trial"], 1);

    let trial = document(&confirm(&machine, 33001, &code));
    assert_eq!(trial["trial"], 2, "{trial}");
    terminal.wait_for("TRIAL 2", seconds(10));
    assert_open(&machine, &[33001]);

    // A login that is seen makes the word count.
    let mut witness = super::Login::open(&machine, 33001);
    terminal.wait_for("keeping is reasonable", seconds(10));
    fill(&terminal, "keep");
    terminal.wait_for("KEPT", seconds(20));
    witness.assert_alive("after the commit");
    assert_open(&machine, &[33001]);
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(10)), 0);
    assert!(
        terminal.screen().contains("undo:   faspwall rollback"),
        "{}",
        terminal.screen()
    );

    machine.reboot();
    assert_open(&machine, &[33001]);
    assert!(machine.ssh(33001, Family::V6, "true").ok());
}

#[test]
fn a_window_that_is_closed_takes_no_guard_along_and_the_next_start_shows_the_countdown() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let terminal = machine.terminal(22, COMMAND);
    to_the_trial(&terminal);
    drop(terminal);
    let open = status(&machine);
    assert!(
        open["guard"]
            .as_str()
            .is_some_and(|guard| guard.ends_with(".timer")),
        "{open}"
    );
    assert_eq!(open["open"]["trial"], 1, "{open}");

    let terminal = machine.terminal(22, COMMAND);
    terminal.wait_for("They will be undone in", seconds(15));
    fill(&terminal, "undo");
    terminal.wait_for("UNDONE", seconds(20));
    assert_as_before(&machine, &before, "after the undo in the wizard");
}
