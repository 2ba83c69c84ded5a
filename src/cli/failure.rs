//! How a command fails: an exit status that scripts rely on, and lines that say what happened, what was left, and what
//! to type next.

use crate::engine::EngineError;
use crate::lab::LabError;
use crate::rehearse::RehearseError;
use crate::system::SystemError;

/// A bug in faspwall.
pub const BUG: u8 = 1;
/// Usage, or a file that is wrong.
pub const USAGE: u8 = 2;
/// Needs privilege.
pub const PRIVILEGE: u8 = 4;
/// No usable firewall.
pub const NO_FIREWALL: u8 = 5;
/// Failed, and rolled back.
pub const FAILED: u8 = 6;
/// Rollback incomplete.
pub const INCOMPLETE: u8 = 7;
/// Another transaction is open, or the lock is held.
pub const BUSY: u8 = 8;
/// Refused as unsafe.
pub const REFUSED: u8 = 9;
/// Changes pending.
pub const PENDING: u8 = 10;

/// A failure with its exit status.
#[derive(Debug)]
pub struct Failure {
    /// Exit status.
    pub code: u8,
    /// What to print on standard error.
    pub lines: Vec<String>,
}

impl Failure {
    /// A failure with one message.
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            lines: vec![text.into()],
        }
    }

    /// Prints it.
    pub fn tell(&self) {
        for (number, line) in self.lines.iter().enumerate() {
            let margin = if number == 0 { "faspwall: " } else { "          " };
            super::print::err(&format!("{margin}{line}\n"));
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = match &error {
            EngineError::Privilege(_) => PRIVILEGE,
            EngineError::Open { .. } | EngineError::OpenElsewhere { .. } | EngineError::Locked { .. } => BUSY,
            EngineError::NoFirewall(_) | EngineError::System(SystemError::Missing { .. }) => NO_FIREWALL,
            EngineError::Check {
                source: SystemError::Missing { .. },
                ..
            } => NO_FIREWALL,
            EngineError::Obstacles(_) | EngineError::RulesetChanged(_) | EngineError::Refused(_) => REFUSED,
            EngineError::Check { .. }
            | EngineError::Step { .. }
            | EngineError::RolledBack { .. }
            | EngineError::System(_) => FAILED,
            EngineError::Incomplete { .. } => INCOMPLETE,
            EngineError::Journal { .. } => BUG,
        };
        Self {
            code,
            lines: error.to_string().lines().map(str::to_owned).collect(),
        }
    }
}

impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        Self {
            code: error.exit_code(),
            lines: error.to_string().lines().map(str::to_owned).collect(),
        }
    }
}

impl From<RehearseError> for Failure {
    fn from(error: RehearseError) -> Self {
        let code = match &error {
            RehearseError::Impossible(_) => NO_FIREWALL,
            RehearseError::NotSealed(_) => USAGE,
            // Nothing was done, so nothing was rolled back; and nobody knows whether the change is safe.
            RehearseError::Broken(_) | RehearseError::System(_) => REFUSED,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SystemError> for Failure {
    fn from(error: SystemError) -> Self {
        Self::from(EngineError::System(error))
    }
}
