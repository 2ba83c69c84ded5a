//! The pages as pictures, and as a person would use them.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Position;

use crate::answers::{Answers, Daemon, Legacy22};
use crate::catalogue::Catalogue;
use crate::facts::Facts;
use crate::transaction::Progress;
use crate::tui::samples;
use crate::tui::theme::{Glyphs, Look, Palette};
use crate::tui::wizard::{ALL_PAGES, Wizard};
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

#[test]
fn back_never_loses_an_answer() {
    let mut desk = Desk::at(PageId::Role);
    desk.keys(&[Key::Up, Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Ssh);
    desk.keys(&[Key::Backspace, Key::Char('9'), Key::Tab, Key::Down, Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Legacy22);
    desk.keys(&[Key::Down, Key::Esc, Key::Esc]);
    assert_eq!(desk.wizard.page(), PageId::Role);
    assert!(
        desk.picture().contains("(*) Enterprise Server"),
        "{}",
        desk.picture()
    );
    let answers = &desk.wizard.shared().answers;
    assert_eq!(answers.role, "enterprise-server");
    assert_eq!(answers.ssh.port, 33009);
    assert_eq!(answers.ssh.daemon, Daemon::Leave);
    assert_eq!(answers.ssh.legacy_22, Legacy22::Restrict);
    assert_eq!(answers.ssh.restrict_22_to, ["10.0.0.0/24".parse().unwrap()]);
}

#[test]
fn options_of_another_role_come_back_with_the_role() {
    let mut desk = Desk::at(PageId::Options);
    desk.keys(&[Key::Down, Key::Down, Key::Down, Key::Char(' ')]);
    assert_eq!(desk.wizard.shared().answers.web_ui.http, Some(80));
    let mut desk = Desk::with(desk.wizard.into_shared(), Look::FULL, PageId::Role);
    desk.keys(&[Key::Up]);
    assert_eq!(desk.wizard.shared().answers.web_ui.http, None);
    desk.keys(&[Key::Down]);
    assert_eq!(desk.wizard.shared().answers.web_ui.http, Some(80));
}

#[test]
fn what_is_no_port_stops_the_page_and_says_why() {
    let mut desk = Desk::at(PageId::Ssh);
    desk.keys(&[Key::Backspace; 5]).keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Ssh);
    assert!(desk.picture().contains("ERROR not a port"), "{}", desk.picture());
    desk.types("99999").keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Ssh);
    desk.keys(&[Key::Ctrl('u')]);
    assert!(desk.picture().contains("[33001 ]"), "{}", desk.picture());
    desk.keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Legacy22);
}

#[test]
fn a_port_that_another_program_uses_is_refused() {
    let mut shared = samples::shared();
    let mut other = shared.facts.listeners[0].clone();
    other.port = 33001;
    other.program = Some("nginx".into());
    shared.facts.listeners.push(other);
    let desk = Desk::with(shared, Look::FULL, PageId::Ssh);
    assert!(
        desk.picture().contains("ERROR  nginx listens on it"),
        "{}",
        desk.picture()
    );
}

#[test]
fn twenty_two_stays_open_only_after_its_words_were_typed() {
    let mut desk = Desk::at(PageId::Legacy22);
    desk.keys(&[Key::Down, Key::Down, Key::Down, Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Legacy22);
    assert_eq!(desk.wizard.shared().answers.ssh.legacy_22, Legacy22::Close);
    desk.event(&Event::Paste("open 22".into()));
    desk.keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Legacy22, "a paste is not typing");
    desk.types("open 22").keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Options);
    assert_eq!(desk.wizard.shared().answers.ssh.legacy_22, Legacy22::Keep);
    assert_eq!(desk.wizard.shared().answers.accept, ["FW001"]);
    desk.keys(&[Key::Esc, Key::Up, Key::Up, Key::Up]);
    assert_eq!(desk.wizard.shared().answers.ssh.legacy_22, Legacy22::Close);
    assert!(desk.wizard.shared().answers.accept.is_empty());
}

#[test]
fn twenty_two_can_stay_with_a_reminder_on_a_day_to_come() {
    let mut desk = Desk::at(PageId::Legacy22);
    desk.keys(&[Key::Down, Key::Down]);
    assert!(desk.picture().contains("[2026-12-23 ]"), "{}", desk.picture());
    let until = |desk: &Desk| desk.wizard.shared().answers.ssh.keep_22_until;
    assert_eq!(until(&desk).unwrap().to_string(), "2026-12-23");
    desk.keys(&[Key::Backspace; 10])
        .types("2026-11-23")
        .keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Legacy22, "today is no day to come");
    desk.keys(&[Key::Backspace; 10]).types("soon").keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Legacy22, "{}", desk.picture());
    assert_eq!(desk.wizard.shared().answers.ssh.legacy_22, Legacy22::Close);
    desk.keys(&[Key::Backspace; 4])
        .types("2027-01-31")
        .keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Options, "{}", desk.picture());
    assert_eq!(until(&desk).unwrap().to_string(), "2027-01-31");
}

#[test]
fn networks_that_leave_the_operator_out_are_warned_about() {
    let mut desk = Desk::at(PageId::Legacy22);
    desk.keys(&[Key::Down]).keys(&[Key::Backspace; 11]);
    assert!(
        desk.picture().contains("ERROR name at least one network"),
        "{}",
        desk.picture()
    );
    desk.types("2001:db8::/32, 192.0.2.0/24");
    assert!(
        desk.picture().contains("WARN your own address 10.0.0.7"),
        "{}",
        desk.picture()
    );
}

#[test]
fn pasted_networks_become_sources() {
    let mut desk = Desk::at(PageId::Options);
    desk.keys(&[Key::BackTab, Key::BackTab, Key::BackTab]);
    desk.event(&Event::Paste(
        "192.0.2.0/24\n2001:db8::/32\n198.51.100.7/32\n".into(),
    ));
    assert_eq!(
        desk.wizard.shared().answers.firewall.sources.len(),
        3,
        "{}",
        desk.picture()
    );
}

#[test]
fn leaving_asks_first_and_a_bare_enter_stays() {
    let mut desk = Desk::at(PageId::Role);
    desk.keys(&[Key::Ctrl('c')]);
    assert_eq!(desk.effects, [Effect::FlushInput]);
    desk.keys(&[Key::Enter]);
    assert!(!desk.effects.iter().any(|e| matches!(e, Effect::Quit(..))));
    desk.keys(&[Key::Char('q'), Key::Char('y'), Key::Enter]);
    assert!(
        matches!(desk.effects.last(), Some(Effect::Quit(3, _))),
        "{:?}",
        desk.effects
    );
}

#[test]
fn the_found_product_is_preselected_until_the_operator_chooses() {
    let mut shared = samples::shared();
    shared.answers.role = "client".into();
    let found = Event::Detected(Box::new(shared.facts.clone()));
    let mut desk = Desk::with(shared, Look::FULL, PageId::Role);
    desk.event(&found);
    assert_eq!(desk.wizard.shared().answers.role, "connect-server");
    desk.keys(&[Key::Up]);
    desk.event(&found);
    assert_eq!(desk.wizard.shared().answers.role, "enterprise-server");
}

#[test]
fn resumed_answers_are_filled_in_once() {
    let mut desk = Desk::with(remembered(), Look::FULL, PageId::Welcome);
    desk.keys(&[Key::Enter, Key::Enter, Key::Backspace, Key::Char('7')]);
    assert_eq!(desk.wizard.shared().answers.ssh.port, 33007);
    desk.keys(&[Key::Esc, Key::Esc, Key::Enter, Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Ssh);
    assert_eq!(desk.wizard.shared().answers.ssh.port, 33007);
}

#[test]
fn the_cursor_stands_on_the_focused_item_of_every_page() {
    for page in ALL_PAGES {
        let mut shared = Shared {
            kept: samples::kept(),
            status: Some(Box::new(samples::status())),
            ..samples::shared()
        };
        if page == PageId::Confirm {
            let trial = samples::trial(1, 90);
            shared.progress.push(Progress::Awaiting(Box::new(trial)));
        }
        let mut desk = Desk::with(shared, Look::FULL, page);
        for _ in 0..24 {
            if desk.wizard.page() != page {
                break;
            }
            let row = desk.cursor_row();
            let marked = row.contains('>') || row.contains('[') || row.contains("(*)");
            assert!(marked, "{page:?}: the cursor is in {row:?}\n{}", desk.picture());
            desk.keys(&[Key::Tab]);
        }
    }
}

/// A wizard with the roles of the real catalogue, on the page of roles.
fn real_roles() -> Desk {
    let roles = Catalogue::builtin().roles.clone();
    let shared = Shared {
        answers: Answers::for_role(&roles[0]),
        roles,
        ..samples::shared()
    };
    Desk::with(shared, Look::FULL, PageId::Role)
}

#[test]
fn every_role_can_be_walked_through_and_its_answers_are_good() {
    let count = Catalogue::builtin().roles.len();
    for number in 0..count {
        let mut desk = real_roles();
        desk.keys(&vec![Key::Down; number])
            .keys(&[Key::Enter, Key::Enter]);
        if desk.wizard.page() == PageId::Legacy22 {
            desk.keys(&[Key::Enter]);
        }
        assert_eq!(desk.wizard.page(), PageId::Options, "{}", desk.picture());
        // Everything that can be switched is switched on, each in its line.
        let offered = desk.picture().matches("[ ]").count();
        for _ in 0..12 {
            if desk.cursor_row().contains("[ ]") {
                desk.keys(&[Key::Char(' ')]);
            }
            desk.keys(&[Key::Down]);
        }
        assert!(!desk.picture().contains("[ ]"), "{offered}\n{}", desk.picture());
        let answers = &desk.wizard.shared().answers;
        assert_eq!(answers.check(Catalogue::builtin()), [], "{}", desk.picture());
        desk.keys(&[Key::Enter]);
        assert_eq!(desk.wizard.page(), PageId::Firewall, "{}", desk.picture());
    }
}

#[test]
fn ports_with_a_fixed_number_can_be_chosen() {
    let mut desk = real_roles();
    desk.keys(&[Key::Down, Key::Down, Key::Down]);
    let shared = desk.wizard.into_shared();
    assert_eq!(shared.answers.role, "high-speed-transfer-server");
    let mut desk = Desk::with(shared, Look::FULL, PageId::Options);
    insta::assert_snapshot!("options_of_hsts", desk.picture());
    for _ in 0..12 {
        if desk.cursor_row().contains("websocket") {
            break;
        }
        desk.keys(&[Key::Down]);
    }
    desk.keys(&[Key::Char(' ')]);
    assert_eq!(desk.wizard.shared().answers.extra, ["websocket"]);
    desk.keys(&[Key::Char(' ')]);
    assert_eq!(desk.wizard.shared().answers.extra, [""; 0]);
}

#[test]
fn two_services_on_one_port_stop_the_page() {
    let mut desk = Desk::at(PageId::Options);
    desk.keys(&[Key::Down, Key::Char(' '), Key::Right]);
    desk.keys(&[Key::Backspace; 4]).types("33001");
    assert!(desk.picture().contains("ERROR"), "{}", desk.picture());
    desk.keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Options);
}

#[test]
fn help_opens_on_every_page_and_closes_with_the_same_key() {
    for page in ALL_PAGES {
        for key in [Key::F(1), Key::Char('?')] {
            let mut desk = Desk::at(page);
            let before = desk.picture();
            desk.keys(&[key]);
            assert!(desk.picture().contains("Help: "), "{page:?}");
            assert!(desk.picture().contains("Keys here"), "{page:?}");
            desk.keys(&[key]);
            assert_eq!(desk.picture(), before, "{page:?}");
        }
    }
}

#[test]
fn a_countdown_on_a_small_screen_takes_the_words() {
    let mut shared = samples::shared();
    let trial = samples::trial(1, 90);
    let txn = trial.txn.clone();
    shared.progress.push(Progress::Awaiting(Box::new(trial)));
    let mut desk = Desk::with(shared, Look::FULL, PageId::Confirm).sized(60, 15);
    assert!(desk.picture().contains("undone in 90 s"), "{}", desk.picture());
    desk.keys(&[Key::Enter, Key::Char('q'), Key::Enter]);
    assert_eq!(desk.effects, []);
    desk.types("undo").keys(&[Key::Enter]);
    assert_eq!(desk.effects, [Effect::Undo(txn.clone())]);
    desk.types("keep").keys(&[Key::Enter]);
    assert_eq!(desk.effects.last(), Some(&Effect::Keep(txn)));
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        proptest::char::range(' ', '~').prop_map(Key::Char),
        proptest::char::range('a', 'z').prop_map(Key::Ctrl),
        (1u8..=12).prop_map(Key::F),
        proptest::sample::select(vec![
            Key::Up,
            Key::Down,
            Key::Left,
            Key::Right,
            Key::Home,
            Key::End,
            Key::PageUp,
            Key::PageDown,
            Key::Tab,
            Key::BackTab,
            Key::Enter,
            Key::Esc,
            Key::Backspace,
            Key::Delete,
            Key::Char('é'),
            Key::Char('日'),
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_keys_at_any_size_never_panic(
        start in proptest::sample::select(ALL_PAGES.to_vec()),
        keys in proptest::collection::vec(any_key(), 0..40),
        sizes in proptest::collection::vec((0u16..140, 0u16..60), 1..4),
    ) {
        let mut desk = Desk::with(remembered(), ASCII, start);
        for (part, size) in keys.chunks(keys.len() / sizes.len() + 1).zip(sizes) {
            desk = desk.sized(size.0, size.1);
            for key in part {
                desk.event(&Event::Key(*key));
                desk.event(&Event::Tick(250));
            }
            let _ = desk.screen();
        }
        // No key alone may do anything to the host.
        for effect in &desk.effects {
            let harmless = !matches!(effect, Effect::Keep(_) | Effect::PeerLogin);
            prop_assert!(harmless, "{effect:?}");
        }
    }
}
