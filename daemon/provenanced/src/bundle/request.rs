//! What a bundle is to hold.

use std::path::PathBuf;

use provenance_core::encoding::time::Timestamp;

/// What a bundle is to hold.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Files to attach.
    pub artifacts: Vec<PathBuf>,
    /// Controls that it is evidence for; empty: those of the settings.
    pub controls: Vec<String>,
    /// Why it is made.
    pub reason: String,
    /// Records from this time on; `None`: from the end of the last bundle on.
    pub from: Option<Timestamp>,
    /// Records before this time; `None`: up to the last.
    pub to: Option<Timestamp>,
}
