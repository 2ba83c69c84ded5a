//! Reads what the copy is made of. Nothing on the host is changed, and no tool is asked whose mere question would be.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;
use serde_json::Value;

use super::RehearseError;
use super::copy::{Copy, loadable, zone_sets};
use crate::backend::firewalld::has_rules;
use crate::backend::firewalld::state::LISTED;
use crate::backend::nftables::Ruleset;
use crate::backend::nftables::inspect::owner;
use crate::facts::{BackendId, Facts, Link};
use crate::step::{Invocation, Tool};
use crate::system::{System, SystemError};

/// Settings that decide what becomes of a packet, below /proc/sys/net.
const SETTINGS: [&str; 10] = [
    "ipv4/conf/all/rp_filter",
    "ipv4/conf/default/rp_filter",
    "ipv4/ip_forward",
    "ipv4/conf/all/route_localnet",
    "ipv4/tcp_syncookies",
    "ipv6/conf/all/forwarding",
    "netfilter/nf_conntrack_tcp_loose",
    "netfilter/nf_conntrack_tcp_be_liberal",
    "netfilter/nf_conntrack_udp_timeout",
    "netfilter/nf_conntrack_tcp_ignore_invalid_rst",
];

/// The interfaces of this host, from the facts or from the kernel.
pub fn links(system: &dyn System, facts: &Facts) -> Vec<Link> {
    if !facts.links.is_empty() {
        return facts.links.clone();
    }
    let ask = |words: &[&str]| {
        let output = system.run(&Invocation::new(Tool::Ip, words.iter().copied()));
        let text = output
            .ok()
            .filter(|output| output.ok())
            .map(|output| output.stdout);
        serde_json::from_str::<Vec<Value>>(&text.unwrap_or_default()).unwrap_or_default()
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let routes: Vec<String> = ask(&["-j", "route", "show", "default"])
        .iter()
        .chain(&ask(&["-j", "-6", "route", "show", "default"]))
        .filter_map(|route| text(route, "dev"))
        .collect();
    ask(&["-j", "address"])
        .iter()
        .filter_map(|link| {
            let name = text(link, "ifname")?;
            let infos = link.get("addr_info").and_then(Value::as_array);
            let address = |info: &Value| -> Option<IpNet> {
                let length = info.get("prefixlen").and_then(Value::as_u64)?;
                IpNet::new(text(info, "local")?.parse().ok()?, u8::try_from(length).ok()?).ok()
            };
            Some(Link {
                kind: None,
                addresses: infos.into_iter().flatten().filter_map(address).collect(),
                default_route: routes.contains(&name),
                outside: name != "lo",
                name,
            })
        })
        .collect()
}

/// Whether this host speaks IPv6 at all.
pub fn has_v6(system: &dyn System) -> bool {
    let off = Path::new("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    system
        .read_text(off)
        .is_some_and(|text| text.trim().starts_with('0'))
}

/// Reads all rules. `ruleset` are those of the facts, as they are understood.
pub fn copy(system: &dyn System, facts: &Facts, ruleset: &Ruleset) -> Result<Copy, RehearseError> {
    let mut copy = Copy::default();
    let mut of_iptables = BTreeSet::new();
    if system.locate(Tool::Nft).is_some() {
        let output = system.run_ok(&Invocation::new(Tool::Nft, ["list", "ruleset"]))?;
        of_iptables = kept_by_iptables(ruleset, &output.stderr);
        copy.firewalld = zones(facts, ruleset);
        let mut elsewhere = of_iptables.clone();
        if copy.firewalld.is_some() {
            // The copy's own daemon makes it.
            elsewhere.insert(("inet".to_owned(), "firewalld".to_owned()));
            copy.zone_sets = zone_sets(&output.stdout);
        }
        copy.nft = loadable(&output.stdout, &elsewhere, &mut copy.left_out);
        let bridges = ruleset.tables.iter().filter(|table| table.family == "bridge");
        copy.left_out.extend(bridges.map(|table| {
            format!(
                "table bridge {}: bridges of this host are plain interfaces in the copy, and their filters see no packet",
                table.name
            )
        }));
    }
    nft_saves(system, facts, &of_iptables, &mut copy)?;
    legacy_saves(system, facts, &mut copy)?;
    let names_sets = |(_, text): &(Tool, String)| text.contains("--match-set ") || text.contains("-j SET");
    if copy.saves.iter().any(names_sets) && system.locate(Tool::Ipset).is_some() {
        copy.ipset = system.run_ok(&Invocation::new(Tool::Ipset, ["save"]))?.stdout;
    }
    copy.settings = settings(system);
    Ok(copy)
}

/// What iptables keeps in nftables, as its own save prints it.
fn nft_saves(
    system: &dyn System,
    facts: &Facts,
    of_iptables: &BTreeSet<(String, String)>,
    copy: &mut Copy,
) -> Result<(), RehearseError> {
    for (family, save, plain, restore, plain_restore) in [
        (
            "ip",
            Tool::IptablesNftSave,
            Tool::IptablesSave,
            Tool::IptablesNftRestore,
            Tool::IptablesRestore,
        ),
        (
            "ip6",
            Tool::Ip6tablesNftSave,
            Tool::Ip6tablesSave,
            Tool::Ip6tablesNftRestore,
            Tool::Ip6tablesRestore,
        ),
    ] {
        if of_iptables.iter().any(|(f, _)| f == family) {
            let named = system.locate(save).is_some();
            let (save, restore) = if named {
                (save, restore)
            } else {
                (plain, plain_restore)
            };
            copy.saves.push((restore, saved(system, facts, save)?));
        }
    }
    Ok(())
}

/// What a save program printed when the host was looked at, or prints now. A change is made for what was seen then, and
/// is not begun when anything has changed since.
fn saved(system: &dyn System, facts: &Facts, save: Tool) -> Result<String, SystemError> {
    if let Some(text) = facts.observations.outputs.get(save.name()) {
        return Ok(text.clone());
    }
    let call = Invocation::new(save, Vec::<String>::new());
    Ok(system.run_ok(&call)?.stdout)
}

/// What the old iptables keeps by itself.
fn legacy_saves(system: &dyn System, facts: &Facts, copy: &mut Copy) -> Result<(), RehearseError> {
    for (names, save, restore) in [
        (
            "/proc/net/ip_tables_names",
            Tool::IptablesLegacySave,
            Tool::IptablesLegacyRestore,
        ),
        (
            "/proc/net/ip6_tables_names",
            Tool::Ip6tablesLegacySave,
            Tool::Ip6tablesLegacyRestore,
        ),
    ] {
        // A table that nobody asked for is made by the question itself.
        let loaded = system.read_text(Path::new(names)).unwrap_or_default();
        if loaded.trim().is_empty() {
            continue;
        }
        if system.locate(save).is_none() {
            copy.left_out.push(format!(
                "rules of the old iptables: {} is not installed",
                save.name()
            ));
            continue;
        }
        copy.saves.push((restore, saved(system, facts, save)?));
    }
    Ok(())
}

/// The zones of a firewalld that runs and filters. Where somebody has flushed its rules, there is nothing of it to copy.
fn zones(facts: &Facts, ruleset: &Ruleset) -> Option<String> {
    let runs = facts
        .backends
        .iter()
        .any(|b| b.id == BackendId::Firewalld && b.active);
    let listed = facts.observations.outputs.get(LISTED)?;
    (runs && has_rules(facts, ruleset)).then(|| listed.clone())
}

/// Tables that iptables-nft keeps in nftables, by what nft warns of and by what only iptables-nft writes.
fn kept_by_iptables(ruleset: &Ruleset, warnings: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for line in warnings.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["#", "Warning:", "table", family, name, "is", "managed", ..] = words.as_slice() {
            found.insert(((*family).to_owned(), (*name).to_owned()));
        }
    }
    for table in &ruleset.tables {
        let family = table.family.as_str();
        let whose = owner(ruleset, family, &table.name);
        if matches!(family, "ip" | "ip6") && whose.as_deref() == Some("iptables-nft") {
            found.insert((table.family.clone(), table.name.clone()));
        }
    }
    found
}

fn settings(system: &dyn System) -> Vec<(String, String)> {
    let mut all: Vec<String> = SETTINGS.iter().map(|path| format!("net/{path}")).collect();
    for dir in system.list(Path::new("/proc/sys/net/ipv4/conf")) {
        if let Some(name) = dir.file_name().and_then(|name| name.to_str())
            && !matches!(name, "all" | "default" | "lo")
        {
            all.push(format!("net/ipv4/conf/{name}/rp_filter"));
        }
    }
    all.into_iter()
        .filter_map(|path| {
            let value = system.read_text(&Path::new("/proc/sys").join(&path))?;
            Some((path, value.trim().to_owned()))
        })
        .collect()
}
