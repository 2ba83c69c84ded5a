//! Loads the copy. A rule that this kernel refuses there, such as one for a user or a control group that does not exist
//! in the copy, becomes a counter and is named; the rest of its table is loaded all the same.

use super::RehearseError;
use super::copy::{Copy, defines, heading, mended, tables};
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// So many rules of one table may be refused before it is given up.
const MENDED: usize = 64;

/// Loads everything; what could not be loaded is added to the notes.
pub fn load(system: &dyn System, copy: &Copy, notes: &mut Vec<String>) -> Result<(), RehearseError> {
    if !copy.ipset.trim().is_empty() {
        let output =
            system.run(&Invocation::new(Tool::Ipset, ["restore"]).with_stdin(copy.ipset.as_str()))?;
        if !output.ok() {
            notes.push(format!("sets of ipset: {}", output.complaint()));
        }
    }
    if let Some(zones) = &copy.firewalld {
        super::daemon::start(system, zones, &copy.zone_sets, notes)?;
    }
    for (tool, text) in &copy.saves {
        // Counters are of no use there, and comments of no interest.
        system.run_ok(&Invocation::new(*tool, Vec::<String>::new()).with_stdin(text.as_str()))?;
    }
    if copy.nft.trim().is_empty() {
        return Ok(());
    }
    if nft(system, &copy.nft)?.is_none() {
        return Ok(());
    }
    let defines = defines(&copy.nft);
    for table in tables(&copy.nft) {
        load_table(system, &defines, table, notes)?;
    }
    Ok(())
}

/// Loads a text; what nft complained of when it did not.
fn nft(system: &dyn System, text: &str) -> Result<Option<(Option<usize>, String)>, SystemError> {
    let output = system.run(&Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(text))?;
    if output.ok() {
        return Ok(None);
    }
    Ok(Some((refused_line(&output.stderr), output.complaint())))
}

fn load_table(
    system: &dyn System,
    defines: &str,
    table: &str,
    notes: &mut Vec<String>,
) -> Result<(), SystemError> {
    let (family, name) = heading(table);
    let mut text = format!("{defines}{table}");
    let mut refused = Vec::new();
    for _ in 0..MENDED {
        let Some((line, complaint)) = nft(system, &text)? else {
            notes.append(&mut refused);
            return Ok(());
        };
        let line = line.map(|line| user_of_definition(&text, line).unwrap_or(line));
        let Some((better, rule)) = line.and_then(|line| mended(&text, line)) else {
            notes.push(format!("table {family} {name}: {complaint}"));
            return Ok(());
        };
        refused.push(format!(
            "table {family} {name}, a rule that the copy refuses: {rule}"
        ));
        text = better;
    }
    notes.push(format!(
        "table {family} {name}: the copy refuses too many of its rules"
    ));
    Ok(())
}

/// nft names the definition of a variable whose value it does not take: the line that uses it is what it refuses.
fn user_of_definition(text: &str, line: usize) -> Option<usize> {
    let definition = text.lines().nth(line.checked_sub(1)?)?;
    let name = definition
        .strip_prefix("define ")?
        .split(['=', ' ', '\t'])
        .next()?;
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
    let uses = |line: &str| {
        let mut behind = line.split('$').skip(1);
        behind.any(|rest| {
            rest.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(in_name))
        })
    };
    let index = text.lines().position(uses)?;
    Some(index + 1)
}

/// The line in `/dev/stdin:12:3-20: Error: ...`.
fn refused_line(complaint: &str) -> Option<usize> {
    complaint.lines().find_map(|line| {
        let (_, rest) = line.split_once("stdin:").or_else(|| line.split_once("-:"))?;
        rest.split(':').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_definition_that_is_refused_the_rule_that_uses_it_is_meant() {
        let text = "define who = nobody_here\ntable ip a {\n\tchain c {\n\t\tmeta mark $whom accept\n\t\tmeta skuid $who accept\n\t}\n}\n";
        assert_eq!(user_of_definition(text, 1), Some(5));
        assert_eq!(user_of_definition(text, 4), None);
        assert_eq!(user_of_definition("define a = b\n", 1), None);
    }

    #[test]
    fn the_line_that_nft_complains_of_is_read() {
        let text = "/dev/stdin:5:3-29: Error: Could not process rule: No such file or directory\n\t\tx\n";
        assert_eq!(refused_line(text), Some(5));
        assert_eq!(refused_line("netlink: Error: cache initialization failed"), None);
    }
}
