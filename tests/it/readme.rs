//! The README's commands, run as they stand there.

use std::fs;
use std::path::Path;

use crate::boxes::{Terminal, seconds};
use crate::lab::wizard;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).expect("README.md")
}

/// The indented lines: what a reader copies.
fn commands(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn it_has_two_commands_and_every_file_that_it_names() {
    let text = readme();
    assert_eq!(commands(&text), ["cargo run --release -- lab", "bash tests/run"]);
    for name in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(Path::new(ROOT).join(name).exists(), "{name}");
    }
}

#[test]
fn the_first_command_leads_to_a_confirmed_move() {
    let command = commands(&readme()).swap_remove(0);
    let words = ["sh", "-c", &format!("cd '{ROOT}' && exec {command}")].map(str::to_owned);
    let terminal = Terminal::start(80, 24, &words);
    // The release build comes first.
    terminal.wait_for("*** LAB ***", seconds(1500));
    wizard::to_the_trial(&terminal);
    wizard::peer_confirms(&terminal, "TRIAL 2");
    wizard::peer_confirms(&terminal, "KEPT.");
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(30)), 0);
    let screen = terminal.screen();
    assert!(
        screen.contains("TCP/22      closed") && screen.contains("TCP/33001   open"),
        "{screen}"
    );
}
