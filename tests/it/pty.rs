//! The wizard on a real terminal, as a person uses it: keys go in as bytes, the screen is read cell by cell.
//!
//! Nothing here waits for a time to pass where it can wait for something to be seen.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use faspwall::answers::Answers;
use faspwall::catalogue::Catalogue;
use faspwall::facts::Facts;
use faspwall::tui::terminal::{self, Ending, Options};
use faspwall::tui::theme::Look;
use faspwall::tui::{Event, PageId, Shared};
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

#[test]
fn a_page_is_left_and_its_answer_is_still_there() {
    let mut tty = Setup::default().ready();
    tty.send("\r");
    tty.wait("Which Aspera product");
    tty.send("\x1b[A");
    tty.wait("(*) Client");
    tty.send("\x1b[A");
    tty.wait("(*) Connect Server");
    tty.send("\r");
    tty.wait("Which TCP port");
    tty.send("\x7f7");
    tty.wait("[33007 ]");
    tty.send("\x1b");
    tty.wait("Which Aspera product");
    assert!(tty.text().contains("(*) Connect Server"), "{}", tty.text());
    tty.send("\r");
    tty.wait("[33007 ]");
}

#[test]
fn the_hardware_cursor_stands_on_the_focused_item() {
    let mut tty = Setup::default().ready();
    assert!(tty.cursor_row().unwrap().contains("Start fresh"));
    tty.send("\r");
    tty.wait("Which Aspera product");
    tty.settle();
    assert!(tty.cursor_row().unwrap().contains("(*)"), "{}", tty.text());
    tty.send("\t");
    tty.wait(">[ Back ]<");
    tty.settle();
    assert!(tty.cursor_row().unwrap().contains(">[ Back ]<"), "{}", tty.text());
    tty.send("\t\r");
    tty.wait("Which TCP port");
    tty.settle();
    assert!(tty.cursor_row().unwrap().contains("[33001 ]"), "{}", tty.text());
}

#[test]
fn keys_cost_few_bytes_and_ascii_mode_sends_nothing_else() {
    let mut tty = Setup {
        args: &["--ascii", "--mono"],
        ..Setup::default()
    }
    .ready();
    let arrow = tty.cost("\x1b[B");
    assert!((1..=120).contains(&arrow), "an arrow key cost {arrow} bytes");
    tty.send("\x1b[A");
    to_ssh(&mut tty);
    let digit = tty.cost("\x7f");
    assert!((1..=32).contains(&digit), "a deleted digit cost {digit} bytes");
    let digit = tty.cost("2");
    assert!((1..=32).contains(&digit), "a digit cost {digit} bytes");
    let raw = tty.raw();
    assert!(raw.is_ascii());
    assert_eq!(tty.colours(), [""; 0]);
}

#[test]
fn the_first_frame_is_small_and_asks_the_terminal_nothing() {
    let mut tty = Setup::default().start();
    tty.wait("Checks of this host");
    tty.settle();
    // Some of the checks have answered by now, which only adds to the count.
    assert!(tty.count() <= 3000, "{} bytes", tty.count());
    for question in ["\x1b[6n", "\x1b[5n", "\x1b[c", "\x1b[14t", "\x1b[?u", "\x1b]"] {
        assert!(!tty.raw().contains(question), "{question:?}");
    }
}

#[test]
fn nothing_happens_while_nothing_happens() {
    let tty = Setup::default().ready();
    let before = (tty.switches(), tty.count());
    // The absence of something can only be seen over a time.
    thread::sleep(Duration::from_secs(2));
    assert_eq!((tty.switches(), tty.count()), before, "wake-ups, bytes");
}

#[test]
fn an_arrow_key_that_comes_in_two_packets_does_not_go_back() {
    let mut tty = Setup::default().ready();
    tty.send("\r");
    tty.wait("Which Aspera product");
    tty.send("\x1b");
    thread::sleep(Duration::from_millis(20));
    tty.send("[A");
    tty.wait("(*) Client");
}

#[test]
fn a_small_terminal_gets_a_message_and_grows_back() {
    let mut tty = Setup {
        size: (60, 15),
        ..Setup::default()
    }
    .start();
    tty.wait("Terminal is 60x15, faspwall needs 80x24.");
    tty.seen
        .lock()
        .unwrap()
        .screen
        .screen_mut()
        .set_size(NonZeroU16::new(30).unwrap(), NonZeroU16::new(100).unwrap());
    let size = PtySize {
        rows: 30,
        cols: 100,
        ..PtySize::default()
    };
    tty.master.resize(size).unwrap();
    tty.wait("Checks of this host");

    let mut tty = Setup {
        size: (60, 15),
        ..Setup::default()
    }
    .start();
    tty.wait("faspwall needs 80x24");
    tty.send("q");
    assert_eq!(tty.end().exit_code(), 3);
    tty.wait_restored();
}

#[test]
fn a_line_without_a_size_gets_eighty_columns_in_ascii() {
    let mut tty = Setup {
        size: (0, 0),
        ..Setup::default()
    }
    .ready();
    assert!(tty.raw().is_ascii());
    assert!(tty.text().contains("F10 quit"), "{}", tty.text());
    to_ssh(&mut tty);
}

#[test]
fn without_colour_bold_and_reverse_stay() {
    let tty = Setup {
        env: &[("NO_COLOR", "1")],
        ..Setup::default()
    }
    .ready();
    let raw = tty.raw();
    assert_eq!(tty.colours(), [""; 0]);
    assert!(raw.contains("\x1b[7m") && raw.contains("\x1b[1m"), "{raw:?}");
}

#[test]
fn what_is_typed_before_a_question_does_not_answer_it() {
    let mut tty = Setup::default().ready();
    to_ssh(&mut tty);
    tty.send("\x03y\r");
    tty.wait("Leave faspwall?");
    tty.settle();
    assert!(tty.text().contains("for Yes: [ ]"), "{}", tty.text());
    // Typed afterwards it does; how long the keys are ignored is not the test's business.
    let begin = Instant::now();
    while !tty.text().contains("for Yes: [y]") {
        assert!(begin.elapsed() < PATIENCE);
        tty.send("y");
        thread::sleep(Duration::from_millis(50));
    }
    tty.send("\r");
    assert_eq!(tty.end().exit_code(), 3);
    tty.wait_restored();
    tty.wait("nothing was changed");
}

#[test]
fn three_pasted_networks_are_one_list() {
    let mut tty = Setup::default().ready();
    to_ssh(&mut tty);
    tty.send("\r");
    tty.wait("[Options]");
    tty.send("\x1b[Z\x1b[Z\x1b[Z");
    tty.send("\x1b[200~192.0.2.0/24\r\n198.51.100.0/24\r\n2001:db8::/32\r\n\x1b[201~");
    tty.wait("[192.0.2.0/24,198.51.100.0/24,2001:db8::/32");
    assert!(tty.text().contains("[Options]"), "{}", tty.text());
}

#[test]
fn signals_give_the_terminal_back() {
    for (name, status) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        let mut tty = Setup::default().ready();
        tty.signal(name);
        assert_eq!(tty.end().exit_code(), status, "{name}");
        tty.wait_restored();
        tty.wait("faspwall: ");
    }
}

#[test]
fn a_vanished_terminal_ends_the_program() {
    // The shell ignores the hang-up and passes that on, so that only the terminal itself tells; `script` holds the
    // other end of that terminal, and is killed.
    let tty = Setup {
        program: "/usr/bin/script",
        args: &[
            "-q",
            "-c",
            "trap '' HUP; \"$FASPWALL\" --state-dir \"$STATE\"; echo $? > \"$STATE/status\"",
            "/dev/null",
        ],
        ..Setup::default()
    }
    .ready();
    tty.signal("-KILL");
    let note = tty.state.path().join("status");
    let begin = Instant::now();
    loop {
        match std::fs::read_to_string(&note) {
            Ok(status) if !status.is_empty() => {
                assert_eq!(status.trim(), "129");
                return;
            }
            _ => assert!(
                begin.elapsed() < PATIENCE,
                "the program lives on without a terminal"
            ),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_page_back() {
    let mut tty = Setup {
        program: "/bin/bash",
        args: &["--norc", "--noprofile", "-i"],
        env: &[("PS1", "shell> ")],
        ..Setup::default()
    }
    .start();
    tty.wait("shell> ");
    tty.send("\"$FASPWALL\" --state-dir \"$STATE\"\r");
    tty.wait_for(|screen| screen.contains("7 checks") && !screen.contains("still running"));
    to_ssh(&mut tty);
    tty.send("\x1a");
    tty.wait("faspwall is suspended");
    tty.wait_for(|screen| screen.trim_end().ends_with("shell>"));
    tty.send("echo still $((40+2))\r");
    tty.wait("still 42");
    tty.send("fg\r");
    tty.wait("Which TCP port");
    tty.send("\x7f9");
    tty.wait("[33009 ]");
}

#[test]
fn a_terminal_without_a_shell_cannot_be_left_by_ctrl_z() {
    let mut tty = Setup::default().ready();
    tty.send("\x1a");
    tty.wait("no shell to go back to");
    to_ssh(&mut tty);
}

#[test]
fn the_line_mode_goes_on_where_the_screen_is_too_small() {
    let mut tty = Setup {
        size: (60, 15),
        ..Setup::default()
    }
    .start();
    tty.wait("press p for the line mode");
    tty.send("p");
    tty.wait("What now?");
    tty.wait_restored();
    // Every line reaches the line mode: the reader of keys has ended.
    tty.send("?\r");
    tty.wait("Detection only reads");
    tty.send("q\r");
    assert_eq!(tty.end().exit_code(), 3);

    let mut tty = Setup {
        size: (60, 15),
        ..Setup::default()
    }
    .start();
    tty.wait("press p for the line mode");
    tty.send("p");
    tty.wait("What now?");
    // In line mode Ctrl-C is a signal, as in every other program.
    tty.send("\x03");
    tty.end();
}

/// Not a test: the program that the next test starts on a terminal.
#[test]
#[ignore = "started by panics_give_the_terminal_back, on a terminal"]
fn a_worker_that_panics() {
    let role = &Catalogue::builtin().roles[0];
    let shared = Shared {
        answers: Answers::for_role(role),
        roles: vec![role.clone()],
        facts: Facts::default(),
        detected: false,
        preview: None,
        remembered: None,
        progress: vec![],
        status: None,
        kept: vec![],
        said: None,
        lab: false,
        window_s: 120,
        today: "2026-11-23".into(),
        answers_path: "answers.toml".into(),
    };
    let options = Options {
        look: Look::FULL,
        start: PageId::Welcome,
        size: None,
        escape_wait: Duration::from_millis(60),
    };
    let (effects, wishes) = channel();
    let (answers, events) = channel::<Event>();
    thread::spawn(move || {
        // The first wish comes after the first picture.
        let wish = wishes.recv();
        drop((wish, answers));
        panic!("the worker fell over");
    });
    match terminal::run(shared, options, &effects, events) {
        Ok(Ending::Quit(1, lines)) => println!("{}", lines.join("\n")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn panics_give_the_terminal_back() {
    let program = std::env::current_exe().unwrap();
    let mut tty = Setup {
        program: program.to_str().unwrap(),
        args: &["--exact", "pty::a_worker_that_panics", "--ignored", "--nocapture"],
        ..Setup::default()
    }
    .start();
    tty.end();
    tty.wait_restored();
    assert!(tty.raw().contains("Checks of this host"), "{}", tty.raw());
    tty.wait("the worker fell over");
    tty.wait("this is a bug");
}
