//! `faspwall rehearse`: the matrix for people and for programs.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::unattended::{Asked, answers, facts, out, prepared, refusal};
use super::{Failure, failure, json as document, print};
use crate::answers::Daemon;
use crate::change::{Change, Preview};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::matrix::Rehearsal;
use crate::plan::Requirement;
use crate::rehearse::{Pasted, RehearseError, Subject, rehearse as run};
use crate::tui::words::rehearsal_report;

/// Columns of the table.
const WIDTH: u16 = 100;

/// What an operator accepts who goes on although he may be locked out.
pub const LOCKOUT_RISK: &str = "lockout-risk";

/// What `rehearse` is told.
#[derive(Debug, Clone)]
pub struct Order {
    /// Answers file.
    pub file: PathBuf,
    /// A ruleset instead of this host.
    pub ruleset: Option<PathBuf>,
    /// Look at all ports.
    pub sweep: bool,
    /// As JSON.
    pub json: bool,
}

/// `faspwall rehearse`
pub fn rehearse(asked: &Asked<'_>, order: &Order) -> Result<u8, Failure> {
    let mut answers = answers(asked, &order.file)?;
    let (engine, global) = (asked.engine, asked.global);
    let mut report = told(global.verbose);
    let pasted = match &order.ruleset {
        Some(path) => {
            // A ruleset tells nothing of an sshd: it is taken to listen as it shall.
            answers.ssh.daemon = Daemon::Leave;
            let text = ruleset(asked, path)?;
            Some(Pasted::read(asked.desk, &text, answers.ssh.port, &mut report)?)
        }
        None => None,
    };
    let facts = match &pasted {
        Some(pasted) => pasted.facts.clone(),
        None => facts(engine),
    };
    let preview = prepared(engine, &answers, &facts, 120)?;
    let subject = Subject::of(&preview, &facts)
        .sweeping(order.sweep)
        .on(pasted.as_ref());
    if !preview.obstacles.is_empty() {
        return Err(as_it_is(asked, &preview, &subject, order.json));
    }
    let rehearsal = run(asked.desk, engine.system, &subject, &mut report)?;
    show(&rehearsal, &facts, order.json);
    Ok(if rehearsal.ok() { 0 } else { failure::REFUSED })
}

/// A plan that cannot be carried out: packets show the host as it is and name what shuts each port, then the plan is
/// refused for its obstacles. Where not even the rules are known, there is nothing to show.
fn as_it_is(asked: &Asked<'_>, preview: &Preview, subject: &Subject<'_>, as_json: bool) -> Failure {
    let mut failure = refusal(subject.facts, preview);
    if preview.live.is_none() {
        return failure;
    }
    let mut report = told(asked.global.verbose);
    match run(asked.desk, asked.engine.system, subject, &mut report) {
        Ok(mut rehearsal) => {
            rehearsal.obstacles.clone_from(&preview.obstacles);
            show(&rehearsal, subject.facts, as_json);
        }
        Err(error) => failure.lines.push(error.to_string()),
    }
    failure
}

/// Reads the file with the ruleset.
fn ruleset(asked: &Asked<'_>, file: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    match asked.desk.read(&path) {
        Ok(Some(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(None) => Err(Failure::new(
            failure::USAGE,
            format!("{} is not there", file.display()),
        )),
        Err(error) => Err(Failure::new(failure::USAGE, error.to_string())),
    }
}

/// Rehearses what is about to be applied: a red cell is a refusal. Where no copy can be made, that is said, and the
/// trials of the apply itself must do.
pub fn before_apply(
    engine: &Engine<'_>,
    subject: &Subject<'_>,
    as_json: bool,
    verbose: bool,
) -> Result<(), Failure> {
    match run(engine.system, engine.system, subject, &mut told(verbose)) {
        Ok(rehearsal) if rehearsal.ok() => Ok(()),
        Ok(rehearsal) => {
            show(&rehearsal, subject.facts, as_json);
            Err(Failure {
                code: failure::REFUSED,
                lines: vec![
                    String::from(
                        "the rehearsal on a sealed copy of this host found what is listed above. Nothing was changed.",
                    ),
                    String::from("Mend that and try again; or apply without a rehearsal: --no-rehearsal"),
                ],
            })
        }
        Err(error @ RehearseError::Impossible(_)) => {
            print::err(&format!("faspwall: {error}. The trial goes on without it.\n"));
            Ok(())
        }
        Err(error) => {
            let mut failure = Failure::from(error);
            failure
                .lines
                .push(String::from("To apply without a rehearsal: --no-rehearsal"));
            Err(failure)
        }
    }
}

/// Rehearses a way back: the operator must be able to come in again through the port of before. `Some`: the copy says
/// that he is not, or that the way back does not do what it promises. Without a verdict, its own trials must do.
pub fn way_back(
    engine: &Engine<'_>,
    change: &Change,
    facts: &Facts,
    report: &mut dyn FnMut(&str),
) -> Result<Option<Rehearsal>, RehearseError> {
    let door = own_door(change, facts);
    let rehearsal = run(
        engine.system,
        engine.system,
        &Subject::way_back(change, facts, door.as_slice()),
        report,
    )?;
    Ok(Some(rehearsal).filter(|rehearsal| !rehearsal.ok()))
}

/// The SSH port of before, for the address that the operator comes from. At a console nobody can be locked out.
fn own_door(change: &Change, facts: &Facts) -> Option<Requirement> {
    let client = facts.session.as_ref()?.client?;
    let door = Requirement::ssh(change.door?)?;
    Some(Requirement {
        peers: vec![IpNet::from(client)],
        ..door
    })
}

/// The same for the command line: a way back that locks out is refused, unless that is accepted.
pub fn before_way_back(
    asked: &Asked<'_>,
    change: &Change,
    facts: &Facts,
    as_json: bool,
) -> Result<(), Failure> {
    let global = asked.global;
    if global.accept.iter().any(|code| code == LOCKOUT_RISK) {
        return Ok(());
    }
    match way_back(asked.engine, change, facts, &mut told(global.verbose)) {
        Ok(None) => Ok(()),
        Ok(Some(rehearsal)) => {
            show(&rehearsal, facts, as_json);
            Err(Failure {
                code: failure::REFUSED,
                lines: vec![
                    String::from(
                        "the rehearsal of the way back on a sealed copy of this host found what is listed above. Nothing was changed.",
                    ),
                    format!("Mend that and try again, or take the risk with: --accept {LOCKOUT_RISK}"),
                ],
            })
        }
        Err(error) => {
            print::err(&format!("faspwall: {error}. The trial goes on without it.\n"));
            Ok(())
        }
    }
}

fn told(verbose: bool) -> impl FnMut(&str) {
    move |text| {
        if verbose {
            print::err(&format!("{text}\n"));
        }
    }
}

fn show(rehearsal: &Rehearsal, facts: &Facts, as_json: bool) {
    if as_json {
        return out(&document::text(&value(rehearsal)));
    }
    if !rehearsal.obstacles.is_empty() {
        out("this host as it is, without the change: something stands in the way of it, see below\n");
    }
    for line in rehearsal_report(rehearsal, facts, WIDTH) {
        out(&format!("{line}\n"));
    }
    out(if rehearsal.ok() {
        "safe to apply\n"
    } else {
        "NOT safe to apply\n"
    });
    for blocker in rehearsal.blockers.iter().filter(|blocker| blocker.unheard()) {
        let (port, rule) = (&blocker.port, &blocker.rule);
        out(&format!("but nobody reaches {port}, open or not: {rule}\n"));
    }
}

/// `faspwall rehearse --json`
pub fn value(rehearsal: &Rehearsal) -> Value {
    let cells: Vec<Value> = rehearsal
        .cells
        .iter()
        .map(|cell| {
            let mut value = serde_json::to_value(cell).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                fields.insert(String::from("ok"), json!(cell.ok()));
            }
            value
        })
        .collect();
    json!({
        "schema": "faspwall.rehearse/1",
        "ok": rehearsal.ok(),
        "seconds": seconds(rehearsal),
        "cells": cells,
        "flow": {"tracked": rehearsal.flow_tracked, "untracked": rehearsal.flow_untracked},
        "failed": rehearsal.failed,
        "obstacles": rehearsal.obstacles,
        "undo": rehearsal.undo,
        "blockers": rehearsal.blockers,
        "sweep": rehearsal.sweep,
        "not_rehearsed": rehearsal.not_rehearsed,
    })
}

fn seconds(rehearsal: &Rehearsal) -> f64 {
    std::time::Duration::from_millis(rehearsal.millis).as_secs_f64()
}
