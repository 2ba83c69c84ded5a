//! The terminal itself: raw mode, the alternate screen, its size, and giving it back in every case.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor::MoveTo, queue};
use ratatui::layout::Size;
use rustix::process::{Signal, getpgid, getpgrp, getpid, getppid, getsid, kill_process};
use rustix::termios::{Action, QueueSelector, tcflow, tcflush, tcgetwinsize, ttyname};

use crate::tui::theme::Surroundings;

/// Whether the terminal is in our hands. One for the process, because the panic hook must see it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, as long as it is ours; dropping it gives it back.
pub struct Tty(());

impl Tty {
    /// Takes the terminal: raw mode, alternate screen, bracketed paste. No question is sent to it.
    pub fn take() -> io::Result<Self> {
        let tty = Self(());
        enter()?;
        Ok(tty)
    }

    /// Stops this process until the shell brings it back with `fg`.
    ///
    /// `SIGSTOP`, because a `SIGTSTP` is dropped in a process group without a shell.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        RawOut.write_all(b"faspwall is suspended, fg brings it back. A running countdown goes on.\n")?;
        kill_process(getpid(), Signal::STOP)?;
        enter()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        give_back();
    }
}

/// Raw mode and the alternate screen.
fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    // GNU screen has no alternate screen by default: the one clearing makes sure that nothing shines through.
    let mut bytes = Vec::new();
    queue!(
        bytes,
        EnterAlternateScreen,
        EnableBracketedPaste,
        ResetColor,
        Clear(ClearType::All)
    )?;
    RawOut.write_all(&bytes)?;
    Ok(())
}

/// Gives the terminal back; harmless when that has been done. What cannot be written has nobody who would read it.
pub fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut bytes = Vec::new();
    // Cleared first: where there is no alternate screen to leave, the last picture would stay under the prompt.
    let queued = queue!(
        bytes,
        ResetColor,
        Show,
        DisableBracketedPaste,
        MoveTo(0, 0),
        Clear(ClearType::FromCursorDown),
        LeaveAlternateScreen
    );
    if queued.is_ok() {
        let _ = RawOut.write_all(&bytes);
    }
    let _ = disable_raw_mode();
}

/// Gives the terminal back before a panic prints its message.
pub fn install_panic_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        before(panic);
    }));
}

/// Standard output without std's own buffer, which would cut a frame into pieces of 1,024 bytes.
pub struct RawOut;

impl Write for RawOut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets a write that hangs in a stopped terminal (Ctrl-S, a line without a reader) come back: what it holds is dropped.
pub fn free_output() {
    let _ = tcflush(io::stdout(), QueueSelector::OFlush);
    let _ = tcflow(io::stdout(), Action::OOn);
}

/// Whether a shell would get the terminal when this process stops: not when it is the first of its session, or was
/// started by the first one without a process group of its own.
pub fn has_shell() -> bool {
    let Ok(session) = getsid(None) else {
        return false;
    };
    if session == getpid() {
        return false;
    }
    match getppid() {
        Some(parent) => parent != session || getpgid(Some(parent)).is_ok_and(|group| group != getpgrp()),
        None => false,
    }
}

/// Throws away what was typed and not read yet.
pub fn flush_input() {
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}

/// The size of the terminal. A serial line says 0x0: then it is the size that the pages are made for.
pub fn size() -> Size {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size::new(size.ws_col, size.ws_row),
        _ => Size::new(80, 24),
    }
}

/// What the environment and the terminal say about how faspwall shall look. Options are added by the caller.
pub fn surroundings(env: impl Fn(&str) -> Option<String>) -> Surroundings {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let tty = io::stdin().is_terminal() && io::stdout().is_terminal();
    Surroundings {
        term: env("TERM"),
        locale: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set),
        no_color: set("NO_COLOR").is_some(),
        accessible: set("ACCESSIBLE").is_some_and(|value| value != "0"),
        tty,
        tty_name: ttyname(io::stdout(), Vec::new())
            .ok()
            .map(|name| Path::new(&*name.to_string_lossy()).display().to_string()),
        sizeless: tty && tcgetwinsize(io::stdout()).is_ok_and(|size| size.ws_col == 0 || size.ws_row == 0),
        ..Surroundings::default()
    }
}
