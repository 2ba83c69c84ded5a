//! The questions about further ports, about who may reach them, and about the firewall.

use crate::answers::{Answers, AsperaConf};
use crate::catalogue::{Catalogue, PortAnswer};
use crate::port::PortRange;
use crate::tui::pages::slots;
use crate::tui::{Effect, words};

use super::ask::{Ask, FurtherPorts, further, need, role};
use super::setup::number;
use super::{Busy, Plain, Step};

/// The word that leaves a port shut.
const OFF: &str = "off";

fn name_of(answer: PortAnswer) -> &'static str {
    slots::SLOTS
        .iter()
        .find(|slot| slot.answer == answer)
        .map_or("", |slot| slot.name)
}

impl Plain {
    /// Changes the answers, unless that would make a mistake that was not there before.
    pub(super) fn changed(&mut self, change: impl FnOnce(&mut Answers)) -> Step {
        let catalogue = Catalogue::builtin();
        let before = self.shared.answers.check(catalogue);
        let mut answers = self.shared.answers.clone();
        change(&mut answers);
        let mistakes = answers.check(catalogue);
        if let Some(new) = mistakes.iter().find(|mistake| !before.contains(mistake)) {
            return Step::Invalid(format!("{}.", words::capital(&new.fault.to_string())));
        }
        self.shared.answers = answers;
        Step::Next
    }

    pub(super) fn fasp_answer(&mut self, text: &str) -> Step {
        if text.is_empty() {
            return Step::Next;
        }
        match text.parse::<PortRange>() {
            Ok(range) => self.changed(|answers| answers.fasp_udp = range),
            Err(why) => Step::Invalid(format!("{why}.")),
        }
    }

    pub(super) fn ask_further(&mut self) {
        let answers = &self.shared.answers;
        let state = |ask: &Ask| match *ask {
            Ask::Optional(answer) => {
                let port = slots::value(answers, answer).unwrap_or_else(|| OFF.to_owned());
                Some(format!("{} {port}", name_of(answer)))
            }
            Ask::Extra(place) => {
                let need = role(&self.shared)?.needs.get(place)?;
                let port = if answers.extra.contains(&need.id) {
                    need.ports.as_str()
                } else {
                    OFF
                };
                Some(format!("{} {port}", need.id))
            }
            _ => None,
        };
        let list: Vec<String> = further(&self.shared).iter().filter_map(state).collect();
        self.say(format!("Further ports: {}.", list.join("; ")));
    }

    pub(super) fn further_answer(&mut self, text: &str) -> Step {
        self.further = match text.to_ascii_lowercase().as_str() {
            "" | "n" | "no" => FurtherPorts::Skipped,
            "y" | "yes" => FurtherPorts::Asked,
            _ => return Step::Invalid("y or n is wanted.".to_owned()),
        };
        Step::Next
    }

    pub(super) fn ask_optional(&mut self) {
        let line = match self.at {
            Ask::Optional(answer) => need(&self.shared, answer)
                .map(|need| format!("{}. {}", words::capital(name_of(answer)), need.why)),
            Ask::Extra(place) => role(&self.shared)
                .and_then(|role| role.needs.get(place))
                .map(|need| {
                    format!(
                        "{}/{}, {}bound. {}",
                        need.protocol.to_string().to_uppercase(),
                        need.ports,
                        need.direction,
                        need.why
                    )
                }),
            _ => None,
        };
        self.say(line.unwrap_or_default());
    }

    /// The port that `on` takes: the catalogue's.
    fn usual(&self, answer: PortAnswer) -> Option<u16> {
        let range: PortRange = need(&self.shared, answer)?.ports.parse().ok()?;
        Some(range.first())
    }

    pub(super) fn optional_prompt(&self) -> String {
        let Ask::Optional(answer) = self.at else {
            return String::new();
        };
        let now = slots::value(&self.shared.answers, answer).unwrap_or_else(|| OFF.to_owned());
        match self.usual(answer) {
            Some(usual) => format!("Port, on for {usual}, off, or Enter for {now}:"),
            None => format!("Port, off, or Enter for {now}:"),
        }
    }

    pub(super) fn optional_answer(&mut self, answer: PortAnswer, text: &str) -> Step {
        let port = match text.to_ascii_lowercase().as_str() {
            "" => return Step::Next,
            OFF => None,
            "on" => self.usual(answer).map(|port| port.to_string()),
            _ => Some(text.to_owned()),
        };
        let mut answers = self.shared.answers.clone();
        match slots::set(&mut answers, answer, port.as_deref()) {
            Ok(()) => self.changed(|now| *now = answers),
            Err(why) => Step::Invalid(format!("{why}, or off.")),
        }
    }

    fn extra_id(&self, place: usize) -> Option<String> {
        role(&self.shared)?.needs.get(place).map(|need| need.id.clone())
    }

    pub(super) fn extra_prompt(&self, place: usize) -> String {
        let wanted = self
            .extra_id(place)
            .is_some_and(|id| self.shared.answers.extra.contains(&id));
        format!(
            "Open it, y or n, or Enter for {}:",
            if wanted { "y" } else { "n" }
        )
    }

    pub(super) fn extra_answer(&mut self, place: usize, text: &str) -> Step {
        let Some(id) = self.extra_id(place) else {
            return Step::Next;
        };
        match text.to_ascii_lowercase().as_str() {
            "" => Step::Next,
            "n" | "no" => self.changed(|answers| answers.extra.retain(|one| *one != id)),
            "y" | "yes" => self.changed(|answers| {
                if !answers.extra.contains(&id) {
                    answers.extra.push(id);
                }
            }),
            _ => Step::Invalid("y or n is wanted.".to_owned()),
        }
    }

    pub(super) fn ask_outbound(&mut self) {
        self.say("When shall rules for packets on the way out be written?");
        for (number, (_, name)) in words::OUTBOUND.iter().enumerate() {
            self.say(format!("  {}  {name}", number + 1));
        }
    }

    pub(super) fn outbound_answer(&mut self, text: &str) -> Step {
        let now = 1 + words::outbound_place(self.shared.answers.firewall.outbound);
        match number(text, words::OUTBOUND.len(), now) {
            Ok(chosen) => {
                if let Some((choice, _)) = words::OUTBOUND.get(chosen - 1) {
                    self.shared.answers.firewall.outbound = *choice;
                }
                Step::Next
            }
            Err(why) => Step::Invalid(why),
        }
    }

    pub(super) fn sources_answer(&mut self, text: &str) -> Step {
        if text.is_empty() {
            return Step::Next;
        }
        let nets = if text.eq_ignore_ascii_case("everyone") {
            Ok(Vec::new())
        } else {
            words::read_networks(text)
        };
        match nets {
            Ok(nets) => self.changed(|answers| answers.firewall.sources = nets),
            Err(why) => Step::Invalid(why),
        }
    }

    pub(super) fn ask_firewall(&mut self) {
        self.say("Step 5 of 8, firewall. Which firewall shall carry the rules?");
        let facts = &self.shared.facts;
        let mut lines = Vec::new();
        if let Some(id) = facts.backend {
            lines.push(format!("  1  {id}"));
        }
        for fact in facts.backends.iter().filter(|fact| fact.installed) {
            lines.push(format!(
                "  found: {}, {}. {}",
                words::backend_name(fact),
                words::backend_state(fact),
                fact.reason
            ));
        }
        lines.extend(facts.unmanaged.iter().map(|kind| {
            format!(
                "  found: {}, in use, left to its own program",
                words::unmanaged(kind)
            )
        }));
        for (tone, line) in words::consequences(facts) {
            lines.push(match tone.word() {
                "" => format!("  {line}"),
                word => format!("  {word}: {line}"),
            });
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

    pub(super) fn firewall_answer(&mut self, text: &str) -> Step {
        match number(text, 1, 1) {
            Ok(_) => {
                self.shared.answers.firewall.backend = None;
                self.after_firewall()
            }
            Err(why) => Step::Invalid(why),
        }
    }

    /// The next question, or the preview when there is none.
    fn after_firewall(&mut self) -> Step {
        match self.after(self.at) {
            Ask::Apply => self.preview(),
            other => Step::To(other),
        }
    }

    pub(super) fn ask_conf(&mut self) {
        self.say("aspera.conf names other ports than these answers:");
        for line in slots::conf_differs(&self.shared) {
            self.say(format!("  {line}"));
        }
        self.say("Shall this change set them there too?");
    }

    pub(super) fn conf_answer(&mut self, text: &str) -> Step {
        let conf = &mut self.shared.answers.aspera_conf;
        match text.to_ascii_lowercase().as_str() {
            "" => {}
            "y" | "yes" => *conf = AsperaConf::Set,
            "n" | "no" => *conf = AsperaConf::Leave,
            _ => return Step::Invalid("y or n is wanted.".to_owned()),
        }
        Step::Next
    }

    pub(super) fn ask_at_boot(&mut self) {
        let units = words::sleeping(&self.shared.facts).join(" and ");
        self.say(format!(
            "{units} is not started at boot: after a restart the rules would be gone. Shall this change enable it?"
        ));
    }

    pub(super) fn at_boot_answer(&mut self, text: &str) -> Step {
        let firewall = &mut self.shared.answers.firewall;
        match text.to_ascii_lowercase().as_str() {
            "" => {}
            "y" | "yes" => firewall.enable_at_boot = true,
            "n" | "no" => firewall.enable_at_boot = false,
            _ => return Step::Invalid("y or n is wanted.".to_owned()),
        }
        self.after_firewall()
    }

    /// The answers are complete: what would change?
    pub(super) fn preview(&mut self) -> Step {
        self.shared.preview = None;
        let answers = Box::new(self.shared.answers.clone());
        self.wait_for(Busy::Preview, Effect::Preview(answers));
        Step::Wait
    }

    pub(super) fn ask_default_deny(&mut self) {
        self.say("What the plan does not open can be refused from now on.");
        self.say("  1  leave it as it is; TCP/22 is shut if you chose that");
        self.say("  2  refuse everything that the plan does not open");
        let cut = words::cut_off(&self.shared);
        self.say(format!("     2 would cut off: {}", words::joined(&cut)));
    }

    pub(super) fn default_deny_answer(&mut self, text: &str) -> Step {
        let now = 1 + usize::from(self.shared.answers.firewall.default_deny);
        match number(text, 2, now) {
            Ok(chosen) => {
                self.shared.answers.firewall.default_deny = chosen == 2;
                self.preview()
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
            Ask::Until22 => {
                "faspwall status reminds from a week before it; nothing happens by itself, faspwall close-22 closes it."
            }
            Ask::Networks22 | Ask::Sources => {
                "A network is written as an address, a slash and a length: 192.0.2.0/24. With commas between several."
            }
            Ask::Fasp => "A range is written with a dash: 33001-33100.",
            Ask::Further => "Most hosts need none of them. y asks for each.",
            Ask::Optional(_) => "A port, on for the usual one, or off.",
            Ask::Extra(_) => "y opens it, n does not.",
            Ask::Outbound => "Most hosts let everything out: then no such rule is needed.",
            Ask::Conf => {
                "It is a step of the commit, and undone with it. Services that read the file are named, not restarted."
            }
            Ask::AtBoot => "It is a step of the commit, and undone with it.",
            Ask::DefaultDeny => {
                "Services that listen now and are not in the plan could not be reached any more."
            }
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
