//! The wizard on a real machine, in a real terminal of 80x24, over a real login on port 22.

mod hosts;
mod open;
mod walk;

use super::{Suite, assert_as_before, assert_open, fingerprint, server, status, ufw};
use crate::boxes::seconds;
use crate::lab::wizard::{fill, to_the_rehearsal, to_the_trial};
use walk::COMMAND;

/// The table of the whole way: every firewall, on both releases. One release of each runs with all tests, the other by
/// name: `cargo nextest run --run-ignored only moves::wizard::`.
macro_rules! whole_way {
    ($($(#[$asked:meta])? $name:ident: $host:ident on $suite:ident;)*) => {$(
        #[test]
        $(#[$asked])?
        fn $name() {
            walk::there_and_back((hosts::$host.boot)(Suite::$suite), &hosts::$host);
        }
    )*};
}

whole_way! {
    nftables_on_debian_12: NFTABLES on Bookworm;
    iptables_on_debian_13: IPTABLES_NFT on Trixie;
    legacy_iptables_on_debian_12: IPTABLES_LEGACY on Bookworm;
    ufw_on_debian_13: UFW on Trixie;
    firewalld_on_debian_12: FIREWALLD on Bookworm;
    #[ignore = "the other release runs with all tests"]
    nftables_on_debian_13: NFTABLES on Trixie;
    #[ignore = "the other release runs with all tests"]
    iptables_on_debian_12: IPTABLES_NFT on Bookworm;
    #[ignore = "the other release runs with all tests"]
    legacy_iptables_on_debian_13: IPTABLES_LEGACY on Trixie;
    #[ignore = "the other release runs with all tests"]
    ufw_on_debian_12: UFW on Bookworm;
    #[ignore = "the other release runs with all tests"]
    firewalld_on_debian_13: FIREWALLD on Trixie;
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
        "UDP/33001 open      drop    drop    FAILED",
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
