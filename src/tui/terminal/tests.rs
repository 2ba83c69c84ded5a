//! The whole loop on two channels and a wire: what is drawn, what it costs, what is asked of the world.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::layout::Size;

use super::*;
use crate::transaction::{Progress, Trial};
use crate::tui::samples;
use crate::tui::{Attempt, Key, Shared};

/// Keeps what is written, one entry per write.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what the loop asks of the terminal.
struct Counter(Arc<Mutex<VecDeque<&'static str>>>);

impl Device for Counter {
    fn flush_input(&mut self) {
        self.0.lock().unwrap().push_back("flush");
    }

    fn bell(&mut self) {
        self.0.lock().unwrap().push_back("bell");
    }

    fn suspend(&mut self) -> Result<(), String> {
        self.0.lock().unwrap().push_back("suspend");
        Ok(())
    }

    fn size(&self) -> (u16, u16) {
        (80, 24)
    }
}

/// A running loop.
struct Bench {
    messages: Sender<Message>,
    effects: Receiver<Effect>,
    wire: Wire,
    asked: Arc<Mutex<VecDeque<&'static str>>>,
    end: thread::JoinHandle<Ending>,
}

fn start(shared: Shared, page: PageId) -> Bench {
    let wire = Wire::default();
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let (messages, inbox) = channel();
    let (outbox, effects) = channel();
    let (ours, mut device) = (wire.clone(), Counter(asked.clone()));
    let end = thread::spawn(move || {
        let mut terminal = Terminal::new(Lean::new(ours, || Size::new(80, 24))).unwrap();
        let wizard = Wizard::new(shared, Look::FULL, page);
        drive(&mut terminal, wizard, &mut device, &outbox, &inbox).unwrap()
    });
    Bench {
        messages,
        effects,
        wire,
        asked,
        end,
    }
}

impl Bench {
    fn send(&self, event: Event) {
        self.messages.send(Message::Event(event)).unwrap();
    }

    fn key(&self, key: Key) {
        self.send(Event::Key(key));
    }

    fn frames(&self) -> usize {
        self.wire.0.lock().unwrap().len()
    }

    /// Waits for a frame more than there were and returns how many bytes it has.
    fn frame(&self, before: usize) -> usize {
        let begin = Instant::now();
        while self.frames() == before {
            assert!(begin.elapsed() < Duration::from_secs(5), "nothing was drawn");
            thread::sleep(Duration::from_millis(1));
        }
        self.wire.0.lock().unwrap()[before].len()
    }

    fn cost(&self, event: Event) -> usize {
        let before = self.frames();
        self.send(event);
        self.frame(before)
    }

    fn asked(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap().iter().copied().collect()
    }

    fn end(self, signal: i32) -> Ending {
        self.messages.send(Message::Signal(signal)).unwrap();
        self.end.join().unwrap()
    }
}

fn waiting(left_ms: u64) -> Shared {
    let trial = Trial {
        left_ms,
        ..samples::trial(1, 120)
    };
    Shared {
        progress: vec![Progress::Awaiting(Box::new(trial))],
        ..samples::shared()
    }
}

#[test]
fn the_first_frame_is_drawn_before_anything_is_asked_and_is_small() {
    let bench = start(samples::shared(), PageId::Welcome);
    let first = bench.frame(0);
    assert!(first <= 3000, "{first} bytes");
    assert_eq!(bench.effects.recv().unwrap(), Effect::Detect);
    assert!(matches!(bench.end(15), Ending::Quit(143, _)));
}

#[test]
fn pages_arrows_and_digits_cost_few_bytes() {
    let bench = start(samples::shared(), PageId::Role);
    bench.frame(0);
    let page = bench.cost(Event::Key(Key::Enter));
    assert!(page <= 2500, "a page costs {page} bytes");
    let digit = bench.cost(Event::Key(Key::Backspace));
    assert!(
        digit <= 32 + 120,
        "a digit that makes a difference costs {digit} bytes"
    );
    for key in [Key::Char('0'), Key::Backspace] {
        let cost = bench.cost(Event::Key(key));
        assert!(cost <= 32, "{key:?} costs {cost} bytes");
    }
    drop(bench.end(15));
    let bench = start(samples::shared(), PageId::Welcome);
    bench.frame(0);
    let arrow = bench.cost(Event::Key(Key::Down));
    assert!(arrow <= 120, "an arrow costs {arrow} bytes");
    drop(bench.end(15));
}

#[test]
fn the_text_beside_a_list_follows_when_the_keys_rest() {
    for (page, key) in [
        (PageId::Role, Key::Up),
        (PageId::Options, Key::Down),
        (PageId::Firewall, Key::Down),
    ] {
        let bench = start(samples::shared(), page);
        bench.frame(0);
        let arrow = bench.cost(Event::Key(key));
        assert!(arrow <= 120, "{page:?}: an arrow costs {arrow} bytes");
        let text = bench.frame(2);
        assert!(text > 60, "{page:?}: the text came with {text} bytes");
        drop(bench.end(15));
    }
}

#[test]
fn a_rehearsal_costs_few_bytes() {
    let shared = Shared {
        rehearsal: Some(Attempt::Done(samples::red_rehearsal())),
        ..samples::shared()
    };
    let bench = start(shared, PageId::Preview);
    bench.frame(0);
    let page = bench.cost(Event::Key(Key::Enter));
    assert!(page <= 2500, "the page costs {page} bytes");
    let arrow = bench.cost(Event::Key(Key::Down));
    assert!(arrow <= 120, "an arrow costs {arrow} bytes");
    bench.cost(Event::Key(Key::F(5)));
    let before = bench.frames();
    let tick = bench.frame(before);
    assert!(tick <= 40, "a second of waiting costs {tick} bytes");
    drop(bench.end(15));
}

#[test]
fn a_countdown_ticks_by_itself_once_a_second_for_few_bytes() {
    let bench = start(waiting(2_950), PageId::Confirm);
    bench.frame(0);
    let begin = Instant::now();
    let costs: Vec<usize> = (1..=2).map(|before| bench.frame(before)).collect();
    let took = begin.elapsed();
    assert!(costs.iter().all(|cost| *cost <= 40), "{costs:?} bytes");
    assert!(took > Duration::from_millis(1_500), "two ticks in {took:?}");
    assert_eq!(bench.asked().first(), Some(&"flush"), "typed before the question");
    drop(bench.end(15));
}

#[test]
fn what_is_typed_before_a_question_cannot_answer_it() {
    let bench = start(waiting(60_000), PageId::Welcome);
    bench.frame(0);
    // All of it is in the channel before the question is asked.
    bench.send(Event::Progress(waiting(60_000).progress[0].clone()));
    for sign in "undo".chars() {
        bench.key(Key::Char(sign));
    }
    bench.key(Key::Enter);
    // Answered in order, so that nothing of the above can come later.
    bench.key(Key::Ctrl('l'));
    let Bench {
        messages,
        effects,
        end,
        asked,
        ..
    } = bench;
    messages.send(Message::Signal(15)).unwrap();
    end.join().unwrap();
    let effects: Vec<Effect> = effects.iter().collect();
    assert_eq!(effects, [Effect::Detect]);
    assert_eq!(*asked.lock().unwrap(), ["flush"]);
}

#[test]
fn a_dead_worker_ends_the_program_with_a_word() {
    let bench = start(samples::shared(), PageId::Welcome);
    bench.messages.send(Message::WorkerGone).unwrap();
    match bench.end.join().unwrap() {
        Ending::Quit(1, lines) => assert!(lines[0].contains("bug"), "{lines:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn suspend_redraw_and_look_are_done_at_once() {
    let bench = start(samples::shared(), PageId::Role);
    let first = bench.frame(0);
    let redrawn = bench.cost(Event::Key(Key::Ctrl('l')));
    assert!(redrawn >= first - 200, "{redrawn} of {first} bytes");
    bench.cost(Event::Key(Key::Ctrl('z')));
    assert_eq!(bench.asked(), ["suspend"]);
    bench.cost(Event::Key(Key::Ctrl('t')));
    let last = bench.wire.0.lock().unwrap().last().cloned().unwrap();
    assert!(last.is_ascii(), "{}", String::from_utf8_lossy(&last));
    drop(bench.end(15));
}
