//! What an auditor brings: a policy, block headers, and the wish to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use provenance_core::{
    report::{Code, Finding, Location, Report},
    verify::bundle::Trusted,
};

use crate::{VerifyError, block_headers::Blocks, policy::Policy};

/// What an auditor gives besides the thing to verify.
#[derive(Debug, Default)]
pub struct Trust {
    /// The policy file's content; without it the best verdict is inconclusive.
    pub policy: Option<Policy>,
    /// What is known of Bitcoin's blocks.
    pub blocks: Blocks,
    /// Ends the verification before its end.
    pub stop: Stop,
}

/// Ends a verification from another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends it: nobody waits for the report any more.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`VerifyError::Stopped`] after [`Self::now`].
    pub fn check(&self) -> Result<(), VerifyError> {
        if self.0.load(Ordering::Relaxed) { Err(VerifyError::Stopped) } else { Ok(()) }
    }
}

impl Trust {
    /// The trusted keys.
    pub fn keys(&self) -> &[Trusted] {
        self.policy.as_ref().map(|policy| &*policy.keys).unwrap_or_default()
    }

    /// Whether the policy accepts evidence that nobody signed.
    pub fn allows_unsigned(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.allow_unsigned)
    }

    /// Reports that without a policy nothing can be verified.
    pub fn demand_policy(&self, report: &mut Report) {
        if self.policy.is_none() {
            let why = "no policy says whom to trust: give --policy FILE";
            report.not_checked_decisive("whose records these are", why);
        }
    }

    /// Checks that client and host are those that the policy names.
    pub fn check_identity(&self, client: &str, host: &str, report: &mut Report) {
        let Some(policy) = &self.policy else { return };
        for (what, expected, got) in
            [("client", &policy.client, client), ("host", &policy.host, host)]
        {
            if expected.as_deref().is_some_and(|expected| expected != got) {
                let message = format!("the records are of another {what} than the policy names");
                let finding = Finding::new(Code::PolicyClient, Location::default(), message);
                report.add_finding(finding.values(expected.as_deref().unwrap_or_default(), got));
            }
        }
    }
}
