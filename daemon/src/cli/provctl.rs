//! `provctl`: read-only, no key, no network.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use provenance_core::{
    canon::Value,
    digest::Digest,
    report::{Report, Verdict},
    time::Timestamp,
};

use super::{
    Exit, Failure, bar, check_time, completions, copies, countersign_request, io_exit, mcp, render,
    say,
    sbom::SbomCommand,
    storage::{self, StorageArgs},
    trust::{BlockArgs, PolicyArgs, held},
    verify_cert, verify_countersign, verify_package, verify_store,
};
use crate::{
    audit::{AuditError, Trust, attestation, bundle, chain, logs::Logs, packet, registry, status},
    host::{
        durable::{self, StateDir},
        policy::PolicyError,
    },
    registry::reader::{Reader, RegistryError},
};

/// Verify compliance evidence: anywhere, offline, without trusting the appliance
#[derive(Debug, Parser)]
#[command(name = "provctl", version, max_term_width = 100)]
#[command(about = "Verify compliance evidence: anywhere, offline, without trusting the appliance")]
#[command(after_help = "Example:\n  provctl verify-chain --state /var/lib/msp-provenance \
    --policy policy.toml\n\n\
    Exit codes: 0 verified, 1 verification failed, 2 inconclusive, 64 usage, 65 malformed, \
    66 no such input, 70 internal, 74 I/O, 75 try again, 78 configuration.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify the chain, the registry, the checkpoints, the bundles, and the joins between them
    #[command(
        after_help = "Example:\n  provctl verify-chain --state ./state --policy policy.toml --logs"
    )]
    VerifyChain(VerifyChain),
    /// Verify evidence bundles, compliance packets, attestations of builds, and copies in WORM storage
    #[command(after_help = "Example:\n  provctl verify EB-20261121-0001 --policy policy.toml\n  \
        provctl verify MSP-clinic-001-2026-11-01-2026-12-01.zip --policy policy.toml\n  \
        provctl verify s3://evidence/clinic-001 --policy policy.toml --credentials-file key")]
    Verify {
        /// Bundle folders, packets, attestations, copies in a bucket or in a folder
        #[arg(required = true, value_name = "FILE|DIR|s3://…")]
        paths: Vec<PathBuf>,
        /// For attestations: where the file system with the Nix store is mounted
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
        #[command(flatten)]
        policy: PolicyArgs,
        #[command(flatten)]
        blocks: BlockArgs,
        #[command(flatten)]
        storage: StorageArgs,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify the copies of every appliance in WORM storage, several at a time
    #[command(after_help = "Example:\n  provctl verify-fleet s3://evidence --policy policies/ \
        --credentials-file key\n\n\
        Exit codes: 0 all verified, 1 one failed, 2 else.")]
    VerifyFleet(copies::FleetArgs),
    /// Ask every time source now, and judge as the daemon does
    #[command(
        after_help = "Example:\n  provctl check-time --config /etc/msp-provenance/provenance.toml\n\n\
            Exit codes: 0 agreed, 1 disputed or anomalous, 2 degraded or unsynchronised."
    )]
    CheckTime {
        /// The daemon's settings; without: the machine's, or whatever answers at the usual places
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A setting that goes over the file's
        #[arg(long, value_name = "KEY=VALUE", requires = "config")]
        set: Vec<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the last tick, the newest checkpoint and the newest bundle
    #[command(after_help = "Example:\n  provctl status --state ./state --json")]
    Status {
        #[command(flatten)]
        state: StateArgs,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Look into the registry
    #[command(after_help = "Example:\n  provctl registry list --state ./state --kind bundle")]
    Registry {
        #[command(subcommand)]
        command: RegistryCommand,
    },
    /// Judge or compare software bills of materials (SPDX 2.3, CycloneDX 1.6, in JSON)
    Sbom {
        #[command(subcommand)]
        command: SbomCommand,
    },
    /// Answer an assistant's questions about time and evidence: an MCP server on stdio, read-only
    #[command(after_help = "Example:\n  provctl mcp --state /var/lib/msp-provenance \
        --policy policy.toml\n\n\
        It ends when its input does. docs/mcp.md has the settings of assistants.")]
    Mcp(mcp::Args),
    /// Verify who signed each Nix store path of the running system
    #[command(after_help = "Example:\n  provctl verify-store --trusted-keys \
        cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY= --rehash")]
    VerifyStore(verify_store::Args),
    /// Verify a certificate of a local authority, and what it is for
    #[command(
        after_help = "Example:\n  provctl verify-cert 1.2.3.cert.pem --ca ca.pem --crl crl.pem \
        --for agent-1.2.3.tgz --publication 1.2.3.publication.sigstore.json --policy policy.toml"
    )]
    VerifyCert(verify_cert::Args),
    /// Ask others to vouch for a folder, a file or a build: the request that they sign
    #[command(after_help = "Example:\n  provctl countersign-request ./left-pad --author anna \
        --key anna.pub --version 1.3.0 --out request.json")]
    CountersignRequest(countersign_request::Args),
    /// Count who vouches for a folder, a file or a build
    #[command(after_help = "Example:\n  provctl verify-countersign ./left-pad --version 1.3.0 \
        --threshold 2 --policy policy.toml")]
    VerifyCountersign(verify_countersign::Args),
    /// Verify who vouches for packages: attestations of npm, PyPI, GitHub and Sigstore, offline
    #[command(after_help = "Example:\n  provctl verify-package sigstore-2.0.0.tgz \
        --attestations sigstore.json --expect spec.toml\n  \
        provctl verify-package --lock package-lock.json --attestations attestations/ \
        --expect spec.toml")]
    VerifyPackage(verify_package::Args),
    /// Print shell completions
    #[command(after_help = "Example:\n  provctl completions bash > /etc/bash_completion.d/provctl")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
struct VerifyChain {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    blocks: BlockArgs,
    /// Re-read the watched logs too, rotated and compressed ones included
    #[arg(long)]
    logs: bool,
    /// With --logs: where the logs' file system is mounted
    #[arg(long, value_name = "DIR", default_value = "/", requires = "logs")]
    root: PathBuf,
    /// With --logs: the journal's folder, if it is not the machine's own journal
    #[arg(long, value_name = "DIR", requires = "logs")]
    journal: Option<PathBuf>,
    /// Records from this time on only
    #[arg(long, value_name = "T", value_parser = super::time)]
    from: Option<Timestamp>,
    /// Records before this time only
    #[arg(long, value_name = "T", value_parser = super::time)]
    to: Option<Timestamp>,
    /// A record with this hash must be in the chain
    #[arg(long, value_name = "HASH", value_parser = hash)]
    expect_head: Option<Digest>,
    /// A checkpoint that you hold: the registry must continue it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A proof.json with an anchor that you hold: the registry must continue it
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum RegistryCommand {
    /// A line for each record
    #[command(after_help = "Example:\n  provctl registry list --kind bundle --from 2026-11-01")]
    List {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        filter: FilterArgs,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// One record: by its number, its hash, or the id in it
    #[command(after_help = "Example:\n  provctl registry show EB-20261121-0001")]
    Show {
        /// Number, hash or id
        id: String,
        #[command(flatten)]
        state: StateArgs,
        /// Answer in JSON (the record's own bytes)
        #[arg(long)]
        json: bool,
    },
    /// The records as lines, byte for byte
    #[command(after_help = "Example:\n  provctl registry export > registry.jsonl")]
    Export {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        filter: FilterArgs,
        /// The same: an export is JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// The state folder; for verify-chain also a bare chain folder, or one day's file
    #[arg(long, value_name = "DIR", default_value = "/var/lib/msp-provenance")]
    pub(super) state: PathBuf,
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Of this kind only
    #[arg(long, value_name = "K")]
    kind: Option<String>,
    /// From this time on only
    #[arg(long, value_name = "T", value_parser = super::time)]
    from: Option<Timestamp>,
    /// Before this time only
    #[arg(long, value_name = "T", value_parser = super::time)]
    to: Option<Timestamp>,
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    /// [`Failure`] with the exit code and what to do next.
    pub fn run(self) -> Result<Exit, Failure> {
        match self.command {
            Command::VerifyChain(args) => verify_chain(&args),
            Command::Verify { paths, root, policy, blocks, storage, json } => {
                verify(&paths, &root, &blocks.add(policy.load()?)?, &storage, json)
            }
            Command::VerifyFleet(args) => args.run(),
            Command::CheckTime { config, set, json } => check_time::run(config, &set, json),
            Command::Status { state, json } => show_status(&state.state, json),
            Command::Registry { command } => look(command),
            Command::Sbom { command } => command.run(),
            Command::Mcp(args) => args.run(),
            Command::VerifyCert(args) => verify_cert::run(args),
            Command::VerifyStore(args) => verify_store::run(&args),
            Command::CountersignRequest(args) => countersign_request::run(args),
            Command::VerifyCountersign(args) => verify_countersign::run(args),
            Command::VerifyPackage(args) => verify_package::run(&args),
            Command::Completions { shell } => {
                completions::<Self>(shell, "provctl");
                Ok(Exit::Done)
            }
        }
    }
}

fn verify_chain(args: &VerifyChain) -> Result<Exit, Failure> {
    let trust = args.blocks.add(args.policy.load()?)?;
    let anchor = match &args.anchor {
        Some(path) => Some(held(path)?),
        None => None,
    };
    let checkpoint = match &args.checkpoint {
        Some(path) => Some(read_text(path)?),
        None => None,
    };
    let options = chain::Options {
        from: args.from,
        to: args.to,
        expect_head: args.expect_head,
        checkpoint,
        anchor,
        logs: args.logs.then(|| Logs { root: args.root.clone(), journal: args.journal.clone() }),
    };
    let bar = bar("records");
    let mut progress = |count: u64| bar.set_position(count);
    let report = chain::verify(&args.state.state, &trust, &options, &mut progress);
    bar.finish_and_clear();
    conclude(&report.map_err(failure)?, args.json)
}

fn verify(
    paths: &[PathBuf],
    root: &Path,
    trust: &Trust,
    storage: &StorageArgs,
    json: bool,
) -> Result<Exit, Failure> {
    let mut reports = vec![];
    for path in paths {
        if copies::is_copies(path, storage) {
            reports.push((path, copies::verify(path, storage, trust)?));
            continue;
        }
        let report = if packet::is_packet(path) {
            let bar = bar("records");
            let report = packet::verify(path, trust, &mut |count| bar.set_position(count));
            bar.finish_and_clear();
            report
        } else if attestation::is_attestation(path) {
            attestation::verify(path, root, trust)
        } else {
            bundle::verify(path, trust)
        };
        reports.push((path, report.map_err(failure)?));
    }
    if let [(_, report)] = &reports[..] {
        return conclude(report, json);
    }
    let worst = reports.iter().map(|(_, report)| report.verdict()).max();
    if json {
        let each = reports
            .iter()
            .map(|(path, report)| report.to_value().with("path", path.display().to_string()));
        say_value(&Value::object([
            ("verdict", worst.map_or("inconclusive", Verdict::as_str).into()),
            ("reports", Value::Array(each.collect())),
        ]));
    } else {
        for (path, report) in &reports {
            say(&format!(
                "{}\n{}",
                render::plain(&path.display().to_string()),
                render::report(report)
            ));
        }
    }
    Ok(exit_of(worst.unwrap_or(Verdict::Inconclusive)))
}

fn show_status(path: &Path, json: bool) -> Result<Exit, Failure> {
    let status = status::read(path).map_err(failure)?;
    if json {
        say_value(&status.to_value());
    } else {
        say(&render::status(&status));
    }
    Ok(Exit::Done)
}

fn look(command: RegistryCommand) -> Result<Exit, Failure> {
    let open = |state: &StateArgs| {
        let path = StateDir::new(&state.state).registry();
        Reader::open_for_audit(&path).map_err(|error| failure(error.into()))
    };
    match command {
        RegistryCommand::List { state, filter, json } => {
            let mut rows = vec![];
            registry::each(&open(&state)?, &filter.into(), |record| {
                if json {
                    rows.push(Value::object([
                        ("seq", record.seq.into()),
                        ("time", record.time.into()),
                        ("kind", record.kind.into()),
                        ("hash", record.hash().into()),
                    ]));
                } else {
                    let data = String::from_utf8_lossy(record.data).into_owned();
                    say(&format!(
                        "{:>8}  {}  {:<10} {}",
                        record.seq,
                        record.time,
                        record.kind,
                        render::plain(&render::shortened(&data, 90))
                    ));
                }
            })
            .map_err(failure)?;
            if json {
                say_value(&Value::Array(rows));
            }
        }
        RegistryCommand::Show { id, state, json } => {
            let body = registry::find(&open(&state)?, &id).map_err(failure)?;
            if json {
                say(&String::from_utf8_lossy(&body));
            } else {
                say(&render::value(&Value::parse(&body).unwrap_or(Value::Null)));
            }
        }
        RegistryCommand::Export { state, filter, json: _ } => {
            registry::each(&open(&state)?, &filter.into(), |record| {
                say(&String::from_utf8_lossy(record.line));
            })
            .map_err(failure)?;
        }
    }
    Ok(Exit::Done)
}

fn conclude(report: &Report, json: bool) -> Result<Exit, Failure> {
    conclude_on(report, json, render::INTACT)
}

/// `verified` says what it means that nothing is wrong.
pub(super) fn conclude_on(report: &Report, json: bool, verified: &str) -> Result<Exit, Failure> {
    if json {
        say_value(&report.to_value());
    } else {
        say(&render::report_on(report, verified));
    }
    Ok(exit_of(report.verdict()))
}

pub(super) fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Verified => Exit::Done,
        Verdict::Failed => Exit::Failed,
        Verdict::Inconclusive => Exit::Inconclusive,
    }
}

impl From<FilterArgs> for registry::Filter {
    fn from(args: FilterArgs) -> Self {
        Self { kind: args.kind, from: args.from, to: args.to }
    }
}

pub(super) fn failure(error: AuditError) -> Failure {
    let exit = match &error {
        AuditError::Missing(_) => Exit::NoInput,
        AuditError::NotEvidence { .. } => Exit::Data,
        AuditError::Io { source, .. } => io_exit(source),
        AuditError::Registry(RegistryError::Missing(_)) => Exit::NoInput,
        AuditError::Registry(RegistryError::Busy) => Exit::Temporary,
        AuditError::Registry(RegistryError::Io(source)) => io_exit(source),
        AuditError::Registry(error @ RegistryError::Sqlite(_)) if !error.is_damage() => Exit::Io,
        AuditError::Registry(_) => Exit::Data,
        AuditError::Copies(error) => storage::exit_of_copies(error),
        AuditError::Stopped => Exit::Temporary,
        AuditError::Policy(PolicyError::Read { source, .. }) => io_exit(source),
        AuditError::Policy(PolicyError::Invalid { .. }) => Exit::Config,
    };
    Failure::new(exit, error)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = durable::read_limited(path, 64 << 10)
        .map_err(|error| Failure::new(io_exit(&error), format!("{}: {error}", path.display())))?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(Exit::Data, format!("{} is not UTF-8", path.display())))
}

fn hash(text: &str) -> Result<Digest, String> {
    Digest::from_hex(text.as_bytes()).ok_or_else(|| "64 lower-case hex digits".into())
}

pub(super) fn say_value(value: &Value) {
    say(&String::from_utf8_lossy(&value.encode()));
}
