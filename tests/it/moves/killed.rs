//! The program itself is killed at any step, or its disk is full: what it had begun is taken back all the same.

use super::faults::Fault;
use super::{
    Family, Machine, Suite, apply, assert_as_before, assert_open, code, confirm, document, fingerprint,
    server, status, until_over,
};

/// Kills the faspwall that makes call number `at` of those that match.
pub fn killer<'m>(machine: &'m Machine, program: &'static str, pattern: &str, at: u32) -> Fault<'m> {
    machine.put("/run/fault.count", "0\n", 0o644);
    let body = format!(
        "case \"$*\" in\n{pattern})\n\tn=$(($(cat /run/fault.count) + 1))\n\techo $n >/run/fault.count\n\
         \tif [ $n = {at} ]; then kill -9 $PPID; fi\n\t;;\nesac\n"
    );
    Fault::script(machine, program, &body)
}

/// Kills faspwall at one call after the other. Every time a person undoes what is left.
fn kill_at_every_call(machine: &Machine, program: &'static str, pattern: &str) -> u32 {
    let before = fingerprint(machine);
    let mut number = 1;
    loop {
        let fault = killer(machine, program, pattern, number);
        let ran = super::faults::walk(machine);
        let met = fault.calls() >= number;
        drop(fault);
        if !met {
            assert!(ran.ok(), "{ran:?}");
            return number - 1;
        }
        assert!(!ran.ok(), "{program} call {number}: {ran:?}");
        let left = status(machine);
        if left["interrupted"].is_string() || left["open"].is_object() {
            let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
            assert_eq!(undone["restored"], "equal", "{program} call {number}: {undone}");
        } else {
            assert!(left["applied"].is_null(), "{program} call {number}: {left}");
        }
        assert_as_before(machine, &before, &format!("{program} call {number}, {pattern}"));
        number += 1;
    }
}

#[test]
fn killed_at_any_step_the_program_can_be_called_again_to_undo_it() {
    let machine = server(Suite::Bookworm);
    let calls = kill_at_every_call(&machine, "/usr/sbin/nft", "'-f -'");
    assert!(calls >= 6, "only {calls} calls of nft were seen");
    super::faults::go_back(&machine);
    let calls = kill_at_every_call(&machine, "/usr/bin/systemd-run", "*");
    assert!(calls >= 6, "only {calls} calls of systemd-run were seen");
    super::faults::go_back(&machine);
    let calls = kill_at_every_call(
        &machine,
        "/usr/bin/systemctl",
        "reload*|enable*|is-active*|disable*",
    );
    assert!(calls >= 6, "only {calls} calls of systemctl were seen");
}

#[test]
fn killed_in_the_middle_of_its_steps_the_guard_undoes_them_at_the_deadline() {
    let machine = server(Suite::Bookworm);
    let before = fingerprint(&machine);
    let trial = apply(&machine, 10);
    let fault = killer(&machine, "/usr/sbin/nft", "'-f -'", 2);
    let ran = confirm(&machine, 33001, &code(&trial));
    drop(fault);
    assert!(!ran.ok(), "{ran:?}");
    // The deny ends after its ten seconds by itself; the guard waits for a faspwall that may still be at work.
    super::wait("22 open again", super::seconds(20), || {
        machine.ssh(22, Family::V4, "true").ok().then_some(())
    });
    until_over(&machine, 60);
    assert_as_before(&machine, &before, "after the guard's undo");
    assert_open(&machine, &[22]);
}

#[test]
fn a_disk_that_fills_at_any_moment_leaves_the_host_as_before() {
    let machine = server(Suite::Bookworm);
    machine.ok(&["mkdir", "-p", "/var/lib/faspwall"]);
    let before = fingerprint(&machine);
    let mut kilobytes = 8;
    loop {
        machine.ok(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("size={kilobytes}k,mode=700"),
            "tmpfs",
            "/var/lib/faspwall",
        ]);
        let ran = super::faults::walk(&machine);
        if ran.ok() {
            return;
        }
        eprintln!("{kilobytes} KiB: {ran:?}");
        // 7 when not even the end of the undo could be written down.
        assert!(matches!(ran.status, Some(6 | 7)), "{kilobytes} KiB: {ran:?}");
        let told = [
            "before anything was changed",
            "restored: equal",
            "once the journal can be written again",
        ];
        assert!(
            ran.stderr.contains("No space left") && told.iter().any(|words| ran.stderr.contains(words)),
            "{kilobytes} KiB: {ran:?}"
        );
        assert_as_before(&machine, &before, &format!("with {kilobytes} KiB"));
        machine.ok(&["umount", "/var/lib/faspwall"]);
        kilobytes += 4;
        assert!(kilobytes < 4096, "the move never succeeds");
    }
}
