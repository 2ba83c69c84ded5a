//! A terminal that a test types into: a private tmux server of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{host, host_run, wait};

/// Where a person sits: a screen to look at and keys to press.
pub trait Seat {
    /// Presses keys, by tmux's names.
    fn keys(&self, names: &[&str]);
    /// Types text letter by letter.
    fn text(&self, text: &str);
    /// What is on the screen, without colours.
    fn screen(&self) -> String;

    /// Waits until the text is on the screen; returns the screen. Fails the test, with the screen, when it never is.
    fn wait_for(&self, text: &str, limit: Duration) -> String {
        self.wait_until(&format!("{text:?} on the screen"), limit, |screen| {
            screen.contains(text)
        })
    }

    /// Waits until the screen is as wanted; returns it.
    fn wait_until(&self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let start = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(
                start.elapsed() < limit && !screen.contains("Pane is dead"),
                "{what}: not within {} s, or never any more; the screen is\n{screen}",
                limit.as_secs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Seat for Terminal {
    fn keys(&self, names: &[&str]) {
        self.keys(names);
    }

    fn text(&self, text: &str) {
        self.text(text);
    }

    fn screen(&self) -> String {
        self.screen()
    }
}

/// A program in a terminal; ended on drop.
#[derive(Debug)]
pub struct Terminal {
    socket: String,
}

impl Terminal {
    /// Starts the words as a program (no shell between) in a terminal of that size.
    pub fn start(columns: u16, rows: u16, words: &[String]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        end_of_killed_tests();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self {
            socket: format!("faspwall-test-{}-{number}", std::process::id()),
        };
        let (x, y) = (columns.to_string(), rows.to_string());
        // The screen stays readable after the program has ended.
        let mut args = vec!["set", "-g", "remain-on-exit", "on", ";"];
        args.extend(["set", "-g", "default-terminal", "tmux-256color", ";"]);
        args.extend(["new-session", "-d", "-s", "t", "-x", &x, "-y", &y, "--"]);
        args.extend(words.iter().map(String::as_str));
        terminal.tmux(&args);
        terminal
    }

    /// Presses keys, by tmux's names: `Enter`, `Down`, `Tab`, `F10`, `C-c`, `BSpace`.
    pub fn keys(&self, names: &[&str]) {
        let mut args = vec!["send-keys", "-t", "t"];
        args.extend(names);
        self.tmux(&args);
    }

    /// Types text letter by letter.
    pub fn text(&self, text: &str) {
        self.tmux(&["send-keys", "-t", "t", "-l", "--", text]);
    }

    /// What is on the screen, without colours.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "t"])
    }

    /// What is on the screen with its colours as escape sequences.
    pub fn picture(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-N", "-t", "t"])
    }

    /// Makes the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let (x, y) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-t", "t", "-x", &x, "-y", &y]);
    }

    /// Waits until the text is on the screen; returns the screen. Fails the test, with the screen, when it never is.
    pub fn wait_for(&self, text: &str, limit: Duration) -> String {
        Seat::wait_for(self, text, limit)
    }

    /// Waits until the screen is as wanted; returns it.
    pub fn wait_until(&self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        Seat::wait_until(self, what, limit, wanted)
    }

    /// Waits until the program has ended; returns its exit status.
    pub fn end(&self, limit: Duration) -> i32 {
        wait("the end of the program in the terminal", limit, || {
            let state = self.tmux(&[
                "display",
                "-p",
                "-t",
                "t",
                "#{pane_dead} #{pane_dead_status} #{pid}",
            ]);
            match state.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["1", status, _] => status.parse().ok(),
                // tmux 3.3 sometimes overlooks the end of a child that closed its terminal first: a reminder.
                ["1", server] => {
                    host_run("kill", &["-CHLD", server]);
                    None
                }
                _ => None,
            }
        })
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = host("tmux")
            .args(["-L", &self.socket, "-f", "/dev/null"])
            .args(args)
            .env_remove("TMUX")
            .env("LANG", "C.UTF-8")
            .output()
            .expect("tmux starts");
        assert!(
            output.status.success(),
            "tmux {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("last screen:\n{}", self.screen());
        }
        drop(host("tmux").args(["-L", &self.socket, "kill-server"]).output());
        let _ = std::fs::remove_file(sockets().join(&self.socket));
    }
}

/// Where tmux keeps the sockets of its servers.
fn sockets() -> PathBuf {
    PathBuf::from(format!("/tmp/tmux-{}", rustix::process::geteuid().as_raw()))
}

/// Ends the terminals of tests that were killed: the number in their name is a process that is no more.
fn end_of_killed_tests() {
    for entry in std::fs::read_dir(sockets()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("faspwall-test-")
            .and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
        if owner.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            host_run("tmux", &["-L", &name, "kill-server"]);
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
