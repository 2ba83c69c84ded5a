//! Texts of our own that come back from a disk or from a person: the journal, answers, catalogues, recordings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use faspwall::answers::Answers;
use faspwall::catalogue::Catalogue;
use faspwall::engine::journal::read;
use faspwall::system::recording::redact::{MARK, redact as take_secrets_out};
use faspwall::system::recording::{Content, Recording, layout};
use faspwall::transaction::State;

pub fn journal(bytes: &[u8]) {
    match read(bytes) {
        Ok(entries) => {
            let state = entries.iter().fold(State::default(), State::after);
            let mut written = String::new();
            for entry in &entries {
                written.push_str(&serde_json::to_string(entry).expect("every entry can be written"));
                written.push('\n');
            }
            let again = read(written.as_bytes()).expect("what is written can be read");
            assert_eq!(again, entries, "what is written is not what is read");
            assert_eq!(again.iter().fold(State::default(), State::after), state);
            // A power loss may cut it off anywhere.
            let cut = read(&written.as_bytes()[..written.len() / 2]).expect("a cut off journal can be read");
            assert_eq!(cut[..], entries[..cut.len()]);
        }
        Err((line, what)) => {
            assert!(line >= 1, "an error without a line");
            super::readable(&what);
        }
    }
}

/// `name:12:3: what is wrong`
fn placed(name: &str, message: &str) {
    for line in message.lines() {
        super::readable(line);
        let rest = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
        let number = rest.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
        assert!(
            number.is_some_and(|number| number >= 1),
            "an error without a place: {line}"
        );
    }
}

pub fn answers(bytes: &[u8]) {
    let catalogue = Catalogue::builtin();
    match Answers::from_bytes("answers.toml", bytes, catalogue) {
        Ok(answers) => {
            let written = answers.to_toml(catalogue);
            let again = Answers::from_toml("again.toml", &written, catalogue);
            assert_eq!(
                again.as_ref(),
                Ok(&answers),
                "what is written is not what is read:\n{written}"
            );
            drop(faspwall::plan::plan(catalogue, &answers));
        }
        Err(error) => placed("answers.toml", &error.to_string()),
    }
}

pub fn catalogue(bytes: &[u8]) {
    match Catalogue::read("catalogue.toml", &super::text(bytes)) {
        Ok(catalogue) => {
            drop(catalogue.to_json());
            for role in &catalogue.roles {
                drop(faspwall::plan::plan(&catalogue, &Answers::for_role(role)));
            }
        }
        Err(error) => placed("catalogue.toml", &error.to_string()),
    }
}

/// Three texts: what is true of all of it, the index, and the content of every file that it names.
pub fn recording(bytes: &[u8]) {
    let [about, index, content] = super::parts(bytes);
    let mut read = |name: &str| match name {
        layout::ABOUT => Some(about.clone()),
        layout::INDEX => Some(index.clone()),
        name => {
            let inside = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
            assert!(
                inside || name.starts_with("../"),
                "{name:?} leads out of the recordings"
            );
            Some(content.clone())
        }
    };
    match layout::recording(&mut read) {
        Ok(recording) => {
            let written = layout::files(&recording).expect("what is read can be written");
            let again = layout::recording(&mut |name| written.get(name).cloned());
            let mut again = again.expect("what is written can be read");
            again.about.like.clone_from(&recording.about.like);
            assert_eq!(again, recording, "what is written is not what is read");
        }
        Err(error) => super::readable(&error.to_string()),
    }
}

/// Keys, passwords, tokens and host keys that stand anywhere in a text are gone, and once is enough.
pub fn redact(bytes: &[u8]) {
    let text = super::text(bytes);
    let secret = "hunter2hunter2hunter2";
    let planted = format!("{text}\npassword = {secret}\n{text}\n<node_password>{secret}</node_password>\n");
    let mut recording = Recording {
        files: BTreeMap::from([
            (PathBuf::from("/etc/one"), Content::Text(planted)),
            (PathBuf::from("/etc/other"), Content::Text(text)),
        ]),
        ..Recording::default()
    };
    take_secrets_out(&mut recording);
    let Some(Content::Text(first)) = recording.files.get(&PathBuf::from("/etc/one")) else {
        panic!("the file is gone");
    };
    assert!(
        !first.contains(secret) || bytes.windows(7).any(|w| w == b"hunter2"),
        "a planted secret is still there"
    );
    assert!(first.contains(MARK));
    let once = recording.clone();
    take_secrets_out(&mut recording);
    assert_eq!(recording, once, "once is not enough");
}
