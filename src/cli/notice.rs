//! `notice`: the text for the users of this host.

use std::path::Path;

use serde_json::json;

use super::unattended::{Asked, answers, facts, out};
use super::{Failure, failure, json};
use crate::catalogue::Catalogue;
use crate::engine::EngineError;
use crate::notice;
use crate::plan::plan;

/// `faspwall notice`
pub fn notice(asked: &Asked<'_>, file: Option<&Path>, as_json: bool) -> Result<u8, Failure> {
    let engine = asked.engine;
    let (text, saved) = match file {
        Some(file) => {
            let answers = answers(asked, file)?;
            let plan = plan(Catalogue::builtin(), &answers)
                .map_err(|error| Failure::new(failure::USAGE, error.to_string()))?;
            let today = engine.system.now().to_zoned(jiff::tz::TimeZone::UTC).date();
            (notice::text(&plan, &answers, &facts(engine), Some(today)), None)
        }
        None => {
            if !engine.system.is_root() && engine.state_dir == Path::new("/var/lib/faspwall") {
                return Err(EngineError::Privilege("notice").into());
            }
            let last = engine.in_force();
            let saved = last.as_ref().map(|last| engine.notice_path(&last.id));
            (last.and_then(|last| last.change.notice), saved)
        }
    };
    let Some(text) = text else {
        return Err(Failure::new(
            failure::USAGE,
            "there is nothing to tell the users: SSH does not come in by a new port. With -f FILE the answers in that file are asked",
        ));
    };
    out(&if as_json {
        json::text(&json!({"schema": "faspwall.notice/1", "text": text, "file": saved}))
    } else {
        text
    });
    Ok(0)
}
