//! What the operator should know before going on: stable codes, evidence from this host, a way out.
//!
//! [`review`] is a pure function of plan, answers and facts. Its codes never change their meaning; new ones are
//! appended. A code that the answers accept no longer blocks, but it is still shown.

mod access;
mod host;
mod product;
mod ruleset;
mod sshd;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::catalogue::Catalogue;
use crate::facts::{Facts, Listener};
use crate::plan::Plan;
use crate::port::Protocol;

/// How much an advice weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Better changed.
    Warning,
    /// Apply is refused until it is changed, or accepted by its code.
    Blocker,
}

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// `FW001` and so on: never changes its meaning.
    pub code: String,
    /// Weight.
    pub severity: Severity,
    /// A few sentences: what, why, and what to do.
    pub text: String,
    /// What was seen on this host, a line each.
    pub evidence: Vec<String>,
    /// The answers accept it by its code: it no longer blocks.
    #[serde(default)]
    pub accepted: bool,
}

impl Advice {
    /// Advice without evidence.
    fn new(code: &str, severity: Severity, text: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            text: text.into(),
            evidence: Vec::new(),
            accepted: false,
        }
    }

    /// The same with what was seen.
    fn seen(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Whether apply is refused because of it.
    pub fn blocks(&self) -> bool {
        self.severity == Severity::Blocker
    }
}

/// What one review looks at.
struct Case<'a> {
    plan: &'a Plan,
    answers: &'a Answers,
    facts: &'a Facts,
    catalogue: &'a Catalogue,
}

impl Case<'_> {
    /// Sockets that others can reach on a port.
    fn listeners(&self, protocol: Protocol, port: u16) -> impl Iterator<Item = &Listener> {
        self.facts
            .listeners
            .iter()
            .filter(move |socket| socket.protocol == protocol && socket.port == port && !socket.loopback())
    }

    /// The address that the operator comes from, an IPv4 address that was mapped into IPv6 as IPv4.
    fn client(&self) -> Option<IpAddr> {
        Some(self.facts.session.as_ref()?.client?.to_canonical())
    }
}

/// Everything that should be said about a plan on this host, ordered by code.
pub fn review(plan: &Plan, answers: &Answers, facts: &Facts) -> Vec<Advice> {
    let case = Case {
        plan,
        answers,
        facts,
        catalogue: Catalogue::builtin(),
    };
    let mut advice: Vec<Advice> = [
        access::port_22_stays_open(&case),
        access::sshd_not_on_the_port(&case),
        access::cuts_the_connection_in_use(&case),
        host::several_tools_drop(&case),
        host::not_active_at_boot(&case).or_else(|| host::nothing_recovers_at_boot(&case)),
        product::web_ports_disabled(&case),
        product::one_udp_port(&case),
        host::container_publishes(&case),
        ruleset::runtime_differs(&case),
        access::selinux(&case),
        access::fail2ban(&case),
        host::nothing_filters(&case),
        access::sources_leave_you_out(&case),
        product::loopback_reachable(&case),
        product::probable_typo(&case),
        product::configuration_differs(&case),
        product::range_not_needed(&case),
        product::fallback_not_opened(&case),
        access::opens_to_everyone(&case),
        sshd::given_to_connections(&case),
        sshd::restrictions_stay_behind(&case),
        sshd::others_on_port_22(&case),
    ]
    .into_iter()
    .flatten()
    .collect();
    for found in host::contradictions(&case) {
        match advice.iter_mut().find(|item| item.code == found.code) {
            Some(item) => {
                item.severity = item.severity.max(found.severity);
                item.evidence.push(found.text);
            }
            None => advice.push(found),
        }
    }
    for item in &mut advice {
        if answers.accepts(&item.code) {
            item.accepted = true;
            item.severity = item.severity.min(Severity::Warning);
        }
    }
    advice.sort_by(|a, b| a.code.cmp(&b.code));
    advice
}

/// `sshd (pid 812) on 0.0.0.0`
fn socket_line(socket: &Listener) -> String {
    let program = socket
        .program
        .as_deref()
        .unwrap_or("a program that could not be named");
    let pid = socket.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let protocol = socket.protocol.to_string().to_uppercase();
    let address = socket.address;
    let port = socket.port;
    format!("{program}{pid} listens on {address}, {protocol}/{port}")
}

/// A number with a comma after every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
