//! sshd as a translator: reads what it says of itself and writes how its ports are changed. Runs nothing.

pub mod change;
pub mod config;
