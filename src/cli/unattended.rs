//! The commands that scripts use: they read answers, act, and print for people or for programs.

use std::path::{Path, PathBuf};

use super::{Failure, Global, Trying, failure, json, print};
use crate::advice::{Advice, review};
use crate::answers::Answers;
use crate::catalogue::Catalogue;
use crate::change::Preview;
use crate::engine::apply::Order;
use crate::engine::confirm::{Confirmed, Proof, who};
use crate::engine::detect::{detect as look, session::session};
use crate::engine::{Engine, EngineError};
use crate::facts::{Facts, Session};
use crate::harmless;
use crate::plan::plan as plan_of;
use crate::rehearse::Subject;
use crate::system::System;
use crate::transaction::Progress;

/// How `plan` prints.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    /// As JSON.
    pub json: bool,
    /// With diffs.
    pub diff: bool,
    /// Status 10 when there is something to do.
    pub exit_code: bool,
}

/// Who asks, and of which host.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The host at which the operator sits: files that are named on the command line are there.
    pub desk: &'a dyn System,
    /// The host that is asked about; the same one, or a recorded one.
    pub engine: &'a Engine<'a>,
    /// Settings for every command.
    pub global: &'a Global,
}

/// What `apply` was told.
#[derive(Debug, Clone)]
pub struct Apply {
    /// The command, for documents.
    pub command: &'static str,
    /// Answers file; without one, the answers in force with TCP/22 closed.
    pub file: Option<PathBuf>,
    /// Seconds of a window.
    pub window_s: u64,
    /// Commit at once.
    pub no_confirm: bool,
    /// Without a rehearsal.
    pub no_rehearsal: bool,
    /// As JSON.
    pub json: bool,
}

impl Apply {
    /// From what was typed.
    pub fn new(command: &'static str, file: Option<PathBuf>, typed: &Trying) -> Self {
        Self {
            command,
            file,
            window_s: typed.confirm_within,
            no_confirm: typed.no_confirm,
            no_rehearsal: typed.no_rehearsal,
            json: typed.json,
        }
    }
}

pub(super) fn out(text: &str) {
    use std::io::Write;
    // A reader that has had enough (`| head`) is no failure.
    drop(std::io::stdout().write_all(harmless::lines(text).as_bytes()));
}

pub(super) fn facts(engine: &Engine<'_>) -> Facts {
    look(engine.system, &mut |_| {})
}

/// `faspwall detect`
pub fn detect(engine: &Engine<'_>, as_json: bool) -> Result<u8, Failure> {
    let facts = facts(engine);
    out(&if as_json {
        json::text(&json::detect(&facts, &host_advice(&facts)))
    } else {
        print::detect(&facts)
    });
    Ok(0)
}

/// Advice that is about the host alone and needs no answers: what is reviewed are the usual answers of its role.
fn host_advice(facts: &Facts) -> Vec<Advice> {
    const ABOUT_THE_HOST: [&str; 6] = ["FW004", "FW005", "FW009", "FW011", "FW012", "FW014"];
    let catalogue = Catalogue::builtin();
    let found = facts.aspera.as_ref().and_then(|aspera| aspera.role.as_deref());
    let role = found
        .and_then(|id| catalogue.role(id))
        .or_else(|| catalogue.role(super::wizard::FIRST_ROLE));
    let Some(answers) = role.map(Answers::for_role) else {
        return Vec::new();
    };
    let Ok(plan) = plan_of(catalogue, &answers) else {
        return Vec::new();
    };
    let mut advice = review(&plan, &answers, facts);
    advice.retain(|one| ABOUT_THE_HOST.contains(&one.code.as_str()));
    advice
}

/// `faspwall roles`
pub fn roles(as_json: bool) -> Result<u8, Failure> {
    let catalogue = Catalogue::builtin();
    out(&if as_json {
        json::text(&catalogue.to_json())
    } else {
        catalogue.to_text()
    });
    Ok(0)
}

/// Reads the answers file; every mistake in it is told at once.
pub(super) fn answers(asked: &Asked<'_>, file: &Path) -> Result<Answers, Failure> {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let bytes = match asked.desk.read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return Err(Failure {
                code: failure::USAGE,
                lines: vec![
                    format!("{} is not there", file.display()),
                    String::from("faspwall generate answers prints a template with comments"),
                ],
            });
        }
        Err(error) => return Err(Failure::new(failure::USAGE, error.to_string())),
    };
    let name = file.display().to_string();
    Answers::from_bytes_accepting(&name, &bytes, Catalogue::builtin(), &asked.global.accept).map_err(|e| {
        Failure {
            code: failure::USAGE,
            lines: e.to_string().lines().map(str::to_owned).collect(),
        }
    })
}

pub(super) fn prepared(
    engine: &Engine<'_>,
    answers: &Answers,
    facts: &Facts,
    window_s: u64,
) -> Result<Preview, Failure> {
    engine
        .prepare(Catalogue::builtin(), answers, facts, window_s)
        .map_err(|e| Failure::new(failure::USAGE, e.to_string()))
}

/// `faspwall plan`
pub fn plan(asked: &Asked<'_>, file: &Path, show: &Show) -> Result<u8, Failure> {
    let answers = answers(asked, file)?;
    let engine = asked.engine;
    let facts = facts(engine);
    let preview = prepared(engine, &answers, &facts, 120)?;
    out(&if show.json {
        json::text(&json::plan(&preview, &facts))
    } else {
        print::plan(&preview, show.diff)
    });
    if !preview.obstacles.is_empty() {
        return Err(refusal(&facts, &preview));
    }
    Ok(if show.exit_code && preview.changed() {
        failure::PENDING
    } else {
        0
    })
}

pub(super) fn refusal(facts: &Facts, preview: &Preview) -> Failure {
    let error = if !facts.privileged {
        EngineError::Privilege("reading the live ruleset")
    } else if facts.backend.is_none() && facts.refusal.is_some() {
        EngineError::NoFirewall(preview.obstacles.join("\n"))
    } else {
        EngineError::Obstacles(preview.obstacles.clone())
    };
    error.into()
}

/// `faspwall apply`
pub fn apply(asked: &Asked<'_>, order: &Apply) -> Result<u8, Failure> {
    let engine = asked.engine;
    let answers = match &order.file {
        Some(file) => answers(asked, file)?,
        None if !engine.system.is_root() => return Err(EngineError::Privilege("close-22").into()),
        None => engine.answers_to_close_22()?,
    };
    if !engine.system.is_root() {
        return Err(EngineError::Privilege("apply").into());
    }
    // An open transaction is said before anything else is looked at.
    engine.refuse_while_open()?;
    let facts = facts(engine);
    let preview = prepared(engine, &answers, &facts, order.window_s)?;
    if !preview.obstacles.is_empty() {
        return Err(refusal(&facts, &preview));
    }
    let Some(change) = &preview.change else {
        return nothing_to_do(engine, &preview, order);
    };
    // What is not known to be a console may be a connection that the plan cuts.
    let local = facts.session.as_ref().is_some_and(Session::is_local);
    let cuts = !local && change.door.is_some();
    let accepted = answers
        .accept
        .iter()
        .any(|code| code == super::rehearse::LOCKOUT_RISK);
    if order.no_confirm && cuts && !accepted {
        return Err(Failure {
            code: failure::REFUSED,
            lines: vec![
                String::from(
                    "--no-confirm is refused in an SSH session that the plan could cut, and wherever it cannot be told that this is a console: nobody would have proved the new port. Nothing was changed.",
                ),
                String::from("Leave --no-confirm out, or take the risk with: --accept lockout-risk"),
            ],
        });
    }
    if !order.no_rehearsal {
        let subject = Subject::of(&preview, &facts);
        super::rehearse::before_apply(engine, &subject, order.json, asked.global.verbose)?;
    }
    let id = change.id.clone();
    let by = who(session(engine.system).as_ref());
    let mut report = print::reporter(order.json, asked.global.verbose);
    engine.apply(
        change,
        &Order {
            id: id.clone(),
            window_s: order.window_s,
            by: by.clone(),
        },
        &mut report,
    )?;
    if order.no_confirm {
        engine.system.ignore_hang_up();
        let outcome =
            engine.commit_unconfirmed(&id, &format!("{by}, without proof (--no-confirm)"), &mut report)?;
        out(&if order.json {
            json::text(&json::outcome(order.command, &outcome))
        } else {
            print::outcome(&outcome)
        });
        return Ok(0);
    }
    live(engine, order.command, order.json)
}

/// The host is as asked; a kept TCP/22 may still get another day.
fn nothing_to_do(engine: &Engine<'_>, preview: &Preview, order: &Apply) -> Result<u8, Failure> {
    let until = preview.plan.keep_22_until;
    let moved = engine.keep_22_until(&preview.answers, until)?;
    out(&if order.json {
        json::text(&json::unchanged(
            order.command,
            until.filter(|_| moved),
            &preview.unheard,
        ))
    } else {
        let reminder = until.filter(|_| moved).map_or_else(String::new, |day| {
            format!("; you are reminded to close TCP/22 on {day}")
        });
        let to_do: String = preview
            .unheard
            .iter()
            .map(|line| format!("to do    {line}\n"))
            .collect();
        format!("nothing to do: the host is as the answers ask{reminder}\n{to_do}")
    });
    Ok(0)
}

/// Prints the trial that is live now.
pub(super) fn live(engine: &Engine<'_>, command: &str, as_json: bool) -> Result<u8, Failure> {
    let Some(open) = engine.open()? else {
        return Err(Failure::new(
            failure::FAILED,
            "the trial ended while it was being told about: faspwall status",
        ));
    };
    let trial = engine.trial_view(&open);
    out(&if as_json {
        json::text(&json::trial(command, &trial))
    } else {
        print::trial(&trial)
    });
    Ok(0)
}

/// `faspwall confirm`
pub fn confirm(
    engine: &Engine<'_>,
    code: Option<String>,
    as_json: bool,
    verbose: bool,
) -> Result<u8, Failure> {
    let mut report: Box<dyn FnMut(Progress)> = Box::new(print::reporter(as_json, verbose));
    // The login that confirms may break off; what it began is finished, or undone by us, not left to the guard.
    engine.system.ignore_hang_up();
    match engine.confirm(&Proof::Session(code), &mut *report)? {
        Confirmed::Trial2(trial) => {
            out(&if as_json {
                json::text(&json::trial("confirm", &trial))
            } else {
                print::trial(&trial)
            });
        }
        Confirmed::Committed(outcome) => {
            out(&if as_json {
                json::text(&json::outcome("confirm", &outcome))
            } else {
                print::outcome(&outcome)
            });
        }
    }
    Ok(0)
}

/// `faspwall extend`
pub fn extend(engine: &Engine<'_>, seconds: u64, as_json: bool) -> Result<u8, Failure> {
    let trial = engine.extend(seconds)?;
    out(&if as_json {
        json::text(&json::trial("extend", &trial))
    } else {
        print::trial(&trial)
    });
    Ok(0)
}

/// `faspwall status`
pub fn status(engine: &Engine<'_>, as_json: bool) -> Result<u8, Failure> {
    if !engine.system.is_root() && engine.state_dir == Path::new("/var/lib/faspwall") {
        return Err(EngineError::Privilege("status").into());
    }
    let status = engine.status();
    out(&if as_json {
        json::text(&json::status(&status))
    } else {
        print::status(&status)
    });
    Ok(0)
}
