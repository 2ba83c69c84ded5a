//! The questions and their order.

use crate::answers::Legacy22;
use crate::catalogue::{Need, NeedDefault, PortAnswer, Role};
use crate::port::Direction;
use crate::tui::pages::slots;
use crate::tui::wizard::asks_about_22;
use crate::tui::{Shared, words};

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
    /// On which day 22 is to be closed.
    Until22,
    /// UDP port or range of fasp.
    Fasp,
    /// Whether one of the following ports is to be changed.
    Further,
    /// A port of the role that is not always wanted.
    Optional(PortAnswer),
    /// A fixed port of the role that is off by default, by its place among the role's needs.
    Extra(usize),
    /// For which packets on the way out rules are written.
    Outbound,
    /// Who may reach the ports.
    Sources,
    /// Whether the ports are set in aspera.conf too.
    Conf,
    /// Which firewall.
    Firewall,
    /// Whether what loads the rules is started at boot from now on.
    AtBoot,
    /// Whether what the plan does not open is refused, on a host where nothing filters.
    DefaultDeny,
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
            Self::Port | Self::Daemon | Self::Legacy | Self::Networks22 | Self::Until22 => Some("SSH"),
            Self::Fasp
            | Self::Further
            | Self::Optional(_)
            | Self::Extra(_)
            | Self::Outbound
            | Self::Sources
            | Self::Conf => Some("Options"),
            Self::Firewall | Self::AtBoot | Self::DefaultDeny => Some("Firewall"),
            Self::Apply => Some("Preview"),
            _ => None,
        }
    }
}

/// The role that was chosen.
pub(super) fn role(shared: &Shared) -> Option<&Role> {
    shared.roles.iter().find(|role| role.id == shared.answers.role)
}

/// Ports that are asked for one by one, in this order.
const OPTIONAL: [PortAnswer; 6] = [
    PortAnswer::FallbackHttp,
    PortAnswer::FallbackHttps,
    PortAnswer::WebHttp,
    PortAnswer::WebHttps,
    PortAnswer::NodeHttps,
    PortAnswer::VlinkUdp,
];

/// The first need of the role that an answer fills, inbound ones first.
pub(super) fn need(shared: &Shared, wanted: PortAnswer) -> Option<&Need> {
    let fits = |need: &&Need| need.answer == wanted && need.default != NeedDefault::Loopback;
    let needs = &role(shared)?.needs;
    needs
        .iter()
        .filter(fits)
        .find(|need| need.direction == Direction::In)
        .or_else(|| needs.iter().find(fits))
}

/// The questions about ports that the role does not always want.
pub(super) fn further(shared: &Shared) -> Vec<Ask> {
    let optional = OPTIONAL
        .into_iter()
        .filter(|answer| need(shared, *answer).is_some());
    let needs = role(shared).map(|role| role.needs.as_slice()).unwrap_or_default();
    let extra = |need: &Need| need.answer == PortAnswer::Fixed && need.default == NeedDefault::Off;
    let extras = needs.iter().enumerate().filter(|(_, need)| extra(need));
    optional
        .map(Ask::Optional)
        .chain(extras.map(|(place, _)| Ask::Extra(place)))
        .collect()
}

/// Whether the further ports are asked for one by one: most hosts need none of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum FurtherPorts {
    /// Left as they are.
    #[default]
    Skipped,
    /// One by one.
    Asked,
}

/// The questions of the set-up, in order, as the answers so far make them.
pub(super) fn sequence(shared: &Shared, wanted: FurtherPorts) -> Vec<Ask> {
    let mut list = vec![Ask::Start, Ask::Role];
    if role(shared).is_some_and(Role::takes_ssh) {
        list.push(Ask::Port);
        if shared.answers.ssh.port != 22 {
            list.push(Ask::Daemon);
            if asks_about_22(shared) {
                list.push(Ask::Legacy);
            }
        }
        if shared.answers.ssh.legacy_22 == Legacy22::Restrict {
            list.push(Ask::Networks22);
        }
        if shared.answers.ssh.keep_22_until.is_some() {
            list.push(Ask::Until22);
        }
    }
    if need(shared, PortAnswer::FaspUdp).is_some() {
        list.push(Ask::Fasp);
    }
    let further = further(shared);
    if !further.is_empty() {
        list.push(Ask::Further);
    }
    if wanted == FurtherPorts::Asked {
        list.extend(further);
        list.push(Ask::Outbound);
    }
    list.push(Ask::Sources);
    if !slots::conf_differs(shared).is_empty() {
        list.push(Ask::Conf);
    }
    list.push(Ask::Firewall);
    if !words::sleeping(&shared.facts).is_empty() {
        list.push(Ask::AtBoot);
    }
    if words::may_deny(&shared.facts) {
        list.push(Ask::DefaultDeny);
    }
    list.push(Ask::Apply);
    list
}

impl Plain {
    pub(super) fn after(&self, at: Ask) -> Ask {
        let list = sequence(&self.shared, self.further);
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
                let list = sequence(&self.shared, self.further);
                let place = list.iter().position(|ask| *ask == at).unwrap_or(1);
                Step::To(list.get(place.saturating_sub(1)).copied().unwrap_or(Ask::Start))
            }
        }
    }
}
