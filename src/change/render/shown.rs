//! What the preview shows of a change: its rules in words, and its files before and after.

use std::path::Path;

use similar::TextDiff;

use super::Wanted;
use crate::backend::nftables::wall::has_wall;
use crate::change::{Diff, RuleLine, RuleState};
use crate::plan::{Plan, Port22, Requirement};

impl Wanted<'_> {
    pub(super) fn rule_lines(&self, plan: &Plan) -> Vec<RuleLine> {
        let mut lines: Vec<RuleLine> = self
            .requirements
            .iter()
            .map(|r| RuleLine {
                id: r.id.clone(),
                action: String::from("accept"),
                direction: r.direction.to_string(),
                protocol: r.protocol.to_string(),
                ports: r.ports.to_string(),
                sources: r.peers.iter().map(ToString::to_string).collect(),
                why: r.why.clone(),
                source: r.source.clone(),
                state: if self.gaps.iter().any(|(id, _)| *id == r.id) {
                    RuleState::Add
                } else {
                    RuleState::Present
                },
            })
            .collect();
        for port in &self.closing {
            let sources = if let Port22::Restrict(nets) = &plan.port_22 {
                nets.iter().map(|net| format!("all but {net}")).collect()
            } else {
                Vec::new()
            };
            lines.push(RuleLine {
                id: format!("close-{port}"),
                action: String::from("drop"),
                direction: String::from("in"),
                protocol: String::from("tcp"),
                ports: port.to_string(),
                sources,
                why: String::from(
                    "port scanners knock on 22 all day; it is shut only after a login on the new port",
                ),
                source: String::from("the vendor's firewall page: disallow inbound connections on TCP/22"),
                state: if self.shut_now && self.sshd_files.is_empty() {
                    RuleState::Present
                } else {
                    RuleState::Remove
                },
            });
        }
        let leaves = |port: &&u16| !self.ports_after.contains(port) && !self.closing.contains(port);
        lines.extend(self.ports_before.iter().filter(leaves).map(|port| RuleLine {
            id: format!("leave-{port}"),
            action: String::from("drop"),
            direction: String::from("in"),
            protocol: String::from("tcp"),
            ports: port.to_string(),
            sources: Vec::new(),
            why: String::from("sshd leaves the port to which faspwall had moved it before"),
            source: String::from("the answers: another port for SSH"),
            state: RuleState::Remove,
        }));
        lines.extend(self.wall_line());
        lines
    }

    /// What becomes of everything that nobody asked for.
    fn wall_line(&self) -> Option<RuleLine> {
        let stands = self.kept.values().any(|(kept, _)| has_wall(kept));
        if self.gates.is_none() && stands {
            return Some(RuleLine {
                id: String::from("default-deny"),
                action: String::from("accept"),
                direction: String::from("in"),
                protocol: String::from("any"),
                ports: String::from("others"),
                sources: Vec::new(),
                why: String::from(
                    "the default-deny set of before is taken away; to keep it, set default_deny = true",
                ),
                source: String::from("the answers: default_deny = false"),
                state: RuleState::Add,
            });
        }
        if self.refused_already {
            return Some(RuleLine {
                id: String::from("default-deny"),
                action: String::from("drop"),
                direction: String::from("in"),
                protocol: String::from("any"),
                ports: String::from("others"),
                sources: Vec::new(),
                why: String::from(
                    "this host's own rules refuse what none of them names: default_deny adds nothing here",
                ),
                source: String::from("the answers: default_deny = true, and the rules of this host"),
                state: RuleState::Present,
            });
        }
        if self.gates.is_some() {
            return Some(RuleLine {
                id: String::from("default-deny"),
                action: String::from("drop"),
                direction: String::from("in"),
                protocol: String::from("any"),
                ports: String::from("others"),
                sources: Vec::new(),
                why: String::from("what this plan does not open is refused from now on"),
                source: String::from("the answers: default_deny = true"),
                state: if self.walled_as_wanted() {
                    RuleState::Present
                } else {
                    RuleState::Remove
                },
            });
        }
        None
    }

    /// Whether packets to a port get through today. One on which sshd does not listen yet is not open.
    pub(super) fn open_already(&self, port: &str) -> bool {
        let new_to_sshd = |number: &u16| !self.ports_before.contains(number);
        let mut lacking = self
            .requirements
            .iter()
            .filter(|r| self.gaps.iter().any(|(id, _)| *id == r.id));
        let mut doors = self.ports_after.iter().filter(|number| new_to_sshd(number));
        !lacking.any(|r| port_of(r) == port) && !doors.any(|number| format!("TCP/{number}") == port)
    }

    pub(super) fn diffs(&self) -> Vec<Diff> {
        let mut diffs = Vec::new();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        for (path, before, after) in &self.pieces.files {
            diffs.push(diff(&path.display().to_string(), &text(before), &text(after)));
        }
        // Those that a tool keeps in files of its own making.
        if !self.pieces.rewritten.is_empty() {
            for (id, (before, after)) in &self.kept {
                if before != after {
                    diffs.push(diff(&format!("rules that faspwall keeps in {id}"), before, after));
                }
            }
        }
        let reserved = self.reservation.iter().map(|reservation| &reservation.file);
        for file in self.sshd_files.iter().chain(reserved) {
            diffs.push(diff(
                &file.path.display().to_string(),
                &text(&file.before),
                &text(&file.after),
            ));
        }
        for file in &self.product_files {
            // Lines beside those that change may hold keys and passwords.
            let name = file.path.display().to_string();
            diffs.push(diff_within(&name, &text(&file.before), &text(&file.after), 0));
        }
        diffs
    }
}

/// `TCP/33001`
pub(super) fn port_of(requirement: &Requirement) -> String {
    let protocol = requirement.protocol.to_string().to_uppercase();
    format!("{protocol}/{}", requirement.ports)
}

/// A unified diff with its file name.
fn diff(name: &str, before: &str, after: &str) -> Diff {
    diff_within(name, before, after, 3)
}

/// The same with so many lines around each change.
fn diff_within(name: &str, before: &str, after: &str, around: usize) -> Diff {
    let text = TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(around)
        .to_string();
    let lines = text
        .lines()
        .filter(|l| !l.starts_with("---") && !l.starts_with("+++"))
        .map(str::to_owned)
        .collect();
    let name = if before.is_empty() && !Path::new(name).as_os_str().is_empty() {
        format!("{name} (new)")
    } else {
        name.to_owned()
    };
    Diff { name, lines }
}
