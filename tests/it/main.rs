//! The one integration test program: each module is a group of tests.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests prepare and observe the world themselves"
)]

mod boxes;
//! The integration tests: one binary, a module for each subject.
    reason = "tests look at the host to see what was done"
mod arch;
mod catalogue;
