//! Whichever way an admin comes in: the connection that is pinned is the one of now, and the proof is the one that is new.

use super::{Family, Machine, RULES, Ran, Suite, assert_open, document, ruleset, server, status};
use crate::boxes::{Console, Seat, Terminal, seconds, wait};
use crate::lab::wizard::{code_on, fill, to_the_trial};

/// The peer's ports of the logins that are open on a port.
fn peers(machine: &Machine, port: u16) -> Vec<String> {
    let port = format!("sport = :{port}");
    let connections = machine.ok(&["ss", "-Htn", "state", "established", &port]);
    let peer = |line: &str| line.split_whitespace().last().map(str::to_owned);
    connections.lines().filter_map(peer).collect()
}

/// Joe, who may become root with sudo and logs in with the key of the tests.
fn add_joe(machine: &Machine) {
    machine.sh(
        "useradd -m -s /bin/bash joe && cp -r /root/.ssh /home/joe/ && chown -R joe: /home/joe/.ssh && \
         echo 'joe ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/joe",
    );
}

/// Joe at a terminal of 80x24.
fn joe(machine: &Machine, port: u16, command: &str) -> Terminal {
    let words = machine.ssh_words(port, Family::V4, &["-tt", "-l", "joe"], command);
    let named = |word: String| word.strip_prefix("root@").map(str::to_owned).unwrap_or(word);
    Terminal::start(80, 24, &words.into_iter().map(named).collect::<Vec<_>>())
}

/// A command in Joe's second window of tmux; what it said, with its status.
fn in_tmux(machine: &Machine, command: &str) -> String {
    let line = format!("{command} >/tmp/said 2>&1; echo status $? >>/tmp/said; mv /tmp/said /tmp/told");
    machine.ok(&[
        "runuser",
        "-u",
        "joe",
        "--",
        "tmux",
        "send-keys",
        "-t",
        "w:1",
        &line,
        "Enter",
    ]);
    let told = wait("the command in tmux to end", seconds(20), || {
        machine.get("/tmp/told")
    });
    machine.ok(&["rm", "/tmp/told"]);
    told
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

/// The first-time installer: nobody is logged in over the network, the console is 80x25, TERM=linux.
#[test]
fn a_person_at_the_console_of_the_server_moves_ssh_by_the_word_keep() {
    let machine = server(Suite::Bookworm);
    let console = Console::start(&machine, "faspwall");
    let pages = to_the_trial(&console);
    assert!(pages.contains("at the console"), "{pages}");
    assert_open(&machine, &[22, 33001]);
    fill(&console, "keep");
    console.wait_for("TRIAL 2", seconds(10));
    assert_open(&machine, &[33001]);
    fill(&console, "keep");
    let screen = console.wait_for("KEPT", seconds(20));
    console.keys(&["Enter"]);
    assert_eq!(console.end(seconds(10)), 0, "{screen}");
    assert_open(&machine, &[33001]);
    assert!(machine.ssh(33001, Family::V6, "true").ok());
}
