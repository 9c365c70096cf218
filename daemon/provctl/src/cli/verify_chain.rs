//! `provctl verify-chain`.

use std::path::{Path, PathBuf};

use clap::Args;
use provenance_audit::{logs::Logs, state};
use provenance_cli::{Exit, Failure, OutputArgs, io_exit, progress_bar};
use provenance_core::encoding::{digest::Digest, time::Timestamp};
use provenance_host::durable;

use super::{
    output::{StateArgs, conclude, failure},
    trust_args::{BlockArgs, PolicyArgs, read_kept_proof},
};

#[derive(Debug, Args)]
pub(super) struct VerifyChainArgs {
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
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
    from: Option<Timestamp>,
    /// Records before this time only
    #[arg(long, value_name = "T", value_parser = provenance_cli::parse_time)]
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
    #[command(flatten)]
    output: OutputArgs,
}

impl VerifyChainArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let trust = self.blocks.add(self.policy.load()?)?;
        let anchor = match &self.anchor {
            Some(path) => Some(read_kept_proof(path)?),
            None => None,
        };
        let checkpoint = match &self.checkpoint {
            Some(path) => Some(read_text(path)?),
            None => None,
        };
        let options = state::Options {
            from: self.from,
            to: self.to,
            expect_head: self.expect_head,
            checkpoint,
            anchor,
            logs: self
                .logs
                .then(|| Logs { root: self.root.clone(), journal: self.journal.clone() }),
        };
        let bar = progress_bar("records");
        let mut progress = |count: u64| bar.set_position(count);
        let report = state::verify(&self.state.state, &trust, &options, &mut progress);
        bar.finish_and_clear();
        conclude(&report.map_err(failure)?, self.output.format())
    }
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
