//! The threads that wait: for keys, for signals, for the worker.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::{Handle, Signals};

use super::Message;
use super::input::{Decoder, Input};
use crate::tui::Event;

/// How long the drawing thread gets to end after a signal. It may hang in a write to a terminal that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Ends the key thread.
pub struct Wake {
    ours: UnixStream,
    theirs: UnixStream,
}

impl Wake {
    /// A wake-up line.
    pub fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok(Self { ours, theirs })
    }

    /// Ends the key thread.
    pub fn stop(&self) {
        let _ = (&self.ours).write_all(b"x");
    }
}

/// Reads keys until the terminal is gone or [`Wake::stop`] is called.
///
/// The poll reports a hang-up at once; crossterm's reader would spin on a terminal that is gone.
pub fn keys(sender: Sender<Message>, escape: Duration, wake: &Wake) -> io::Result<JoinHandle<()>> {
    let stop = wake.theirs.try_clone()?;
    Ok(thread::spawn(move || {
        let mut decoder = Decoder::default();
        loop {
            let inputs = match wait(&stop, decoder.patience(escape)) {
                Waited::Bytes(bytes) => decoder.feed(&bytes),
                Waited::Nothing => decoder.timeout(),
                Waited::Stop => return,
                Waited::Gone => {
                    let _ = sender.send(Message::Gone);
                    return;
                }
            };
            for input in inputs {
                let event = match input {
                    Input::Key(key) => Event::Key(key),
                    Input::Paste(text) => Event::Paste(text),
                };
                if sender.send(Message::Event(event)).is_err() {
                    return;
                }
            }
        }
    }))
}

enum Waited {
    Bytes(Vec<u8>),
    Nothing,
    Stop,
    Gone,
}

/// Waits for bytes, at most as long as the decoder has patience.
fn wait(stop: &UnixStream, patience: Option<Duration>) -> Waited {
    let stdin = io::stdin();
    let limit = patience.and_then(|time| Timespec::try_from(time).ok());
    let (key, stopped) = {
        let mut both = [
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut both, limit.as_ref()) {
            Ok(0) => return Waited::Nothing,
            Err(Errno::INTR) => return Waited::Bytes(Vec::new()),
            Err(_) => return Waited::Gone,
            Ok(_) => (both[0].revents(), both[1].revents()),
        }
    };
    if !stopped.is_empty() {
        return Waited::Stop;
    }
    if !key.contains(PollFlags::IN) {
        return Waited::Gone;
    }
    let mut buffer = [0; 4096];
    match rustix::io::read(&stdin, &mut buffer) {
        Ok(0) => Waited::Gone,
        Ok(count) => Waited::Bytes(buffer[..count].to_vec()),
        Err(Errno::INTR | Errno::AGAIN) => Waited::Bytes(Vec::new()),
        Err(_) => Waited::Gone,
    }
}

/// Waits for signals. One that asks to end must be obeyed even when the drawing thread hangs in a write.
pub fn signals(sender: Sender<Message>) -> io::Result<Handle> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGWINCH])?;
    let handle = signals.handle();
    thread::spawn(move || {
        for signal in &mut signals {
            let message = if signal == SIGWINCH {
                Message::Resized
            } else {
                Message::Signal(signal)
            };
            if sender.send(message).is_err() {
                return;
            }
            if signal != SIGWINCH {
                thread::sleep(LAST_WORDS);
                super::tty::free_output();
                super::tty::give_back();
                std::process::exit(128 + signal);
            }
        }
    });
    Ok(handle)
}

/// Lets signals that ask to end do so by themselves again, for whoever uses the terminal next.
pub fn default_signals() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        register_conditional_default(signal, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}

/// Hands on what the worker says, and says when there is no worker any more.
pub fn forward(events: Receiver<Event>, sender: Sender<Message>) {
    thread::spawn(move || {
        for event in events {
            if sender.send(Message::Event(event)).is_err() {
                return;
            }
        }
        let _ = sender.send(Message::WorkerGone);
    });
}
