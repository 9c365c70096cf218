//! `provctl`: read-only, no key, no network.

mod check_time;
mod countersign_request;
mod mcp;
mod output;
mod registry;
mod render;
mod sbom;
mod trust_args;
mod verify;
mod verify_cert;
mod verify_chain;
mod verify_countersign;
mod verify_fleet;
mod verify_package;
mod verify_store;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use provenance_audit::status;
use provenance_cli::{
    Exit, Failure, OutputArgs, OutputFormat, completions, print_json, print_line,
};

use output::{StateArgs, failure};
use sbom::SbomCommand;

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
    VerifyChain(verify_chain::VerifyChainArgs),
    /// Verify evidence bundles, compliance packets, attestations of builds, and copies in WORM storage
    #[command(after_help = "Example:\n  provctl verify EB-20261121-0001 --policy policy.toml\n  \
        provctl verify MSP-clinic-001-2026-11-01-2026-12-01.zip --policy policy.toml\n  \
        provctl verify s3://evidence/clinic-001 --policy policy.toml --credentials-file key")]
    Verify(verify::VerifyArgs),
    /// Verify the copies of every appliance in WORM storage, several at a time
    #[command(after_help = "Example:\n  provctl verify-fleet s3://evidence --policy policies/ \
        --credentials-file key\n\n\
        Exit codes: 0 all verified, 1 one failed, 2 else.")]
    VerifyFleet(verify_fleet::FleetArgs),
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
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show the last tick, the newest checkpoint and the newest bundle
    #[command(after_help = "Example:\n  provctl status --state ./state --json")]
    Status {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Look into the registry
    #[command(after_help = "Example:\n  provctl registry list --state ./state --kind bundle")]
    Registry {
        #[command(subcommand)]
        command: registry::RegistryCommand,
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

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    /// [`Failure`] with the exit code and what to do next.
    pub fn run(self) -> Result<Exit, Failure> {
        match self.command {
            Command::VerifyChain(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::VerifyFleet(args) => args.run(),
            Command::CheckTime { config, set, output } => {
                check_time::run(config, &set, output.format())
            }
            Command::Status { state, output } => show_status(&state.state, output.format()),
            Command::Registry { command } => registry::run(command),
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

fn show_status(path: &Path, format: OutputFormat) -> Result<Exit, Failure> {
    let status = status::read(path).map_err(failure)?;
    if format == OutputFormat::Json {
        print_json(&status.to_value());
    } else {
        print_line(&render::status(&status));
    }
    Ok(Exit::Done)
}
