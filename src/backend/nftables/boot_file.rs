//! The file that is loaded at boot, and the line in it that reads ours.

use std::path::PathBuf;

use crate::facts::BootFacts;

/// Where what is kept is written.
pub const NFT_FILE: &str = "/etc/nftables.d/faspwall.nft";
/// Reads our file and no other: what else lies in that directory may be switched off on purpose.
const INCLUDE: &str = "include \"/etc/nftables.d/faspwall*.nft\"";
/// A line of the operator's own that reads our file as well.
const THEIR_INCLUDE: &str = "include \"/etc/nftables.d/*.nft\"";
const INCLUDE_NOTE: &str = "# The next line was added by faspwall; it reads the rules that faspwall keeps.";

/// The include line is added to the file that is loaded at boot, and taken out again with the last of our rules:
/// path, content now, content afterwards; `None` when the file stays as it is.
pub fn boot_file_change(boot: &BootFacts, no_rules: bool) -> Option<(PathBuf, String, String)> {
    let (path, content) = (boot.file.clone()?, boot.content.clone()?);
    let after = if no_rules {
        without_include(&content)
    } else {
        with_include(&content)
    };
    (after != content).then_some((path, content, after))
}

/// The boot file with our include line at its end. A glob that matches nothing is no error for nft, a missing file is.
fn with_include(content: &str) -> String {
    if content
        .lines()
        .any(|line| matches!(line.trim(), INCLUDE | THEIR_INCLUDE))
    {
        return content.to_owned();
    }
    let end = if content.is_empty() || content.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{content}{end}{INCLUDE_NOTE}\n{INCLUDE}\n")
}

/// The boot file without the lines that we added; an include line of the operator's own stays.
pub fn without_include(content: &str) -> String {
    content.replace(&format!("{INCLUDE_NOTE}\n{INCLUDE}\n"), "")
}
