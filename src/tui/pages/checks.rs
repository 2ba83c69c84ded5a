//! What was found out about the host, as lines with a verdict and the evidence behind it.

use crate::facts::{Facts, Session, Via};
use crate::tui::{Tone, words};

/// One line of the host check.
pub struct Check {
    /// How it turned out.
    pub tone: Tone,
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// How it was found out.
    pub evidence: String,
}

/// The checks of a host. `done` says whether all have been answered; until then a missing answer is still on its way.
pub fn checks(facts: &Facts, done: bool) -> Vec<Check> {
    let mut checks = vec![
        privileges(facts, done),
        firewall(facts, done),
        sshd(facts, done),
        session(facts, done),
        product(facts, done),
        boot(facts, done),
        selinux(facts, done),
    ];
    if let Some(aspera) = &facts.aspera {
        checks.extend(aspera.problems.iter().map(|problem| Check {
            tone: Tone::Warn,
            name: "aspera.conf",
            found: problem.clone(),
            evidence: format!("read from {}", aspera.path.display()),
        }));
    }
    checks
}

/// `6 checks: 5 ok, 1 warning, 0 errors; 1 still running`
pub fn tally(checks: &[Check]) -> (Tone, String) {
    let count = |tone: Tone| checks.iter().filter(|check| check.tone == tone).count();
    let (good, warnings, errors, busy) = (
        count(Tone::Good),
        count(Tone::Warn),
        count(Tone::Bad),
        count(Tone::Busy),
    );
    let plural = |number: usize| if number == 1 { "" } else { "s" };
    let mut text = format!(
        "{} checks: {good} ok, {warnings} warning{}, {errors} error{}",
        checks.len(),
        plural(warnings),
        plural(errors)
    );
    if busy > 0 {
        text.push_str(&format!("; {busy} still running"));
    }
    let tone = match (busy, errors, warnings) {
        (1.., _, _) => Tone::Busy,
        (_, 1.., _) => Tone::Bad,
        (_, _, 1..) => Tone::Warn,
        _ => Tone::Good,
    };
    (tone, text)
}

fn check(name: &'static str, tone: Tone, found: impl Into<String>, evidence: impl Into<String>) -> Check {
    Check {
        tone,
        name,
        found: found.into(),
        evidence: evidence.into(),
    }
}

fn busy(name: &'static str) -> Check {
    check(name, Tone::Busy, "checking", "This check has not answered yet.")
}

fn privileges(facts: &Facts, done: bool) -> Check {
    const NAME: &str = "privileges";
    // The host's name comes with the first answer.
    if !done && facts.hostname.is_empty() {
        return busy(NAME);
    }
    let how = "The effective user of this process. Rules can be read and changed by root only.";
    if facts.privileged {
        check(NAME, Tone::Good, "root", how)
    } else {
        check(
            NAME,
            Tone::Warn,
            "not root: planning works, applying does not (sudo faspwall)",
            how,
        )
    }
}

fn firewall(facts: &Facts, done: bool) -> Check {
    const NAME: &str = "firewall";
    if !done && facts.backends.is_empty() && facts.refusal.is_none() {
        return busy(NAME);
    }
    let evidence = facts
        .backends
        .iter()
        .map(|fact| {
            format!(
                "{}: {}. {}",
                words::backend_name(fact),
                words::backend_state(fact),
                fact.reason
            )
        })
        .collect::<Vec<_>>()
        .join("\n");
    if let Some(refusal) = &facts.refusal {
        return check(NAME, Tone::Bad, refusal.clone(), evidence);
    }
    let Some(id) = facts.backend else {
        return check(
            NAME,
            Tone::Bad,
            "no firewall that can be used was found",
            evidence,
        );
    };
    let name = facts
        .backends
        .iter()
        .find(|fact| fact.id == id)
        .map_or_else(|| id.to_string(), words::backend_name);
    let found = format!("{name}; what no rule names: {}", facts.inbound_default);
    check(NAME, Tone::Good, found, evidence)
}

fn sshd(facts: &Facts, done: bool) -> Check {
    const NAME: &str = "sshd";
    let ssh = &facts.ssh;
    if !done && ssh.daemon.is_empty() {
        return busy(NAME);
    }
    let ports = ssh
        .ports
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let evidence = format!(
        "Listening sockets: {}\nsshd -T: port {}\nFailed logins in 24 hours: {}",
        if ports.is_empty() { "none" } else { &ports },
        ssh.config
            .ports
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        ssh.failed_logins
            .map_or_else(|| "not known".to_owned(), |count| count.to_string()),
    );
    match (&ssh.config.error, ports.is_empty()) {
        (Some(error), _) => check(
            NAME,
            Tone::Bad,
            format!("its configuration cannot be read: {error}"),
            evidence,
        ),
        (None, true) => check(NAME, Tone::Warn, "no sshd listens on this host", evidence),
        (None, false) => check(
            NAME,
            Tone::Good,
            format!("{} listens on {ports}", ssh.daemon),
            evidence,
        ),
    }
}

fn session(facts: &Facts, done: bool) -> Check {
    const NAME: &str = "your session";
    let Some(session) = &facts.session else {
        return if done {
            check(
                NAME,
                Tone::Warn,
                "how you are connected could not be found out",
                "No ssh login, console or terminal multiplexer was recognised among the parents of this process.",
            )
        } else {
            busy(NAME)
        };
    };
    let evidence = session.evidence.clone();
    match (session.is_remote(), session.server_port) {
        (true, Some(22)) => check(
            NAME,
            Tone::Warn,
            "comes in on TCP/22: it is kept open until you have logged in again on the new port",
            evidence,
        ),
        (true, _) => check(NAME, Tone::Good, arrival(session), evidence),
        (false, _) if session.is_local() => check(
            NAME,
            Tone::Good,
            "local: no port of this host is needed for it",
            evidence,
        ),
        (false, _) => check(
            NAME,
            Tone::Warn,
            "how you are connected is not known: only a new login on the new port will prove it",
            evidence,
        ),
    }
}

fn arrival(session: &Session) -> String {
    match (session.via, session.server_port) {
        (Via::Mosh, _) => "comes in by mosh, over UDP".to_owned(),
        (_, Some(port)) => format!("comes in on TCP/{port}"),
        (_, None) => "comes in over the network".to_owned(),
    }
}

fn product(facts: &Facts, done: bool) -> Check {
    const NAME: &str = "Aspera";
    match &facts.aspera {
        Some(aspera) => check(
            NAME,
            Tone::Good,
            format!(
                "{} {} found in {}",
                aspera.product,
                aspera.version,
                aspera.path.display()
            ),
            format!(
                "Product files in {}. aspera.conf: {}",
                aspera.path.display(),
                aspera
                    .conf
                    .as_ref()
                    .map_or_else(|| "not read".to_owned(), |conf| conf.display().to_string())
            ),
        ),
        None if done => check(
            NAME,
            Tone::Good,
            "none installed here, the role is chosen on the next page",
            "No Aspera product was found in the usual places.",
        ),
        None => busy(NAME),
    }
}

fn boot(facts: &Facts, done: bool) -> Check {
    const NAME: &str = "after a boot";
    let boot = &facts.boot;
    let unit = boot.unit.as_deref().unwrap_or_default();
    let evidence = format!(
        "File: {}\nUnit: {unit}\nEnabled: {:?}",
        boot.file
            .as_ref()
            .map_or_else(|| "none".to_owned(), |file| file.display().to_string()),
        boot.enabled
    );
    match (boot.enabled, unit.is_empty()) {
        (Some(true), _) => check(
            NAME,
            Tone::Good,
            format!("{unit} loads the rules again"),
            evidence,
        ),
        (Some(false), _) => check(
            NAME,
            Tone::Warn,
            format!("{unit} is not enabled: rules are gone after a reboot"),
            evidence,
        ),
        (None, _) if done => check(
            NAME,
            Tone::Warn,
            "it cannot be told what loads the rules at boot",
            evidence,
        ),
        (None, _) => busy(NAME),
    }
}

fn selinux(facts: &Facts, done: bool) -> Check {
    const NAME: &str = "SELinux";
    let how = "The mode that the kernel reports. Enforcing, sshd may listen on ports with the label ssh_port_t only.";
    match &facts.selinux {
        Some(mode) => check(
            NAME,
            if mode == "enforcing" {
                Tone::Warn
            } else {
                Tone::Good
            },
            mode.clone(),
            how,
        ),
        None if done => check(NAME, Tone::Good, "off or absent", how),
        None => busy(NAME),
    }
}
