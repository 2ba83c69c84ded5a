//! The pages as pictures.

mod person;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Position;

use crate::facts::Facts;
use crate::tui::samples;
use crate::tui::theme::{Glyphs, Look, Palette};
use crate::tui::wizard::Wizard;
use crate::tui::{Effect, Event, Key, PageId, Remembered, Shared};

const ASCII: Look = Look {
    glyphs: Glyphs::Ascii,
    palette: Palette::Colour,
};

/// A wizard and the screen it is drawn on.
struct Desk {
    wizard: Wizard,
    size: (u16, u16),
    effects: Vec<Effect>,
}

impl Desk {
    fn at(page: PageId) -> Self {
        Self::with(samples::shared(), Look::FULL, page)
    }

    fn with(shared: Shared, look: Look, page: PageId) -> Self {
        Self {
            wizard: Wizard::new(shared, look, page),
            size: (80, 24),
            effects: vec![],
        }
    }

    fn sized(mut self, width: u16, height: u16) -> Self {
        self.size = (width, height);
        self.event(&Event::Resize(width, height));
        self
    }

    fn event(&mut self, event: &Event) {
        let effects = self.wizard.update(event);
        self.effects.extend(effects);
    }

    fn keys(&mut self, keys: &[Key]) -> &mut Self {
        for key in keys {
            self.event(&Event::Key(*key));
        }
        self
    }

    fn types(&mut self, text: &str) -> &mut Self {
        for sign in text.chars() {
            self.event(&Event::Key(Key::Char(sign)));
        }
        self
    }

    fn screen(&self) -> (TestBackend, Option<Position>) {
        let (width, height) = self.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| self.wizard.view(frame)).unwrap();
        let visible = terminal.backend().cursor_visible();
        let at = terminal.backend().cursor_position();
        (terminal.backend().clone(), visible.then_some(at))
    }

    fn picture(&self) -> String {
        self.screen().0.to_string()
    }

    /// The row in which the hardware cursor stands.
    fn cursor_row(&self) -> String {
        let (screen, cursor) = self.screen();
        let at = cursor.expect("the cursor is visible");
        let buffer = screen.buffer();
        (0..buffer.area.width)
            .map(|x| buffer[(x, at.y)].symbol().to_owned())
            .collect()
    }
}

fn remembered() -> Shared {
    Shared {
        remembered: Some(Remembered {
            when: "2026-11-22 18:04".into(),
            page: "Preview".into(),
            answers: samples::answers(),
        }),
        ..samples::shared()
    }
}

#[test]
fn welcome() {
    let desk = Desk::with(remembered(), Look::FULL, PageId::Welcome);
    insta::assert_snapshot!(desk.picture());
}

#[test]
fn a_server_that_is_not_moved_is_named_beside_the_port() {
    let mut shared = samples::shared();
    shared.facts.ssh.daemon = "dropbear".into();
    let picture = Desk::with(shared.clone(), Look::FULL, PageId::Ssh).picture();
    let wanted = "dropbear does not listen on it yet, and step 7 will not change that";
    assert!(picture.contains(wanted), "{picture}");
    shared.facts.ssh.ports.push(33001);
    let picture = Desk::with(shared, Look::FULL, PageId::Ssh).picture();
    assert!(picture.contains("dropbear listens on it already"), "{picture}");
}

#[test]
fn welcome_before_the_first_answer() {
    let shared = Shared {
        facts: Facts::default(),
        detected: false,
        ..samples::shared()
    };
    insta::assert_snapshot!(Desk::with(shared, ASCII, PageId::Welcome).picture());
}

#[test]
fn role() {
    insta::assert_snapshot!(Desk::at(PageId::Role).picture());
}

#[test]
fn ssh_port() {
    insta::assert_snapshot!(Desk::at(PageId::Ssh).picture());
}

#[test]
fn legacy_22() {
    insta::assert_snapshot!(Desk::at(PageId::Legacy22).picture());
}

#[test]
fn options() {
    insta::assert_snapshot!(Desk::at(PageId::Options).picture());
}

#[test]
fn every_page_in_ascii() {
    for page in [PageId::Role, PageId::Ssh, PageId::Legacy22, PageId::Options] {
        let picture = Desk::with(samples::shared(), Look::BARE, page).picture();
        assert!(picture.is_ascii(), "{picture}");
        insta::assert_snapshot!(format!("ascii_{page:?}"), picture);
    }
}

#[test]
fn a_large_screen() {
    for page in [PageId::Welcome, PageId::Role, PageId::Options] {
        let desk = Desk::at(page).sized(132, 50);
        insta::assert_snapshot!(format!("large_{page:?}"), desk.picture());
    }
}

#[test]
fn help_and_question() {
    let mut desk = Desk::at(PageId::Ssh);
    desk.keys(&[Key::Char('?')]);
    insta::assert_snapshot!("help", desk.picture());
    desk.keys(&[Key::F(1), Key::F(10)]);
    insta::assert_snapshot!("question", desk.picture());
}

#[test]
fn too_small() {
    let desk = Desk::at(PageId::Role).sized(60, 15);
    insta::assert_snapshot!(desk.picture());
}
