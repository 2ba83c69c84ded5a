//! Pictures and habits of the pages from Firewall to Status, each inside the whole wizard.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Position;

use crate::change::Preview;
use crate::transaction::{Outcome, Phase, Progress};
use crate::tui::theme::Look;
use crate::tui::wizard::Wizard;
use crate::tui::{Effect, Event, Key, PageId, Shared, samples};

struct Stage {
    wizard: Wizard,
    size: (u16, u16),
    look: Look,
}

impl Stage {
    fn new(page: PageId, shared: Shared) -> Self {
        Self::sized(page, shared, Look::BARE, (80, 24))
    }

    fn sized(page: PageId, shared: Shared, look: Look, size: (u16, u16)) -> Self {
        let mut wizard = Wizard::new(shared, look, page);
        wizard.update(&Event::Resize(size.0, size.1));
        Self { wizard, size, look }
    }

    fn told(&mut self, event: Event) -> Vec<Effect> {
        self.wizard.update(&event)
    }

    fn progress(&mut self, progress: Progress) -> Vec<Effect> {
        self.told(Event::Progress(progress))
    }

    fn key(&mut self, key: Key) -> Vec<Effect> {
        self.told(Event::Key(key))
    }

    fn keys(&mut self, keys: &[Key]) -> Vec<Effect> {
        keys.iter().flat_map(|key| self.key(*key)).collect()
    }

    fn word(&mut self, text: &str) -> Vec<Effect> {
        text.chars().flat_map(|sign| self.key(Key::Char(sign))).collect()
    }

    /// The screen with the hardware cursor as `_` below the row it is on, and what stands under it.
    fn picture(&self) -> String {
        let (text, cursor) = self.drawn();
        let place = cursor.map_or_else(
            || "cursor: none".to_owned(),
            |at| {
                let row = text.lines().nth(usize::from(at.y)).unwrap_or_default();
                let under: String = row.chars().skip(usize::from(at.x)).take(24).collect();
                format!("cursor: {},{} {under:?}", at.x, at.y)
            },
        );
        format!("{text}{place}\n")
    }

    fn drawn(&self) -> (String, Option<Position>) {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        terminal.draw(|frame| self.wizard.view(frame)).unwrap();
        let backend = terminal.backend();
        let buffer = backend.buffer();
        let mut text = String::new();
        for row in buffer.content.chunks(usize::from(self.size.0)) {
            let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
            text += line.trim_end();
            text.push('\n');
        }
        let cursor = backend.cursor_visible().then(|| backend.cursor_position());
        if self.look == Look::BARE {
            assert!(text.is_ascii(), "{text}");
        }
        (text, cursor)
    }
}

fn asked(effects: &[Effect], wanted: fn(&Effect) -> bool) -> bool {
    effects.iter().any(wanted)
}

fn on_trial(trial: crate::transaction::Trial) -> Stage {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    stage.progress(samples::steps(Phase::Trial1));
    stage.progress(Progress::Awaiting(Box::new(trial)));
    stage.told(Event::Tick(400));
    stage
}

fn ended(progress: Progress) -> Stage {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    stage.progress(progress);
    stage
}

#[test]
fn firewall_owned() {
    let stage = Stage::new(PageId::Firewall, samples::shared());
    insta::assert_snapshot!(stage.picture());
    let boxed = Stage::sized(PageId::Firewall, samples::shared(), Look::FULL, (80, 24));
    insta::assert_snapshot!("firewall_owned_box", boxed.picture());
}

#[test]
fn firewall_refused() {
    let mut stage = Stage::new(
        PageId::Firewall,
        Shared {
            facts: samples::refused_facts(),
            ..samples::shared()
        },
    );
    stage.key(Key::Down);
    insta::assert_snapshot!(stage.picture());
}

#[test]
fn firewall_foreign_rules() {
    let mut stage = Stage::new(PageId::Firewall, samples::shared());
    stage.key(Key::Char('/'));
    insta::assert_snapshot!(stage.picture());
}

#[test]
fn preview_tabs() {
    for (key, name) in [('1', "rules"), ('2', "diff"), ('3', "commands"), ('4', "why")] {
        let mut stage = Stage::new(PageId::Preview, samples::shared());
        stage.key(Key::Char(key));
        let picture = stage.picture();
        assert!(picture.contains("nothing applied yet"), "{picture}");
        insta::assert_snapshot!(format!("preview_{name}"), picture);
    }
    let mut boxed = Stage::sized(PageId::Preview, samples::shared(), Look::FULL, (80, 24));
    boxed.keys(&[Key::Char('3'), Key::End]);
    insta::assert_snapshot!("preview_commands_end_box", boxed.picture());
}

#[test]
fn preview_asks_before_it_applies_and_enter_is_no() {
    let mut stage = Stage::new(PageId::Preview, samples::shared());
    let effects = stage.key(Key::Enter);
    assert!(asked(&effects, |e| *e == Effect::FlushInput), "{effects:?}");
    insta::assert_snapshot!(stage.picture());
    stage.told(Event::Tick(400));
    assert!(
        !asked(&stage.key(Key::Enter), |e| *e == Effect::Apply),
        "Enter alone is No"
    );
    assert_eq!(stage.wizard.page(), PageId::Preview);
    stage.key(Key::Enter);
    stage.told(Event::Tick(400));
    let effects = stage.keys(&[Key::Char('y'), Key::Enter]);
    assert!(asked(&effects, |e| *e == Effect::Apply));
    assert_eq!(stage.wizard.page(), PageId::Apply);
}

#[test]
fn preview_with_a_blocker_cannot_be_applied_until_it_is_accepted_by_its_code() {
    let preview = Some(Box::new(samples::blocked_preview()));
    let answers = samples::blocked_preview().answers;
    let mut stage = Stage::new(
        PageId::Preview,
        Shared {
            preview,
            answers,
            ..samples::shared()
        },
    );
    insta::assert_snapshot!(stage.picture());
    assert!(stage.key(Key::Enter).is_empty());
    stage.key(Key::Char('a'));
    assert!(stage.word("fw999").is_empty());
    assert!(
        stage.key(Key::Enter).is_empty(),
        "a code that does not block is refused"
    );
    stage.key(Key::Char('a'));
    stage.word("fw001");
    let effects = stage.key(Key::Enter);
    assert!(
        matches!(&effects[..], [Effect::Preview(answers)] if answers.accept == ["FW001"]),
        "{effects:?}"
    );
}

#[test]
fn preview_with_nothing_to_do_finishes() {
    let preview = Preview {
        change: None,
        rules: vec![],
        diff: vec![],
        advice: vec![],
        ..samples::preview()
    };
    let mut stage = Stage::new(
        PageId::Preview,
        Shared {
            preview: Some(Box::new(preview)),
            ..samples::shared()
        },
    );
    insta::assert_snapshot!(stage.picture());
    assert!(asked(&stage.key(Key::Enter), |e| matches!(e, Effect::Quit(0, _))));
}

#[test]
fn preview_search_finds_goes_on_and_esc_closes_only_the_field() {
    let mut stage = Stage::new(PageId::Preview, samples::shared());
    stage.keys(&[Key::Char('3'), Key::Char('/')]);
    stage.word("sshd");
    insta::assert_snapshot!(stage.picture());
    stage.key(Key::Esc);
    assert_eq!(stage.wizard.page(), PageId::Preview);
    stage.key(Key::Char('/'));
    stage.word("SSHD");
    stage.key(Key::Enter);
    let first = stage.drawn().1.unwrap();
    let (text, _) = stage.drawn();
    assert!(
        text.lines().nth(usize::from(first.y)).unwrap().contains("sshd"),
        "{text}"
    );
    stage.key(Key::Char('n'));
    assert_ne!(stage.picture(), text);
}

#[test]
fn apply_runs() {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    insta::assert_snapshot!("apply_preparing", stage.picture());
    stage.progress(samples::steps(Phase::Trial1));
    stage.progress(samples::started(0));
    stage.progress(Progress::Finished {
        number: 0,
        millis: 130,
    });
    stage.progress(samples::started(1));
    stage.told(Event::Tick(1400));
    insta::assert_snapshot!(stage.picture());
    let boxed = Stage {
        look: Look::FULL,
        ..stage
    };
    assert!(boxed.picture().contains("running"));
}

#[test]
fn apply_asks_before_it_stops_and_does_not_stop_a_commit() {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    stage.progress(samples::steps(Phase::Trial1));
    stage.key(Key::Ctrl('c'));
    stage.told(Event::Tick(400));
    let effects = stage.keys(&[Key::Char('y'), Key::Enter]);
    assert!(asked(&effects, |e| *e == Effect::Stop), "{effects:?}");
    stage.progress(samples::steps(Phase::Commit));
    assert!(stage.keys(&[Key::Enter, Key::Char('y'), Key::Enter]).is_empty());
}

#[test]
fn apply_that_was_refused_leads_back_to_the_preview() {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    stage.told(Event::Failed(
        "another change is open: see faspwall status".into(),
    ));
    insta::assert_snapshot!(stage.picture());
    let effects = stage.key(Key::Enter);
    assert!(
        asked(&effects, |e| matches!(e, Effect::Preview(_))),
        "a fresh preview"
    );
    assert_eq!(stage.wizard.page(), PageId::Preview);
}

#[test]
fn confirm_trials() {
    insta::assert_snapshot!("confirm_trial_1", on_trial(samples::trial(1, 120)).picture());
    insta::assert_snapshot!(
        "confirm_trial_1_seen",
        on_trial(samples::seen(samples::trial(1, 47))).picture()
    );
    let mut stage = on_trial(samples::seen(samples::trial(2, 97)));
    insta::assert_snapshot!("confirm_trial_2", stage.picture());
    stage.told(Event::Tick(120_000));
    insta::assert_snapshot!("confirm_over", stage.picture());
    let mut trial = samples::seen(samples::trial(1, 90));
    trial.door = None;
    trial.next = "type keep in this wizard".into();
    insta::assert_snapshot!("confirm_no_door", on_trial(trial).picture());
}

#[test]
fn confirm_in_the_lab() {
    let mut stage = Stage::sized(
        PageId::Apply,
        Shared {
            lab: true,
            ..samples::shared()
        },
        Look::FULL,
        (80, 24),
    );
    stage.progress(Progress::Awaiting(Box::new(samples::trial(1, 120))));
    stage.told(Event::Tick(400));
    stage.keys(&[Key::Tab, Key::Tab, Key::Tab]);
    insta::assert_snapshot!(stage.picture());
    assert_eq!(stage.key(Key::Enter), [Effect::PeerLogin]);
}

#[test]
fn confirm_needs_the_word_and_the_proof() {
    let mut stage = on_trial(samples::trial(1, 120));
    assert!(stage.key(Key::Enter).is_empty(), "Enter alone does nothing");
    stage.word("keep");
    assert!(stage.key(Key::Enter).is_empty(), "no login was seen");
    insta::assert_snapshot!(stage.picture());
    stage.progress(Progress::Awaiting(Box::new(samples::seen(samples::trial(
        1, 100,
    )))));
    stage.word("kee");
    assert!(stage.key(Key::Enter).is_empty(), "half a word");
    stage.word("keep");
    assert!(asked(&stage.key(Key::Enter), |e| matches!(e, Effect::Keep(_))));
}

#[test]
fn a_word_typed_for_trial_1_does_not_keep_trial_2() {
    let mut stage = on_trial(samples::seen(samples::trial(1, 100)));
    stage.word("keep");
    stage.progress(Progress::Awaiting(Box::new(samples::seen(samples::trial(
        2, 120,
    )))));
    stage.told(Event::Tick(400));
    assert!(stage.key(Key::Enter).is_empty());
}

#[test]
fn what_is_typed_during_the_apply_does_not_confirm() {
    let mut stage = Stage::new(PageId::Apply, samples::shared());
    stage.progress(samples::steps(Phase::Trial1));
    stage.word("keep");
    let effects = stage.progress(Progress::Awaiting(Box::new(samples::seen(samples::trial(
        1, 120,
    )))));
    assert!(asked(&effects, |e| *e == Effect::FlushInput));
    assert!(
        stage.key(Key::Enter).is_empty(),
        "what was typed on the page before is gone"
    );
}

#[test]
fn confirm_undoes_extends_and_rings() {
    let mut stage = on_trial(samples::trial(1, 31));
    assert!(asked(&stage.key(Key::Char('+')), |e| matches!(
        e,
        Effect::Extend(_, 60)
    )));
    assert!(asked(&stage.told(Event::Tick(1000)), |e| *e == Effect::Bell));
    assert!(
        !asked(&stage.told(Event::Tick(1000)), |e| *e == Effect::Bell),
        "once"
    );
    stage.key(Key::Ctrl('c'));
    insta::assert_snapshot!(stage.picture());
    stage.told(Event::Tick(400));
    assert!(asked(&stage.keys(&[Key::Char('y'), Key::Enter]), |e| matches!(
        e,
        Effect::Undo(_)
    )));
    stage.word("undo");
    assert!(asked(&stage.key(Key::Enter), |e| matches!(e, Effect::Undo(_))));
}

#[test]
fn done_kept() {
    let mut stage = ended(Progress::Committed(Box::new(samples::outcome(true))));
    insta::assert_snapshot!(stage.picture());
    let effects = stage.key(Key::Enter);
    let Some(Effect::Quit(0, lines)) = effects.last() else {
        panic!("{effects:?}")
    };
    insta::assert_snapshot!("done_kept_stays_on_screen", lines.join("\n"));
}

#[test]
fn done_undone_failed_and_incomplete() {
    let undone = ended(Progress::RolledBack(Box::new(samples::outcome(false))));
    insta::assert_snapshot!("done_undone", undone.picture());
    let lines = vec!["sshd refused its new configuration: line 3: Bad number of arguments.".to_owned()];
    let failed = ended(Progress::Failed {
        lines: lines.clone(),
        outcome: Some(Box::new(samples::outcome(false))),
    });
    insta::assert_snapshot!("done_failed", failed.picture());
    let unbegun = ended(Progress::Failed { lines, outcome: None });
    insta::assert_snapshot!("done_not_begun", unbegun.picture());
    let mut incomplete = ended(Progress::RolledBack(Box::new(samples::incomplete())));
    insta::assert_snapshot!("done_incomplete", incomplete.picture());
    let effects = incomplete.key(Key::Enter);
    let Some(Effect::Quit(7, lines)) = effects.last() else {
        panic!("{effects:?}")
    };
    insta::assert_snapshot!("done_incomplete_stays_on_screen", lines.join("\n"));
}

#[test]
fn snapshots_ask_before_going_back() {
    let mut stage = Stage::new(
        PageId::Snapshots,
        Shared {
            kept: samples::kept(),
            ..samples::shared()
        },
    );
    insta::assert_snapshot!(stage.picture());
    stage.key(Key::Down);
    assert!(
        stage.key(Key::Enter).is_empty(),
        "what was rolled back cannot be taken back again"
    );
    stage.key(Key::Up);
    stage.key(Key::Enter);
    insta::assert_snapshot!("snapshots_asking", stage.picture());
    stage.told(Event::Tick(400));
    let effects = stage.keys(&[Key::Char('y'), Key::Enter]);
    assert!(asked(&effects, |e| matches!(e, Effect::GoBack(_))));
    let empty = Stage::new(PageId::Snapshots, samples::shared());
    insta::assert_snapshot!("snapshots_empty", empty.picture());
}

#[test]
fn status_pages() {
    let with = |change: fn(&mut crate::transaction::Status)| {
        let mut status = samples::status();
        change(&mut status);
        Stage::new(
            PageId::Status,
            Shared {
                status: Some(Box::new(status)),
                ..samples::shared()
            },
        )
    };
    insta::assert_snapshot!("status_as_planned", with(|_| {}).picture());
    let drifted = with(|status| {
        status.ports[2].is = "open".into();
        status.drift = vec!["+ inet filter input: tcp dport 22 accept (handle 61)".into()];
    });
    insta::assert_snapshot!("status_drift", drifted.picture());
    let mut open = with(|status| status.open = Some(samples::trial(1, 80)));
    insta::assert_snapshot!("status_open", open.picture());
    open.key(Key::Enter);
    assert_eq!(open.wizard.page(), PageId::Confirm);
    let mut interrupted = with(|status| status.interrupted = Some(samples::txn()));
    insta::assert_snapshot!("status_interrupted", interrupted.picture());
    interrupted.key(Key::Enter);
    interrupted.told(Event::Tick(400));
    assert!(asked(
        &interrupted.keys(&[Key::Char('y'), Key::Enter]),
        |e| matches!(e, Effect::Undo(_))
    ));
    assert_eq!(
        Stage::new(PageId::Status, samples::shared()).wizard.start(),
        [Effect::Detect, Effect::Status]
    );
}

#[test]
fn a_large_screen_is_used() {
    let mut stage = Stage::sized(PageId::Preview, samples::shared(), Look::BARE, (132, 50));
    stage.key(Key::Char('3'));
    assert!(
        stage.picture().contains("undo: stored before step 1"),
        "{}",
        stage.picture()
    );
}

const LIVE: [PageId; 7] = [
    PageId::Firewall,
    PageId::Preview,
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

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any_key().prop_map(Event::Key),
        1 => ".{0,30}".prop_map(Event::Paste),
        1 => (1u16..220, 1u16..70).prop_map(|(w, h)| Event::Resize(w, h)),
        1 => (0u64..130_000).prop_map(Event::Tick),
        1 => Just(Event::Detected(Box::new(samples::refused_facts()))),
        1 => Just(Event::Detected(Box::default())),
        1 => Just(Event::Previewed(Box::new(samples::preview()))),
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
