//! Rules of iptables in a step.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Step, Tool};

/// In the text of a rule: the moment until which it holds. It is filled in when the step is performed.
pub const UNTIL: &str = "UNTIL";

/// How much longer a timed accept holds than its window. It ends by the time of day, and what shuts the old port by the
/// time since boot: were the clock set ahead in a trial, as it is soon after a boot, the accept would be over while the old
/// port is still shut, and nobody could come in. An accept that stays takes nothing from anybody; the guard and every undo
/// remove it in time, and this end is for a host on which nothing of ours is left to do so.
pub const CLOCK_STEP: Duration = Duration::from_secs(24 * 3600);

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

/// A rule of the filter table and how often it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptablesRule {
    /// `-A CHAIN ...`
    pub rule: String,
    /// How many of it there shall be.
    pub count: usize,
    /// A missing one goes before this rule of the chain, counted from 0 and without those that bear a mark of ours; to
    /// the end where there are not so many.
    pub at: usize,
}

impl fmt::Display for IptablesRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule.strip_prefix("-A ").unwrap_or(&self.rule);
        let (chain, rest) = rule.split_once(' ').unwrap_or((rule, ""));
        if self.count == 0 {
            write!(f, "-D {chain} {rest}")
        } else {
            write!(f, "-I {chain} {} {rest}", self.at + 1)
        }
    }
}

impl Step {
    /// The same step whose timed rules hold for that many seconds.
    #[must_use]
    pub fn lasting(mut self, for_seconds: u64) -> Self {
        if let Self::SweepIptables { seconds, .. } | Self::PatchIptables { seconds, .. } = &mut self {
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

/// A step of this kind.
pub(super) fn print(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    match step {
        Step::SweepIptables {
            tag,
            tools,
            then,
            seconds,
        } => print_sweep(f, tag, tools, then, *seconds),
        Step::PatchIptables {
            tool,
            sweep,
            rules,
            seconds,
        } => print_patch(f, *tool, sweep, rules, *seconds),
        _ => Ok(()),
    }
}

/// The end of a timed rule, as a shell would work it out.
fn until(seconds: u64) -> String {
    let hours = CLOCK_STEP.as_secs() / 3600;
    format!("$(date -u -d '+{hours} hours +{seconds} seconds' +%FT%T)")
}

/// As it could be typed, but that it leaves alone what is so already.
fn print_patch(
    f: &mut fmt::Formatter<'_>,
    tool: Tool,
    sweep: &str,
    rules: &[IptablesRule],
    seconds: u64,
) -> fmt::Result {
    if !sweep.is_empty() {
        write!(f, "{}: delete rules tagged {sweep}:*", plain_name(tool))?;
    }
    if rules.is_empty() {
        return Ok(());
    }
    if !sweep.is_empty() {
        f.write_str("; in the same batch:\n")?;
    }
    let text: Vec<String> = rules.iter().map(ToString::to_string).collect();
    write!(
        f,
        "{} --noflush -w 10 <<END\n*filter\n{}\nCOMMIT\nEND",
        tool.name(),
        text.join("\n").replace(UNTIL, &until(seconds))
    )
}

/// As it could be typed, but for the deletions: which those are is looked up at that moment.
fn print_sweep(
    f: &mut fmt::Formatter<'_>,
    tag: &str,
    tools: &[Tool],
    then: &[NativeRule],
    seconds: u64,
) -> fmt::Result {
    let names: Vec<&str> = tools.iter().map(|tool| plain_name(*tool)).collect();
    write!(f, "{}: delete rules tagged {tag}:*", names.join(", "))?;
    let until = until(seconds);
    let mut first = true;
    for tool in tools {
        let lines: Vec<(String, String)> = then
            .iter()
            .filter(|rule| rule.tool == *tool)
            .map(|rule| (rule.table.clone(), rule.rule.replace(UNTIL, &until)))
            .collect();
        if !lines.is_empty() {
            if first {
                f.write_str("; in the same batch:")?;
                first = false;
            }
            write!(f, "\n{} --noflush -w 10 <<END\n{}END", tool.name(), batch(&lines))?;
        }
    }
    Ok(())
}

/// `iptables-nft` for `iptables-nft-restore`.
pub fn plain_name(tool: Tool) -> &'static str {
    tool.name().strip_suffix("-restore").unwrap_or(tool.name())
}
