//! The way of a person through the pages, over a real login: there, and back again.

use super::super::{Login, Machine, WEB, confirm, document, seconds, status, wait};
use super::hosts::{self, Host, assert_let_in, assert_others};
use crate::boxes::Terminal;
use crate::lab::wizard::{REHEARSAL, all_checks, code_on, fill, next, rehearsed};

pub const COMMAND: &str = "LANG=C.UTF-8 faspwall";

/// Presses one key again and again, with a look after each, until the text is there.
pub fn press_until(terminal: &Terminal, key: &str, text: &str) {
    wait(text, seconds(15), || {
        if terminal.screen().contains(text) {
            return Some(());
        }
        terminal.keys(&[key]);
        crate::lab::wizard::within_a_moment(|| terminal.screen().contains(text).then_some(()))
    });
}

/// From the first page to the one of the firewall: a Connect Server with everything that it may open.
pub fn to_the_firewall(terminal: &Terminal) -> String {
    all_checks(terminal);
    next(terminal, "Which Aspera product runs here?");
    press_until(terminal, "Up", ">(*) Connect Server");
    next(terminal, "Which TCP port does sshd use");
    next(terminal, "WARNING: TCP/22 WOULD STAY OPEN");
    next(terminal, "Who may reach them?");
    for name in ["HTTP fallback", "HTTPS fallback", "web UI, HTTP", "web UI, HTTPS"] {
        terminal.keys(&["Down", "Space"]);
        terminal.wait_for(&format!(">[x] {name} "), seconds(10));
    }
    terminal.wait_for(
        "6 ports: TCP/33001, UDP/33001, TCP/8080, TCP/8443, TCP/80, TCP/443",
        seconds(10),
    );
    next(terminal, "Which firewall carries the rules?")
}

/// From the firewall to the first trial; returns what the preview and the rehearsal said.
pub fn rehearsal_and_trial(terminal: &Terminal) -> String {
    let mut pages = next(terminal, "the plan can be rehearsed");
    pages += &rehearsed(terminal);
    assert!(pages.contains("ok safe to apply"), "{pages}");
    next(terminal, "Type y, then Enter");
    fill(terminal, "y");
    terminal.wait_for("TRIAL 1", seconds(30));
    pages
}

/// From trial 1 to the end, proved on that port: the first time with the code, the second with the word. `in_trial_2` is
/// asked while the old way in is shut.
pub fn prove(terminal: &Terminal, machine: &Machine, port: u16, in_trial_2: impl FnOnce()) {
    let code = code_on(&terminal.screen());
    // Enter alone keeps nothing, and neither does the word while nobody has proved the port.
    terminal.keys(&["Enter"]);
    fill(terminal, "keep");
    terminal.wait_until("the word to be refused", seconds(10), |screen| {
        screen.contains("keep is not taken yet") && !screen.contains("[keep")
    });
    assert_eq!(status(machine)["open"]["trial"], 1);
    let trial = document(&confirm(machine, port, &code));
    assert_eq!(trial["trial"], 2, "{trial}");
    terminal.wait_for("TRIAL 2", seconds(10));
    in_trial_2();
    // A login that is seen makes the word count.
    let mut witness = Login::open(machine, port);
    terminal.wait_for("keeping is reasonable", seconds(10));
    fill(terminal, "keep");
    terminal.wait_for("KEPT", seconds(40));
    witness.assert_alive("after the commit");
}

/// Leaves the last page.
pub fn finish(terminal: &Terminal) {
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(10)), 0);
    let screen = terminal.screen();
    assert!(screen.contains("undo:   faspwall rollback"), "{screen}");
}

/// From the first page through the status and what was kept to trial 1 of the way back.
pub fn to_the_way_back(terminal: &Terminal) {
    all_checks(terminal);
    press_until(terminal, "Down", ">(*) Only look");
    next(terminal, "read only, F5 reads again");
    terminal.wait_for("everything is as planned", seconds(20));
    terminal.keys(&["s"]);
    terminal.wait_for("kept, in force", seconds(10));
    next(terminal, "Type y, then Enter");
    fill(terminal, "y");
    // The way back is rehearsed first, which takes as long as the rehearsal of the way there.
    terminal.wait_for("TRIAL 1", REHEARSAL + seconds(30));
}

/// The whole way of a host: before, both trials, kept, over a boot, and back, looked at from outside each time.
pub fn there_and_back(mut machine: Machine, host: &Host) {
    let old: Vec<u16> = [22].iter().chain(host.open).copied().collect();
    let new: Vec<u16> = [33001].iter().chain(&WEB).copied().collect();
    let both: Vec<u16> = [22].iter().chain(&new).copied().collect();
    let before = hosts::everything(&machine);
    let mut first = Login::open(&machine, 22);
    assert_let_in(&machine, &old, false, "before");

    let terminal = machine.terminal(22, COMMAND);
    let page = to_the_firewall(&terminal);
    assert!(
        page.contains(&format!("ok {} carries the rules", host.firewall)),
        "{page}"
    );
    rehearsal_and_trial(&terminal);
    assert_let_in(&machine, &both, true, "in trial 1");
    assert_others(&machine, &before, &[], "in trial 1");
    first.assert_alive("in trial 1");
    prove(&terminal, &machine, 33001, || {
        assert_let_in(&machine, &new, true, "in trial 2");
        assert_others(&machine, &before, &[], "in trial 2");
    });
    first.assert_alive("after the commit");
    finish(&terminal);
    assert_let_in(&machine, &new, true, "after the commit");
    assert_others(&machine, &before, host.gives_way, "after the commit");
    drop(first);

    machine.reboot();
    hosts::settled(&machine, host);
    assert_let_in(&machine, &new, true, "after a reboot");
    assert_others(&machine, &before, host.gives_way, "after a reboot");
    assert_eq!(status(&machine)["drift"], serde_json::json!([]));

    let terminal = machine.terminal(33001, COMMAND);
    to_the_way_back(&terminal);
    assert_let_in(&machine, &both, true, "in trial 1 of the way back");
    prove(&terminal, &machine, 22, || {
        // Only the door is shut on trial: what else was opened is shut when the way back is kept.
        let tried: Vec<u16> = [22].iter().chain(&WEB).copied().collect();
        assert_let_in(&machine, &tried, true, "in trial 2 of the way back");
    });
    finish(&terminal);
    assert_let_in(&machine, &old, false, "after the way back");
    hosts::assert_as_before(&machine, &before, "after the way back");
}
