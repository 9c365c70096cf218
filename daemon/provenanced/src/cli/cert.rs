//! `provenanced cert`.

use std::path::PathBuf;

use clap::Subcommand;
use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, io_exit, print_json, print_line};
use provenance_core::{
    encoding::json::Value,
    registry::{Issued, SubjectKind},
};
use provenance_host::durable;
use provenance_registry::{
    Reader,
    package_index::{self, CertificateState},
};

use super::common::{ConfigArgs, failure, open};
use crate::certificates::{Authority, Request, SubjectKey, to_pem};

/// A public key's file is at most this long.
const MAX_KEY: u64 = 16 << 10;

#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Certify a key for a package, a service or an appliance
    #[command(after_help = "Example:\n  provenanced cert issue --config provenance.toml \
        --package @acme/agent --for-version 1.2.3 --file agent-1.2.3.tgz --key agent.pub \
        --approved-by 'Anna Meier' --place 'Ulm, ticket 42'\n\n\
        The first one also makes the authority's own certificate: \
        certificates/ca-….pem in the state folder.")]
    Issue {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        subject: Subject,
        /// With --package: the version, if it is for one alone
        #[arg(long = "for-version", value_name = "V", requires = "package")]
        version: Option<String>,
        /// With --package: the archive that it is about
        #[arg(long, value_name = "FILE", requires = "package")]
        file: Option<PathBuf>,
        /// The public key to certify (Ed25519 or P-256, PEM)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        approval: Approval,
    },
    /// Issue a certificate that takes the place of another: same key, new validity
    #[command(after_help = "Example:\n  provenanced cert renew --config provenance.toml ID \
        --approved-by 'Anna Meier' --place Ulm")]
    Renew {
        #[command(flatten)]
        config: ConfigArgs,
        /// The certificate's id
        id: String,
        #[command(flatten)]
        approval: Approval,
    },
    /// Revoke a certificate, and write a new revocation list
    #[command(after_help = "Example:\n  provenanced cert revoke --config provenance.toml ID \
        --by 'Anna Meier' --reason 'key lost'")]
    Revoke {
        #[command(flatten)]
        config: ConfigArgs,
        /// The certificate's id
        id: String,
        /// Who decides it
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// A line for each certificate on record
    #[command(after_help = "Example:\n  provenanced cert list --config provenance.toml")]
    List {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one certificate on record, in PEM or as JSON
    #[command(after_help = "Example:\n  provenanced cert show --config provenance.toml ID | \
        openssl x509 -noout -text")]
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// The certificate's id
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write the certificates' files and a new revocation list: a timer runs it before the old one ends
    #[command(after_help = "Example:\n  provenanced cert crl --config provenance.toml")]
    Crl {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Subject {
    /// A package: `name` or `@scope/name`
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// A server, by its DNS name
    #[arg(long, value_name = "DNS")]
    service: Option<String>,
    /// An appliance
    #[arg(long, value_name = "CLIENT/HOST")]
    appliance: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Approval {
    /// Who approved it
    #[arg(long, value_name = "NAME")]
    approved_by: String,
    /// Where: an office, a ticket
    #[arg(long, value_name = "TEXT")]
    place: String,
    /// Valid for so many days (default: certificates.days)
    #[arg(long, value_name = "N")]
    days: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(command: CertCommand) -> Result<(), Failure> {
    match command {
        CertCommand::Issue { config, subject, version, file, key, approval } => {
            issue(&config, subject, version, file, key, approval)
        }
        CertCommand::Renew { config, id, approval } => {
            let config = config.load()?;
            let (state, mut evidence, now) = open(&config)?;
            let authority = Authority::open(&config, &state).map_err(failure)?;
            let by = (approval.approved_by.as_str(), approval.place.as_str());
            let made = authority.renew(&mut evidence, now, &id, by.0, by.1, approval.days);
            tell(made.map_err(failure)?, approval.output.format())
        }
        CertCommand::Revoke { config, id, by, reason } => {
            let config = config.load()?;
            let (state, mut evidence, now) = open(&config)?;
            let authority = Authority::open(&config, &state).map_err(failure)?;
            let seq = authority.revoke(&mut evidence, now, &id, (&by, &reason)).map_err(failure)?;
            print_line(&format!(
                "revoked with registry record {seq}; hand out {}",
                state.certificates().join("crl.pem").display()
            ));
            Ok(())
        }
        CertCommand::List { config, output } => list(&config, output.format()),
        CertCommand::Show { config, id, output } => show(&config, &id, output.format()),
        CertCommand::Crl { config } => {
            let config = config.load()?;
            let (state, evidence, now) = open(&config)?;
            let authority = Authority::open(&config, &state).map_err(failure)?;
            print_line(&authority.publish(&evidence, now).map_err(failure)?.display().to_string());
            Ok(())
        }
    }
}

fn issue(
    config: &ConfigArgs,
    subject: Subject,
    version: Option<String>,
    file: Option<PathBuf>,
    key: PathBuf,
    approval: Approval,
) -> Result<(), Failure> {
    let unreadable = |path: &PathBuf| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::new(io_exit(&error), format!("{path}: {error}"))
    };
    let artifact_sha256 = match &file {
        Some(path) => Some(durable::digest_of(path).map_err(unreadable(path))?),
        None => None,
    };
    let text = durable::read_limited(&key, MAX_KEY).map_err(unreadable(&key))?;
    let key = SubjectKey::parse(&text)
        .map_err(|why| Failure::new(Exit::Data, format!("{}: not {why}", key.display())))?;
    let (subject, name) = subject.named()?;
    let Approval { approved_by, place, days, output } = approval;
    let request =
        Request { subject, name, version, key, artifact_sha256, days, approved_by, place };
    let config = config.load()?;
    let (state, mut evidence, now) = open(&config)?;
    let authority = Authority::open(&config, &state).map_err(failure)?;
    tell(authority.issue(&mut evidence, now, &request).map_err(failure)?, output.format())
}

impl Subject {
    fn named(self) -> Result<(SubjectKind, String), Failure> {
        let kinds = [
            (SubjectKind::Package, self.package),
            (SubjectKind::Service, self.service),
            (SubjectKind::Appliance, self.appliance),
        ];
        let mut named = kinds.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
        let missing = || Failure::new(Exit::Usage, "give --package, --service or --appliance");
        named.next().ok_or_else(missing)
    }
}

fn tell((seq, issued): (u64, Issued), format: OutputFormat) -> Result<(), Failure> {
    if format == OutputFormat::Json {
        let value = CertificateState { issued, seq, revoked: None }.to_value();
        print_json(&value);
    } else {
        print_line(&format!(
            "{}\n{} {}, valid until {}\nSHA-256 of the certificate: {}\nregistry record {seq}",
            issued.id,
            issued.subject.as_str(),
            issued.name,
            issued.not_after,
            issued.sha256
        ));
    }
    Ok(())
}

fn list(config: &ConfigArgs, format: OutputFormat) -> Result<(), Failure> {
    let known = package_index::certificates(&reader(config)?);
    let known = known.map_err(|error| failure(error.into()))?;
    if format == OutputFormat::Json {
        let all: Vec<Value> = known.iter().map(CertificateState::to_value).collect();
        print_json(&Value::from(all));
        return Ok(());
    }
    for known in known.iter() {
        let CertificateState { issued, revoked, .. } = known;
        let state = match revoked {
            Some(revoked) => format!("revoked with record {}", revoked.seq),
            None => format!("until {}", issued.not_after),
        };
        let version = issued.version.as_deref().map(|v| format!("@{v}")).unwrap_or_default();
        let kind = issued.subject.as_str();
        print_line(&format!("{}  {kind:<9}  {}{version}  {state}", issued.id, issued.name));
    }
    Ok(())
}

fn show(config: &ConfigArgs, id: &str, format: OutputFormat) -> Result<(), Failure> {
    let known = package_index::certificates(&reader(config)?);
    let known = known.map_err(|error| failure(error.into()))?;
    let Some(known) = known.get(id) else {
        let message = format!("no certificate on record has the id {id}: see `cert list`");
        return Err(Failure::new(Exit::NoInput, message));
    };
    if format == OutputFormat::Json {
        print_json(&known.to_value());
    } else {
        print_line(to_pem(&known.issued.der).map_err(failure)?.trim_end());
    }
    Ok(())
}

fn reader(config: &ConfigArgs) -> Result<Reader, Failure> {
    let state = provenance_host::state_dir::StateDir::new(&config.load()?.state_dir);
    Reader::open(&state.registry()).map_err(|error| failure(error.into()))
}
