//! `provenanced countersign`.

use std::path::PathBuf;

use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, print_json, print_line};
use provenance_core::registry::Entry;

use super::common::{ConfigArgs, current_user, failure, open};
use crate::countersign::{CountersignOutcome, CountersignRequest, countersign};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// What `provctl countersign-request` wrote
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The folder or file that was asked to be signed, as you have seen it
    #[arg(long = "for", value_name = "PATH")]
    path: PathBuf,
    /// Where the signature goes (default: countersignatures.jsonl in the folder, or beside the file)
    #[arg(long, value_name = "FILE")]
    signatures: Option<PathBuf>,
    /// Why it is signed
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who signs (default: the user of this process)
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let config = args.config.load()?;
    if config.signing_key.is_none() {
        let message = "a counter-signature needs a key: set signing_key (`provenanced keygen`)";
        return Err(Failure::new(Exit::Config, message));
    }
    let who = current_user(args.who);
    let (state, mut evidence, now) = open(&config)?;
    let ask = CountersignRequest {
        request: args.request,
        path: args.path,
        signatures: args.signatures,
        reason: args.reason,
        who,
    };
    let done = countersign(&config, &state, &mut evidence, now, &ask).map_err(failure)?;
    let (file, did) = (done.file.display().to_string(), done.did.as_str());
    if args.output.format() == OutputFormat::Json {
        let value = Entry::Countersign(done.entry).to_value();
        let value = value.with("did", did).with("file", file);
        print_json(&value);
        return Ok(());
    }
    let what = match done.did {
        CountersignOutcome::Signed => "signed",
        CountersignOutcome::Restored => "it was on record: the same signature was put back",
        CountersignOutcome::Recorded => "this key had signed it already: recorded",
        CountersignOutcome::Nothing => "this key has signed it already: nothing to do",
    };
    let subject = &done.entry.request.subject;
    print_line(&format!("{} {}\n{what}\n{file}", done.entry.request.tree.as_str(), subject.sha256));
    Ok(())
}
