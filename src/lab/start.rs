//! The outer stages: from the terminal of a person to process 1 of the lab.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::LabError;
use super::preflight::{self, Range};
use crate::sealed::{self, poll};
use crate::step::{Invocation, Signal, Tool};
use crate::system::{System, SystemError};

/// How long the mapping of user ids may take.
const MAPPING: Duration = Duration::from_secs(10);
/// At most so many ids are used of a range: all that a small system knows.
const IDS: u64 = 65_535;

/// Looks whether the lab can be had, then builds it.
pub fn start(system: &dyn System, command: &[String]) -> Result<u8, LabError> {
    preflight::programs(system)?;
    preflight::namespaces(system)?;
    if system.is_root() {
        return sealed(system, command);
    }
    let uids = preflight::range(system, "/etc/subuid")?;
    let gids = preflight::range(system, "/etc/subgid")?;
    let mut words = vec!["--user".to_owned(), "--".to_owned()];
    words.extend(myself(system, "map", command)?);
    let call = Invocation::new(Tool::Unshare, words);
    // unshare(1) can do the mapping itself only since util-linux 2.38: RHEL 9 and Ubuntu 22.04 are older.
    let (status, mapped) = thread::scope(|scope| {
        let mapper = scope.spawn(|| map_ids(system, uids, gids));
        let status = system.run_on_terminal(&call, &[]);
        (status, mapper.join())
    });
    if let Ok(Err(error)) = mapped {
        return Err(error);
    }
    Ok(code(status?))
}

/// Gives the stage `map` its user and group ids as soon as it is there.
fn map_ids(system: &dyn System, uids: Range, gids: Range) -> Result<(), LabError> {
    let Some(pid) = poll(system, MAPPING, || waiting_stage(system)) else {
        // unshare itself has said on the terminal why it did not get that far.
        return Ok(());
    };
    let (uid, gid) = system.ids();
    let map = |tool: Tool, own: u32, range: Range| {
        let count = range.count.min(IDS).to_string();
        let words = [
            pid.to_string(),
            "0".into(),
            own.to_string(),
            "1".into(),
            "1".into(),
            range.first.to_string(),
            count,
        ];
        system.run_ok(&Invocation::new(tool, words))
    };
    // The stage goes on once the user ids are there, and then it needs its group ids, too.
    let mapped = map(Tool::Newgidmap, gid, gids).and_then(|_| map(Tool::Newuidmap, uid, uids));
    if let Err(error) = mapped {
        system.signal(pid, Signal::Term)?;
        return Err(error.into());
    }
    Ok(())
}

/// The process number of our child once it is the stage `map`: before that the kernel does not let us map its ids.
fn waiting_stage(system: &dyn System) -> Option<u32> {
    system
        .list(Path::new("/proc/self/task"))
        .iter()
        .filter_map(|task| system.read_text(&task.join("children")))
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .find_map(|pid| {
            let words = system.read_text(Path::new(&format!("/proc/{pid}/cmdline")))?;
            words.contains("\0lab-inside\0map\0").then(|| pid.parse().ok())?
        })
}

/// The stage `map`: a plain user's process in a user namespace of its own, which waits for its ids and goes on.
pub fn mapped(system: &dyn System, command: &[String]) -> Result<u8, LabError> {
    let has_ids = || {
        let map = system.read_text(Path::new("/proc/self/uid_map"))?;
        (!map.trim().is_empty()).then_some(())
    };
    if poll(system, MAPPING, has_ids).is_none() {
        return Err(LabError::NotSealed("nobody mapped its user ids"));
    }
    system.die_with_parent()?;
    sealed(system, command)
}

/// Goes on as process 1 of everything new: this process becomes unshare(1), whose end is the end of process 1, which
/// is the end of all. So no part of a lab can be left behind, however it is ended.
fn sealed(system: &dyn System, command: &[String]) -> Result<u8, LabError> {
    let init = myself(system, "init", command)?;
    Err(system.become_program(&sealed::unshared(false, init)).into())
}

/// The stage `init`: process 1. Orphans come to it, and it must collect them, or they would look alive for ever.
pub fn init(system: &dyn System, command: &[String]) -> Result<u8, LabError> {
    if system.pid() != 1 {
        return Err(LabError::NotSealed("not process 1"));
    }
    let mut words = vec!["lab-inside".to_owned(), "host".to_owned()];
    words.extend_from_slice(command);
    let status = system.run_as_init(&Invocation::new(Tool::Faspwall, words))?;
    Ok(code(status))
}

/// The words that start a stage of the lab.
fn myself(system: &dyn System, stage: &str, command: &[String]) -> Result<Vec<String>, SystemError> {
    sealed::stage(system, "lab-inside", stage, command)
}

/// An exit status that can be passed on; death by a signal counts as a failure that left nothing behind.
pub fn code(status: Option<i32>) -> u8 {
    status.and_then(|status| u8::try_from(status).ok()).unwrap_or(6)
}
