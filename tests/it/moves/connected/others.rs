//! Several people at once.

use super::super::{Suite, server, status};
use super::{add_joe, joe};
use crate::boxes::{seconds, wait};
use crate::lab::wizard::{fill, to_the_trial};

/// Beside the wizard the word counts once its own operator has come in anew, and not because somebody has.
#[test]
fn a_login_of_somebody_else_does_not_speak_for_the_operator() {
    let machine = server(Suite::Bookworm);
    add_joe(&machine);
    let terminal = machine.terminal(22, "LANG=C.UTF-8 faspwall");
    to_the_trial(&terminal);
    let other = joe(&machine, 33001, "echo in; cat");
    other.wait_for("in", seconds(15));
    wait("the login to be seen", seconds(15), || {
        let seen = status(&machine)["open"]["other_logins"].to_string();
        seen.contains("joe from").then_some(())
    });
    let screen = terminal.wait_for("is no account of yours (root)", seconds(20));
    assert!(screen.contains("keep is not taken yet: joe from"), "{screen}");
    fill(&terminal, "keep");
    assert_eq!(status(&machine)["open"]["trial"], 1);
    // The host's own address is no way in from outside, whatever namespace the login comes from.
    machine.sh(
        "ip netns add inner && ip link add v-in type veth peer name eth0 netns inner \
         && ip address add 10.7.7.1/24 dev v-in && ip link set v-in up \
         && ip -n inner address add 10.7.7.2/24 dev eth0 && ip -n inner link set eth0 up \
         && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 \
         && cat /root/.ssh/id_ed25519.pub >>/root/.ssh/authorized_keys",
    );
    let inner = "ip netns exec inner ssh -tt -o StrictHostKeyChecking=no -p 33001 10.7.7.1 'echo in; cat'";
    let inner = machine.terminal(22, inner);
    inner.wait_for("in", seconds(15));
    wait("the second login to be seen", seconds(15), || {
        let seen = status(&machine)["open"]["other_logins"].to_string();
        seen.contains("root from 10.7.7.2 comes from this host itself")
            .then_some(())
    });
    let screen = wait("the refusal of the second login", seconds(20), || {
        fill(&terminal, "keep");
        let screen = terminal.screen();
        screen.contains("root from 10.7.7.2 comes").then_some(screen)
    });
    assert_eq!(status(&machine)["open"]["trial"], 1, "{screen}");
    let own = machine.terminal(33001, "echo in; cat");
    own.wait_for("in", seconds(15));
    wait("a login that counts", seconds(20), || {
        terminal.keys(&["BSpace"]);
        terminal.screen().contains("keeping is reasonable").then_some(())
    });
    fill(&terminal, "keep");
    terminal.wait_for("TRIAL 2", seconds(15));
}
