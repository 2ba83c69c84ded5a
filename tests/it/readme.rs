//! The README's commands, run as they stand there.

use std::fs;
use std::path::Path;

use crate::boxes::{Terminal, seconds};
use crate::lab::wizard;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).expect("README.md")
}

/// What a reader copies: the lines of each block of commands.
fn blocks(text: &str) -> Vec<Vec<String>> {
    text.split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(|block| block.lines().map(str::to_owned).collect())
        .collect()
}

#[test]
fn it_begins_with_its_two_commands_and_every_file_that_it_names_is_there() {
    let text = readme();
    let blocks = blocks(&text);
    assert_eq!(blocks[0], ["cargo run --release -- lab"]);
    assert_eq!(blocks[1], ["bash tests/run"]);
    for name in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(Path::new(ROOT).join(name).exists(), "{name}");
    }
}

/// Whether clap knows each command that the README shows: a wrong flag or name ends with status 2.
#[test]
fn every_other_command_that_it_shows_exists() {
    let text = readme();
    let lines: Vec<String> = blocks(&text).into_iter().skip(2).flatten().collect();
    assert!(lines.len() >= 5, "{lines:?}");
    for line in lines {
        let command = line.split(" #").next().unwrap_or_default();
        let words: Vec<&str> = command
            .split_whitespace()
            .take_while(|&word| word != ">")
            .collect();
        assert_eq!(words[0], "faspwall", "{line}");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_faspwall"))
            .args(&words[1..])
            .arg("--help")
            .output()
            .expect("it starts");
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_first_command_leads_to_a_confirmed_move() {
    let command = blocks(&readme())[0].join("\n");
    let words = ["sh", "-c", &format!("cd '{ROOT}' && exec {command}")].map(str::to_owned);
    let terminal = Terminal::start(80, 24, &words);
    // The release build comes first.
    terminal.wait_for("*** LAB ***", seconds(1500));
    wizard::to_the_trial(&terminal);
    wizard::peer_confirms(&terminal, "TRIAL 2");
    wizard::peer_confirms(&terminal, "KEPT");
    terminal.keys(&["Enter"]);
    assert_eq!(terminal.end(seconds(30)), 0);
    let screen = terminal.screen();
    assert!(
        screen.contains("TCP/22      closed") && screen.contains("TCP/33001   open"),
        "{screen}"
    );
}
