//! What an auditor gives besides the thing to verify.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use provenance_core::{bitcoin::MAX_HEADERS, report::Report};
use provenance_host::durable;
use provenance_verifier::{Given, block_headers::Blocks};

use crate::{error::AuditError, policy_file::Policy};

/// What an auditor gives besides the thing to verify.
#[derive(Debug, Default)]
pub struct Trust {
    /// The policy file's content; without it the best verdict is inconclusive.
    pub policy: Option<Policy>,
    /// What is known of Bitcoin's blocks.
    pub blocks: Blocks,
    /// Whether somebody still waits for the report.
    pub stop: Stop,
}

/// Ends a verification from another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody waits any more.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn check(&self) -> Result<(), AuditError> {
        if self.is_now() { Err(AuditError::Stopped) } else { Ok(()) }
    }
}

impl Trust {
    /// What this policy trusts, with the headers that it names.
    ///
    /// # Errors
    /// [`AuditError`] where these cannot be read.
    pub fn of(policy: Option<Policy>) -> Result<Self, AuditError> {
        let mut blocks = Blocks::default();
        if let Some(policy) = &policy {
            if let Some(path) = &policy.anchor.headers {
                read_headers(&mut blocks, path.as_ref())?;
            }
            blocks.take(&policy.anchor);
        }
        Ok(Self { policy, blocks, stop: Stop::default() })
    }

    /// As those take it that judge without reading files.
    pub(crate) fn given<'a>(&'a self, stopped: &'a dyn Fn() -> bool) -> Given<'a> {
        Given { policy: self.policy.as_ref(), blocks: &self.blocks, stopped }
    }

    /// The trusted keys.
    pub fn keys(&self) -> &[provenance_core::verify::bundle::Trusted] {
        self.given(&|| false).keys()
    }

    /// Whether the policy accepts evidence that nobody signed.
    pub fn allows_unsigned(&self) -> bool {
        self.given(&|| false).allows_unsigned()
    }

    /// Says that without a policy nothing can be verified.
    pub(crate) fn demand_policy(&self, report: &mut Report) {
        self.given(&|| false).demand_policy(report);
    }

    /// Holds client and host against the policy.
    pub(crate) fn check_identity(&self, identity: (&str, &str), report: &mut Report) {
        self.given(&|| false).check_identity(identity, report);
    }
}

/// Takes the auditor's file of headers, in place of any before.
///
/// # Errors
/// [`AuditError`] where it cannot be read, or is none.
pub fn read_headers(blocks: &mut Blocks, path: &Path) -> Result<(), AuditError> {
    let bytes = durable::read_limited(path, MAX_HEADERS as u64).map_err(AuditError::io(path))?;
    blocks.read(bytes).map_err(|why| AuditError::NotEvidence { path: path.into(), why })
}
