//! The one integration test program: each module is a group of tests.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "tests prepare and observe the world themselves"
)]

mod advice;
mod answers;
mod arch;
mod boxes;
mod catalogue;
mod catalogue_file;
mod detect;
#[cfg(feature = "fault-injection")]
mod faults;
mod fuzz;
mod hostile;
mod lab;
mod machines;
mod moves;
mod packets;
mod plan;
mod pty;
mod readme;
mod rehearse;
