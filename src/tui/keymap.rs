//! One table of keys: from it come what a key does, line 24 of every page, and the help page.
//!
//! No single letter changes the firewall. Alt is not used (it is Esc and a key on a serial line), nor Ctrl-S, Ctrl-Q
//! (flow control), Ctrl-A and Ctrl-B d (screen, tmux). Every function key has a letter for consoles that eat it.

use super::{Key, PageId};

/// What the wizard itself does with a key, on every page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Shows the help.
    Help,
    /// Presses the page's Back or Close button.
    Back,
    /// Leaves, after asking.
    Quit,
    /// Clears and draws again.
    Redraw,
    /// Changes lines and colours.
    Look,
    /// Gives the terminal back to the shell.
    Suspend,
}

/// A key that means the same on every page.
#[derive(Debug, Clone, Copy)]
pub struct Global {
    /// The key.
    pub key: Key,
    /// The letter that stands for it outside text fields.
    pub letter: Option<char>,
    /// As the help prints it.
    pub names: &'static str,
    /// What it does, for the help.
    pub does: &'static str,
    /// For line 24, where it is worth the room.
    pub short: Option<&'static str>,
    /// What the wizard does; `None` when the page does something.
    pub command: Option<Command>,
}

const fn global(key: Key, letter: Option<char>, names: &'static str, does: &'static str) -> Global {
    Global {
        key,
        letter,
        names,
        does,
        short: None,
        command: None,
    }
}

impl Global {
    const fn short(mut self, short: &'static str) -> Self {
        self.short = Some(short);
        self
    }

    const fn command(mut self, command: Command) -> Self {
        self.command = Some(command);
        self
    }
}

/// The keys of every page.
pub const EVERYWHERE: &[Global] = &[
    global(Key::Up, Some('k'), "Up Down", "move in a list"),
    global(Key::Down, Some('j'), "Ctrl-P Ctrl-N", "the same"),
    global(Key::PageDown, None, "PgUp PgDn", "scroll (Ctrl-B Ctrl-F)"),
    global(Key::Tab, None, "Tab Shift-Tab", "next, previous part"),
    global(Key::Char(' '), None, "Space", "select, toggle"),
    global(Key::Enter, None, "Enter", "press the >[ ]< part"),
    global(Key::Esc, Some('b'), "Esc  b", "back, answers kept")
        .short("Esc back")
        .command(Command::Back),
    global(Key::F(1), Some('?'), "F1   ?", "this help")
        .short("F1/? help")
        .command(Command::Help),
    global(Key::F(2), Some('w'), "F2   w", "why, with source"),
    global(Key::F(3), Some('/'), "F3   /", "a list, or search"),
    global(Key::F(5), Some('r'), "F5   r", "look again"),
    global(Key::F(10), Some('q'), "F10  q", "quit, asks first")
        .short("F10 quit")
        .command(Command::Quit),
    global(Key::Ctrl('c'), None, "Ctrl-C", "the same").command(Command::Quit),
    global(Key::Ctrl('l'), None, "Ctrl-L", "draw again").command(Command::Redraw),
    global(Key::Ctrl('t'), None, "Ctrl-T", "ASCII, colours").command(Command::Look),
    global(Key::Ctrl('z'), None, "Ctrl-Z", "shell; fg comes back").command(Command::Suspend),
];

/// A key of one page.
#[derive(Debug, Clone, Copy)]
pub struct Own {
    /// The letters that this page takes for itself.
    pub letters: &'static [char],
    /// As line 24 and the help print it.
    pub names: &'static str,
    /// What it does.
    pub does: &'static str,
}

const fn own(names: &'static str, does: &'static str) -> Own {
    Own {
        letters: &[],
        names,
        does,
    }
}

const fn letters(letters: &'static [char], names: &'static str, does: &'static str) -> Own {
    Own { letters, names, does }
}

const WELCOME: &[Own] = &[
    own("Enter", "next"),
    own("Up/Down", "choose"),
    own("Tab", "part"),
    own("F5", "check again"),
];
const ROLE: &[Own] = &[
    own("Up/Down", "choose"),
    own("Enter", "next"),
    own("Tab", "buttons"),
    own("F2", "why"),
];
const SSH: &[Own] = &[
    own("0-9", "type"),
    own("Tab", "part"),
    own("Enter", "next"),
    own("Ctrl-U", "usual"),
    own("F2", "why"),
];
const LEGACY_22: &[Own] = &[
    own("Up/Down", "choose"),
    own("Enter", "next"),
    own("F2", "why and source"),
];
const OPTIONS: &[Own] = &[
    own("Up/Down", "line"),
    own("Space", "toggle"),
    own("Tab", "field"),
    own("Enter", "next"),
    own("F2", "why"),
];
const FIREWALL: &[Own] = &[
    own("Up/Down", "choose"),
    own("Space", "select"),
    own("Enter", "next"),
    own("F2", "why"),
    own("F3", "others"),
    own("F5", "look again"),
];
const PREVIEW: &[Own] = &[
    letters(&['1', '2', '3', '4'], "1-4", "tabs"),
    own("PgDn", "scroll"),
    own("/", "search"),
    letters(&['s'], "s", "save"),
    own("F2", "why"),
];
const REHEARSAL: &[Own] = &[
    own("Up/Down", "line"),
    own("F2", "details"),
    own("F3", "how"),
    letters(&['s'], "s", "save"),
    letters(&['a'], "a", "all ports"),
    own("F5", "again"),
];
const APPLY: &[Own] = &[
    own("Enter", "stop and undo"),
    own("Ctrl-C", "asks first"),
    own("F3", "full output"),
];
const CONFIRM: &[Own] = &[
    own("keep/undo + Enter", ""),
    letters(&['+'], "+", "one minute more"),
    own("Tab", "buttons"),
    own("Ctrl-C", "undo"),
];
const DONE: &[Own] = &[
    own("Enter", "finish"),
    letters(&['s'], "s", "save report"),
    letters(&['d'], "d", "status"),
];
const SNAPSHOTS: &[Own] = &[
    own("Up/Down", "choose"),
    own("Enter", "go back (asks)"),
    own("F5", "read again"),
];
const STATUS: &[Own] = &[
    own("F5", "refresh"),
    letters(&['s'], "s", "snapshots"),
    letters(&['e'], "e", "reconfigure"),
];

/// The keys of a page, the most useful first.
pub fn own_keys(page: PageId) -> &'static [Own] {
    match page {
        PageId::Welcome => WELCOME,
        PageId::Role => ROLE,
        PageId::Ssh => SSH,
        PageId::Legacy22 => LEGACY_22,
        PageId::Options => OPTIONS,
        PageId::Firewall => FIREWALL,
        PageId::Preview => PREVIEW,
        PageId::Rehearsal => REHEARSAL,
        PageId::Apply => APPLY,
        PageId::Confirm => CONFIRM,
        PageId::Done => DONE,
        PageId::Snapshots => SNAPSHOTS,
        PageId::Status => STATUS,
    }
}

/// Whether Esc and `b` lead away from a page.
fn has_back(page: PageId) -> bool {
    !matches!(
        page,
        PageId::Welcome | PageId::Apply | PageId::Confirm | PageId::Done | PageId::Status
    )
}

/// Line 24: what the page's own keys do, then the common ones, as many as fit. The help is always among them.
pub fn line(page: PageId, width: u16) -> String {
    let help = EVERYWHERE
        .iter()
        .find(|global| global.command == Some(Command::Help))
        .and_then(|global| global.short)
        .unwrap_or_default();
    let room = usize::from(width).saturating_sub(1);
    let mut line = String::new();
    let mut add = |hint: &str, room: usize| {
        if line.len() + 2 + hint.len() <= room {
            line.push_str(if line.is_empty() { " " } else { "  " });
            line.push_str(hint);
        }
    };
    for own in own_keys(page) {
        let hint = format!("{} {}", own.names, own.does);
        add(hint.trim_end(), room.saturating_sub(help.len() + 2));
    }
    add(help, room);
    let stays = matches!(page, PageId::Apply | PageId::Confirm);
    for global in EVERYWHERE {
        match (global.command, global.short) {
            (Some(Command::Back), Some(short)) if has_back(page) => add(short, room),
            (Some(Command::Quit), Some(short)) if !stays => add(short, room),
            _ => {}
        }
    }
    line
}

/// The key that a letter stands for. Inside a text field only `?` is not text.
pub fn canonical(key: Key, page: PageId, in_text_field: bool) -> Key {
    let Key::Char(letter) = key else {
        return key;
    };
    if letter != '?' && (in_text_field || own_keys(page).iter().any(|own| own.letters.contains(&letter))) {
        return key;
    }
    EVERYWHERE
        .iter()
        .find(|global| global.letter == Some(letter))
        .map_or(key, |global| global.key)
}

/// What the wizard does with a key before the page sees it.
pub fn command(key: Key) -> Option<Command> {
    EVERYWHERE
        .iter()
        .find(|global| global.key == key)
        .and_then(|global| global.command)
}

/// The help page: what this page is about, its keys, and the keys of every page.
pub fn help(page: PageId, about: &[(&str, &str)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (term, text) in about {
        for (number, piece) in super::widgets::wrap(text, 56).iter().enumerate() {
            let term = if number == 0 { *term } else { "" };
            lines.push(format!("{term:<13} {piece}"));
        }
    }
    lines.push(String::new());
    lines.push("Keys here".to_owned());
    lines.extend(
        own_keys(page)
            .iter()
            .map(|own| format!("  {:<18} {}", own.names, own.does)),
    );
    lines.push(String::new());
    lines.push("Keys everywhere".to_owned());
    lines.extend(
        EVERYWHERE
            .iter()
            .map(|global| format!("  {:<18} {}", global.names, global.does)),
    );
    lines.push(String::new());
    lines.push("The letters work outside text fields, for keyboards without function keys.".to_owned());
    lines.push("Line mode for screen readers: leave, then start  faspwall --plain".to_owned());
    lines.push("Safe to leave: nothing is changed before step 7.".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_text_inside_a_field_and_keys_outside() {
        assert_eq!(canonical(Key::Char('b'), PageId::Role, false), Key::Esc);
        assert_eq!(canonical(Key::Char('b'), PageId::Ssh, true), Key::Char('b'));
        assert_eq!(canonical(Key::Char('?'), PageId::Ssh, true), Key::F(1));
        assert_eq!(canonical(Key::Char('q'), PageId::Role, false), Key::F(10));
    }

    #[test]
    fn line_24_fits_and_names_the_help() {
        for page in crate::tui::wizard::ALL_PAGES {
            let line = line(page, 80);
            assert!(line.len() < 80, "{line}");
            assert!(line.contains("F1/? help"), "{page:?}: {line}");
        }
    }
}
