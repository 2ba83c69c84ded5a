//! The power goes at any moment: afterwards the host is as before or as committed, never a mixture.

use std::fs;

use super::faults::{Fault, REAL};
use super::{
    Family, Machine, Suite, apply, assert_as_before, assert_open, code, confirm, document, fingerprint,
    server, status,
};

/// The host as a boot leaves it: what only lived in the kernel is not expected back.
fn booted(machine: &mut Machine) -> String {
    machine.reboot();
    fingerprint(machine)
}

/// What status says after a power loss that left a trial behind, and that the next apply clears it away.
fn assert_told_and_cleared(machine: &Machine, before: &str, id: &serde_json::Value) {
    let told = status(machine);
    assert_eq!(told["interrupted"], *id, "{told}");
    assert!(told["open"].is_null() && told["applied"].is_null(), "{told}");
    let text = machine.ok(&["faspwall", "status"]);
    assert!(
        text.contains("INTERRUPTED") && text.contains("faspwall rollback"),
        "{text}"
    );
    let undone = document(&machine.run(&["faspwall", "rollback", "--json"]));
    assert_eq!(undone["state"], "rolled-back", "{undone}");
    assert_as_before(machine, before, "after the undo of what was interrupted");
    assert!(status(machine)["interrupted"].is_null());
}

#[test]
fn a_power_loss_in_either_trial_leaves_the_host_as_before() {
    let mut machine = server(Suite::Bookworm);
    let before = booted(&mut machine);
    for trials in [1, 2] {
        let mut trial = apply(&machine, 120);
        if trials == 2 {
            trial = document(&confirm(&machine, 33001, &code(&trial)));
            assert_eq!(trial["trial"], 2, "{trial}");
        }
        machine.power_loss();
        machine.power_on();
        assert_open(&machine, &[22]);
        assert!(machine.ssh(22, Family::V6, "true").ok(), "after trial {trials}");
        assert_as_before(&machine, &before, &format!("after trial {trials}"));
        assert_told_and_cleared(&machine, &before, &trial["transaction"]);
    }
    // What was interrupted is in nobody's way: an apply clears it away itself.
    let lost = apply(&machine, 120);
    machine.power_loss();
    machine.power_on();
    let next = apply(&machine, 60);
    assert_ne!(next["transaction"], lost["transaction"]);
}

/// Walks into a commit until that call of a program, which never returns; there the power goes, and comes again.
pub fn lose_power_in_commit(machine: &mut Machine, program: &'static str, pattern: &str) {
    let trial = apply(machine, 120);
    let trial = document(&confirm(machine, 33001, &code(&trial)));
    // From here on the program hangs, for ever, where the pattern matches.
    let body = format!("case \"$*\" in {pattern}) touch /run/hangs; exec sleep 1000;; esac\n");
    let fault = Fault::script(machine, program, &body);
    let command = format!("faspwall confirm {}", code(&trial));
    let words = machine.ssh_words(33001, Family::V4, &["-T"], &command);
    let mut login = std::process::Command::new(&words[0])
        .args(&words[1..])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("ssh starts");
    super::wait(&format!("{program} to hang"), super::seconds(20), || {
        machine.get("/run/hangs")
    });
    fault.stay();
    machine.power_loss();
    let _ = login.kill();
    let _ = login.wait();
    let name = program.rsplit('/').next().expect("a name");
    let disk = machine.root();
    fs::rename(
        disk.join(REAL.trim_start_matches('/')).join(name),
        disk.join(program.trim_start_matches('/')),
    )
    .expect("the real program comes back");
    machine.power_on();
}

#[test]
fn a_power_loss_in_the_middle_of_a_commit_leaves_the_host_as_before() {
    let mut machine = server(Suite::Bookworm);
    let before = booted(&mut machine);
    for (program, pattern) in [
        ("/usr/sbin/sshd", "-t*"),
        ("/usr/bin/systemd-run", "*faspwall-bridge*"),
        ("/usr/bin/systemctl", "reload*"),
        ("/usr/bin/systemctl", "*faspwall-bridge*"),
        ("/usr/bin/systemctl", "disable*"),
    ] {
        lose_power_in_commit(&mut machine, program, pattern);
        assert_open(&machine, &[22]);
        assert!(machine.ssh(22, Family::V6, "true").ok(), "{program} {pattern}");
        assert_as_before(&machine, &before, &format!("{program} {pattern}"));
        let told = status(&machine);
        assert!(told["applied"].is_null() && told["open"].is_null(), "{told}");
        assert!(told["interrupted"].is_null(), "{program} {pattern}: {told}");
        assert!(
            told["events"].to_string().contains("the machine went down"),
            "{told}"
        );
    }
}
