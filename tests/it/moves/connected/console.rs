//! At the machine itself.

use super::super::{Family, Suite, assert_open, server};
use crate::boxes::{Console, Seat, seconds};
use crate::lab::wizard::{fill, to_the_trial};

/// The first-time installer: nobody is logged in over the network, the console is 80x25, TERM=linux.
#[test]
fn a_person_at_the_console_of_the_server_moves_ssh_by_the_word_keep() {
    let machine = server(Suite::Bookworm);
    let console = Console::start(&machine, "faspwall");
    let pages = to_the_trial(&console);
    assert!(pages.contains("at the console"), "{pages}");
    assert_open(&machine, &[22, 33001]);
    fill(&console, "keep");
    console.wait_for("TRIAL 2", seconds(10));
    assert_open(&machine, &[33001]);
    fill(&console, "keep");
    let screen = console.wait_for("KEPT", seconds(20));
    console.keys(&["Enter"]);
    assert_eq!(console.end(seconds(10)), 0, "{screen}");
    assert_open(&machine, &[33001]);
    assert!(machine.ssh(33001, Family::V6, "true").ok());
}
