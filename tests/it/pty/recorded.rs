//! The wizard on a recorded host: everything can be looked at and planned, nothing can be applied.

use super::{Setup, to_ssh};

#[test]
fn a_recorded_host_is_planned_for_and_cannot_be_changed() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/nftables-strict-13");
    let mut tty = Setup {
        args: &["--machine", dir],
        ..Setup::default()
    }
    .ready();
    assert!(tty.text().contains("Debian 13"), "{}", tty.text());
    to_ssh(&mut tty);
    tty.send("\r");
    tty.wait("TCP/22 WOULD STAY OPEN");
    tty.send("\r");
    tty.wait("Other ports of");
    tty.send("\r");
    tty.wait("Which firewall carries the rules?");
    tty.send("\r");
    tty.wait("nothing can be applied to it");
    tty.wait("TCP/33001");
    // Not the button that applies: there is nothing it could do.
    tty.wait("( Apply... )");
    tty.send("\x1b[21~");
    tty.settle();
}
