//! Where everything in the state folder is. Its paths are made here and in
//! [`crate::chain_files`] only.

use std::path::{Path, PathBuf};

/// Where the parts of the state folder are.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The state folder at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The log chain.
    pub fn chain(&self) -> PathBuf {
        self.root.join("chain")
    }

    /// Bytes of appends that never finished.
    pub fn recovered(&self) -> PathBuf {
        self.root.join("chain/recovered")
    }

    pub fn registry(&self) -> PathBuf {
        self.root.join("registry.db")
    }

    /// The evidence bundles.
    pub fn bundles(&self) -> PathBuf {
        self.root.join("bundles")
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// What can be made again from the chain; no evidence.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The lock of the chain's one writer.
    pub fn lock(&self) -> PathBuf {
        self.root.join("cache/writer.lock")
    }

    /// Alerts on their way to the webhook.
    pub fn outbox(&self) -> PathBuf {
        self.root.join("outbox")
    }

    /// Inventories of the system's software.
    pub fn sboms(&self) -> PathBuf {
        self.root.join("sboms")
    }

    /// Certificates, as files: made from the registry's records.
    pub fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }

    pub fn packages(&self) -> PathBuf {
        self.root.join("packages")
    }

    /// Compliance packets that fell due.
    pub fn packets(&self) -> PathBuf {
        self.root.join("packets")
    }

    /// What was found unfinished or unknown and set aside.
    pub fn aside(&self) -> PathBuf {
        self.root.join("aside")
    }
}
