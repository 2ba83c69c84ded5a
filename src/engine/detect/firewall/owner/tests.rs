//! The decision on recorded hosts.

use std::collections::BTreeMap;

use super::super::manager::managers;
use super::super::services::Service;
use super::*;
use crate::backend::kernel::view;
use crate::backend::nftables::inspect::inspect_view;

macro_rules! machine {
    ($name:literal) => {
        include_str!(concat!(
            "../../../../../tests/machines/",
            $name,
            "/nft-ruleset.json"
        ))
    };
}

const ON: Service = Service {
    installed: true,
    active: true,
    enabled: true,
};
const OFF: Service = Service {
    installed: true,
    active: false,
    enabled: false,
};

fn decided_with(json: &str, saves: &[(&str, &str)], services: &Services) -> Decision {
    let saves: BTreeMap<String, String> = saves
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    let mut ruleset = view(json, &saves).expect("recorded");
    ruleset.addresses = vec!["203.0.113.20".parse().expect("an address")];
    let inspection = inspect_view(ruleset);
    decide(&Case {
        inspection: &inspection,
        managers: &managers(&inspection),
        services,
        boots: &BTreeMap::new(),
        rivals: &[],
        writers: &[],
        available: &|_| true,
    })
}

fn decided(json: &str, services: &Services) -> Decision {
    decided_with(json, &[], services)
}

fn ufw(service: Service) -> Services {
    Services {
        ufw: service,
        ..Services::default()
    }
}

fn firewalld(service: Service) -> Services {
    Services {
        firewalld: service,
        ..Services::default()
    }
}

fn owner(decision: &Decision) -> BackendId {
    assert_eq!(decision.refusal, None);
    decision.backend.expect("an owner")
}

fn refused(decision: &Decision, parts: &[&str]) {
    assert_eq!((decision.backend, decision.also.len()), (None, 0));
    let text = decision.refusal.as_deref().expect("a refusal");
    for part in parts.iter().chain(&["Nothing was changed"]) {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

#[test]
fn every_tool_owns_what_it_wrote() {
    let nobody = Services::default();
    for (json, services, expected) in [
        (machine!("debian-12"), &nobody, BackendId::Nftables),
        (machine!("debian-12-iptables-nft"), &nobody, BackendId::Iptables),
        (machine!("debian-13-iptables-nft"), &nobody, BackendId::Iptables),
        (machine!("debian-12-ufw"), &ufw(ON), BackendId::Ufw),
        (machine!("debian-13-ufw"), &ufw(ON), BackendId::Ufw),
        (
            machine!("debian-12-firewalld"),
            &firewalld(ON),
            BackendId::Firewalld,
        ),
        (
            machine!("debian-13-firewalld"),
            &firewalld(ON),
            BackendId::Firewalld,
        ),
        // Bans, containers and what ufw leaves behind own nothing.
        (machine!("debian-12-ufw-disabled"), &ufw(OFF), BackendId::Nftables),
        (machine!("debian-13-ufw-disabled"), &ufw(OFF), BackendId::Nftables),
        (
            machine!("debian-12-fail2ban-iptables"),
            &nobody,
            BackendId::Nftables,
        ),
        (machine!("debian-12-docker-shape"), &nobody, BackendId::Nftables),
    ] {
        let decision = decided(json, services);
        assert_eq!(owner(&decision), expected);
        assert!(decision.also.is_empty() && decision.contradictions.is_empty());
    }
}

#[test]
fn legacy_tables_count_although_nft_does_not_see_them() {
    let save = include_str!("../../../../../tests/machines/debian-12-iptables-legacy/iptables-legacy-save");
    let saves = [("iptables-legacy-save", save)];
    let alone = decided_with(machine!("debian-12"), &saves, &Services::default());
    assert_eq!(owner(&alone), BackendId::Iptables);
    let beside = decided_with(
        include_str!("../../../../../tests/rulesets/two-input-chains.json"),
        &saves,
        &Services::default(),
    );
    let mut all = vec![owner(&beside)];
    all.extend(&beside.also);
    all.sort();
    assert_eq!(all, [BackendId::Nftables, BackendId::Iptables]);
    let told = beside.contradictions.first().expect("FW004");
    assert_eq!((told.code.as_str(), told.blocks), ("FW004", false));
    let forward = include_str!("../../../../../tests/machines/debian-12-forward-legacy/iptables-legacy-save");
    let forward = decided_with(
        machine!("debian-12"),
        &[("iptables-legacy-save", forward)],
        &Services::default(),
    );
    assert_eq!(owner(&forward), BackendId::Nftables);
}

#[test]
fn a_service_that_is_on_without_its_rules_is_refused_with_the_two_ways_out() {
    refused(
        &decided(machine!("debian-12"), &ufw(ON)),
        &["ufw reload", "ufw disable", "FW009"],
    );
    refused(
        &decided(machine!("debian-12"), &firewalld(ON)),
        &["systemctl restart firewalld"],
    );
    let at_boot = Service { enabled: true, ..OFF };
    refused(
        &decided(machine!("debian-12"), &firewalld(at_boot)),
        &["starts at boot", "systemctl disable firewalld"],
    );
}

#[test]
fn rules_without_their_service_are_refused_with_the_two_ways_out() {
    refused(
        &decided(machine!("debian-12-ufw"), &ufw(OFF)),
        &["ufw enable", "ufw disable"],
    );
    refused(
        &decided(machine!("debian-12-firewalld"), &firewalld(OFF)),
        &[
            "systemctl enable --now firewalld",
            "nft delete table inet firewalld",
        ],
    );
    let json = machine!("debian-12-firewalld")
        .replace("\"name\": \"firewalld\"", "\"name\": \"firewalld_policy_drop\"");
    refused(
        &decided(&json, &firewalld(ON)),
        &["firewalld_policy_drop", "systemctl restart firewalld"],
    );
}

#[test]
fn what_cannot_be_written_is_refused_by_its_name() {
    let inspection = inspect_view(view(machine!("debian-12-ufw"), &BTreeMap::new()).expect("recorded"));
    let decision = decide(&Case {
        inspection: &inspection,
        managers: &managers(&inspection),
        services: &ufw(ON),
        boots: &BTreeMap::new(),
        rivals: &[],
        writers: &[],
        available: &|id| id == BackendId::Nftables,
    });
    refused(&decision, &["belong to ufw", "cannot write rules for it"]);
}
