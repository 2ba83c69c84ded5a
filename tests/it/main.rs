//! The integration tests: one binary, a module for each subject.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests look at the host to see what was done"
)]

mod arch;
mod catalogue;
