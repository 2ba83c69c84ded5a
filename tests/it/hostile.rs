//! Names and comments that were chosen to play tricks on a terminal: nothing that the program prints obeys them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use faspwall::harmless::is_tricky;

/// Sets the title, clears the screen, moves up, turns letters around; of C0, of C1, and of Unicode.
const TRICKS: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}1A\u{202e}gnp.\u{2066}\u{200b}\x7f";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a recording") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            let text = fs::read_to_string(&path).expect("text");
            fs::write(
                &target,
                hostile(&text, path.extension().is_some_and(|e| e == "jsonl")),
            )
            .expect("written");
        }
    }
}

/// Comments of rules, names of chains, programs, services and of the host itself, with tricks in them.
fn hostile(text: &str, index: bool) -> String {
    let tricks = if index {
        let json = serde_json::to_string(TRICKS).expect("JSON");
        json.trim_matches('"').to_owned()
    } else {
        TRICKS.to_owned()
    };
    let inner = serde_json::to_string(&tricks).expect("JSON");
    let inner = inner.trim_matches('"');
    let mut hostile = text.to_owned();
    for (word, tricks) in [
        ("Debian GNU/Linux", tricks.as_str()),
        ("sshd: ", tricks.as_str()),
        ("OpenSSH_", tricks.as_str()),
        ("ufw-user-input", ""),
        ("filter_IN_public", inner),
        ("\"comment\": \"", inner),
    ] {
        hostile = hostile.replace(word, &format!("{word}{tricks}"));
    }
    hostile
}

fn run(machine: &Path, words: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_faspwall"))
        .arg("--machine")
        .arg(machine)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("written");
    let output = child.wait_with_output().expect("ended");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).expect("text")
}

#[test]
fn hostile_names_and_comments_reach_no_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut shown = 0;
    // The other recordings have their common texts from this one.
    let common = "plain-12";
    copy(&crate::machines::folder().join(common), &dir.path().join(common));
    for name in ["docker-iptables-12", "firewalld-zones-12", "fail2ban-nftables-12"] {
        let machine = dir.path().join(name);
        let original = crate::machines::folder().join(name);
        copy(&original, &machine);
        let answers = dir.path().join("answers.toml");
        let role = format!("schema = 1\nrole = \"transfer-node\"\n# {TRICKS}\n");
        fs::write(&answers, role).expect("written");
        let wrong = dir.path().join(format!("wrong{TRICKS}.toml"));
        fs::write(&wrong, "schema = 1\nrole = \"a\\u001b[2Jb\"\n\"\\u202e\" = 1\n").expect("written");
        let (answers, wrong) = (answers.to_string_lossy(), wrong.to_string_lossy());
        for words in [
            &["detect"][..],
            &["detect", "--json"],
            &["plan", "-f", &answers],
            &["plan", "-f", &answers, "--json"],
            &["plan", "-f", &wrong],
            &["status"],
            &["--plain"],
        ] {
            let text = run(&machine, words, "\n\n\n\n\n\n\n");
            let bad: Vec<&str> = text
                .lines()
                .filter(|line| line.chars().any(|c| is_tricky(c) && c != '\t'))
                .collect();
            assert!(bad.is_empty(), "{name} {words:?}: {bad:?}");
            assert!(!text.is_empty(), "{name} {words:?} says nothing");
            shown += text.matches("owned").count();
        }
    }
    assert!(shown >= 6, "the tricks were never shown: the test proves nothing");
}
