//! iptables in both variants and both families: reads what `iptables-save` prints into the common model of a
//! ruleset, and writes the rules that let a requirement through.

pub mod bans;
pub mod files;
pub mod kept;
pub mod matches;
pub mod rules;
pub mod save;
pub mod sweep;
pub mod translate;

use std::fmt;

/// Where the kernel keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// In tables of nftables.
    Nft,
    /// In the older tables of their own.
    Legacy,
}

impl Variant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nft, Self::Legacy];

    /// The name that a table has in the model: a host may have the same table in both variants.
    pub fn table(self, name: &str) -> String {
        match self {
            Self::Nft => name.to_owned(),
            Self::Legacy => format!("{name}{LEGACY}"),
        }
    }

    /// The variant and the plain name of a table of the model.
    pub fn of(table: &str) -> (Self, &str) {
        match table.strip_suffix(LEGACY) {
            Some(name) => (Self::Legacy, name),
            None => (Self::Nft, table),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        })
    }
}

/// No table of the kernel can have this in its name.
const LEGACY: &str = " (legacy)";
