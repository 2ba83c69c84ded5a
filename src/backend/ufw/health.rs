//! What keeps rules of ufw from having an effect: a ufw that is off or half loaded, and rules that come before its own.

use super::decide::{admits, needs, rule, shut};
use super::live::{Live, LiveRule, canonical};
use super::settings::{BEFORE, Settings};
use super::tuple::{Verb, user_chain};
use super::{families, rules_file, rules_path, rules_text};
use crate::backend::Wish;
use crate::backend::iptables::{Variant, save};
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::render;

/// The table that ufw's chains are in; `None` when they are nowhere.
pub fn table(theirs: &Ruleset) -> Option<&str> {
    let mut chains = theirs.chains.iter();
    let chain = chains.find(|chain| chain.family == "ip" && chain.name == user_chain(false, false));
    chain.map(|chain| chain.table.as_str())
}

/// Why nothing can be done with ufw as it is now.
pub fn obstacles(wish: &Wish<'_>, settings: &Settings) -> Vec<String> {
    let table = table(wish.theirs);
    if !settings.enabled {
        return vec![String::from(if table.is_some() {
            "ufw is switched off (ENABLED=no in /etc/ufw/ufw.conf), but its chains are still in the kernel: at the next \
             boot they are gone. Decide for one: sudo ufw enable, or a reboot without it. Then try again"
        } else {
            "ufw is switched off (ENABLED=no in /etc/ufw/ufw.conf): rules in its files have no effect"
        })];
    }
    let Some(table) = table else {
        return vec![String::from(
            "ufw is switched on (ENABLED=yes in /etc/ufw/ufw.conf), but its chains are not in the kernel: somebody \
             flushed them, and at the next reload or boot they are back. Load them first: sudo ufw reload. Then try again",
        )];
    };
    families(settings)
        .iter()
        .filter_map(|v6| unusable(wish, table, *v6))
        .collect()
}

/// What is wrong with the rules of one family.
fn unusable(wish: &Wish<'_>, table: &str, v6: bool) -> Option<String> {
    let path = rules_path(v6);
    let path = path.display();
    if rules_text(wish.facts, v6).is_none() {
        return Some(format!(
            "{path} could not be read. Run faspwall as root to see it"
        ));
    }
    let file = rules_file(wish.facts, v6);
    if !file.takes_rules {
        return Some(format!(
            "{path} has no line \"### RULES ###\": it was not written by ufw, and rules cannot be added to it. Let ufw \
             write it anew with any rule of its own, such as sudo ufw allow proto tcp from 192.0.2.1"
        ));
    }
    let live = Live::read(wish.theirs, table, v6);
    let user = user_chain(v6, false);
    let hooked = wish.theirs.rules.iter().any(|rule| {
        let family = if v6 { "ip6" } else { "ip" };
        let jump = rule
            .expressions
            .iter()
            .any(|e| e.pointer("/jump/target").and_then(serde_json::Value::as_str) == Some(user));
        rule.family == family && rule.table == table && jump
    });
    if !hooked {
        return Some(format!(
            "no rule in the kernel leads to ufw's chain {user}: somebody flushed ufw's chains, and at the next reload or \
             boot they are back. Load them first: sudo ufw reload. Then try again"
        ));
    }
    let in_file: Vec<_> = file.lines().into_iter().filter_map(canonical).collect();
    let loaded = |rule: &super::live::Canonical| {
        let mut rules = live.chain(&rule.chain).iter();
        rules.any(|live| live.rule.as_ref() == Some(rule))
    };
    if !in_file.is_empty() && !in_file.iter().any(loaded) {
        return Some(format!(
            "none of the rules in {path} is in the kernel: they are not loaded, or somebody flushed them. Load them \
             first: sudo ufw reload. Then try again"
        ));
    }
    None
}

/// Rules before ufw's own that defeat what is to be kept.
pub fn blockers(wish: &Wish<'_>, settings: &Settings) -> Vec<String> {
    let Some(table) = table(wish.theirs) else {
        return Vec::new();
    };
    let mut opened = wish.theirs.clone();
    for v6 in families(settings) {
        accept(&mut opened, wish, table, *v6);
    }
    let mut found = Vec::new();
    for (requirement, reason) in render::gaps(&opened, wish.requirements) {
        let looked_after = settings.ipv6 || !reason.starts_with("ip6 ");
        let ufws = |chain: &&str| looked_after && chain.starts_with("ufw");
        let Some(chain) = chain_named(&reason).filter(ufws) else {
            continue;
        };
        let port = format!(
            "{}/{}",
            requirement.protocol.to_string().to_uppercase(),
            requirement.ports
        );
        found.push(format!(
            "{port} would stay shut: {} keeps it out before the rules of ufw's operator are asked. {}",
            native(&opened, &reason).unwrap_or_else(|| reason.clone()),
            remedy(chain)
        ));
    }
    for v6 in families(settings) {
        found.extend(openers(wish, table, *v6));
    }
    found
}

/// What to do about a rule in one of ufw's chains.
fn remedy(chain: &str) -> String {
    let [four, six] = BEFORE;
    let path = if chain.starts_with("ufw6") { six } else { four };
    if chain.contains("-user-") {
        String::from("Look at it with sudo ufw status numbered, and take it out with sudo ufw delete")
    } else {
        format!("It comes from {path}: change it there, type sudo ufw reload, and try again")
    }
}

/// The chain in `ip filter INPUT: rule 12 of ufw-before-input: drop`.
fn chain_named(reason: &str) -> Option<&str> {
    reason.split(" of ").nth(1)?.split(':').next()
}

/// The rule itself.
fn native(ruleset: &Ruleset, reason: &str) -> Option<String> {
    let (head, _) = reason.split_once(": rule ")?;
    let mut words = head.split(' ');
    let family = words.next()?;
    let number = reason.split_once(": rule ")?.1.split(' ').next()?;
    let chain = chain_named(reason)?;
    let mut rules = ruleset
        .rules
        .iter()
        .filter(|rule| rule.family == family && rule.chain == chain);
    let rule = rules.find(|rule| rule.handle.to_string() == number)?;
    Some(format!("\"{}\"", rule.native()?))
}

/// Puts the accepts for everything that is wanted where they would go.
fn accept(ruleset: &mut Ruleset, wish: &Wish<'_>, table: &str, v6: bool) {
    let live = Live::read(wish.theirs, table, v6);
    let family = if v6 { "ip6" } else { "ip" };
    for need in needs(wish.requirements, v6) {
        let tuple = rule(Verb::Allow, &need.traffic, v6, String::new());
        let chain = tuple.chain(v6);
        let at = live.place_for(chain, &need.traffic);
        let text = format!("*filter\n:{chain} - [0:0]\n{}\nCOMMIT\n", tuple.line(v6, ""));
        let read = save::read(&text, family, Variant::of(table).0);
        let of_chain = |r: &crate::backend::nftables::model::Rule| {
            r.family == family && r.table == table && r.chain == chain
        };
        let mut places = ruleset
            .rules
            .iter()
            .enumerate()
            .filter(|(_, r)| of_chain(r))
            .map(|(at, _)| at);
        let place = places.nth(at).unwrap_or(ruleset.rules.len());
        for rule in read.rules {
            ruleset.rules.insert(place, rule);
        }
    }
}

/// Rules before ufw's own that let in what is to be shut.
fn openers(wish: &Wish<'_>, table: &str, v6: bool) -> Vec<String> {
    let live = Live::read(wish.theirs, table, v6);
    let chain = if v6 {
        "ufw6-before-input"
    } else {
        "ufw-before-input"
    };
    let opener = |port: &u16| {
        let traffic = shut(*port)?;
        let admitting = |rule: &&LiveRule| {
            let tuple = rule.tuple.as_ref();
            tuple.is_some_and(|tuple| tuple.for_all(&traffic) && admits(tuple, &traffic))
        };
        let line = &live.chain(chain).iter().find(admitting)?.line;
        Some(format!(
            "TCP/{port} would stay open: \"{line}\" lets it in before the rules of ufw's operator are asked. {}",
            remedy(chain)
        ))
    };
    wish.closing.iter().filter_map(opener).collect()
}
