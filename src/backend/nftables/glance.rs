//! What can be seen of a rule at a glance: of thousands of rules, only those for the packet's own port need a look.
//!
//! A glance is taken once, when the rule is read. It says no where a look at the rule's conditions would say no, and
//! nothing else: what is not seen at a glance is looked at.

use serde_json::Value;

use super::packet::{Kind, Packet};
use crate::port::Protocol;

/// First and last port.
type Span = (u64, u64);

/// The protocol and the ports that the leading conditions of a rule ask for, `None` where they ask for none; and who
/// wrote the rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    of_iptables: bool,
    transport: Option<Transport>,
    dport: Option<Box<[Span]>>,
    sport: Option<Box<[Span]>>,
}

/// The protocol that a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
    /// One that no wanted packet has, or two at once.
    Neither,
}

impl Glance {
    /// Looks at the conditions that a rule begins with.
    pub fn of(expressions: &[Value]) -> Self {
        let mut glance = Self {
            of_iptables: expressions.iter().any(of_iptables),
            ..Self::default()
        };
        for expression in expressions {
            match expression.get("match") {
                Some(condition) => glance.take(condition),
                None if expression.get("counter").is_some() || expression.get("iptables").is_some() => {}
                // What comes after something that is done may come too late.
                None => break,
            }
        }
        glance
    }

    /// Whether there is anything in it that only iptables writes.
    pub fn of_iptables(&self) -> bool {
        self.of_iptables
    }

    fn take(&mut self, condition: &Value) {
        let (Some(left), Some(right)) = (condition.get("left"), condition.get("right")) else {
            return;
        };
        if condition.get("op").and_then(Value::as_str) != Some("==") {
            return;
        }
        if let Some(payload) = left.get("payload") {
            let word = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
            let (Some(ports), field @ ("dport" | "sport")) = (ports(right), word("field")) else {
                return;
            };
            match word("protocol") {
                "th" => {}
                "tcp" => self.ask_for(Transport::Tcp),
                "udp" => self.ask_for(Transport::Udp),
                _ => return,
            }
            let known = if field == "dport" {
                &mut self.dport
            } else {
                &mut self.sport
            };
            known.get_or_insert(ports);
        } else if left.pointer("/meta/key").and_then(Value::as_str) == Some("l4proto") {
            match right.as_str() {
                Some("tcp") => self.ask_for(Transport::Tcp),
                Some("udp") => self.ask_for(Transport::Udp),
                Some("icmp" | "icmpv6" | "ipv6-icmp") => self.ask_for(Transport::Neither),
                _ => {}
            }
        }
    }

    fn ask_for(&mut self, wanted: Transport) {
        let both = self.transport.is_some_and(|known| known != wanted);
        self.transport = Some(if both { Transport::Neither } else { wanted });
    }

    /// Whether the rule is certainly not about the packet.
    pub fn misses(&self, packet: &Packet<'_>) -> bool {
        let other = match self.transport {
            Some(Transport::Tcp) => packet.protocol != Protocol::Tcp,
            Some(Transport::Udp) => packet.protocol != Protocol::Udp,
            Some(Transport::Neither) => true,
            None => false,
        };
        // Of the far end's port nothing is known.
        let known = match packet.kind {
            Kind::Opening => &self.dport,
            Kind::Reply => &self.sport,
        };
        let port = u64::from(packet.port);
        let within = |(low, high): &Span| (*low..=*high).contains(&port);
        other || known.as_ref().is_some_and(|spans| !spans.iter().any(within))
    }
}

fn of_iptables(expression: &Value) -> bool {
    match expression {
        Value::Object(fields) => fields.contains_key("xt") || fields.contains_key("iptables"),
        other => other.as_str() == Some("xt"),
    }
}

/// A port, a range of ports, or a set of them.
fn ports(right: &Value) -> Option<Box<[Span]>> {
    match right.get("set") {
        Some(set) => set.as_array()?.iter().map(span).collect(),
        None => Some(Box::new([span(right)?])),
    }
}

fn span(value: &Value) -> Option<Span> {
    if let Some(port) = value.as_u64() {
        return Some((port, port));
    }
    match value.get("range")?.as_array()?.as_slice() {
        [low, high] => Some((low.as_u64()?, high.as_u64()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::nftables::model::Ruleset;
    use crate::backend::nftables::packet::{Answer, Family, Place};
    use serde_json::json;

    /// What a look at the leading conditions says.
    fn look(expressions: &[Value], packet: Packet<'_>) -> Answer {
        let ruleset = Ruleset::default();
        let place = Place {
            ruleset: &ruleset,
            family: "inet",
            table: "filter",
        };
        let conditions = expressions
            .iter()
            .filter_map(|expression| expression.get("match"));
        conditions.fold(Answer::Yes, |sum, condition| {
            sum.and(packet.matches(place, condition))
        })
    }

    fn condition(left: &Value, operator: &str, right: &Value) -> Value {
        json!({ "match": { "op": operator, "left": left, "right": right } })
    }

    /// Every protocol, field, operator and form of a port, and two of them together.
    fn rules() -> Vec<Vec<Value>> {
        let mut one = Vec::new();
        let values = [
            json!(22),
            json!({ "range": [20, 30] }),
            json!({ "set": [22, 80] }),
            json!({ "set": [{ "range": [1000, 2000] }, 53] }),
            json!({ "set": [{ "elem": { "val": 22, "timeout": 9 } }] }),
            json!({ "range": [20, "x"] }),
            json!("@ports"),
            json!(true),
        ];
        for protocol in ["tcp", "udp", "th", "ip"] {
            for field in ["dport", "sport"] {
                let left = json!({ "payload": { "protocol": protocol, "field": field } });
                for operator in ["==", "!=", "in"] {
                    one.extend(values.iter().map(|value| condition(&left, operator, value)));
                }
            }
        }
        for word in ["tcp", "udp", "icmp", "ipv6-icmp", "icmpv6", "esp"] {
            for operator in ["==", "!="] {
                let left = json!({ "meta": { "key": "l4proto" } });
                one.push(condition(&left, operator, &json!(word)));
            }
        }
        let pairs = one
            .iter()
            .flat_map(|a| one.iter().map(|b| vec![a.clone(), b.clone()]));
        pairs.chain(one.iter().map(|a| vec![a.clone()])).collect()
    }

    #[test]
    fn a_glance_says_no_only_where_a_look_does_and_does_so_for_ports() {
        let mut missed = 0_u64;
        for rule in rules() {
            let glance = Glance::of(&rule);
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                for (port, kind) in [(22, Kind::Opening), (33001, Kind::Opening), (22, Kind::Reply)] {
                    let packet = Packet::inbound(protocol, Family::V4, port, kind);
                    if glance.misses(&packet) {
                        missed += 1;
                        assert_eq!(look(&rule, packet), Answer::No, "{rule:?} {packet:?}");
                    }
                }
            }
        }
        assert!(missed > 10_000, "{missed}");
    }

    #[test]
    fn a_condition_behind_something_that_is_done_is_not_seen() {
        let port = condition(
            &json!({ "payload": { "protocol": "tcp", "field": "dport" } }),
            "==",
            &json!(22),
        );
        let packet = Packet::inbound(Protocol::Tcp, Family::V4, 33001, Kind::Opening);
        let after = |first: Value| Glance::of(&[first, port.clone()]).misses(&packet);
        assert!(after(json!({ "counter": { "packets": 7, "bytes": 9 } })));
        assert!(!after(json!({ "drop": null })));
        assert!(!after(json!({ "dnat": { "addr": "10.0.0.1" } })));
    }
}
