//! What the binary prints about itself: man page, completions, answers template.

use std::io::{self, Write};

use clap::{CommandFactory, Subcommand};

use super::{Cli, Failure, failure};
use crate::answers::Answers;

/// `faspwall generate ...`
#[derive(Debug, Clone, Subcommand)]
pub enum What {
    /// The man page, in roff.
    Man,
    /// Completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The commented answers template.
    Answers,
}

/// Prints it on standard output.
pub fn run(what: &What) -> Result<u8, Failure> {
    let mut text = Vec::new();
    match what {
        What::Man => clap_mangen::Man::new(Cli::command())
            .render(&mut text)
            .map_err(|e| Failure::new(failure::BUG, e.to_string()))?,
        What::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "faspwall", &mut text)
        }
        What::Answers => text.extend_from_slice(Answers::template().as_bytes()),
    }
    // A reader that has had enough (`| head`) is no failure.
    drop(io::stdout().write_all(&text));
    Ok(0)
}
