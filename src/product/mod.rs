//! The ports that `aspera.conf` names, beside those of the plan; and how the file is brought to the plan's.
//!
//! The file is changed in place instead of by the vendor's asconfigurator: that one writes the whole file anew, so that
//! nobody could see beforehand what would change, and comments of the operator could be lost.

pub mod edit;
pub mod merge;

use crate::answers::Answers;
use crate::catalogue::{PortAnswer, Role};
use crate::facts::AsperaFacts;
use crate::plan::Plan;
use edit::{Edit, Place};

pub use merge::taken_back;

/// What the product uses where the file names no port: schema of aspera.conf 4.4.7.
const USUAL_PORT: u16 = 33_001;
/// The ports of the fallback, by the same schema.
const USUAL_FALLBACK: (u16, u16) = (8080, 8443);

/// Services of the product that read the file when they start.
const NODE: &str = "asperanoded";
const CENTRAL: &str = "asperacentral";
const FALLBACK: &str = "asperahttpd";

/// What kind of disagreement it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The product uses another port than the one that is opened.
    Port,
    /// The port is opened, but the product has the service switched off.
    Off,
}

/// A value of aspera.conf that does not agree with the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What kind.
    pub kind: Kind,
    /// What is wrong, such as `ssh_port is 22, but ssh.port is 33001`.
    pub text: String,
    /// The vendor's command for it; `None` where there is none, and the file itself must be changed.
    pub command: Option<String>,
    /// The same in the file.
    pub edit: Edit,
    /// Services to be restarted afterwards.
    pub services: &'static [&'static str],
}

/// Everything in which aspera.conf does not agree with the plan.
pub fn differences(plan: &Plan, answers: &Answers, role: &Role, aspera: &AsperaFacts) -> Vec<Difference> {
    let mut list = List {
        role,
        // What is not in a file that was read as a whole has the product's own default.
        silent: aspera.conf.is_some() && aspera.problems.is_empty(),
        found: Vec::new(),
    };
    if plan.inbound_ssh().is_some() {
        list.ssh(answers.ssh.port, aspera);
    }
    list.udp(answers.fasp_udp.first(), aspera);
    list.fallback(plan, answers, aspera);
    if let (Some(vlink), Some(configured)) = (&answers.vlink, aspera.vlink_port) {
        let id = aspera.vlink_id.as_ref();
        list.add(&Setting {
            name: "mcast_port",
            answer: PortAnswer::VlinkUdp,
            configured: Some(configured),
            usual: configured,
            wanted: vlink.udp,
            place: Place::Trunks,
            command: id.map(|id| format!("set_trunk_data;id,{id};trunk_mcast_port")),
            services: &[CENTRAL, NODE],
        });
    }
    list.found
}

/// A port of the file beside the one of the answers.
struct Setting {
    name: &'static str,
    answer: PortAnswer,
    configured: Option<u16>,
    usual: u16,
    wanted: u16,
    place: Place,
    command: Option<String>,
    services: &'static [&'static str],
}

struct List<'a> {
    role: &'a Role,
    silent: bool,
    found: Vec<Difference>,
}

impl List<'_> {
    fn add(&mut self, setting: &Setting) {
        let Some(port) = setting.configured.or(self.silent.then_some(setting.usual)) else {
            return;
        };
        if port == setting.wanted || !self.role.uses(setting.answer) {
            return;
        }
        let found = match setting.configured {
            Some(port) => format!("is {port}"),
            None => format!("is not set, which means {port}"),
        };
        let (name, wanted) = (setting.name, setting.wanted);
        let key = setting.answer.key().unwrap_or_default();
        self.found.push(Difference {
            kind: Kind::Port,
            text: format!("{name} {found}, but {key} is {wanted}"),
            command: setting
                .command
                .as_ref()
                .map(|option| format!("asconfigurator -x \"{option},{wanted}\"")),
            edit: Edit {
                place: setting.place,
                value: wanted.to_string(),
            },
            services: setting.services,
        });
    }

    fn ssh(&mut self, wanted: u16, aspera: &AsperaFacts) {
        self.add(&Setting {
            name: "ssh_port",
            answer: PortAnswer::SshPort,
            configured: aspera.ssh_port,
            usual: USUAL_PORT,
            wanted,
            place: Place::Element(&["server", "ssh_port"]),
            command: Some(String::from("set_server_data;ssh_port")),
            services: &[NODE],
        });
        self.web(
            ("SshPort of <WEB>", "SshPort"),
            PortAnswer::SshPort,
            aspera.web_ssh_port,
            wanted,
        );
    }

    /// A port that the old web pages tell clients: an attribute, for which the vendor has no command.
    fn web(
        &mut self,
        (name, attribute): (&'static str, &'static str),
        answer: PortAnswer,
        configured: Option<u16>,
        wanted: u16,
    ) {
        if configured.is_some() {
            self.add(&Setting {
                name,
                answer,
                configured,
                usual: wanted,
                wanted,
                place: Place::Attribute {
                    element: "web",
                    name: attribute,
                },
                command: None,
                services: &[],
            });
        }
    }

    fn udp(&mut self, wanted: u16, aspera: &AsperaFacts) {
        self.add(&Setting {
            name: "bind_udp_port",
            answer: PortAnswer::FaspUdp,
            configured: aspera.udp_port,
            usual: USUAL_PORT,
            wanted,
            place: Place::Element(&["default", "transfer", "protocol_options", "bind_udp_port"]),
            command: Some(String::from(
                "set_node_data;transfer_protocol_options_bind_udp_port",
            )),
            services: &[CENTRAL, NODE],
        });
        self.web(
            ("UdpPort of <WEB>", "UdpPort"),
            PortAnswer::FaspUdp,
            aspera.web_udp_port,
            wanted,
        );
    }

    fn fallback(&mut self, plan: &Plan, answers: &Answers, aspera: &AsperaFacts) {
        let chosen = answers.http_fallback;
        let rows: [(_, _, _, _, _, &[&str], &[&str]); 2] = [
            (
                "http",
                PortAnswer::FallbackHttp,
                chosen.http,
                aspera.http,
                USUAL_FALLBACK.0,
                &["http_server", "http_port"],
                &["http_server", "enable_http"],
            ),
            (
                "https",
                PortAnswer::FallbackHttps,
                chosen.https,
                aspera.https,
                USUAL_FALLBACK.1,
                &["http_server", "https_port"],
                &["http_server", "enable_https"],
            ),
        ];
        for (name, answer, wanted, configured, usual, port_place, on_place) in rows {
            let Some(wanted) = wanted.filter(|port| plan.opens(crate::port::Protocol::Tcp, *port).is_some())
            else {
                continue;
            };
            self.add(&Setting {
                name: if name == "http" { "http_port" } else { "https_port" },
                answer,
                configured: configured.map(|(port, _)| port),
                usual,
                wanted,
                place: Place::Element(port_place),
                command: Some(format!("set_http_server_data;{name}_port")),
                services: &[FALLBACK],
            });
            let (attribute, told) = if name == "http" {
                (
                    ("HttpFallbackPort of <WEB>", "HttpFallbackPort"),
                    aspera.web_http_port,
                )
            } else {
                (
                    ("HttpsFallbackPort of <WEB>", "HttpsFallbackPort"),
                    aspera.web_https_port,
                )
            };
            self.web(attribute, answer, told, wanted);
            let on = configured.map(|(_, on)| on).or(self.silent.then_some(false));
            if on == Some(false) {
                let state = if configured.is_some() {
                    "is false"
                } else {
                    "is not set, which means false"
                };
                self.found.push(Difference {
                    kind: Kind::Off,
                    text: format!("enable_{name} {state}"),
                    command: Some(format!(
                        "asconfigurator -x \"set_http_server_data;enable_{name},true\""
                    )),
                    edit: Edit {
                        place: Place::Element(on_place),
                        value: String::from("true"),
                    },
                    services: &[FALLBACK],
                });
            }
        }
    }
}

/// How the services that must read the file anew are restarted; `None` when there is nothing to restart.
pub fn restart(differences: &[Difference], systemd: bool) -> Option<String> {
    let mut services: Vec<&str> = differences.iter().flat_map(|d| d.services).copied().collect();
    services.sort_unstable();
    services.dedup();
    if services.is_empty() {
        return None;
    }
    Some(if systemd {
        format!("systemctl restart {}", services.join(" "))
    } else {
        let each: Vec<String> = services.iter().map(|s| format!("service {s} restart")).collect();
        each.join(" && ")
    })
}
