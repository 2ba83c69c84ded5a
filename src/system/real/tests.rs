//! On the host that runs the tests: its files and programs.

use std::process::Command;
use std::time::Instant;

use super::process::Lines;
use super::*;

#[test]
fn lines_are_told_whole_however_they_come() {
    let mut heard = Vec::new();
    let mut lines = Lines::default();
    for piece in ["one\ntw", "o", "\n\nthree\nno end"] {
        lines.tell(piece.as_bytes(), &mut |line| heard.push(line.to_owned()));
    }
    assert_eq!(heard, ["one", "two", "", "three"]);
}

#[test]
fn a_file_that_is_written_anew_belongs_to_whom_it_did() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rules");
    fs::write(&path, "before").expect("written");
    // A plain user can give a file to no one else.
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).expect("given away");
    }
    let flags = rustix::fs::XattrFlags::empty();
    let marked = rustix::fs::setxattr(&path, "user.note", b"theirs", flags).is_ok();
    let before = fs::metadata(&path).expect("there");
    RealSystem.replace(&path, b"after", 0o640).expect("replaced");
    let after = fs::metadata(&path).expect("there");
    assert_eq!(fs::read(&path).expect("read"), b"after");
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_eq!(after.permissions().mode() & 0o7777, 0o640);
    if marked {
        let mut value = [0; 64];
        let length = rustix::fs::getxattr(&path, "user.note", &mut value).expect("kept");
        assert_eq!(&value[..length], b"theirs");
    }
}

#[test]
fn all_that_a_program_prints_is_read_though_another_keeps_its_pipes() {
    let mut command = Command::new("sh");
    command
        .args(["-c", "sleep 60 & head -c 3000000 /dev/zero; echo $! >&2"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let call = Invocation::new(Tool::Nft, Vec::<String>::new());
    let start = Instant::now();
    let output = finish(command.spawn().expect("sh"), &call).expect("it ended");
    assert_eq!(output.stdout.len(), 3_000_000);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "nobody waits for the other"
    );
    let other = output.stderr.trim().parse().expect("a number");
    RealSystem.signal(other, Signal::Term).expect("it runs still");
}

#[test]
fn a_line_that_was_cut_off_does_not_spoil_the_next_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal");
    let system = RealSystem;
    system.append(&path, b"first\n").expect("written");
    fs::write(&path, b"first\n{\"entry\":\"int").expect("torn");
    system.append(&path, b"second\n").expect("written");
    assert_eq!(fs::read(&path).expect("read"), b"first\nsecond\n");
}

/// Started by the next test, as a program of ours.
#[test]
#[ignore = "prints what it was started with"]
fn prints_its_surroundings() {
    for (name, value) in std::env::vars_os() {
        println!("has {}={}", name.display(), value.display());
    }
    println!("in {}", std::env::current_dir().expect("a directory").display());
    println!("given {:?}", std::env::args().next_back());
}

#[test]
fn a_program_is_started_with_a_fixed_environment_and_no_shell() {
    let hostile = "$(touch /tmp/x); `id` \"quoted\" *";
    let words = [
        "--exact",
        "system::real::tests::prints_its_surroundings",
        "--include-ignored",
        "--nocapture",
        "--skip",
        hostile,
    ];
    let call = Invocation::new(Tool::Faspwall, words);
    let output = RealSystem.run_ok(&call).expect("started");
    let mut seen: Vec<&str> = output
        .stdout
        .lines()
        .filter(|line| line.starts_with("has "))
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        ["has LC_ALL=C", &format!("has PATH={PATH}")],
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("in /\n"), "{}", output.stdout);
    assert!(
        output.stdout.contains(&format!("given {:?}", Some(hostile))),
        "{}",
        output.stdout
    );
}

#[test]
fn no_program_is_a_shell_and_none_is_found_in_the_path_of_the_caller() {
    let shells = [
        "sh", "bash", "dash", "env", "eval", "su", "sudo", "python3", "perl",
    ];
    for tool in [
        Tool::Nft,
        Tool::Sshd,
        Tool::Ip,
        Tool::Wall,
        Tool::Mount,
        Tool::Systemctl,
    ] {
        assert!(!shells.contains(&tool.name()));
        if let Some(path) = RealSystem.locate(tool) {
            assert!(
                PATH.split(':').any(|dir| path.parent() == Some(Path::new(dir))),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn no_link_is_followed_when_a_file_is_written_appended_to_or_locked() {
    let dir = tempfile::tempdir().expect("a directory");
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, "of others").expect("written");
    std::os::unix::fs::symlink(&target, &link).expect("made");
    let system = RealSystem;
    assert!(system.append(&link, b"x\n").is_err());
    assert!(system.lock(&link).is_err());
    // Also where somebody guessed the name of the file beside it.
    std::os::unix::fs::symlink(&target, dir.path().join("link.faspwall-new")).expect("made");
    system.replace(&link, b"ours", 0o600).expect("replaced");
    assert_eq!(fs::read(&target).expect("read"), b"of others");
    let meta = fs::symlink_metadata(&link).expect("there");
    assert!(meta.is_file() && meta.permissions().mode() & 0o777 == 0o600);
}
