//! What the wizard costs, as a person at a terminal would feel it: time and bytes to the first frame, to a typed digit,
//! to an arrow; bytes and wake-ups while nothing happens; memory and size of the program. The real program on a real
//! pseudo-terminal of 80x24; nothing is asserted, the figures are printed beside their targets.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench looks at the process from outside"
)]

use std::fs;
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

const PROGRAM: &str = env!("CARGO_BIN_EXE_faspwall");
const RUNS: usize = 30;
/// A frame is over when nothing came for this long.
const QUIET: Duration = Duration::from_millis(80);

struct Wizard {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    chunks: Receiver<(Instant, usize)>,
    started: Instant,
    _master: Box<dyn MasterPty + Send>,
    _state: tempfile::TempDir,
}

impl Wizard {
    fn start() -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let size = PtySize {
            rows: 24,
            cols: 80,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(PROGRAM);
        command.args(["--state-dir", state.path().to_str().expect("UTF-8")]);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let keys = pair.master.take_writer().expect("a writer");
        let (sender, chunks) = channel();
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).expect("starts");
        drop(pair.slave);
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(n) = reader.read(&mut buffer) {
                if n == 0 || sender.send((Instant::now(), n)).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keys,
            chunks,
            started,
            _master: pair.master,
            _state: state,
        }
    }

    /// Waits for output and its end: time from `from` to the last byte, bytes, pieces.
    fn burst(&self, from: Instant) -> (Duration, usize, usize) {
        let (mut last, mut bytes, mut pieces) = (from, 0, 0);
        let mut patience = Duration::from_secs(5);
        while let Ok((at, n)) = self.chunks.recv_timeout(patience) {
            (last, bytes, pieces) = (at, bytes + n, pieces + 1);
            patience = QUIET;
        }
        (last.duration_since(from), bytes, pieces)
    }

    fn key(&mut self, key: &[u8]) -> (Duration, usize) {
        let from = Instant::now();
        self.keys.write_all(key).expect("typed");
        let (time, bytes, _) = self.burst(from);
        (time, bytes)
    }

    fn pid(&self) -> u32 {
        self.child.process_id().unwrap_or(0)
    }

    fn status(&self, name: &str) -> u64 {
        let mut sum = 0;
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let text = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(name))
                .unwrap_or_default();
            let number = line
                .split_whitespace()
                .next()
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or(0);
            sum = if name.starts_with("Vm") {
                number
            } else {
                sum + number
            };
        }
        sum
    }

    /// Waits until the host checks have answered and the screen stands still.
    fn settle(&self) {
        while self.chunks.recv_timeout(Duration::from_secs(2)).is_ok() {}
    }
}

impl Drop for Wizard {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort();
    values[values.len() / 2]
}

fn main() {
    let (mut times, mut bytes, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let wizard = Wizard::start();
        // The first frame is the first burst: the checks of the host paint later frames.
        let Ok((at, n)) = wizard.chunks.recv_timeout(Duration::from_secs(5)) else {
            continue;
        };
        let (mut last, mut sum, mut count) = (at, n, 1);
        while let Ok((at, n)) = wizard.chunks.recv_timeout(Duration::from_millis(2)) {
            (last, sum, count) = (at, sum + n, count + 1);
        }
        times.push(last.duration_since(wizard.started).as_micros());
        bytes.push(sum);
        pieces.push(count);
    }
    let mut sorted = times.clone();
    sorted.sort();
    println!(
        "first frame        median {} us, p95 {} us   (target 15000, 40000)",
        median(times),
        sorted[sorted.len() * 95 / 100]
    );
    println!(
        "first frame        {} bytes in {} pieces   (target 3000, 1 write)",
        median(bytes),
        median(pieces)
    );

    let mut wizard = Wizard::start();
    wizard.settle();
    let (time, page) = wizard.key(b"\r");
    println!(
        "page change        {} bytes, {} us   (target 2500 bytes, 5000 us)",
        page,
        time.as_micros()
    );
    let arrows: Vec<(u128, usize)> = (0..6)
        .map(|n| wizard.key(if n % 2 == 0 { b"\x1b[B" } else { b"\x1b[A" }))
        .map(|(t, b)| (t.as_micros(), b))
        .collect();
    println!(
        "arrow in a list    {} bytes, {} us   (target 120 bytes without the help pane)",
        median(arrows.iter().map(|a| a.1).collect()),
        median(arrows.iter().map(|a| a.0).collect())
    );
    wizard.key(b"\r");
    let digits: Vec<(u128, usize)> = (0..6)
        .map(|n| wizard.key(if n % 2 == 0 { b"\x7f" } else { b"1" }))
        .map(|(t, b)| (t.as_micros(), b))
        .collect();
    println!(
        "typed digit        {} bytes, {} us   (target 32 bytes, 5000 us)",
        median(digits.iter().map(|d| d.1).collect()),
        median(digits.iter().map(|d| d.0).collect())
    );
    wizard.settle();
    let switches = |w: &Wizard| w.status("voluntary_ctxt_switches:");
    let before = switches(&wizard);
    let still = wizard
        .chunks
        .recv_timeout(Duration::from_secs(5))
        .map_or(0, |(_, n)| n);
    println!(
        "idle for 5 s       {still} bytes, {} wake-ups   (target 0, 0)",
        switches(&wizard) - before
    );
    println!(
        "memory             {} kB resident at most   (target 16384)",
        wizard.status("VmHWM:")
    );
    let size = fs::metadata(PROGRAM).map(|m| m.len()).unwrap_or(0);
    println!("program            {size} bytes   (target 6291456)");
}
