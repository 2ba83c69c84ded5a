//! The wizard on a real terminal, as a person uses it: keys go in as bytes, the screen is read cell by cell.
//!
//! Nothing here waits for a time to pass where it can wait for something to be seen.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod ends;
mod keys;
mod recorded;

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Without a byte for this long, the program has finished drawing.
const QUIET: Duration = Duration::from_millis(150);

/// Everything that came out of the terminal, and the screen that it makes.
struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
    last: Instant,
}

/// A program on a terminal.
struct Tty {
    seen: Arc<Mutex<Seen>>,
    input: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    state: tempfile::TempDir,
}

struct Setup<'a> {
    program: &'a str,
    args: &'a [&'a str],
    env: &'a [(&'a str, &'a str)],
    size: (u16, u16),
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            program: env!("CARGO_BIN_EXE_faspwall"),
            args: &[],
            env: &[],
            size: (80, 24),
        }
    }
}

impl Setup<'_> {
    fn start(&self) -> Tty {
        let (cols, rows) = self.size;
        let size = PtySize {
            rows,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let state = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(self.program);
        command.args(self.args);
        if self.program.ends_with("faspwall") {
            command.arg("--state-dir");
            command.arg(state.path());
        }
        command.env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("TERM", "xterm");
        command.env("LANG", "C.UTF-8");
        command.env("STATE", state.path());
        command.env("FASPWALL", env!("CARGO_BIN_EXE_faspwall"));
        for (name, value) in self.env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = |n: u16, or: u16| NonZeroU16::new(n).or(NonZeroU16::new(or)).unwrap();
        let seen = Arc::new(Mutex::new(Seen {
            screen: vt100::Parser::new(screen(rows, 24), screen(cols, 80), 0),
            bytes: Vec::new(),
            last: Instant::now(),
        }));
        let (shared, mut reader) = (seen.clone(), pair.master.try_clone_reader().unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let mut seen = shared.lock().unwrap();
                seen.screen.process(&buffer[..count]);
                seen.bytes.extend_from_slice(&buffer[..count]);
                seen.last = Instant::now();
            }
        });
        Tty {
            seen,
            input: pair.master.take_writer().unwrap(),
            master: pair.master,
            child,
            state,
        }
    }

    /// Starts the wizard and waits until every check of the host has answered.
    fn ready(&self) -> Tty {
        let mut tty = self.start();
        tty.wait_for(|screen| screen.contains("7 checks") && !screen.contains("still running"));
        tty.settle();
        tty
    }
}

impl Tty {
    fn text(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().bytes).into_owned()
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().bytes.len()
    }

    fn wait_for(&mut self, good: impl Fn(&str) -> bool) {
        let begin = Instant::now();
        while !good(&self.text()) {
            assert!(begin.elapsed() < PATIENCE, "not seen in:\n{}", self.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait(&mut self, text: &str) {
        self.wait_for(|screen| screen.contains(text));
    }

    /// Waits until nothing has been drawn for a while.
    fn settle(&mut self) {
        let begin = Instant::now();
        while self.seen.lock().unwrap().last.elapsed() < QUIET {
            assert!(begin.elapsed() < PATIENCE, "it never stops drawing");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn send(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Sends a key and returns how many bytes it cost to show what it did.
    fn cost(&mut self, key: &str) -> usize {
        self.settle();
        let before = self.count();
        self.send(key);
        let begin = Instant::now();
        while self.count() == before && begin.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(2));
        }
        self.settle();
        self.count() - before
    }

    /// The row in which the hardware cursor stands; `None` when it is hidden.
    fn cursor_row(&self) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        let (row, _) = screen.cursor_position();
        let width = screen.size().1;
        (!screen.hide_cursor()).then(|| screen.rows(0, width.into()).nth(row.into()).unwrap())
    }

    /// The colour codes (30 to 49, 90 to 107) that were sent.
    fn colours(&self) -> Vec<String> {
        let raw = self.raw();
        raw.split("\x1b[")
            .skip(1)
            .filter_map(|rest| {
                let end = rest.find(|sign: char| sign.is_ascii_alphabetic())?;
                rest[end..].starts_with('m').then(|| rest[..end].to_owned())
            })
            .flat_map(|codes| codes.split(';').map(str::to_owned).collect::<Vec<_>>())
            .filter(|code| code.len() > 1)
            .collect()
    }

    /// Waits until the terminal has been given back: cooked mode and the normal screen.
    fn wait_restored(&self) {
        let begin = Instant::now();
        while !self.restored() {
            assert!(begin.elapsed() < PATIENCE, "not restored: {:?}", self.raw());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn restored(&self) -> bool {
        let flags = self
            .master
            .get_termios()
            .map(|termios| format!("{:?}", termios.local_flags))
            .unwrap_or_default();
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        flags.contains("ICANON")
            && flags.contains("ECHO")
            && !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
    }

    fn end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        let status = std::process::Command::new("kill")
            .args([name, &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// How often all threads of the program have been woken or switched so far.
    fn switches(&self) -> u64 {
        let pid = self.child.process_id().unwrap();
        std::fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok())
            .flat_map(|status| {
                status
                    .lines()
                    .filter(|line| line.contains("voluntary_ctxt_switches"))
                    .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
                    .collect::<Vec<_>>()
            })
            .sum()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the first page to the page of the SSH port.
fn to_ssh(tty: &mut Tty) {
    tty.send("\r");
    tty.wait("Which Aspera product");
    tty.send("\r");
    tty.wait("Which TCP port");
}
