//! A chain on the way of a packet, and how an accept for one port is put into it: by nft, or by iptables-restore for
//! the old iptables, whose chains nft does not see.

use super::RehearseError;
use super::questions::Question;
use crate::backend::nftables::inspect::{is_inbound, path_chains};
use crate::backend::nftables::model::{Chain, Rule, Ruleset, Table};
use crate::port::Direction;
use crate::step::{Invocation, Tool};
use crate::system::System;

/// By this comment the accept is found again.
const MARK: &str = "faspwall_why";
/// Chains of the old iptables on the way of a packet: table, chain, whether packets come in there.
const LEGACY: [(&str, &str, bool); 9] = [
    ("raw", "PREROUTING", true),
    ("mangle", "PREROUTING", true),
    ("mangle", "INPUT", true),
    ("filter", "INPUT", true),
    ("security", "INPUT", true),
    ("raw", "OUTPUT", false),
    ("mangle", "OUTPUT", false),
    ("filter", "OUTPUT", false),
    ("mangle", "POSTROUTING", false),
];

/// One chain.
#[derive(Debug, Clone)]
pub struct Spot {
    place: Place,
    inbound: bool,
    /// Its rules, top down: handles, or the lines of the old iptables.
    pub rules: Vec<String>,
}

#[derive(Debug, Clone)]
enum Place {
    Nft(Chain),
    Legacy {
        restore: Tool,
        table: String,
        chain: String,
    },
}

/// All chains on the way of the question and of its answer.
pub fn spots(ruleset: &Ruleset, saves: &[(Tool, String)], question: &Question) -> Vec<Spot> {
    let mut found: Vec<Spot> = path_chains(ruleset)
        .into_iter()
        .filter(|chain| !chain.table.ends_with("(legacy)"))
        // Nobody but its owner may put a rule into such a table.
        .filter(|chain| {
            let of = |t: &&Table| t.family == chain.family && t.name == chain.table;
            !ruleset.tables.iter().find(of).is_some_and(|table| table.owned)
        })
        .filter(|chain| {
            matches!(
                (chain.family.as_str(), question.far.is_ipv4()),
                ("ip", true) | ("ip6", false) | ("inet" | "netdev", _)
            )
        })
        .map(|chain| nft_spot(ruleset, chain, is_inbound(chain)))
        .collect();
    let wanted = if question.far.is_ipv4() {
        Tool::IptablesLegacyRestore
    } else {
        Tool::Ip6tablesLegacyRestore
    };
    for (restore, text) in saves.iter().filter(|(tool, _)| *tool == wanted) {
        for (table, chain, inbound) in LEGACY {
            let section = section(text, table);
            if section.is_empty() {
                continue;
            }
            found.push(legacy_spot(*restore, table, chain, inbound, &section));
        }
    }
    found
}

fn nft_spot(ruleset: &Ruleset, chain: &Chain, inbound: bool) -> Spot {
    Spot {
        rules: ruleset
            .rules_of(chain)
            .map(|rule| rule.handle.to_string())
            .collect(),
        place: Place::Nft(chain.clone()),
        inbound,
    }
}

fn legacy_spot(restore: Tool, table: &str, chain: &str, inbound: bool, section: &[&str]) -> Spot {
    let beginning = format!("-A {chain} ");
    Spot {
        place: Place::Legacy {
            restore,
            table: table.to_owned(),
            chain: chain.to_owned(),
        },
        inbound,
        rules: section
            .iter()
            .filter(|line| line.starts_with(&beginning))
            .map(|line| (*line).to_owned())
            .collect(),
    }
}

/// The lines of one table in what iptables-save printed.
fn section<'t>(text: &'t str, table: &str) -> Vec<&'t str> {
    let heading = format!("*{table}");
    text.lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| *line != "COMMIT")
        .collect()
}

impl Spot {
    /// Where it is, in words.
    pub fn layer(&self) -> String {
        match &self.place {
            Place::Nft(chain) => {
                let hook = chain.base.as_ref().map(|base| {
                    let early = if base.hook == "prerouting" && base.priority <= -300 {
                        "raw "
                    } else {
                        ""
                    };
                    let link = if chain.family == "netdev" { "netdev " } else { "" };
                    format!("{early}{link}{}", base.hook)
                });
                let hook = hook.unwrap_or_default();
                format!("{hook}, chain {} {} {}", chain.family, chain.table, chain.name)
            }
            Place::Legacy { table, chain, .. } => format!("old iptables, table {table}, chain {chain}"),
        }
    }

    /// Whether it is in the table of firewalld.
    pub fn is_of_firewalld(&self) -> bool {
        matches!(&self.place, Place::Nft(chain) if chain.family == "inet" && chain.table == "firewalld")
    }

    /// Whether it is in a table that iptables, in one of its variants, would call its own.
    pub fn is_of_iptables(&self) -> bool {
        match &self.place {
            Place::Legacy { .. } => true,
            Place::Nft(chain) => {
                let known = ["filter", "raw", "mangle", "nat", "security"].contains(&chain.table.as_str());
                known && matches!(chain.family.as_str(), "ip" | "ip6")
            }
        }
    }

    /// The chain, unless it is one of the old iptables.
    pub fn of_nft(&self) -> Option<&Chain> {
        match &self.place {
            Place::Nft(chain) => Some(chain),
            Place::Legacy { .. } => None,
        }
    }

    /// The chain's name.
    pub fn chain(&self) -> &str {
        match &self.place {
            Place::Nft(chain) => &chain.name,
            Place::Legacy { chain, .. } => chain,
        }
    }

    /// `dport` where the question passes, `sport` where its answer does.
    fn field(&self, question: &Question) -> &'static str {
        match (self.inbound, question.direction) {
            (true, Direction::In) | (false, Direction::Out) => "dport",
            _ => "sport",
        }
    }

    /// Puts an accept before rule number `index`; behind the last one when there are not so many.
    pub fn put(&self, system: &dyn System, question: &Question, index: usize) -> Result<(), RehearseError> {
        let (protocol, field, port) = (question.protocol, self.field(question), question.port);
        let call = match &self.place {
            Place::Nft(chain) => {
                let place = format!("rule {} {} {}", chain.family, chain.table, chain.name);
                let matches = format!("{protocol} {field} {port} accept comment \"{MARK}\"");
                let text = match self.rules.get(index) {
                    Some(handle) => format!("insert {place} position {handle} {matches}\n"),
                    None => format!("add {place} {matches}\n"),
                };
                Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text)
            }
            Place::Legacy {
                restore,
                table,
                chain,
            } => {
                let rule = format!("-p {protocol} --{field} {port} -j ACCEPT");
                let text = format!("*{table}\n-I {chain} {} {rule}\nCOMMIT\n", index + 1);
                Invocation::new(*restore, ["--noflush"]).with_stdin(text)
            }
        };
        Ok(system.run_ok(&call).map(drop)?)
    }

    /// Takes it away again; when there is none, nothing happens.
    pub fn take_away(&self, system: &dyn System, question: &Question) -> Result<(), RehearseError> {
        match &self.place {
            Place::Nft(chain) => {
                let words = ["-a", "list", "chain", &chain.family, &chain.table, &chain.name];
                let listed = system.run_ok(&Invocation::new(Tool::Nft, words))?.stdout;
                let ours = listed.lines().filter(|line| line.contains(MARK));
                let mut text = String::new();
                for handle in ours.filter_map(|line| line.rsplit_once("# handle ")) {
                    text.push_str(&format!(
                        "delete rule {} {} {} handle {}\n",
                        chain.family, chain.table, chain.name, handle.1
                    ));
                }
                if !text.is_empty() {
                    system.run_ok(&Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text))?;
                }
            }
            Place::Legacy {
                restore,
                table,
                chain,
            } => {
                let (protocol, field, port) = (question.protocol, self.field(question), question.port);
                let text = format!("*{table}\n-D {chain} -p {protocol} --{field} {port} -j ACCEPT\nCOMMIT\n");
                system.run(&Invocation::new(*restore, ["--noflush"]).with_stdin(text))?;
            }
        }
        Ok(())
    }

    /// The chain that rule number `index` sends packets to.
    pub fn inner(&self, ruleset: &Ruleset, index: usize) -> Option<Self> {
        let Place::Nft(chain) = &self.place else {
            return None;
        };
        let handle = self.rules.get(index)?;
        let rule: &Rule = ruleset
            .rules_of(chain)
            .find(|rule| rule.handle.to_string() == *handle)?;
        let target = rule.expressions.iter().find_map(|expression| {
            let verdict = expression.get("jump").or_else(|| expression.get("goto"))?;
            verdict.get("target")?.as_str()
        })?;
        let inner = ruleset.chain_beside(chain, target)?;
        Some(nft_spot(ruleset, inner, self.inbound))
    }

    /// Rule number `index` as its own tool prints it, or the policy behind the last one.
    pub fn text(&self, system: &dyn System, saves: &[(Tool, String)], index: usize) -> String {
        match &self.place {
            Place::Legacy { table, chain, .. } => match self.rules.get(index) {
                Some(line) => format!("iptables -t {table} {line}"),
                None => format!("policy of chain {chain}"),
            },
            Place::Nft(chain) => {
                let policy = chain.base.as_ref().map_or("accept", |base| base.policy.as_str());
                let Some(handle) = self.rules.get(index) else {
                    return format!("policy {policy}");
                };
                if let Some(line) = of_iptables(saves, chain, index) {
                    return line;
                }
                let words = ["-a", "list", "chain", &chain.family, &chain.table, &chain.name];
                let listed = system.run(&Invocation::new(Tool::Nft, words));
                let listed = listed.map(|output| output.stdout).unwrap_or_default();
                by_handle(&listed, handle).unwrap_or_else(|| format!("rule with handle {handle}"))
            }
        }
    }
}

/// The same rule as iptables-nft-save printed it.
fn of_iptables(saves: &[(Tool, String)], chain: &Chain, index: usize) -> Option<String> {
    let (program, tools) = match chain.family.as_str() {
        "ip" => ("iptables", [Tool::IptablesNftRestore, Tool::IptablesRestore]),
        "ip6" => ("ip6tables", [Tool::Ip6tablesNftRestore, Tool::Ip6tablesRestore]),
        _ => return None,
    };
    let (_, text) = saves.iter().find(|(tool, _)| tools.contains(tool))?;
    let beginning = format!("-A {} ", chain.name);
    let lines = section(text, &chain.table);
    let line = lines
        .iter()
        .filter(|line| line.starts_with(&beginning))
        .nth(index)?;
    Some(format!("{program} -t {} {line}", chain.table))
}

/// A rule in what `nft -a list` printed.
pub fn by_handle(listed: &str, handle: &str) -> Option<String> {
    let ending = format!("# handle {handle}");
    listed
        .lines()
        .filter_map(|line| line.strip_suffix(&ending))
        .map(|line| line.trim().to_owned())
        // Tables and chains have numbers, too.
        .find(|line| !line.ends_with('{'))
}
