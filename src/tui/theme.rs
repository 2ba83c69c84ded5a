//! How the wizard looks: box or ASCII lines, colour or not, and who decides it.
//!
//! Pages always draw box characters and colours. [`Look::apply`] turns the finished picture into what the terminal can
//! show, so that no page can forget it and nothing that a host says (its name, a user's name) can break it.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::Tone;
use crate::harmless::is_tricky;

/// The characters that lines are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyphs {
    /// Single and double lines, which every console font has.
    Box,
    /// `+`, `-`, `|`, `=` and nothing outside of ASCII.
    Ascii,
}

/// Whether colours are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// The eight base colours.
    Colour,
    /// Bold, underline and reverse only.
    Mono,
}

/// Glyphs and palette together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Lines.
    pub glyphs: Glyphs,
    /// Colours.
    pub palette: Palette,
}

impl Look {
    /// Box characters and colours.
    pub const FULL: Self = Self {
        glyphs: Glyphs::Box,
        palette: Palette::Colour,
    };
    /// What every terminal can show.
    pub const BARE: Self = Self {
        glyphs: Glyphs::Ascii,
        palette: Palette::Mono,
    };

    /// The look that Ctrl-T goes to: box and colour, ASCII and colour, ASCII alone, box alone.
    #[must_use]
    pub fn next(self) -> Self {
        let (glyphs, palette) = match (self.glyphs, self.palette) {
            (Glyphs::Box, Palette::Colour) => (Glyphs::Ascii, Palette::Colour),
            (Glyphs::Ascii, Palette::Colour) => (Glyphs::Ascii, Palette::Mono),
            (Glyphs::Ascii, Palette::Mono) => (Glyphs::Box, Palette::Mono),
            (Glyphs::Box, Palette::Mono) => (Glyphs::Box, Palette::Colour),
        };
        Self { glyphs, palette }
    }

    /// The look in words, for the message line.
    pub fn describe(self) -> &'static str {
        match (self.glyphs, self.palette) {
            (Glyphs::Box, Palette::Colour) => "line characters, colours",
            (Glyphs::Ascii, Palette::Colour) => "ASCII, colours",
            (Glyphs::Ascii, Palette::Mono) => "ASCII, no colours",
            (Glyphs::Box, Palette::Mono) => "line characters, no colours",
        }
    }

    /// Turns a picture drawn with box characters and colours into one that this look allows.
    pub fn apply(self, picture: &mut Buffer) {
        for cell in &mut picture.content {
            if self.palette == Palette::Mono {
                cell.fg = Color::Reset;
                cell.bg = Color::Reset;
            }
            if self.glyphs == Glyphs::Ascii && !cell.symbol().is_ascii() {
                let plain = cell.symbol().chars().next().map_or(' ', ascii);
                cell.set_char(plain);
            }
            // A control character would move the cursor or worse; ratatui filters them, this makes sure.
            if cell.symbol().chars().any(is_tricky) {
                cell.set_char('?');
            }
        }
    }
}

/// The ASCII character that stands for a box character or another sign; `?` for what cannot be shown.
fn ascii(sign: char) -> char {
    match sign {
        '─' => '-',
        '│' | '║' => '|',
        '═' => '=',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╔' | '╗' | '╚' | '╝' => {
            '+'
        }
        _ => '?',
    }
}

/// What `--plain`, `--ascii`, `--mono` and their opposites ask for, and what is known of the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `--plain`
    pub plain: bool,
    /// `--ascii` or `--unicode`
    pub glyphs: Option<Glyphs>,
    /// `--mono` or `--colour`
    pub palette: Option<Palette>,
    /// `TERM`
    pub term: Option<String>,
    /// The first of `LC_ALL`, `LC_CTYPE`, `LANG` that is not empty.
    pub locale: Option<String>,
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `ACCESSIBLE` is set and neither empty nor `0`.
    pub accessible: bool,
    /// Standard input and standard output are terminals.
    pub tty: bool,
    /// Path of the terminal, `/dev/ttyS0`.
    pub tty_name: Option<String>,
    /// The terminal says that it has no size: a serial line.
    pub sizeless: bool,
}

/// Which face faspwall shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One question, one line.
    Plain,
    /// The pages.
    Pages(Look),
}

impl Surroundings {
    /// Decides; the first rule that fits wins, for lines and for colours separately.
    pub fn mode(&self) -> Mode {
        let term = self.term.as_deref().unwrap_or_default();
        if self.plain || self.accessible || !self.tty || term.is_empty() || term == "dumb" {
            return Mode::Plain;
        }
        let serial = self.sizeless || self.tty_name.as_deref().is_some_and(is_serial);
        let mono_terminal =
            ["vt100", "vt102", "vt220"].contains(&term) || term.ends_with("-m") || term.ends_with("-mono");
        let glyphs = self.glyphs.unwrap_or(if serial || !self.utf8() {
            Glyphs::Ascii
        } else {
            Glyphs::Box
        });
        let palette = self
            .palette
            .unwrap_or(if serial || self.no_color || mono_terminal {
                Palette::Mono
            } else {
                Palette::Colour
            });
        Mode::Pages(Look { glyphs, palette })
    }

    /// Whether the locale says that the terminal understands UTF-8.
    fn utf8(&self) -> bool {
        let locale = self.locale.as_deref().unwrap_or_default().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    }
}

/// Whether a terminal is a serial line or the console of a hypervisor, by the name of its device.
fn is_serial(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    ["ttyS", "ttyAMA", "ttyUSB", "ttysclp", "hvc"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Plain text.
pub const PLAIN: Style = Style::new();
/// A heading.
pub const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// The host line, the key line, the focused item.
pub const REVERSE: Style = Style::new().add_modifier(Modifier::REVERSED);
/// Beside `ok` and `+`.
pub const GOOD: Style = Style::new().fg(Color::Green);
/// Beside `WARN`.
pub const WARN: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
/// Beside `ERROR` and `-`.
pub const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// Frames.
pub const FRAME: Style = Style::new().fg(Color::Cyan);

impl Tone {
    /// The word that says it; colour only repeats the word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "ok",
            Self::Warn => "WARN",
            Self::Bad => "ERROR",
            Self::Busy => "..",
        }
    }

    /// The style of that word.
    pub fn style(self) -> Style {
        match self {
            Self::Plain | Self::Busy => PLAIN,
            Self::Good => GOOD,
            Self::Warn => WARN,
            Self::Bad => BAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xterm() -> Surroundings {
        Surroundings {
            term: Some("xterm-256color".into()),
            locale: Some("en_US.UTF-8".into()),
            tty: true,
            ..Surroundings::default()
        }
    }

    fn look(change: impl FnOnce(&mut Surroundings)) -> Mode {
        let mut surroundings = xterm();
        change(&mut surroundings);
        surroundings.mode()
    }

    #[test]
    fn a_modern_terminal_gets_lines_and_colours() {
        assert_eq!(xterm().mode(), Mode::Pages(Look::FULL));
        assert_eq!(look(|s| s.term = Some("linux".into())), Mode::Pages(Look::FULL));
    }

    #[test]
    fn line_mode_is_taken_where_pages_cannot_be_read() {
        assert_eq!(look(|s| s.plain = true), Mode::Plain);
        assert_eq!(look(|s| s.accessible = true), Mode::Plain);
        assert_eq!(look(|s| s.tty = false), Mode::Plain);
        assert_eq!(look(|s| s.term = Some("dumb".into())), Mode::Plain);
        assert_eq!(look(|s| s.term = None), Mode::Plain);
    }

    #[test]
    fn serial_lines_are_bare_unless_told_otherwise() {
        assert_eq!(
            look(|s| s.tty_name = Some("/dev/ttyS0".into())),
            Mode::Pages(Look::BARE)
        );
        assert_eq!(look(|s| s.sizeless = true), Mode::Pages(Look::BARE));
        assert_eq!(
            look(|s| {
                s.sizeless = true;
                s.palette = Some(Palette::Colour);
            }),
            Mode::Pages(Look {
                glyphs: Glyphs::Ascii,
                palette: Palette::Colour
            })
        );
    }

    #[test]
    fn locale_decides_lines_and_no_color_decides_colours() {
        assert_eq!(
            look(|s| s.locale = Some("C".into())),
            Mode::Pages(Look {
                glyphs: Glyphs::Ascii,
                palette: Palette::Colour
            })
        );
        assert_eq!(
            look(|s| s.no_color = true),
            Mode::Pages(Look {
                glyphs: Glyphs::Box,
                palette: Palette::Mono
            })
        );
        assert_eq!(
            look(|s| s.term = Some("vt220".into())),
            Mode::Pages(Look {
                glyphs: Glyphs::Box,
                palette: Palette::Mono
            })
        );
    }

    #[test]
    fn four_times_ctrl_t_comes_back() {
        assert_eq!(Look::FULL.next().next().next().next(), Look::FULL);
    }

    #[test]
    fn the_bare_look_leaves_neither_colour_nor_a_foreign_sign() {
        let mut picture = Buffer::with_lines(["┌─═║ käse 日本"]);
        picture.set_style(picture.area, BAD);
        Look::BARE.apply(&mut picture);
        assert!(picture.content.iter().all(|c| c.symbol().is_ascii()));
        assert!(picture.content.iter().all(|c| c.fg == Color::Reset));
        assert!(
            picture
                .content
                .iter()
                .all(|c| c.modifier.contains(Modifier::BOLD))
        );
    }
}
