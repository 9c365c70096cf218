//! `provctl verify-cert`.

use std::path::PathBuf;

use provenance_audit::certificate::{self, Options};
use provenance_cli::{Exit, Failure, OutputArgs};
use provenance_core::encoding::time::Timestamp;
use provenance_host::clock::{Clock as _, SystemClock};

use super::{
    output::{conclude_on, failure},
    trust_args::PolicyArgs,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The certificate, in PEM or DER
    #[arg(value_name = "CERT")]
    certificate: PathBuf,
    /// The authority that you trust: its certificate, or its public key
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The authority's revocation list
    #[arg(long, value_name = "FILE")]
    crl: Option<PathBuf>,
    /// The file that the certificate should be about
    #[arg(long = "for", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The signed statement that the file was published (….publication.sigstore.json)
    #[arg(long, value_name = "FILE")]
    publication: Option<PathBuf>,
    /// A state folder whose registry knows the certificate
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// With --state: as its first N records had it
    #[arg(long, value_name = "N", requires = "state")]
    at_record: Option<u64>,
    /// Valid at this time (default: now)
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
    time: Option<Timestamp>,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let trust = args.policy.load()?;
    let options = Options {
        certificate: args.certificate,
        authority: args.ca,
        crl: args.crl,
        file: args.file,
        publication: args.publication,
        state: args.state,
        at_record: args.at_record,
        time: args.time.unwrap_or_else(|| clock.now().time),
    };
    let report = certificate::verify(&options, &trust).map_err(failure)?;
    conclude_on(&report, args.output.format(), "the certificate vouches for what was asked")
}
