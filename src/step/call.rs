//! How a program is started.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Tool, quoted};

/// One call of a program: never through a shell, with a fixed PATH, `LC_ALL=C`, an empty environment and a time limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// The program.
    pub tool: Tool,
    /// Its arguments, without the program's own name.
    pub args: Vec<String>,
    /// What it reads on its standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// After this many milliseconds it is killed and counts as failed.
    pub timeout_ms: u64,
}

impl Invocation {
    /// A call with the usual limit of 15 seconds.
    pub fn new<S: Into<String>>(tool: Tool, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            tool,
            args: args.into_iter().map(Into::into).collect(),
            stdin: None,
            timeout_ms: 15_000,
        }
    }

    /// The same call, fed `text` on standard input.
    #[must_use]
    pub fn with_stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// The same call with another time limit.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Program and arguments as a list.
    pub fn argv(&self) -> Vec<String> {
        std::iter::once(self.tool.name().to_owned())
            .chain(self.args.iter().cloned())
            .collect()
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tool.name())?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        if let Some(text) = &self.stdin {
            write!(f, " <<'END'\n{}\nEND", text.trim_end())?;
        }
        Ok(())
    }
}
