//! `provenanced sbom`: what is written for auditors.

use std::path::PathBuf;

use clap::Args;
use provenance_core::time::Timestamp;

use super::{
    Exit, Failure,
    provenanced::{ConfigArgs, failure, open},
};
use crate::{
    host::config::SbomFormat,
    sbom::nixdb,
    services::sbom::{self, Request},
};

#[derive(Debug, Args)]
pub(super) struct SbomArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// A store path, something in one, or a link to one (default: `sbom.system` of the settings;
    /// outside Nix, the packages that dpkg has installed)
    #[arg(long, value_name = "PATH")]
    system: Option<PathBuf>,
    /// The Nix store's database
    #[arg(long, value_name = "FILE", default_value = nixdb::DATABASE)]
    nix_db: PathBuf,
    /// Read what `nix path-info --json -r` printed instead of the database
    #[arg(long, value_name = "FILE", conflicts_with = "dpkg")]
    path_info: Option<PathBuf>,
    /// Read this dpkg status file instead
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    dpkg: Option<PathBuf>,
    /// Where the documents are put
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// spdx-2.3 or cyclonedx-1.6; may be repeated (default: `sbom.formats` of the settings)
    #[arg(long = "format", value_name = "FORMAT", value_parser = format)]
    formats: Vec<SbomFormat>,
    /// The time that the documents name (default: SOURCE_DATE_EPOCH, else now)
    #[arg(long, value_name = "T", value_parser = super::time)]
    created: Option<Timestamp>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn sbom(args: SbomArgs) -> Result<(), Failure> {
    let created = match args.created {
        Some(created) => Some(created),
        None => source_date_epoch()?,
    };
    let config = args.config.load()?;
    let (state, mut evidence, now) = open(&config)?;
    let request = Request {
        system: args.system,
        nix_db: args.nix_db,
        path_info: args.path_info,
        dpkg: args.dpkg,
        out: args.out,
        formats: args.formats,
        created,
    };
    let made = sbom::make(&config, &state, &mut evidence, now, &request).map_err(failure)?;
    if args.json {
        super::say(&String::from_utf8_lossy(&made.to_value().encode()));
    } else {
        let entry = &made.entry;
        super::say(&format!("{} packages of {} by {}", entry.packages, entry.system, entry.source));
        for file in &made.files {
            super::say(&file.display().to_string());
        }
    }
    Ok(())
}

fn format(text: &str) -> Result<SbomFormat, String> {
    let known = [SbomFormat::Spdx, SbomFormat::CycloneDx];
    let found = known.into_iter().find(|known| known.as_str() == text);
    found.ok_or_else(|| "spdx-2.3 or cyclonedx-1.6".into())
}

/// <https://reproducible-builds.org/specs/source-date-epoch/>
fn source_date_epoch() -> Result<Option<Timestamp>, Failure> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse::<i64>().ok());
    let nanos = seconds.filter(|s| *s >= 0).and_then(|s| s.checked_mul(1_000_000_000));
    match nanos {
        Some(nanos) => Ok(Some(Timestamp::from_nanos(nanos))),
        None => {
            let message = "SOURCE_DATE_EPOCH is not a number of seconds since 1970";
            Err(Failure::new(Exit::Usage, message))
        }
    }
}
