//! Every step of a change and every undo, as lines that could be typed.

use super::shut_list;
use crate::change::Change;
use crate::transaction::Phase;

/// What a line of the Commands tab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Name of a stretch.
    Head,
    /// What the next command is for.
    Say,
    /// A command, or a further line of it.
    Command,
    /// What must happen before the next stretch.
    Pause,
}

/// One line of the Commands tab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// What it is.
    pub kind: CommandKind,
    /// Number of the step, on its first line.
    pub number: Option<usize>,
    /// The text.
    pub text: String,
}

fn head_of(phase: Phase, change: &Change) -> String {
    match phase {
        Phase::Check => "checks: nothing is changed".to_owned(),
        Phase::Trial1 => "trial 1: only adds, nothing is shut".to_owned(),
        Phase::Trial2 => format!(
            "trial 2: {} is shut for a test, by a timer in the kernel",
            shut_list(&change.closing, change.wall)
        ),
        Phase::Commit => "commit: made permanent".to_owned(),
    }
}

fn push_command(list: &mut Vec<CommandLine>, number: usize, say: &str, command: &str) {
    let mut line = |kind, number, text: &str| {
        list.push(CommandLine {
            kind,
            number,
            text: text.to_owned(),
        });
    };
    if !say.is_empty() {
        line(CommandKind::Say, None, &format!("# {say}"));
    }
    for (index, text) in command.lines().enumerate() {
        line(CommandKind::Command, (index == 0).then_some(number), text);
    }
}

/// Every step of a change in order, then every undo step: the very [`crate::step::Step`] values that the engine performs.
pub fn commands(change: &Change, window_s: u64) -> Vec<CommandLine> {
    let mut list = Vec::new();
    let mut undo = Vec::new();
    let mut number = 0;
    let note = |kind, text: String| CommandLine {
        kind,
        number: None,
        text,
    };
    for phase in [Phase::Check, Phase::Trial1, Phase::Trial2, Phase::Commit] {
        let actions = change.actions(phase);
        if actions.is_empty() {
            continue;
        }
        list.push(note(CommandKind::Head, head_of(phase, change)));
        for action in actions {
            number += 1;
            push_command(&mut list, number, &action.say, &action.step.to_string());
            if !action.undo.is_empty() {
                undo.push((number, action));
            }
        }
        if let Some(text) = pause_after(phase, change, window_s) {
            list.push(note(CommandKind::Pause, text));
        }
    }
    if !undo.is_empty() {
        list.push(note(
            CommandKind::Head,
            "undo: stored before step 1, done by the guard unless confirmed".into(),
        ));
        for (number, action) in undo.into_iter().rev() {
            for (index, step) in action.undo.iter().enumerate() {
                let say = if index == 0 {
                    format!("takes back {number}: {}", action.say)
                } else {
                    String::new()
                };
                push_command(&mut list, number, &say, &step.to_string());
            }
        }
    }
    list
}

fn pause_after(phase: Phase, change: &Change, window_s: u64) -> Option<String> {
    let proof = match change.door {
        Some(door) => format!("a new login on TCP/{door} that confirms"),
        None => "the word keep".to_owned(),
    };
    match phase {
        Phase::Check => Some("-- snapshot saved, guard armed outside this program; then: --".to_owned()),
        Phase::Trial1 if change.trial_2.is_empty() => Some(format!("-- {window_s} s for {proof}; then: --")),
        Phase::Trial1 => Some(format!(
            "-- {window_s} s for {proof}; then, guard armed again: --"
        )),
        Phase::Trial2 => Some(format!(
            "-- {window_s} s for {proof} while {} is shut; then: --",
            shut_list(&change.closing, change.wall)
        )),
        Phase::Commit => None,
    }
}
