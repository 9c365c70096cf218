//! `provenanced health`: how the appliance stands; with `--verify` the daily
//! verification, whose result goes into the registry.

use std::path::{Path, PathBuf};

use provenance_audit::{policy_file, state, trust::trust_by};
use provenance_cli::{Exit, Failure, OutputFormat, io_exit, print_json, print_line};
use provenance_core::{
    encoding::{digest::Digest, json::Value},
    registry::{Entry, VerifyEntry},
    report::Report,
};
use provenance_host::{clock::SystemClock, config::Config, durable};
use provenance_time_sources::poller;

use crate::{
    PROGRAM_VERSION,
    health::{self, Check, Health},
};

/// A policy file is at most this long.
const MAX_POLICY: u64 = 1 << 20;

/// Looks, prints, and gives the exit code: 0 ok, 1 failing, 2 unknown.
pub(super) fn run(config: &Config, format: OutputFormat) -> Result<Exit, Failure> {
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let (attestation, now) = poller::check(config, clock);
    let checks = health::checks(config, &attestation, now.time);
    let overall = health::overall(&checks);
    if format == OutputFormat::Json {
        let each = checks.iter().map(Check::to_value).collect();
        let value = Value::object([
            ("health", overall.as_str().into()),
            ("checks", Value::Array(each)),
            ("time", now.time.into()),
        ]);
        print_json(&value);
    } else {
        let line = |check: &Check| {
            format!("{:<13} {:<8} {}", check.what, check.health.as_str(), check.message)
        };
        let lines: Vec<String> = checks.iter().map(line).collect();
        print_line(&format!("{}\n\n{}", lines.join("\n"), overall.as_str().to_uppercase()));
    }
    Ok(match overall {
        Health::Ok => Exit::Done,
        Health::Failing => Exit::Failed,
        Health::Unknown => Exit::Inconclusive,
    })
}

/// Verifies chain and registry, and gives what is to be recorded of it.
pub(super) fn verify(config: &Config, policy: Option<PathBuf>) -> Result<Entry, Failure> {
    let machine = Path::new(policy_file::DEFAULT);
    let path = policy.or_else(|| Some(machine.to_owned()).filter(|path| path.exists()));
    let policy_sha256 = match &path {
        Some(path) => {
            let bytes = durable::read_limited(path, MAX_POLICY).map_err(|error| {
                Failure::new(io_exit(&error), format!("{}: {error}", path.display()))
            })?;
            Some(Digest::sha256(&bytes))
        }
        None => None,
    };
    let policy = path.as_deref().map(policy_file::load).transpose();
    let policy = policy.map_err(|error| Failure::new(Exit::Config, error))?;
    let options = state::Options::default();
    let trust = trust_by(policy).map_err(|error| Failure::new(Exit::Config, error))?;
    let report = state::verify(&config.state_dir, &trust, &options, &mut |_| {})
        .map_err(|error| Failure::new(Exit::Io, error))?;
    Ok(entry(&report, policy_sha256))
}

fn entry(report: &Report, policy_sha256: Option<Digest>) -> Entry {
    Entry::Verify(VerifyEntry {
        what: "chain".into(),
        verdict: report.verdict().as_str().into(),
        records: report.count_checked("records"),
        codes: report.counts().map(|(code, count)| (code.as_str().into(), count)).collect(),
        policy_sha256,
        software: PROGRAM_VERSION.into(),
    })
}
