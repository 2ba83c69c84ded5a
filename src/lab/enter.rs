//! `faspwall lab enter`: a second terminal, on the peer of the lab that is running.

use std::path::{Path, PathBuf};

use super::{BIN, LabError, PEER};
use crate::step::{Invocation, Tool};
use crate::system::{PATH, System};

/// Runs the command, or a shell, on the peer.
pub fn enter(system: &dyn System, command: &[String]) -> Result<u8, LabError> {
    let lab = running(system).ok_or(LabError::NotRunning)?;
    let user = Path::new("/proc/self/ns/user");
    let mut words = vec!["--target".to_owned(), lab.pid.to_string()];
    if system.read_link(user) != Some(lab.user) {
        words.push("--user".into());
    }
    words.extend(
        [
            "--mount", "--net", "--ipc", "--pid", "--", "ip", "netns", "exec", PEER,
        ]
        .map(str::to_owned),
    );
    if command.is_empty() {
        println!(
            "You are on the peer of the lab. Log in with  ssh -p PORT root@server  and leave with  exit"
        );
        let bash = system.resolve(Path::new("/bin/bash")).is_some();
        words.push(if bash { "bash" } else { "sh" }.to_owned());
    } else {
        words.extend_from_slice(command);
    }
    let env = [
        ("PATH".to_owned(), format!("{BIN}:{PATH}")),
        ("HOME".to_owned(), "/root".to_owned()),
        ("PS1".to_owned(), "peer# ".to_owned()),
    ];
    let status = system.run_on_terminal(&Invocation::new(Tool::Nsenter, words), &env)?;
    Ok(super::start::code(status))
}

struct Lab {
    pid: u32,
    /// Its user namespace, which is ours when root started it.
    user: PathBuf,
}

/// Process 1 of the newest lab that we may enter.
fn running(system: &dyn System) -> Option<Lab> {
    system
        .list(Path::new("/proc"))
        .into_iter()
        .filter_map(|dir| {
            let pid = dir.file_name()?.to_str()?.parse().ok()?;
            let words = system.read_text(&dir.join("cmdline"))?;
            let stage = words.contains("\0lab-inside\0init\0");
            let first = system
                .read_text(&dir.join("status"))?
                .lines()
                .any(|line| line.starts_with("NSpid:") && line.split_whitespace().last() == Some("1"));
            // The link can be read by those who may enter, and by nobody else.
            let user = system.read_link(&dir.join("ns/user"))?;
            (stage && first).then_some((started(system, &dir), Lab { pid, user }))
        })
        .max_by_key(|(started, _)| *started)
        .map(|(_, lab)| lab)
}

/// When a process began, in ticks since boot: the 22nd field of its stat, behind the name in brackets.
fn started(system: &dyn System, dir: &Path) -> u64 {
    let stat = system.read_text(&dir.join("stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok())
        .unwrap_or(0)
}
