//! screen: nobody can ask it which of its clients was used last.

use super::super::{Family, Machine, Suite, assert_open, ruleset, server, status};
use super::{add_joe, in_window, joe, peers};
use crate::boxes::{seconds, wait};

/// A command in the window of Joe's screen; what it said, with its status.
fn in_screen(machine: &Machine, command: &str) -> String {
    in_window(machine, command, |line| {
        let line = format!("{line}\n");
        let words = ["screen", "-S", "w", "-p", "0", "-X", "stuff", &line];
        machine.ok(&[&["runuser", "-u", "joe", "--"], &words[..]].concat());
    })
}

/// Waits until so many clients are attached to Joe's screen.
fn attached(machine: &Machine, number: usize) {
    wait("the clients of screen", seconds(10), || {
        let clients = machine.run(&["sh", "-c", "pgrep -u joe -fc '^screen -'"]);
        (clients.stdout.trim() == number.to_string()).then_some(())
    });
}

#[test]
fn an_admin_in_screen_over_sudo_is_pinned_by_the_client_of_now_and_confirms_by_the_newest() {
    let machine = server(Suite::Trixie);
    add_joe(&machine);
    // The login that begins the screen is gone; what its environment names is no connection any more.
    let begun = machine.ssh_as(
        "joe",
        22,
        Family::V4,
        "TERM=xterm screen -dmS w bash; echo $SSH_CONNECTION",
    );
    assert!(begun.ok(), "{begun:?}");
    wait("the first login to be gone", seconds(10), || {
        peers(&machine, 22).is_empty().then_some(())
    });
    let order = "sudo faspwall apply -f /root/answers.toml --confirm-within 240s";
    let _old = joe(&machine, 22, "TERM=xterm screen -r w");
    attached(&machine, 1);
    let [peer] = &wait("the second login", seconds(10), || {
        <[String; 1]>::try_from(peers(&machine, 22)).ok()
    });
    let told = in_screen(&machine, "sudo faspwall detect");
    let named = format!("holds the connection from {peer} to port 22");
    assert!(
        told.contains("attached to screen") && told.contains(&named),
        "{named}:\n{told}"
    );
    let told = in_screen(&machine, order);
    assert!(told.ends_with("status 0\n"), "{told}");
    let (address, from) = peer.rsplit_once(':').expect("a port");
    let pin = format!("ip saddr {address} tcp sport {from} tcp dport 22");
    assert!(ruleset(&machine).contains(&pin), "{pin}:\n{}", ruleset(&machine));
    let code = status(&machine)["open"]["code"]
        .as_str()
        .expect("a code")
        .to_owned();
    let confirm = format!("sudo faspwall confirm {code}");

    let said = in_screen(&machine, &confirm);
    assert!(
        said.contains("over TCP/22") && said.ends_with("status 9\n"),
        "{said}"
    );
    // Beside the one of before, a new login is attached to the same screen.
    let _beside = joe(&machine, 33001, "TERM=xterm screen -x w");
    attached(&machine, 2);
    let said = in_screen(&machine, &confirm);
    assert!(said.ends_with("status 0\n"), "{said}");
    assert_eq!(status(&machine)["open"]["trial"], 2);
    assert_open(&machine, &[33001]);

    let said = in_screen(&machine, &confirm);
    assert!(
        said.contains("older than the trial") && said.ends_with("status 9\n"),
        "{said}"
    );
    // Now it is taken over from both.
    let _taken = joe(&machine, 33001, "TERM=xterm screen -D -r w");
    attached(&machine, 1);
    let said = in_screen(&machine, &confirm);
    assert!(said.ends_with("status 0\n"), "{said}");
    let now = status(&machine);
    assert!(now["open"].is_null() && now["applied"].is_string(), "{now}");
    assert_open(&machine, &[33001]);
}
