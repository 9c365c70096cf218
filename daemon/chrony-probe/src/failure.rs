//! Why there is no answer.

use std::io;

/// Why there is no report: the exit code and the message.
#[derive(Debug)]
pub(crate) enum Failure {
    Usage(String),
    /// chronyd does not answer, or is not there.
    Unavailable(String),
    /// The report could not be written.
    Output(io::Error),
    /// What came is not an answer of chronyd's.
    Protocol(String),
    /// The socket may not be used.
    NoPermission(String),
}
