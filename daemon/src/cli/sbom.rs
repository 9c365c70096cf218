//! `provctl sbom`: documents of any program, judged and compared.

use std::path::PathBuf;

use clap::Subcommand;

use super::{
    Exit, Failure,
    provctl::{conclude_on, failure, say_value},
    render, say,
};
use crate::audit::sbom;

#[derive(Debug, Subcommand)]
pub(super) enum SbomCommand {
    /// Whether a document is what it should be
    #[command(after_help = "Example:\n  provctl sbom validate clinic-001-appliance-7.spdx.json")]
    Validate {
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
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
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

impl SbomCommand {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Validate { file, json } => {
                let report = sbom::validate(&file).map_err(failure)?;
                conclude_on(&report, json, "the document is of its form")
            }
            Self::Diff { a, b, json } => {
                let difference = sbom::compare(&a, &b).map_err(failure)?;
                if json {
                    say_value(&difference.to_value());
                } else {
                    say(&render::difference(&difference));
                }
                Ok(Exit::Done)
            }
        }
    }
}
