//! `provctl mcp`: what is served is said serve_at the start; a client cannot name
//! another folder, policy or node.

use std::{path::PathBuf, sync::Arc, time::Duration};

use provenance_cli::{Exit, Failure};
use provenance_host::{config::address::Listen, state_dir::StateDir};
use provenance_http::listener;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    check_time,
    output::StateArgs,
    trust_args::{BlockArgs, PolicyArgs},
};
use crate::mcp::{ServeError, Server};

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
    /// Serve HTTP there and not on standard input: unix:/run/….sock, or a loopback
    /// address such as 127.0.0.1:8469 (port 0: any that is free)
    #[arg(long, value_name = "ADDRESS", value_parser = local)]
    listen: Option<Listen>,
}

/// Group members of the socket's owner may ask.
const SOCKET_MODE: u32 = 0o660;

fn local(text: &str) -> Result<Listen, String> {
    let example = "unix:/run/msp-provenance-mcp/http.sock or 127.0.0.1:8469";
    let listen: Listen = text.parse().map_err(|_| example.to_owned())?;
    if !listen.is_local() {
        return Err(format!("only this machine may reach it: {example}"));
    }
    Ok(listen)
}

impl Args {
    /// Serves until standard input ends, or at an address until a signal comes.
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
        let served = match self.listen {
            None => runtime.block_on(server.serve_stdio()).map_err(|error| match error {
                ServeError::NotMcp => Failure::new(Exit::Data, error),
                ServeError::Connection(_) => Failure::new(Exit::Io, error),
            }),
            Some(listen) => runtime.block_on(serve_at(server, &listen)),
        };
        // A verification that nobody waits for any more ends with the process.
        runtime.shutdown_background();
        served.map(|()| Exit::Done)
    }
}

async fn serve_at(server: Server, listen: &Listen) -> Result<(), Failure> {
    let internal = |error: std::io::Error| Failure::new(Exit::Io, error);
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
    let listener = listener::bind(listen, Some(SOCKET_MODE))
        .await
        .map_err(|error| Failure::new(Exit::Io, format!("cannot listen at {listen}: {error}")))?;
    match listener.address() {
        Some(address) => eprintln!("provctl mcp: listens at http://{address}/mcp"),
        None => eprintln!("provctl mcp: listens at {listen}, path /mcp"),
    }
    let end = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server.serve_http(listener, end).await;
    Ok(())
}
