//! Follows a stranger's packet through the chains: which base chain could drop it, and which rule would.

use std::collections::BTreeMap;

use serde_json::Value;

use super::model::{Chain, Rule, Ruleset};
use super::packet::{Answer, Family, Packet, Place, of_element};
use super::target::guards_one_address;

/// How deep jumps are followed; the kernel allows 16.
const DEPTH: usize = 16;

/// What can become of the packet in one base chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// The first thing that could drop it, in words: `policy drop`, `rule 24: drop`.
    pub dropped_by: Option<String>,
    /// Whether certain source addresses are banned here.
    pub bans: bool,
    /// Whether every such packet is dropped: nothing here could accept it.
    pub certain: bool,
}

#[derive(Debug, Clone, Copy)]
enum Flow {
    /// Every packet was decided on.
    Ended,
    /// Some or all packets go on with the next rule.
    GoesOn,
    /// No packet goes on in this chain: back to the caller, or to the policy.
    Left,
}

struct Walk<'r> {
    ruleset: &'r Ruleset,
    packet: Packet<'r>,
    fate: Fate,
    accepts: bool,
    /// Whether address translation is looked for; then the interface is taken for the one that the packet comes in by.
    translation: bool,
    /// What came of a chain that was walked already: a ruleset whose chains each call the next one twice has more ways
    /// through it than can be walked.
    known: BTreeMap<(usize, Answer, usize), Flow>,
}

/// The fate of the packet in a base chain. `chain` must have a hook.
pub fn fate<'r>(ruleset: &'r Ruleset, chain: &Chain, packet: Packet<'r>) -> Fate {
    let mut walk = Walk {
        ruleset,
        packet,
        fate: Fate::default(),
        accepts: false,
        translation: false,
        known: BTreeMap::new(),
    };
    let flow = walk.chain(chain, Answer::Yes, 0);
    let policy = chain.base.as_ref().map_or("accept", |b| b.policy.as_str());
    if matches!(flow, Flow::GoesOn) && policy == "drop" {
        walk.drop_by(Answer::Yes, String::from("policy drop"));
    }
    let let_through = walk.accepts || (matches!(flow, Flow::GoesOn) && policy != "drop");
    walk.fate.certain = walk.fate.dropped_by.is_some() && !let_through;
    walk.fate
}

/// What stands at the top of a base chain: how many rules leave the packet to the next one or let it in, but for certain
/// sources that they ban; and after how many of them one bans.
pub fn bans<'r>(ruleset: &'r Ruleset, chain: &Chain, packet: Packet<'r>) -> (usize, Vec<usize>) {
    let mut bans = Vec::new();
    for (number, rule) in ruleset.rules_of(chain).enumerate() {
        if rule.glance.misses(&packet) {
            continue;
        }
        let mut walk = Walk {
            ruleset,
            packet,
            fate: Fate::default(),
            accepts: false,
            translation: false,
            known: BTreeMap::new(),
        };
        match walk.rule(chain, rule, Answer::Yes, 0) {
            _ if walk.fate.dropped_by.is_some() => return (number, bans),
            Flow::GoesOn if walk.fate.bans => bans.push(number + 1),
            Flow::GoesOn => {}
            // Let in: what follows does not matter to it.
            Flow::Ended => return (usize::MAX, bans),
            Flow::Left => return (number, bans),
        }
    }
    (usize::MAX, bans)
}

/// The rule of a NAT chain that sends every such packet to another port or host, in words.
pub fn diverted<'r>(ruleset: &'r Ruleset, chain: &Chain, packet: Packet<'r>) -> Option<String> {
    let mut walk = Walk {
        ruleset,
        packet,
        fate: Fate::default(),
        accepts: false,
        translation: true,
        known: BTreeMap::new(),
    };
    walk.chain(chain, Answer::Yes, 0);
    walk.fate
        .dropped_by
        .filter(|reason| reason.contains("sent elsewhere"))
}

/// Beginnings of the names of links that only containers and virtual machines on this host use.
const INTERNAL: [&str; 9] = [
    "lo", "br-", "docker", "virbr", "veth", "vnet", "lxc", "lxd", "cni",
];

/// Whether a condition holds for the interface that strangers come in by, as far as its name tells.
fn stranger_comes_in(condition: &Value) -> bool {
    let key = condition
        .get("left")
        .and_then(|left| left.get("meta")?.get("key")?.as_str());
    let name = condition.get("right").and_then(Value::as_str);
    let internal = name.is_some_and(|name| INTERNAL.iter().any(|beginning| name.starts_with(beginning)));
    let other_than = condition.get("op").and_then(Value::as_str) == Some("!=");
    matches!(key, Some("iif" | "iifname")) && name.is_some() && internal == other_than
}

impl<'r> Walk<'r> {
    /// Whether a statement gives the packet another destination.
    fn translates(&self, place: Place<'_>, expression: &Value) -> bool {
        if let Some(redirect) = expression.get("redirect") {
            return redirect.get("port").is_some();
        }
        let Some(target) = expression.get("dnat") else {
            return false;
        };
        let Some(map) = target.get("addr").and_then(|addr| addr.get("map")) else {
            return true;
        };
        let entries = map.get("data").and_then(|data| data.get("set")?.as_array());
        let Some(key) = map.get("key") else { return false };
        entries.into_iter().flatten().any(|entry| {
            let value = entry.as_array().and_then(|pair| pair.first());
            value.is_some_and(|v| self.packet.compare(place, key, v, false) == Answer::Yes)
        })
    }

    fn drop_by(&mut self, certainty: Answer, reason: String) {
        if certainty == Answer::OneSource {
            self.fate.bans = true;
        } else if self.fate.dropped_by.is_none() {
            self.fate.dropped_by = Some(reason);
        }
    }

    /// The same chain with the same certainty has the same end, and tells nothing new.
    fn called(&mut self, chain: &Chain, certainty: Answer, depth: usize) -> Flow {
        let which = (std::ptr::from_ref(chain).addr(), certainty, depth);
        if let Some(flow) = self.known.get(&which) {
            return *flow;
        }
        let flow = self.chain(chain, certainty, depth);
        self.known.insert(which, flow);
        flow
    }

    fn chain(&mut self, chain: &Chain, certainty: Answer, depth: usize) -> Flow {
        let ruleset = self.ruleset;
        let mut gone: Vec<Vec<&Value>> = Vec::new();
        for rule in ruleset.rules_of(chain) {
            if rule.glance.misses(&self.packet) {
                continue;
            }
            // What a rule states is of interest beside others that state the same, which a long chain has few of.
            let target = self.target(chain, rule);
            let stated = (target.is_some() || !gone.is_empty())
                .then(|| conditions(rule))
                .flatten();
            if stated.as_ref().is_some_and(|stated| gone.contains(stated)) {
                continue;
            }
            match self.rule(chain, rule, certainty, depth) {
                Flow::Ended => return Flow::Ended,
                Flow::Left => return Flow::GoesOn,
                Flow::GoesOn => {}
            }
            if let (Some(stated), Some(target)) = (stated, target)
                && self.takes_all(target, rule, &stated, certainty, depth)
            {
                gone.push(stated);
            }
        }
        Flow::GoesOn
    }

    /// The chain that a rule sends the packet to at its end.
    fn target(&self, chain: &Chain, rule: &Rule) -> Option<&'r Chain> {
        let last = rule.expressions.last()?;
        let jump = last.get("jump").or_else(|| last.get("goto"))?;
        self.ruleset.chain_beside(chain, jump.get("target")?.as_str()?)
    }

    /// Whether a rule that may be about the packet decides on it then, in the chain that it sends it to: a rule with the
    /// same conditions further down never sees it. Firewalld 2 writes a jump to a zone and a refusal of all that comes
    /// back from there.
    fn takes_all(
        &mut self,
        target: &Chain,
        rule: &Rule,
        stated: &[&Value],
        certainty: Answer,
        depth: usize,
    ) -> bool {
        let place = Place {
            ruleset: self.ruleset,
            family: &rule.family,
            table: &rule.table,
        };
        let answers = stated.iter().map(|one| self.packet.matches(place, one));
        let holds = answers.fold(Answer::Yes, Answer::and);
        holds == Answer::Maybe
            && depth < DEPTH
            && matches!(self.called(target, certainty.and(holds), depth + 1), Flow::Ended)
    }

    fn rule(&mut self, chain: &Chain, rule: &Rule, certainty: Answer, depth: usize) -> Flow {
        if guards_one_address(&rule.expressions) {
            return Flow::GoesOn;
        }
        let place = Place {
            ruleset: self.ruleset,
            family: &rule.family,
            table: &rule.table,
        };
        let mut holds = Answer::Yes;
        for expression in &rule.expressions {
            if self.translation && certainty.and(holds) == Answer::Yes && self.translates(place, expression) {
                let words = format!("rule {} of {}: sent elsewhere", rule.handle, rule.chain);
                self.drop_by(Answer::Yes, words);
                return Flow::Ended;
            }
            if let Some(condition) = expression.get("match") {
                let answer = self.packet.matches(place, condition);
                if self.translation && answer != Answer::No && stranger_comes_in(condition) {
                    continue;
                }
                holds = holds.and(answer);
            } else if let Some(target) = compat_target(expression) {
                if COMPAT_HARMLESS.contains(&target) {
                    continue;
                }
                let words = format!("rule {} of {}: target {target}", rule.handle, rule.chain);
                self.drop_by(certainty.and(holds), words);
                return if holds == Answer::Yes {
                    Flow::Ended
                } else {
                    Flow::GoesOn
                };
            } else if is_condition(expression) {
                holds = holds.and(Answer::Maybe);
            } else if let Some(map) = expression.get("vmap") {
                return self.verdict_map(chain, rule, map, holds, certainty, depth);
            } else if let Some(flow) = self.verdict(chain, rule, expression, holds, certainty, depth) {
                return flow;
            }
            if holds == Answer::No {
                return Flow::GoesOn;
            }
        }
        Flow::GoesOn
    }

    /// Whether a reject answers in the language of the other family.
    fn of_other_family(&self, expression: &Value) -> bool {
        let kind = expression
            .get("reject")
            .and_then(|reject| reject.get("type")?.as_str());
        match kind {
            Some("icmp") => self.packet.family == Family::V6,
            Some("icmpv6") => self.packet.family == Family::V4,
            _ => false,
        }
    }

    /// `None` when the expression is no verdict.
    fn verdict(
        &mut self,
        chain: &Chain,
        rule: &Rule,
        expression: &Value,
        holds: Answer,
        certainty: Answer,
        depth: usize,
    ) -> Option<Flow> {
        let ended = if holds == Answer::Yes {
            Flow::Ended
        } else {
            Flow::GoesOn
        };
        let verdict = verdict_name(expression)?;
        match verdict {
            "accept" => {
                self.accepts = true;
                Some(ended)
            }
            "return" => Some(if holds == Answer::Yes {
                Flow::Left
            } else {
                Flow::GoesOn
            }),
            // nft leaves out the match of the family that such a reject implies.
            "reject" if self.of_other_family(expression) => Some(Flow::GoesOn),
            "drop" | "reject" | "queue" => {
                let words = format!("rule {} of {}: {verdict}", rule.handle, rule.chain);
                self.drop_by(certainty.and(holds), words);
                Some(ended)
            }
            "jump" | "goto" => {
                let target = expression
                    .get(verdict)
                    .and_then(|t| t.get("target"))
                    .and_then(Value::as_str)?;
                let target = self.ruleset.chain_beside(chain, target)?;
                let certainty = if UFW_LIMITS.contains(&target.name.as_str()) {
                    certainty.and(Answer::OneSource)
                } else {
                    certainty
                };
                if depth >= DEPTH {
                    return Some(Flow::GoesOn);
                }
                let flow = self.called(target, certainty.and(holds), depth + 1);
                Some(match (holds, flow) {
                    (Answer::Yes, Flow::Ended) => Flow::Ended,
                    (Answer::Yes, _) if verdict == "goto" => Flow::Left,
                    _ => Flow::GoesOn,
                })
            }
            _ => None,
        }
    }

    fn verdict_map(
        &mut self,
        chain: &Chain,
        rule: &Rule,
        map: &Value,
        holds: Answer,
        certainty: Answer,
        depth: usize,
    ) -> Flow {
        let place = Place {
            ruleset: self.ruleset,
            family: &rule.family,
            table: &rule.table,
        };
        let Some(key) = map.get("key") else {
            return Flow::GoesOn;
        };
        let entries: Vec<Value> = match map.get("data") {
            Some(Value::String(name)) => {
                let set = self
                    .ruleset
                    .set_of(place.family, place.table, name.trim_start_matches('@'));
                set.map(|s| s.elements.clone()).unwrap_or_default()
            }
            Some(data) => data
                .get("set")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            None => Vec::new(),
        };
        for entry in &entries {
            let Some([value, verdict]) = entry.as_array().map(Vec::as_slice) else {
                continue;
            };
            let here = holds.and(of_element(false, value, |value| match value.as_str() {
                Some("*") => Answer::Maybe,
                _ => self.packet.compare(place, key, value, false),
            }));
            if here == Answer::No {
                continue;
            }
            if let Some(flow @ (Flow::Ended | Flow::Left)) =
                self.verdict(chain, rule, verdict, here, certainty, depth)
            {
                return flow;
            }
        }
        Flow::GoesOn
    }
}

/// The conditions of a rule that has no others than on interfaces and headers, which are the same all the way down a
/// chain.
fn conditions(rule: &Rule) -> Option<Vec<&Value>> {
    let lasting = |condition: &&Value| {
        let left = condition.get("left");
        let key = left.and_then(|left| left.get("meta")?.get("key")?.as_str());
        left.is_some_and(|left| left.get("payload").is_some())
            || matches!(key, Some("iif" | "iifname" | "oif" | "oifname"))
    };
    let (_, before) = rule.expressions.split_last()?;
    let stated: Option<Vec<&Value>> = before
        .iter()
        .filter(|one| one.get("counter").is_none() && one.get("iptables").is_none())
        .map(|one| one.get("match").filter(lasting))
        .collect();
    stated.filter(|stated| !stated.is_empty())
}

/// Where ufw sends a source that asks too often: a ban of that source for a while.
const UFW_LIMITS: [&str; 2] = ["ufw-user-limit", "ufw6-user-limit"];

/// Targets of iptables extensions after which the packet goes on. Everything else may end it: `REJECT`, `NFQUEUE`, ...
const COMPAT_HARMLESS: [&str; 19] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "HL",
    "LOG",
    "MARK",
    "NFLOG",
    "NOTRACK",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TEE",
    "TOS",
    "TRACE",
    "TTL",
];

/// The target in an expression that iptables-nft wrote for an extension.
fn compat_target(expression: &Value) -> Option<&str> {
    let compat = expression.get("xt")?;
    (compat.get("type")?.as_str()? == "target").then(|| compat.get("name")?.as_str())?
}

/// Statements that let only some packets on to the rest of the rule.
fn is_condition(expression: &Value) -> bool {
    ["limit", "quota", "ct count", "meter", "xt", "socket", "osf"]
        .iter()
        .any(|key| expression.get(key).is_some())
        || expression.as_str() == Some("xt")
        // `update @set { ip saddr limit rate over 5/minute } drop`
        || expression.get("set").is_some_and(|set| set.get("stmt").is_some())
}

fn verdict_name(expression: &Value) -> Option<&'static str> {
    ["accept", "drop", "reject", "return", "jump", "goto", "queue"]
        .into_iter()
        .find(|name| expression.get(name).is_some() || expression.as_str() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::iptables::{Variant, save};
    use crate::backend::nftables::inspect::inspect_view;
    use crate::backend::nftables::packet::Kind;
    use crate::port::Protocol;

    /// Firewalld 2: what comes in by a link goes to the link's zone, and what comes back from there is refused.
    #[test]
    fn what_a_zone_lets_in_does_not_come_to_the_refusal_behind_it() {
        let text = "*filter\n:INPUT ACCEPT [0:0]\n:zone - [0:0]\n-A INPUT -i eth9 -j zone\n-A INPUT -i eth9 -j REJECT\n\
                    -A zone -p tcp -m tcp --dport 33001 -j ACCEPT\nCOMMIT\n";
        let inspection = inspect_view(save::read(text, "ip", Variant::Nft));
        let ruleset = &inspection.ruleset;
        let chain = ruleset.chains.first().expect("a chain");
        let opening = |port| Packet::inbound(Protocol::Tcp, Family::V4, port, Kind::Opening);
        assert_eq!(fate(ruleset, chain, opening(33001)).dropped_by, None);
        assert!(fate(ruleset, chain, opening(22)).dropped_by.is_some());
        let another = text.replace("eth9 -j REJECT", "eth8 -j REJECT");
        let inspection = inspect_view(save::read(&another, "ip", Variant::Nft));
        let fate = fate(&inspection.ruleset, chain, opening(33001));
        assert!(fate.dropped_by.is_some(), "of another link");
    }

    /// Each of twelve chains calls the next one ten times: a million million ways lead to the end.
    #[test]
    fn a_ruleset_with_more_ways_than_can_be_walked_is_read_at_once() {
        let mut text = String::from("*filter\n:INPUT DROP [0:0]\n");
        for number in 0..=12 {
            text.push_str(&format!(":c{number} - [0:0]\n"));
        }
        text.push_str("-A INPUT -j c0\n");
        for number in 0..12 {
            for port in 0..10 {
                text.push_str(&format!(
                    "-A c{number} -m mark --mark {port} -j c{}\n",
                    number + 1
                ));
            }
        }
        text.push_str("-A c12 -p tcp -m tcp --dport 33001 -j REJECT\nCOMMIT\n");
        let inspection = inspect_view(save::read(&text, "ip", Variant::Nft));
        let ruleset = &inspection.ruleset;
        let chain = ruleset.chains.first().expect("a chain");
        let opening = |port| Packet::inbound(Protocol::Tcp, Family::V4, port, Kind::Opening);
        let of = |port| fate(ruleset, chain, opening(port));
        assert!(of(33001).dropped_by.is_some_and(|why| why.contains("c12")));
        assert_eq!(of(22).dropped_by.as_deref(), Some("policy drop"));
    }
}
