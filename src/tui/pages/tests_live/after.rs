//! Apply, Confirm, Done, Snapshots, Status.

use super::*;

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
    assert!(asked(&stage.key(Key::Enter), |e| matches!(e, Effect::Keep(..))));
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
        [Effect::Status, Effect::Detect]
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

#[test]
fn done_after_going_back_does_not_tell_to_open_what_was_closed() {
    let outcome = Outcome {
        opened: vec!["TCP/22".into()],
        closed: vec!["TCP/33001".into(), "UDP/33001".into()],
        ..samples::outcome(true)
    };
    let stage = ended(Progress::Committed(Box::new(outcome)));
    let picture = stage.picture();
    assert!(
        picture.contains("closed again: TCP/33001, UDP/33001"),
        "{picture}"
    );
    assert!(
        !picture.contains("ascp -P") && !picture.contains("repeat"),
        "{picture}"
    );
}

#[test]
fn a_long_failure_is_shown_in_full() {
    let text = "No new login on port 33001 has been seen since this trial began: an open session proves nothing. \
                Log in anew on the new port.";
    let mut stage = on_trial(samples::seen(samples::trial(1, 90)));
    stage.told(Event::Failed(text.into()));
    insta::assert_snapshot!("confirm_refused", stage.picture());
    stage.key(Key::Tab);
    assert!(
        !stage.picture().contains("proves nothing"),
        "gone with the next key"
    );
    let mut stage = Stage::new(PageId::Preview, samples::shared());
    stage.told(Event::Failed(text.into()));
    assert!(
        stage.picture().contains("Log in anew on the new port."),
        "{}",
        stage.picture()
    );
    stage.key(Key::Esc);
    assert_eq!(stage.wizard.page(), PageId::Preview);
}

#[test]
fn kept_answers_are_remembered_as_applied_and_those_of_a_way_back_are_not() {
    let remembered = |outcome: Outcome| {
        let mut stage = Stage::new(PageId::Apply, samples::shared());
        stage
            .progress(Progress::Committed(Box::new(outcome)))
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Remember(_, page) => Some(page),
                _ => None,
            })
    };
    assert_eq!(remembered(samples::outcome(true)), Some("Done"));
    let back = Outcome {
        opened: vec!["TCP/22".into()],
        closed: vec!["UDP/33001".into()],
        ..samples::outcome(true)
    };
    assert_eq!(remembered(back), None);
}
