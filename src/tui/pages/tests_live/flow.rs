//! All pages together, and any input at all.

use proptest::prelude::*;

use super::*;

const LIVE: [PageId; 8] = [
    PageId::Firewall,
    PageId::Preview,
    PageId::Rehearsal,
    PageId::Apply,
    PageId::Confirm,
    PageId::Done,
    PageId::Snapshots,
    PageId::Status,
];

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        prop::sample::select("yknpsaed1234+/?bqruwo ".chars().collect::<Vec<_>>()).prop_map(Key::Char),
        any::<char>().prop_map(Key::Char),
        prop::sample::select(vec![
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
            Key::F(1),
            Key::F(2),
            Key::F(3),
            Key::F(5),
            Key::F(10),
            Key::Ctrl('c'),
            Key::Ctrl('t'),
            Key::Ctrl('u'),
        ]),
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![
        samples::outcome(true),
        samples::outcome(false),
        samples::incomplete(),
    ])
}

fn any_attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![
        prop::sample::select(vec![
            samples::rehearsal(),
            samples::red_rehearsal(),
            samples::swept_rehearsal(),
            crate::matrix::Rehearsal::default(),
        ])
        .prop_map(Attempt::Done),
        ".{0,200}".prop_map(Attempt::Unavailable),
        ".{0,200}".prop_map(Attempt::Broken),
        ".{0,90}".prop_map(|stage| Attempt::Running { stage, millis: 0 }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any_key().prop_map(Event::Key),
        1 => ".{0,30}".prop_map(Event::Paste),
        1 => (1u16..220, 1u16..70).prop_map(|(w, h)| Event::Resize(w, h)),
        1 => (0u64..130_000).prop_map(Event::Tick),
        1 => Just(Event::Detected(Box::new(samples::refused_facts()))),
        1 => Just(Event::Detected(Box::default())),
        1 => Just(Event::Previewed(Box::new(samples::preview()))),
        2 => any_attempt().prop_map(|attempt| Event::Rehearsal(Box::new(attempt))),
        1 => Just(Event::Status(Box::new(samples::status()))),
        1 => Just(Event::Kept(vec![])),
        1 => ".{0,200}".prop_map(Event::Failed),
        1 => Just(Event::Progress(samples::steps(Phase::Trial1))),
        1 => (0usize..9).prop_map(|number| Event::Progress(samples::started(number))),
        1 => (0usize..9, any::<u64>()).prop_map(|(number, millis)| Event::Progress(Progress::Finished { number, millis })),
        1 => (1u8..3, 0u64..400).prop_map(|(n, s)| Event::Progress(Progress::Awaiting(Box::new(samples::trial(n, s))))),
        1 => any_outcome().prop_map(|o| Event::Progress(Progress::RolledBack(Box::new(o)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_keys_events_or_sizes_panic_and_the_cursor_is_always_seen(
        start in prop::sample::select(&LIVE[..]),
        size in (1u16..200, 1u16..60),
        events in prop::collection::vec(any_event(), 0..40),
    ) {
        let shared = Shared { kept: samples::kept(), ..samples::shared() };
        let mut stage = Stage::sized(start, shared, Look::FULL, size);
        for event in events {
            if let Event::Resize(width, height) = event {
                stage.size = (width, height);
            }
            stage.told(event);
            let (text, cursor) = stage.drawn();
            if stage.size.0 >= 80 && stage.size.1 >= 24 {
                prop_assert!(cursor.is_some(), "{text}");
            }
        }
    }
}

#[test]
fn started_during_a_countdown_the_status_brings_it() {
    let mut stage = Stage::new(PageId::Confirm, samples::shared());
    assert!(asked(&stage.wizard.start(), |e| *e == Effect::Status));
    let mut status = samples::status();
    status.open = Some(samples::seen(samples::trial(2, 61)));
    stage.told(Event::Status(Box::new(status)));
    assert!(stage.picture().contains("1 min 01 s"), "{}", stage.picture());
    let mut stage = Stage::new(PageId::Confirm, samples::shared());
    let mut status = samples::status();
    status.interrupted = Some(samples::txn());
    stage.told(Event::Status(Box::new(status)));
    assert_eq!(
        stage.wizard.page(),
        PageId::Status,
        "an interrupted change is told there"
    );
}

#[test]
fn the_whole_way_from_welcome_to_done() {
    let shared = Shared {
        facts: crate::facts::Facts::default(),
        detected: false,
        preview: None,
        ..samples::shared()
    };
    let mut stage = Stage::new(PageId::Welcome, shared);
    assert!(asked(&stage.wizard.start(), |e| *e == Effect::Detect));
    stage.told(Event::Detected(Box::new(samples::facts())));
    let mut seen = vec![stage.wizard.page()];
    let mut wanted = None;
    for _ in 0..6 {
        for effect in stage.key(Key::Enter) {
            if let Effect::Preview(answers) = effect {
                wanted = Some(*answers);
            }
        }
        seen.push(stage.wizard.page());
    }
    use PageId::{
        Apply, Confirm, Done, Firewall, Legacy22, Options, Preview as Seen, Rehearsal, Role, Ssh, Welcome,
    };
    assert_eq!(seen, [Welcome, Role, Ssh, Legacy22, Options, Firewall, Seen]);
    let answers = wanted.expect("the preview was asked for");
    assert_eq!(answers, samples::answers(), "Enter takes the vendor's defaults");
    stage.told(Event::Previewed(Box::new(Preview {
        answers,
        ..samples::preview()
    })));
    assert!(asked(&stage.key(Key::Enter), |e| *e
        == Effect::Rehearse { sweep: false }));
    assert_eq!(stage.wizard.page(), Rehearsal);
    let attempt = Attempt::Done(samples::rehearsal());
    stage.told(Event::Rehearsal(Box::new(attempt)));
    stage.key(Key::Enter);
    assert!(asked(&stage.keys(&[Key::Char('y'), Key::Enter]), |e| *e
        == Effect::Apply));
    stage.progress(samples::steps(Phase::Trial1));
    assert_eq!(stage.wizard.page(), Apply);
    for (trial, next) in [(1, Phase::Trial2), (2, Phase::Commit)] {
        stage.progress(Progress::Awaiting(Box::new(samples::trial(trial, 120))));
        assert_eq!(stage.wizard.page(), Confirm);
        stage.progress(Progress::Awaiting(Box::new(samples::seen(samples::trial(
            trial, 99,
        )))));
        stage.word("keep");
        assert!(asked(&stage.key(Key::Enter), |e| matches!(e, Effect::Keep(..))));
        stage.progress(samples::steps(next));
        assert_eq!(stage.wizard.page(), Apply);
    }
    stage.progress(Progress::Committed(Box::new(samples::outcome(true))));
    assert_eq!(stage.wizard.page(), Done);
    assert!(asked(&stage.key(Key::Enter), |e| matches!(e, Effect::Quit(0, _))));
}

#[test]
fn back_from_the_preview_loses_no_answer() {
    let mut stage = Stage::new(PageId::Welcome, samples::shared());
    stage.keys(&[Key::Enter, Key::Enter]);
    stage.keys(&[Key::Backspace, Key::Char('9')]);
    let port = stage.wizard.shared().answers.ssh.port;
    assert_eq!(port, 33009);
    stage.keys(&[Key::Enter; 4]);
    assert_eq!(stage.wizard.page(), PageId::Preview);
    stage.keys(&[Key::Esc; 4]);
    assert_eq!(stage.wizard.page(), PageId::Ssh);
    assert!(stage.picture().contains("33009"), "{}", stage.picture());
    stage.keys(&[Key::Enter; 4]);
    assert_eq!(stage.wizard.page(), PageId::Preview);
    assert_eq!(stage.wizard.shared().answers.ssh.port, port);
}
