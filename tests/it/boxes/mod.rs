//! Real machines for tests: Debian booted by systemd-nspawn with its own systemd, sshd and network.
//!
//! ```text
//! let machine = Machine::boot(Suite::Bookworm);            // about a second; the first time installs Debian
//! machine.put("/etc/nftables.conf", RULES, 0o644);
//! machine.ok(&["nft", "-f", "/etc/nftables.conf"]);        // a program inside, must succeed
//! let out = machine.run(&["systemctl", "is-active", "x"]); // a program inside, may fail
//! machine.ssh(22, Family::V4, "id -un");                   // a real login from outside
//! machine.scan(Protocol::Tcp, "22,33001", Family::V6);     // what nmap sees from outside
//! let mut terminal = machine.terminal(22, "faspwall");     // ssh -tt in a tmux of 80x24
//! terminal.wait_for("Which product", seconds(10));
//! terminal.keys(&["Down", "Enter"]);
//! machine.reboot();                                        // or power_loss(), link(false)
//! ```
//!
//! A machine is an overlay on a tree that is installed once per suite and kept in `FASPWALL_BOX_CACHE` (else below
//! the user's cache directory). Its disk and its end of the cable go away when the value is dropped; what a killed
//! test left behind is cleared by the next machine that gets the same number. Everything needs root. A tool that
//! is missing fails the test with the name of its package: `tests/run` installs them all.
//!
//! Addresses: this host is 10.98.N.1 and fd98:N::1, the machine 10.98.N.2 and fd98:N::2, on the interface `ve-fwN`
//! here and `host0` there. Before any packet is sent the route is checked to lead into that interface.

mod base;
mod console;
mod first;
mod machine;
mod network;
mod picture;
mod terminal;

pub use base::{PACKAGES_DIR, Suite, key, tree};
pub use console::Console;
pub use machine::Machine;
pub use network::{Family, Protocol};
pub use picture::svg;
pub use terminal::{Seat, Terminal};

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a program printed and how it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Whether it ended with status 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A number of seconds.
pub const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Asks again and again until there is an answer; fails the test with `what` when the time is over.
pub fn wait<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < limit,
            "{what}: not within {} s",
            limit.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program of this host; fails the test with the package's name when it is not installed.
fn host(program: &str) -> Command {
    const PACKAGES: [(&str, &str); 9] = [
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
        ("nsenter", "util-linux"),
        ("nmap", "nmap"),
        ("tmux", "tmux"),
        ("ssh", "openssh-client"),
        ("ssh-keygen", "openssh-client"),
        ("ip", "iproute2"),
        ("mount", "mount"),
    ];
    if which::which(program).is_err() {
        let package = PACKAGES
            .iter()
            .find(|(name, _)| *name == program)
            .map_or(program, |(_, package)| package);
        panic!(
            "{program} is not installed: apt-get install {package} (bash tests/run installs all that is needed)"
        );
    }
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a program of this host.
fn host_run(program: &str, args: &[&str]) -> Ran {
    host(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
        .into()
}

/// Runs a program of this host that must succeed; returns what it printed.
fn host_ok(program: &str, args: &[&str]) -> String {
    let ran = host_run(program, args);
    assert!(
        ran.ok(),
        "{program} {}: {:?}\n{}{}",
        args.join(" "),
        ran.status,
        ran.stdout,
        ran.stderr
    );
    ran.stdout
}
