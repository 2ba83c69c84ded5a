//! Wanted ports on which a program listens, but for this host alone: no firewall makes such a port one that others reach.

use crate::facts::{Facts, Listener};
use crate::plan::{Plan, Requirement};
use crate::port::Direction;

/// The first listener of each requirement whose listeners are all on loopback addresses.
pub fn unheard<'f>(facts: &'f Facts, requirements: &[Requirement]) -> Vec<&'f Listener> {
    let inbound = requirements.iter().filter(|r| r.direction == Direction::In);
    let alone = |requirement: &Requirement| {
        let on_it = |l: &&Listener| l.protocol == requirement.protocol && requirement.ports.contains(l.port);
        let mut listeners = facts.listeners.iter().filter(on_it);
        let first = listeners.next().filter(|listener| listener.loopback())?;
        listeners.all(Listener::loopback).then_some(first)
    };
    let mut found: Vec<&Listener> = inbound.filter_map(alone).collect();
    found.dedup();
    found
}

/// `UDP/33001`
pub fn port(listener: &Listener) -> String {
    format!(
        "{}/{}",
        listener.protocol.to_string().to_uppercase(),
        listener.port
    )
}

/// Who listens where, in words.
pub fn who(listener: &Listener) -> String {
    format!(
        "{} listens on {} only",
        listener.program.as_deref().unwrap_or("a program"),
        listener.address
    )
}

/// What a plan leaves to people: sshd is made to listen for everyone where the plan moves it, all others are not.
pub fn left_to_do(facts: &Facts, plan: &Plan) -> Vec<String> {
    let moved = |l: &&Listener| {
        let ssh = plan.inbound_ssh().is_some_and(|ssh| ssh.protocol == l.protocol);
        plan.move_sshd && ssh && l.port == plan.ssh_port
    };
    let found = unheard(facts, &plan.requirements).into_iter();
    found
        .filter(|listener| !moved(listener))
        .map(|listener| {
            format!(
                "{0} is open in the firewall only: {1}, so nobody reaches it. Make it listen on an address that others can reach",
                port(listener),
                who(listener)
            )
        })
        .collect()
}
