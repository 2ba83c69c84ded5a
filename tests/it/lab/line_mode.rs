//! The main job without pages: line by line, to a confirmed move; and an end of the input in the middle of it.

use std::time::{Duration, Instant};

use super::{Start, Who, outside};
use crate::boxes::{Terminal, seconds};

/// Types a line and waits for what must follow. What comes too early for a dangerous question is refused in words; then
/// it is typed again a moment later, as a person would.
fn answer(terminal: &Terminal, text: &str, then: &str) -> String {
    let refused = |screen: &str| screen.trim_end().ends_with("It does not count; type it again.");
    loop {
        terminal.text(text);
        terminal.keys(&["Enter"]);
        let typed = Instant::now();
        let screen = terminal.wait_until(then, seconds(20), |screen| {
            screen.contains(then) || (refused(screen) && typed.elapsed() > Duration::from_millis(400))
        });
        if screen.contains(then) {
            return screen;
        }
    }
}

/// From the first question to the first trial.
fn to_the_trial(terminal: &Terminal) {
    for question in [
        "What now?",
        "Which Aspera product runs here?",
        "Which TCP port does sshd use",
        "What shall happen to sshd?",
        "What shall become of it?",
        "Step 4 of 8",
        "Further ports:",
        "Who may reach the opened ports?",
        "Step 5 of 8",
    ] {
        terminal.wait_for(question, seconds(20));
        terminal.keys(&["Enter"]);
    }
    terminal.wait_for("y applies now", seconds(20));
    answer(terminal, "y", "They are undone at");
}

#[test]
fn the_line_mode_moves_the_lab_to_33001() {
    let before = outside();
    let start = Start::new(Who::Plain);
    let terminal = Terminal::start(130, 60, &start.words(&["--plain", "lab"]));
    to_the_trial(&terminal);
    answer(&terminal, "keep", "Not kept: keep is not taken yet");
    answer(&terminal, "peer", "Trial 2: TCP/22 is shut for a test");
    let screen = answer(&terminal, "peer", "faspwall: kept.");
    assert!(
        screen.contains("next: tell your users: clients now need port 33001"),
        "{screen}"
    );
    assert!(screen.is_ascii(), "{screen}");
    assert_eq!(terminal.end(seconds(20)), 0);
    assert_eq!(start.stages(), Vec::<u32>::new());
    assert_eq!(outside(), before);
}

#[test]
fn the_end_of_the_input_undoes_a_trial_of_the_line_mode() {
    let start = Start::new(Who::Plain);
    let terminal = Terminal::start(130, 60, &start.words(&["--plain", "lab"]));
    to_the_trial(&terminal);
    terminal.keys(&["C-d"]);
    let screen = terminal.wait_for("faspwall: undone", seconds(20));
    assert!(screen.contains("equal to the snapshot"), "{screen}");
    assert_eq!(terminal.end(seconds(20)), 3);
}
