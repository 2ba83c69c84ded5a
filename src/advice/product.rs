//! Advice about the Aspera product: its ports, its configuration, its platform.

use super::{Advice, Case, Severity, socket_line};
use crate::answers::AsperaConf;
use crate::catalogue::{NeedDefault, PortAnswer, UdpRule};
use crate::facts::AsperaFacts;
use crate::port::PortRange;
use crate::product::{Difference, Kind, differences, restart};

/// FW006: fallback or web ports chosen but the product has them disabled.
pub fn web_ports_disabled(case: &Case<'_>) -> Option<Advice> {
    let found = differences_of(case, Kind::Off);
    if found.is_empty() {
        return None;
    }
    if case.answers.aspera_conf == AsperaConf::Set {
        let text = format!(
            "The product has HTTP fallback disabled; this change enables it in aspera.conf. It works only with a \
             licence for it.{}",
            restart_of(case, &found)
        );
        return Some(Advice::new("FW006", Severity::Note, text).seen(evidence(case, &found)));
    }
    let text = format!(
        "HTTP fallback is asked for, but the product has it disabled: the opened port would lead nowhere. Leave \
         [http_fallback] out, or enable it (it needs a licence), such as with conf = \"set\" in [aspera]:   {}{}",
        commands(&found),
        restart_of(case, &found)
    );
    Some(Advice::new("FW006", Severity::Warning, text).seen(evidence(case, &found)))
}

/// FW018: the product offers HTTP fallback on a port that stays shut.
pub fn fallback_not_opened(case: &Case<'_>) -> Option<Advice> {
    let aspera = case.facts.aspera.as_ref()?;
    let role = case.catalogue.role(&case.plan.role)?;
    let chosen = case.answers.http_fallback;
    let mut seen = Vec::new();
    let mut keys = Vec::new();
    let mut commands = Vec::new();
    for (name, answer, chosen, configured) in [
        ("http", PortAnswer::FallbackHttp, chosen.http, aspera.http),
        ("https", PortAnswer::FallbackHttps, chosen.https, aspera.https),
    ] {
        if let (None, Some((port, true)), true) = (chosen, configured, role.uses(answer)) {
            seen.push(format!(
                "{}: enable_{name} is true, {name}_port is {port}",
                conf(aspera)
            ));
            keys.push(format!("{name} = {port}"));
            commands.push(format!(
                "asconfigurator -x \"set_http_server_data;enable_{name},false\""
            ));
        }
    }
    if seen.is_empty() {
        return None;
    }
    let text = format!(
        "The product offers HTTP fallback, but this plan does not open its port: clients without UDP would fail. Write \
         {} in [http_fallback] to open it, or switch it off in the product:   {}",
        keys.join(" and "),
        commands.join("   and   ")
    );
    Some(Advice::new("FW018", Severity::Warning, text).seen(seen))
}

fn differences_of(case: &Case<'_>, kind: Kind) -> Vec<Difference> {
    let (Some(aspera), Some(role)) = (&case.facts.aspera, case.catalogue.role(&case.plan.role)) else {
        return Vec::new();
    };
    let mut found = differences(case.plan, case.answers, role, aspera);
    found.retain(|difference| difference.kind == kind);
    found
}

fn evidence(case: &Case<'_>, found: &[Difference]) -> Vec<String> {
    let name = case.facts.aspera.as_ref().map(conf).unwrap_or_default();
    found
        .iter()
        .map(|difference| format!("{name}: {}", difference.text))
        .collect()
}

fn commands(found: &[Difference]) -> String {
    let commands: Vec<&str> = found.iter().filter_map(|d| d.command.as_deref()).collect();
    commands.join("   and   ")
}

fn restart_of(case: &Case<'_>, found: &[Difference]) -> String {
    restart(found, case.facts.os.systemd)
        .map(|command| format!("   Afterwards:   {command}"))
        .unwrap_or_default()
}

fn conf(aspera: &AsperaFacts) -> String {
    aspera
        .conf
        .as_ref()
        .map_or_else(|| "aspera.conf".to_owned(), |path| path.display().to_string())
}

/// The UDP rule of this host, for roles that take FASP in.
fn udp_rule<'a>(case: &Case<'a>) -> Option<(&'a UdpRule, PortRange)> {
    let range = case
        .plan
        .requirements
        .iter()
        .find(|requirement| requirement.id == "fasp")?
        .ports;
    if case.facts.os.id.is_empty() {
        return None;
    }
    let reuse = case
        .facts
        .aspera
        .as_ref()
        .and_then(|aspera| aspera.udp_port_reuse);
    Some((case.catalogue.udp_rule(&case.facts.os.id, reuse)?, range))
}

/// FW007: one UDP port where this platform needs a range.
pub fn one_udp_port(case: &Case<'_>) -> Option<Advice> {
    let (rule, range) = udp_rule(case)?;
    if !rule.may_need_range() || range.count() > 1 {
        return None;
    }
    let example = rule
        .range(range.first(), 100, 2)
        .map_or_else(|_| "33001-33100".to_owned(), |range| range.to_string());
    let text = format!(
        "One UDP port carries one transfer at a time here. {} Choose a range as long as the number of transfers at \
         the same time, such as udp = \"{example}\" in [fasp].",
        rule.why
    );
    Some(Advice::new("FW007", Severity::Warning, text).seen([format!("platform: {}", rule.name)]))
}

/// FW017: a range of UDP ports where this platform needs one.
pub fn range_not_needed(case: &Case<'_>) -> Option<Advice> {
    let (rule, range) = udp_rule(case)?;
    if rule.may_need_range() || range.count() == 1 {
        return None;
    }
    let text = format!(
        "{} UDP ports are opened for FASP. {} One port is enough unless udp_port_reuse is set to false in aspera.conf.",
        range.count(),
        rule.why
    );
    Some(Advice::new("FW017", Severity::Note, text))
}

/// FW014: a port that only this host may reach is reachable from outside.
pub fn loopback_reachable(case: &Case<'_>) -> Option<Advice> {
    let role = case.catalogue.role(&case.plan.role)?;
    let mut seen = Vec::new();
    for need in role
        .needs
        .iter()
        .filter(|need| need.default == NeedDefault::Loopback)
    {
        let Ok(ports) = need.ports.parse::<PortRange>() else {
            continue;
        };
        let reachable = case.facts.listeners.iter().filter(|socket| {
            socket.protocol == need.protocol && ports.contains(socket.port) && !socket.loopback()
        });
        for socket in reachable {
            if case.plan.opens(socket.protocol, socket.port).is_none() {
                seen.push(format!("{}. {}", socket_line(socket), need.why));
            }
        }
    }
    if seen.is_empty() {
        return None;
    }
    let text = "A port that only this host itself should reach listens on an outside address. This plan does not open \
                it, but a host without a dropping firewall shows it to everyone. Bind it to 127.0.0.1.";
    Some(Advice::new("FW014", Severity::Warning, text).seen(seen))
}

/// 33001 with a slip of the finger. The first two have been seen in published instructions.
const SLIPS: [u16; 7] = [3301, 30001, 3001, 3300, 30301, 33301, 31001];

/// FW015: a port that looks like a slip of the finger.
pub fn probable_typo(case: &Case<'_>) -> Option<Advice> {
    let fasp = case.answers.fasp_udp;
    let mut seen = Vec::new();
    for requirement in &case.plan.requirements {
        let (key, port) = match requirement.id.as_str() {
            "ssh" | "ssh-out" | "node-ssh-out" if SLIPS.contains(&case.answers.ssh.port) => {
                ("ssh.port", case.answers.ssh.port)
            }
            "fasp" | "fasp-out" if SLIPS.contains(&fasp.first()) => ("fasp.udp", fasp.first()),
            "fasp" | "fasp-out" if SLIPS.contains(&fasp.last()) => ("fasp.udp", fasp.last()),
            _ => continue,
        };
        seen.push(format!("{key} = {port}"));
    }
    if seen.is_empty() {
        return None;
    }
    let text = "A port looks like 33001 with a slip of the finger. If it is meant, go on; else write 33001.";
    Some(Advice::new("FW015", Severity::Warning, text).seen(seen))
}

/// FW016: aspera.conf names other ports than the answers.
pub fn configuration_differs(case: &Case<'_>) -> Option<Advice> {
    let found = differences_of(case, Kind::Port);
    if found.is_empty() {
        return None;
    }
    if case.answers.aspera_conf == AsperaConf::Set {
        let text = format!(
            "The product is configured for other ports; this change sets them in aspera.conf.{}",
            restart_of(case, &found)
        );
        return Some(Advice::new("FW016", Severity::Note, text).seen(evidence(case, &found)));
    }
    let how = match commands(&found) {
        none if none.is_empty() => String::from(" in its file by hand"),
        commands if found.iter().any(|difference| difference.command.is_none()) => {
            format!(":   {commands}   and its <WEB> section in the file by hand")
        }
        commands => format!(":   {commands}"),
    };
    let text = format!(
        "The product is configured for other ports than the ones that would be opened, so transfers would fail. \
         Change the answers, let this change set them (conf = \"set\" in [aspera]), or change the product{how}{}",
        restart_of(case, &found)
    );
    Some(Advice::new("FW016", Severity::Warning, text).seen(evidence(case, &found)))
}
