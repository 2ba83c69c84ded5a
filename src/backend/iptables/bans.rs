//! Rules that shut out addresses which somebody has banned: fail2ban and its kind put them on top. Accepts of ours
//! stand below them, so that who is banned stays out.

use super::save::words;

/// Parts of the names of chains and sets that hold banned addresses: of fail2ban, SSHGuard, CrowdSec, DenyHosts, and
/// what people call their own lists.
const NAMES: [&str; 10] = [
    "f2b",
    "fail2ban",
    "sshguard",
    "crowdsec",
    "denyhosts",
    "blocklist",
    "blacklist",
    "denylist",
    "banned",
    "bans",
];
/// After these a packet is through, or goes on.
const HARMLESS: [&str; 6] = ["ACCEPT", "RETURN", "LOG", "NFLOG", "AUDIT", "MARK"];

fn named(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|part| name.contains(part))
}

fn after<'w>(words: &'w [String], option: &str) -> Option<&'w str> {
    let at = words.iter().position(|word| word == option)?;
    let negated = at
        .checked_sub(1)
        .and_then(|at| words.get(at))
        .is_some_and(|word| word == "!");
    words.get(at + 1).map(String::as_str).filter(|_| !negated)
}

fn target(words: &[String]) -> &str {
    after(words, "-j")
        .or_else(|| after(words, "-g"))
        .unwrap_or("RETURN")
}

/// Whether a rule refuses only who comes from certain addresses.
fn by_source(words: &[String]) -> bool {
    after(words, "-s").is_some() || after(words, "--match-set").is_some()
}

/// Whether every rule of a chain lets packets on, or refuses only who comes from certain addresses.
fn only_bans(rules: &[&str], chain: &str) -> bool {
    let own = format!("-A {chain} ");
    let mut all = rules
        .iter()
        .filter(|rule| rule.starts_with(&own))
        .map(|rule| words(rule));
    all.all(|words| {
        let target = target(&words);
        HARMLESS.contains(&target) || (matches!(target, "DROP" | "REJECT" | "TARPIT") && by_source(&words))
    })
}

fn is_ban(rules: &[&str], words: &[String]) -> bool {
    match target(words) {
        "DROP" | "REJECT" => after(words, "--match-set").is_some_and(named),
        chain => named(chain) && only_bans(rules, chain),
    }
}

/// Whether it can be seen at once that a rule lets packets on or in: that of nearly all rules, which need not be taken
/// apart then.
fn plainly_harmless(rule: &str) -> bool {
    let plain = rule.split_once(" -j ").filter(|_| !rule.contains(['"', '!']));
    let target = plain.and_then(|(_, rest)| rest.split_whitespace().next());
    target.is_some_and(|target| target != "RETURN" && HARMLESS.contains(&target))
}

/// How many rules at the top of a chain end with a ban, and let through whom they do not ban. `rules` are those of one
/// table (`-A INPUT ...`), in their order.
pub fn below(rules: &[&str], chain: &str) -> usize {
    let own = format!("-A {chain} ");
    let mut last = 0;
    for (number, rule) in rules.iter().filter(|rule| rule.starts_with(&own)).enumerate() {
        if plainly_harmless(rule) {
            continue;
        }
        let words = words(rule);
        if is_ban(rules, &words) {
            last = number + 1;
        } else if !HARMLESS.contains(&target(&words)) || target(&words) == "RETURN" {
            break;
        }
    }
    last
}

/// Whether a line of ours goes below bans, and the chain it goes to: an accept, but for that of the operator's own
/// connection.
pub fn yields<'l>(line: &'l str, verb: &str) -> Option<(&'l str, &'l str)> {
    let (chain, rest) = line.strip_prefix(verb)?.split_once(' ')?;
    let pin = rest.contains(":pin\" ") || rest.contains(":pin ");
    (rest.ends_with("-j ACCEPT") && !pin).then_some((chain, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // As fail2ban 1.0.2 and iptables 1.8.9 leave them.
    const SAVE: [&str; 9] = [
        "-A INPUT -m set --match-set blocklist4 src -j DROP",
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -p tcp -m multiport --dports 22,33001 -j f2b-sshd",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 23 -j DROP",
        "-A INPUT -p tcp -m tcp --dport 22 -j f2b-late",
        "-A OUTPUT -j f2b-sshd",
        "-A f2b-sshd -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable",
        "-A f2b-sshd -j RETURN",
    ];

    #[test]
    fn an_accept_stands_below_bans_that_stand_above_every_refusal() {
        assert_eq!(below(&SAVE, "INPUT"), 3);
        assert_eq!(below(&SAVE[1..2], "INPUT"), 0);
        assert_eq!(below(&SAVE, "FORWARD"), 0);
        // A chain of that name that refuses others too is not passed.
        let mut hard = SAVE.to_vec();
        hard.push("-A f2b-sshd -j DROP");
        assert_eq!(below(&hard, "INPUT"), 1);
        let negated = ["-A INPUT -m set ! --match-set blocklist4 src -j DROP"];
        assert_eq!(below(&negated, "INPUT"), 0);
        let line = "-I INPUT -p tcp -m comment --comment \"faspwall:1:trial:pin\" -j ACCEPT";
        assert_eq!(yields(line, "-I "), None);
        assert!(yields("-I INPUT -p tcp -j ACCEPT", "-I ").is_some());
        assert_eq!(yields("-I INPUT -p tcp -j DROP", "-I "), None);
    }

    proptest! {
        #[test]
        fn what_is_seen_at_once_is_what_the_words_say(
            parts in prop::collection::vec("-j|!|\"|ACCEPT|DROP|RETURN|LOG|-s|f2b-x|-g| |  ", 0..12),
        ) {
            let rule = format!("-A INPUT {}", parts.join(" "));
            let words = words(&rule);
            let harmless = !is_ban(&[&rule], &words) && HARMLESS.contains(&target(&words)) && target(&words) != "RETURN";
            prop_assert!(harmless || !plainly_harmless(&rule), "{rule}");
        }
    }
}
