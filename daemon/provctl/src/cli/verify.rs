//! `provctl verify`: bundles, packets, attestations and copies.

use std::path::{Path, PathBuf};

use clap::Args;
use provenance_audit::{build_provenance, packet, state::bundles};
use provenance_cli::{
    Exit, Failure, OutputArgs, OutputFormat, print_json, print_line, progress_bar,
    storage_args::StorageArgs,
};
use provenance_core::{
    encoding::json::Value,
    report::{Report, Verdict},
};
use provenance_verifier::Trust;

use super::{
    output::{conclude, exit_of, failure},
    render,
    trust_args::{BlockArgs, PolicyArgs},
    verify_fleet,
};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Bundle folders, packets, attestations, copies in a bucket or in a folder
    #[arg(required = true, value_name = "FILE|DIR|s3://…")]
    paths: Vec<PathBuf>,
    /// For attestations: where the file system with the Nix store is mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    blocks: BlockArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

impl VerifyArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let trust = self.blocks.add(self.policy.load()?)?;
        let mut reports = vec![];
        for path in &self.paths {
            reports.push((path, self.verify(path, &trust)?));
        }
        if let [(_, report)] = &reports[..] {
            return conclude(report, self.output.format());
        }
        let worst = reports.iter().map(|(_, report)| report.verdict()).max();
        let worst = worst.unwrap_or(Verdict::Inconclusive);
        match self.output.format() {
            OutputFormat::Json => print_json(&all_as_json(&reports, worst)),
            OutputFormat::Text => {
                for (path, report) in &reports {
                    print_line(&render::plain(&path.display().to_string()));
                    print_line(&render::report(report));
                }
            }
        }
        Ok(exit_of(worst))
    }

    fn verify(&self, path: &Path, trust: &Trust) -> Result<Report, Failure> {
        if verify_fleet::is_copies(path, &self.storage) {
            return verify_fleet::verify(path, &self.storage, trust);
        }
        let report = if packet::is_packet(path) {
            let bar = progress_bar("records");
            let report = packet::verify(path, trust, &mut |count| bar.set_position(count));
            bar.finish_and_clear();
            report
        } else if build_provenance::is_attestation(path) {
            build_provenance::verify(path, &self.root, trust)
        } else {
            bundles::verify(path, trust)
        };
        report.map_err(failure)
    }
}

fn all_as_json(reports: &[(&PathBuf, Report)], worst: Verdict) -> Value {
    let each = reports
        .iter()
        .map(|(path, report)| report.to_value().with("path", path.display().to_string()));
    Value::object([("verdict", worst.as_str().into()), ("reports", Value::Array(each.collect()))])
}
