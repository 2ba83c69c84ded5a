//! Records the hosts anew: boots a machine for each, runs its script there, and keeps what `faspwall capture` writes.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Script, scripts};
use crate::boxes::{Family, Machine, Suite};

/// Where the recording is made on the machine.
const THERE: &str = "/run/recorded";

/// A machine in the state that the script makes, under the script's name.
pub fn prepared(script: &Script, suite: Suite) -> Machine {
    let machine = Machine::boot(suite);
    machine.install();
    machine.ok(&["hostname", &script.name]);
    machine.put("/run/script", &script.text, 0o644);
    let ran = machine.run(&["sh", "-eu", "/run/script"]);
    assert!(
        ran.ok(),
        "{}.sh on {suite:?}: {}{}",
        script.name,
        ran.stdout,
        ran.stderr
    );
    machine
}

/// Runs a command that captures into [`THERE`].
pub fn captured(machine: &Machine, words: &str) {
    machine.sh(&format!("rm -rf {THERE}; {words}"));
}

fn keep(machine: &Machine, script: &Script, dir: &Path) {
    let words = match &script.user {
        Some(user) => {
            format!("install -d -m 700 -o {user} {THERE} && su {user} -c 'faspwall capture {THERE}'")
        }
        None => format!("faspwall capture {THERE}"),
    };
    // Through a login, where the firewall still lets one in: then there is a session to be found.
    if !machine.ssh(22, Family::V4, &words).ok() {
        captured(machine, &words);
    }
    let _ = fs::remove_dir_all(dir);
    let from = format!("{THERE}/.");
    machine.sh(&format!(
        "rm {THERE}/README.md; find {THERE} -type f -exec chmod 644 {{}} +; find {THERE} -type d -exec chmod 755 {{}} +; \
         tar cf /run/recorded.tar -C {from} ."
    ));
    fs::create_dir_all(dir).expect("a directory");
    let inside = machine.inside("/run/recorded.tar");
    let status = std::process::Command::new("tar")
        .arg("xf")
        .arg(inside)
        .arg("-C")
        .arg(dir)
        .args(["--no-same-owner"])
        .status()
        .expect("tar starts");
    assert!(status.success(), "tar of {}", dir.display());
    share(dir);
}

/// Takes away the texts that are the same in the recording of the plain host of that release, and says so in
/// `machine.toml`.
fn share(dir: &Path) {
    let name = dir.file_name().expect("a name").to_string_lossy();
    let plain = format!("plain-{}", name.rsplit('-').next().expect("a release"));
    let twin = dir.with_file_name(&plain);
    if twin == dir {
        return;
    }
    let mut folders: Vec<PathBuf> = ["commands", "files"].map(|name| dir.join(name)).into();
    let mut empty = folders.clone();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                empty.push(path.clone());
                folders.push(path);
                continue;
            }
            let other = twin.join(path.strip_prefix(dir).expect("inside"));
            if fs::read(other).is_ok_and(|text| text == fs::read(&path).expect("readable")) {
                fs::remove_file(&path).expect("removed");
            }
        }
    }
    // The deepest first.
    empty.sort();
    for folder in empty.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
    let about = dir.join("machine.toml");
    let text = fs::read_to_string(&about).expect("machine.toml");
    fs::write(about, format!("{text}like = \"{plain}\"\n")).expect("written");
}

/// `cargo nextest run --run-ignored only machines::record`; with `FASPWALL_RECORD=ufw,ufw-deny` only those.
#[test]
#[ignore = "writes tests/machines anew from real machines; takes some minutes"]
fn all_hosts_anew() {
    let only = std::env::var("FASPWALL_RECORD").ok();
    let mut failed = Vec::new();
    let mut scripts = scripts();
    // The others are compared with it.
    scripts.sort_by_key(|script| script.name != "plain");
    for script in scripts {
        let wanted = |names: &String| names.split(',').any(|name| name == script.name);
        if only.as_ref().is_some_and(|names| !wanted(names)) {
            continue;
        }
        for (dir, suite) in script.recordings() {
            let one = std::panic::AssertUnwindSafe(|| keep(&prepared(&script, suite), &script, &dir));
            if std::panic::catch_unwind(one).is_err() {
                failed.push(dir);
            }
        }
    }
    assert!(failed.is_empty(), "not recorded: {failed:?}");
}
