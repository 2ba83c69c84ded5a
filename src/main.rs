//! The program: everything else is in the library.

use std::process::ExitCode;

use faspwall::cli;
use faspwall::system::real::RealSystem;

#[cfg(not(feature = "fault-injection"))]
fn main() -> ExitCode {
    cli::main(&RealSystem)
}

#[cfg(feature = "fault-injection")]
fn main() -> ExitCode {
    cli::main(Box::leak(Box::new(faspwall::system::fault::Faulty::new(
        &RealSystem,
    ))))
}
