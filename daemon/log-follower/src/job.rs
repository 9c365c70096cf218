//! Comparisons that one collect does not finish.

use crate::{compressed_match::Probe, file_id::FileId};

/// A comparison to be continued in the next collect.
pub(crate) struct Job {
    pub(crate) src: Vec<u8>,
    pub(crate) generation: u64,
    pub(crate) file: FileId,
    pub(crate) probe: Probe,
}
