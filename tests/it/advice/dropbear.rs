//! FW002 and FW003 where another server than sshd serves SSH: no word of a move that cannot be made.

use super::{Daemon, Facts, Legacy22, Severity, answers, given, server, severity};

fn with_dropbear() -> Facts {
    let mut facts = server();
    facts.ssh.daemon = "dropbear".into();
    facts
}

#[test]
fn a_server_that_is_not_moved_is_to_be_made_to_listen_by_hand() {
    let facts = with_dropbear();
    let mut answers = answers("connect-server");
    for daemon in [Daemon::Move, Daemon::Leave] {
        answers.ssh.daemon = daemon;
        for code in ["FW002", "FW003"] {
            let advice = given(code, &answers, &facts).expect("given");
            assert_eq!(advice.severity, Severity::Blocker, "{}", advice.text);
            let text = format!("{} {:?}", advice.text, advice.evidence);
            assert!(text.contains("dropbear") && !text.contains("sshd"), "{text}");
            assert!(!text.contains("daemon = \"move\""), "{text}");
        }
    }
    answers.ssh.legacy_22 = Legacy22::Keep;
    answers.accept.push("FW001".into());
    assert_eq!(severity("FW002", &answers, &facts), Some(Severity::Warning));
}

#[test]
fn one_that_listens_there_already_is_nothing_to_speak_of() {
    let mut facts = with_dropbear();
    facts.ssh.ports = vec![22, 33001];
    let mut answers = answers("connect-server");
    answers.ssh.daemon = Daemon::Leave;
    assert_eq!(severity("FW002", &answers, &facts), None);
    assert_eq!(severity("FW003", &answers, &facts), Some(Severity::Note));
}
