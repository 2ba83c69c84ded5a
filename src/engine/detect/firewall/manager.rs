//! Programs that may own the inbound rules, recognised by what they have put into the kernel. Pure.

use std::collections::BTreeMap;

use crate::backend::nftables::inspect::{Inspection, NOBODYS_PORT, families, owner};
use crate::backend::nftables::model::Ruleset;
use crate::backend::nftables::packet::{Kind, Packet};
use crate::backend::nftables::reach::fate;
use crate::backend::ufw::ipv6;
use crate::facts::{BackendId, ChainFact};
use crate::port::Protocol;

/// Whoever owns rules on the way in.
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
    /// Native rules that nobody claims: somebody wrote them
    Native,
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
            Self::Native => "native nftables rules",
        }
    }

    /// The firewall in whose language its rules are written; `None` where only its own program may write them.
    pub fn backend(self) -> Option<BackendId> {
        match self {
            Self::Firewalld => Some(BackendId::Firewalld),
            Self::Ufw => Some(BackendId::Ufw),
            Self::IptablesNft | Self::IptablesLegacy => Some(BackendId::Iptables),
            Self::Native => Some(BackendId::Nftables),
            Self::Csf | Self::Proxmox | Self::OpenWrt | Self::Shorewall | Self::LockedTable => None,
        }
    }
}

/// One owner's hold on the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// How it shows, such as `inet filter input drops packets (policy drop)`.
    pub evidence: String,
    /// `family table` in which it shows.
    pub table: String,
    /// Whether every packet that no rule names is dropped there, whatever its other properties are.
    pub certain: bool,
}

/// Who owns rules on the way in, and how that shows.
pub fn managers(inspection: &Inspection) -> BTreeMap<Manager, Hold> {
    let ruleset = &inspection.ruleset;
    let mut found: BTreeMap<Manager, Hold> = BTreeMap::new();
    // These put everything into a table of their own, and own the way in as long as the table is there.
    for table in &ruleset.tables {
        let manager = match owner(ruleset, &table.family, &table.name).as_deref() {
            Some("firewalld") => Manager::Firewalld,
            Some("OpenWrt") => Manager::OpenWrt,
            Some("Proxmox") => Manager::Proxmox,
            _ => continue,
        };
        let table = format!("{} {}", table.family, table.name);
        found.entry(manager).or_insert_with(|| Hold {
            evidence: format!("table {table} is loaded"),
            table,
            certain: true,
        });
    }
    // Tables of iptables stay behind, empty, when their rules are gone: only what can drop counts.
    for chain in &inspection.chains {
        let inbound = matches!(chain.hook.as_str(), "ingress" | "prerouting" | "input");
        let (true, Some(reason)) = (inbound, chain.drops.as_deref()) else {
            continue;
        };
        let Some(manager) = manager_of(ruleset, chain) else {
            continue;
        };
        let certain = is_certain(ruleset, chain);
        let hold = found.entry(manager).or_insert_with(|| Hold {
            evidence: format!(
                "{} {} {} drops packets ({reason})",
                chain.family, chain.table, chain.chain
            ),
            table: format!("{} {}", chain.family, chain.table),
            certain,
        });
        hold.certain |= certain;
    }
    found
}

/// Who wrote a chain that drops packets; `None` for programs that only keep their own guests or bans.
pub fn manager_of(ruleset: &Ruleset, chain: &ChainFact) -> Option<Manager> {
    let of_table = |family: &str, table: &str| family == chain.family && table == chain.table;
    match owner(ruleset, &chain.family, &chain.table).as_deref() {
        Some("firewalld") => Some(Manager::Firewalld),
        Some("OpenWrt") => Some(Manager::OpenWrt),
        Some("Proxmox") => Some(Manager::Proxmox),
        Some(iptables @ ("iptables-nft" | "iptables-legacy")) => {
            let plain = if iptables == "iptables-nft" {
                Manager::IptablesNft
            } else {
                Manager::IptablesLegacy
            };
            let chains = ruleset.chains.iter().filter(|c| of_table(&c.family, &c.table));
            if chains.clone().any(|c| ipv6::is_off_in(ruleset, c)) {
                return Some(Manager::Ufw);
            }
            Some(front_end_of_chains(chains.map(|c| c.name.as_str())).unwrap_or(plain))
        }
        Some(_) => None,
        None if ruleset
            .tables
            .iter()
            .any(|t| t.owned && of_table(&t.family, &t.name)) =>
        {
            Some(Manager::LockedTable)
        }
        None => Some(Manager::Native),
    }
}

fn is_certain(ruleset: &Ruleset, fact: &ChainFact) -> bool {
    let chain = ruleset
        .chains
        .iter()
        .find(|c| c.family == fact.family && c.table == fact.table && c.name == fact.chain);
    chain.is_some_and(|chain| {
        families(&chain.family).iter().any(|family| {
            let packet = Packet::inbound(Protocol::Tcp, *family, NOBODYS_PORT, Kind::Opening);
            fate(ruleset, chain, packet).certain
        })
    })
}

/// Whether INPUT leads into chains of ufw, as it does while ufw is on, and also, with nothing in them, after it was
/// switched off.
pub fn ufw_is_hooked(ruleset: &Ruleset) -> bool {
    ruleset.rules.iter().any(|rule| {
        rule.chain == "INPUT"
            && rule.expressions.iter().any(|part| {
                let target = part.get("jump").and_then(|jump| jump.get("target")?.as_str());
                target.is_some_and(|name| {
                    name.starts_with("ufw-before-input") || name.starts_with("ufw6-before-input")
                })
            })
    })
}

/// The front-end whose chains are among `names`.
pub fn front_end_of_chains<'n>(names: impl Iterator<Item = &'n str>) -> Option<Manager> {
    let mut found = None;
    for name in names {
        let manager = match name {
            "ufw-before-input" | "ufw6-before-input" => Manager::Ufw,
            // The first one is of firewalld 1, the second of firewalld 2.
            "INPUT_ZONES" | "INPUT_POLICIES" | "IN_public" => Manager::Firewalld,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::nftables::{inspect, inspect_on};

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
        ] {
            assert_eq!(owners(json), []);
        }
        let native = include_str!("../../../../tests/rulesets/two-input-chains.json");
        assert_eq!(owners(native), [Manager::Native]);
    }

    #[test]
    fn what_is_dropped_on_its_way_to_a_container_owns_nothing() {
        let json = machine!("debian-12-docker-shape");
        let own = ["203.0.113.20".parse().expect("an address")];
        let inspection = inspect_on(json, &own).expect("recorded from nft");
        let found: Vec<Manager> = managers(&inspection).into_keys().collect();
        assert_eq!(found, [Manager::Native]);
        let droppers: Vec<&str> = inspection
            .chains
            .iter()
            .filter(|c| c.drops.is_some())
            .map(|c| c.chain.as_str())
            .collect();
        assert_eq!(droppers, ["input"]);
        // Without the addresses of the host such a rule could mean anything.
        assert_eq!(owners(json), [Manager::IptablesNft, Manager::Native]);
    }
}
