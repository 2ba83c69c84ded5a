//! What firewalld tells and what its files hold. It is asked only while its service runs: a question over D-Bus would
//! start it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::firewalld::State;
use crate::backend::firewalld::state::{
    CONF, DIRECT, ETC, LIST_ZONES, LISTED, PACKAGED, services_used, zones_seen,
};
use crate::backend::firewalld::zone::service_of_file;
use crate::facts::{Contradiction, Observations};
use crate::step::{Invocation, Tool};
use crate::system::System;

/// firewall-cmd is a Python program that waits for its daemon.
const LIMIT: Duration = Duration::from_secs(10);

/// Adds what firewalld says to what was seen. One call, and no file that no zone needs.
pub fn observe(system: &dyn System, seen: &mut Observations) {
    let call = Invocation::new(Tool::FirewallCmd, LIST_ZONES).within(LIMIT);
    if let Ok(output) = system.run_ok(&call) {
        seen.outputs.insert(LISTED.to_owned(), output.stdout);
    }
    let mut paths = vec![PathBuf::from(CONF), PathBuf::from(DIRECT)];
    for directory in [ETC, PACKAGED] {
        let listed = system.list(&Path::new(directory).join("zones"));
        let wanted = |path: &PathBuf| {
            let name = path.to_string_lossy();
            name.ends_with(".xml") || name.ends_with(".xml.old")
        };
        paths.extend(listed.into_iter().filter(wanted));
    }
    for path in paths {
        take(system, seen, path);
    }
    let mut names = services_used(&zones_seen(seen));
    // A service may include others, and those again.
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        at += 1;
        let places = [ETC, PACKAGED].map(|directory| format!("{directory}/services/{name}.xml"));
        let found = places.iter().find_map(|path| take(system, seen, path.into()));
        let included = found
            .map(|text| service_of_file(&text).includes)
            .unwrap_or_default();
        for name in included {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
}

fn take(system: &dyn System, seen: &mut Observations, path: PathBuf) -> Option<String> {
    let text = system.read_text(&path)?;
    seen.files.insert(path, text.clone());
    Some(text)
}

/// Differences told at most.
const TOLD: usize = 8;

/// What firewalld does now and will not do after a reload or a reboot, or the other way round.
pub fn differs(seen: &Observations) -> Option<Contradiction> {
    let mut lines = State::read(seen)?.differences();
    if lines.is_empty() {
        return None;
    }
    if lines.len() > TOLD {
        let more = lines.len() - TOLD;
        lines.truncate(TOLD);
        lines.push(format!("and {more} more"));
    }
    Some(Contradiction {
        code: String::from("FW009"),
        blocks: false,
        text: format!(
            "firewalld does something else now than it will after a reload or a reboot: {}. Neither is touched. If that \
             is not meant, make it last (the same call with --permanent) or take it away before somebody reloads",
            lines.join("; ")
        ),
    })
}
