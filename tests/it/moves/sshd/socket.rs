//! sshd behind a socket of systemd: systemd holds the port, and sshd's own lines decide nothing.

use super::super::power::lose_power_in_commit;
use super::super::{Family, Login, Suite, assert_as_before, assert_open, fingerprint, server, until_over};
use super::{assert_doors, assert_moved, back, forget_bans, forth, shape};

/// What Ubuntu's `sshd-socket-generator` does, from its documentation and source: at every `daemon-reload` it writes the
/// places of sshd's configuration into a drop-in, nothing for the usual port. The model knows `Port` lines alone.
const GENERATOR: &str = "#!/bin/sh\nports=$(sed -n 's/^Port //p' /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config 2>/dev/null)\n\
    case \"$ports\" in ''|22) exit 0;; esac\nmkdir -p \"$1/ssh.socket.d\"\nexec >\"$1/ssh.socket.d/addresses.conf\"\n\
    printf '[Socket]\\nListenStream=\\nBindIPv6Only=ipv6-only\\n'\n\
    for port in $ports; do printf 'ListenStream=0.0.0.0:%s\\nListenStream=[::]:%s\\n' $port $port; done\n";

/// The template that Debian 11 shipped for it (ssh@.service).
pub const EACH_LOGIN: &str = "[Unit]\nDescription=OpenBSD Secure Shell server per-connection daemon\nAfter=auditd.service\n\n\
    [Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart=-/usr/sbin/sshd -i $SSHD_OPTS\nStandardInput=socket\n\
    RuntimeDirectory=sshd\nRuntimeDirectoryPreserve=yes\nRuntimeDirectoryMode=0755\n";

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

    // Nobody has logged in since the boot: sshd does not run. Where systemd is older its directory is not there either.
    machine.reboot();
    machine.ok(&["rmdir", "/run/sshd"]);
    let before_boot = fingerprint(&machine);
    machine.ok(&[
        "faspwall",
        "apply",
        "-f",
        "/root/answers.toml",
        "--confirm-within",
        "10s",
    ]);
    assert_open(&machine, &[22, 33001]);
    assert!(machine.ssh(33001, Family::V6, "true").ok());
    until_over(&machine, 40);
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
    machine.sh("systemctl daemon-reload; systemctl stop ssh.socket ssh.service; systemctl start ssh.socket");
    let before = fingerprint(&machine);
    forth(&machine, what);
    assert_doors(&machine, &["0.0.0.0:33001", "[::]:33001"], what);
    back(&machine, &before, what);

    // The streams that come from sshd's own files.
    let what = "ssh.socket with a generator";
    machine.put(
        "/etc/systemd/system-generators/sshd-socket-generator",
        GENERATOR,
        0o755,
    );
    machine.sh(
        "rm /etc/systemd/system/ssh.socket.d/addresses.conf; systemctl daemon-reload
         systemctl stop ssh.socket ssh.service; systemctl start ssh.socket",
    );
    let before = fingerprint(&machine);
    forth(&machine, what);
    assert_doors(&machine, &["0.0.0.0:33001", "[::]:33001"], what);
    assert_eq!(
        machine.get("/etc/systemd/system/ssh.socket.d/zz-faspwall.conf"),
        None,
        "{what}"
    );
    back(&machine, &before, what);
    assert_doors(&machine, &["*:22"], what);

    machine.reboot();
    let booted = fingerprint(&machine);
    lose_power_in_commit(&mut machine, "/usr/bin/systemctl", "'start ssh.socket'");
    assert_open(&machine, &[22]);
    assert!(machine.ssh(22, Family::V6, "true").ok(), "after a power loss");
    assert_as_before(
        &machine,
        &booted,
        "after a power loss between stop and start of the socket",
    );
}

/// With `Accept=yes`, as it was usual before, every login is a unit of its own and no sshd listens at all.
#[test]
fn a_socket_that_starts_an_sshd_for_each_login_moves_over_a_reboot_and_back() {
    let mut machine = server(Suite::Bookworm);
    forget_bans(&machine);
    let what = "ssh.socket with Accept=yes";
    machine.put(
        "/etc/systemd/system/ssh.socket.d/accept.conf",
        "[Socket]\nAccept=yes\n",
        0o644,
    );
    machine.put("/etc/systemd/system/ssh@.service", EACH_LOGIN, 0o644);
    shape(
        &machine,
        "systemctl disable --quiet --now ssh.service; systemctl daemon-reload; systemctl enable --quiet --now ssh.socket",
    );
    assert_eq!(
        machine
            .ok(&["systemctl", "show", "-P", "Accept", "ssh.socket"])
            .trim(),
        "yes",
        "{what}"
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
}
