//! A ruleset from a file, such as one that was captured elsewhere: loaded on a made-up host with one interface and
//! addresses for documentation, and looked at there. It needs no root.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cast::Cast;
use super::copy::{Copy, loadable};
use super::{RehearseError, Script, Subject, load, material, sealed};
use crate::engine::detect::detect;
use crate::engine::kernel::RULESET_LIMIT;
use crate::facts::{BackendId, Facts, Listener, Observations};
use crate::port::Protocol;
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// The made-up host loads native rules from here.
const NFTABLES_FILE: &str = "/etc/nftables.conf";
/// Where rulesets are loaded from at boot: the made-up host has the pasted one there, and nothing else.
const BOOT_FILES: [&str; 5] = [
    NFTABLES_FILE,
    "/etc/nftables.d/faspwall.nft",
    "/etc/sysconfig/nftables.conf",
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
];
/// What iptables-save prints where there is nothing.
const NO_RULES: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
/// Front ends whose files on this machine say nothing about the made-up host.
const FRONT_ENDS: [&str; 2] = ["/etc/ufw", "/etc/firewalld"];

/// A host made of a ruleset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pasted {
    /// What was found out about it.
    pub facts: Facts,
    observations: Observations,
    pub(super) copy: Copy,
    /// Its boot files.
    pub(super) files: Vec<(PathBuf, String)>,
}

impl Pasted {
    /// Loads a ruleset, as `nft list ruleset` or `iptables-save` print it or as a boot file holds it, and looks at the
    /// host that it makes. Its sshd listens on 22 and on `ssh_port`.
    pub fn read(
        system: &dyn System,
        text: &str,
        ssh_port: u16,
        report: &mut dyn FnMut(&str),
    ) -> Result<Self, RehearseError> {
        let copy = copy_of(system, text)?;
        let files = boot_files(&copy);
        let facts = Facts::default();
        let subject = Subject {
            facts: &facts,
            change: None,
            requirements: &[],
            closing: &[],
            spared: &[],
            sweep: false,
            pasted: None,
            live: None,
        };
        let script = Script {
            cast: Cast::new(&subject, &[], &copy, material::has_v6(system)),
            copy,
            files: Some(files),
            survey: true,
            ..Script::default()
        };
        report("loading the ruleset on a made-up host");
        let mut pasted: Self = sealed(system, &script, report)?;
        pasted.facts.observations = std::mem::take(&mut pasted.observations);
        pasted.facts.ssh.daemon = "OpenSSH".to_owned();
        pasted.facts.ssh.ports = vec![22, ssh_port];
        pasted.facts.ssh.ports.dedup();
        let listener = |port: &u16| Listener {
            protocol: Protocol::Tcp,
            address: std::net::Ipv4Addr::UNSPECIFIED.into(),
            port: *port,
            program: Some("sshd".to_owned()),
            pid: None,
            uid: Some(0),
        };
        pasted.facts.listeners = pasted.facts.ssh.ports.iter().map(listener).collect();
        Ok(pasted)
    }
}

/// Tells the two kinds of text apart.
fn copy_of(system: &dyn System, text: &str) -> Result<Copy, RehearseError> {
    // An editor of another system may have been at it: no tool reads its line ends and its mark in front.
    let text = &text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut copy = Copy::default();
    if !text.lines().any(|line| line.trim() == "COMMIT") {
        if !text.split_whitespace().any(|word| word == "table") {
            let hint = "it is neither what nft list ruleset nor what iptables-save prints";
            return Err(RehearseError::Broken(format!(
                "the ruleset cannot be read: {hint}"
            )));
        }
        text.clone_into(&mut copy.nft);
        return Ok(copy);
    }
    // Both families may stand in one file, one behind the other.
    let parts = parts(text);
    let told: Vec<Option<bool>> = parts.iter().map(|part| is_ipv6(part)).collect();
    // A table that says nothing of it is of the family of the others.
    let all_six = told.contains(&Some(true)) && !told.contains(&Some(false));
    for (part, six) in parts.into_iter().zip(told) {
        let (named, plain) = if six.unwrap_or(all_six) {
            (Tool::Ip6tablesNftRestore, Tool::Ip6tablesRestore)
        } else {
            (Tool::IptablesNftRestore, Tool::IptablesRestore)
        };
        let tool = [named, plain]
            .into_iter()
            .find(|tool| system.locate(*tool).is_some());
        let tool = tool.ok_or(SystemError::Missing { tool: plain })?;
        match copy.saves.iter_mut().find(|(known, _)| *known == tool) {
            Some((_, text)) => text.push_str(&part),
            None => copy.saves.push((tool, part)),
        }
    }
    Ok(copy)
}

/// Whether a table of iptables is one for IPv6, by its addresses, by words that only one family has, or else by the
/// program that says that it printed it.
fn is_ipv6(part: &str) -> Option<bool> {
    let rules = || part.lines().filter(|line| line.starts_with('-'));
    let words = || rules().flat_map(|line| line.split([' ', ',']));
    let address = |word: &str| {
        word.split('/')
            .next()
            .and_then(|text| text.parse::<IpAddr>().ok())
    };
    let only_six = |word: &str| word.starts_with("icmp6-") || word.contains("icmpv6") || word == "ipv6-icmp";
    let only_four = |word: &str| matches!(word, "icmp" | "--icmp-type") || word.starts_with("icmp-");
    if words().any(|word| only_four(word) || address(word).is_some_and(|a| a.is_ipv4())) {
        return Some(false);
    }
    if words().any(|word| only_six(word) || address(word).is_some_and(|a| a.is_ipv6())) {
        return Some(true);
    }
    let says = |program: &str| part.contains(&format!("by {program}"));
    (says("ip6tables-save") || says("iptables-save")).then(|| says("ip6tables-save"))
}

/// One text for each table, with the comment that says which program printed it.
fn parts(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for line in text.lines() {
        part.push_str(line);
        part.push('\n');
        if line.trim() == "COMMIT" {
            parts.push(std::mem::take(&mut part));
        }
    }
    parts
}

fn boot_files(copy: &Copy) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    if !copy.nft.is_empty() {
        files.push((PathBuf::from(NFTABLES_FILE), copy.nft.clone()));
    }
    if !copy.saves.is_empty() {
        // What keeps the rules of one family keeps those of both.
        for path in ["/etc/iptables/rules.v4", "/etc/iptables/rules.v6"] {
            files.push((PathBuf::from(path), NO_RULES.to_owned()));
        }
    }
    for (tool, text) in &copy.saves {
        let six = matches!(tool, Tool::Ip6tablesNftRestore | Tool::Ip6tablesRestore);
        let path = if six {
            "/etc/iptables/rules.v6"
        } else {
            "/etc/iptables/rules.v4"
        };
        files.retain(|(known, _)| known != Path::new(path));
        files.push((PathBuf::from(path), text.clone()));
    }
    files
}

/// Inside: the made-up host's files, in place of those of this machine.
pub fn put_files(system: &dyn System, files: &[(PathBuf, String)]) -> Result<(), SystemError> {
    for path in BOOT_FILES {
        system.remove(Path::new(path))?;
    }
    for dir in FRONT_ENDS {
        if system.resolve(Path::new(dir)).is_some() {
            crate::sealed::empty(system, dir, "755")?;
        }
    }
    for (path, text) in files {
        if let Some(dir) = path.parent() {
            system.make_dir(dir, 0o755)?;
        }
        system.replace(path, text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// Inside: loads the ruleset and looks at what it makes of the host.
pub fn survey(system: &dyn System, script: &Script) -> Result<Pasted, RehearseError> {
    let mut notes = Vec::new();
    let mut copy = script.copy.clone();
    let mut files = script.files.clone().unwrap_or_default();
    let whole = Invocation::new(Tool::Nft, ["-f", "-"]).with_stdin(copy.nft.as_str());
    // A text by hand may hold what only the whole says; piece by piece is the second choice.
    if copy.nft.is_empty() || system.run(&whole)?.ok() {
        copy.nft.clear();
        load::load(system, &copy, &mut notes)?;
    } else {
        copy.nft = loadable(&copy.nft, &std::collections::BTreeSet::new(), &mut notes);
        load::load(system, &copy, &mut notes)?;
        files = loaded_files(system, files)?;
    }
    let mut facts = detect(system, &mut |_| {});
    let mut copy = material::copy(system, &facts, &super::rules(&facts))?;
    copy.left_out.extend(notes);
    let of_iptables = !script.copy.saves.is_empty();
    if facts.backend.is_none() && facts.refusal.is_none() {
        facts.backend = Some(if of_iptables {
            BackendId::Iptables
        } else {
            BackendId::Nftables
        });
    }
    facts.hostname = "made-up".to_owned();
    Ok(Pasted {
        observations: std::mem::take(&mut facts.observations),
        facts,
        copy,
        files,
    })
}

/// The boot files of a host that has loaded only what this kernel takes: it boots with the same, or no check of the next
/// boot could pass. What was left out is named.
fn loaded_files(
    system: &dyn System,
    mut files: Vec<(PathBuf, String)>,
) -> Result<Vec<(PathBuf, String)>, SystemError> {
    let list = Invocation::new(Tool::Nft, ["list", "ruleset"]).within(RULESET_LIMIT);
    let loaded = system.run_ok(&list)?.stdout;
    for (path, text) in &mut files {
        if path == Path::new(NFTABLES_FILE) {
            *text = format!("flush ruleset\n{loaded}");
            system.replace(path, text.as_bytes(), 0o644)?;
        }
    }
    Ok(files)
}
