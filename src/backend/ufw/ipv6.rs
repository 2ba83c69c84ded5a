//! IPv6 that ufw does not look after: with `IPV6=no` it drops everything but loopback, and says so in no chain of its
//! own.

use crate::backend::nftables::model::{Chain, Rule, Ruleset};

/// Whether a chain is one of those that ufw leaves behind for IPv6 when it does not look after it. Such a host has IPv6
/// switched off by its operator: nothing is wanted of it there.
pub fn is_off_in(ruleset: &Ruleset, chain: &Chain) -> bool {
    chain.family == "ip6"
        && matches!(chain.name.as_str(), "INPUT" | "OUTPUT" | "FORWARD")
        && ruleset.chains.iter().any(|other| {
            other.family == "ip" && other.table == chain.table && other.name == "ufw-before-input"
        })
        && left_behind(ruleset, &chain.table)
}

/// Whether the table holds what ufw loads then, and nothing else.
fn left_behind(ruleset: &Ruleset, table: &str) -> bool {
    let of_table = |family: &str, name: &str| family == "ip6" && name == table;
    let mut chains = ruleset.chains.iter().filter(|c| of_table(&c.family, &c.table));
    let mut rules = ruleset.rules.iter().filter(|r| of_table(&r.family, &r.table));
    let dropping = |chain: &Chain| chain.base.as_ref().is_none_or(|base| base.policy == "drop");
    let loopback = |rule: &Rule| {
        let words = rule.native().unwrap_or_default();
        matches!(words, "-A INPUT -i lo -j ACCEPT" | "-A OUTPUT -o lo -j ACCEPT")
    };
    chains.all(dropping) && rules.all(loopback)
}
