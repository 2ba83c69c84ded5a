//! Shells that are opened within a login: their processes belong to others, the way to the login is still found.

use super::super::{
    Machine, Suite, assert_as_before, assert_open, code, fingerprint, ruleset, server, status,
};
use super::{add_joe, in_window, joe, peers};
use crate::boxes::{Terminal, seconds, wait};

/// Whose login, and what is typed there to become root, or root once more.
const SHELLS: [(&str, &str); 5] = [
    ("joe", "sudo -i"),
    ("root", "su -"),
    ("root", "run0"),
    ("root", "machinectl -q shell root@.host"),
    ("root", "machinectl -q login .host"),
];

/// A new login on that port, in which the shell is opened.
fn open(machine: &Machine, port: u16, (user, shell): (&str, &str)) -> Terminal {
    let terminal = match user {
        "joe" => joe(machine, port, shell),
        _ => machine.terminal(port, shell),
    };
    terminal.wait_until(&format!("a prompt of {shell}"), seconds(20), |screen| {
        screen.trim_end().ends_with('#')
    });
    terminal
}

/// What a command says that is typed there.
fn said(machine: &Machine, terminal: &Terminal, command: &str) -> String {
    in_window(machine, command, |line| {
        terminal.text(line);
        terminal.keys(&["Enter"]);
    })
}

#[test]
fn within_su_sudo_run0_and_machinectl_the_login_below_is_pinned_and_proves() {
    let machine = server(Suite::Trixie);
    add_joe(&machine);
    machine.put(
        "/etc/systemd/system/container-getty@.service.d/in.conf",
        "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear - $TERM\n",
        0o644,
    );
    machine.ok(&["systemctl", "daemon-reload"]);
    let before = fingerprint(&machine);
    let order = "faspwall apply -f /root/answers.toml --confirm-within 240s";
    let mut confirmed = SHELLS.iter().cycle();
    for (number, command) in [order, "faspwall rollback", order].iter().enumerate() {
        let (old, new) = if number == 1 { (33001, 22) } else { (22, 33001) };
        let beginning = SHELLS[number + 2];
        wait("the earlier logins to be gone", seconds(10), || {
            peers(&machine, old).is_empty().then_some(())
        });
        let what = format!("{beginning:?}");
        let terminal = open(&machine, old, beginning);
        let [peer] = &peers(&machine, old)[..] else {
            panic!("{what}: more logins than one");
        };
        let told = said(&machine, &terminal, "faspwall detect");
        let named = format!("holds the connection from {peer} to port {old}");
        assert!(told.contains(&named), "{what}: {named}\n{told}");
        let told = said(&machine, &terminal, command);
        assert!(told.ends_with("status 0\n"), "{what}: {told}");
        let (address, from) = peer.rsplit_once(':').expect("a port");
        let pin = format!("ip saddr {address} tcp sport {from} tcp dport {old}");
        // On the way back nothing is opened beside which it would have to stand.
        let rules = ruleset(&machine);
        assert_eq!(rules.contains(&pin), old == 22, "{what}: {pin}\n{rules}");
        let confirm = format!("faspwall confirm {}", code(&status(&machine)["open"]));
        let told = said(&machine, &terminal, &confirm);
        assert!(
            told.contains(&format!("over TCP/{old}")) && told.ends_with("status 9\n"),
            "{what}: {told}"
        );
        for state in [serde_json::json!(2), serde_json::Value::Null] {
            let shell = *confirmed.next().expect("it goes round");
            let told = said(&machine, &open(&machine, new, shell), &confirm);
            assert!(told.ends_with("status 0\n"), "{shell:?}: {told}");
            assert_eq!(status(&machine)["open"]["trial"], state, "{shell:?}");
        }
        assert_open(&machine, &[new]);
        if number == 1 {
            assert_as_before(&machine, &before, "after the way back");
        }
    }
}
