//! What the kernel does with a packet, of all tools together: nftables' own tables, and those of iptables in both
//! variants as `iptables-save` prints them.
//!
//! nft prints rules that iptables wrote without their extensions and comments, so those tables are taken from
//! iptables itself. The legacy variant is not known to nft at all.

use std::collections::BTreeMap;

use super::iptables::{Variant, save};
use super::nftables::inspect::owner;
use super::nftables::model::{ModelError, Ruleset};
use crate::facts::{Facts, Observations};
use crate::step::Tool;

/// The saves that a host may have, with the family of their tables.
pub const SAVES: [(Tool, &str, Variant); 6] = [
    (Tool::IptablesNftSave, "ip", Variant::Nft),
    (Tool::Ip6tablesNftSave, "ip6", Variant::Nft),
    (Tool::IptablesLegacySave, "ip", Variant::Legacy),
    (Tool::Ip6tablesLegacySave, "ip6", Variant::Legacy),
    // Where the variants have no names of their own, the text tells which one printed it.
    (Tool::IptablesSave, "ip", Variant::Legacy),
    (Tool::Ip6tablesSave, "ip6", Variant::Legacy),
];

/// The kernel's view from what detection kept; `Ok(None)` when the ruleset was not read.
pub fn of_facts(facts: &Facts) -> Result<Option<Ruleset>, ModelError> {
    let Some(mut ruleset) = of_observations(&facts.observations)? else {
        return Ok(None);
    };
    ruleset.know(&facts.links, facts.addresses.clone());
    Ok(Some(ruleset))
}

/// The same without what is known of addresses and links.
pub fn of_observations(observations: &Observations) -> Result<Option<Ruleset>, ModelError> {
    let Some(json) = &observations.nft_json else {
        return Ok(None);
    };
    view(json, &observations.outputs).map(Some)
}

/// Puts `nft -j list ruleset` and the saves (by the name of the program that printed them) together.
pub fn view(json: &str, saves: &BTreeMap<String, String>) -> Result<Ruleset, ModelError> {
    let mut ruleset = Ruleset::parse(json)?;
    for (family, name) in unclear_tables(&ruleset) {
        if let Some(text) = saves.get(&flags_command(&family, &name)) {
            let flags = flags_of(text);
            let table = ruleset
                .tables
                .iter_mut()
                .find(|t| t.family == family && t.name == name);
            if let Some(table) = table {
                table.owned = flags.contains(&"owner");
                table.dormant = flags.contains(&"dormant");
            }
        }
    }
    mark_native(&mut ruleset, saves);
    for (tool, family, variant) in SAVES {
        let Some(text) = saves.get(tool.name()) else {
            continue;
        };
        let plain = matches!(tool, Tool::IptablesSave | Tool::Ip6tablesSave);
        let variant = if plain { variant_of(text) } else { variant };
        take(&mut ruleset, save::read(text, family, variant), variant);
    }
    Ok(ruleset)
}

/// Marks the tables that bear a name of iptables and are none of its own: its save says so.
pub fn mark_native(ruleset: &mut Ruleset, saves: &BTreeMap<String, String>) {
    for (tool, family, _) in SAVES {
        let Some(text) = saves.get(tool.name()) else {
            continue;
        };
        for table in ruleset.tables.iter_mut().filter(|t| t.family == family) {
            table.native |= text.contains(&incompatible(&table.name));
        }
    }
}

/// What the nft variant prints in place of a table that bears a name of iptables and was written by nft.
fn incompatible(table: &str) -> String {
    format!("# Table `{table}' is incompatible, use 'nft' tool.")
}

/// Tables whose flags are not certain: nft 1.0.6 prints any word at all for them in its JSON, and none of it can be
/// trusted but that there is a flag.
pub fn unclear_tables(ruleset: &Ruleset) -> Vec<(String, String)> {
    // The name becomes a word of a command to nft: one that is no plain name is not asked for.
    let plain = |name: &str| {
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    let unclear = ruleset
        .tables
        .iter()
        .filter(|table| table.dormant && plain(&table.name));
    unclear.map(|t| (t.family.clone(), t.name.clone())).collect()
}

/// The words after `nft` that print a table with its flags, and without the elements of its sets.
pub fn flags_words<'w>(family: &'w str, name: &'w str) -> [&'w str; 5] {
    ["-t", "list", "table", family, name]
}

/// The name under which that output is kept.
pub fn flags_command(family: &str, name: &str) -> String {
    format!("{FLAGS_OF}{family} {name}")
}

/// How those names begin.
pub const FLAGS_OF: &str = "nft -t list table ";

/// The flags in `table inet guard { # progname nft`, `flags owner,persist`.
fn flags_of(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("chain "));
    let flags = lines.skip(1).find_map(|line| line.strip_prefix("flags "));
    flags.map_or_else(Vec::new, |flags| flags.split([',', ';']).map(str::trim).collect())
}

/// Which variant printed a save: `# Generated by iptables-save v1.8.9 (nf_tables) on ...`.
fn variant_of(text: &str) -> Variant {
    let first = text.lines().find(|line| line.starts_with("# Generated by"));
    match first {
        Some(line) if line.contains("(nf_tables)") => Variant::Nft,
        _ => Variant::Legacy,
    }
}

/// Families (`ip`, `ip6`) in which the kernel holds tables that look like those of iptables' nft variant: only then is
/// it worth asking for a save.
pub fn families_of_iptables(ruleset: &Ruleset) -> Vec<&'static str> {
    ["ip", "ip6"]
        .into_iter()
        .filter(|family| {
            ruleset.tables.iter().any(|t| {
                t.family == *family && owner(ruleset, family, &t.name).as_deref() == Some("iptables-nft")
            })
        })
        .collect()
}

/// Adds the tables of a save; those of the nft variant take the place of what nft printed of them.
fn take(ruleset: &mut Ruleset, save: Ruleset, variant: Variant) {
    for table in save.tables {
        let of_table = |family: &str, name: &str| family == table.family && name == table.name;
        if variant == Variant::Nft {
            let printed = ruleset
                .rules
                .iter()
                .filter(|r| of_table(&r.family, &r.table))
                .count();
            let saved = save
                .rules
                .iter()
                .filter(|r| of_table(&r.family, &r.table))
                .count();
            let known = ruleset.tables.iter().any(|t| of_table(&t.family, &t.name));
            // A save that leaves out rules, or was made while somebody changed them, says less than nft.
            if !known || printed != saved {
                continue;
            }
            ruleset.chains.retain(|c| !of_table(&c.family, &c.table));
            ruleset.rules.retain(|r| !of_table(&r.family, &r.table));
        } else {
            ruleset.tables.push(table.clone());
        }
        let chains = save.chains.iter().filter(|c| of_table(&c.family, &c.table));
        ruleset.chains.extend(chains.cloned());
        let rules = save.rules.iter().filter(|r| of_table(&r.family, &r.table));
        ruleset.rules.extend(rules.cloned());
    }
}

#[cfg(test)]
mod tests;
