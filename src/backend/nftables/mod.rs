//! Native nftables: reads the kernel's ruleset, finds every base chain that could drop a wanted packet, and writes the
//! rules that let it through.
//!
//! An accept in a chain of our own would not do: a packet must pass *every* base chain of its way, so accepts go to the
//! top of each chain that could drop it (priority order does not matter for that). Chains that only ban certain
//! addresses are left alone: opening a port is no pardon. A deny may live in a table of our own, for one drop is enough.

pub mod address;
pub mod boot_file;
pub mod bridge;
pub mod glance;
pub mod inspect;
pub mod model;
pub mod narrow;
pub mod packet;
pub mod place;
pub mod reach;
pub mod render;
pub mod shut;
pub mod target;
pub mod translate;
pub mod wall;

pub use inspect::{Inspection, inspect, inspect_on};
pub use model::{ModelError, Ruleset};
