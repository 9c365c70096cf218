//! The auditor's program: docs/format.md says what it checks.

use std::process::ExitCode;

use clap::Parser;
use provctl::cli::Cli;
use provenance_cli::usage;

fn main() -> ExitCode {
    match Cli::try_parse().map(Cli::run) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => {
            eprintln!("provctl: {}", failure.message);
            failure.exit.into()
        }
        Err(error) => usage(&error),
    }
}
