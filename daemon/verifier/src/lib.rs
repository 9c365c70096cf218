//! What judges a compliance packet (docs/format.md §13) and what it rests on:
//! the policy, what is known of Bitcoin's blocks, inventories, the page.
//!
//! It reads from whatever hands out bytes ([`Source`]), opens nothing, asks no
//! clock and reaches no network. So the same code judges a file for `provctl`
//! and a file that somebody dropped on a page in a browser.
#![forbid(unsafe_code)]

pub mod block_headers;
pub mod cross_check;
pub mod line_reader;
pub mod packet;
pub mod policy;
pub mod report_html;
pub mod sbom;

use std::io;

use provenance_core::report::{Code, Finding, Place, Report};

use block_headers::Blocks;
use policy::Policy;

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

/// What an auditor gives besides the thing to verify.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The policy file's content; without it the best verdict is inconclusive.
    pub policy: Option<&'a Policy>,
    /// What is known of Bitcoin's blocks.
    pub blocks: &'a Blocks,
    /// Whether nobody waits for the report any more.
    pub stopped: &'a dyn Fn() -> bool,
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

impl<'a> Given<'a> {
    /// The trusted keys.
    pub fn keys(&self) -> &'a [provenance_core::verify::bundle::Trusted] {
        self.policy.map(|policy| &*policy.keys).unwrap_or_default()
    }

    /// Whether the policy accepts evidence that nobody signed.
    pub fn allows_unsigned(&self) -> bool {
        self.policy.is_some_and(|policy| policy.allow_unsigned)
    }

    fn check(&self) -> Result<(), VerifyError> {
        if (self.stopped)() { Err(VerifyError::Stopped) } else { Ok(()) }
    }

    /// Says that without a policy nothing can be verified.
    pub fn demand_policy(&self, report: &mut Report) {
        if self.policy.is_none() {
            let why = "no policy says whom to trust: give --policy FILE";
            report.undecided("whose records these are", why);
        }
    }

    /// Holds client and host against the policy.
    pub fn check_identity(&self, (client, host): (&str, &str), report: &mut Report) {
        let Some(policy) = self.policy else { return };
        for (what, expected, got) in
            [("client", &policy.client, client), ("host", &policy.host, host)]
        {
            if expected.as_deref().is_some_and(|expected| expected != got) {
                let message = format!("the records are of another {what} than the policy names");
                let finding = Finding::new(Code::PolicyClient, Place::default(), message);
                report.find(finding.values(expected.as_deref().unwrap_or_default(), got));
            }
        }
    }
}
