//! Connections that the kernel may have been told not to track: their packets are neither new nor established.

use serde_json::Value;

use super::{Answer, Family, Kind, Packet, Place};
use crate::backend::nftables::inspect::families;
use crate::backend::nftables::model::{Chain, Rule, Ruleset};

/// The priority at which the kernel looks for the connection; what is to be left untracked is marked before.
const CONNTRACK: i64 = -200;

/// Whether the left side of a match is the state of the connection.
pub(super) fn is_state(left: &Value) -> bool {
    let key = left.get("ct").and_then(|ct| ct.get("key"));
    key.and_then(Value::as_str) == Some("state")
}

/// Whether a packet of this connection, of either side, may be left untracked. With one side untracked the other never
/// becomes established.
pub(super) fn may_be(packet: Packet<'_>, ruleset: &Ruleset) -> bool {
    let mut early = ruleset
        .chains
        .iter()
        .filter(|chain| is_early(chain, packet.family));
    early.any(|chain| {
        let of_table = ruleset
            .rules
            .iter()
            .filter(|rule| rule.family == chain.family && rule.table == chain.table && untracks(rule));
        let mut reached = of_table.filter(|rule| rule.chain == chain.name || !in_base_chain(ruleset, rule));
        reached.any(|rule| hits(packet, ruleset, chain, rule))
    })
}

fn is_early(chain: &Chain, family: Family) -> bool {
    let early = chain.base.as_ref().is_some_and(|base| {
        base.priority < CONNTRACK && matches!(base.hook.as_str(), "prerouting" | "output")
    });
    early
        && matches!(chain.family.as_str(), "ip" | "ip6" | "inet")
        && families(&chain.family).contains(&family)
}

/// What stands in a chain without a hook may be called from anywhere.
fn in_base_chain(ruleset: &Ruleset, rule: &Rule) -> bool {
    let mut chains = ruleset.chains.iter().filter(|chain| chain.base.is_some());
    chains.any(|c| c.family == rule.family && c.table == rule.table && c.name == rule.chain)
}

fn untracks(rule: &Rule) -> bool {
    let is = |e: &Value| e.get("notrack").is_some() || e.as_str() == Some("notrack");
    let words = ["--notrack", "-j NOTRACK"];
    let of_iptables = rule
        .native()
        .is_some_and(|text| words.iter().any(|word| text.contains(word)));
    of_iptables || rule.expressions.iter().any(is)
}

/// Whether a rule may be about one of the connection's packets that walk the chain.
fn hits(packet: Packet<'_>, ruleset: &Ruleset, chain: &Chain, rule: &Rule) -> bool {
    let inbound = chain.base.as_ref().is_some_and(|base| base.hook == "prerouting");
    let place = Place {
        ruleset,
        family: &rule.family,
        table: &rule.table,
    };
    let walks = [
        (Kind::Opening, false),
        (Kind::Opening, true),
        (Kind::Reply, false),
        (Kind::Reply, true),
    ]
    .map(|(kind, later)| Packet {
        kind,
        later,
        ..packet
    });
    // Before the connection is looked for it has no state.
    let about_it = |condition: &&Value| condition.get("left").is_none_or(|left| left.get("ct").is_none());
    let conditions = || {
        rule.expressions
            .iter()
            .filter_map(|e| e.get("match"))
            .filter(about_it)
    };
    walks
        .iter()
        .filter(|packet| packet.comes_in() == inbound)
        .any(|packet| conditions().all(|condition| packet.matches(place, condition) != Answer::No))
}
