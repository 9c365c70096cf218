//! `provenanced package`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, io_exit, print_json, print_line};
use provenance_core::{encoding::digest::Digest, registry::package::Status};
use provenance_host::durable;
use provenance_registry::package_index::{self, IncrementalIndex};

use super::common::{ConfigArgs, failure, open};
use crate::package_registry::{Chronicle, Publishing, RecordedEvent, Report, metadata, named};

#[derive(Debug, Subcommand)]
pub(super) enum PackageCommand {
    /// Record that something happened to a version: built, tested, …
    #[command(after_help = "Example:\n  provenanced package event --config provenance.toml \
        --package @acme/agent --version 1.2.3 --event package.build.complete \
        --detail commit=0123abc --file agent-1.2.3.tgz")]
    Event {
        #[command(flatten)]
        which: Which,
        /// What happened: package.build.start, package.build.complete, package.build.failed,
        /// package.test.complete, package.certificate.issued, …
        #[arg(long, value_name = "NAME")]
        event: String,
        /// The event's id, 32 hex digits: the same one twice is one event
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// More, in words; may be repeated
        #[arg(long = "detail", value_name = "NAME=TEXT", value_parser = detail)]
        details: Vec<(String, String)>,
        /// The archive that it is about: its digest is recorded
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The certificate that goes with it
        #[arg(long, value_name = "ID")]
        certificate: Option<String>,
        #[command(flatten)]
        by: By,
    },
    /// Register a version, before anything can be said of it
    #[command(after_help = "Example:\n  provenanced package register --config provenance.toml \
        --package @acme/agent --version 1.2.3")]
    Register {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        by: By,
    },
    /// Publish a version: archive, certificate and a signed statement, copied by `store`
    #[command(after_help = "Example:\n  provenanced package publish --config provenance.toml \
        --package @acme/agent --version 1.2.3 --file agent-1.2.3.tgz --certificate ID")]
    Publish {
        #[command(flatten)]
        which: Which,
        /// The archive
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// The certificate for this archive
        #[arg(long, value_name = "ID")]
        certificate: String,
        /// The attestation of its build
        #[arg(long, value_name = "FILE")]
        provenance: Option<PathBuf>,
        #[command(flatten)]
        by: By,
    },
    /// Say that a version is deprecated, unpublished, or published again
    #[command(after_help = "Example:\n  provenanced package status --config provenance.toml \
        --package @acme/agent --version 1.2.3 --to deprecated --reason 'use 1.2.4'")]
    Status {
        #[command(flatten)]
        which: Which,
        /// deprecated, unpublished or published
        #[arg(long, value_name = "STATUS", value_parser = status)]
        to: Status,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        by: By,
    },
    /// A line for each version on record
    #[command(after_help = "Example:\n  provenanced package list --config provenance.toml")]
    List {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Write certificate, provenance, governance and build into a package.json
    #[command(after_help = "Example:\n  provenanced package metadata --config provenance.toml \
        --package @acme/agent --version 1.2.3 --into package.json")]
    Metadata {
        #[command(flatten)]
        which: Which,
        /// The file; its member `mspProvenance` is written, the rest stays
        #[arg(long, value_name = "FILE")]
        into: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    #[command(flatten)]
    config: ConfigArgs,
    /// The package: `name` or `@scope/name`
    #[arg(long, value_name = "NAME")]
    package: String,
    /// Its version
    #[arg(long, value_name = "V")]
    version: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct By {
    /// Who says so (default: the user of this process)
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(command: PackageCommand) -> Result<(), Failure> {
    match command {
        PackageCommand::Event { which, event, id, details, file, certificate, by } => {
            let sha256 = file.as_deref().map(digest).transpose()?;
            let details = details.into_iter().collect();
            record(which, by, |report| Report { id, event, details, sha256, certificate, ..report })
        }
        PackageCommand::Register { which, by } => record(which, by, |report| report),
        PackageCommand::Publish { which, file, certificate, provenance, by } => {
            publish(which, file, certificate, provenance, by)
        }
        PackageCommand::Status { which, to, reason, by } => record(which, by, |report| {
            let details: BTreeMap<_, _> = [("reason".to_owned(), reason)].into();
            Report { event: to.event().into(), details, ..report }
        }),
        PackageCommand::List { config } => list(&config),
        PackageCommand::Metadata { which, into } => write_metadata(&which, &into),
    }
}

fn record(which: Which, by: By, report: impl FnOnce(Report) -> Report) -> Result<(), Failure> {
    let who = by.name();
    let config = which.config.load()?;
    let (state, mut evidence, now) = open(&config)?;
    let chronicle = Chronicle::open(&state).map_err(failure)?;
    let (package, version) = (which.package, which.version);
    let event = Status::Registered.event().to_owned();
    let report = report(Report { package, version, who, event, ..Report::default() });
    let known = &mut IncrementalIndex::default();
    let recorded = chronicle.record(&mut evidence, known, now, report).map_err(failure)?;
    tell(&recorded, by.output.format());
    Ok(())
}

fn publish(
    which: Which,
    archive: PathBuf,
    certificate: String,
    provenance: Option<PathBuf>,
    by: By,
) -> Result<(), Failure> {
    let who = by.name();
    let config = which.config.load()?;
    let (state, mut evidence, now) = open(&config)?;
    let chronicle = Chronicle::open(&state).map_err(failure)?;
    let (package, version) = (which.package, which.version);
    let wanted = Publishing { package, version, archive, certificate, provenance, who };
    let published = chronicle.publish((&config, &state), &mut evidence, now, &wanted);
    let published = published.map_err(failure)?;
    tell(&published.recorded, by.output.format());
    if by.output.format() == OutputFormat::Text {
        for file in &published.files {
            print_line(&state.root().join(file).display().to_string());
        }
    }
    Ok(())
}

fn tell(recorded: &RecordedEvent, format: OutputFormat) {
    let RecordedEvent { entry, seq, status, before } = recorded;
    if format == OutputFormat::Json {
        let value = entry
            .to_value()
            .with("registry_record", *seq)
            .with("status", status.as_str())
            .with("known_before", *before);
        return print_json(&value);
    }
    let again = if *before { ", on record before" } else { "" };
    print_line(&format!(
        "{} {}: {} ({}), registry record {seq}{again}\n{}",
        entry.package,
        entry.version,
        entry.event,
        status.as_str(),
        entry.id
    ));
}

fn list(config: &ConfigArgs) -> Result<(), Failure> {
    let (_, evidence, _) = open(&config.load()?)?;
    let reader = evidence.reader().map_err(failure)?;
    let versions = package_index::versions(&reader, |_| true);
    let versions = versions.map_err(|error| failure(error.into()))?;
    for ((package, number), version) in versions.iter() {
        let digest = version.sha256.map(|digest| digest.to_hex()).unwrap_or_default();
        print_line(&format!("{package}  {number}  {}  {digest}", version.status.as_str()));
    }
    Ok(())
}

fn write_metadata(which: &Which, into: &Path) -> Result<(), Failure> {
    named(&which.package, &which.version).map_err(failure)?;
    let (_, evidence, _) = open(&which.config.load()?)?;
    let reader = evidence.reader().map_err(failure)?;
    let known = |error: provenance_registry::RegistryError| failure(error.into());
    let missing = |what: &str| Failure::new(Exit::NoInput, what);
    let same = |entry: &provenance_core::registry::PackageEntry| {
        (&entry.package, &entry.version) == (&which.package, &which.version)
    };
    let versions = package_index::versions(&reader, same).map_err(known)?;
    let version = versions.get(&which.package, &which.version);
    let version = version.ok_or_else(|| missing("this version is not on record"))?;
    let certificates = package_index::certificates(&reader).map_err(known)?;
    let certificate = version.certificate.as_ref().and_then(|id| certificates.get(id));
    let certificate = certificate.ok_or_else(|| missing("this version has no certificate yet"))?;
    let unreadable = |error: std::io::Error| {
        Failure::new(io_exit(&error), format!("{}: {error}", into.display()))
    };
    let bytes = durable::read_limited(into, metadata::MAX_BYTES).map_err(unreadable)?;
    let value = metadata::of(&which.package, &which.version, version, certificate);
    let text = metadata::put(&String::from_utf8_lossy(&bytes), &value).map_err(|why| {
        Failure::new(Exit::Data, format!("{} is no package.json: {why}", into.display()))
    })?;
    durable::replace(into, text.as_bytes(), 0o644).map_err(unreadable)?;
    print_line(&format!("{}: mspProvenance", into.display()));
    Ok(())
}

impl By {
    fn name(&self) -> String {
        super::common::current_user(self.who.clone())
    }
}

fn digest(path: &Path) -> Result<Digest, Failure> {
    durable::digest_of(path)
        .map_err(|error| Failure::new(io_exit(&error), format!("{}: {error}", path.display())))
}

fn detail(text: &str) -> Result<(String, String), String> {
    let (name, text) = text.split_once('=').ok_or("write NAME=TEXT")?;
    Ok((name.into(), text.into()))
}

fn status(text: &str) -> Result<Status, String> {
    let settable = |status: &Status| *status != Status::Registered;
    Status::parse(text)
        .filter(settable)
        .ok_or_else(|| "deprecated, unpublished or published".into())
}
