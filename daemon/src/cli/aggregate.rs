//! `provenanced aggregate`.

use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure, provenanced::failure};
use crate::{
    host::{
        config::Config,
        durable::StateDir,
        systime::{Clock as _, SystemClock},
    },
    services::{aggregate, evidence::Evidence},
    signer::Signer,
};

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let Some(settings) = &config.aggregate else {
        let message = "nothing says where submissions are taken: set [aggregate] listen and url";
        return Err(Failure::new(Exit::Config, message));
    };
    let internal = |error: std::io::Error| Failure::new(Exit::Io, error);
    let clock = SystemClock::new().map_err(internal)?;
    let signer = config.signing_key.as_deref().map(Signer::load).transpose();
    let signer = signer.map_err(|error| failure(error.into()))?;
    // Begins the registry where there is none: it needs no daemon beside it.
    let state = StateDir::new(&config.state_dir);
    let evidence = Evidence::open(config, &state, signer, clock.now().time).map_err(failure)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(internal)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
        let end = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let now = move || clock.now().time;
        aggregate::run(settings, &state, evidence, now, end).await.map_err(failure)
    })
}
