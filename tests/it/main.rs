//! The integration tests: one binary, a module for each subject.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests prepare and observe the world themselves"
)]

mod advice;
mod answers;
mod arch;
mod boxes;
mod catalogue;
mod detect;
mod lab;
mod moves;
