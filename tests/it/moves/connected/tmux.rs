//! tmux, mosh, and a login within a login.

use super::super::{Family, Machine, RULES, Ran, Suite, assert_open, document, ruleset, server, status};
use super::{add_joe, in_window, joe, peers};
use crate::boxes::{seconds, wait};
use crate::lab::wizard::{code_on, to_the_trial};

/// A command in Joe's second window of tmux; what it said, with its status.
fn in_tmux(machine: &Machine, command: &str) -> String {
    in_window(machine, command, |line| {
        let keys = ["tmux", "send-keys", "-t", "w:1", line, "Enter"];
        machine.ok(&[&["runuser", "-u", "joe", "--"], &keys[..]].concat());
    })
}

/// A confirmation that comes the given way into the machine.
fn nested(machine: &Machine, door: u16, inner: u16, code: &str) -> Ran {
    let command = format!(
        "ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR -p {inner} localhost faspwall confirm {code} --json"
    );
    machine.ssh(door, Family::V4, &command)
}

#[test]
fn an_admin_in_tmux_over_sudo_from_a_second_login_is_pinned_named_and_may_confirm() {
    let machine = server(Suite::Trixie);
    add_joe(&machine);
    let rules = RULES
        .replace("tcp dport 8080 accept", "udp dport 60000-61000 accept")
        .replace(
            "tcp dport { 22, 8080 }",
            "udp dport 60000-61000 accept; tcp dport { 22, 8080 }",
        );
    machine.put("/etc/nftables.conf", rules, 0o755);
    machine.ok(&["systemctl", "restart", "nftables"]);
    machine.sh("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && \
         cat /root/.ssh/id_ed25519.pub >>/root/.ssh/authorized_keys");
    // The login that starts tmux is gone; what its environment names is no connection any more.
    let begun = machine.ssh_as(
        "joe",
        22,
        Family::V4,
        "tmux new-session -d -s w -x 80 -y 24; tmux set -g status off; tmux new-window -d; echo $SSH_CONNECTION",
    );
    assert!(begun.ok(), "{begun:?}");
    wait("the first login to be gone", seconds(10), || {
        peers(&machine, 22).is_empty().then_some(())
    });
    let terminal = joe(&machine, 22, "tmux attach-session -t w");
    let [peer] = &wait("the second login", seconds(10), || {
        <[String; 1]>::try_from(peers(&machine, 22)).ok()
    });
    // Another admin is there too, and somebody by mosh.
    let other = machine.terminal(22, "sh");
    let mosh = machine.mosh(22);
    mosh.wait_for("#", seconds(10));
    terminal.wait_for("joe@", seconds(10));
    terminal.text("LANG=C.UTF-8 sudo --preserve-env=LANG faspwall");
    terminal.keys(&["Enter"]);
    let pages = to_the_trial(&terminal);
    let named = format!("from {peer} to port 22 stays open");
    assert!(pages.contains(&named), "{named} is not told:\n{pages}");
    let (address, from) = peer.rsplit_once(':').expect("a port");
    let pin = format!("ip saddr {address} tcp sport {from} tcp dport 22");
    assert!(ruleset(&machine).contains(&pin), "{pin}:\n{}", ruleset(&machine));
    let code_1 = code_on(&terminal.screen());

    // The tmux is attached through port 22 alone, mosh has no port at all: neither proves anything.
    let said = in_tmux(&machine, &format!("sudo faspwall confirm {code_1}"));
    assert!(
        said.contains("over TCP/22") && said.ends_with("status 9\n"),
        "{said}"
    );
    mosh.text(&format!("faspwall confirm {code_1}"));
    mosh.keys(&["Enter"]);
    mosh.wait_for("You are connected over no TCP port", seconds(15));
    let said = nested(&machine, 22, 33001, &code_1);
    assert_eq!(said.status, Some(9), "{said:?}");
    assert_eq!(status(&machine)["open"]["trial"], 1);

    // The same tmux through a new login on the new port, used last, is a proof.
    let through = joe(&machine, 33001, "tmux attach-session -t w:1");
    through.wait_for("joe@", seconds(10));
    through.keys(&["Enter"]);
    let said = in_tmux(&machine, &format!("sudo faspwall confirm {code_1}"));
    assert!(said.ends_with("status 0\n"), "{said}");
    assert_eq!(status(&machine)["open"]["trial"], 2);
    assert_open(&machine, &[33001]);

    // What proved trial 1 is too old for trial 2. A login from outside that goes on to the host itself counts.
    let code_2 = status(&machine)["open"]["code"]
        .as_str()
        .map_or(code_1, str::to_owned);
    let said = in_tmux(&machine, &format!("sudo faspwall confirm {code_2}"));
    assert!(
        said.contains("older than the trial") && said.ends_with("status 9\n"),
        "{said}"
    );
    let kept = document(&nested(&machine, 33001, 33001, &code_2));
    assert_eq!(kept["state"], "committed", "{kept}");
    // Nobody has lost a connection.
    for (who, alive) in [("the other admin", &other), ("mosh", &mosh)] {
        alive.text("echo still $((40 + 2))");
        alive.keys(&["Enter"]);
        let screen = alive.wait_for("still 42", seconds(10));
        assert!(!screen.is_empty(), "{who}");
    }
    machine.ok(&["runuser", "-u", "joe", "--", "tmux", "select-window", "-t", "w:0"]);
    terminal.wait_for("KEPT", seconds(10));
}
