//! What judges a compliance packet (docs/format.md §13) and what it rests on:
//! the policy, what is known of Bitcoin's blocks, inventories, the page.
//!
//! It reads from whatever hands out bytes ([`Source`]), opens nothing, asks no
//! clock and reaches no network. So the same code judges a file for `provctl`
//! and a file that somebody dropped on a page in a browser.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod block_headers;
pub mod cross_check;
pub mod line_reader;
pub mod packet;
pub mod policy;
pub mod report_html;
pub mod sbom;
mod trust;

pub use trust::{Stop, Trust};

use std::io;

/// Bytes in some place: a file, or a file in a browser.
pub trait Source {
    /// How many there are.
    ///
    /// # Errors
    /// As reading.
    fn length(&self) -> io::Result<u64>;

    /// Reads some of those at `at`; none only behind the end.
    ///
    /// # Errors
    /// As reading.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        io::Read::read(&mut &*rest, into)
    }
}

/// Fills `into` from `at` on.
pub(crate) fn read_exact_at(
    source: &dyn Source,
    mut into: &mut [u8],
    mut at: u64,
) -> io::Result<()> {
    while !into.is_empty() {
        match source.read_at(into, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                into = into.get_mut(count..).unwrap_or_default();
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something could not be read.
    #[error("while reading: {0}")]
    Io(#[from] io::Error),
    /// Nobody waits any more.
    #[error("stopped before the end: nobody waits for it any more")]
    Stopped,
}

/// How many records have been read, for whoever waits.
pub type Progress<'a> = &'a mut dyn FnMut(u64);
