//! The order of the pages.

use crate::facts::Listener;
use crate::port::Protocol;
use crate::tui::{PageId, Shared, pages};

/// Whether there is anything to ask about TCP/22: it is the chosen port, or something answers there.
pub fn asks_about_22(shared: &Shared) -> bool {
    let on_22 = |listener: &Listener| {
        listener.protocol == Protocol::Tcp && listener.port == 22 && !listener.loopback()
    };
    pages::role_takes_ssh(shared)
        && (!shared.detected
            || shared.answers.ssh.port == 22
            || shared.facts.ssh.ports.contains(&22)
            || shared.facts.listeners.iter().any(on_22))
}

/// The page after a page.
pub(super) fn next_page(page: PageId, shared: &Shared) -> Option<PageId> {
    Some(match page {
        PageId::Welcome => PageId::Role,
        PageId::Role => PageId::Ssh,
        PageId::Ssh if asks_about_22(shared) => PageId::Legacy22,
        PageId::Ssh | PageId::Legacy22 => PageId::Options,
        PageId::Options => PageId::Firewall,
        PageId::Firewall => PageId::Preview,
        PageId::Preview => PageId::Rehearsal,
        PageId::Rehearsal => PageId::Apply,
        PageId::Apply => PageId::Confirm,
        PageId::Confirm => PageId::Done,
        PageId::Done | PageId::Snapshots | PageId::Status => return None,
    })
}

/// The page before a page, when the operator did not come from anywhere.
pub(super) fn page_before(page: PageId, shared: &Shared) -> Option<PageId> {
    Some(match page {
        PageId::Role | PageId::Snapshots | PageId::Status => PageId::Welcome,
        PageId::Ssh => PageId::Role,
        PageId::Legacy22 => PageId::Ssh,
        PageId::Options if asks_about_22(shared) => PageId::Legacy22,
        PageId::Options => PageId::Ssh,
        PageId::Firewall => PageId::Options,
        PageId::Preview => PageId::Firewall,
        PageId::Rehearsal => PageId::Preview,
        PageId::Welcome | PageId::Apply | PageId::Confirm | PageId::Done => return None,
    })
}
