//! The page that decides about Apply.

use super::*;

fn ended(attempt: Attempt) -> Stage {
    stage_with(attempt, Look::BARE, (80, 24))
}

/// The page after the rehearsal has come to this, as it does: from the world.
fn stage_with(attempt: Attempt, look: Look, size: (u16, u16)) -> Stage {
    let mut stage = Stage::sized(PageId::Rehearsal, samples::shared(), look, size);
    assert!(asked(&stage.wizard.start(), |e| *e == Effect::Rehearse { sweep: false }));
    stage.told(Event::Rehearsal(Box::new(attempt)));
    stage
}

fn done(rehearsal: crate::matrix::Rehearsal) -> Attempt {
    Attempt::Done(rehearsal)
}

fn running(stage: &str) -> Attempt {
    Attempt::Running {
        stage: stage.into(),
        millis: 0,
    }
}

#[test]
fn rehearsal_of_every_kind() {
    let states = [
        ("ok", done(samples::rehearsal())),
        ("red", done(samples::red_rehearsal())),
        ("shut_at_boot", done(samples::shut_at_boot())),
        ("swept", done(samples::swept_rehearsal())),
        ("running", running("sending 36 packets")),
        (
            "unavailable",
            Attempt::Unavailable("The kernel does not let this user make a network namespace.".into()),
        ),
        (
            "broken",
            Attempt::Broken(
                "The rehearsal broke off: the copy did not answer within 120 s. Nothing was changed".into(),
            ),
        ),
        (
            "failed_step",
            done(crate::matrix::Rehearsal {
                cells: vec![],
                failed: Some("open TCP/33001 in inet filter input: nft: No such file or directory".into()),
                ..samples::rehearsal()
            }),
        ),
    ];
    for (name, attempt) in states {
        insta::assert_snapshot!(format!("rehearsal_{name}"), ended(attempt.clone()).picture());
        let boxed = stage_with(attempt, Look::FULL, (80, 24));
        insta::assert_snapshot!(format!("rehearsal_{name}_box"), boxed.picture());
    }
    let large = stage_with(done(samples::red_rehearsal()), Look::BARE, (132, 40));
    insta::assert_snapshot!("rehearsal_red_large", large.picture());
}

#[test]
fn rehearsal_details_and_how_each_was_tested() {
    let mut stage = ended(done(samples::red_rehearsal()));
    stage.key(Key::F(2));
    insta::assert_snapshot!("rehearsal_details", stage.picture());
    stage.keys(&[Key::Esc, Key::F(3)]);
    insta::assert_snapshot!("rehearsal_how", stage.picture());
}

#[test]
fn a_red_cell_keeps_the_change_from_being_applied() {
    for attempt in [
        done(samples::red_rehearsal()),
        done(samples::swept_rehearsal()),
        Attempt::Broken("nft failed".into()),
        running("sending packets"),
    ] {
        for page in [PageId::Rehearsal, PageId::Preview] {
            let mut stage = ended(attempt.clone());
            if page == PageId::Preview {
                stage.key(Key::Esc);
            }
            assert_eq!(stage.wizard.page(), page);
            assert!(stage.picture().contains("( Apply... )"), "{}", stage.picture());
            // Every button, and then Enter on each.
            for _ in 0..6 {
                stage.key(Key::Tab);
                if stage.picture().contains(">( Apply... )<") {
                    assert!(stage.key(Key::Enter).is_empty());
                    assert_eq!(stage.wizard.page(), page);
                }
            }
        }
    }
}

#[test]
fn a_passed_rehearsal_is_applied_after_the_question() {
    let mut stage = ended(done(samples::rehearsal()));
    assert!(asked(&stage.key(Key::Enter), |e| *e == Effect::FlushInput));
    assert!(stage.picture().contains("Apply 6 steps to aspera01 now?"));
    assert!(!stage.picture().contains("NOT rehearsed"));
    assert!(asked(&stage.keys(&[Key::Char('y'), Key::Enter]), |e| *e
        == Effect::Apply));
    assert_eq!(stage.wizard.page(), PageId::Apply);
}

#[test]
fn what_cannot_be_rehearsed_is_applied_with_a_warning() {
    let mut stage = ended(Attempt::Unavailable("no namespaces here".into()));
    stage.key(Key::Enter);
    let picture = stage.picture();
    assert!(picture.contains("this was NOT rehearsed"), "{picture}");
    assert!(asked(&stage.keys(&[Key::Char('y'), Key::Enter]), |e| *e
        == Effect::Apply));
}

#[test]
fn a_rehearsal_proves_nothing_about_another_preview() {
    let mut stage = ended(done(samples::rehearsal()));
    stage.key(Key::Esc);
    // F5 makes the preview anew; the old result comes late.
    assert!(asked(&stage.key(Key::F(5)), |e| matches!(e, Effect::Preview(_))));
    stage.told(Event::Rehearsal(Box::new(done(samples::rehearsal()))));
    stage.told(Event::Previewed(Box::new(samples::preview())));
    assert!(stage.picture().contains("( Apply... )"), "{}", stage.picture());
    let effects = stage.key(Key::Enter);
    assert!(
        asked(&effects, |e| *e == Effect::Rehearse { sweep: false }),
        "{effects:?}"
    );
    // Going back and forth does not start a second one.
    stage.keys(&[Key::Esc]);
    assert!(!asked(&stage.key(Key::Enter), |e| matches!(
        e,
        Effect::Rehearse { .. }
    )));
}

#[test]
fn it_runs_again_with_all_ports_and_the_clock_ticks_only_while_it_runs() {
    let mut stage = ended(done(samples::rehearsal()));
    assert_eq!(stage.wizard.next_tick(), None);
    assert_eq!(stage.key(Key::Char('a')), [Effect::Rehearse { sweep: true }]);
    assert_eq!(stage.wizard.next_tick(), Some(1000));
    stage.told(Event::Tick(2100));
    stage.told(Event::Rehearsal(Box::new(running("all ports of IPv4, TCP"))));
    let picture = stage.picture();
    assert!(
        picture.contains("all ports of IPv4, TCP") && picture.contains("2 s"),
        "{picture}"
    );
    // A second one is not begun while the first runs.
    assert!(stage.keys(&[Key::Char('a'), Key::F(5)]).is_empty());
    stage.told(Event::Rehearsal(Box::new(done(samples::swept_rehearsal()))));
    assert!(stage.picture().contains("33002-33100"), "{}", stage.picture());
    assert_eq!(stage.key(Key::F(5)), [Effect::Rehearse { sweep: false }]);
}

#[test]
fn the_report_holds_every_cell_and_every_blocker() {
    let mut stage = ended(done(samples::red_rehearsal()));
    let effects = stage.key(Key::Char('s'));
    let [Effect::SaveReport(path, text)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(path.ends_with("faspwall-rehearsal.txt"));
    insta::assert_snapshot!("rehearsal_report", text);
}
