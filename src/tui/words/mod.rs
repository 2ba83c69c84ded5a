//! Sentences that the pages and the line mode share, made from plain data.
//!
//! One place for them means that a person who reads the screen and a person who hears it are told the same thing.

mod commands;
mod ending;
mod firewall;
mod rehearsal;

use ipnet::IpNet;

use crate::advice::Severity;
use crate::change::{Change, Preview, RuleLine, RuleState};
use crate::facts::{BackendFact, Facts};
use crate::transaction::Trial;
use crate::tui::widgets::cell;
use crate::tui::{PageId, Remembered, frame};

pub use commands::{CommandKind, CommandLine, commands};
pub use ending::{Ending, forward, next_steps, summary};
pub use firewall::{
    OUTBOUND, chain_name, consequences, cut_off, inbound, may_deny, nothing_filters, outbound_place,
    shuts_22, sleeping, unmanaged,
};
pub use rehearsal::{HEAD, Test, columns, not_tried, refusal, rehearsal_report, row, spoken, tally, tests};

/// Time left as it is read at a glance: `1 min 47 s`, `47 s`. A started second counts.
pub fn left(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, s) => format!("{m} min {s:02} s"),
    }
}

/// Text with tabs as blanks: a terminal would jump, and a row could not be measured.
pub fn untabbed(text: &str) -> String {
    text.replace('\t', "    ")
}

/// How long a step took: `0.1 s`.
pub fn took(millis: u64) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

/// `everyone`, or the networks.
pub fn sources(networks: &[String]) -> String {
    if networks.is_empty() {
        "everyone".to_owned()
    } else {
        networks.join(", ")
    }
}

/// Networks as they are typed, with commas.
pub fn networks(nets: &[IpNet]) -> String {
    nets.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Networks, or single hosts, with commas or blanks between them; the error says what is wrong and what would be right.
pub fn read_networks(text: &str) -> Result<Vec<IpNet>, String> {
    text.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let net: IpNet = part
                .parse()
                .or_else(|_| part.parse::<std::net::IpAddr>().map(IpNet::from))
                .map_err(|_| {
                    format!("{part} is no network; such as 192.0.2.0/24 or 2001:db8::/32 is wanted.")
                })?;
            if net.trunc() == net {
                Ok(net)
            } else {
                Err(format!(
                    "{part} has bits behind its length; {} is meant?",
                    net.trunc()
                ))
            }
        })
        .collect()
}

/// What becomes of the port of a rule. Capitals mark a change, so that it does not hang on colour.
pub fn becomes(rule: &RuleLine) -> &'static str {
    let accept = rule.action == "accept";
    match (accept, rule.state) {
        (true, RuleState::Add) => "OPEN",
        (true, RuleState::Present) => "open",
        (false, RuleState::Present) => "closed",
        (_, RuleState::Remove) | (false, RuleState::Add) => "CLOSED",
    }
}

/// `TCP/33001`, or `all others` for what no rule names.
pub fn port(rule: &RuleLine) -> String {
    if rule.protocol == "any" {
        return format!("all {}", rule.ports);
    }
    format!("{}/{}", rule.protocol.to_uppercase(), rule.ports)
}

/// Number of steps that change something.
pub fn live_steps(change: &Change) -> usize {
    change.trial_1.len() + change.trial_2.len() + change.commit.len()
}

/// Why the change of a preview cannot be applied now: obstacles, and blockers that nobody accepted.
pub fn refusals(preview: &Preview) -> Vec<String> {
    let mut lines = preview.obstacles.clone();
    for advice in preview.advice.iter().filter(|advice| advice.blocks()) {
        let line = format!("{}: {}", advice.code, advice.text);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Codes of the advice that stands in the way and could be accepted.
pub fn blocking(preview: &Preview) -> Vec<&str> {
    let blockers = preview.advice.iter().filter(|advice| advice.blocks());
    blockers.map(|advice| advice.code.as_str()).collect()
}

/// How a new login is made, to be typed on another machine; `None` when no port is moved or nothing is known of this
/// host yet ([`Trial::next`] says it then).
pub fn login_command(trial: &Trial, facts: &Facts) -> Option<String> {
    let door = trial.door?;
    let session = facts.session.as_ref();
    let reached = session
        .and_then(|s| s.server)
        .filter(|address| !address.is_loopback());
    let host = match reached.or_else(|| facts.addresses.first().copied()) {
        Some(address) => address.to_string(),
        None if facts.hostname.is_empty() => return None,
        None => facts.hostname.clone(),
    };
    let user = session.and_then(|s| s.user.as_deref()).unwrap_or("USER");
    Some(format!("ssh -p {door} {user}@{host}"))
}

/// What is typed in the new login.
pub fn confirm_command(trial: &Trial, facts: &Facts) -> String {
    let root = facts
        .session
        .as_ref()
        .is_some_and(|s| s.user.as_deref() == Some("root"));
    format!(
        "{}faspwall confirm {}",
        if root { "" } else { "sudo " },
        trial.code
    )
}

/// The time of day of an RFC 3339 time: `07:33:12 UTC`.
pub fn clock(at: &str) -> String {
    let time = at
        .split_once('T')
        .and_then(|(_, time)| Some((time.get(..8)?, time.get(8..)?)));
    match time {
        Some((time, rest)) if rest.ends_with('Z') => format!("{time} UTC"),
        Some((time, _)) => time.to_owned(),
        None => at.to_owned(),
    }
}

/// What a trial is for, in one or two sentences.
pub fn trial_purpose(trial: &Trial) -> String {
    let closing = shut_list(&trial.closing, trial.wall);
    match (trial.trial, trial.door) {
        (1, Some(door)) => {
            format!(
                "Trial 1: TCP/{door} is open beside the old way in. Prove with a new login that it works."
            )
        }
        (1, None) => "Trial 1: the new rules are live beside the old ones.".to_owned(),
        (_, Some(door)) => format!(
            "Trial 2: {closing} is shut for a test, open sessions stay. A new login on TCP/{door} must confirm once more."
        ),
        (_, None) => format!("Trial 2: {closing} is shut for a test, open sessions stay."),
    }
}

/// What trial 2 shuts.
fn shut_list(ports: &[u16], wall: bool) -> String {
    let mut names: Vec<String> = ports.iter().map(|p| format!("TCP/{p}")).collect();
    if wall {
        names.push("what was not asked for".to_owned());
    }
    if names.is_empty() {
        return "TCP/22".to_owned();
    }
    names.join(" and ")
}

/// Why a typed `keep` would not be taken now.
pub fn keep_refusal(trial: &Trial) -> Option<String> {
    if trial.keep_allowed {
        return None;
    }
    Some(match trial.door {
        Some(door) if trial.logins.is_empty() => match trial.other_logins.last() {
            Some(other) => format!("keep is not taken yet: {other}"),
            None => format!("keep is not taken yet: no new login on TCP/{door} since this trial began"),
        },
        _ => format!(
            "keep proves nothing from here: run faspwall confirm {} in the new login",
            trial.code
        ),
    })
}

/// How many logins were seen on the door.
pub fn logins(trial: &Trial) -> String {
    match trial.door {
        Some(door) => format!("New logins on {door}: {}", trial.logins.len()),
        None => "No SSH port is moved".to_owned(),
    }
}

/// Ports joined for a sentence, or `nothing`.
pub fn joined(ports: &[String]) -> String {
    if ports.is_empty() {
        "nothing".to_owned()
    } else {
        ports.join(", ")
    }
}

/// What is offered of an earlier start, and how far it came.
pub fn resume(earlier: &Remembered) -> String {
    let came = if earlier.page == frame::title(PageId::Done) {
        "they were applied".to_owned()
    } else {
        format!("stopped on page {}", earlier.page)
    };
    format!("Resume the answers of {} ({came})", earlier.when)
}

/// State of a firewall in one or two words.
pub fn backend_state(fact: &BackendFact) -> &'static str {
    match (fact.installed, fact.active) {
        (false, _) => "not installed",
        (true, true) => "in use",
        (true, false) => "not in use",
    }
}

/// `nftables 1.0.6`
pub fn backend_name(fact: &BackendFact) -> String {
    match &fact.version {
        Some(version) => format!("{} {version}", fact.id),
        None => fact.id.to_string(),
    }
}

/// `14 rules of docker, 3 set elements of fail2ban`
pub fn foreign(facts: &Facts) -> String {
    facts
        .foreign
        .iter()
        .map(|f| {
            let kind = if f.count == 1 {
                f.kind.trim_end_matches('s')
            } else {
                f.kind.as_str()
            };
            format!("{} {kind} of {}", f.count, f.owner)
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// The preview as a text file: everything the four tabs show.
pub fn report(preview: &Preview, window_s: u64) -> Vec<String> {
    let mut text = Vec::new();
    report_rules(preview, &mut text);
    report_advice(preview, &mut text);
    for diff in &preview.diff {
        text.push(format!("Difference: {}.", diff.name));
        text.extend(diff.lines.iter().map(|line| format!("  {line}")));
    }
    if let Some(change) = &preview.change {
        text.push("Steps:".to_owned());
        text.extend(
            commands(change, window_s)
                .into_iter()
                .map(|line| match (line.kind, line.number) {
                    (CommandKind::Head, _) => format!("{}:", capital(&line.text)),
                    (CommandKind::Pause, _) => line.text,
                    (_, Some(number)) => format!("  {number}  {}", line.text),
                    (_, None) => format!("     {}", line.text),
                }),
        );
    }
    text
}

fn report_rules(preview: &Preview, text: &mut Vec<String>) {
    text.push("Rules:".to_owned());
    for rule in &preview.rules {
        text.push(format!(
            "  {} {}, {}, {}. {}",
            port(rule),
            if rule.direction == "out" {
                "outbound"
            } else {
                "inbound"
            },
            sources(&rule.sources),
            becomes(rule),
            sentence(&rule.why)
        ));
        if !rule.source.is_empty() {
            text.push(format!("    Source: {}", rule.source));
        }
    }
    if preview.rules.is_empty() {
        text.push("  none".to_owned());
    }
    text.extend(
        preview
            .unchanged
            .iter()
            .map(|line| format!("  unchanged: {line}")),
    );
    text.extend(
        preview
            .cut_off
            .iter()
            .map(|line| format!("  refused from now on: {line}")),
    );
}

fn report_advice(preview: &Preview, text: &mut Vec<String>) {
    for advice in &preview.advice {
        let weight = match advice.severity {
            _ if advice.accepted => "Accepted",
            Severity::Note => "Note",
            Severity::Warning => "Warning",
            Severity::Blocker => "Blocker",
        };
        text.push(format!("{weight} {}: {}", advice.code, advice.text));
        text.extend(advice.evidence.iter().map(|line| format!("  {line}")));
    }
}

/// The same text with a capital first letter.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `1 step`, `3 steps`
pub fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// `2026-11-23 07:31` of an RFC 3339 time.
pub fn minute(at: &str) -> String {
    at.chars()
        .take(16)
        .map(|sign| if sign == 'T' { ' ' } else { sign })
        .collect()
}

/// The text with one full stop at its end; nothing stays nothing.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    if text.is_empty() {
        String::new()
    } else {
        format!("{text}.")
    }
}
