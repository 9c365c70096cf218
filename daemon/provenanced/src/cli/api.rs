//! `provenanced api`.

use provenance_cli::{Exit, Failure, run_until_signal};
use provenance_host::{
    clock::{Clock as _, SystemClock},
    config::Config,
};

use super::common::{failure, open};
use crate::api;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let Some(settings) = &config.api else {
        let message = "nothing says where it answers: set [api] listen";
        return Err(Failure::new(Exit::Config, message));
    };
    let clock = SystemClock::new().map_err(|error| Failure::new(Exit::Io, error))?;
    let (_, evidence, _) = open(config)?;
    run_until_signal(async |end| {
        let now = move || clock.now().time;
        api::run(settings, config, evidence, now, end).await.map_err(failure)
    })
}
