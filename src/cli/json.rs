//! What programs read. Names are stable; more fields may come.

use serde_json::{Value, json};

use crate::advice::Advice;
use crate::change::Preview;
use crate::engine::journal::Transaction;
use crate::facts::{Activation, Facts};
use crate::harmless;
use crate::step::{Action, Step};
use crate::transaction::{Kept, Outcome, Phase, Status, Trial};

/// One document, with a line feed.
pub fn text(value: &Value) -> String {
    let mut rest = value.clone();
    // Every document starts with its schema, so that a reader knows what it has before it reads on.
    let schema = rest.as_object_mut().and_then(|fields| fields.remove("schema"));
    let body = serde_json::to_string_pretty(&rest).unwrap_or_default();
    let text = match (schema, body.strip_prefix("{\n")) {
        (Some(schema), Some(body)) => format!("{{\n  \"schema\": {schema},\n{body}\n"),
        _ => format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default()),
    };
    harmless::json(&text)
}

/// `faspwall detect --json`
pub fn detect(facts: &Facts, advice: &[Advice]) -> Value {
    let activation = match &facts.ssh.activation {
        Activation::Service(unit) => json!({"kind": "service", "unit": unit}),
        Activation::Socket(unit) => json!({"kind": "socket", "unit": unit}),
        Activation::Plain(pid_file) => json!({"kind": "plain", "pid_file": pid_file}),
        Activation::None => json!({"kind": "none"}),
    };
    let session = facts.session.as_ref().map(|s| {
        json!({"via": s.via, "client": s.client, "client_port": s.client_port, "server": s.server,
            "server_port": s.server_port, "user": s.user, "evidence": s.evidence})
    });
    json!({
        "schema": "faspwall.detect/1",
        "hostname": facts.hostname,
        "os": {"id": facts.os.id, "version": facts.os.version, "name": facts.os.name, "kernel": facts.os.kernel, "systemd": facts.os.systemd},
        "privileged": facts.privileged,
        "backends": facts.backends,
        "backend": facts.backend,
        "refusal": facts.refusal,
        "inbound_default": facts.inbound_default,
        "chains": facts.chains,
        "ssh": {
            "daemon": facts.ssh.daemon,
            "ports": facts.ssh.ports,
            "activation": activation,
            "session": session,
            "config": facts.ssh.config.main,
            "error": facts.ssh.config.error,
            "failed_logins": facts.ssh.failed_logins,
        },
        "aspera": facts.aspera,
        "foreign": facts.foreign,
        "boot": {"file": facts.boot.file, "unit": facts.boot.unit, "enabled": facts.boot.enabled},
        "listeners": facts.listeners,
        "selinux": facts.selinux,
        "addresses": facts.addresses,
        "advice": advice,
    })
}

fn step(phase: &str, step: &Step) -> Value {
    let display = step.to_string();
    match step {
        Step::Run(call) | Step::Try(call) | Step::Unshut(call) => {
            json!({"phase": phase, "argv": call.argv(), "stdin": call.stdin, "display": display})
        }
        Step::Write { path, .. } | Step::Revise { path, .. } => {
            json!({"phase": phase, "write": path, "display": display})
        }
        Step::Remove(path) => json!({"phase": phase, "remove": path, "display": display}),
        _ => json!({"phase": phase, "argv": [], "display": display}),
    }
}

fn steps(phase: Phase, actions: &[Action]) -> Vec<Value> {
    let name = serde_json::to_value(phase)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default();
    actions.iter().map(|action| step(&name, &action.step)).collect()
}

/// `faspwall plan --json`
pub fn plan(preview: &Preview, facts: &Facts) -> Value {
    let phases = [Phase::Check, Phase::Trial1, Phase::Trial2, Phase::Commit];
    let (all, undo, present) = match &preview.change {
        Some(change) => {
            let all: Vec<Value> = phases
                .iter()
                .flat_map(|p| steps(*p, change.actions(*p)))
                .collect();
            let undo: Vec<Value> = phases
                .iter()
                .flat_map(|p| change.actions(*p))
                .rev()
                .flat_map(|action| &action.undo)
                .map(|s| step("undo", s))
                .collect();
            let present: Vec<Phase> = phases
                .into_iter()
                .filter(|p| !change.actions(*p).is_empty())
                .collect();
            (all, undo, present)
        }
        None => (Vec::new(), Vec::new(), Vec::new()),
    };
    json!({
        "schema": "faspwall.plan/1",
        "backend": facts.backend,
        "changed": preview.changed(),
        "rules": preview.rules,
        "steps": all,
        "undo": undo,
        "diff": preview.diff,
        "native": preview.native,
        "advice": preview.advice,
        "obstacles": preview.obstacles,
        "phases": present,
        "left_to_do": preview.change.as_ref().map_or(&preview.unheard, |change| &change.left_to_do),
        "keep_22_until": preview.plan.keep_22_until,
        "notice": preview.change.as_ref().and_then(|change| change.notice.as_ref()),
    })
}

/// `faspwall apply --json` when the host is as asked.
///
/// With a day, the reminder for a kept TCP/22 was set to it.
pub fn unchanged(command: &str, keep_22_until: Option<jiff::civil::Date>, left_to_do: &[String]) -> Value {
    json!({
        "schema": format!("faspwall.{command}/1"),
        "transaction": null,
        "state": "unchanged",
        "changed": false,
        "keep_22_until": keep_22_until,
        "left_to_do": left_to_do,
        "next": "nothing to do",
    })
}

/// A live trial.
pub fn trial(command: &str, trial: &Trial) -> Value {
    json!({
        "schema": format!("faspwall.{command}/1"),
        "transaction": trial.txn,
        "state": "awaiting-confirmation",
        "changed": true,
        "trial": trial.trial,
        "code": trial.code,
        "deadline": trial.deadline,
        "seconds_left": trial.left_ms / 1000,
        "door": trial.door,
        "closing": trial.closing,
        "default_deny": trial.wall,
        "logins": trial.logins,
        "other_logins": trial.other_logins,
        "next": trial.next,
    })
}

/// The end of a transaction.
pub fn outcome(command: &str, outcome: &Outcome) -> Value {
    let restored = if outcome.differs.is_empty() {
        json!("equal")
    } else {
        json!(outcome.differs)
    };
    json!({
        "schema": format!("faspwall.{command}/1"),
        "transaction": outcome.txn,
        "state": if outcome.kept { "committed" } else { "rolled-back" },
        "changed": outcome.kept,
        "reason": outcome.reason,
        "opened": outcome.opened,
        "closed": outcome.closed,
        "files": outcome.files,
        "log": outcome.log,
        "restored": if outcome.kept { Value::Null } else { restored },
        "remaining": outcome.remaining,
        "left_to_do": outcome.left_to_do,
        "notice": outcome.notice,
        "keep_22_until": outcome.keep_22_until,
        "next": if outcome.kept { format!("faspwall rollback {}", outcome.txn) } else { String::from("faspwall status") },
    })
}

/// `faspwall status --json`
pub fn status(status: &Status) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert(String::from("schema"), json!("faspwall.status/1"));
        let left = status.open.as_ref().map(|t| t.left_ms / 1000);
        object.insert(String::from("seconds_left"), json!(left));
    }
    value
}

/// `faspwall snapshots list --json`
pub fn kept(kept: &[Kept]) -> Value {
    json!({"schema": "faspwall.snapshots/1", "snapshots": kept})
}

/// `faspwall snapshots show ID --json`
pub fn shown(transaction: &Transaction, ruleset: &str) -> Value {
    json!({"schema": "faspwall.snapshots/1", "transaction": transaction.id, "entries": transaction.entries, "ruleset": ruleset})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_starts_with_its_schema() {
        let value = json!({"answer": 1, "schema": "faspwall.x/1", "zone": [1, 2]});
        let printed = text(&value);
        assert!(
            printed.starts_with("{\n  \"schema\": \"faspwall.x/1\",\n  \"answer\": 1,\n"),
            "{printed}"
        );
        assert_eq!(serde_json::from_str::<Value>(&printed).expect("JSON"), value);
        for other in [json!({"schema": 1}), json!({"a": 1}), json!({}), json!([1])] {
            assert_eq!(serde_json::from_str::<Value>(&text(&other)).expect("JSON"), other);
        }
    }
}
