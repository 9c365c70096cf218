//! The appliance's program: docs/operations.md.

use std::process::ExitCode;

use clap::Parser;
use provenance_cli::usage;
use provenanced::cli::Cli;

fn main() -> ExitCode {
    match Cli::try_parse().map(Cli::run) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => {
            eprintln!("provenanced: {}", failure.message);
            failure.exit.into()
        }
        Err(error) => usage(&error),
    }
}
