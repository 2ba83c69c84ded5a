//! Rules of iptables in a step.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Step, Tool};

/// In the text of a rule: the moment until which it holds. It is filled in when the step is performed.
pub const UNTIL: &str = "UNTIL";

/// One rule in the words of `iptables-restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeRule {
    /// The program that takes it: it tells family and variant.
    pub tool: Tool,
    /// Its table.
    pub table: String,
    /// `-I INPUT -p tcp ... -j ACCEPT`
    pub rule: String,
}

impl NativeRule {
    /// Whether the kernel takes the rule for over after a while.
    pub fn timed(&self) -> bool {
        self.rule.split_whitespace().any(|word| word == UNTIL)
    }
}

impl Step {
    /// The same step whose timed rules hold for that many seconds.
    #[must_use]
    pub fn lasting(mut self, for_seconds: u64) -> Self {
        if let Self::SweepIptables { seconds, .. } = &mut self {
            *seconds = for_seconds;
        }
        self
    }
}

/// The text that `iptables-restore --noflush` reads: what each table is to be told, in order.
pub fn batch(lines: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut tables: Vec<&str> = Vec::new();
    for (table, _) in lines {
        if !tables.contains(&table.as_str()) {
            tables.push(table);
        }
    }
    for table in tables {
        text.push_str(&format!("*{table}\n"));
        for (_, line) in lines.iter().filter(|(of, _)| of == table) {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("COMMIT\n");
    }
    text
}

/// As it could be typed, but for the deletions: which those are is looked up at that moment.
pub(super) fn print(
    f: &mut fmt::Formatter<'_>,
    tag: &str,
    tools: &[Tool],
    then: &[NativeRule],
    seconds: u64,
) -> fmt::Result {
    let names: Vec<&str> = tools.iter().map(|tool| plain_name(*tool)).collect();
    write!(f, "{}: delete rules tagged {tag}:*", names.join(", "))?;
    let until = format!(
        "$(date -u -d '+{} seconds' +%FT%T)",
        Duration::from_secs(seconds).as_secs()
    );
    for tool in tools {
        let lines: Vec<(String, String)> = then
            .iter()
            .filter(|rule| rule.tool == *tool)
            .map(|rule| (rule.table.clone(), rule.rule.replace(UNTIL, &until)))
            .collect();
        if !lines.is_empty() {
            write!(
                f,
                "; in the same batch:\n{} --noflush -w 10 <<END\n{}END",
                tool.name(),
                batch(&lines)
            )?;
        }
    }
    Ok(())
}

/// `iptables-nft` for `iptables-nft-restore`.
pub fn plain_name(tool: Tool) -> &'static str {
    tool.name().strip_suffix("-restore").unwrap_or(tool.name())
}
