//! Firewall and Preview.

use super::*;

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
    let before = stage.picture();
    assert_eq!(stage.wizard.next_tick(), Some(150));
    stage.told(Event::Tick(150));
    assert_ne!(stage.picture(), before, "the reason follows the mark");
    insta::assert_snapshot!(stage.picture());
}

fn firewall(facts: crate::facts::Facts) -> Stage {
    let mut stage = Stage::new(
        PageId::Firewall,
        Shared {
            facts: crate::facts::Facts::default(),
            detected: false,
            ..samples::shared()
        },
    );
    stage.told(Event::Detected(Box::new(facts)));
    stage
}

#[test]
fn firewall_of_other_kinds() {
    for (name, facts) in [
        ("iptables", samples::iptables_facts()),
        ("csf", samples::csf_facts()),
        ("open", samples::open_facts()),
    ] {
        let mut stage = firewall(facts);
        insta::assert_snapshot!(format!("firewall_{name}"), stage.picture());
        stage.key(Key::F(2));
        insta::assert_snapshot!(format!("firewall_{name}_why"), stage.picture());
    }
}

#[test]
fn outbound_rules_are_chosen_below_the_list() {
    use crate::answers::Outbound;
    let mut stage = firewall(samples::facts());
    stage.keys(&[Key::End, Key::Down, Key::Right]);
    assert_eq!(stage.wizard.shared().answers.firewall.outbound, Outbound::Always);
    stage.keys(&[Key::Left, Key::Left]);
    assert_eq!(stage.wizard.shared().answers.firewall.outbound, Outbound::Never);
    let (_, cursor) = stage.drawn();
    assert!(cursor.is_some());
    stage.keys(&[Key::Up, Key::Enter]);
    assert_eq!(stage.wizard.page(), PageId::Preview);
}

#[test]
fn what_loads_the_rules_can_be_started_at_boot_by_the_change() {
    let mut stage = firewall(samples::iptables_facts());
    stage.keys(&[Key::BackTab, Key::BackTab, Key::BackTab, Key::Char(' ')]);
    assert!(stage.wizard.shared().answers.firewall.enable_at_boot);
    let picture = stage.picture();
    assert!(
        picture.contains(">[x] start netfilter-persistent.service at boot"),
        "{picture}"
    );
    stage.key(Key::Char(' '));
    assert!(!stage.wizard.shared().answers.firewall.enable_at_boot);
}

#[test]
fn a_host_without_a_filter_offers_three_ways_and_22_stays_open_only_by_its_words() {
    let mut stage = firewall(samples::open_facts());
    stage.keys(&[Key::Tab, Key::Tab, Key::Tab, Key::Char(' ')]);
    assert!(stage.wizard.shared().answers.firewall.default_deny);
    let picture = stage.picture();
    assert!(picture.contains(">(*) refuse everything"), "{picture}");
    assert!(
        picture.contains("it would cut off: rpcbind TCP/111, rpcbind UDP/111"),
        "{picture}"
    );
    stage.keys(&[Key::Up, Key::Char(' ')]);
    assert!(!stage.wizard.shared().answers.firewall.default_deny);
    assert!(stage.picture().contains(">(*) only shut TCP/22"));
    stage.keys(&[Key::Up, Key::Char(' ')]);
    assert_eq!(stage.wizard.page(), PageId::Legacy22);
    stage.key(Key::Esc);
    assert!(
        stage.picture().contains("(*) only shut TCP/22"),
        "{}",
        stage.picture()
    );
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
    let mut stage = Stage::new(PageId::Preview, rehearsed());
    stage.keys(&[Key::BackTab, Key::BackTab]);
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

fn previewed(preview: Preview) -> Stage {
    let shared = Shared {
        answers: preview.answers.clone(),
        preview: Some(Box::new(preview)),
        ..samples::shared()
    };
    Stage::new(PageId::Preview, shared)
}

#[test]
fn preview_names_what_stands_in_the_way_on_every_tab_and_all_of_it_on_f2() {
    let obstacle = "the zone drop of firewalld refuses what fasp needs, before any port of it is looked at. Open it for \
                    others, or type   firewall-cmd --zone=drop --remove-rich-rule=RULE";
    let mut stage = previewed(Preview {
        change: None,
        advice: vec![],
        obstacles: vec![obstacle.to_owned()],
        ..samples::preview()
    });
    let picture = stage.picture();
    let message = picture
        .lines()
        .find(|line| line.starts_with(" ERROR cannot be applied: the zone drop"));
    assert!(message.is_some_and(|line| line.ends_with(" (F2)")), "{picture}");
    for tab in ['1', '3'] {
        stage.key(Key::Char(tab));
        let picture = stage.picture();
        assert!(
            picture.contains("--zone=drop --remove-rich-rule=RULE"),
            "{picture}"
        );
        assert!(
            !picture.contains("nothing to do") && !picture.contains("as planned"),
            "{picture}"
        );
    }
    stage.key(Key::F(2));
    let picture = stage.picture();
    assert!(picture.contains("What stands in the way"), "{picture}");
    assert!(picture.contains("--remove-rich-rule=RULE"), "{picture}");
}

#[test]
fn preview_folds_a_long_file_and_f2_shows_all_of_it() {
    let mut preview = samples::preview();
    let lines: Vec<String> = (1..=90)
        .map(|number| format!("-A line-{number} -j ACCEPT"))
        .collect();
    if let Some(change) = &mut preview.change {
        change.commit.insert(
            0,
            crate::step::Action::new(
                "write the rules for the next boot",
                crate::step::Step::Write {
                    path: "/etc/ufw/user.rules".into(),
                    content: lines.join("\n") + "\n",
                    mode: 0o640,
                },
                vec![],
            ),
        );
    }
    let mut stage = previewed(preview);
    stage.keys(&[Key::Char('3'), Key::Char('/')]);
    stage.word("more lines");
    stage.key(Key::Enter);
    let picture = stage.picture();
    assert!(
        picture.contains("more lines: F2 here shows all of them"),
        "{picture}"
    );
    assert!(
        picture.contains("-A line-1 ") && !picture.contains("-A line-60 "),
        "{picture}"
    );
    stage.keys(&[Key::F(2), Key::End]);
    assert!(stage.picture().contains("-A line-90 "), "{}", stage.picture());
}

#[test]
fn a_button_that_led_back_is_not_pressed_again_when_the_page_returns() {
    let mut stage = Stage::new(PageId::Preview, rehearsed());
    stage.key(Key::Enter);
    assert_eq!(stage.wizard.page(), PageId::Rehearsal);
    stage.keys(&[Key::Tab, Key::Enter]);
    assert_eq!(stage.wizard.page(), PageId::Preview, "Back was pressed");
    stage.key(Key::Enter);
    assert_eq!(stage.wizard.page(), PageId::Rehearsal);
    assert!(stage.picture().contains(">[ Apply... ]<"), "{}", stage.picture());
}
