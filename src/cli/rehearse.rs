//! `faspwall rehearse`: the matrix for people and for programs.

use std::path::Path;

use serde_json::{Value, json};

use super::unattended::{Asked, answers, facts, out, prepared, refusal};
use super::{Failure, failure, json as document, print};
use crate::engine::Engine;
use crate::matrix::{Cell, Rehearsal};
use crate::rehearse::{RehearseError, Subject, rehearse as run};

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
    show(&rehearsal, as_json);
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
            show(&rehearsal, as_json);
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

fn show(rehearsal: &Rehearsal, as_json: bool) {
    out(&if as_json {
        document::text(&value(rehearsal))
    } else {
        table(rehearsal)
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

/// The matrix as lines.
pub fn table(rehearsal: &Rehearsal) -> String {
    let mut text = format!(
        "{:14} {:3} {:>24}    {:10} {:7} {:7} {:7}\n",
        "test", "way", "far address", "port", "wanted", "before", "after"
    );
    for cell in &rehearsal.cells {
        text.push_str(&row(cell));
    }
    for (name, alive) in [
        ("an open session that conntrack knows", rehearsal.flow_tracked),
        ("an open session that it does not know", rehearsal.flow_untracked),
    ] {
        let said = match alive {
            Some(true) => "lives on",
            Some(false) => "IS CUT",
            None => "could not be tried",
        };
        text.push_str(&format!("{name}: {said}\n"));
    }
    if let Some(failed) = &rehearsal.failed {
        text.push_str(&format!("A step failed in the copy: {failed}\n"));
    }
    for blocker in &rehearsal.blockers {
        text.push_str(&format!(
            "{} stays shut: {}: {}\n  {}\n",
            blocker.port, blocker.layer, blocker.rule, blocker.hint
        ));
    }
    if rehearsal.undo.is_empty() {
        text.push_str("undo: equal\n");
    } else {
        text.push_str(&format!(
            "undo leaves a difference:\n  {}\n",
            rehearsal.undo.join("\n  ")
        ));
    }
    for row in &rehearsal.sweep {
        let list = |ports: &[String]| {
            if ports.is_empty() {
                String::from("none")
            } else {
                ports.join(", ")
            }
        };
        text.push_str(&format!(
            "all ports, {} {}: opened {}; closed {}; unasked {}\n",
            row.protocol,
            family(row.family),
            list(&row.opened),
            list(&row.closed),
            list(&row.unasked)
        ));
    }
    text.push_str("Not rehearsed:\n");
    for line in &rehearsal.not_rehearsed {
        text.push_str(&format!("  {line}\n"));
    }
    let red = rehearsal.cells.iter().filter(|cell| !cell.ok()).count();
    text.push_str(&format!(
        "{} tests, {red} red, {:.1} s: {}\n",
        rehearsal.cells.len(),
        seconds(rehearsal),
        if rehearsal.ok() {
            "safe to apply"
        } else {
            "NOT safe to apply"
        }
    ));
    text
}

fn family(family: crate::matrix::Family) -> &'static str {
    match family {
        crate::matrix::Family::Ipv4 => "IPv4",
        crate::matrix::Family::Ipv6 => "IPv6",
    }
}

fn row(cell: &Cell) -> String {
    let wanted = match cell.wanted {
        Some(true) => "accept",
        Some(false) => "shut",
        None => "as is",
    };
    format!(
        "{:14} {:3} {:>24} -> {:10} {wanted:7} {:7} {:7} {}\n",
        cell.id,
        cell.direction,
        cell.from,
        format!("{}/{}", cell.protocol.to_string().to_uppercase(), cell.port),
        cell.before.to_string(),
        cell.after.to_string(),
        if cell.ok() { "ok" } else { "RED" }
    )
}
