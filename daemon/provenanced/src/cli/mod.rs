//! `provenanced`: everything that writes, or holds a key.

mod aggregate;
mod anchor;
mod api;
mod attest;
mod cert;
mod common;
mod countersign;
mod health;
mod package;
mod packet;
mod store;

use std::{io::IsTerminal, path::PathBuf};

use clap::{Parser, Subcommand};
use provenance_cli::{Exit, Failure, OutputArgs, OutputFormat, io_exit, print_json, print_line};
use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    registry::Entry,
    signing::public_key::PublicKey,
};
use provenance_host::{clock::SystemClock, config::Config, durable};

use crate::{
    bundle::{self, Request},
    daemon,
    ledger::signer,
};
use common::{ConfigArgs, current_user, failure, open};

/// Compliance evidence and time attestation: the appliance's side
#[derive(Debug, Parser)]
#[command(name = "provenanced", version, max_term_width = 100)]
#[command(about = "Compliance evidence and time attestation: the appliance's side")]
#[command(
    after_help = "Example:\n  provenanced keygen --out /etc/msp-provenance --name signing\n  \
    provenanced run --config /etc/msp-provenance/provenance.toml\n\n\
    Exit codes: 0 done, 64 usage, 65 malformed, 66 no such input, 70 internal, 74 I/O, \
    75 try again, 78 configuration."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: chain the logs, attest the time, keep the registry
    #[command(after_help = "Example:\n  provenanced run --config provenance.toml --ticks 3 \
        --set chain.interval_s=5")]
    Run {
        #[command(flatten)]
        config: ConfigArgs,
        /// End after N ticks, in order
        #[arg(long, value_name = "N")]
        ticks: Option<u64>,
    },
    /// Parse and judge the settings, and say what is wrong in which line
    #[command(after_help = "Example:\n  provenanced check-config --config provenance.toml")]
    CheckConfig {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Make an Ed25519 key pair: NAME.key (PKCS#8 PEM, 0600) and NAME.pub (SPKI PEM)
    #[command(
        after_help = "Example:\n  provenanced keygen --out /etc/msp-provenance --name signing"
    )]
    Keygen {
        /// The folder for both files
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// What the files are called
        #[arg(long, default_value = "signing", value_parser = key_name)]
        name: String,
    },
    /// Attest how a Nix store path was built on this machine: SLSA provenance v1, signed
    #[command(after_help = "Example:\n  provenanced attest --config provenance.toml \
        --build ./result --out build.sigstore.json\n\n\
        `provenanced bundle --artifact build.sigstore.json` makes it evidence.")]
    Attest(attest::Args),
    /// Make an evidence bundle now
    #[command(after_help = "Example:\n  provenanced bundle --config provenance.toml \
        --artifact report.pdf --control '164.312(b)' --reason 'incident 42'")]
    Bundle {
        #[command(flatten)]
        config: ConfigArgs,
        /// A file to attach; may be repeated
        #[arg(long = "artifact", value_name = "PATH")]
        artifacts: Vec<PathBuf>,
        /// A control that it is evidence for; may be repeated
        #[arg(long = "control", value_name = "ID")]
        controls: Vec<String>,
        /// Why it is made
        #[arg(long, value_name = "TEXT", default_value = "by command")]
        reason: String,
        /// Records from this time on (default: from the last bundle's end on)
        #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
        from: Option<Timestamp>,
        /// Records before this time (default: up to the last)
        #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
        to: Option<Timestamp>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Anchor the registry's root in Bitcoin: one that is due, and what is pending, as far as it goes
    #[command(after_help = "Example:\n  provenanced anchor --config provenance.toml\n\n\
        It never waits for a block: a timer runs it every few minutes.")]
    Anchor {
        #[command(flatten)]
        config: ConfigArgs,
        /// Though one was anchored today
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take digests from others, as an OpenTimestamps calendar, and anchor them with the registry
    #[command(after_help = "Example:\n  provenanced aggregate --config provenance.toml\n\n\
        It runs until a signal. `provenanced anchor` puts the root into Bitcoin, once a day.")]
    Aggregate {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// How the appliance stands: time, chain, registry, checkpoint, verification, disk
    #[command(after_help = "Example:\n  provenanced health --config provenance.toml --verify\n\n\
        Exit codes: 0 ok, 1 failing, 2 something could not be told.")]
    Health {
        #[command(flatten)]
        config: ConfigArgs,
        /// Verify chain and registry first, and record the result
        #[arg(long)]
        verify: bool,
        /// With --verify: whom to trust (default: /etc/msp-provenance/policy.toml, if it is there)
        #[arg(long, value_name = "FILE", requires = "verify")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write the software bill of materials of the running system, and record it
    #[command(after_help = "Example:\n  provenanced sbom --config provenance.toml --out .\n  \
        provenanced sbom --config provenance.toml --system /run/booted-system --out .")]
    Sbom(packet::SbomArgs),
    /// Certificates for packages, services and appliances, by a local authority
    Cert {
        #[command(subcommand)]
        command: cert::CertCommand,
    },
    /// Answer over HTTP about certificates and packages; who has the token reports, too
    #[command(after_help = "Example:\n  provenanced api --config provenance.toml\n\n\
        It runs until a signal. GET /openapi.json tells all that it answers.")]
    Api {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// The chronicle of packages: events, publications, status
    Package {
        #[command(subcommand)]
        command: package::PackageCommand,
    },
    /// Write a compliance packet, a ZIP file for auditors, and record that it was exported
    #[command(after_help = "Example:\n  provenanced packet --config provenance.toml \
        --from 2026-11-01 --to 2026-12-01 --out november.zip\n  \
        provenanced packet --config provenance.toml --due")]
    Packet(packet::PacketArgs),
    /// Copy what is not yet in WORM storage, read it back, and record it
    #[command(after_help = "Example:\n  provenanced store --config provenance.toml\n\n\
        Exit codes: 0 done, 1 the storage does not keep what is put there, 75 try again (no answer, \
        clocks differ), 78 settings (no Object Lock, access refused). Killed at any point, the next \
        call goes on.")]
    Store(store::StoreArgs),
    /// Rebuild a lost appliance's state folder from its copies, and verify it
    #[command(after_help = "Example:\n  provenanced restore --from s3://evidence/clinic-001 \
        --to /var/lib/msp-provenance --credentials-file key --policy policy.toml\n\n\
        Exit codes: 0 verified, 1 verification failed, 2 inconclusive.")]
    Restore(store::RestoreArgs),
    /// Vouch for a folder, a file or a build that somebody asked to be signed, and record it
    #[command(after_help = "Example:\n  provenanced countersign --config provenance.toml \
        --request request.json --for ./left-pad --reason 'read every line'\n\n\
        It signs what lies there now, if it is what the request names. Interrupted, the same call \
        goes on; done already, it says so.")]
    Countersign(countersign::Args),
    /// Record that a person looked at something, and with which outcome
    #[command(after_help = "Example:\n  provenanced review --config provenance.toml \
        --what EB-20261121-0001 --outcome 'no irregularities'")]
    Review {
        #[command(flatten)]
        config: ConfigArgs,
        /// What was looked at: a bundle's id, a record, an alert
        #[arg(long, value_name = "ID")]
        what: String,
        /// What came of it
        #[arg(long, value_name = "TEXT")]
        outcome: String,
        /// Who looked (default: the user of this process)
        #[arg(long, value_name = "NAME")]
        who: Option<String>,
    },
    /// Record that a key signs nothing from here on
    #[command(after_help = "Example:\n  provenanced revoke-key --config provenance.toml \
        --key old.pub --reason 'laptop stolen'\n\nThe daemon must run with another key already.")]
    RevokeKey {
        #[command(flatten)]
        config: ConfigArgs,
        /// The public half of the key to revoke
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Print shell completions
    #[command(
        after_help = "Example:\n  provenanced completions bash > /etc/bash_completion.d/provenanced"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    /// [`Failure`] with the exit code and what to do next.
    pub fn run(self) -> Result<Exit, Failure> {
        log_to_journal_or_stderr();
        let done = match self.command {
            Command::Health { config, verify, policy, output } => {
                return look(&config.load()?, verify, policy, output.format());
            }
            Command::Store(args) => return args.run(),
            Command::Restore(args) => return args.run(),
            Command::Run { config, ticks } => daemon(&config, ticks),
            Command::CheckConfig { config, output } => check_config(&config, output.format()),
            Command::Keygen { out, name } => keygen(&out, &name),
            Command::Bundle { config, artifacts, controls, reason, from, to, output } => {
                let request = Request { artifacts, controls, reason, from, to };
                make_bundle(&config.load()?, &request, output.format())
            }
            Command::Anchor { config, now, output } => {
                let config = config.load()?;
                let (state, evidence, _) = open(&config)?;
                anchor::run(&config, &state, evidence, now, output.format())
            }
            Command::Aggregate { config } => aggregate::run(&config.load()?),
            Command::Packet(args) => packet::packet(args),
            Command::Attest(args) => attest::run(args),
            Command::Countersign(args) => countersign::run(args),
            Command::Sbom(args) => packet::sbom(args),
            Command::Api { config } => api::run(&config.load()?),
            Command::Cert { command } => cert::run(command),
            Command::Package { command } => package::run(command),
            Command::Review { config, what, outcome, who } => {
                review(&config.load()?, what, outcome, who)
            }
            Command::RevokeKey { config, key, reason } => revoke_key(&config.load()?, &key, reason),
            Command::Completions { shell } => {
                provenance_cli::completions::<Self>(shell, "provenanced");
                Ok(())
            }
        };
        done.map(|()| Exit::Done)
    }
}

fn look(
    config: &Config,
    verify: bool,
    policy: Option<PathBuf>,
    format: OutputFormat,
) -> Result<Exit, Failure> {
    if verify {
        let entry = health::verify(config, policy)?;
        let (_, mut evidence, now) = open(config)?;
        evidence.record(now, &[entry]).map_err(failure)?;
    }
    health::run(config, format)
}

fn daemon(args: &ConfigArgs, ticks: Option<u64>) -> Result<(), Failure> {
    let config = args.load()?;
    let internal = |error: std::io::Error| Failure::new(Exit::Io, error);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    let clock = SystemClock::new().map_err(internal)?;
    let options =
        daemon::Options { config_path: args.config.clone(), set: args.set.clone(), ticks };
    runtime.block_on(daemon::run(config, options, clock)).map_err(failure)
}

fn check_config(args: &ConfigArgs, format: OutputFormat) -> Result<(), Failure> {
    let config = args.load()?;
    if format == OutputFormat::Json {
        print_json(&config.to_value());
    } else {
        print_line(&format!(
            "{}: in order. tier {}, a record each {} s, {}",
            args.config.display(),
            config.tier,
            config.interval_s,
            if config.signing_key.is_some() { "signed" } else { "unsigned" }
        ));
    }
    Ok(())
}

fn keygen(out: &std::path::Path, name: &str) -> Result<(), Failure> {
    let (key, public, fingerprint) =
        signer::keygen(out, name).map_err(|error| failure(error.into()))?;
    print_line(&format!(
        "{} (secret, 0600)\n{} (give this to your auditor)\nSHA-256 of the public key: {}",
        key.display(),
        public.display(),
        fingerprint.fingerprint()
    ));
    Ok(())
}

fn make_bundle(config: &Config, request: &Request, format: OutputFormat) -> Result<(), Failure> {
    let (state, mut evidence, now) = open(config)?;
    let made = bundle::make(config, &state, &mut evidence, now, request).map_err(failure)?;
    if format == OutputFormat::Json {
        let value = made.entry_value().with("path", made.path.display().to_string());
        print_json(&value);
    } else {
        print_line(&format!(
            "{}: records {} to {}, {} artifacts, {}\n{}",
            made.id,
            made.entry.first_seq,
            made.entry.last_seq,
            made.entry.artifacts,
            if made.entry.signed { "signed" } else { "unsigned (the tier allows it)" },
            made.path.display()
        ));
    }
    Ok(())
}

fn review(
    config: &Config,
    what: String,
    outcome: String,
    who: Option<String>,
) -> Result<(), Failure> {
    let (_, mut evidence, now) = open(config)?;
    let who = current_user(who);
    evidence.record(now, &[Entry::Review { what, who, outcome }]).map_err(failure)?;
    print_line("recorded");
    Ok(())
}

fn revoke_key(config: &Config, key: &std::path::Path, reason: String) -> Result<(), Failure> {
    let text = durable::read_limited(key, 16 << 10)
        .map_err(|error| Failure::new(io_exit(&error), format!("{}: {error}", key.display())))?;
    let public = PublicKey::parse(&String::from_utf8_lossy(&text))
        .map_err(|error| Failure::new(Exit::Data, format!("{}: {error}", key.display())))?;
    let (_, mut evidence, now) = open(config)?;
    evidence.revoke(now, &public, reason).map_err(failure)?;
    print_line("recorded: tell your auditors, so that their policies end the key's span");
    Ok(())
}

fn key_name(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        Ok(name.to_owned())
    } else {
        Err("1 to 64 letters, digits, - or _".into())
    }
}

/// Under systemd straight to the journal, with fields; else to standard error.
fn log_to_journal_or_stderr() {
    use tracing_subscriber::{EnvFilter, prelude::*};
    let filter = EnvFilter::try_from_env("PROVENANCED_LOG").unwrap_or_else(|_| "info".into());
    let registry = tracing_subscriber::registry().with(filter);
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    // That a subscriber is set already can't be in a program of one main.
    let _ = match journal {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let stderr = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_target(false)
                .with_ansi(colour);
            registry.with(stderr).try_init()
        }
    };
}

impl bundle::BundleOutput {
    fn entry_value(&self) -> Value {
        Entry::Bundle(self.entry.clone()).to_value()
    }
}
