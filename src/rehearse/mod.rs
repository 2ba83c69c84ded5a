//! Rehearsal: a change is carried out on a sealed copy of this host's firewall, and real packets tell what comes of it.
//!
//! The program starts itself again in new network, mount and process namespaces (and a user namespace for a plain
//! user). In there every interface of the host exists once more, as one end of a cable whose other end lies in a second
//! network namespace, the *far side*, which bears the operator's real address and those of strangers. An open session on
//! the SSH port is begun, the copy of the rules is loaded, and every port is asked; then the very [`crate::step::Step`]
//! values of the change are performed by the same [`crate::engine::Engine::perform`] as on the host, and every port is
//! asked again; then all is undone and compared. `/etc` and `/run` are private, so files that a step writes are copies.
//! At last the next boot is played: all rules go, and what a boot loads is loaded from `/etc` as the commit left it.
//!
//! When this process ends, however it ends, the kernel ends process 1 in there and with it everything else.
//!
//! ```text
//! faspwall                       reads the rules, writes the script
//!   rehearse-inside enter        ties itself to its parent, becomes unshare(1)
//!     rehearse-inside host       process 1: builds the copy, asks, performs, undoes, prints what it found
//! ```

mod blocker;
mod boot;
mod cast;
pub mod copy;
mod daemon;
mod flow;
mod host;
mod load;
mod material;
mod network;
mod pasted;
mod probe;
mod questions;
mod reboot;
mod serve;
mod spot;
mod sweep;
mod zone;

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backend::kernel;
use crate::backend::nftables::Ruleset;
use crate::backend::ufw::ipv6;
use crate::change::unheard::{port, unheard, who};
use crate::change::{Change, Preview};
use crate::facts::Facts;
use crate::matrix::{Blocker, LOOPBACK_LISTENER, Rehearsal};
use crate::plan::{Port22, Requirement};
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

pub use self::pasted::Pasted;

use self::boot::Boot;
use self::cast::Cast;
use self::copy::Copy;
use self::questions::Question;

/// The far side's network namespace.
const FAR: &str = "far";
/// As a file, for a thread that goes there.
const FAR_FILE: &str = "/run/netns/far";
/// How long a whole rehearsal may take before it is given up.
const LIMIT: Duration = Duration::from_secs(120);

/// What is rehearsed.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The host.
    pub facts: &'a Facts,
    /// The change; without one the ports are asked once, as the host is.
    pub change: Option<&'a Change>,
    /// What must be open afterwards.
    pub requirements: &'a [Requirement],
    /// TCP ports that must be shut afterwards.
    pub closing: &'a [u16],
    /// Networks spared from that.
    pub spared: &'a [IpNet],
    /// Whether all 65,535 ports are looked at.
    pub sweep: bool,
    /// The ruleset that the host was made of, when it is no running one.
    pub pasted: Option<&'a Pasted>,
    /// The rules of the host, where somebody has read them already.
    pub live: Option<&'a Ruleset>,
}

impl<'a> Subject<'a> {
    /// What a preview promises.
    pub fn of(preview: &'a Preview, facts: &'a Facts) -> Self {
        let plan = &preview.plan;
        let closes = plan.ssh_port != 22 && plan.port_22 != Port22::Keep;
        Self {
            facts,
            change: preview.change.as_ref(),
            requirements: &plan.requirements,
            closing: if closes { &[22] } else { &[] },
            spared: match &plan.port_22 {
                Port22::Restrict(nets) => nets,
                Port22::Close | Port22::Keep => &[],
            },
            sweep: false,
            pasted: None,
            live: preview.live.as_deref(),
        }
    }

    /// What the way back of a change must leave: the operator's own way in.
    pub fn way_back(change: &'a Change, facts: &'a Facts, door: &'a [Requirement]) -> Self {
        Self {
            facts,
            change: Some(change),
            requirements: door,
            closing: &[],
            spared: &[],
            sweep: false,
            pasted: None,
            live: None,
        }
    }

    /// Whether the change refuses everything that was not asked for.
    pub fn walls(&self) -> bool {
        self.change.is_some_and(Change::raises_wall)
    }

    /// The same on a host made of a ruleset.
    #[must_use]
    pub fn on(mut self, pasted: Option<&'a Pasted>) -> Self {
        self.pasted = pasted;
        self
    }

    /// The same with a look at all ports.
    #[must_use]
    pub fn sweeping(mut self, sweep: bool) -> Self {
        self.sweep = sweep;
        self
    }
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    /// This host does not let us make a sealed copy.
    #[error("A rehearsal is not possible here: {0}. Nothing was changed")]
    Impossible(String),
    /// The copy could not be built, or broke.
    #[error("The rehearsal broke off: {0}. Nothing was changed")]
    Broken(String),
    /// An inner stage was started by hand.
    #[error("rehearse-inside works in a rehearsal only ({0}); type  faspwall rehearse -f FILE")]
    NotSealed(&'static str),
    /// A step of the set-up failed.
    #[error("The copy of this host could not be built: {0}. Nothing was changed")]
    System(#[from] SystemError),
}

/// All that the inner process is told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Script {
    change: Option<Change>,
    cast: Cast,
    copy: Copy,
    questions: Vec<Question>,
    requirements: Vec<Requirement>,
    closing: Vec<u16>,
    /// Everything that was not asked for is refused.
    walls: bool,
    sweep: bool,
    known_blockers: Vec<Blocker>,
    /// Boot files of a made-up or a recorded host.
    files: Option<Vec<(PathBuf, String)>>,
    /// What the next boot loads.
    boot: Boot,
    /// Only load the rules and look at the host that they make.
    survey: bool,
}

/// Whether the firewall was told to leave IPv6 alone, and shuts it.
fn without_ipv6(ruleset: &Ruleset) -> bool {
    let mut chains = ruleset.chains.iter();
    chains.any(|chain| ipv6::is_off_in(ruleset, chain))
}

/// The rules of a host that was looked at; none where they are not known.
fn rules(facts: &Facts) -> Ruleset {
    kernel::of_facts(facts).ok().flatten().unwrap_or_default()
}

/// Asks a host everything that a rehearsal needs of it: for a recording.
pub fn look(host: &dyn System, facts: &Facts) {
    drop(material::links(host, facts));
    drop(material::copy(host, facts, &rules(facts)));
    material::has_v6(host);
}

/// Rehearses. The rules are those of `host`, which may be a recorded one; the copy is made on `desk`. `report` hears
/// what is being done.
pub fn rehearse(
    desk: &dyn System,
    host: &dyn System,
    subject: &Subject<'_>,
    report: &mut dyn FnMut(&str),
) -> Result<Rehearsal, RehearseError> {
    for tool in [Tool::Unshare, Tool::Ip, Tool::Mount] {
        if desk.locate(tool).is_none() {
            return Err(RehearseError::Impossible(
                SystemError::Missing { tool }.to_string(),
            ));
        }
    }
    report("reading the rules of this host");
    let links = material::links(host, subject.facts);
    let read;
    let ruleset = match subject.live {
        Some(ruleset) => ruleset,
        None => {
            read = rules(subject.facts);
            &read
        }
    };
    let mut copy = match subject.pasted {
        Some(pasted) => pasted.copy.clone(),
        None => material::copy(host, subject.facts, ruleset)?,
    };
    if copy.firewalld.is_some() {
        for tool in [Tool::DbusDaemon, Tool::Firewalld, Tool::FirewallCmd] {
            if desk.locate(tool).is_none() {
                return Err(RehearseError::Impossible(
                    SystemError::Missing { tool }.to_string(),
                ));
            }
        }
    }
    let recorded = host.recorded().is_some();
    let boot = boot::boot(subject, &copy, ruleset, recorded);
    copy.at_boot = boot::texts(subject.facts, &boot);
    let files = match subject.pasted {
        Some(pasted) => Some(pasted.files.clone()),
        None => (recorded && boot.plays()).then(|| boot::recorded_files(subject.facts)),
    };
    let has_v6 = material::has_v6(host) && !without_ipv6(ruleset);
    let mut cast = Cast::new(subject, &links, &copy, has_v6);
    let questions = questions::questions(subject, &mut cast, &copy);
    let script = Script {
        change: subject.change.cloned(),
        cast,
        copy,
        questions,
        requirements: subject.requirements.to_vec(),
        closing: subject.closing.to_vec(),
        walls: subject.walls(),
        sweep: subject.sweep,
        known_blockers: deaf_listeners(subject),
        files,
        boot,
        survey: false,
    };
    sealed(desk, &script, report)
}

/// Programs that listen on a wanted port, but for this host alone: no firewall can open that.
fn deaf_listeners(subject: &Subject<'_>) -> Vec<Blocker> {
    let found = unheard(subject.facts, subject.requirements).into_iter();
    found
        .map(|listener| Blocker {
            port: port(listener),
            layer: LOOPBACK_LISTENER.to_owned(),
            rule: who(listener),
            hint:
                "Make it listen on an address that others can reach; the firewall is not what keeps them out"
                    .to_owned(),
        })
        .collect()
}

/// Runs the script in namespaces of its own.
fn sealed<T: DeserializeOwned>(
    system: &dyn System,
    script: &Script,
    report: &mut dyn FnMut(&str),
) -> Result<T, RehearseError> {
    let text = serde_json::to_string(script).map_err(|error| RehearseError::Broken(error.to_string()))?;
    let call = Invocation::new(Tool::Faspwall, ["rehearse-inside", "enter"])
        .with_stdin(text)
        .within(LIMIT);
    let mut result = None;
    let mut complaint = None;
    let output = system.run_told(&call, &mut |line| {
        if let Some(text) = line.strip_prefix(host::SAY) {
            report(text);
        } else if let Some(text) = line.strip_prefix(host::RESULT) {
            result = serde_json::from_str::<T>(text).ok();
        } else if let Some(text) = line.strip_prefix(host::FAILED) {
            complaint = Some(text.to_owned());
        }
    })?;
    match (result, complaint) {
        (Some(found), _) => Ok(found),
        (None, Some(text)) => Err(RehearseError::Broken(text)),
        // unshare itself says why it did not get that far.
        (None, None) => Err(RehearseError::Impossible(output.complaint())),
    }
}

/// The hidden `faspwall rehearse-inside STAGE`.
pub fn inside(system: &dyn System, stage: &str) -> Result<u8, RehearseError> {
    match stage {
        "enter" => enter(system),
        "host" => host::host(system),
        _ => Err(RehearseError::NotSealed("no such stage")),
    }
}

/// Becomes process 1 of the sealed copy, tied to its parent.
fn enter(system: &dyn System) -> Result<u8, RehearseError> {
    system.die_with_parent()?;
    let host = crate::sealed::stage(system, "rehearse-inside", "host", &[])?;
    let call = crate::sealed::unshared(!system.is_root(), host);
    Err(system.become_program(&call).into())
}
