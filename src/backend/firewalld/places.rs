//! The zones that get the rules, as firewalld's own words, for people.

use super::State;
use super::zone::Zone;
use crate::facts::Facts;

/// `zone public (eth0, your session)`, a line for each zone that is opened or that the operator comes to.
pub fn places(facts: &Facts) -> Vec<String> {
    let Some(state) = State::read(&facts.observations) else {
        return Vec::new();
    };
    let zones = state.opened(false, facts, &[]).into_iter();
    let mut names: Vec<String> = zones.map(|zone| zone.name.clone()).collect();
    names.sort();
    let yours = state.zone_of_operator(false, facts);
    if let Some((zone, _)) = &yours
        && !names.contains(zone)
    {
        names.push(zone.clone());
    }
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        let mut because = bound(&state, facts, &name);
        if let Some((_, by_address)) = yours.as_ref().filter(|(zone, _)| *zone == name) {
            because.push(
                if *by_address {
                    "your address"
                } else {
                    "your session"
                }
                .to_owned(),
            );
        }
        let line = if because.is_empty() {
            format!("zone {name}")
        } else {
            format!("zone {name} ({})", because.join(", "))
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// What brings packets to a zone: links that lead outside and those bound to it, and networks.
fn bound(state: &State, facts: &Facts, name: &str) -> Vec<String> {
    let links = facts.links.iter().filter(|link| link.outside);
    let mut because: Vec<String> = links
        .filter(|link| state.zone_of_link(false, &link.name) == name)
        .map(|link| link.name.clone())
        .collect();
    let zone: Option<&Zone> = state.zone(false, name);
    let bound = zone.into_iter().flat_map(|zone| &zone.interfaces);
    let others: Vec<&String> = bound.filter(|link| !because.contains(link)).collect();
    because.extend(others.into_iter().cloned());
    because.extend(zone.into_iter().flat_map(|zone| zone.sources.clone()));
    because
}

#[cfg(test)]
mod tests {
    use super::super::state::LISTED;
    use super::*;
    use crate::facts::{Link, Session, Via};

    const ZONES: &str = "internal\n  target: default\n  interfaces: \n  sources: 10.0.0.0/8\n  services: ssh\n\n\
                         public (active)\n  target: default\n  interfaces: eth0\n  sources: \n  services: ssh\n";

    #[test]
    fn the_zone_of_the_link_and_the_one_of_the_source_are_named() {
        let mut facts = Facts {
            links: vec![Link {
                name: "eth0".into(),
                addresses: vec!["203.0.113.20/24".parse().unwrap()],
                outside: true,
                ..Link::default()
            }],
            ..Facts::default()
        };
        assert_eq!(places(&facts), [""; 0]);
        facts.observations.outputs.insert(LISTED.into(), ZONES.into());
        facts.session = Some(Session {
            via: Via::Ssh,
            client: Some("10.0.0.7".parse().unwrap()),
            client_port: Some(51844),
            server: Some("203.0.113.20".parse().unwrap()),
            server_port: Some(22),
            user: None,
            pid: None,
            started_ms: None,
            evidence: String::new(),
        });
        let mut told = places(&facts);
        told.sort();
        assert_eq!(
            told,
            ["zone internal (10.0.0.0/8, your address)", "zone public (eth0)"]
        );
    }
}
