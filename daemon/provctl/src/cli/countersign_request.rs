//! `provctl countersign-request`.

use std::path::{Path, PathBuf};

use provenance_audit::countersignatures::request;
use provenance_cli::{Exit, Failure, io_exit, print_line};
use provenance_core::signing::public_key::PublicKey;
use provenance_host::{
    clock::{Clock, SystemClock},
    durable,
};

use super::output::failure;

/// A public key in PEM is 113 bytes.
const MAX_KEY: u64 = 16 << 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder or file (a link to it is followed)
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Who made it
    #[arg(long, value_name = "NAME")]
    author: String,
    /// The public key of whoever asks: its own signature will not count
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Which version it is
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// Write the request to this file, which must not lie within what is to be signed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let key = public_key(&args.key)?;
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let asked = request(&args.path, args.author, key, args.version, clock.now().time);
    let (place, request) = asked.map_err(failure)?;
    let bytes = request.encode().map_err(|error| Failure::new(Exit::Usage, error))?;
    let Some(out) = args.out else {
        print_line(&String::from_utf8_lossy(&bytes));
        return Ok(Exit::Done);
    };
    if place.holds(&out) || place.is_signing_file(&out) {
        let message =
            format!("{} is a part of what is signed: choose another --out", out.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    durable::replace(&out, &bytes, 0o644).map_err(|error| {
        Failure::new(Exit::Io, format!("cannot write {}: {error}", out.display()))
    })?;
    Ok(Exit::Done)
}

/// A public key that the caller names by its file.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let bytes = durable::read_limited(path, MAX_KEY)
        .map_err(|error| Failure::new(io_exit(&error), format!("{}: {error}", path.display())))?;
    PublicKey::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|error| Failure::new(Exit::Data, format!("{}: {error}", path.display())))
}
