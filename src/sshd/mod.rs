//! sshd's configuration: reading it, and planning its change. Pure, like a backend.

pub mod config;
