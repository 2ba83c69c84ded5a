//! Translators: one folder for each firewall. They read what was observed and write what is to be done; they never run
//! anything themselves.

pub mod nftables;
