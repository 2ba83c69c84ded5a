//! The lab: a sealed server, a peer that can log in, the real wizard, and nothing outside changes.
//!
//! The program starts itself again in new network, mount, process and (unless it is root) user namespaces. In there
//! it builds a small server: a default-drop nftables ruleset, a table of somebody else, a real sshd on port 22, a
//! private /etc; and in a second network namespace a peer behind a veth pair. Then the peer logs in with `ssh -tt`
//! on port 22, on the terminal of the person who started it, and the wizard runs in that login. When it ends the
//! kernel takes the namespaces down, with every process and file in them.
//!
//! The stages, each a start of this same program:
//!
//! ```text
//! faspwall lab               looks whether everything is there, maps the user ids
//!   unshare --user           only for a plain user
//!     lab-inside map         waits for its user ids
//!   unshare --net --mount --pid ...
//!     lab-inside init        process 1: collects the dead
//!       lab-inside host      builds the server, logs in from the peer, sums up
//! ```

mod enter;
mod host;
mod preflight;
mod seal;
mod start;

use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// The only scenario so far.
const SCENARIO: (&str, &str) = (
    "move-ssh",
    "a small server that drops everything but SSH on port 22: move it to 33001 and close 22",
);
/// Where the lab keeps what belongs to itself; in memory, seen only inside.
const HOME: &str = "/run/faspwall-lab";
/// The program's directory in there, first in the PATH of every login.
const BIN: &str = "/run/faspwall-lab/bin";
/// Name of the peer's network namespace.
const PEER: &str = "peer";
/// The server's address.
const SERVER: &str = "10.88.0.2";

/// What `faspwall lab` is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// List the scenarios.
    List,
    /// Build the lab and run a command on its server, in a login from the peer.
    Start {
        /// The scenario; the first when it is not named.
        scenario: Option<String>,
        /// The command: `faspwall` with its flags for the wizard.
        command: Vec<String>,
    },
    /// A command on the peer of the lab that is running; a shell when it is empty.
    Enter {
        /// The command.
        command: Vec<String>,
    },
}

/// Why the lab cannot be had, and what to type next.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Programs are missing.
    #[error("{}", preflight::missing_text(missing, install))]
    Missing {
        /// All of them at once.
        missing: Vec<Tool>,
        /// The command that installs them.
        install: String,
    },
    /// This host does not let us make namespaces.
    #[error("The lab cannot be sealed: {reason}.\nNothing was changed. {next}")]
    Forbidden {
        /// The setting that forbids it, with its value.
        reason: String,
        /// The command that changes it.
        next: String,
    },
    /// An inner stage was started by hand.
    #[error("lab-inside works in the lab only ({0}); type  faspwall lab")]
    NotSealed(&'static str),
    /// No such scenario.
    #[error("there is no scenario {0:?}; type  faspwall lab --list")]
    NoScenario(String),
    /// Nothing to enter.
    #[error("no lab of yours is running; type  faspwall lab  in another terminal first")]
    NotRunning,
    /// The peer could not log in, or the command it ran there failed.
    #[error("the peer's login on TCP/{door} failed: {complaint}")]
    Login {
        /// The port.
        door: u16,
        /// What ssh, or the command there, said.
        complaint: String,
    },
    /// A step of the set-up failed.
    #[error("{0}\nThe lab is gone again and nothing outside was changed.")]
    System(#[from] SystemError),
}

impl LabError {
    /// The exit status that goes with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. } => 5,
            Self::Forbidden { .. } => 4,
            Self::NotSealed(_) | Self::NoScenario(_) | Self::NotRunning => 2,
            Self::Login { .. } | Self::System(_) => 6,
        }
    }
}

/// `faspwall lab`, seen from outside; returns the exit status.
pub fn run(system: &dyn System, order: &Order) -> Result<u8, LabError> {
    match order {
        Order::List => {
            println!("{:12}{}", SCENARIO.0, SCENARIO.1);
            Ok(0)
        }
        Order::Start { scenario, command } => {
            if let Some(name) = scenario.as_ref().filter(|name| *name != SCENARIO.0) {
                return Err(LabError::NoScenario(name.clone()));
            }
            start::start(system, command)
        }
        Order::Enter { command } => enter::enter(system, command),
    }
}

/// The hidden `faspwall lab-inside STAGE COMMAND...`; returns the exit status.
pub fn inside(system: &dyn System, words: &[String]) -> Result<u8, LabError> {
    let (stage, command) = words
        .split_first()
        .map_or(("", [].as_slice()), |(s, rest)| (s.as_str(), rest));
    match stage {
        "map" => start::mapped(system, command),
        "init" => start::init(system, command),
        "host" => host::host(system, command),
        _ => Err(LabError::NotSealed("no such stage")),
    }
}

/// The peer logs in on the door and confirms; for the wizard, which runs on the lab's server. Returns what the
/// confirmation said.
pub fn peer_login(system: &dyn System, door: u16, code: &str) -> Result<String, LabError> {
    let port = door.to_string();
    let target = format!("root@{SERVER}");
    let words = [
        "netns",
        "exec",
        PEER,
        "ssh",
        "-T",
        "-o",
        "BatchMode=yes",
        "-p",
        &port,
        &target,
        "faspwall",
        "confirm",
        code,
    ];
    // The last confirmation commits, which reloads sshd and reads everything back.
    let call = Invocation::new(Tool::Ip, words).within(std::time::Duration::from_secs(60));
    let output = system.run(&call)?;
    if output.ok() {
        Ok(output.stdout.trim().to_owned())
    } else {
        Err(LabError::Login {
            door,
            complaint: output.complaint(),
        })
    }
}
