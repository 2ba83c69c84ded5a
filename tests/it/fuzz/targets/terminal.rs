//! Bytes that a terminal sends.

use std::time::Duration;

use faspwall::tui::Key;
use faspwall::tui::terminal::input::{Decoder, Input};

fn check(inputs: &[Input]) -> usize {
    let mut size = 0;
    for input in inputs {
        match input {
            Input::Key(Key::Char(sign)) => {
                assert!(!sign.is_control(), "a key is a control character");
                size += 1;
            }
            Input::Key(_) => size += 1,
            Input::Paste(text) => {
                let tricky = text
                    .chars()
                    .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
                assert!(!tricky, "control characters in a paste");
                size += text.len();
            }
        }
    }
    size
}

/// The first byte says how the rest is cut into pieces.
pub fn keys(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let mut decoder = Decoder::default();
    let mut size = 0;
    for piece in rest.chunks(usize::from(first % 16) + 1) {
        size += check(&decoder.feed(piece));
    }
    // What waits for more is told to wait, and nothing waits for ever.
    let waits = decoder.patience(Duration::from_millis(25)).is_some();
    let ended = decoder.timeout();
    size += check(&ended);
    assert!(waits || ended.is_empty());
    assert!(
        decoder.patience(Duration::from_millis(25)).is_none(),
        "something still waits"
    );
    // A byte that is no text becomes a sign of three bytes.
    assert!(size <= rest.len() * 3, "more came out than went in");
}
