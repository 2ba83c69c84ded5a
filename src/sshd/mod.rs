//! sshd as a translator: reads what it says of itself and writes how its ports are changed. Runs nothing.

pub mod by_hand;
pub mod change;
pub mod command_line;
pub mod config;
pub mod listen;
pub mod logins;
pub mod neighbours;
pub mod reserve;
pub mod restrictions;
pub mod socket;
pub mod wrappers;
