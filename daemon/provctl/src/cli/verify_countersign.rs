//! `provctl verify-countersign`.

use std::{collections::BTreeSet, path::PathBuf};

use provenance_audit::countersignatures::{Options, verify};
use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, print_json, print_line};
use provenance_core::{
    encoding::{digest::Digest, json::Value},
    verify::countersign::Vote,
};

use super::{
    countersign_request::public_key,
    output::{exit_of, failure},
    render,
    trust_args::PolicyArgs,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder or file (a link to it is followed)
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Where its signatures are (default: countersignatures.jsonl in the folder, or beside the file); an old pki.json is told, and counts for nothing
    #[arg(long, value_name = "FILE")]
    signatures: Option<PathBuf>,
    /// It must have been signed as this version
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// The public key of whoever asked; requests by others, and its own signatures, count for nothing
    #[arg(long, value_name = "FILE")]
    requester: Option<PathBuf>,
    /// How many different keys of the policy must have signed
    #[arg(long, value_name = "N")]
    threshold: u16,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let trust = args.policy.load()?;
    let keys: BTreeSet<Digest> = trust.keys().iter().map(|key| key.key.fingerprint()).collect();
    let threshold = usize::from(args.threshold);
    if threshold == 0 || (!keys.is_empty() && threshold > keys.len()) {
        let (least, many) = (1, keys.len().max(1));
        let message = format!("--threshold {threshold}: give {least} to {many}, the policy's keys");
        return Err(Failure::new(Exit::Usage, message));
    }
    let options = Options {
        path: args.path,
        signatures: args.signatures,
        version: args.version,
        requester: args.requester.as_deref().map(public_key).transpose()?,
        threshold,
    };
    let outcome = verify(&options, &trust).map_err(failure)?;
    let report = &outcome.report;
    if args.output.format() == OutputFormat::Json {
        let signers = outcome.votes.iter().map(|(key, vote)| signer(*key, vote));
        print_json(&report.to_value().with("signers", Value::Array(signers.collect())));
    } else {
        for vote in outcome.votes.values() {
            let who = format!("{} ({})", vote.signed.who, vote.name);
            let so = if vote.counts { "" } else { ", which is undecided" };
            let reason = vote.signed.reason.as_deref().unwrap_or("no reason given");
            print_line(&render::plain(&format!("{} {who}: {reason}{so}", vote.signed.time)));
        }
        print_line(&render::report_on(
            report,
            "enough of those who were named signed what lies there",
        ));
    }
    Ok(exit_of(report.verdict()))
}

fn signer(key: Digest, vote: &Vote) -> Value {
    let signed = &vote.signed;
    Value::object([
        ("author", signed.request.author.as_str().into()),
        ("client", signed.client.as_str().into()),
        ("counts", vote.counts.into()),
        ("host", signed.host.as_str().into()),
        ("key", key.into()),
        ("name", vote.name.as_str().into()),
        ("requester", signed.request.key.fingerprint().into()),
        ("time", signed.time.into()),
        ("who", signed.who.as_str().into()),
    ])
    .with_some("reason", signed.reason.as_deref())
    .with_some("version", signed.request.version.as_deref())
}
