//! `faspwall capture`: looks at the host as every other command does, and writes down what was asked and answered.

use std::path::{Path, PathBuf};

use super::unattended::out;
use super::{Failure, failure};
use crate::engine::Engine;
use crate::engine::detect::detect;
use crate::rehearse;
use crate::system::recorder::Recorder;
use crate::system::recording::{Recording, layout, redact};
use crate::system::{System, SystemError};

/// What stands in the directory for whoever gets it.
const ABOUT: &str = include_str!("../../assets/recording.md");

/// Records this host in a new or empty directory.
pub fn capture(engine: &Engine<'_>, dir: &Path) -> Result<u8, Failure> {
    let system = engine.system;
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    if !system.list(&dir).is_empty() {
        return Err(Failure {
            code: failure::USAGE,
            lines: vec![
                format!("{} is not empty. Nothing was written.", dir.display()),
                String::from("Name a new directory: faspwall capture DIR"),
            ],
        });
    }
    let mut recording = look(system, &engine.state_dir);
    recording.about.replaced = redact::redact(&mut recording);
    let mut files = layout::files(&recording).map_err(|e| Failure::new(failure::BUG, e.to_string()))?;
    files.insert(String::from("README.md"), ABOUT.to_owned());
    write(system, &dir, &files).map_err(|error| Failure {
        code: failure::USAGE,
        lines: vec![
            error.to_string(),
            format!("What was written until then is in {}", dir.display()),
        ],
    })?;
    let size: usize = files.values().map(String::len).sum();
    out(&told(system, &dir, &recording, files.len(), size));
    Ok(0)
}

/// Asks everything that a command which runs on a recorded host will ask.
fn look(system: &dyn System, state_dir: &Path) -> Recording {
    let name = concat!("faspwall ", env!("CARGO_PKG_VERSION"));
    let recorder = Recorder::new(system, name, state_dir);
    let engine = Engine::new(&recorder, state_dir.to_owned());
    rehearse::look(&recorder, &detect(&recorder, &mut |_| {}));
    drop(engine.status());
    drop(engine.kept());
    drop(engine.setting(120));
    recorder.into_recording()
}

fn write(
    system: &dyn System,
    dir: &Path,
    files: &std::collections::BTreeMap<String, String>,
) -> Result<(), SystemError> {
    system.make_dir(dir, 0o700)?;
    // Somebody who made it first could put links into it, and say so which files root overwrites.
    system.seclude(dir)?;
    for (name, text) in files {
        let path: PathBuf = dir.join(name);
        if let Some(parent) = path.parent() {
            system.make_dir(parent, 0o700)?;
        }
        system.replace(&path, text.as_bytes(), 0o600)?;
    }
    Ok(())
}

fn told(system: &dyn System, dir: &Path, recording: &Recording, files: usize, size: usize) -> String {
    let dir = dir.display();
    let replaced = match recording.about.replaced.as_slice() {
        [] => String::from("nothing that looked like a secret was seen"),
        some => some.join(", "),
    };
    let mut text = format!(
        "recorded    {dir}: {files} files, {} KB, for your eyes only (mode 0600)\n\
         taken out   {replaced}\n\
         still in it the name and the addresses of this host and of who is logged in, names of users, interfaces,\n\
         \x20           units and files, and every firewall rule with its comment\n",
        size.div_ceil(1024)
    );
    if !system.is_root() {
        text.push_str(
            "not in it   the firewall's rules: only root may read them. In full: sudo faspwall capture DIR\n",
        );
    }
    text.push_str(&format!(
        "look first  {dir}/{} names every question; the long answers are in commands and files beside it\n\
         try it      faspwall --machine {dir} detect\n\
         send it     tar czf recorded-host.tar.gz -C {dir} .\n",
        layout::INDEX
    ));
    text
}
