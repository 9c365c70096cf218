//! `provctl mcp`: what is served is said at the start; a client cannot name
//! another folder, policy or node.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    Exit, Failure, check_time,
    provctl::StateArgs,
    trust::{BlockArgs, PolicyArgs},
};
use crate::{
    host::durable::StateDir,
    mcp::{ServeError, Server},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    blocks: BlockArgs,
    /// The daemon's settings, for check_time; without: the machine's, or what answers
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting that goes over the file's
    #[arg(long, value_name = "KEY=VALUE", requires = "config")]
    set: Vec<String>,
    /// The longest that an answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl Args {
    /// Serves until standard input ends.
    pub(super) fn run(self) -> Result<Exit, Failure> {
        // What is wrong with the policy is said now, and not to a client later.
        self.blocks.add(self.policy.load()?)?;
        let (policy, blocks) = (self.policy, self.blocks);
        let (config, set) = (self.config, self.set);
        let trust = move || {
            let trust = policy.load().and_then(|trust| blocks.add(trust));
            trust.map_err(|failure| failure.message)
        };
        let settings =
            move || check_time::settings(config.clone(), &set).map_err(|failure| failure.message);
        let server = Server::new(
            StateDir::new(&self.state.state),
            Arc::new(trust),
            Arc::new(settings),
            Duration::from_secs(self.timeout),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Io, error))?;
        let served = runtime.block_on(server.serve_stdio());
        // A verification that nobody waits for any more ends with the process.
        runtime.shutdown_background();
        match served {
            Ok(()) => Ok(Exit::Done),
            Err(error @ ServeError::NotMcp) => Err(Failure::new(Exit::Data, error)),
            Err(error @ ServeError::Connection(_)) => Err(Failure::new(Exit::Io, error)),
        }
    }
}
