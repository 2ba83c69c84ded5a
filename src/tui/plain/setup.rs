//! The questions before anything is applied: what is asked, how an answer is read.

use ipnet::IpNet;

use crate::answers::{Daemon, HttpPorts, Legacy22, Vlink};
use crate::port::{PortRange, parse_port};
use crate::tui::{Effect, words};

use super::ask::{Ask, role};
use super::{Busy, Plain, Step};

/// Words that leave a port, or a pair of ports, shut.
const OFF: &str = "off";

impl Plain {
    /// Prints the question in full.
    pub(super) fn ask(&mut self) {
        match self.at {
            Ask::Start => self.ask_start(),
            Ask::Role => self.ask_role(),
            Ask::Port => self.say("Step 3 of 8, SSH port. Which TCP port does sshd use for transfers?"),
            Ask::Daemon => self.ask_daemon(),
            Ask::Legacy => self.ask_legacy(),
            Ask::Networks22 => self.say("Which networks may still use port 22?"),
            Ask::Fasp => {
                self.say("Step 4 of 8, options. UDP port of fasp data. One port is enough on Linux.")
            }
            Ask::Fallback => self.say("HTTP fallback, for clients that may not send UDP."),
            Ask::Web => self.say("Web UI."),
            Ask::Node => self.say("Node API, TLS."),
            Ask::Vlink => self.say("Vlink bandwidth sync, UDP multicast."),
            Ask::Sources => self.say("Who may reach the opened ports?"),
            Ask::Firewall => self.ask_firewall(),
            Ask::Apply => return self.ask_apply(),
            Ask::Confirm => {}
            Ask::Status => self.ask_status(),
            Ask::Snapshots => self.ask_snapshots(),
            Ask::GoBack => return self.ask_go_back(),
            Ask::Interrupted => return self.ask_interrupted(),
        }
        self.ask_short();
    }

    /// Prints only the prompt, after an answer that was not one.
    pub(super) fn ask_short(&mut self) {
        let answers = &self.shared.answers;
        let text = match self.at {
            Ask::Start | Ask::Firewall => "Number, or Enter for 1:".to_owned(),
            Ask::Role | Ask::Daemon | Ask::Legacy => {
                format!("Number, or Enter for {}:", self.current_choice())
            }
            Ask::Port => format!("Port, 1 to 65535, or Enter for {}:", self.offered_port()),
            Ask::Networks22 if answers.ssh.restrict_22_to.is_empty() => {
                "Networks with commas, such as 192.0.2.0/24, 2001:db8::/32:".to_owned()
            }
            Ask::Networks22 => {
                format!(
                    "Networks with commas, or Enter for {}:",
                    words::networks(&answers.ssh.restrict_22_to)
                )
            }
            Ask::Fasp => format!("Port or range, or Enter for {}:", answers.fasp_udp),
            Ask::Fallback => pair_prompt(answers.http_fallback, "8080 8443"),
            Ask::Web => pair_prompt(answers.web_ui, "80 443"),
            Ask::Node => single_prompt(answers.node_api, 9092),
            Ask::Vlink => single_prompt(answers.vlink.as_ref().map(|v| v.udp), 55001),
            Ask::Sources if answers.firewall.sources.is_empty() => {
                "Networks with commas, or Enter for everyone:".to_owned()
            }
            Ask::Sources => format!(
                "Networks with commas, or everyone, or Enter for {}:",
                words::networks(&answers.firewall.sources)
            ),
            Ask::Apply => self.apply_prompt(),
            Ask::Confirm => return,
            Ask::Status => "r refresh, s snapshots, e reconfigure, q quit:".to_owned(),
            Ask::Snapshots => "Number of the change to take back, or q to leave:".to_owned(),
            Ask::GoBack | Ask::Interrupted => "y to do it, Enter for no:".to_owned(),
        };
        self.prompt(&text);
    }

    pub(super) fn answered(&mut self, text: &str) -> Step {
        match self.at {
            Ask::Start => self.start_answer(text),
            Ask::Role => self.role_answer(text),
            Ask::Port => self.port_answer(text),
            Ask::Daemon => self.daemon_answer(text),
            Ask::Legacy => self.legacy_answer(text),
            Ask::Networks22 => self.networks_22_answer(text),
            Ask::Fasp => self.fasp_answer(text),
            Ask::Fallback => match pair(text, self.shared.answers.http_fallback, "8080 8443") {
                Ok(ports) => {
                    self.shared.answers.http_fallback = ports;
                    Step::Next
                }
                Err(why) => Step::Invalid(why),
            },
            Ask::Web => match pair(text, self.shared.answers.web_ui, "80 443") {
                Ok(ports) => {
                    self.shared.answers.web_ui = ports;
                    Step::Next
                }
                Err(why) => Step::Invalid(why),
            },
            Ask::Node => match single(text, self.shared.answers.node_api) {
                Ok(port) => {
                    self.shared.answers.node_api = port;
                    Step::Next
                }
                Err(why) => Step::Invalid(why),
            },
            Ask::Vlink => self.vlink_answer(text),
            Ask::Sources => self.sources_answer(text),
            Ask::Firewall => self.firewall_answer(text),
            Ask::Apply => self.apply_answer(text),
            Ask::Confirm => self.confirm_answer(text),
            Ask::Status => self.status_answer(text),
            Ask::Snapshots => self.snapshots_answer(text),
            Ask::GoBack => self.go_back_answer(text),
            Ask::Interrupted => self.interrupted_answer(text),
        }
    }

    pub(super) fn detected(&mut self) {
        if self.at == Ask::Confirm {
            return;
        }
        for line in words::host(&self.shared.facts) {
            self.say(line);
        }
        if self
            .shared
            .status
            .as_ref()
            .is_some_and(|status| status.interrupted.is_some())
        {
            self.go(Ask::Interrupted);
        } else {
            self.go(Ask::Start);
        }
    }

    fn ask_start(&mut self) {
        self.say("What now?");
        let mut number = 1;
        if let Some(earlier) = &self.shared.remembered {
            let line = format!(
                "  1  Resume the answers of {}, stopped on page {}",
                earlier.when, earlier.page
            );
            self.say(line);
            number = 2;
        }
        self.say(format!("  {number}  Start fresh"));
        self.say(format!(
            "  {}  Only look: show the status, change nothing",
            number + 1
        ));
    }

    fn start_answer(&mut self, text: &str) -> Step {
        let offset = usize::from(self.shared.remembered.is_some());
        match (number(text, 2 + offset, 1), offset) {
            (Ok(1), 1) => {
                if let Some(earlier) = &self.shared.remembered {
                    self.shared.answers = earlier.answers.clone();
                }
                Step::Next
            }
            (Ok(chosen), _) if chosen == 1 + offset => Step::Next,
            (Ok(_), _) => {
                self.wait_for(Busy::Status, Effect::Status);
                Step::Wait
            }
            (Err(why), _) => Step::Invalid(why),
        }
    }

    fn ask_role(&mut self) {
        self.say("Step 2 of 8, role. Which Aspera product runs here?");
        let found = self
            .shared
            .facts
            .aspera
            .as_ref()
            .and_then(|aspera| aspera.role.clone());
        let lines: Vec<String> = self
            .shared
            .roles
            .iter()
            .enumerate()
            .map(|(index, role)| {
                let mark = if found.as_ref() == Some(&role.id) {
                    " (found here)"
                } else {
                    ""
                };
                format!(
                    "  {}  {}. {}{mark}",
                    index + 1,
                    role.name,
                    role.summary.trim_end_matches('.')
                )
            })
            .collect();
        for line in lines {
            self.say(line);
        }
    }

    /// The number of the answer as it stands.
    fn current_choice(&self) -> usize {
        let answers = &self.shared.answers;
        1 + match self.at {
            Ask::Role => self
                .shared
                .roles
                .iter()
                .position(|role| role.id == answers.role)
                .unwrap_or(0),
            Ask::Daemon => usize::from(answers.ssh.daemon == Daemon::Leave),
            Ask::Legacy => usize::from(answers.ssh.legacy_22 == Legacy22::Restrict),
            _ => 0,
        }
    }

    fn role_answer(&mut self, text: &str) -> Step {
        match number(text, self.shared.roles.len(), self.current_choice()) {
            Ok(chosen) => {
                if let Some(role) = self.shared.roles.get(chosen - 1) {
                    self.shared.answers.role.clone_from(&role.id);
                }
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    /// The port that Enter takes. Never 22: that needs its typed words, each time.
    fn offered_port(&self) -> u16 {
        match self.shared.answers.ssh.port {
            22 => 33001,
            port => port,
        }
    }

    fn port_answer(&mut self, text: &str) -> Step {
        if self.open_22_offered && text.eq_ignore_ascii_case("open 22") {
            self.shared.answers.ssh.port = 22;
            self.keep_22_open();
            return Step::Next;
        }
        let port = if text.is_empty() {
            Ok(self.offered_port())
        } else {
            parse_port(text)
        };
        match port {
            Ok(22) => {
                self.say("Warning: port 22 would stay open to everyone. IBM asks for a non-default port.");
                self.offer_open_22();
                Step::Again
            }
            Ok(port) => {
                if self.shared.answers.ssh.port == 22 {
                    self.forget_open_22();
                }
                self.shared.answers.ssh.port = port;
                Step::Next
            }
            Err(why) => Step::Invalid(format!("{why}.")),
        }
    }

    fn offer_open_22(&mut self) {
        self.open_22_offered = true;
        if let Some(failed) = self.shared.facts.ssh.failed_logins {
            self.say(format!(
                "sshd logged {failed} failed logins in the last 24 hours here."
            ));
        }
        self.say("To keep 22 open to everyone type: open 22");
    }

    fn keep_22_open(&mut self) {
        let answers = &mut self.shared.answers;
        answers.ssh.legacy_22 = Legacy22::Keep;
        if !answers.accept.iter().any(|code| code == "FW001") {
            answers.accept.push("FW001".to_owned());
        }
    }

    fn forget_open_22(&mut self) {
        let answers = &mut self.shared.answers;
        answers.ssh.legacy_22 = Legacy22::Close;
        answers.accept.retain(|code| code != "FW001");
    }

    fn ask_daemon(&mut self) {
        self.say("What shall happen to sshd?");
        self.say(format!(
            "  1  sshd is changed too: it listens on {} afterwards",
            self.shared.answers.ssh.port
        ));
        self.say("  2  sshd is managed elsewhere: only the firewall is changed");
    }

    fn daemon_answer(&mut self, text: &str) -> Step {
        match number(text, 2, self.current_choice()) {
            Ok(chosen) => {
                self.shared.answers.ssh.daemon = if chosen == 1 { Daemon::Move } else { Daemon::Leave };
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    fn ask_legacy(&mut self) {
        let port = self.shared.answers.ssh.port;
        self.say("Port 22 is open now. What shall become of it?");
        self.say(format!(
            "  1  close it, after a new login on {port} has proved that it works (recommended)"
        ));
        self.say("  2  keep it for certain networks only");
        self.say("  3  keep it open to everyone");
    }

    fn legacy_answer(&mut self, text: &str) -> Step {
        if self.open_22_offered && text.eq_ignore_ascii_case("open 22") {
            self.keep_22_open();
            return Step::Next;
        }
        match number(text, 3, self.current_choice()) {
            Ok(3) => {
                self.say("Warning: anyone could still reach sshd on port 22.");
                self.offer_open_22();
                Step::Again
            }
            Ok(chosen) => {
                self.forget_open_22();
                let legacy = if chosen == 1 {
                    Legacy22::Close
                } else {
                    Legacy22::Restrict
                };
                self.shared.answers.ssh.legacy_22 = legacy;
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    fn networks_22_answer(&mut self, text: &str) -> Step {
        let before = &mut self.shared.answers.ssh.restrict_22_to;
        if text.is_empty() && !before.is_empty() {
            return Step::Next;
        }
        match networks(text) {
            Ok(nets) if nets.is_empty() => Step::Invalid("At least one network is needed.".to_owned()),
            Ok(nets) => {
                *before = nets;
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    fn fasp_answer(&mut self, text: &str) -> Step {
        if text.is_empty() {
            return Step::Next;
        }
        match text.parse::<PortRange>() {
            Ok(range) => {
                self.shared.answers.fasp_udp = range;
                Step::Next
            }
            Err(why) => Step::Invalid(format!("{why}.")),
        }
    }

    fn vlink_answer(&mut self, text: &str) -> Step {
        let before = self.shared.answers.vlink.clone();
        match single(text, before.as_ref().map(|v| v.udp)) {
            Ok(port) => {
                let group = before.map_or_else(every_multicast_group, |v| v.group);
                self.shared.answers.vlink = port.map(|udp| Vlink { udp, group });
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    fn sources_answer(&mut self, text: &str) -> Step {
        if text.is_empty() {
            return Step::Next;
        }
        let nets = if text.eq_ignore_ascii_case("everyone") {
            Ok(Vec::new())
        } else {
            networks(text)
        };
        match nets {
            Ok(nets) => {
                self.shared.answers.firewall.sources = nets;
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    fn ask_firewall(&mut self) {
        self.say("Step 5 of 8, firewall. Which firewall shall carry the rules?");
        let facts = &self.shared.facts;
        let mut lines = Vec::new();
        if let Some(id) = facts.backend {
            lines.push(format!("  1  {id}"));
        }
        for fact in &facts.backends {
            lines.push(format!(
                "  found: {}, {}. {}",
                words::backend_name(fact),
                words::backend_state(fact),
                fact.reason
            ));
        }
        if !facts.foreign.is_empty() {
            lines.push(format!("  left alone: {}", words::foreign(facts)));
        }
        if facts.backend.is_none() {
            lines.extend(
                facts
                    .refusal
                    .iter()
                    .map(|why| format!("Nothing can be applied here: {why}")),
            );
            lines.push("  1  go on, to see the plan".to_owned());
        }
        for line in lines {
            self.say(line);
        }
    }

    fn firewall_answer(&mut self, text: &str) -> Step {
        match number(text, 1, 1) {
            Ok(_) => {
                self.shared.answers.firewall.backend = None;
                self.shared.preview = None;
                let answers = Box::new(self.shared.answers.clone());
                self.wait_for(Busy::Preview, Effect::Preview(answers));
                Step::Wait
            }
            Err(why) => Step::Invalid(why),
        }
    }

    pub(super) fn help(&mut self) {
        self.say("b goes back, answers are kept. q leaves. Nothing is changed before step 7.");
        let line = match self.at {
            Ask::Start => "Type the number of a line. Detection only reads, it changes nothing.",
            Ask::Role => {
                "The role decides which ports are offered. In doubt take the product whose licence is installed."
            }
            Ask::Port => "Port scanners knock on 22 all day. Clients pass the port with ascp -P.",
            Ask::Daemon => "With 1 a second sshd is tried on the new port first, beside the running one.",
            Ask::Legacy => "Closing 22 does not cut open sessions, and happens only after proof.",
            Ask::Networks22 | Ask::Sources => {
                "A network is written as an address, a slash and a length: 192.0.2.0/24. With commas between several."
            }
            Ask::Fasp => "A range is written with a dash: 33001-33100.",
            Ask::Fallback | Ask::Web => {
                "Two ports with a blank between, HTTP first; or on for the usual ones, or off."
            }
            Ask::Node | Ask::Vlink => "A port, or off.",
            Ask::Firewall => {
                "Rules go where the owner of the firewall looks for them. Rules of others are left alone."
            }
            Ask::Apply => {
                "y applies. What follows undoes itself unless it is confirmed. s saves the answers."
            }
            Ask::Confirm => return self.confirm_help(),
            Ask::Status => "Reading the status changes nothing.",
            Ask::Snapshots | Ask::GoBack => "Going back is itself a guarded change with a countdown.",
            Ask::Interrupted => "y takes back what an interrupted run left behind.",
        };
        self.say(line);
        if let Some(role) = role(&self.shared).filter(|_| self.at == Ask::Role) {
            let line = format!("Chosen now: {}.", role.name);
            self.say(line);
        }
    }
}

/// A number from a list, or the default for a bare Enter.
pub(super) fn number(text: &str, last: usize, default: usize) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(default);
    }
    match text.parse::<usize>() {
        Ok(chosen) if (1..=last).contains(&chosen) => Ok(chosen),
        _ if last == 1 => Err("Type 1, or press Enter.".to_owned()),
        _ => Err(format!("Type a number from 1 to {last}.")),
    }
}

fn every_multicast_group() -> IpNet {
    IpNet::V4(ipnet::Ipv4Net::new_assert(
        std::net::Ipv4Addr::new(224, 0, 0, 0),
        4,
    ))
}

/// Networks with commas or blanks between them; the error says what is wrong and what would be right.
pub(in crate::tui) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
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

fn pair_prompt(now: HttpPorts, usual: &str) -> String {
    let current = match (now.http, now.https) {
        (None, None) => OFF.to_owned(),
        (http, https) => format!("{} {}", or_off(http), or_off(https)),
    };
    format!("HTTP and TLS port, on for {usual}, off, or Enter for {current}:")
}

fn single_prompt(now: Option<u16>, usual: u16) -> String {
    format!("Port such as {usual}, off, or Enter for {}:", or_off(now))
}

fn or_off(port: Option<u16>) -> String {
    port.map_or_else(|| OFF.to_owned(), |port| port.to_string())
}

fn single(text: &str, now: Option<u16>) -> Result<Option<u16>, String> {
    match text {
        "" => Ok(now),
        text if text.eq_ignore_ascii_case(OFF) => Ok(None),
        text => parse_port(text)
            .map(Some)
            .map_err(|why| format!("{why}, or off.")),
    }
}

fn pair(text: &str, now: HttpPorts, usual: &str) -> Result<HttpPorts, String> {
    let text = match text {
        "" => return Ok(now),
        text if text.eq_ignore_ascii_case(OFF) => return Ok(HttpPorts::default()),
        text if text.eq_ignore_ascii_case("on") => usual,
        text => text,
    };
    let ports: Vec<&str> = text.split_whitespace().collect();
    match ports[..] {
        [http, https] => Ok(HttpPorts {
            http: single(http, None)?,
            https: single(https, None)?,
        }),
        _ => Err("Two ports are wanted, such as 8080 8443; or on, or off.".to_owned()),
    }
}
