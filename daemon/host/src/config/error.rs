//! Why there are no settings to work with.

use std::{io, path::PathBuf};

/// Why there are no settings to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the settings {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("the settings {path} are not valid: {message}")]
    Parse {
        /// Which file, or which `--set`.
        path: String,
        /// The parser's message with line, column and the line itself.
        message: String,
    },
    /// A value that makes no sense.
    #[error("{path}{}: {key}: {message}", line.map(|line| format!(" line {line}")).unwrap_or_default())]
    Value {
        path: String,
        /// Where, if the key is in the file.
        line: Option<usize>,
        key: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
}

pub(crate) fn parse_error(path: &str, message: String) -> ConfigError {
    ConfigError::Parse { path: path.into(), message: message.trim_end().into() }
}
