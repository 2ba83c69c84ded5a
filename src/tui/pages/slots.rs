//! The ports that can be chosen on the page of options: each belongs to one answer and to one need of the role.

use ipnet::IpNet;

use super::{chosen_role, need};
use crate::answers::{Answers, Vlink};
use crate::catalogue::{Catalogue, Need, PortAnswer};
use crate::plan::plan;
use crate::port::{Direction, PortRange, Protocol, parse_port};
use crate::product::differences;
use crate::tui::Shared;

/// The slots in the order of the page.
pub const SLOTS: [Slot; 7] = [
    Slot {
        answer: PortAnswer::FaspUdp,
        name: "fasp data",
    },
    Slot {
        answer: PortAnswer::FallbackHttp,
        name: "HTTP fallback",
    },
    Slot {
        answer: PortAnswer::FallbackHttps,
        name: "HTTPS fallback",
    },
    Slot {
        answer: PortAnswer::WebHttp,
        name: "web UI, HTTP",
    },
    Slot {
        answer: PortAnswer::WebHttps,
        name: "web UI, HTTPS",
    },
    Slot {
        answer: PortAnswer::NodeHttps,
        name: "Node API, HTTPS",
    },
    Slot {
        answer: PortAnswer::VlinkUdp,
        name: "Vlink sync",
    },
];

/// The multicast network that is taken when no group is named: the vendor names none.
const EVERY_GROUP: &str = "224.0.0.0/4";

/// One port to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The answer behind it.
    pub answer: PortAnswer,
    /// Its name on the page.
    pub name: &'static str,
}

/// What stands in the answers for a slot.
pub fn value(answers: &Answers, answer: PortAnswer) -> Option<String> {
    let port = match answer {
        PortAnswer::FaspUdp => return Some(answers.fasp_udp.to_string()),
        PortAnswer::FallbackHttp => answers.http_fallback.http,
        PortAnswer::FallbackHttps => answers.http_fallback.https,
        PortAnswer::WebHttp => answers.web_ui.http,
        PortAnswer::WebHttps => answers.web_ui.https,
        PortAnswer::NodeHttps => answers.node_api,
        PortAnswer::VlinkUdp => answers.vlink.as_ref().map(|vlink| vlink.udp),
        PortAnswer::SshPort => Some(answers.ssh.port),
        PortAnswer::Fixed => None,
    };
    port.map(|port| port.to_string())
}

/// Puts a text into the answers; `None` switches the slot off. Errors say what is wrong with the text.
pub fn set(answers: &mut Answers, answer: PortAnswer, text: Option<&str>) -> Result<(), String> {
    let says = |error: crate::port::PortError| error.to_string();
    if answer == PortAnswer::FaspUdp {
        if let Some(text) = text {
            answers.fasp_udp = text.parse::<PortRange>().map_err(says)?;
        }
        return Ok(());
    }
    let port = text.map(parse_port).transpose().map_err(says)?;
    match answer {
        PortAnswer::FallbackHttp => answers.http_fallback.http = port,
        PortAnswer::FallbackHttps => answers.http_fallback.https = port,
        PortAnswer::WebHttp => answers.web_ui.http = port,
        PortAnswer::WebHttps => answers.web_ui.https = port,
        PortAnswer::NodeHttps => answers.node_api = port,
        PortAnswer::VlinkUdp => {
            let group = answers.vlink.take().map(|vlink| vlink.group).or_else(every_group);
            answers.vlink = port.zip(group).map(|(udp, group)| Vlink { udp, group });
        }
        PortAnswer::FaspUdp | PortAnswer::SshPort | PortAnswer::Fixed => {}
    }
    Ok(())
}

fn every_group() -> Option<IpNet> {
    EVERY_GROUP.parse().ok()
}

/// The needs of the chosen role that can be chosen on the page.
pub fn offered(shared: &Shared) -> Vec<(Slot, &Need)> {
    let Some(role) = chosen_role(shared) else {
        return Vec::new();
    };
    SLOTS
        .iter()
        .filter_map(|slot| Some((*slot, need(role, slot.answer)?)))
        .collect()
}

/// The need of the chosen role that a slot stands for.
pub fn need_of(slot: Slot, shared: &Shared) -> Option<&Need> {
    need(chosen_role(shared)?, slot.answer)
}

/// For what else a TCP port has been chosen than for SSH.
pub fn other_use(port: u16, shared: &Shared) -> Option<&'static str> {
    offered(shared)
        .into_iter()
        .find(|(slot, need)| {
            need.protocol == Protocol::Tcp
                && value(&shared.answers, slot.answer).is_some_and(|text| text == port.to_string())
        })
        .map(|(slot, _)| slot.name)
}

/// The needs of the chosen role that are off and have no port to choose.
pub fn extras(shared: &Shared) -> Vec<&Need> {
    chosen_role(shared)
        .map(|role| role.extras().collect())
        .unwrap_or_default()
}

/// What is wrong with the answers, pages of SSH left aside; the same check that an answers file goes through.
pub fn mistake(shared: &Shared) -> Option<String> {
    shared
        .answers
        .check(Catalogue::builtin())
        .into_iter()
        .find(|mistake| !mistake.key.starts_with("ssh."))
        .map(|mistake| mistake.fault.to_string())
}

/// In what aspera.conf does not agree with the answers, a line each; empty where there is no such file, or it agrees.
pub fn conf_differs(shared: &Shared) -> Vec<String> {
    let (Some(aspera), Some(role)) = (&shared.facts.aspera, chosen_role(shared)) else {
        return Vec::new();
    };
    if aspera.conf.is_none() || !role.takes_ssh() {
        return Vec::new();
    }
    let Ok(plan) = plan(Catalogue::builtin(), &shared.answers) else {
        return Vec::new();
    };
    let found = differences(&plan, &shared.answers, role, aspera);
    found.into_iter().map(|difference| difference.text).collect()
}

/// `TCP/33001`, `UDP/33001`: every port that would be opened for others.
pub fn opened(shared: &Shared) -> Vec<String> {
    let mut ports: Vec<String> = Vec::new();
    for need in chosen_role(shared).into_iter().flat_map(|role| &role.needs) {
        if let (Direction::In, Ok(Some(range))) = (need.direction, shared.answers.ports_of(need)) {
            let port = format!("{}/{range}", need.protocol.to_string().to_uppercase());
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    ports
}
