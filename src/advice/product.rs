//! Advice about the Aspera product: its ports, its configuration, its platform.

use super::{Advice, Case, Severity, socket_line};
use crate::catalogue::{NeedDefault, PortAnswer, UdpRule};
use crate::facts::AsperaFacts;
use crate::port::{PortRange, Protocol};

/// FW006: fallback or web ports chosen but the product has them disabled.
pub fn web_ports_disabled(case: &Case<'_>) -> Option<Advice> {
    let aspera = case.facts.aspera.as_ref()?;
    let chosen = case.answers.http_fallback;
    let mut seen = Vec::new();
    let mut commands = Vec::new();
    for (name, port, configured) in [
        ("http", chosen.http, aspera.http),
        ("https", chosen.https, aspera.https),
    ] {
        let planned = port.is_some_and(|port| case.plan.opens(Protocol::Tcp, port).is_some());
        if planned && configured.is_some_and(|(_, enabled)| !enabled) {
            seen.push(format!("{}: enable_{name} is false", conf(aspera)));
            commands.push(format!(
                "asconfigurator -x \"set_http_server_data;enable_{name},true\""
            ));
        }
    }
    if seen.is_empty() {
        return None;
    }
    let text = format!(
        "HTTP fallback is asked for, but the product has it disabled: the opened port would lead nowhere. Leave \
         [http_fallback] out, or enable it (it needs a licence) and restart asperahttpd:   {}",
        commands.join("   and   ")
    );
    Some(Advice::new("FW006", Severity::Warning, text).seen(seen))
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
    let aspera = case.facts.aspera.as_ref()?;
    let role = case.catalogue.role(&case.plan.role)?;
    let mut seen = Vec::new();
    let mut commands = Vec::new();
    for setting in settings(case, aspera) {
        if !role.uses(setting.answer) || setting.configured == setting.chosen {
            continue;
        }
        seen.push(format!(
            "{}: {} is {}, but {} is {}",
            conf(aspera),
            setting.name,
            setting.configured,
            setting.answer.key().unwrap_or_default(),
            setting.chosen
        ));
        commands.extend(setting.command);
    }
    if seen.is_empty() {
        return None;
    }
    let how = if commands.is_empty() {
        String::new()
    } else {
        format!(" To change the product:   {}", commands.join("   and   "))
    };
    let text = format!(
        "The product is configured for other ports than the ones that would be opened, so transfers would fail. \
         Change the answers, or the product.{how}"
    );
    Some(Advice::new("FW016", Severity::Warning, text).seen(seen))
}

/// A port in aspera.conf beside the one in the answers.
struct Setting {
    name: &'static str,
    answer: PortAnswer,
    configured: u16,
    chosen: u16,
    /// `None` where the command needs more than is known here.
    command: Option<String>,
}

fn settings(case: &Case<'_>, aspera: &AsperaFacts) -> Vec<Setting> {
    let answers = case.answers;
    let mut settings = Vec::new();
    let mut add = |name, answer, configured: Option<u16>, chosen: Option<u16>, command: Option<&str>| {
        if let (Some(configured), Some(chosen)) = (configured, chosen) {
            settings.push(Setting {
                name,
                answer,
                configured,
                chosen,
                command: command.map(|option| format!("asconfigurator -x \"{option},{chosen}\"")),
            });
        }
    };
    if case.plan.inbound_ssh().is_some() {
        let option = "set_server_data;ssh_port";
        add(
            "ssh_port",
            PortAnswer::SshPort,
            aspera.ssh_port,
            Some(answers.ssh.port),
            Some(option),
        );
    }
    let option = "set_node_data;transfer_protocol_options_bind_udp_port";
    let first = answers.fasp_udp.first();
    add(
        "bind_udp_port",
        PortAnswer::FaspUdp,
        aspera.udp_port,
        Some(first),
        Some(option),
    );
    let chosen = answers.http_fallback;
    let http = aspera.http.map(|(port, _)| port);
    let https = aspera.https.map(|(port, _)| port);
    let option = "set_http_server_data;http_port";
    add(
        "http_port",
        PortAnswer::FallbackHttp,
        http,
        chosen.http,
        Some(option),
    );
    let option = "set_http_server_data;https_port";
    add(
        "https_port",
        PortAnswer::FallbackHttps,
        https,
        chosen.https,
        Some(option),
    );
    let vlink = answers.vlink.as_ref().map(|vlink| vlink.udp);
    add("mcast_port", PortAnswer::VlinkUdp, aspera.vlink_port, vlink, None);
    settings
}
