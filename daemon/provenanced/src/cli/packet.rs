//! `provenanced sbom` and `provenanced packet`: what is written for auditors.

use std::path::PathBuf;

use clap::Args;
use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, print_json};
use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    registry::Entry,
};
use provenance_host::config::SbomFormat;
use provenance_sbom::nix_database;

use super::common::{ConfigArgs, current_user, failure, open};
use crate::{
    packet::{self, schedule},
    sbom::{self, Request},
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
    #[arg(long, value_name = "FILE", default_value = nix_database::DATABASE)]
    nix_db: PathBuf,
    /// Read what `nix path-info --json -r` printed instead of the database
    #[arg(long, value_name = "FILE", conflicts_with = "dpkg")]
    path_info: Option<PathBuf>,
    /// Read this dpkg status file instead
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    dpkg: Option<PathBuf>,
    /// What `provctl verify-package --json` printed: its packages are listed too, each with who
    /// vouches for it; may be repeated (besides `sbom.package_reports` of the settings)
    #[arg(long = "package-report", value_name = "FILE")]
    package_reports: Vec<PathBuf>,
    /// Where the documents are put
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// spdx-2.3 or cyclonedx-1.6; may be repeated (default: `sbom.formats` of the settings)
    #[arg(long = "format", value_name = "FORMAT", value_parser = format)]
    formats: Vec<SbomFormat>,
    /// The time that the documents name (default: SOURCE_DATE_EPOCH, else now)
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
    created: Option<Timestamp>,
    #[command(flatten)]
    output: OutputArgs,
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
        package_reports: args.package_reports,
        out: args.out,
        formats: args.formats,
        created,
    };
    let made = sbom::make(&config, &state, &mut evidence, now, &request).map_err(failure)?;
    if args.output.format() == OutputFormat::Json {
        print_json(&made.to_value());
    } else {
        let entry = &made.entry;
        provenance_cli::print_line(&format!(
            "{} packages of {} by {}",
            entry.packages, entry.system, entry.source
        ));
        if let Some(coverage) = &entry.coverage {
            provenance_cli::print_line(&coverage.text());
        }
        for file in &made.files {
            provenance_cli::print_line(&file.display().to_string());
        }
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct PacketArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The first instant of the period
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time, required_unless_present = "due")]
    from: Option<Timestamp>,
    /// The first instant behind the period
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time, required_unless_present = "due")]
    to: Option<Timestamp>,
    /// The packet; it must not be there yet
    #[arg(long, value_name = "FILE", required_unless_present = "due")]
    out: Option<PathBuf>,
    /// Make what fell due by `packet.every` of the settings, in packets/ of the state folder
    #[arg(long, conflicts_with_all = ["from", "to", "out", "seed"])]
    due: bool,
    /// What the sample is drawn by; an auditor names it (default: the registry's root)
    #[arg(long, value_name = "TEXT", value_parser = seed)]
    seed: Option<String>,
    /// Who exports it (default: the user of this process)
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn packet(args: PacketArgs) -> Result<(), Failure> {
    let config = args.config.load()?;
    let (state, mut evidence, now) = open(&config)?;
    let who = current_user(args.who);
    let bar = provenance_cli::progress_bar("records");
    let mut progress = |count| bar.set_position(count);
    let made = match (args.from, args.to, args.out) {
        (Some(from), Some(to), Some(out)) => {
            let request = packet::Request { from, to, out, seed: args.seed, who };
            packet::make(&config, &state, &mut evidence, now, &request, &mut progress)
                .map(|made| vec![made])
        }
        _ => schedule::make_due(&config, &state, &mut evidence, now, &who, &mut progress),
    };
    bar.finish_and_clear();
    let made = made.map_err(failure)?;
    if args.output.format() == OutputFormat::Json {
        let one = |made: &packet::PacketOutput| {
            Entry::Packet(made.entry.clone())
                .to_value()
                .with("files", made.files)
                .with("path", made.path.display().to_string())
        };
        let all = Value::Array(made.iter().map(one).collect());
        print_json(&all);
        return Ok(());
    }
    for made in &made {
        provenance_cli::print_line(&format!(
            "{}: {} files, {} bytes, {}\n{}",
            made.entry.name,
            made.files,
            made.entry.bytes,
            if made.entry.signed { "signed" } else { "unsigned (the tier allows it)" },
            made.path.display()
        ));
    }
    if made.is_empty() {
        provenance_cli::print_line("no packet fell due");
    }
    Ok(())
}

/// A line: the commands of VERIFY.md draw the sample by it.
fn seed(text: &str) -> Result<String, String> {
    if (1..=128).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("1 to 128 printable characters without spaces".into())
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
