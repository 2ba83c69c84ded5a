//! `faspwall rehearse`: the matrix for people and for programs.

use std::path::Path;

use serde_json::{Value, json};

use super::unattended::{Asked, answers, facts, out, prepared, refusal};
use super::{Failure, failure, json as document, print};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::matrix::Rehearsal;
use crate::rehearse::{RehearseError, Subject, rehearse as run};
use crate::tui::words::rehearsal_report;

/// Columns of the table.
const WIDTH: u16 = 100;

/// `faspwall rehearse`
pub fn rehearse(asked: &Asked<'_>, file: &Path, sweep: bool, as_json: bool) -> Result<u8, Failure> {
    let answers = answers(asked, file)?;
    let (engine, global) = (asked.engine, asked.global);
    let facts = facts(engine);
    let preview = prepared(engine, &answers, &facts, 120)?;
    if !preview.obstacles.is_empty() {
        return Err(refusal(&facts, &preview));
    }
    let subject = Subject::of(&preview, &facts).sweeping(sweep);
    let rehearsal = run(engine.system, &subject, &mut told(global.verbose))?;
    show(&rehearsal, &facts, as_json);
    Ok(if rehearsal.ok() { 0 } else { failure::REFUSED })
}

/// Rehearses what is about to be applied: a red cell is a refusal. Where no copy can be made, that is said, and the
/// trials of the apply itself must do.
pub fn before_apply(
    engine: &Engine<'_>,
    subject: &Subject<'_>,
    as_json: bool,
    verbose: bool,
) -> Result<(), Failure> {
    match run(engine.system, subject, &mut told(verbose)) {
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
    for line in rehearsal_report(rehearsal, facts, WIDTH) {
        out(&format!("{line}\n"));
    }
    out(if rehearsal.ok() {
        "safe to apply\n"
    } else {
        "NOT safe to apply\n"
    });
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
        "undo": rehearsal.undo,
        "blockers": rehearsal.blockers,
        "sweep": rehearsal.sweep,
        "not_rehearsed": rehearsal.not_rehearsed,
    })
}

fn seconds(rehearsal: &Rehearsal) -> f64 {
    std::time::Duration::from_millis(rehearsal.millis).as_secs_f64()
}
