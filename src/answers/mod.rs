//! What the operator chose: the answers file, read and written.
//!
//! [`Answers::from_toml`] and [`Answers::to_toml`] are inverse; `assets/answers.toml` is the commented template that is
//! filled in, and with it the help for every key. [`Answers::check`] holds the rules that concern the values, so that
//! the wizard and the file obey the same ones.

mod check;
mod read;
mod write;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::catalogue::{Need, NeedDefault, PortAnswer, Role};
use crate::facts::BackendId;
use crate::port::{PortError, PortRange};

pub use check::{ADVICE_CODES, Fault, Mistake};
pub use read::AnswersError;

/// The port that the vendor asks for, TCP for SSH and UDP for FASP.
pub const ASPERA_PORT: u16 = 33_001;

/// The old SSH port.
pub const OLD_SSH_PORT: u16 = 22;

/// The Vlink port unless it was changed.
pub const VLINK_PORT: u16 = 55_001;

/// What becomes of TCP/22.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Legacy22 {
    /// Closed, after a login on the new port.
    #[default]
    Close,
    /// Left as it is.
    Keep,
    /// Only for the listed networks.
    Restrict,
}

/// Whether sshd is changed too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Daemon {
    /// sshd listens on the chosen port afterwards.
    #[default]
    Move,
    /// Only the firewall is changed.
    Leave,
}

/// `[ssh]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    /// The port that sshd shall use.
    pub port: u16,
    /// What becomes of TCP/22.
    pub legacy_22: Legacy22,
    /// Networks that may still use 22, with `restrict`.
    pub restrict_22_to: Vec<IpNet>,
    /// With `keep`: the day on which 22 is to be closed; `status` reminds from then on.
    pub keep_22_until: Option<jiff::civil::Date>,
    /// Whether sshd is changed too.
    pub daemon: Daemon,
}

/// Whether the ports in `aspera.conf` are changed too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AsperaConf {
    /// The file stays as it is; what does not agree is told.
    #[default]
    Leave,
    /// The file names the chosen ports afterwards.
    Set,
}

/// An HTTP and an HTTPS port, each on when it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpPorts {
    /// Plain.
    pub http: Option<u16>,
    /// TLS.
    pub https: Option<u16>,
}

/// `[vlink]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlink {
    /// The UDP port, the same on every member.
    pub udp: u16,
    /// Multicast group or network.
    pub group: IpNet,
}

/// When rules for outbound packets are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outbound {
    /// Only where an output chain drops.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `[firewall]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// `None` is `auto`.
    pub backend: Option<BackendId>,
    /// Who may reach the opened ports; empty is everyone.
    pub sources: Vec<IpNet>,
    /// Outbound rules.
    pub outbound: Outbound,
    /// Turn on a default-deny set where nothing filters.
    pub default_deny: bool,
    /// Enable the unit that loads the rules at boot, where it is not enabled.
    #[serde(default)]
    pub enable_at_boot: bool,
}

/// Everything that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Id of the role.
    pub role: String,
    /// SSH.
    pub ssh: Ssh,
    /// `[fasp] udp`
    pub fasp_udp: PortRange,
    /// HTTP fallback.
    pub http_fallback: HttpPorts,
    /// Web UI.
    pub web_ui: HttpPorts,
    /// Node API, TLS; off when absent.
    pub node_api: Option<u16>,
    /// Vlinks; off when absent.
    pub vlink: Option<Vlink>,
    /// Firewall.
    pub firewall: Firewall,
    /// `[aspera] conf`
    #[serde(default)]
    pub aspera_conf: AsperaConf,
    /// Codes of advice accepted on purpose.
    pub accept: Vec<String>,
    /// Needs of the role that are off by default and have no key of their own, by id.
    #[serde(default)]
    pub extra: Vec<String>,
}

impl Default for Vlink {
    /// Port 55001 and every multicast group: the vendor names no default group.
    fn default() -> Self {
        let group = Ipv4Net::new_assert(std::net::Ipv4Addr::new(224, 0, 0, 0), 4);
        Self {
            udp: VLINK_PORT,
            group: IpNet::V4(group),
        }
    }
}

impl Answers {
    /// What the role does by default: what is on in the catalogue, 22 shut, sshd moved.
    ///
    /// A role that takes no SSH from others leaves this host's sshd and its port 22 alone.
    pub fn for_role(role: &Role) -> Self {
        let port = |answer: PortAnswer, wanted: NeedDefault| {
            let need = role
                .needs
                .iter()
                .find(|need| need.answer == answer && need.default == wanted)?;
            Some(need.ports.parse::<PortRange>().ok()?.first())
        };
        let on = |answer| port(answer, NeedDefault::On);
        let fasp = on(PortAnswer::FaspUdp).unwrap_or(ASPERA_PORT);
        Self {
            role: role.id.clone(),
            ssh: Ssh {
                port: on(PortAnswer::SshPort).unwrap_or(ASPERA_PORT),
                legacy_22: if role.takes_ssh() {
                    Legacy22::Close
                } else {
                    Legacy22::Keep
                },
                restrict_22_to: Vec::new(),
                keep_22_until: None,
                daemon: if role.takes_ssh() {
                    Daemon::Move
                } else {
                    Daemon::Leave
                },
            },
            fasp_udp: PortRange::single(fasp).expect("33001, or a port of the catalogue, which was checked"),
            http_fallback: HttpPorts {
                http: on(PortAnswer::FallbackHttp),
                https: on(PortAnswer::FallbackHttps),
            },
            web_ui: HttpPorts {
                http: on(PortAnswer::WebHttp),
                https: on(PortAnswer::WebHttps),
            },
            node_api: on(PortAnswer::NodeHttps),
            vlink: on(PortAnswer::VlinkUdp).map(|udp| Vlink {
                udp,
                ..Vlink::default()
            }),
            firewall: Firewall::default(),
            aspera_conf: AsperaConf::Leave,
            accept: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// The ports that these answers give to a need; `None` when it is not asked for.
    pub fn ports_of(&self, need: &Need) -> Result<Option<PortRange>, PortError> {
        if need.default == NeedDefault::Loopback {
            return Ok(None);
        }
        let chosen = match need.answer {
            PortAnswer::SshPort => Some(self.ssh.port),
            PortAnswer::FaspUdp => return Ok(Some(self.fasp_udp)),
            PortAnswer::FallbackHttp => self.http_fallback.http,
            PortAnswer::FallbackHttps => self.http_fallback.https,
            PortAnswer::WebHttp => self.web_ui.http,
            PortAnswer::WebHttps => self.web_ui.https,
            PortAnswer::VlinkUdp => self.vlink.as_ref().map(|vlink| vlink.udp),
            PortAnswer::NodeHttps => self.node_api,
            PortAnswer::Fixed => {
                let asked = need.default == NeedDefault::On || self.extra.contains(&need.id);
                return if asked {
                    need.ports.parse().map(Some)
                } else {
                    Ok(None)
                };
            }
        };
        chosen.map(PortRange::single).transpose()
    }

    /// The same answers with TCP/22 closed to everyone: the second step of a move in two.
    #[must_use]
    pub fn closing_22(&self) -> Self {
        let mut answers = self.clone();
        answers.ssh.legacy_22 = Legacy22::Close;
        answers.ssh.restrict_22_to.clear();
        answers.ssh.keep_22_until = None;
        answers.accept.retain(|code| code != "FW001");
        answers
    }

    /// Whether an advice was accepted by its code.
    pub fn accepts(&self, code: &str) -> bool {
        self.accept.iter().any(|accepted| accepted == code)
    }
}
