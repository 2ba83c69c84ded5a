use super::*;
use proptest::prelude::*;

fn there_and_back(recording: &Recording) -> Recording {
    let files = files(recording).expect("written");
    super::recording(&mut |name| files.get(name).cloned()).expect("read")
}

fn some_recording() -> Recording {
    let call = |words: &[&str]| Call {
        argv: words.iter().map(ToString::to_string).collect(),
        stdin: None,
    };
    let printed = |text: &str| {
        Ended::Printed(Output {
            status: Some(0),
            stdout: text.to_owned(),
            stderr: String::new(),
        })
    };
    let mut recording = Recording {
        about: About {
            schema: SCHEMA,
            pid: 812,
            ..About::default()
        },
        ..Recording::default()
    };
    recording
        .calls
        .insert(call(&["nft", "-j", "list", "ruleset"]), printed("{}\n{}\n"));
    recording
        .calls
        .insert(call(&["ip", "-j", "link"]), Ended::Missing);
    recording
        .calls
        .insert(call(&["ufw", "status"]), Ended::Failed(String::from("no answer")));
    recording
        .files
        .insert("/proc/1/stat".into(), Content::Text(String::from("1 (init) S\n")));
    recording
        .files
        .insert("/empty".into(), Content::Text(String::new()));
    recording.files.insert("/gone".into(), Content::Absent);
    recording.files.insert(
        "/etc/shadow".into(),
        Content::Unreadable(String::from("Permission denied")),
    );
    recording
        .dirs
        .insert("/proc/1/fd".into(), vec![String::from("0"), String::from("10")]);
    recording
        .links
        .insert("/proc/1/fd/0".into(), Some("/dev/null".into()));
    recording.links.insert("/proc/1/fd/10".into(), None);
    recording
        .links
        .insert("/proc/1/exe".into(), Some("/sbin/init".into()));
    recording
        .dirs
        .insert("/proc".into(), vec![String::from("1"), String::from("self")]);
    recording.modes.insert("/run".into(), Some(0o1755));
    recording.owners.insert("/run".into(), Some(0));
    recording.programs.insert(String::from("nft"), None);
    recording
        .env
        .insert(String::from("HOME"), Some(String::from("/root")));
    recording
}

#[test]
fn what_is_written_is_read_back() {
    let recording = some_recording();
    assert_eq!(there_and_back(&recording), recording);
}

#[test]
fn a_person_finds_an_answer_by_the_name_of_its_file() {
    let files = files(&some_recording()).expect("written");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "answers.jsonl",
            "commands/nft_-j_list_ruleset.out",
            "machine.toml"
        ]
    );
    let index = &files[INDEX];
    assert!(
        index.contains(r#"{"links":"/proc/1/fd","to":{"0":"/dev/null","10":null}}"#),
        "{index}"
    );
    assert!(
        index.contains(r#"{"read":"/proc/1/stat","text":"1 (init) S\n"}"#),
        "{index}"
    );
}

#[test]
fn nothing_in_the_files_plays_tricks_on_a_terminal() {
    let mut recording = some_recording();
    let nasty = "line\n\u{1b}]0;title\u{7}\u{9b}2J\u{202e}abc\n".repeat(40);
    recording
        .files
        .insert("/etc/motd".into(), Content::Text(nasty.clone()));
    recording
        .files
        .insert("/etc/\u{1b}[31m".into(), Content::Text("a\nb\n".repeat(300)));
    let written = files(&recording).expect("written");
    for (name, text) in &written {
        assert!(
            is_plain(name) && is_plain(text) && !name.contains('\n'),
            "{name:?}"
        );
    }
    assert_eq!(there_and_back(&recording), recording);
}

fn load(index: &str) -> Result<Recording, LayoutError> {
    let about = toml::to_string(&About {
        schema: SCHEMA,
        ..About::default()
    })
    .expect("TOML");
    recording(&mut |name| match name {
        ABOUT => Some(about.clone()),
        INDEX => Some(index.to_owned()),
        other => panic!("{other} was read"),
    })
}

#[test]
fn a_recording_of_a_stranger_cannot_name_files_outside_of_it() {
    for name in ["../../etc/shadow", "/etc/shadow", "files/../../x"] {
        let line = format!(r#"{{"read":"/x","text":{{"file":"{name}"}}}}"#);
        let error = load(&line).expect_err("refused").to_string();
        assert!(error.contains("line 1") && error.contains("leads out"), "{error}");
    }
}

#[test]
fn a_text_that_is_missing_is_taken_from_the_recording_that_is_like_it() {
    let mut recording = some_recording();
    recording
        .files
        .insert("/etc/a".into(), Content::Text("a\nb\n".repeat(10)));
    let twin = files(&recording).expect("written");
    recording.about.like = Some(String::from("plain-12"));
    let mut own = files(&recording).expect("written");
    own.remove("files/etc/a").expect("a file");
    let read = |name: &str| match name.strip_prefix("../plain-12/") {
        Some(name) => twin.get(name).cloned(),
        None => own.get(name).cloned(),
    };
    assert_eq!(super::recording(&mut |name| read(name)).expect("read"), recording);
    // What stands beside it and is no recording is not read.
    let error = super::recording(&mut |name| read(name).filter(|_| !name.ends_with("12/machine.toml")));
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("machine.toml is not there")
    );
    for name in ["..", "../x", "/etc", ""] {
        recording.about.like = Some(name.to_owned());
        let files = files(&recording).expect("written");
        assert!(
            super::recording(&mut |name| files.get(name).cloned()).is_err(),
            "{name}"
        );
    }
}

#[test]
fn a_wrong_directory_is_told_from_a_newer_one() {
    let error = recording(&mut |_| None).expect_err("nothing there").to_string();
    assert!(error.contains("faspwall capture"), "{error}");
    let newer = recording(&mut |_| {
        Some(
            toml::to_string(&About {
                schema: SCHEMA + 1,
                ..About::default()
            })
            .expect("TOML"),
        )
    });
    assert!(matches!(newer, Err(LayoutError::Newer(_))));
    assert!(load("{\"dance\":1}\n").is_err());
}

proptest! {
    #[test]
    fn any_text_survives(texts in prop::collection::btree_map("(?s).{1,12}", "(?s).{0,600}", 0..6)) {
        let mut recording = some_recording();
        for (name, text) in texts {
            let path = PathBuf::from("/etc").join(name.trim_start_matches('/'));
            recording.files.insert(path, Content::Text(text.clone()));
            let call = Call { argv: vec![name.clone()], stdin: Some(text.clone()) };
            recording.calls.insert(call, Ended::Printed(Output { status: None, stdout: text.clone(), stderr: text }));
        }
        prop_assert_eq!(there_and_back(&recording), recording);
    }

    #[test]
    fn no_index_makes_the_reader_panic(text in "(?s)[ -~\n]{0,200}") {
        let about = "schema = 1\nrecorded_by = ''\nat = ''\nboottime_ms = 0\npid = 1\nuid = 0\ngid = 0\nstate_dir = '/'\n";
        let _ = recording(&mut |name| Some(if name == ABOUT { about.to_owned() } else { text.clone() }));
    }
}
