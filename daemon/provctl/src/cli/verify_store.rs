//! `provctl verify-store`.

use std::path::{Path, PathBuf};

use provenance_audit::nix_store::{self, ClosureSource, Options, StoreError};
use provenance_cli::{
    Exit, Failure, OutputArgs, OutputFormat, io_exit, print_json, print_line, progress_bar,
};
use provenance_core::{encoding::json::Value, verify::nix_store::Trust};
use provenance_host::durable;
use provenance_sbom::{SbomError, nix_database};

use super::{
    output::{exit_of, failure},
    render,
};

/// Where NixOS has the running system.
const SYSTEM: &str = "/run/current-system";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The system: a store path, or a link to one; without, the running one (with --path-info: the one path that no other needs)
    #[arg(long, value_name = "PATH")]
    system: Option<PathBuf>,
    /// A key that may sign, NAME:BASE64, or a file of such; may be given again
    #[arg(long, value_name = "KEY|FILE", num_args = 1..)]
    trusted_keys: Vec<String>,
    /// How many different trusted keys must have signed each path
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: u16,
    /// Read the contents of each path too, and compare them with what is registered
    #[arg(long)]
    rehash: bool,
    /// With --rehash: where the store's file system is mounted
    #[arg(long, value_name = "DIR", default_value = "/", requires = "rehash")]
    root: PathBuf,
    /// The store's database
    #[arg(long, value_name = "FILE", default_value = nix_database::DATABASE)]
    nix_db: PathBuf,
    /// Instead of the database: what `nix path-info --json -r PATH` printed
    #[arg(long, value_name = "FILE", conflicts_with = "nix_db")]
    path_info: Option<PathBuf>,
    /// Write the report to this file too, in JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let keys = nix_store::keys(&args.trusted_keys).map_err(refused)?;
    let threshold = usize::from(args.threshold);
    let mut different: Vec<[u8; 32]> = keys.iter().map(|key| key.key.to_bytes()).collect();
    different.sort_unstable();
    different.dedup();
    if threshold == 0 || (!keys.is_empty() && threshold > different.len()) {
        let many = different.len();
        let message = format!("--threshold {threshold}: give 1 to {many}, the trusted keys");
        return Err(Failure::new(Exit::Usage, message));
    }
    let (told, system) = match &args.path_info {
        Some(path) => (ClosureSource::PathInfo(path.clone()), args.system.clone()),
        None => {
            let system = args.system.as_deref().unwrap_or(Path::new(SYSTEM));
            (ClosureSource::Database(args.nix_db.clone()), Some(system.to_owned()))
        }
    };
    // An old report is not to be taken for this run's.
    if let Some(out) = &args.out
        && let Err(error) = std::fs::remove_file(out)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Failure::new(Exit::Io, format!("cannot replace {}: {error}", out.display())));
    }
    let rehash = args.rehash.then(|| args.root.clone());
    let options = Options { told, system, trust: Trust { keys, threshold }, rehash };
    let bar = progress_bar("paths");
    let outcome = nix_store::verify(&options, &mut |count| bar.set_position(count));
    bar.finish_and_clear();
    let outcome = outcome.map_err(refused)?;
    let paths = outcome.paths.iter().map(|(path, code)| {
        Value::object([("path", path.as_str().into()), ("code", code.as_str().into())])
    });
    let value = outcome.report.to_value().with("paths", Value::Array(paths.collect()));
    if let Some(out) = &args.out {
        let line = [&value.encode()[..], b"\n"].concat();
        durable::replace(out, &line, 0o640).map_err(|error| {
            Failure::new(Exit::Io, format!("cannot write {}: {error}", out.display()))
        })?;
    }
    if args.output.format() == OutputFormat::Json {
        print_json(&value);
    } else {
        print_line(&render::report_on(&outcome.report, "who should have signed each path did"));
    }
    Ok(exit_of(outcome.report.verdict()))
}

fn refused(error: StoreError) -> Failure {
    let exit = match error {
        StoreError::Keys(error) => return failure(error),
        StoreError::Key { .. } => Exit::Usage,
        StoreError::Closure(SbomError::Io { ref source, .. }) => io_exit(source),
        StoreError::Closure(SbomError::Database { ref source, .. }) => {
            match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::PermissionDenied) => {
                    Exit::Io
                }
                Some(rusqlite::ErrorCode::DatabaseBusy) => Exit::Temporary,
                _ => Exit::Data,
            }
        }
        StoreError::Closure(SbomError::Unknown(_)) => Exit::NoInput,
        StoreError::Closure(_) => Exit::Data,
    };
    Failure::new(exit, error)
}
