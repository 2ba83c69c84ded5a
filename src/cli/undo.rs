//! `rollback` and `snapshots`.

use super::rehearse::before_way_back;
use super::unattended::{Asked, facts, live, out};
use super::{Failure, Snapshots, failure, json, print};
use crate::engine::apply::Order;
use crate::engine::confirm::who;
use crate::engine::detect::session::session;
use crate::engine::{Engine, EngineError};
use crate::transaction::TxnId;

/// `faspwall rollback`: the open transaction at once, a committed one as a guarded transaction.
pub fn rollback(asked: &Asked<'_>, id: Option<&TxnId>, window_s: u64, as_json: bool) -> Result<u8, Failure> {
    let engine = asked.engine;
    if !engine.system.is_root() {
        return Err(EngineError::Privilege("rollback").into());
    }
    let by = who(session(engine.system).as_ref());
    if engine.open()?.is_some() || engine.incomplete().is_some() {
        let outcome = engine.undo_open(id, &format!("undone by {by}"))?;
        out(&if as_json {
            json::text(&json::outcome("rollback", &outcome))
        } else {
            print::outcome(&outcome)
        });
        return Ok(0);
    }
    let facts = facts(engine);
    let setting = engine.setting(window_s);
    let change = engine.way_back(id, &facts, &setting)?;
    before_way_back(asked, &change, &facts, as_json)?;
    let mut report = print::reporter(as_json, asked.global.verbose);
    engine.apply(
        &change,
        &Order {
            id: change.id.clone(),
            window_s,
            by,
        },
        &mut report,
    )?;
    live(engine, "rollback", as_json)
}

/// `faspwall snapshots`
pub fn snapshots(engine: &Engine<'_>, what: Snapshots, as_json: bool) -> Result<u8, Failure> {
    if !engine.system.is_root() && engine.state_dir == std::path::Path::new("/var/lib/faspwall") {
        return Err(EngineError::Privilege("snapshots").into());
    }
    match what {
        Snapshots::List => {
            let kept = engine.kept();
            out(&if as_json {
                json::text(&json::kept(&kept))
            } else {
                print::kept(&kept)
            });
        }
        Snapshots::Show { id } => {
            let Some(transaction) = engine.load(&id)? else {
                return Err(Failure::new(
                    failure::USAGE,
                    format!("there is no transaction {id}; faspwall snapshots lists them"),
                ));
            };
            let ruleset = engine
                .system
                .read_text(&engine.dir(&id).join("ruleset.nft"))
                .unwrap_or_default();
            out(&if as_json {
                json::text(&json::shown(&transaction, &ruleset))
            } else {
                print::shown(&transaction, &ruleset)
            });
        }
        Snapshots::Prune { keep } => {
            let removed = engine.prune(keep)?;
            let names: Vec<String> = removed.iter().map(ToString::to_string).collect();
            out(&if as_json {
                json::text(&serde_json::json!({"schema": "faspwall.snapshots/1", "removed": names}))
            } else {
                format!(
                    "removed {}\n",
                    if names.is_empty() {
                        String::from("nothing")
                    } else {
                        names.join(", ")
                    }
                )
            });
        }
    }
    Ok(0)
}
