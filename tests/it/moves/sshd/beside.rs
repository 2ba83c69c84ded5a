//! A second sshd with a file of its own runs beside the socket of systemd, as the only one that has a process.

use super::super::{
    Family, Login, Machine, RULES, Suite, apply, assert_as_before, assert_open, code, confirm, document,
    fingerprint, seconds, server, wait,
};
use super::socket::EACH_LOGIN;
use super::{assert_doors, assert_moved, back, forget_bans, shape};

/// The unit of the second daemon. sshd wants its directory, also while the service that makes it does not run.
const OTHER: &str = "[Service]\nExecStart=/usr/sbin/sshd -D -f /etc/ssh/other\nRuntimeDirectory=sshd\n\
    RuntimeDirectoryPreserve=yes\n[Install]\nWantedBy=multi-user.target\n";

/// Turns the host's sshd into a socket, and starts the second daemon on port 2222.
fn begin(machine: &Machine) {
    machine.put("/etc/systemd/system/other.service", OTHER, 0o644);
    shape(
        machine,
        "printf 'Port 2222\\nPidFile /run/other.pid\\nPasswordAuthentication no\\n' >/etc/ssh/other\n\
         systemctl disable --quiet --now ssh.service; systemctl daemon-reload\n\
         systemctl enable --quiet --now ssh.socket; systemctl enable --quiet --now other",
    );
    listens(machine);
}

/// Waits for the second daemon.
fn listens(machine: &Machine) {
    wait("the other sshd", seconds(10), || {
        machine.ok(&["ss", "-Hltn"]).contains(":2222 ").then_some(())
    });
}

/// The host's own sshd has moved, and nothing has been said about the other one.
fn assert_drop_in(machine: &Machine, what: &str) {
    let text = machine
        .get("/etc/ssh/sshd_config.d/00-faspwall.conf")
        .unwrap_or_default();
    assert!(
        text.contains("Port 33001") && !text.contains("2222"),
        "{what}: {text}"
    );
}

#[test]
fn another_sshd_beside_the_socket_is_neither_asked_nor_moved() {
    let machine = server(Suite::Bookworm);
    forget_bans(&machine);
    machine.put(
        "/etc/systemd/system/ssh.socket.d/accept.conf",
        "[Socket]\nAccept=yes\n",
        0o644,
    );
    machine.put("/etc/systemd/system/ssh@.service", EACH_LOGIN, 0o644);
    let what = "ssh.socket beside a daemon of another file";
    begin(&machine);
    let before = fingerprint(&machine);
    // Without a crowd of logins: each is a unit of its own here.
    let trial = document(&confirm(&machine, 33001, &code(&apply(&machine, 120))));
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{what}: {done}");
    assert_doors(&machine, &["*:33001", "0.0.0.0:2222", "[::]:2222"], what);
    assert_drop_in(&machine, what);
    let trial = document(&machine.ssh(33001, Family::V4, "faspwall rollback --json"));
    let trial = document(&confirm(&machine, 22, &code(&trial)));
    document(&confirm(&machine, 22, &code(&trial)));
    assert_as_before(&machine, &before, what);
    assert_doors(&machine, &["*:22", "0.0.0.0:2222", "[::]:2222"], what);
}

/// Nobody has logged in on port 22 since the boot: whoever asks came through the other daemon.
#[test]
fn an_idle_socket_moves_for_somebody_who_came_through_the_daemon_beside_it() {
    let mut machine = server(Suite::Trixie);
    forget_bans(&machine);
    let what = "an idle ssh.socket";
    let rules = RULES
        .replace("tcp dport 8080 accept", "tcp dport { 2222, 8080 } accept")
        .replace("tcp dport { 22, 8080 }", "tcp dport { 22, 2222, 8080 }");
    machine.put("/etc/nftables.conf", rules, 0o755);
    begin(&machine);
    machine.reboot();
    listens(&machine);
    let idle = |when: &str| {
        let state = machine.run(&["systemctl", "is-active", "ssh.service"]).stdout;
        assert_eq!(state.trim(), "inactive", "{when}");
    };
    idle("after a boot");
    let before = fingerprint(&machine);
    let mut first = Login::open(&machine, 2222);
    assert_open(&machine, &[22]);
    let order = "faspwall apply -f /root/answers.toml --confirm-within 120s --json";
    let trial = document(&machine.ssh(2222, Family::V4, order));
    idle("in trial 1");
    assert_open(&machine, &[22, 33001]);
    let refused = confirm(&machine, 2222, &code(&trial));
    assert!(refused.stderr.contains("over TCP/2222"), "{refused:?}");
    let trial = document(&confirm(&machine, 33001, &code(&trial)));
    assert_open(&machine, &[33001]);
    let done = document(&confirm(&machine, 33001, &code(&trial)));
    assert_eq!(done["state"], "committed", "{what}: {done}");
    assert_drop_in(&machine, what);
    first.assert_alive(what);
    let doors = ["*:33001", "0.0.0.0:2222", "[::]:2222"];
    assert_doors(&machine, &doors, what);
    drop(first);
    machine.reboot();
    listens(&machine);
    assert_doors(&machine, &doors, what);
    assert_moved(&machine, &format!("{what}, after a reboot"));
    assert!(machine.ssh(2222, Family::V6, "true").ok(), "{what}");
    back(&machine, &before, what);
    assert_doors(&machine, &["*:22", "0.0.0.0:2222", "[::]:2222"], what);
}
