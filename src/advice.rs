//! What the operator should know before going on: stable codes, evidence from this host, a way out.

use serde::{Deserialize, Serialize};

/// How much an advice weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Better changed.
    Warning,
    /// Apply is refused until it is changed, or accepted by its code.
    Blocker,
}

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// `FW001` and so on: never changes its meaning.
    pub code: String,
    /// Weight.
    pub severity: Severity,
    /// One or two sentences: what, why, and what to do.
    pub text: String,
    /// What was seen on this host, a line each.
    pub evidence: Vec<String>,
}
