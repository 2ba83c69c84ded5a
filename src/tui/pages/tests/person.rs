//! The wizard as a person uses it, and as a cat on the keyboard does.

use proptest::prelude::*;

use super::{ASCII, Desk, remembered};
use crate::answers::{Answers, AsperaConf, Daemon, Legacy22};
use crate::catalogue::Catalogue;
use crate::facts::Facts;
use crate::transaction::{Progress, Reminder, Status};
use crate::tui::samples;
use crate::tui::theme::Look;
use crate::tui::wizard::ALL_PAGES;
use crate::tui::{Effect, Event, Key, PageId, Shared};

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
fn a_start_during_a_countdown_shows_it_and_after_an_interruption_the_status() {
    let mut desk = Desk::at(PageId::Confirm);
    assert_eq!(
        desk.wizard.start(),
        [Effect::FlushInput, Effect::Status, Effect::Detect]
    );
    let open = Status {
        open: Some(samples::trial(2, 70)),
        ..samples::status()
    };
    desk.event(&Event::Status(Box::new(open)));
    assert_eq!(desk.wizard.page(), PageId::Confirm);
    assert!(desk.picture().contains("1 min 10 s"), "{}", desk.picture());

    let mut desk = Desk::at(PageId::Confirm);
    desk.event(&Event::Status(Box::new(Status {
        interrupted: Some(samples::txn()),
        ..samples::status()
    })));
    assert_eq!(desk.wizard.page(), PageId::Status);

    let mut desk = Desk::at(PageId::Confirm);
    desk.keys(&[Key::Ctrl('c')]);
    assert!(
        matches!(desk.effects.last(), Some(Effect::Quit(0, _))),
        "{:?}",
        desk.effects
    );
}

#[test]
fn a_22_that_was_kept_is_reminded_of_and_closed_from_the_status_page() {
    let mut desk = Desk::at(PageId::Status);
    let day = |day| jiff::civil::date(2026, 12, day);
    let mut answers = samples::answers();
    answers.role = String::from("high-speed-transfer-server");
    desk.event(&Event::Status(Box::new(Status {
        reminder: Some(Reminder::on(day(20), day(23))),
        close_22: Some(Box::new(answers)),
        ..samples::status()
    })));
    let picture = desk.picture();
    for text in [
        "REMINDER",
        "on 2026-12-23, in 3 days",
        "faspwall close-22",
        "Close 22...",
    ] {
        assert!(picture.contains(text), "{text}: {picture}");
    }
    desk.keys(&[Key::Enter]);
    assert_eq!(desk.wizard.page(), PageId::Preview);
    assert_eq!(desk.wizard.shared().answers.role, "high-speed-transfer-server");
    assert!(
        matches!(desk.effects.last(), Some(Effect::Preview(_))),
        "{:?}",
        desk.effects
    );
}

#[test]
fn the_ports_in_aspera_conf_are_set_when_that_is_marked() {
    let mut shared = samples::shared();
    let aspera = shared.facts.aspera.as_mut().expect("a product");
    aspera.conf = Some("/opt/aspera/etc/aspera.conf".into());
    aspera.ssh_port = Some(22);
    let mut desk = Desk::with(shared, Look::FULL, PageId::Options);
    let conf = |desk: &Desk| desk.wizard.shared().answers.aspera_conf;
    assert!(
        desk.picture()
            .contains("[ ] set the ports in aspera.conf too   (1 value differs)"),
        "{}",
        desk.picture()
    );
    desk.keys(&[Key::BackTab, Key::BackTab, Key::BackTab, Key::Char(' ')]);
    assert_eq!(conf(&desk), AsperaConf::Set, "{}", desk.picture());
    desk.keys(&[Key::Char(' ')]);
    assert_eq!(conf(&desk), AsperaConf::Leave);
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
    assert_eq!(desk.effects.last(), Some(&Effect::Keep(txn, 1)));
}

/// Hosts of all kinds: looked at, not looked at yet, in a trial, without any role.
fn any_host(number: usize) -> Shared {
    let mut shared = remembered();
    match number {
        0 => {}
        1 => {
            shared.facts = Facts::default();
            shared.detected = false;
            shared.preview = None;
        }
        2 => {
            let trial = samples::trial(2, 7);
            shared.progress.push(Progress::Awaiting(Box::new(trial)));
            shared.status = Some(Box::new(samples::status()));
            shared.kept = samples::kept();
        }
        _ => shared.roles.clear(),
    }
    shared
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
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_keys_at_any_size_never_panic(
        start in proptest::sample::select(ALL_PAGES.to_vec()),
        host in 0usize..4,
        keys in proptest::collection::vec(any_key(), 0..40),
        sizes in proptest::collection::vec((0u16..140, 0u16..60), 1..4),
    ) {
        let mut desk = Desk::with(any_host(host), ASCII, start);
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
            let harmless = !matches!(effect, Effect::Keep(..) | Effect::PeerLogin);
            prop_assert!(harmless, "{effect:?}");
        }
    }
}
