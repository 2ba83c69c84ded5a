//! Whichever way an admin comes in: the connection that is pinned is the one of now, and the proof is the one that is new.

mod at_once;
mod console;
mod others;
mod screen;
mod shells;
mod tmux;

use super::{Family, Machine};
use crate::boxes::{Terminal, seconds, wait};

/// The peer's ports of the logins that are open on a port.
pub fn peers(machine: &Machine, port: u16) -> Vec<String> {
    let port = format!("sport = :{port}");
    let connections = machine.ok(&["ss", "-Htn", "state", "established", &port]);
    let peer = |line: &str| line.split_whitespace().last().map(str::to_owned);
    connections.lines().filter_map(peer).collect()
}

/// Joe, who may become root with sudo and logs in with the key of the tests.
pub fn add_joe(machine: &Machine) {
    machine.sh(
        "useradd -m -s /bin/bash joe && cp -r /root/.ssh /home/joe/ && chown -R joe: /home/joe/.ssh && \
         echo 'joe ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/joe",
    );
}

/// Joe at a terminal of 80x24.
pub fn joe(machine: &Machine, port: u16, command: &str) -> Terminal {
    let words = machine.ssh_words(port, Family::V4, &["-tt", "-l", "joe"], command);
    let named = |word: String| word.strip_prefix("root@").map(str::to_owned).unwrap_or(word);
    Terminal::start(80, 24, &words.into_iter().map(named).collect::<Vec<_>>())
}

/// Has a command typed in a window of Joe's multiplexer; returns what it said, with its status.
pub fn in_window(machine: &Machine, command: &str, type_line: impl FnOnce(&str)) -> String {
    let line = format!("{command} >/tmp/said 2>&1; echo status $? >>/tmp/said; mv /tmp/said /tmp/told");
    type_line(&line);
    let told = wait("the command in the window to end", seconds(60), || {
        machine.get("/tmp/told")
    });
    machine.ok(&["rm", "/tmp/told"]);
    told
}
