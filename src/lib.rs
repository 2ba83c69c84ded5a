//! faspwall opens the ports that an Aspera transfer host needs, closes TCP/22, and never locks anyone out.
//!
//! # Map
//!
//! Pure core, bottom up: [`port`], [`step`], [`transaction`], [`facts`], [`catalogue`], [`answers`], [`plan`],
//! [`advice`], [`backend`], [`sshd`], [`change`]. Above them [`system`], the one door to the host, then [`engine`]
//! (detect, apply, confirm, guard, roll back) and [`lab`]. [`tui`] knows the pure core only; [`cli`] joins the two.
//!
//! # Glossary
//!
//! * **role**: a kind of Aspera host; **need**: a port it uses; **requirement**: a need with the answers filled in.
//! * **plan**: all requirements; **change**: the same in the language of this host, as steps with their undo.
//! * **trial 1** adds accepts and a second sshd (the **door**); **trial 2** shuts TCP/22 by a kernel timer.
//! * **guard**: the dead-man's switch outside this process; **confirm**: proof by a new login through the new door.

pub mod advice;
pub mod answers;
pub mod backend;
pub mod catalogue;
pub mod change;
pub mod cli;
pub mod document;
pub mod engine;
pub mod facts;
pub mod lab;
pub mod plan;
pub mod port;
pub mod sshd;
pub mod step;
pub mod system;
pub mod transaction;
pub mod tui;
