//! `provctl sbom`: documents of any program, judged and compared.

use std::path::PathBuf;

use clap::Subcommand;
use provenance_audit::sbom;
use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, print_json, print_line};

use super::{
    output::{conclude_on, failure},
    render,
};

#[derive(Debug, Subcommand)]
pub(super) enum SbomCommand {
    /// Whether a document is what it should be
    #[command(after_help = "Example:\n  provctl sbom validate clinic-001-appliance-7.spdx.json")]
    Validate {
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// What differs between two documents, of one system then and now
    #[command(after_help = "Example:\n  provctl sbom diff before.spdx.json after.spdx.json")]
    Diff {
        /// The document before
        #[arg(value_name = "A")]
        a: PathBuf,
        /// The document after
        #[arg(value_name = "B")]
        b: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl SbomCommand {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Validate { file, output } => {
                let report = sbom::validate(&file).map_err(failure)?;
                conclude_on(&report, output.format(), "the document is of its form")
            }
            Self::Diff { a, b, output } => {
                let difference = sbom::compare(&a, &b).map_err(failure)?;
                if output.format() == OutputFormat::Json {
                    print_json(&difference.to_value());
                } else {
                    print_line(&render::difference(&difference));
                }
                Ok(Exit::Done)
            }
        }
    }
}
