//! The program: everything else is in the library.

use std::process::ExitCode;

use faspwall::cli;
use faspwall::system::real::RealSystem;

fn main() -> ExitCode {
    cli::main(&RealSystem)
}
