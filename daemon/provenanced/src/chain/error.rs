//! Why the chain cannot be opened or appended to.

use std::{io, path::PathBuf};

/// Why the chain cannot be opened or appended to.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Another process writes this chain.
    #[error("another provenanced writes {}; stop it, or use another state_dir", .0.display())]
    Locked(PathBuf),
    /// The chain is not as a crash of this program leaves it.
    #[error(
        "{file} is damaged: {why}. The daemon does not guess: run `provctl verify-chain`, \
         keep a copy of the state folder as evidence, and start with a new state_dir"
    )]
    Broken {
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The record is over the limit.
    #[error("a record of {0} bytes is over the limit of 8 MiB")]
    TooLong(usize),
    /// The file system.
    #[error("the chain could not be read or written: {0}")]
    Io(#[from] io::Error),
}
