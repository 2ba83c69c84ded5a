//! What is done with the host: finding out about it.

pub mod detect;
