//! Nobody confirms: the host is as before.

use super::{
    Family, Login, Suite, apply, assert_as_before, assert_open, code, confirm, document, fingerprint, server,
    until_over,
};

#[test]
fn an_unconfirmed_trial_1_leaves_nothing_behind() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 10);
    assert!(machine.ssh(33001, Family::V6, "true").ok());
    let status = until_over(&machine, 20);
    assert!(status["applied"].is_null(), "{status}");
    assert_as_before(&machine, &before, "after the undo");
    first.assert_alive("after the undo");
    assert_open(&machine, &[22]);
    let events = status["events"].to_string();
    assert!(
        events.contains("not confirmed before the deadline; the ruleset equals the snapshot"),
        "{events}"
    );
    let late = confirm(&machine, 22, &code(&trial));
    assert_eq!(late.status, Some(9), "{late:?}");
}

#[test]
fn an_unconfirmed_trial_2_leaves_nothing_behind() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let mut first = Login::open(&machine, 22);
    let trial = apply(&machine, 10);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    let mut second = Login::open(&machine, 33001);
    let status = until_over(&machine, 20);
    assert!(status["applied"].is_null(), "{status}");
    assert_as_before(&machine, &before, "after the undo");
    first.assert_alive("after the undo");
    second.assert_alive("a login through the trial's door, after the undo");
    assert_open(&machine, &[22]);
}

#[test]
fn with_every_process_of_ours_dead_and_the_link_cut_the_kernel_alone_opens_22_again() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let trial = apply(&machine, 15);
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(trial["trial"], 2, "{trial}");
    let began = std::time::Instant::now();
    assert_eq!(
        machine.ssh(22, Family::V4, "true").status,
        Some(255),
        "22 is shut in trial 2"
    );
    super::end_all_of_ours(&machine);
    machine.link(false);
    let window = super::seconds(15);
    std::thread::sleep(window.saturating_sub(began.elapsed()));
    machine.link(true);
    for family in [Family::V4, Family::V6] {
        assert!(super::wait("22 open again", super::seconds(8), || machine
            .ssh(22, family, "true")
            .ok()
            .then_some(true)),);
    }
    assert_open(&machine, &[22]);
    // The program comes back: it tells what it finds, and clears away what the kernel has only disarmed.
    super::undo_the_rest(&machine, &trial);
    assert_as_before(&machine, &before, "after the undo");
}
