//! Sentences that the pages and the line mode share, made from plain data.
//!
//! One place for them means that a person who reads the screen and a person who hears it are told the same thing.

use std::path::Path;

use ipnet::IpNet;

use crate::advice::Severity;
use crate::answers::Answers;
use crate::change::{Change, Preview, RuleLine, RuleState};
use crate::facts::{BackendFact, Facts};
use crate::transaction::{Outcome, Phase, Progress, Trial};

/// Time left as it is read at a glance: `1 min 47 s`, `47 s`. A started second counts.
pub fn left(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, s) => format!("{m} min {s:02} s"),
    }
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

/// `TCP/33001`
pub fn port(rule: &RuleLine) -> String {
    format!("{}/{}", rule.protocol.to_uppercase(), rule.ports)
}

/// What a line of the Commands tab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Name of a stretch.
    Head,
    /// What the next command is for.
    Say,
    /// A command, or a further line of it.
    Command,
    /// What must happen before the next stretch.
    Pause,
}

/// One line of the Commands tab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// What it is.
    pub kind: CommandKind,
    /// Number of the step, on its first line.
    pub number: Option<usize>,
    /// The text.
    pub text: String,
}

fn head_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Check => "checks: nothing is changed",
        Phase::Trial1 => "trial 1: only adds, nothing is shut",
        Phase::Trial2 => "trial 2: TCP/22 is shut for a test, by a timer in the kernel",
        Phase::Commit => "commit: made permanent",
    }
}

fn push_command(list: &mut Vec<CommandLine>, number: usize, say: &str, command: &str) {
    let mut line = |kind, number, text: &str| {
        list.push(CommandLine {
            kind,
            number,
            text: text.to_owned(),
        });
    };
    if !say.is_empty() {
        line(CommandKind::Say, None, &format!("# {say}"));
    }
    for (index, text) in command.lines().enumerate() {
        line(CommandKind::Command, (index == 0).then_some(number), text);
    }
}

/// Every step of a change in order, then every undo step: the very [`crate::step::Step`] values that the engine performs.
pub fn commands(change: &Change, window_s: u64) -> Vec<CommandLine> {
    let mut list = Vec::new();
    let mut undo = Vec::new();
    let mut number = 0;
    let note = |kind, text: String| CommandLine {
        kind,
        number: None,
        text,
    };
    for phase in [Phase::Check, Phase::Trial1, Phase::Trial2, Phase::Commit] {
        let actions = change.actions(phase);
        if actions.is_empty() {
            continue;
        }
        list.push(note(CommandKind::Head, head_of(phase).to_owned()));
        for action in actions {
            number += 1;
            push_command(&mut list, number, &action.say, &action.step.to_string());
            if !action.undo.is_empty() {
                undo.push((number, action));
            }
        }
        if let Some(text) = pause_after(phase, change, window_s) {
            list.push(note(CommandKind::Pause, text));
        }
    }
    if !undo.is_empty() {
        list.push(note(
            CommandKind::Head,
            "undo: stored before step 1, done by the guard unless confirmed".into(),
        ));
        for (number, action) in undo.into_iter().rev() {
            for (index, step) in action.undo.iter().enumerate() {
                let say = if index == 0 {
                    format!("takes back {number}: {}", action.say)
                } else {
                    String::new()
                };
                push_command(&mut list, number, &say, &step.to_string());
            }
        }
    }
    list
}

fn pause_after(phase: Phase, change: &Change, window_s: u64) -> Option<String> {
    let proof = match change.door {
        Some(door) => format!("a new login on TCP/{door} that confirms"),
        None => "the word keep".to_owned(),
    };
    match phase {
        Phase::Check => Some("-- snapshot saved, guard armed outside this program; then: --".to_owned()),
        Phase::Trial1 if change.trial_2.is_empty() => Some(format!("-- {window_s} s for {proof}; then: --")),
        Phase::Trial1 => Some(format!(
            "-- {window_s} s for {proof}; then, guard armed again: --"
        )),
        Phase::Trial2 => Some(format!("-- {window_s} s for {proof} while 22 is shut; then: --")),
        Phase::Commit => None,
    }
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
    let closing = port_list(&trial.closing);
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

fn port_list(ports: &[u16]) -> String {
    if ports.is_empty() {
        return "TCP/22".to_owned();
    }
    ports
        .iter()
        .map(|p| format!("TCP/{p}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why a typed `keep` would not be taken now.
pub fn keep_refusal(trial: &Trial) -> Option<String> {
    if trial.keep_allowed {
        return None;
    }
    Some(match trial.door {
        Some(door) if trial.logins.is_empty() => {
            format!("keep is not taken yet: no new login on TCP/{door} since this trial began")
        }
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

/// How a change ended, with everything that is said of it.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// What went wrong, when something did.
    pub failed: &'a [String],
    /// The end of the transaction; `None` when nothing was begun.
    pub outcome: Option<&'a Outcome>,
}

impl<'a> Ending<'a> {
    /// The end that the last line of progress tells, if it tells one.
    pub fn of(progress: &'a [Progress]) -> Option<Self> {
        match progress.last()? {
            Progress::Committed(outcome) | Progress::RolledBack(outcome) => Some(Self {
                failed: &[],
                outcome: Some(outcome),
            }),
            Progress::Failed { lines, outcome } => Some(Self {
                failed: lines,
                outcome: outcome.as_deref(),
            }),
            _ => None,
        }
    }

    /// Whether the change is permanent.
    pub fn kept(&self) -> bool {
        self.outcome.is_some_and(|o| o.kept)
    }

    /// Whether the undo left work for a person.
    pub fn incomplete(&self) -> bool {
        self.outcome.is_some_and(|o| !o.kept && !o.remaining.is_empty())
    }

    /// Exit status: 0 kept, 3 undone on purpose or for want of an answer, 6 failed and undone, 7 undo incomplete.
    pub fn exit_code(&self) -> u8 {
        if self.incomplete() {
            7
        } else if self.kept() {
            0
        } else if self.failed.is_empty() {
            3
        } else {
            6
        }
    }

    /// The first line of the page and of the summary.
    pub fn headline(&self) -> String {
        match self.outcome {
            Some(outcome) if outcome.kept => format!("KEPT. {}", sentence(&outcome.reason)),
            Some(outcome) if !outcome.remaining.is_empty() => {
                format!("UNDO INCOMPLETE. {}", sentence(&outcome.reason))
            }
            Some(outcome) => format!("UNDONE. {}", sentence(&outcome.reason)),
            None => "NOT APPLIED. This host was not changed.".to_owned(),
        }
    }

    /// Whether the host was found equal to the snapshot; `None` when there was nothing to compare.
    pub fn compared(&self) -> Option<String> {
        let outcome = self.outcome.filter(|o| !o.kept)?;
        Some(match outcome.differs.len() {
            0 => "equal to the snapshot".to_owned(),
            1 => "1 line differs from the snapshot".to_owned(),
            n => format!("{n} lines differ from the snapshot"),
        })
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    if text.is_empty() {
        String::new()
    } else {
        format!("{text}.")
    }
}

/// The lines that stay on the normal screen after the program has left.
pub fn summary(ending: &Ending<'_>, answers_path: &Path) -> Vec<String> {
    let mut lines: Vec<String> = ending
        .failed
        .iter()
        .map(|line| format!("faspwall: {line}"))
        .collect();
    let Some(outcome) = ending.outcome else {
        lines.push("faspwall: not applied, this host was not changed.".to_owned());
        return lines;
    };
    if outcome.kept {
        let (opened, closed) = (joined(&outcome.opened), joined(&outcome.closed));
        lines.push(format!("faspwall: kept. Opened: {opened}. Closed: {closed}."));
        lines.push(format!("undo:   faspwall rollback {}", outcome.txn));
        lines.push(format!("log:    {}", outcome.log));
        lines.push(format!("repeat: faspwall apply -f {}", answers_path.display()));
        return lines;
    }
    let end = if ending.incomplete() {
        "undo incomplete"
    } else {
        "undone"
    };
    lines.push(format!("faspwall: {end}. {}", sentence(&outcome.reason)));
    if let Some(compared) = ending.compared() {
        lines.push(format!("host:   {compared}"));
    }
    lines.extend(outcome.differs.iter().map(|line| format!("        {line}")));
    if ending.incomplete() {
        lines.push("Type these commands as root to finish:".to_owned());
        lines.extend(outcome.remaining.iter().map(|command| format!("  {command}")));
    }
    lines.push(format!("log:    {}", outcome.log));
    lines
}

/// What is left to do by people after a change was kept, or was not.
pub fn next_steps(ending: &Ending<'_>, answers: &Answers) -> Vec<String> {
    if ending.kept() {
        return kept_steps(answers);
    }
    if ending.incomplete() {
        return vec!["type the commands above as root, then: faspwall status".to_owned()];
    }
    let again = "nothing is left to clean up; the same answers can be tried again".to_owned();
    let mut steps = Vec::new();
    if ending.failed.is_empty() {
        steps.push(again);
        steps.push(format!(
            "if the new login did not get through: open TCP/{} in the cloud security group or router first",
            answers.ssh.port
        ));
        steps.push("if time was short: extend it on the Confirm page, a minute at a time".to_owned());
    } else {
        steps.push("repair what is named above, then go back to the preview".to_owned());
        steps.push(again);
    }
    steps
}

fn kept_steps(answers: &Answers) -> Vec<String> {
    let port = answers.ssh.port;
    let mut steps = Vec::new();
    if port != 22 {
        steps.push(format!(
            "tell your users: clients now need port {port}  (ascp -P {port})"
        ));
    }
    steps.push(format!(
        "open TCP/{port} and UDP/{} in the cloud security group or router",
        answers.fasp_udp
    ));
    steps.push("test a transfer from outside this network".to_owned());
    if answers.fasp_udp.to_string() != "33001" {
        steps.push(format!("aspera.conf: set the UDP port to {}", answers.fasp_udp));
    }
    if port != 22 {
        steps.push("if you use Faspex, Shares or Console: change the node's SSH port there".to_owned());
    }
    steps
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
        .map(|f| format!("{} {} of {}", f.count, f.kind, f.owner))
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

/// What was found on the host, one line each, beginning with `ok:` or `WARN:`.
pub fn host(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line =
        |good: bool, text: String| lines.push(format!("{}: {text}", if good { "ok" } else { "WARN" }));
    line(
        facts.privileged,
        if facts.privileged {
            "root privileges"
        } else {
            "no root privileges"
        }
        .to_owned(),
    );
    match facts.backend {
        Some(id) => line(true, format!("firewall {id}")),
        None => line(
            false,
            facts
                .refusal
                .clone()
                .unwrap_or_else(|| "no usable firewall was found".to_owned()),
        ),
    }
    let ports = facts
        .ssh
        .ports
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if ports.is_empty() {
        line(false, "no sshd listens on this host".to_owned());
    } else {
        line(true, format!("sshd listens on {ports}"));
    }
    if let Some(session) = &facts.session {
        line(
            session.server_port != Some(22),
            format!("your session: {}", session.evidence),
        );
    }
    if let Some(aspera) = &facts.aspera {
        line(
            true,
            format!(
                "{} {} found in {}",
                aspera.product,
                aspera.version,
                aspera.path.display()
            ),
        );
    }
    lines
}
