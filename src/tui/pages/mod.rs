//! The pages. A new one is a file here and a line in [`all`].

pub mod apply;
pub mod confirm;
pub mod done;
pub mod firewall;
pub mod preview;
mod reader;
pub mod snapshots;
pub mod status;
#[cfg(test)]
mod tests_live;

use super::PageId;
use super::wizard::Pages;

/// Every page, with its state as at the start.
pub fn all() -> Pages {
    vec![
        (PageId::Firewall, Box::new(firewall::Firewall::default())),
        (PageId::Preview, Box::new(preview::PreviewPage::default())),
        (PageId::Apply, Box::new(apply::Apply::default())),
        (PageId::Confirm, Box::new(confirm::Confirm::default())),
        (PageId::Done, Box::new(done::Done::default())),
        (PageId::Snapshots, Box::new(snapshots::Snapshots::default())),
        (PageId::Status, Box::new(status::StatusPage::default())),
    ]
}
