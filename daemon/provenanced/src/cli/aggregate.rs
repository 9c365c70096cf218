//! `provenanced aggregate`.

use provenance_cli::{Exit, Failure, run_until_signal};
use provenance_host::{
    clock::{Clock as _, SystemClock},
    config::Config,
    state_dir::StateDir,
};

use super::common::failure;
use crate::{
    calendar_server,
    ledger::{Ledger, signer::Signer},
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
    let evidence = Ledger::open(config, &state, signer, clock.now().time).map_err(failure)?;
    run_until_signal(async |end| {
        let now = move || clock.now().time;
        calendar_server::run(settings, &state, evidence, now, end).await.map_err(failure)
    })
}
