//! Joins the line mode to two channels, a reader and a writer.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::tui::{Effect, Event, Shared, terminal};

use super::Plain;

/// How often the machine is told that time has passed, while it wants to know.
const TICK: Duration = Duration::from_millis(250);

/// What reaches the loop: events of the world and typed lines, in one order.
#[derive(Debug)]
pub enum Input {
    /// From the world.
    Event(Box<Event>),
    /// A line, or the end of the input.
    Line(Option<String>),
}

/// Reads lines until the end of the input and sends them on; runs on a thread of its own, because a read cannot be
/// given up. What is no UTF-8 is replaced, never fatal.
pub fn read_lines(mut reader: impl BufRead, inputs: &Sender<Input>) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let line = match reader.read_until(b'\n', &mut bytes) {
            Ok(0) => None,
            Ok(_) => Some(
                String::from_utf8_lossy(&bytes)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned(),
            ),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => None,
        };
        let last = line.is_none();
        if inputs.send(Input::Line(line)).is_err() || last {
            return;
        }
    }
}

/// Passes the events of the world on until it falls silent.
pub fn forward_events(events: Receiver<Event>, inputs: Sender<Input>) {
    thread::spawn(move || {
        for event in events {
            if inputs.send(Input::Event(Box::new(event))).is_err() {
                return;
            }
        }
    });
}

/// Runs the line mode on standard input and output until it ends; the exit status comes back.
///
/// Errors: as [`run`].
pub fn on_stdio(shared: Shared, effects: &Sender<Effect>, events: Receiver<Event>) -> io::Result<u8> {
    let (sender, inputs) = channel();
    forward_events(events, sender.clone());
    // The thread is left behind in its read when the program ends.
    thread::spawn(move || read_lines(io::stdin().lock(), &sender));
    run(
        &mut Plain::new(shared),
        &inputs,
        effects,
        terminal::flush_input,
        &mut io::stdout().lock(),
    )
}

/// Runs the line mode to its end. `flush` throws away what was typed and not read. Every other effect but `Quit` goes
/// to `effects`; the exit status comes back.
///
/// Errors: the writer failed. The guard is outside this program, so an open trial is undone all the same.
pub fn run(
    plain: &mut Plain,
    inputs: &Receiver<Input>,
    effects: &Sender<Effect>,
    flush: fn(),
    writer: &mut impl Write,
) -> io::Result<u8> {
    let mut output = Output {
        writer,
        at_prompt: false,
        flush,
    };
    let mut clock = Instant::now();
    let (lines, asked) = plain.start();
    output.print(&lines)?;
    if let Some(code) = perform(asked, effects, &mut output)? {
        return Ok(code);
    }
    loop {
        let input = if plain.wants_ticks() {
            inputs.recv_timeout(TICK)
        } else {
            Ok(wait(inputs))
        };
        let passed = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        if passed > 0 {
            clock = Instant::now();
            let answer = plain.event(&Event::Tick(passed));
            if let Some(code) = told(answer, effects, &mut output)? {
                return Ok(code);
            }
        }
        let answer = match input {
            Ok(Input::Event(event)) => plain.event(&event),
            Ok(Input::Line(line)) => {
                output.at_prompt = false;
                plain.line(line.as_deref())
            }
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => plain.line(None),
        };
        if let Some(code) = told(answer, effects, &mut output)? {
            return Ok(code);
        }
    }
}

/// A closed channel means that nobody is there any more: the end of the input.
fn wait(inputs: &Receiver<Input>) -> Input {
    inputs.recv().unwrap_or(Input::Line(None))
}

fn told<W: Write>(
    (lines, asked): (Vec<String>, Vec<Effect>),
    effects: &Sender<Effect>,
    output: &mut Output<'_, W>,
) -> io::Result<Option<u8>> {
    output.print(&lines)?;
    perform(asked, effects, output)
}

fn perform<W: Write>(
    asked: Vec<Effect>,
    effects: &Sender<Effect>,
    output: &mut Output<'_, W>,
) -> io::Result<Option<u8>> {
    for effect in asked {
        match effect {
            Effect::Quit(code, lines) => {
                output.print(&lines)?;
                return Ok(Some(code));
            }
            Effect::FlushInput => (output.flush)(),
            // Nobody performs effects any more: that is a bug, and its exit status is 1.
            other => {
                if effects.send(other).is_err() {
                    return Ok(Some(1));
                }
            }
        }
    }
    Ok(None)
}

struct Output<'w, W: Write> {
    writer: &'w mut W,
    /// The cursor stands behind a prompt.
    at_prompt: bool,
    flush: fn(),
}

impl<W: Write> Output<'_, W> {
    fn print(&mut self, lines: &[String]) -> io::Result<()> {
        for line in lines {
            if self.at_prompt {
                writeln!(self.writer)?;
            }
            self.at_prompt = line.ends_with(' ');
            if self.at_prompt {
                write!(self.writer, "{line}")?;
            } else {
                writeln!(self.writer, "{line}")?;
            }
        }
        self.writer.flush()
    }
}
