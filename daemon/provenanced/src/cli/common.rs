//! What the commands share: the settings, the state they work on, the person who
//! runs them, and the exit codes.

use std::path::PathBuf;

use clap::Args;
use provenance_bitcoin_node::NodeError;
use provenance_cli::{Exit, Failure, io_exit, storage_args};
use provenance_core::encoding::time::Timestamp;
use provenance_host::{
    clock::{Clock, SystemClock},
    config::{Config, ConfigError},
    state_dir::StateDir,
};
use provenance_registry::RegistryError;
use provenance_sbom::SbomError;

use crate::{
    alerts::webhook::AlertError,
    chain::ChainError,
    error::ServiceError,
    ledger::{
        Ledger,
        signer::{Signer, SignerError},
    },
};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The settings file (config/provenance.toml shows every key)
    #[arg(long, value_name = "FILE", default_value = "/etc/msp-provenance/provenance.toml")]
    pub(super) config: PathBuf,
    /// Put a setting over the file's, as KEY=VALUE in TOML; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl ConfigArgs {
    pub(super) fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.config, &self.set).map_err(|error| {
            let exit = match &error {
                ConfigError::Read { source, .. } => io_exit(source),
                _ => Exit::Config,
            };
            Failure::new(exit, error)
        })
    }
}

/// The state of a daemon that may be running: registry transactions are safe
/// across processes, and the chain is only read.
pub(super) fn open(config: &Config) -> Result<(StateDir, Ledger, Timestamp), Failure> {
    let state = StateDir::new(&config.state_dir);
    if !state.registry().is_file() {
        let message = format!(
            "there is no registry in {}: has `provenanced run` been started with this state_dir?",
            state.root().display()
        );
        return Err(Failure::new(Exit::NoInput, message));
    }
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let now = clock.now().time;
    let signer = config.signing_key.as_deref().map(Signer::load).transpose();
    let signer = signer.map_err(|error| failure(error.into()))?;
    let evidence = Ledger::open(config, &state, signer, now).map_err(failure)?;
    Ok((state, evidence, now))
}

/// Who does it: the one named, or the user of this process.
pub(super) fn current_user(who: Option<String>) -> String {
    let told = |name: &str| std::env::var(name).ok().filter(|name| !name.is_empty());
    who.or_else(|| ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(told))
        .unwrap_or_else(provenance_host::clock::user)
}

pub(super) fn failure(error: ServiceError) -> Failure {
    let exit = match &error {
        ServiceError::Chain(ChainError::Locked(_))
        | ServiceError::Registry(RegistryError::Busy)
        | ServiceError::Locked(_) => Exit::Temporary,
        // The next run of the timer may find it otherwise.
        ServiceError::Node(NodeError::Secret { source, .. }) => io_exit(source),
        ServiceError::Node(NodeError::Unfit(_) | NodeError::Unauthorised(_)) => Exit::Config,
        ServiceError::Node(_) | ServiceError::Calendar(_) => Exit::Temporary,
        ServiceError::Chain(ChainError::Broken { .. }) | ServiceError::State(_) => Exit::Data,
        ServiceError::Registry(
            RegistryError::Foreign { .. }
            | RegistryError::Newer { .. }
            | RegistryError::Damaged { .. },
        ) => Exit::Data,
        ServiceError::Registry(RegistryError::Missing(_)) | ServiceError::Empty(_) => Exit::NoInput,
        ServiceError::Chain(_) | ServiceError::Registry(_) | ServiceError::Unrecorded(_) => {
            Exit::Io
        }
        ServiceError::Signer(SignerError::Exists(_)) | ServiceError::Request(_) => Exit::Usage,
        ServiceError::Conflict(_) => Exit::Data,
        ServiceError::Signer(SignerError::Write { .. }) => Exit::Io,
        ServiceError::Alert(AlertError::Outbox(source)) => io_exit(source),
        ServiceError::Sbom(SbomError::Io { source, .. }) => io_exit(source),
        ServiceError::Sbom(SbomError::Unknown(_)) => Exit::NoInput,
        ServiceError::Sbom(SbomError::Write(_)) => Exit::Internal,
        ServiceError::Sbom(_) => Exit::Data,
        ServiceError::Store(error) => storage_args::exit_of(error),
        ServiceError::Copies(error) => storage_args::exit_of_copies(error),
        ServiceError::Signer(_) | ServiceError::Alert(_) | ServiceError::Pattern(_) => Exit::Config,
        ServiceError::Io { source, .. } => io_exit(source),
    };
    Failure::new(exit, error)
}
