//! What keys do, what they cost, and what is drawn on terminals of all kinds.

use std::num::NonZeroU16;
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::PtySize;

use super::{PATIENCE, Setup, to_ssh};

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
    // Its last word is on the last line; what the checks answer meanwhile comes in later frames.
    let first = tty.raw().find("quit").expect("the line of keys");
    assert!(first <= 3000, "{first} bytes");
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
