//! The questions before anything is applied: what is asked, how an answer is read.

use jiff::Span;
use jiff::civil::Date;

use crate::answers::{Answers, AsperaConf, Daemon, Legacy22};
use crate::port::parse_port;
use crate::tui::pages::checks::checks;
use crate::tui::{Effect, words};

use super::ask::Ask;
use super::{Busy, Plain, Step};

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
            Ask::Until22 => self.say("On which day shall you be reminded to close 22?"),
            Ask::Fasp => {
                self.say("Step 4 of 8, options. UDP port of fasp data. One port is enough on Linux.")
            }
            Ask::Further => self.ask_further(),
            Ask::Optional(_) | Ask::Extra(_) => self.ask_optional(),
            Ask::Outbound => self.ask_outbound(),
            Ask::Sources => self.say("Who may reach the opened ports?"),
            Ask::Firewall => self.ask_firewall(),
            Ask::Conf => self.ask_conf(),
            Ask::AtBoot => self.ask_at_boot(),
            Ask::DefaultDeny => self.ask_default_deny(),
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
            Ask::Role | Ask::Daemon | Ask::Legacy | Ask::Outbound | Ask::DefaultDeny => {
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
            Ask::Until22 => {
                let day = answers
                    .ssh
                    .keep_22_until
                    .map(|day| day.to_string())
                    .unwrap_or_default();
                format!("Day, or Enter for {day}:")
            }
            Ask::Fasp => format!("Port or range, or Enter for {}:", answers.fasp_udp),
            Ask::Further => "y to go through them, Enter for no:".to_owned(),
            Ask::Conf if answers.aspera_conf == AsperaConf::Set => "n for no, Enter for yes:".to_owned(),
            Ask::Conf => "y for yes, Enter for no:".to_owned(),
            Ask::AtBoot if answers.firewall.enable_at_boot => "n for no, Enter for yes:".to_owned(),
            Ask::AtBoot => "y for yes, Enter for no:".to_owned(),
            Ask::Optional(_) => self.optional_prompt(),
            Ask::Extra(place) => self.extra_prompt(place),
            Ask::Sources if answers.firewall.sources.is_empty() => {
                "Networks with commas, or Enter for everyone:".to_owned()
            }
            Ask::Sources => format!(
                "Networks with commas, or everyone, or Enter for {}:",
                words::networks(&answers.firewall.sources)
            ),
            Ask::Apply => self.apply_prompt(),
            Ask::Confirm => return,
            Ask::Status if self.shared.status.as_ref().is_some_and(|s| s.close_22.is_some()) => {
                "r refresh, s snapshots, c close TCP/22, e reconfigure, q quit:".to_owned()
            }
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
            Ask::Until22 => self.until_22_answer(text),
            Ask::Fasp => self.fasp_answer(text),
            Ask::Further => self.further_answer(text),
            Ask::Optional(answer) => self.optional_answer(answer, text),
            Ask::Extra(place) => self.extra_answer(place, text),
            Ask::Outbound => self.outbound_answer(text),
            Ask::Sources => self.sources_answer(text),
            Ask::Firewall => self.firewall_answer(text),
            Ask::Conf => self.conf_answer(text),
            Ask::AtBoot => self.at_boot_answer(text),
            Ask::DefaultDeny => self.default_deny_answer(text),
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
        for check in checks(&self.shared.facts, true) {
            self.say(format!("{}: {}: {}", check.tone.word(), check.name, check.found));
        }
        let found = self
            .shared
            .facts
            .aspera
            .as_ref()
            .and_then(|aspera| aspera.role.clone());
        if let (Some(found), Ask::Start) = (found, self.at) {
            let place = self.shared.roles.iter().position(|role| role.id == found);
            self.take_role(place.unwrap_or(usize::MAX));
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
            let line = format!("  1  {}", words::resume(earlier));
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
            Ask::Outbound => words::outbound_place(answers.firewall.outbound),
            Ask::DefaultDeny => usize::from(answers.firewall.default_deny),
            Ask::Legacy => match answers.ssh.legacy_22 {
                Legacy22::Close => 0,
                Legacy22::Restrict => 1,
                Legacy22::Keep if answers.ssh.keep_22_until.is_some() => 2,
                Legacy22::Keep if answers.accepts("FW001") => 3,
                Legacy22::Keep => 0,
            },
            _ => 0,
        }
    }

    fn role_answer(&mut self, text: &str) -> Step {
        match number(text, self.shared.roles.len(), self.current_choice()) {
            Ok(chosen) => {
                self.take_role(chosen - 1);
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    /// Another role begins with its own defaults; who may reach it, and SSH where both take it, stay as answered.
    fn take_role(&mut self, place: usize) {
        let answers = &mut self.shared.answers;
        let Some(role) = self
            .shared
            .roles
            .get(place)
            .filter(|role| role.id != answers.role)
        else {
            return;
        };
        let mut fresh = Answers::for_role(role);
        fresh.firewall.clone_from(&answers.firewall);
        fresh.accept.clone_from(&answers.accept);
        let took_ssh = self
            .shared
            .roles
            .iter()
            .any(|old| old.id == answers.role && old.takes_ssh());
        if role.takes_ssh() && took_ssh {
            fresh.ssh.clone_from(&answers.ssh);
            fresh.fasp_udp = answers.fasp_udp;
        }
        *answers = fresh;
    }

    /// The port that Enter takes. 22 only after its words were typed.
    fn offered_port(&self) -> u16 {
        match self.shared.answers.ssh.port {
            22 if !self.shared.answers.accepts("FW001") => 33001,
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
            Ok(22) if text.is_empty() => Step::Next,
            Ok(22) => {
                self.say("Warning: port 22 would stay open to everyone. IBM asks for a non-default port.");
                self.offer_open_22();
                Step::Again
            }
            Ok(port) => {
                if self.shared.answers.ssh.port == 22 {
                    self.forget_open_22();
                }
                self.changed(|answers| answers.ssh.port = port)
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
        answers.ssh.keep_22_until = None;
        if !answers.accept.iter().any(|code| code == "FW001") {
            answers.accept.push("FW001".to_owned());
        }
    }

    fn forget_open_22(&mut self) {
        let answers = &mut self.shared.answers;
        answers.ssh.legacy_22 = Legacy22::Close;
        answers.ssh.keep_22_until = None;
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
        self.say("  3  keep it open for old clients, and be reminded on a certain day");
        self.say("  4  keep it open to everyone");
    }

    fn legacy_answer(&mut self, text: &str) -> Step {
        if self.open_22_offered && text.eq_ignore_ascii_case("open 22") {
            self.keep_22_open();
            return Step::Next;
        }
        match number(text, 4, self.current_choice()) {
            Ok(4) if text.is_empty() => Step::Next,
            Ok(4) => {
                self.say("Warning: anyone could still reach sshd on port 22.");
                self.offer_open_22();
                Step::Again
            }
            Ok(3) => {
                let day = self
                    .shared
                    .answers
                    .ssh
                    .keep_22_until
                    .or_else(|| self.in_thirty_days());
                self.forget_open_22();
                self.shared.answers.ssh.legacy_22 = Legacy22::Keep;
                self.shared.answers.ssh.keep_22_until = day;
                Step::Next
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

    fn in_thirty_days(&self) -> Option<Date> {
        let today: Date = self.shared.today.parse().ok()?;
        today.checked_add(Span::new().days(30)).ok()
    }

    fn until_22_answer(&mut self, text: &str) -> Step {
        if text.is_empty() {
            return Step::Next;
        }
        match text.parse::<Date>() {
            Ok(day) if self.shared.today.parse::<Date>().is_ok_and(|today| day <= today) => {
                Step::Invalid("That day has to come yet.".to_owned())
            }
            Ok(day) => {
                self.shared.answers.ssh.keep_22_until = Some(day);
                Step::Next
            }
            Err(_) => Step::Invalid("A day is written year-month-day, such as 2027-01-31.".to_owned()),
        }
    }

    fn networks_22_answer(&mut self, text: &str) -> Step {
        if text.is_empty() && !self.shared.answers.ssh.restrict_22_to.is_empty() {
            return Step::Next;
        }
        match words::read_networks(text) {
            Ok(nets) if nets.is_empty() => Step::Invalid("At least one network is needed.".to_owned()),
            Ok(nets) => self.changed(|answers| answers.ssh.restrict_22_to = nets),
            Err(why) => Step::Invalid(why),
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
