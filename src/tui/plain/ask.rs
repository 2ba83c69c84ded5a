//! The questions and their order.

use crate::answers::Legacy22;
use crate::catalogue::{PortAnswer, Role};
use crate::port::Direction;
use crate::tui::Shared;

use super::{Plain, Step};

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Fresh, resume, or only look.
    Start,
    /// Which product.
    Role,
    /// SSH port.
    Port,
    /// Whether sshd is changed too.
    Daemon,
    /// What becomes of 22.
    Legacy,
    /// Who may still use 22.
    Networks22,
    /// UDP port or range of fasp.
    Fasp,
    /// HTTP fallback.
    Fallback,
    /// Web UI.
    Web,
    /// Node API.
    Node,
    /// Vlinks.
    Vlink,
    /// Who may reach the ports.
    Sources,
    /// Which firewall.
    Firewall,
    /// The preview, and whether it is applied.
    Apply,
    /// The trial.
    Confirm,
    /// Status.
    Status,
    /// Kept changes.
    Snapshots,
    /// Whether to go back.
    GoBack,
    /// Whether an interrupted change is undone.
    Interrupted,
}

impl Ask {
    /// The page to resume on, in words.
    pub(super) fn page(self) -> Option<&'static str> {
        match self {
            Self::Role => Some("Role"),
            Self::Port | Self::Daemon | Self::Legacy | Self::Networks22 => Some("SSH"),
            Self::Fasp | Self::Fallback | Self::Web | Self::Node | Self::Vlink | Self::Sources => {
                Some("Options")
            }
            Self::Firewall => Some("Firewall"),
            Self::Apply => Some("Preview"),
            _ => None,
        }
    }
}

/// The role that was chosen.
pub(super) fn role(shared: &Shared) -> Option<&Role> {
    shared.roles.iter().find(|role| role.id == shared.answers.role)
}

/// Whether the role has an inbound need that this answer fills.
fn has(shared: &Shared, wanted: &[PortAnswer]) -> bool {
    role(shared).is_some_and(|role| {
        role.needs
            .iter()
            .any(|need| need.direction == Direction::In && wanted.contains(&need.answer))
    })
}

/// The questions of the set-up, in order, as the answers so far make them.
pub(super) fn sequence(shared: &Shared) -> Vec<Ask> {
    let mut list = vec![Ask::Start, Ask::Role];
    if has(shared, &[PortAnswer::SshPort]) {
        list.push(Ask::Port);
        if shared.answers.ssh.port != 22 {
            list.extend([Ask::Daemon, Ask::Legacy]);
        }
        if shared.answers.ssh.legacy_22 == Legacy22::Restrict {
            list.push(Ask::Networks22);
        }
    }
    for (ask, wanted) in [
        (Ask::Fasp, &[PortAnswer::FaspUdp][..]),
        (
            Ask::Fallback,
            &[PortAnswer::FallbackHttp, PortAnswer::FallbackHttps],
        ),
        (Ask::Web, &[PortAnswer::WebHttp, PortAnswer::WebHttps]),
        (Ask::Node, &[PortAnswer::NodeHttps]),
        (Ask::Vlink, &[PortAnswer::VlinkUdp]),
    ] {
        if has(shared, wanted) {
            list.push(ask);
        }
    }
    list.extend([Ask::Sources, Ask::Firewall, Ask::Apply]);
    list
}

impl Plain {
    pub(super) fn after(&self, at: Ask) -> Ask {
        let list = sequence(&self.shared);
        let place = list.iter().position(|ask| *ask == at).unwrap_or(0);
        list.get(place + 1).copied().unwrap_or(Ask::Apply)
    }

    pub(super) fn back(&mut self) -> Step {
        match self.at {
            Ask::Confirm => {
                self.say("There is no way back from here but undo. Type undo to go back now, or keep.");
                Step::Again
            }
            Ask::Start | Ask::Interrupted => {
                self.say("This is the first question.");
                Step::Again
            }
            Ask::GoBack => Step::To(Ask::Snapshots),
            Ask::Status | Ask::Snapshots => Step::To(Ask::Start),
            at => {
                let list = sequence(&self.shared);
                let place = list.iter().position(|ask| *ask == at).unwrap_or(1);
                Step::To(list.get(place.saturating_sub(1)).copied().unwrap_or(Ask::Start))
            }
        }
    }
}
