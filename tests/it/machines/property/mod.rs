//! Random answers on the rulesets of recorded hosts, in a bare network namespace with the real tools: what is rendered
//! opens what it promises and nothing wider, a second time there is nothing to do, and undo leaves what was before.
//!
//! A host is its recording, but for its firewall: the ruleset is loaded into the kernel, the tools are asked there, and
//! files that are written are kept in memory. sshd stays as it is: a bare namespace has none.
//!
//! A front end (`ufw`, `firewalld`) is the real one in the tree of a Debian, and its rules are random as well.

mod choices;
mod firewalld;
mod host;
mod tree;
mod ufw;
mod wider;

use std::process::Command;

use faspwall::backend::nftables::render::gaps;
use faspwall::catalogue::Catalogue;
use faspwall::change::{Change, Preview};
use faspwall::engine::Engine;
use faspwall::engine::detect::detect;
use faspwall::facts::InboundDefault;
use faspwall::step::Action;
use faspwall::system::System;
use faspwall::transaction::Phase;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use super::folder;
use choices::Choice;
use host::{Host, rules_in_force};

/// Says inside of a namespace which host is meant.
const ASK: &str = "FASPWALL_TEST_PROPERTY";
/// Another seed than the usual one, and more cases, for a search that goes on.
const SEED: &str = "FASPWALL_TEST_SEED";
const CASES: &str = "FASPWALL_TEST_CASES";

/// What a change is tried on.
trait Subject {
    /// The host.
    fn system(&self) -> &dyn System;
    /// Everything that undo must bring back: rules as the tools print them, and files.
    fn state(&self) -> String;
}

/// Not a test by itself: what happens inside of the namespace.
#[test]
fn inside() {
    let Ok(name) = std::env::var(ASK) else { return };
    let host = Host::load(&folder().join(&name));
    // Where nothing filters only the old port is there to be shut, and many answers leave it open.
    let open = detect(host.system(), &mut |_| {}).inbound_default == InboundDefault::Accept;
    let share = if open { 30 } else { 70 };
    search(&name, (10, share), &choices::some(), |choice| {
        host.reset();
        try_one(&host, &choice)
    });
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Everything was done and taken back.
    Changed,
    /// There is nothing to do, or a reason not to.
    Nothing,
    /// A container has a wanted port: the rehearsal of such a change fails, and it is not carried out.
    Published,
}

/// Tries as many cases as usual, or as many as are asked for. Of those that are not [`Outcome::Published`] so many of a
/// hundred must change something.
fn search<S: Strategy>(
    name: &str,
    (usual, share): (u32, usize),
    some: &S,
    each: impl Fn(S::Value) -> Result<Outcome, String>,
) {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().expect("a number"));
    let cases = number(CASES).map_or(usual, |cases| u32::try_from(cases).expect("a number of cases"));
    let seed = number(SEED).unwrap_or(4711);
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 20,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let outcomes = std::cell::RefCell::new(Vec::new());
    let result = runner.run(some, |one| {
        let case = format!("{one:?}");
        let outcome = each(one).map_err(|complaint| {
            // Looking for a smaller case takes its time.
            println!("{name}: {case}:\n{complaint}");
            TestCaseError::fail(complaint)
        })?;
        if outcome != Outcome::Changed {
            println!("{outcome:?}: {case}");
        }
        outcomes.borrow_mut().push(outcome);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{name}, {SEED}={seed} {CASES}={cases}: {failure}");
    }
    let outcomes = outcomes.into_inner();
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    let (changed, able) = (
        count(Outcome::Changed),
        outcomes.len() - count(Outcome::Published),
    );
    println!("{name}: {changed} of {able} answers changed something, {SEED}={seed}");
    assert!(
        changed > 0 && changed * 100 >= able * share,
        "{name}, {SEED}={seed}: only {changed} of {able} could be applied"
    );
}

fn preview(host: &dyn Subject, choice: &Choice) -> Preview {
    let mut facts = detect(host.system(), &mut |_| {});
    // sshd listens on the new port already and is left alone: what is tried is the firewall's part.
    facts.ssh.ports = vec![22, choice.ssh];
    engine(host)
        .prepare(Catalogue::builtin(), &choice.answers(), &facts, 120)
        .expect("valid answers")
}

fn engine(host: &dyn Subject) -> Engine<'_> {
    Engine::new(host.system(), "/var/lib/faspwall".into())
}

/// One set of answers. `Err` tells what was promised and not kept.
fn try_one(host: &dyn Subject, choice: &Choice) -> Result<Outcome, String> {
    let before = host.state();
    let first = preview(host, choice);
    // A port that a container has published goes there: that is told, and not ours to change.
    if first.advice.iter().any(|advice| advice.code == "FW008") {
        return Ok(Outcome::Published);
    }
    let Some(change) = first.change.clone() else {
        println!("obstacles: {:?}", first.obstacles);
        return Ok(Outcome::Nothing);
    };
    let result = carry_out(host, choice, &first, &change);
    let undone = undo(host, &all_actions(&change)).and_then(|()| {
        let after = host.state();
        if after == before {
            Ok(())
        } else {
            Err(format!("undo left:\n{}", differences(&before, &after)))
        }
    });
    result.and(undone).map(|()| Outcome::Changed)
}

fn carry_out(host: &dyn Subject, choice: &Choice, first: &Preview, change: &Change) -> Result<(), String> {
    let requirements = &first.plan.requirements;
    let before = &rules_in_force();
    for phase in [Phase::Check, Phase::Trial1, Phase::Trial2] {
        perform(host, change.actions(phase))?;
        open(host, &format!("{phase:?}"), first)?;
        narrow(&format!("{phase:?}"), before, first)?;
    }
    perform(host, change.actions(Phase::Commit))?;
    open(host, "commit", first)?;
    narrow("commit", before, first)?;
    let second = preview(host, choice);
    if let Some(change) = &second.change {
        let say: Vec<String> = all_actions(change).into_iter().map(|action| action.say).collect();
        return Err(format!("a second time there is still to do: {say:?}"));
    }
    if !second.obstacles.is_empty() {
        return Err(format!("a second time: {:?}", second.obstacles));
    }
    assert_eq!(second.plan.requirements, *requirements);
    Ok(())
}

fn perform(host: &dyn Subject, actions: &[Action]) -> Result<(), String> {
    let engine = engine(host);
    for action in actions {
        engine
            .perform(&action.step)
            .map_err(|error| format!("{}: {error}\n{}", action.say, action.step))?;
    }
    Ok(())
}

fn undo(host: &dyn Subject, actions: &[Action]) -> Result<(), String> {
    let engine = engine(host);
    for action in actions.iter().rev() {
        for step in &action.undo {
            engine
                .perform(step)
                .map_err(|error| format!("undo of {}: {error}\n{step}", action.say))?;
        }
    }
    Ok(())
}

fn all_actions(change: &Change) -> Vec<Action> {
    [Phase::Trial1, Phase::Trial2, Phase::Commit]
        .into_iter()
        .flat_map(|phase| change.actions(phase).to_vec())
        .collect()
}

fn open(host: &dyn Subject, when: &str, preview: &Preview) -> Result<(), String> {
    if when == "Check" {
        return Ok(());
    }
    let live = engine(host).live_ruleset().map_err(|error| error.to_string())?;
    let shut = gaps(&live, &preview.plan.requirements);
    if shut.is_empty() {
        return Ok(());
    }
    let shut: Vec<String> = shut
        .iter()
        .map(|(one, reason)| format!("{} {} {}: {reason}", one.id, one.protocol, one.ports))
        .collect();
    Err(format!(
        "after {when} shut: {}\n{}",
        shut.join("; "),
        rules_in_force()
    ))
}

fn narrow(when: &str, before: &str, preview: &Preview) -> Result<(), String> {
    let wide = wider::than_asked(before, &rules_in_force(), &preview.plan);
    if wide.is_empty() {
        Ok(())
    } else {
        Err(format!("after {when} wider than asked: {wide:#?}"))
    }
}

fn differences(before: &str, after: &str) -> String {
    similar::TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(1)
        .to_string()
}

fn holds_on(name: &str) {
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--"])
        .arg(std::env::current_exe().expect("this program"));
    holds(name, command, "inside");
}

/// Runs one of the parts of this module that are tests only inside of a namespace.
fn holds(name: &str, mut namespace: Command, part: &str) {
    let output = namespace
        .args(["--exact", &format!("machines::property::{part}"), "--nocapture"])
        .env(ASK, name)
        .output()
        .expect("unshare, package util-linux");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}:\n{text}");
    let told = text
        .lines()
        .find(|line| line.contains("answers changed something"));
    println!("{}", told.unwrap_or_else(|| panic!("{text}")));
}

#[test]
fn native_rules() {
    holds_on("nftables-12");
}

#[test]
fn native_rules_that_drop_everywhere() {
    holds_on("nftables-strict-12");
}

#[test]
fn native_rules_that_end_with_a_drop() {
    holds_on("nftables-final-drop-12");
}

#[test]
fn native_rules_beside_a_clusters_nat() {
    holds_on("k3s-mix-12");
}

#[test]
fn native_rules_behind_fail2ban() {
    holds_on("fail2ban-nftables-12");
}

#[test]
fn iptables_over_nftables() {
    holds_on("iptables-nft-12");
}

#[test]
fn iptables_of_a_cloud_image() {
    holds_on("oci-ubuntu-12");
}

#[test]
fn iptables_of_a_cluster_node() {
    holds_on("kube-iptables-12");
}

#[test]
fn iptables_legacy() {
    holds_on("iptables-legacy-12");
}

#[test]
fn a_container_engine_on_iptables() {
    holds_on("docker-iptables-12");
}

#[test]
fn native_rules_with_a_large_set() {
    holds_on("large-set-13");
}

#[test]
fn a_cloud_image_on_which_nothing_filters() {
    holds_on("debian-cloud-13");
}
