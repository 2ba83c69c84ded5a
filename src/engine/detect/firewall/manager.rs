//! Programs that may own the inbound rules, recognised by what they have put into the kernel. Pure.

use std::collections::BTreeMap;

use crate::backend::nftables::inspect::{Inspection, owner};

/// A program that owns rules on the way in, so that native rules beside it would be lost or would not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// firewalld
    Firewalld,
    /// ufw
    Ufw,
    /// ConfigServer firewall
    Csf,
    /// Proxmox VE's firewall
    Proxmox,
    /// OpenWrt's firewall4
    OpenWrt,
    /// Shorewall
    Shorewall,
    /// iptables rules that no front-end known here has written, in nftables tables
    IptablesNft,
    /// the same in the older tables of the kernel
    IptablesLegacy,
    /// A program that has locked its table against everybody else (`flags owner`)
    LockedTable,
}

impl Manager {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
            Self::Csf => "csf",
            Self::Proxmox => "the Proxmox firewall",
            Self::OpenWrt => "OpenWrt's firewall",
            Self::Shorewall => "Shorewall",
            Self::IptablesNft => "iptables (nft variant)",
            Self::IptablesLegacy => "iptables (legacy variant)",
            Self::LockedTable => "a program that has locked its table",
        }
    }

    /// What the operator can type or edit to open a port by hand.
    pub fn by_hand(self) -> &'static str {
        match self {
            Self::Firewalld => {
                "firewall-cmd --permanent --add-port=PORT/tcp --add-port=PORT/udp, then firewall-cmd --reload"
            }
            Self::Ufw => "ufw allow PORT/tcp and ufw allow PORT/udp",
            Self::Csf => {
                "add PORT to TCP_IN and UDP_IN (and to TCP6_IN, UDP6_IN) in /etc/csf/csf.conf, then csf -r"
            }
            Self::Proxmox => "add an IN ACCEPT rule for PORT under Node > Firewall",
            Self::OpenWrt => {
                "add a rule for PORT under Network > Firewall > Traffic Rules, or with uci, then fw4 reload"
            }
            Self::Shorewall => {
                "add \"ACCEPT net $FW tcp PORT\" and the same with udp to /etc/shorewall/rules, then shorewall reload"
            }
            Self::LockedTable => "with the configuration of that program",
            Self::IptablesNft => {
                "iptables -I INPUT -p tcp --dport PORT -j ACCEPT, the same with udp and with ip6tables, then save them"
            }
            Self::IptablesLegacy => {
                "iptables-legacy -I INPUT -p tcp --dport PORT -j ACCEPT, the same with udp and with ip6tables-legacy, then save them"
            }
        }
    }
}

/// Who owns rules on the way in, and how that shows.
pub fn managers(inspection: &Inspection) -> BTreeMap<Manager, String> {
    let mut found = BTreeMap::new();
    // These put everything into a table of their own, and own the way in as long as the table is there.
    for table in &inspection.ruleset.tables {
        let manager = match owner(&inspection.ruleset, &table.family, &table.name).as_deref() {
            Some("firewalld") => Manager::Firewalld,
            Some("OpenWrt") => Manager::OpenWrt,
            Some("Proxmox") => Manager::Proxmox,
            _ => continue,
        };
        found
            .entry(manager)
            .or_insert_with(|| format!("table {} {} is loaded", table.family, table.name));
    }
    for chain in inspection.chains.iter().filter(|chain| chain.drops.is_some()) {
        let locked = inspection
            .ruleset
            .tables
            .iter()
            .any(|t| t.owned && t.family == chain.family && t.name == chain.table);
        if locked && chain.hook != "output" && !found.contains_key(&Manager::Firewalld) {
            found.entry(Manager::LockedTable).or_insert_with(|| {
                format!(
                    "table {} {} has the flag owner, and drops packets",
                    chain.family, chain.table
                )
            });
        }
    }
    // iptables' tables stay behind, empty, when their rules are gone: only what can drop counts.
    for chain in &inspection.chains {
        let inbound = matches!(chain.hook.as_str(), "prerouting" | "input");
        let (true, Some("iptables-nft"), Some(reason)) =
            (inbound, chain.owner.as_deref(), chain.drops.as_deref())
        else {
            continue;
        };
        let manager = iptables_front_end(inspection, &chain.family, &chain.table);
        found.entry(manager).or_insert_with(|| {
            format!(
                "{} {} {} drops packets ({reason})",
                chain.family, chain.table, chain.chain
            )
        });
    }
    found
}

/// Who has written an iptables table, told by the names of its chains.
fn iptables_front_end(inspection: &Inspection, family: &str, table: &str) -> Manager {
    front_end_of_chains(
        inspection
            .ruleset
            .chains
            .iter()
            .filter(|c| c.family == family && c.table == table)
            .map(|c| c.name.as_str()),
    )
    .unwrap_or(Manager::IptablesNft)
}

/// The front-end whose chains are among `names`.
pub fn front_end_of_chains<'n>(names: impl Iterator<Item = &'n str>) -> Option<Manager> {
    let mut found = None;
    for name in names {
        let manager = match name {
            "ufw-before-input" | "ufw6-before-input" => Manager::Ufw,
            "INPUT_ZONES" | "IN_public" => Manager::Firewalld,
            "LOCALINPUT" | "DENYIN" => Manager::Csf,
            "PVEFW-INPUT" => Manager::Proxmox,
            // The empty chain by which Shorewall knows that it has been started.
            "shorewall" => Manager::Shorewall,
            _ => continue,
        };
        found = Some(manager);
    }
    found
}

/// Why a packet could be dropped on its way in by the `filter` table of `iptables-legacy-save`; `None` when it cannot.
///
/// A rule for certain source addresses is a ban, not a policy, and does not count.
pub fn legacy_drops(save: &str) -> Option<String> {
    let mut in_filter = false;
    let mut policy = None;
    let mut jumps: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in save.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('*') {
            in_filter = table == "filter";
        } else if !in_filter {
            continue;
        } else if let Some(rest) = line.strip_prefix(":INPUT ") {
            policy = rest.split(' ').next();
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let words: Vec<&str> = rule.split(' ').collect();
            let ban = words
                .iter()
                .zip(words.iter().skip(1))
                .any(|(a, b)| *b == "-s" && *a != "!");
            let target = words
                .iter()
                .position(|w| *w == "-j" || *w == "-g")
                .and_then(|at| words.get(at + 1));
            if let (Some(chain), Some(target), false) = (words.first(), target, ban) {
                jumps.entry(chain).or_default().push(target);
            }
        }
    }
    let mut seen = vec!["INPUT"];
    let mut at = 0;
    while let Some(chain) = seen.get(at).copied() {
        at += 1;
        for target in jumps.get(chain).into_iter().flatten() {
            if matches!(*target, "DROP" | "REJECT" | "NFQUEUE" | "QUEUE" | "TARPIT") {
                return Some(format!("a rule of chain {chain} ends in {target}"));
            }
            if !seen.contains(target) {
                seen.push(target);
            }
        }
    }
    let policy = policy.filter(|policy| *policy != "ACCEPT")?;
    Some(format!("the policy of chain INPUT is {policy}"))
}

/// Names of the chains in the `filter` table of `iptables-save`.
pub fn legacy_chains(save: &str) -> impl Iterator<Item = &str> {
    save.lines()
        .filter_map(|line| line.trim().strip_prefix(':')?.split(' ').next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::nftables::{inspect, inspect_on};
    use proptest::prelude::*;

    fn owners(json: &str) -> Vec<Manager> {
        managers(&inspect(json).expect("recorded from nft"))
            .into_keys()
            .collect()
    }

    macro_rules! machine {
        ($name:literal) => {
            include_str!(concat!(
                "../../../../tests/machines/",
                $name,
                "/nft-ruleset.json"
            ))
        };
    }

    #[test]
    fn front_ends_are_recognised_on_real_hosts() {
        for (json, owner) in [
            (machine!("debian-12-ufw"), Manager::Ufw),
            (machine!("debian-13-ufw"), Manager::Ufw),
            (machine!("debian-12-firewalld"), Manager::Firewalld),
            (machine!("debian-13-firewalld"), Manager::Firewalld),
            (machine!("debian-12-iptables-nft"), Manager::IptablesNft),
            (machine!("debian-13-iptables-nft"), Manager::IptablesNft),
        ] {
            assert_eq!(owners(json), [owner]);
        }
    }

    #[test]
    fn leftovers_bans_and_empty_rulesets_own_nothing() {
        for json in [
            machine!("debian-12"),
            machine!("debian-13"),
            machine!("debian-12-ufw-disabled"),
            machine!("debian-13-ufw-disabled"),
            machine!("debian-12-fail2ban-iptables"),
            machine!("debian-13-fail2ban-iptables"),
            include_str!("../../../../tests/rulesets/two-input-chains.json"),
        ] {
            assert_eq!(owners(json), []);
        }
    }

    #[test]
    fn what_is_dropped_on_its_way_to_a_container_owns_nothing() {
        let json = machine!("debian-12-docker-shape");
        let own = ["203.0.113.20".parse().expect("an address")];
        let inspection = inspect_on(json, &own).expect("recorded from nft");
        assert!(managers(&inspection).is_empty());
        let droppers: Vec<&str> = inspection
            .chains
            .iter()
            .filter(|c| c.drops.is_some())
            .map(|c| c.chain.as_str())
            .collect();
        assert_eq!(droppers, ["input"]);
        // Without the addresses of the host such a rule could mean anything.
        assert_eq!(owners(json), [Manager::IptablesNft]);
    }

    #[test]
    fn legacy_tables_are_followed_to_what_drops() {
        let oci = include_str!("../../../../tests/machines/debian-12-iptables-legacy/iptables-legacy-save");
        assert_eq!(
            legacy_drops(oci).as_deref(),
            Some("a rule of chain INPUT ends in REJECT")
        );
        let forward =
            include_str!("../../../../tests/machines/debian-12-forward-legacy/iptables-legacy-save");
        assert_eq!(legacy_drops(forward), None);
        let policy = oci
            .replace(":INPUT ACCEPT", ":INPUT DROP")
            .replace("REJECT", "LOG");
        assert_eq!(
            legacy_drops(&policy).as_deref(),
            Some("the policy of chain INPUT is DROP")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(?s)[*:A-Z a-z!\n-]{0,160}") {
            let _ = legacy_drops(&text);
            let _ = front_end_of_chains(legacy_chains(&text));
        }
    }
}
