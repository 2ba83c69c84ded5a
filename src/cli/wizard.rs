//! Starts the wizard: decides between pages and line mode, joins it to the worker, and leaves a summary behind.

use std::path::PathBuf;

use super::{Failure, Global, failure, worker};
use crate::answers::Answers;
use crate::catalogue::Catalogue;
use crate::engine::Engine;
use crate::system::System;
use crate::tui::plain::run as line_mode;
use crate::tui::terminal::{self, Ending, Options};
use crate::tui::theme::{Glyphs, Mode, Palette};
use crate::tui::{PageId, Remembered, Shared};

/// Seconds of a confirm window: "we are humans, not speedy robots".
const WINDOW_S: u64 = 120;
/// The role that a fresh start proposes: what most hosts are.
pub(super) const FIRST_ROLE: &str = "high-speed-transfer-server";

/// `faspwall` and `faspwall wizard`
pub fn start(desk: &'static dyn System, engine: &Engine<'static>, global: &Global) -> Result<u8, Failure> {
    let env = |name: &str| desk.env(name);
    let mut around = terminal::surroundings(env);
    around.plain = global.plain;
    around.glyphs = global.ascii.then_some(Glyphs::Ascii);
    around.palette = global.mono.then_some(Palette::Mono);
    let shared = shared(engine, global)?;
    // Reading our own state is not probing the host: a countdown that runs must be the first thing on screen.
    let open = engine.open().ok().flatten().is_some();
    match around.mode() {
        Mode::Plain => plain(desk, engine, shared),
        Mode::Pages(look) => {
            let options = Options {
                look,
                start: if open { PageId::Confirm } else { PageId::Welcome },
                size: global.size,
                escape_wait: Options::escape_wait(env("SSH_CONNECTION").is_some()),
            };
            let (effects, events, ended) = worker::start(desk, engine, WINDOW_S);
            let ending = terminal::run(shared, options, &effects, events)
                .map_err(|e| Failure::new(failure::USAGE, e.to_string()))?;
            ended.after(effects);
            match ending {
                Ending::Quit(code, lines) => {
                    for line in lines {
                        super::unattended::out(&format!("{line}\n"));
                    }
                    Ok(code)
                }
                Ending::LineMode(shared) => plain(desk, engine, *shared),
            }
        }
    }
}

fn plain(desk: &'static dyn System, engine: &Engine<'static>, shared: Shared) -> Result<u8, Failure> {
    let (effects, events, ended) = worker::start(desk, engine, WINDOW_S);
    let code = line_mode::on_stdio(shared, &effects, events)
        .map_err(|e| Failure::new(failure::USAGE, format!("standard output cannot be written: {e}")))?;
    ended.after(effects);
    Ok(code)
}

fn shared(engine: &Engine<'_>, global: &Global) -> Result<Shared, Failure> {
    let catalogue = Catalogue::builtin();
    let role = catalogue.role(FIRST_ROLE).or_else(|| catalogue.roles.first());
    let role = role.ok_or_else(|| Failure::new(failure::BUG, "the built-in catalogue has no roles"))?;
    let mut answers = Answers::for_role(role);
    answers.accept.clone_from(&global.accept);
    Ok(Shared {
        answers,
        roles: catalogue.roles.clone(),
        facts: crate::facts::Facts::default(),
        detected: false,
        preview: None,
        rehearsal: None,
        remembered: remembered(engine),
        progress: Vec::new(),
        status: None,
        kept: Vec::new(),
        said: None,
        lab: engine.system.env("FASPWALL_LAB").is_some(),
        window_s: WINDOW_S,
        today: engine.system.now().strftime("%Y-%m-%d").to_string(),
        answers_path: match engine.system.recorded() {
            Some(_) => PathBuf::from("answers.toml"),
            None => engine.state_dir.join("answers.toml"),
        },
    })
}

fn remembered_path(engine: &Engine<'_>) -> std::path::PathBuf {
    engine.state_dir.join("remembered.toml")
}

/// The first line of the file tells when and where the wizard was left.
fn remembered(engine: &Engine<'_>) -> Option<Remembered> {
    let text = engine.system.read_text(&remembered_path(engine))?;
    let (first, _) = text.split_once('\n')?;
    let (when, page) = first.strip_prefix("# left ")?.split_once(" on ")?;
    let answers = Answers::from_toml("remembered.toml", &text, Catalogue::builtin()).ok()?;
    Some(Remembered {
        when: when.to_owned(),
        page: page.to_owned(),
        answers,
    })
}

/// Keeps the answers for the next start; that it cannot is no reason to stop.
pub(super) fn remember(engine: &Engine<'_>, answers: &Answers, page: &str) {
    let when = engine.system.now().strftime("%Y-%m-%d %H:%M");
    let text = format!(
        "# left {when} on {page}\n{}",
        answers.to_toml(Catalogue::builtin())
    );
    if engine.system.make_dir(&engine.state_dir, 0o700).is_ok() {
        drop(
            engine
                .system
                .replace(&remembered_path(engine), text.as_bytes(), 0o600),
        );
    }
}
