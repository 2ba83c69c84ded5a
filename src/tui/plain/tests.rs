use std::fmt::Write as _;
use std::io::Cursor;
use std::sync::mpsc;

use proptest::prelude::*;

use super::run::{Input, read_lines, run};
use super::*;
use crate::facts::Facts;
use crate::transaction::{Phase, Progress};
use crate::tui::samples;

/// A conversation as it would be on paper; what is typed stands behind its prompt, effects behind `=>`.
struct Talk {
    plain: Plain,
    paper: String,
    effects: Vec<Effect>,
}

impl Talk {
    fn new(shared: Shared) -> Self {
        let mut talk = Self {
            plain: Plain::new(shared),
            paper: String::new(),
            effects: vec![],
        };
        let said = talk.plain.start();
        talk.write(said);
        talk
    }

    fn write(&mut self, (lines, effects): (Vec<String>, Vec<Effect>)) {
        for line in lines {
            if self.paper.ends_with(": ") {
                self.paper.push('\n');
            }
            self.paper += &line;
            if !line.ends_with(' ') {
                self.paper.push('\n');
            }
        }
        for effect in effects {
            let name = match &effect {
                Effect::Quit(code, lines) => format!("Quit({code})\n{}", lines.join("\n")),
                other => {
                    let text = format!("{other:?}");
                    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
                }
            };
            if self.paper.ends_with(": ") {
                self.paper.push('\n');
            }
            writeln!(self.paper, "=> {name}").unwrap();
            self.effects.push(effect);
        }
    }

    fn typed(&mut self, text: &str) {
        writeln!(self.paper, "{text}").unwrap();
        let said = self.plain.line(Some(text));
        self.write(said);
    }

    fn end(&mut self) {
        let said = self.plain.line(None);
        self.write(said);
    }

    fn told(&mut self, event: Event) {
        let said = self.plain.event(&event);
        self.write(said);
    }

    fn progress(&mut self, progress: Progress) {
        self.told(Event::Progress(progress));
    }

    fn detected() -> Self {
        let mut talk = Self::new(Shared {
            facts: Facts::default(),
            detected: false,
            ..samples::shared()
        });
        talk.told(Event::Detected(Box::new(samples::facts())));
        talk
    }

    /// Enter on every question up to the preview.
    fn enters(&mut self) {
        for _ in 0..20 {
            if self.asked_for(|e| matches!(e, Effect::Preview(_))) {
                return;
            }
            self.typed("");
        }
        panic!("no preview: {}", self.paper);
    }

    /// All questions answered by Enter, the preview printed, and the quiet time over.
    fn previewed() -> Self {
        let mut talk = Self::detected();
        talk.enters();
        talk.told(Event::Previewed(Box::new(samples::preview())));
        talk.rehearsed(Attempt::Done(samples::rehearsal()));
        talk.told(Event::Tick(QUIET_MS));
        talk
    }

    fn rehearsed(&mut self, attempt: Attempt) {
        self.told(Event::Rehearsal(Box::new(attempt)));
    }

    fn applied() -> Self {
        let mut talk = Self::previewed();
        talk.typed("y");
        assert!(talk.asked_for(|e| *e == Effect::Apply), "{}", talk.paper);
        talk.progress(samples::steps(Phase::Trial1));
        talk.paper.clear();
        talk.effects.clear();
        talk
    }

    fn on_trial() -> Self {
        let mut talk = Self::applied();
        talk.progress(Progress::Awaiting(Box::new(samples::trial(1, 120))));
        talk.told(Event::Tick(QUIET_MS));
        talk.paper.clear();
        talk.effects.clear();
        talk
    }

    fn quit_code(&self) -> Option<u8> {
        self.effects.iter().find_map(|e| {
            if let Effect::Quit(code, _) = e {
                Some(*code)
            } else {
                None
            }
        })
    }

    fn asked_for(&self, wanted: fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(wanted)
    }
}

#[test]
fn a_whole_move_on_paper() {
    let mut talk = Talk::new(Shared {
        facts: Facts::default(),
        detected: false,
        ..samples::shared()
    });
    talk.told(Event::Detected(Box::new(samples::facts())));
    for answer in [
        "1",
        "1",
        "33001",
        "",
        "1",
        "33001-33010",
        "y",
        "on",
        "",
        "2",
        "192.0.2.0/24, 2001:db8::/32",
        "1",
    ] {
        talk.typed(answer);
    }
    talk.told(Event::Previewed(Box::new(samples::preview())));
    talk.rehearsed(Attempt::Done(samples::rehearsal()));
    talk.told(Event::Tick(400));
    talk.typed("");
    talk.typed("y");
    talk.progress(samples::steps(Phase::Trial1));
    talk.progress(samples::started(0));
    talk.progress(Progress::Finished {
        number: 0,
        millis: 130,
    });
    talk.progress(Progress::Awaiting(Box::new(samples::trial(1, 120))));
    talk.told(Event::Tick(60_500));
    talk.typed("");
    talk.typed("keep");
    talk.progress(Progress::Awaiting(Box::new(samples::seen(samples::trial(1, 50)))));
    talk.typed("keep");
    talk.progress(samples::steps(Phase::Trial2));
    talk.progress(Progress::Finished {
        number: 0,
        millis: 2100,
    });
    talk.progress(Progress::Awaiting(Box::new(samples::trial(2, 120))));
    talk.told(Event::Tick(100_000));
    talk.progress(Progress::Awaiting(Box::new(samples::seen(samples::trial(2, 15)))));
    talk.typed("keep");
    talk.progress(samples::steps(Phase::Commit));
    talk.progress(Progress::Committed(Box::new(samples::outcome(true))));
    assert_eq!(talk.quit_code(), Some(0));
    assert!(talk.paper.is_ascii(), "no glyphs on paper");
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn twenty_two_needs_its_typed_words() {
    let mut talk = Talk::detected();
    for answer in ["1", "1", "open 22", "22", "33001", "1", "4", "open 22"] {
        talk.typed(answer);
    }
    assert_eq!(talk.plain.shared.answers.accept, ["FW001"]);
    talk.typed("b");
    talk.typed("");
    assert_eq!(
        talk.plain.shared.answers.accept,
        ["FW001"],
        "Back keeps what was typed"
    );
    talk.typed("b");
    talk.typed("1");
    assert_eq!(
        talk.plain.shared.answers.accept, [""; 0],
        "closing 22 after all takes the acceptance back"
    );
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn going_back_keeps_every_answer() {
    let mut talk = Talk::detected();
    for answer in [
        "",
        "2",
        "40001",
        "2",
        "",
        "40000-40010",
        "y",
        "8081",
        "b",
        "b",
        "b",
        "b",
        "b",
        "b",
        "b",
    ] {
        talk.typed(answer);
    }
    let answers = &talk.plain.shared.answers;
    assert_eq!(
        (answers.ssh.port, answers.fasp_udp.to_string().as_str()),
        (40001, "40000-40010")
    );
    assert_eq!(talk.plain.at, Ask::Role);
    for _ in 0..5 {
        talk.typed("");
    }
    talk.typed("y");
    talk.typed("");
    let answers = &talk.plain.shared.answers;
    assert_eq!(
        (answers.ssh.port, answers.http_fallback.http),
        (40001, Some(8081))
    );
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn the_end_of_input_cancels_before_anything_is_applied() {
    let mut talk = Talk::detected();
    talk.typed("");
    talk.end();
    assert_eq!(talk.quit_code(), Some(3));
    assert!(!talk.asked_for(|e| matches!(e, Effect::Apply | Effect::Preview(_))));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn three_invalid_answers_cancel_but_two_do_not() {
    let mut talk = Talk::detected();
    talk.typed("");
    talk.typed("9");
    talk.typed("x");
    assert_eq!(talk.quit_code(), None);
    talk.typed("1");
    talk.typed("65536");
    talk.typed("-1");
    assert_eq!(talk.quit_code(), None, "each question has its own patience");
    talk.typed("port");
    assert_eq!(talk.quit_code(), Some(3));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn what_was_typed_during_the_apply_does_not_confirm() {
    let mut talk = Talk::applied();
    talk.typed("keep");
    talk.progress(Progress::Awaiting(Box::new(samples::seen(samples::trial(
        1, 120,
    )))));
    talk.typed("keep");
    assert!(
        !talk.asked_for(|e| matches!(e, Effect::Keep(..))),
        "{}",
        talk.paper
    );
    assert!(talk.asked_for(|e| *e == Effect::FlushInput));
    talk.told(Event::Tick(QUIET_MS));
    talk.typed("keep");
    assert!(talk.asked_for(|e| matches!(e, Effect::Keep(..))));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn what_was_typed_before_the_preview_does_not_apply() {
    let mut talk = Talk::detected();
    talk.enters();
    talk.typed("y");
    talk.told(Event::Previewed(Box::new(samples::preview())));
    talk.typed("y");
    talk.rehearsed(Attempt::Done(samples::rehearsal()));
    talk.typed("y");
    assert!(!talk.asked_for(|e| *e == Effect::Apply));
}

#[test]
fn a_rehearsal_that_fails_keeps_the_change_from_being_applied() {
    for (name, attempt) in [
        ("red", Attempt::Done(samples::red_rehearsal())),
        ("failed", Attempt::Broken("nft: No such file or directory".into())),
    ] {
        let mut talk = Talk::detected();
        talk.enters();
        talk.told(Event::Previewed(Box::new(samples::preview())));
        talk.paper.clear();
        talk.rehearsed(attempt);
        talk.told(Event::Tick(QUIET_MS));
        talk.typed("y");
        assert!(!talk.asked_for(|e| *e == Effect::Apply), "{}", talk.paper);
        insta::assert_snapshot!(format!("rehearsal_{name}"), talk.paper);
        // Once more, with all ports; now it passes.
        talk.typed("a");
        assert!(talk.asked_for(|e| *e == Effect::Rehearse { sweep: true }));
        talk.rehearsed(Attempt::Done(samples::rehearsal()));
        talk.told(Event::Tick(QUIET_MS));
        talk.typed("y");
        assert!(talk.asked_for(|e| *e == Effect::Apply), "{}", talk.paper);
    }
}

#[test]
fn a_host_without_a_filter_is_asked_what_shall_be_refused() {
    let mut talk = Talk::new(Shared {
        facts: Facts::default(),
        detected: false,
        ..samples::shared()
    });
    talk.told(Event::Detected(Box::new(samples::open_facts())));
    for _ in 0..20 {
        if talk.paper.contains("2 would cut off") {
            break;
        }
        talk.typed("");
    }
    talk.typed("2");
    assert!(talk.plain.shared.answers.firewall.default_deny);
    assert!(talk.asked_for(|e| matches!(e, Effect::Preview(_))));
    let (_, end) = talk.paper.split_once("Step 5 of 8").unwrap();
    insta::assert_snapshot!(end);
}

#[test]
fn what_loads_the_rules_is_started_at_boot_when_that_is_answered() {
    let mut talk = Talk::new(Shared {
        facts: Facts::default(),
        detected: false,
        ..samples::shared()
    });
    talk.told(Event::Detected(Box::new(samples::iptables_facts())));
    for _ in 0..20 {
        if talk.paper.contains("Shall this change enable it?") {
            break;
        }
        talk.typed("");
    }
    talk.typed("perhaps");
    assert!(!talk.plain.shared.answers.firewall.enable_at_boot);
    talk.typed("y");
    assert!(talk.plain.shared.answers.firewall.enable_at_boot);
    assert!(talk.asked_for(|e| matches!(e, Effect::Preview(_))));
}

#[test]
fn what_cannot_be_rehearsed_is_told_before_it_is_applied() {
    let mut talk = Talk::detected();
    talk.enters();
    talk.told(Event::Previewed(Box::new(samples::preview())));
    talk.rehearsed(Attempt::Unavailable("no network namespaces here".into()));
    talk.told(Event::Tick(QUIET_MS));
    assert!(
        talk.paper
            .contains("WARN: this cannot be rehearsed here: no network namespaces here"),
        "{}",
        talk.paper
    );
    talk.typed("y");
    assert!(talk.asked_for(|e| *e == Effect::Apply));
}

#[test]
fn lines_before_a_harmless_question_are_answers() {
    let mut talk = Talk::new(Shared {
        detected: false,
        ..samples::shared()
    });
    talk.typed("1");
    talk.typed("3");
    talk.told(Event::Detected(Box::new(samples::facts())));
    assert_eq!(talk.plain.shared.answers.role, "client");
}

#[test]
fn the_end_of_input_during_a_trial_undoes_it() {
    let mut talk = Talk::on_trial();
    talk.end();
    assert!(talk.asked_for(|e| matches!(e, Effect::Undo(_))));
    talk.progress(Progress::RolledBack(Box::new(samples::outcome(false))));
    assert_eq!(talk.quit_code(), Some(3));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn a_trial_of_somebody_else_is_left_to_its_guard() {
    let mut status = samples::status();
    status.open = Some(samples::trial(1, 90));
    let mut talk = Talk::new(Shared {
        facts: Facts::default(),
        ..samples::shared()
    });
    talk.told(Event::Status(Box::new(status)));
    talk.told(Event::Detected(Box::new(samples::facts())));
    talk.end();
    assert!(!talk.asked_for(|e| matches!(e, Effect::Undo(_))));
    assert_eq!(talk.quit_code(), Some(3));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn undo_while_steps_run_is_done_as_soon_as_it_can_be() {
    let mut talk = Talk::applied();
    talk.typed("undo");
    talk.progress(Progress::Awaiting(Box::new(samples::trial(1, 120))));
    assert!(talk.asked_for(|e| *e == Effect::Stop));
    talk.progress(Progress::RolledBack(Box::new(samples::incomplete())));
    assert_eq!(talk.quit_code(), Some(7));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn time_is_told_four_times_and_enter_does_nothing() {
    let mut talk = Talk::on_trial();
    for _ in 0..125 {
        talk.told(Event::Tick(1000));
        talk.typed("");
    }
    let told = talk.paper.matches("seconds left").count();
    assert_eq!(told, 3, "60, 30, 10; the first is part of the greeting");
    assert!(talk.effects.is_empty(), "{:?}", talk.effects);
    talk.paper.clear();
    talk.progress(Progress::Awaiting(Box::new(samples::trial(1, 60))));
    talk.told(Event::Tick(31_000));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn a_failed_change_names_what_is_left() {
    let mut talk = Talk::applied();
    talk.progress(Progress::Failed {
        lines: vec!["nft failed: No such file or directory. Install the package nftables.".into()],
        outcome: Some(Box::new(samples::outcome(false))),
    });
    assert_eq!(talk.quit_code(), Some(6));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn a_blocker_and_an_idle_plan_cannot_be_applied() {
    let mut talk = Talk::detected();
    talk.enters();
    talk.paper.clear();
    talk.told(Event::Previewed(Box::new(samples::blocked_preview())));
    talk.typed("y");
    talk.typed("accept FW003");
    talk.typed("accept fw001");
    assert_eq!(talk.plain.shared.answers.accept, ["FW001"]);
    assert!(!talk.asked_for(|e| *e == Effect::Apply));
    let idle = crate::change::Preview {
        change: None,
        ..samples::preview()
    };
    talk.told(Event::Previewed(Box::new(idle)));
    talk.typed("y");
    assert!(!talk.asked_for(|e| *e == Effect::Apply));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn looking_and_going_back() {
    let mut talk = Talk::detected();
    talk.typed("2");
    talk.told(Event::Status(Box::new(samples::status())));
    talk.typed("s");
    talk.told(Event::Kept(samples::kept()));
    talk.typed("1");
    talk.typed("y");
    assert!(!talk.asked_for(|e| matches!(e, Effect::GoBack(_))), "too early");
    talk.told(Event::Tick(QUIET_MS));
    talk.typed("");
    talk.typed("1");
    talk.told(Event::Tick(QUIET_MS));
    talk.typed("y");
    assert!(talk.asked_for(|e| matches!(e, Effect::GoBack(_))));
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn the_runner_prints_prompts_and_returns_the_exit_status() {
    let (inputs_in, inputs) = mpsc::channel();
    let (effects_in, effects) = mpsc::channel();
    inputs_in
        .send(Input::Event(Box::new(Event::Detected(
            Box::new(samples::facts()),
        ))))
        .unwrap();
    read_lines(Cursor::new(b"1\r\n\xff\xfe\n".to_vec()), &inputs_in);
    let mut paper = Vec::new();
    let mut plain = Plain::new(Shared {
        detected: false,
        ..samples::shared()
    });
    let code = run(&mut plain, &inputs, &effects_in, || {}, &mut paper).unwrap();
    assert_eq!(code, 3);
    assert_eq!(effects.try_iter().next(), Some(Effect::Status));
    let paper = String::from_utf8(paper).unwrap();
    assert!(paper.contains("Number, or Enter for 1: Step 2 of 8"), "{paper}");
    assert!(paper.ends_with("Cancelled. Nothing was changed.\n"), "{paper}");
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0u64..200_000).prop_map(Event::Tick),
        Just(Event::Detected(Box::new(samples::facts()))),
        Just(Event::Detected(Box::new(samples::refused_facts()))),
        Just(Event::Previewed(Box::new(samples::preview()))),
        Just(Event::Previewed(Box::new(samples::blocked_preview()))),
        Just(Event::Rehearsal(Box::new(Attempt::Done(samples::rehearsal())))),
        Just(Event::Rehearsal(Box::new(
            Attempt::Done(samples::red_rehearsal())
        ))),
        Just(Event::Rehearsal(Box::new(Attempt::Unavailable("no".into())))),
        Just(Event::Status(Box::new(samples::status()))),
        Just(Event::Kept(samples::kept())),
        Just(Event::Failed("no".into())),
        Just(Event::Progress(samples::steps(Phase::Trial1))),
        (0usize..9).prop_map(|n| Event::Progress(Progress::Finished { number: n, millis: 3 })),
        (1u8..3, 0u64..200)
            .prop_map(|(n, s)| Event::Progress(Progress::Awaiting(Box::new(samples::trial(n, s))))),
        Just(Event::Progress(Progress::RolledBack(Box::new(samples::outcome(
            false
        ))))),
    ]
}

fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "y",
            "1",
            "2",
            "3",
            "b",
            "?",
            "s",
            "22",
            "open 22",
            "33001",
            "off",
            "on",
            "10.0.0.0/8"
        ])
        .prop_map(str::to_owned),
        ".{0,10}",
    ]
}

proptest! {
    #[test]
    fn no_lines_and_events_panic_or_keep_without_the_word(
        talk in prop::collection::vec(prop_oneof![any_line().prop_map(Ok), any_event().prop_map(Err)], 0..80)
    ) {
        let mut plain = Plain::new(Shared { detected: false, ..samples::shared() });
        plain.start();
        for one in talk {
            let (lines, effects) = match one {
                Ok(text) if text.trim() == "keep" => continue,
                Ok(text) => plain.line(Some(&text)),
                Err(event) => plain.event(&event),
            };
            prop_assert!(lines.iter().all(|line| !line.chars().any(char::is_control)));
            prop_assert!(!effects.iter().any(|e| matches!(e, Effect::Keep(..))));
        }
    }
}

#[test]
fn only_the_change_in_force_can_be_taken_back() {
    let mut talk = Talk::detected();
    talk.typed("2");
    talk.told(Event::Status(Box::new(samples::status())));
    talk.typed("s");
    talk.told(Event::Kept(samples::kept()));
    talk.typed("2");
    assert_eq!(talk.plain.at, Ask::Snapshots, "{}", talk.paper);
}

#[test]
fn twenty_two_can_stay_until_a_day() {
    let mut talk = Talk::detected();
    for answer in [
        "1",
        "1",
        "33001",
        "1",
        "3",
        "yesterday",
        "2026-11-23",
        "2027-01-31",
    ] {
        talk.typed(answer);
    }
    let ssh = &talk.plain.shared.answers.ssh;
    assert_eq!(
        ssh.keep_22_until.map(|day| day.to_string()),
        Some("2027-01-31".to_owned())
    );
    assert_eq!(ssh.legacy_22, crate::answers::Legacy22::Keep);
    talk.typed("b");
    talk.typed("b");
    talk.typed("1");
    assert_eq!(talk.plain.shared.answers.ssh.keep_22_until, None);
    insta::assert_snapshot!(talk.paper);
}

#[test]
fn a_failure_of_several_lines_is_printed_line_by_line() {
    let mut talk = Talk::on_trial();
    talk.told(Event::Failed(
        "nft failed.\n\u{1b}[2JType: nft list ruleset".into(),
    ));
    assert!(
        talk.paper
            .contains("ERROR: nft failed.\n?[2JType: nft list ruleset\n"),
        "{}",
        talk.paper
    );
}
