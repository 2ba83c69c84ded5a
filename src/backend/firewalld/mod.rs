//! firewalld: adds ports and rich rules to the zones that really serve the operator and the links that lead outside.
//!
//! A packet goes to the zone that its source is bound to, else to that of its link, else to the default one; a port
//! that is added to the default zone while the link sits in another has no effect. Trials change the runtime alone;
//! a commit makes the same additions with `--permanent`. Firewalld is never told to reload, and never to make its
//! runtime permanent: both would touch what others did.
//!
//! `firewall-cmd --permanent` writes the zone's file anew and loses comments in it, so the file is written once more
//! as it was, with our lines added. The daemon reads it again five seconds later and finds what it knows already.

mod access;
pub mod line;
mod need;
mod obstacles;
mod places;
pub mod rich;
pub mod state;
mod translate;
pub mod xml;
pub mod zone;
mod zone_file;

pub use obstacles::has_rules;
pub use places::places;
pub use state::State;
pub use translate::Firewalld;

#[cfg(test)]
mod tests;
