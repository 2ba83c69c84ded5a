//! However the wizard ends or pauses, the terminal is given back.

use std::io::IsTerminal;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use faspwall::answers::Answers;
use faspwall::catalogue::Catalogue;
use faspwall::facts::Facts;
use faspwall::tui::terminal::{self, Ending, Options};
use faspwall::tui::theme::Look;
use faspwall::tui::{Event, PageId, Shared};

use super::{PATIENCE, Setup, to_ssh};

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

/// The program that the next test starts on a terminal of its own; anywhere else it has nothing to do.
#[test]
fn a_worker_that_panics() {
    let called = std::env::args().any(|word| word == "pty::ends::a_worker_that_panics");
    if !called || !std::io::stdout().is_terminal() {
        return;
    }
    let role = &Catalogue::builtin().roles[0];
    let shared = Shared {
        answers: Answers::for_role(role),
        roles: vec![role.clone()],
        facts: Facts::default(),
        detected: false,
        preview: None,
        rehearsal: None,
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
        // While it unwinds, after the message: the wizard ends when nobody can answer any more.
        let _answers = answers;
        // The first wish comes after the first picture.
        drop(wishes.recv());
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
        args: &["--exact", "pty::ends::a_worker_that_panics", "--nocapture"],
        ..Setup::default()
    }
    .start();
    tty.end();
    tty.wait_restored();
    assert!(tty.raw().contains("Checks of this host"), "{}", tty.raw());
    tty.wait("the worker fell over");
    tty.wait("this is a bug");
}
