//! The terminal and the event loop. One thread reads the terminal, one waits for signals, one hands on what the worker
//! says; all of them send into one channel, and the calling thread draws. Nothing happens while nothing happens.

mod backend;
pub mod input;
mod reader;
#[cfg(test)]
mod tests;
mod tty;

use std::io::{self, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::layout::Size;

pub use backend::Lean;
pub use tty::{flush_input, size, surroundings};

use self::reader::Wake;
use self::tty::{RawOut, Tty};
use super::theme::Look;
use super::wizard::Wizard;
use super::{Effect, Event, PageId, Shared};

/// After a dangerous question keys are ignored for this long: what was on its way cannot answer it.
const DEAF: Duration = Duration::from_millis(300);

/// How the wizard is started.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lines and colours.
    pub look: Look,
    /// The first page.
    pub start: PageId,
    /// `--size`: taken instead of what the terminal says.
    pub size: Option<(u16, u16)>,
    /// How long after an `ESC` byte the rest of a key may come.
    pub escape_wait: Duration,
}

impl Options {
    /// How long to wait for the rest of a key: longer when the keys come over a network.
    pub fn escape_wait(over_ssh: bool) -> Duration {
        Duration::from_millis(if over_ssh { 100 } else { 60 })
    }
}

/// How the wizard ended.
#[derive(Debug)]
pub enum Ending {
    /// With this exit status and these lines for the normal screen.
    Quit(u8, Vec<String>),
    /// The operator wants to go on line by line.
    LineMode(Box<Shared>),
}

/// Why the wizard could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// The terminal refused.
    #[error(
        "the terminal cannot be used for pages ({0}); nothing was changed by that; `faspwall --plain` asks line by line"
    )]
    Refused(#[from] io::Error),
}

/// What reaches the drawing thread.
pub(crate) enum Message {
    /// For the wizard.
    Event(Event),
    /// The size may have changed.
    Resized,
    /// A signal asks to end.
    Signal(i32),
    /// The terminal is gone.
    Gone,
    /// The worker is gone.
    WorkerGone,
}

/// What the loop needs of the terminal beside drawing.
pub(crate) trait Device {
    /// Throws away what was typed and not read.
    fn flush_input(&mut self);
    /// Rings the bell.
    fn bell(&mut self);
    /// Stops until the shell continues it; says why when there is no shell.
    fn suspend(&mut self) -> Result<(), String>;
    /// The present size.
    fn size(&self) -> (u16, u16);
}

/// Runs the wizard until it ends. `effects` goes to the worker; what the worker answers comes through `events`.
pub fn run(
    shared: Shared,
    options: Options,
    effects: &Sender<Effect>,
    events: Receiver<Event>,
) -> Result<Ending, TerminalError> {
    tty::install_panic_hook();
    let (sender, messages) = channel();
    let fixed = options.size;
    let size = move || fixed.map_or_else(tty::size, |(width, height)| Size::new(width, height));
    let mut device = Real {
        tty: Tty::take()?,
        size: Box::new(size),
    };
    let wake = Wake::new()?;
    let keys = reader::keys(sender.clone(), options.escape_wait, &wake)?;
    let signals = reader::signals(sender.clone())?;
    reader::forward(events, sender);
    let mut terminal = Terminal::new(Lean::new(RawOut, size))?;
    let wizard = Wizard::new(shared, options.look, options.start);
    let ending = drive(&mut terminal, wizard, &mut device, effects, &messages);
    // The reader must not steal a line from whoever reads the terminal next.
    wake.stop();
    signals.close();
    reader::default_signals()?;
    let _ = keys.join();
    drop(device);
    Ok(ending?)
}

struct Real {
    tty: Tty,
    size: Box<dyn Fn() -> Size>,
}

impl Device for Real {
    fn flush_input(&mut self) {
        tty::flush_input();
    }

    fn bell(&mut self) {
        // A bell that cannot be rung is no reason to stop.
        let _ = RawOut.write_all(b"\x07");
    }

    fn suspend(&mut self) -> Result<(), String> {
        if !tty::has_shell() {
            return Err("no shell to go back to: Ctrl-Z does nothing here".to_owned());
        }
        self.tty.suspend().map_err(|error| error.to_string())
    }

    fn size(&self) -> (u16, u16) {
        let size = (self.size)();
        (size.width, size.height)
    }
}

/// The loop: draw, wait, update, act.
pub(crate) fn drive<B: Backend<Error = io::Error>>(
    terminal: &mut Terminal<B>,
    wizard: Wizard,
    device: &mut dyn Device,
    effects: &Sender<Effect>,
    messages: &Receiver<Message>,
) -> io::Result<Ending> {
    let mut driver = Driver {
        terminal,
        device,
        effects,
        wizard,
        deaf_until: None,
    };
    let (width, height) = driver.device.size();
    driver.wizard.update(&Event::Resize(width, height));
    driver.draw()?;
    let first = driver.wizard.start();
    let mut ending = driver.perform(first)?;
    let mut clock = Instant::now();
    while ending.is_none() {
        if driver.draw().is_err() {
            // A terminal that took the first picture and takes none now has been closed.
            ending = Some(ended_by(signal_hook::consts::SIGHUP));
            break;
        }
        let message = match driver.wizard.next_tick() {
            Some(millis) => messages.recv_timeout(Duration::from_millis(millis)),
            None => messages.recv().map_err(RecvTimeoutError::from),
        };
        if driver.wizard.next_tick().is_some() {
            let passed = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
            clock += Duration::from_millis(passed);
            let effects = driver.wizard.update(&Event::Tick(passed));
            ending = driver.perform(effects)?;
        } else {
            clock = Instant::now();
        }
        let mut next = message.ok();
        while let (Some(message), None) = (next.take(), &ending) {
            ending = driver.take(message)?;
            next = messages.try_recv().ok();
        }
    }
    Ok(match ending {
        Some(Stop::Quit(status, lines)) => Ending::Quit(status, lines),
        Some(Stop::LineMode) | None => Ending::LineMode(Box::new(driver.wizard.into_shared())),
    })
}

/// Why the loop stops.
enum Stop {
    Quit(u8, Vec<String>),
    LineMode,
}

struct Driver<'a, B: Backend> {
    terminal: &'a mut Terminal<B>,
    device: &'a mut dyn Device,
    effects: &'a Sender<Effect>,
    wizard: Wizard,
    /// Until when keys are thrown away.
    deaf_until: Option<Instant>,
}

impl<B: Backend<Error = io::Error>> Driver<'_, B> {
    fn draw(&mut self) -> io::Result<()> {
        let wizard = &self.wizard;
        self.terminal.draw(|frame| wizard.view(frame)).map(drop)
    }

    fn take(&mut self, message: Message) -> io::Result<Option<Stop>> {
        match message {
            Message::Event(Event::Key(_) | Event::Paste(_))
                if self.deaf_until.is_some_and(|until| Instant::now() < until) =>
            {
                Ok(None)
            }
            Message::Event(event) => {
                let effects = self.wizard.update(&event);
                self.perform(effects)
            }
            Message::Resized => {
                self.resized();
                Ok(None)
            }
            Message::Signal(number) => Ok(Some(ended_by(number))),
            Message::Gone => Ok(Some(ended_by(signal_hook::consts::SIGHUP))),
            Message::WorkerGone => Ok(Some(Stop::Quit(
                1,
                vec![
                    "faspwall: a part of the program ended that should not have; this is a bug.".to_owned(),
                    "what is open is undone by its guard; see: faspwall status".to_owned(),
                ],
            ))),
        }
    }

    fn resized(&mut self) {
        let (width, height) = self.device.size();
        self.wizard.update(&Event::Resize(width, height));
    }

    /// Performs what concerns the terminal and hands the rest to the worker.
    fn perform(&mut self, effects: Vec<Effect>) -> io::Result<Option<Stop>> {
        let mut stop = None;
        for effect in effects {
            match effect {
                Effect::Quit(status, lines) => stop = Some(Stop::Quit(status, lines)),
                Effect::LineMode => stop = Some(Stop::LineMode),
                Effect::FlushInput => {
                    self.device.flush_input();
                    self.deaf_until = Some(Instant::now() + DEAF);
                }
                Effect::Bell => self.device.bell(),
                Effect::Redraw => {
                    self.resized();
                    self.terminal.clear()?;
                }
                Effect::Suspend => match self.device.suspend() {
                    Ok(()) => {
                        self.resized();
                        self.terminal.clear()?;
                    }
                    Err(reason) => {
                        self.wizard.update(&Event::Failed(reason));
                    }
                },
                // A worker that is gone says so through its own channel.
                other => drop(self.effects.send(other)),
            }
        }
        Ok(stop)
    }
}

/// How a program that a signal ended leaves: 128 and the number.
fn ended_by(signal: i32) -> Stop {
    let name = match signal {
        signal_hook::consts::SIGHUP => "the terminal is gone",
        signal_hook::consts::SIGTERM => "ended by SIGTERM",
        signal_hook::consts::SIGINT => "ended by SIGINT",
        _ => "ended by a signal",
    };
    let status = u8::try_from(128 + signal).unwrap_or(255);
    Stop::Quit(
        status,
        vec![format!(
            "faspwall: {name}; a change that waits for its confirmation is undone by its guard."
        )],
    )
}
