//! What an auditor trusts: the options of `provctl` that name it.

use std::path::{Path, PathBuf};

use clap::Args;
use provenance_audit::{
    policy_file,
    trust::{read_headers, trust_by},
};
use provenance_bitcoin_node::headers;
use provenance_cli::{Exit, Failure, io_exit};
use provenance_core::merkle::inclusion_proof::{MAX_PROOF, Proof};
use provenance_host::durable;
use provenance_verifier::Trust;

use super::output::failure;

#[derive(Clone, Debug, Args)]
pub(super) struct PolicyArgs {
    /// Whom you trust (default: /etc/msp-provenance/policy.toml, where that exists)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct BlockArgs {
    /// Bitcoin's headers as you know them: lines of HEIGHT HEADER or HEIGHT HASH
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// A Bitcoin node of yours to ask for headers
    #[arg(long, value_name = "URL", conflicts_with = "headers")]
    bitcoin_rpc: Option<String>,
    /// The node's cookie file, which lets you in
    #[arg(long, value_name = "FILE", requires = "bitcoin_rpc")]
    bitcoin_cookie: Option<PathBuf>,
}

impl PolicyArgs {
    /// The policy named, or the machine's; never one inside what is verified.
    pub(super) fn load(&self) -> Result<Trust, Failure> {
        let machine = Path::new(policy_file::DEFAULT);
        let path = match &self.policy {
            Some(path) => Some(path.as_path()),
            None => Some(machine).filter(|path| path.exists()),
        };
        let policy = path.map(policy_file::load).transpose();
        trust_by(policy.map_err(|error| failure(error.into()))?).map_err(failure)
    }
}

impl BlockArgs {
    /// Adds what is known of Bitcoin's blocks.
    pub(super) fn add(&self, mut trust: Trust) -> Result<Trust, Failure> {
        if let Some(path) = &self.headers {
            read_headers(&mut trust.blocks, path).map_err(failure)?;
            trust.blocks.demand();
        }
        if let Some(url) = &self.bitcoin_rpc {
            let node = headers::node_from_url(url, self.bitcoin_cookie.as_deref());
            let node = node.map_err(|why| Failure::new(Exit::Usage, why))?;
            trust.blocks.ask_node(move |height| headers::header_at(&node, height));
            trust.blocks.demand();
        }
        Ok(trust)
    }
}

/// A proof with an anchor that the auditor kept.
pub(super) fn read_kept_proof(path: &Path) -> Result<Proof, Failure> {
    let bytes = durable::read_limited(path, MAX_PROOF as u64)
        .map_err(|error| Failure::new(io_exit(&error), format!("{}: {error}", path.display())))?;
    let proof = Proof::parse(&bytes).map_err(|error| error.to_string()).and_then(|proof| {
        let missing = || "there is no anchor in this proof".to_owned();
        proof.anchor.is_some().then_some(proof).ok_or_else(missing)
    });
    proof.map_err(|why| Failure::new(Exit::Data, format!("{}: {why}", path.display())))
}
