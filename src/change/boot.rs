//! What must be enabled so that the rules are loaded at boot, where the answers ask for it.

use crate::facts::{BackendId, BootFacts, Facts};

/// Units that systemd never runs beside firewalld: each forbids the other (`Conflicts=`).
const NOT_BESIDE_FIREWALLD: [&str; 3] = ["nftables.service", "iptables.service", "ip6tables.service"];
const FIREWALLD: &str = "firewalld.service";

/// The units of the firewalls in use that do not start at boot, as far as systemd can enable them.
pub fn sleeping_units(facts: &Facts) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for id in facts.backend.iter().chain(&facts.also) {
        for unit in units_off(facts.boot_of(*id)) {
            if !found.contains(&unit) {
                found.push(unit);
            }
        }
    }
    found
}

fn units_off(boot: &BootFacts) -> Vec<String> {
    let pairs = [(&boot.unit, boot.enabled), (&boot.unit6, boot.enabled6)];
    pairs
        .into_iter()
        .filter(|(_, enabled)| *enabled == Some(false))
        .filter_map(|(unit, _)| unit.clone())
        .filter(|unit| unit.ends_with(".service") && !unit.contains('/'))
        .collect()
}

/// The units that a change enables when that is `asked` for; `Err` tells why one of them must not be.
pub fn units_to_enable(facts: &Facts, asked: bool) -> Result<Vec<String>, String> {
    if !asked || !facts.os.systemd {
        return Ok(Vec::new());
    }
    let units = sleeping_units(facts);
    let firewalld_is_used =
        facts.backend == Some(BackendId::Firewalld) || facts.also.contains(&BackendId::Firewalld);
    let firewalld_starts = facts.boot_of(BackendId::Firewalld).enabled == Some(true);
    for unit in &units {
        let against = NOT_BESIDE_FIREWALLD.contains(&unit.as_str());
        if against && (firewalld_is_used || firewalld_starts) {
            return Err(format!(
                "{unit} cannot be enabled here: it and {FIREWALLD} forbid each other, and only one of them would start. \
                 Set enable_at_boot = false, and put its rules into firewalld or disable firewalld first"
            ));
        }
        if unit == FIREWALLD {
            let other = NOT_BESIDE_FIREWALLD.iter().find(|name| starts(facts, name));
            if let Some(other) = other {
                return Err(format!(
                    "{FIREWALLD} cannot be enabled here: {other} is enabled, and the two forbid each other. Set \
                     enable_at_boot = false, and disable {other} first"
                ));
            }
        }
    }
    Ok(units)
}

fn starts(facts: &Facts, unit: &str) -> bool {
    facts.boots.values().any(|boot| {
        let v4 = boot.unit.as_deref() == Some(unit) && boot.enabled == Some(true);
        v4 || (boot.unit6.as_deref() == Some(unit) && boot.enabled6 == Some(true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(unit: &str, enabled: bool) -> BootFacts {
        BootFacts {
            unit: Some(unit.to_owned()),
            enabled: Some(enabled),
            ..BootFacts::default()
        }
    }

    fn host(owner: BackendId, boots: &[(BackendId, BootFacts)]) -> Facts {
        let mut facts = Facts {
            backend: Some(owner),
            boots: boots.iter().cloned().collect(),
            ..Facts::default()
        };
        facts.os.systemd = true;
        facts
    }

    #[test]
    fn only_what_is_asked_for_and_off_is_enabled() {
        let off = host(
            BackendId::Nftables,
            &[(BackendId::Nftables, boot("nftables.service", false))],
        );
        assert_eq!(
            units_to_enable(&off, true),
            Ok(vec!["nftables.service".to_owned()])
        );
        assert_eq!(units_to_enable(&off, false), Ok(vec![]));
        let on = host(
            BackendId::Nftables,
            &[(BackendId::Nftables, boot("nftables.service", true))],
        );
        assert_eq!(units_to_enable(&on, true), Ok(vec![]));
    }

    #[test]
    fn both_families_of_iptables_are_enabled() {
        let both = BootFacts {
            unit6: Some("ip6tables.service".to_owned()),
            enabled6: Some(false),
            ..boot("iptables.service", false)
        };
        let facts = host(BackendId::Iptables, &[(BackendId::Iptables, both)]);
        assert_eq!(sleeping_units(&facts), ["iptables.service", "ip6tables.service"]);
    }

    #[test]
    fn nothing_is_enabled_that_would_keep_firewalld_from_starting() {
        let mut facts = host(
            BackendId::Firewalld,
            &[
                (BackendId::Firewalld, boot(FIREWALLD, true)),
                (BackendId::Nftables, boot("nftables.service", false)),
            ],
        );
        facts.also = vec![BackendId::Nftables];
        let error = units_to_enable(&facts, true).expect_err("Conflicts=");
        assert!(
            error.contains("nftables.service") && error.contains("firewalld"),
            "{error}"
        );
        let facts = host(
            BackendId::Firewalld,
            &[
                (BackendId::Firewalld, boot(FIREWALLD, false)),
                (BackendId::Nftables, boot("nftables.service", true)),
            ],
        );
        assert!(units_to_enable(&facts, true).is_err());
    }
}
