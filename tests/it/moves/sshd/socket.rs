//! sshd behind a socket of systemd: systemd holds the port, and sshd's own lines decide nothing.

use super::super::power::lose_power_in_commit;
use super::super::{Login, Suite, assert_as_before, assert_open, fingerprint, server, until_over};
use super::{assert_doors, assert_moved, back, forget_bans, forth, shape};

#[test]
fn a_socket_of_systemd_moves_with_its_own_drop_in_over_a_reboot_and_back() {
    let mut machine = server(Suite::Trixie);
    forget_bans(&machine);
    let what = "ssh.socket of Debian";
    shape(
        &machine,
        "systemctl disable --quiet --now ssh.service; systemctl enable --quiet --now ssh.socket",
    );
    let before = fingerprint(&machine);
    let mut first = Login::open(&machine, 22);
    forth(&machine, what);
    first.assert_alive("after the move of the socket");
    assert_doors(&machine, &["*:33001"], what);
    machine.reboot();
    assert_moved(&machine, &format!("{what}, after a reboot"));
    back(&machine, &before, what);
    assert_doors(&machine, &["*:22"], what);

    // Nobody has logged in since the boot: sshd does not run, and its directory is not there.
    machine.reboot();
    assert!(!machine.run(&["test", "-e", "/run/sshd"]).ok());
    let before_boot = fingerprint(&machine);
    machine.ok(&[
        "faspwall",
        "apply",
        "-f",
        "/root/answers.toml",
        "--confirm-within",
        "5s",
    ]);
    assert_open(&machine, &[22, 33001]);
    assert!(machine.ssh(33001, super::Family::V6, "true").ok());
    until_over(&machine, 25);
    assert_as_before(
        &machine,
        &before_boot,
        "after an unconfirmed trial at the console",
    );

    // The streams that an upgrade to Ubuntu 22.10 wrote, in a file of the name that it chose.
    let what = "ssh.socket with addresses.conf";
    machine.put(
        "/etc/systemd/system/ssh.socket.d/addresses.conf",
        "[Socket]\nListenStream=\nListenStream=0.0.0.0:22\nListenStream=[::]:22\nBindIPv6Only=ipv6-only\n",
        0o644,
    );
    machine.sh("systemctl daemon-reload; systemctl restart ssh.socket ssh.service");
    let before = fingerprint(&machine);
    forth(&machine, what);
    assert_doors(&machine, &["0.0.0.0:33001", "[::]:33001"], what);
    back(&machine, &before, what);

    machine.reboot();
    let booted = fingerprint(&machine);
    for (program, pattern) in [
        ("/usr/bin/systemd-run", "*faspwall-bridge*"),
        ("/usr/bin/systemctl", "restart*"),
    ] {
        lose_power_in_commit(&mut machine, program, pattern);
        assert_open(&machine, &[22]);
        assert!(
            machine.ssh(22, super::Family::V6, "true").ok(),
            "{program} {pattern}"
        );
        assert_as_before(&machine, &booted, &format!("{program} {pattern}"));
    }
}
