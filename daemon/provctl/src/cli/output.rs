//! What the commands share: where the state is, how a report is printed, and the
//! exit codes.

use std::path::PathBuf;

use clap::Args;
use provenance_audit::{error::AuditError, policy_file::PolicyError};
use provenance_cli::{Exit, Failure, OutputFormat, io_exit, print_json, print_line, storage_args};
use provenance_core::report::{Report, Verdict};
use provenance_registry::RegistryError;

use super::render;

#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// The state folder; for verify-chain also a bare chain folder, or one day's file
    #[arg(long, value_name = "DIR", default_value = "/var/lib/msp-provenance")]
    pub(super) state: PathBuf,
}

pub(super) fn conclude(report: &Report, format: OutputFormat) -> Result<Exit, Failure> {
    conclude_on(report, format, render::INTACT)
}

/// `verified` says what it means that nothing is wrong.
pub(super) fn conclude_on(
    report: &Report,
    format: OutputFormat,
    verified: &str,
) -> Result<Exit, Failure> {
    if format == OutputFormat::Json {
        print_json(&report.to_value());
    } else {
        print_line(&render::report_on(report, verified));
    }
    Ok(exit_of(report.verdict()))
}

pub(super) fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Verified => Exit::Done,
        Verdict::Failed => Exit::Failed,
        Verdict::Inconclusive => Exit::Inconclusive,
    }
}

pub(super) fn failure(error: AuditError) -> Failure {
    let exit = match &error {
        AuditError::Missing(_) => Exit::NoInput,
        AuditError::NotEvidence { .. } => Exit::Data,
        AuditError::Io { source, .. } => io_exit(source),
        AuditError::Registry(RegistryError::Missing(_)) => Exit::NoInput,
        AuditError::Registry(RegistryError::Busy) => Exit::Temporary,
        AuditError::Registry(RegistryError::Io(source)) => io_exit(source),
        AuditError::Registry(error @ RegistryError::Sqlite(_)) if !error.is_damage() => Exit::Io,
        AuditError::Registry(_) => Exit::Data,
        AuditError::Copies(error) => storage_args::exit_of_copies(error),
        AuditError::Stopped => Exit::Temporary,
        AuditError::Policy(PolicyError::Read { source, .. }) => io_exit(source),
        AuditError::Policy(PolicyError::Invalid { .. }) => Exit::Config,
    };
    Failure::new(exit, error)
}
