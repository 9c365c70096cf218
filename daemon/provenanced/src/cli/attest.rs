//! `provenanced attest`.

use std::path::PathBuf;

use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, print_json, print_line};
use provenance_core::encoding::json::Value;
use provenance_sbom::nix_database;

use super::common::{ConfigArgs, failure};
use crate::{
    build_provenance::{self, Request},
    ledger::signer::Signer,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// The store path that was built on this machine, or a link to it such as `result`
    #[arg(long, value_name = "PATH")]
    build: PathBuf,
    /// Where the attestation is put; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The Nix store's database
    #[arg(long, value_name = "FILE", default_value = nix_database::DATABASE)]
    nix_db: PathBuf,
    /// Where the store's file system is mounted
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let config = args.config.load()?;
    let Some(key) = config.signing_key.as_deref() else {
        let message = "an attestation is signed: set signing_key (`provenanced keygen` makes one)";
        return Err(Failure::new(Exit::Config, message));
    };
    let signer = Signer::load(key).map_err(|error| failure(error.into()))?;
    let request = Request { path: args.build, nix_db: args.nix_db, root: args.root, out: args.out };
    let provenance = build_provenance::build(&config, &signer, &request).map_err(failure)?;
    let out = request.out.display().to_string();
    if args.output.format() == OutputFormat::Json {
        let value = Value::object([
            ("path", provenance.subject.name.as_str().into()),
            ("nar_sha256", provenance.subject.sha256.into()),
            ("derivation", provenance.derivation.name.as_str().into()),
            ("dependencies", (provenance.dependencies.len() as u64).into()),
            ("file", out.into()),
        ]);
        print_json(&value);
        return Ok(());
    }
    print_line(&format!(
        "{} of {}, built from {} store paths\n{out}",
        provenance.subject.name,
        provenance.derivation.name,
        provenance.dependencies.len()
    ));
    Ok(())
}
