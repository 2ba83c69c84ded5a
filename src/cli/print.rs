//! What people read.

use std::fmt::Write;
use std::time::Duration;

use super::in_words;
use crate::change::{Preview, RuleState};
use crate::engine::journal::Transaction;
use crate::engine::restored;
use crate::facts::{Activation, Facts, SshFacts};
use crate::harmless;
use crate::transaction::{Kept, Outcome, Phase, Progress, Status, Trial};

/// `faspwall detect`
pub fn detect(facts: &Facts) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "host       {} ({}, kernel {})",
        facts.hostname, facts.os.name, facts.os.kernel
    );
    let _ = writeln!(
        text,
        "root       {}",
        if facts.privileged {
            "yes"
        } else {
            "no: less can be seen"
        }
    );
    for backend in facts
        .backends
        .iter()
        .filter(|b| b.installed || b.active || b.owner)
    {
        let mut state = vec![if backend.active { "active" } else { "not active" }];
        state.extend(backend.owner.then_some("decides"));
        let version = backend.version.as_ref().map(|v| format!(" {v}"));
        let _ = writeln!(
            text,
            "firewall   {}{} [{}]: {}",
            backend.id,
            version.unwrap_or_default(),
            state.join(", "),
            backend.reason
        );
    }
    match (&facts.backend, &facts.refusal) {
        (Some(backend), _) => drop(writeln!(
            text,
            "used       {backend}; a packet that no rule names: {}",
            facts.inbound_default
        )),
        (None, Some(refusal)) => drop(writeln!(text, "used       none: {refusal}")),
        (None, None) => drop(writeln!(text, "used       none")),
    }
    for chain in &facts.chains {
        let drops = chain.drops.as_deref().unwrap_or("drops nothing of a newcomer's");
        let _ = writeln!(
            text,
            "chain      {} {} {} (hook {}, priority {}, policy {}): {drops}",
            chain.family, chain.table, chain.chain, chain.hook, chain.priority, chain.policy
        );
    }
    detect_access(&mut text, facts);
    text
}

fn detect_sshd(text: &mut String, ssh: &SshFacts) {
    let ports: Vec<String> = ssh.ports.iter().map(ToString::to_string).collect();
    let started = match &ssh.activation {
        Activation::Service(unit) | Activation::Socket(unit) => format!("started by {unit}"),
        Activation::Plain(_) => String::from("started without a service manager"),
        Activation::None => String::from("not running"),
    };
    let failed = ssh
        .failed_logins
        .map(|n| format!("; {n} failed logins in the last 24 hours"));
    match (ssh.daemon.as_str(), ports.as_slice()) {
        ("", _) => drop(writeln!(text, "sshd       none")),
        (daemon, []) => drop(writeln!(text, "sshd       {daemon}, {started}")),
        (daemon, ports) => drop(writeln!(
            text,
            "sshd       {daemon} on port {}, {started}{}",
            ports.join(", "),
            failed.unwrap_or_default()
        )),
    }
    if let Some(error) = &ssh.config.error {
        let _ = writeln!(text, "           its settings could not be asked for: {error}");
    }
}

/// sshd, the operator's connection, the product, and what is left alone.
fn detect_access(text: &mut String, facts: &Facts) {
    detect_sshd(text, &facts.ssh);
    if let Some(session) = &facts.session {
        let _ = writeln!(
            text,
            "you        {}: {}",
            crate::engine::confirm::who(Some(session)),
            session.evidence
        );
    }
    if let Some(aspera) = &facts.aspera {
        let role = aspera.role.as_ref().map(|role| format!(", role {role}"));
        let _ = writeln!(
            text,
            "aspera     {} {} in {}{}",
            aspera.product,
            aspera.version,
            aspera.path.display(),
            role.unwrap_or_default()
        );
        let conf = aspera.conf.clone().unwrap_or_default();
        for problem in &aspera.problems {
            let _ = writeln!(text, "           {}: {problem}", conf.display());
        }
    }
    for foreign in &facts.foreign {
        let _ = writeln!(
            text,
            "left alone {} {} of {}",
            foreign.count, foreign.kind, foreign.owner
        );
    }
    if let Some(file) = &facts.boot.file {
        let enabled = match facts.boot.enabled {
            Some(true) => "loaded at boot",
            Some(false) => "NOT loaded at boot: its unit is not enabled",
            None => "whether it is loaded at boot could not be told",
        };
        let _ = writeln!(text, "boot       {} ({enabled})", file.display());
    }
}

/// `faspwall plan`
pub fn plan(preview: &Preview, with_diff: bool) -> String {
    let mut text = String::new();
    for rule in &preview.rules {
        let from = if rule.sources.is_empty() {
            String::from("anyone")
        } else {
            rule.sources.join(", ")
        };
        let becomes = match (rule.state, rule.action.as_str()) {
            (RuleState::Add, _) => "OPEN",
            (RuleState::Remove, _) => "CLOSED",
            (RuleState::Present, "drop") => "closed already",
            (RuleState::Present, _) => "open already",
        };
        let name = crate::tui::words::port(rule);
        let _ = writeln!(
            text,
            "{:4}{name:<18}{from:<20}{becomes:<16}{}",
            rule.direction, rule.why
        );
    }
    for line in &preview.cut_off {
        let _ = writeln!(text, "    refused from now on: {line}");
    }
    for advice in &preview.advice {
        let _ = writeln!(text, "\n{} {:?}: {}", advice.code, advice.severity, advice.text);
        for line in &advice.evidence {
            let _ = writeln!(text, "      {line}");
        }
    }
    if let Some(change) = &preview.change {
        let mut number = 0;
        for phase in [Phase::Check, Phase::Trial1, Phase::Trial2, Phase::Commit] {
            let actions = change.actions(phase);
            if !actions.is_empty() {
                let _ = writeln!(text, "\n-- {phase} --");
            }
            for action in actions {
                number += 1;
                let _ = writeln!(text, "{number:3}  {}", action.say);
                for line in action.step.to_string().lines() {
                    let _ = writeln!(text, "       {line}");
                }
            }
        }
        let _ = writeln!(text, "\nundo   faspwall rollback");
        for line in &change.left_to_do {
            let _ = writeln!(text, "to do  {line}");
        }
        if change.notice.is_some() {
            let _ = writeln!(text, "users  faspwall notice -f FILE prints the text for them");
        }
    } else if preview.obstacles.is_empty() {
        let _ = writeln!(text, "\nnothing to do: the host is as the answers ask");
        for line in &preview.unheard {
            let _ = writeln!(text, "to do  {line}");
        }
    }
    if with_diff {
        for diff in &preview.diff {
            let _ = writeln!(text, "\n--- {0}\n+++ {0}", diff.name);
            for line in &diff.lines {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// Prints to standard error. A terminal that is gone is no reason to stop in the middle of a change.
pub fn err(text: &str) {
    use std::io::Write;
    drop(std::io::stderr().write_all(harmless::lines(text).as_bytes()));
}

/// Tells on standard error what is being done; silent for programs.
pub fn reporter(json: bool, verbose: bool) -> impl FnMut(Progress) {
    let mut say: Vec<String> = Vec::new();
    move |progress| {
        if json {
            return;
        }
        match progress {
            Progress::Steps { say: steps, .. } => say = steps,
            Progress::Started { command, .. } if verbose => err(&format!("  $ {command}\n")),
            Progress::Finished { number, millis } => {
                let what = say.get(number).map_or("", String::as_str);
                err(&format!("  done  {what} ({millis} ms)\n"));
            }
            _ => {}
        }
    }
}

/// A live trial, and what to type next.
pub fn trial(trial: &Trial) -> String {
    let mut text = String::new();
    let left = in_words(Duration::from_millis(trial.left_ms));
    match trial.trial {
        1 => drop(writeln!(
            text,
            "TRIAL 1 of {} is live: the new ports are open, nothing is closed.",
            if trial.closing.is_empty() && !trial.wall {
                1
            } else {
                2
            }
        )),
        _ => {
            let mut ports: Vec<String> = trial.closing.iter().map(|p| format!("TCP/{p}")).collect();
            if trial.wall {
                ports.push(String::from("everything that was not asked for"));
            }
            let _ = writeln!(
                text,
                "TRIAL 2 of 2 is live: {} is shut for new logins, for now.",
                ports.join(", ")
            );
        }
    }
    let _ = writeln!(
        text,
        "It undoes itself in {left} (at {}) unless it is confirmed.",
        trial.deadline
    );
    if let Some(door) = trial.door {
        let _ = writeln!(
            text,
            "\n1. Leave this session open.\n2. In a NEW window log in on port {door}:"
        );
    }
    for line in trial.next.split("   then ") {
        let _ = writeln!(text, "     {}", line.trim_start_matches("log in anew: "));
    }
    let _ = writeln!(
        text,
        "\ncode {}   more time: faspwall extend 60s   undo now: faspwall rollback",
        trial.code
    );
    text
}

/// How it ended.
pub fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    if outcome.kept {
        let _ = writeln!(
            text,
            "KEPT ({}). Open: {}. Closed: {}.",
            outcome.reason,
            list(&outcome.opened),
            list(&outcome.closed)
        );
        let _ = writeln!(text, "on boot  {}", list(&outcome.files));
        let _ = writeln!(text, "undo     faspwall rollback {}", outcome.txn);
        if let Some(day) = outcome.keep_22_until {
            let _ = writeln!(
                text,
                "later    TCP/22 stays open until {day}; then type: faspwall close-22"
            );
        }
        for line in &outcome.left_to_do {
            let _ = writeln!(text, "to do    {line}");
        }
        if let Some(file) = &outcome.notice {
            let _ = writeln!(
                text,
                "to do    send your users the text in {file}; faspwall notice prints it"
            );
        }
    } else {
        let _ = writeln!(text, "UNDONE ({}). {}", outcome.reason, restored(outcome));
        for command in &outcome.remaining {
            let _ = writeln!(text, "left to do by hand: {command}");
        }
    }
    let _ = writeln!(text, "log      {}", outcome.log);
    text
}

fn list(words: &[String]) -> String {
    if words.is_empty() {
        String::from("none")
    } else {
        words.join(", ")
    }
}

/// `faspwall status`
pub fn status(status: &Status) -> String {
    let mut text = String::new();
    match (&status.open, &status.interrupted) {
        (Some(open), _) => text.push_str(&trial(open)),
        (None, Some(id)) => {
            let _ = writeln!(
                text,
                "INTERRUPTED  {id} was cut off, or its undo was not complete. Type: faspwall rollback {id}"
            );
        }
        (None, None) => drop(writeln!(text, "open       no transaction")),
    }
    match &status.applied {
        Some(id) => drop(writeln!(text, "applied    {id}, {}", status.applied_by)),
        None => drop(writeln!(text, "applied    nothing by faspwall")),
    }
    if !status.at_boot.is_empty() {
        let _ = writeln!(text, "at boot    {}", status.at_boot);
    }
    for port in &status.ports {
        let _ = writeln!(
            text,
            "port       {:<12} should be {:<7} is {:<7} {}",
            port.port, port.wanted, port.is, port.listener
        );
    }
    if let Some(reminder) = &status.reminder {
        let mark = if reminder.urgent { "REMINDER" } else { "later" };
        let _ = writeln!(
            text,
            "{mark:<10} {}. To close it: {}",
            reminder.text, reminder.command
        );
    }
    if status.applied.is_some() {
        let _ = writeln!(text, "drift      {}", list(&status.drift));
    }
    for event in &status.events {
        let _ = writeln!(text, "event      {event}");
    }
    text
}

/// `faspwall snapshots`
pub fn kept(kept: &[Kept]) -> String {
    let mut text = String::new();
    for one in kept {
        let _ = writeln!(text, "{}  {:<40} {:<18} {}", one.txn, one.what, one.state, one.by);
    }
    if kept.is_empty() {
        text.push_str("nothing was kept yet\n");
    }
    text
}

/// `faspwall snapshots show ID`
pub fn shown(transaction: &Transaction, ruleset: &str) -> String {
    let mut text = String::new();
    for entry in &transaction.entries {
        if let Ok(line) = serde_json::to_string(entry) {
            let _ = writeln!(text, "{}", line.chars().take(400).collect::<String>());
        }
    }
    let _ = writeln!(text, "\n# the ruleset before it\n{ruleset}");
    text
}
