//! How far signatures and expected heads reach (docs/format.md, steps 5.1 to
//! 5.7), and what that leaves unproved.

use provenance_core::{
    report::{Code, Finding, Head, Location, Report, Severity, Verdict},
    signing::checkpoint::{Checkpoint, Note},
    verify::bundle::{Trusted, check_note},
};
use provenance_verifier::Trust;

use super::{Walk, checkpoint_of, target::Target};
use crate::error::AuditError;

/// Checkpoints come hourly: over two hours of records without one are more
/// than a tail in the making.
const TAIL_NS: i64 = 2 * 3_600_000_000_000;

impl Walk<'_> {
    /// Whether a checkpoint is signed by a trusted key; and its root is that of
    /// the registry.
    pub(super) fn signature(
        &mut self,
        name: &str,
        text: &str,
        keys: &[Trusted],
        report: &mut Report,
    ) -> bool {
        let place = Location::file(name);
        let parsed = Note::parse(text)
            .and_then(|note| Checkpoint::parse(note.text).map(|checkpoint| (note, checkpoint)));
        let (note, checkpoint) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                report.add_finding(Finding::new(Code::CheckpointInvalid, place, error.to_string()));
                return false;
            }
        };
        let trusted = check_note(&note, &checkpoint, keys, place.clone(), report);
        match &mut self.join {
            Some(join) => join.check_root(&checkpoint, place, report),
            None => report.not_checked_decisive(name, "there is no registry to hold it against"),
        }
        trusted
    }

    /// The newest checkpoint is not older than one in the chain, which is put
    /// there after it. No signed record is lost by that, so it is a remark.
    pub(super) fn rolled_back(
        &self,
        target: &Target,
        newest: Option<&str>,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        let size = |note: Option<&str>| note.and_then(checkpoint_of).map_or(0, |note| note.size);
        if self.chained <= size(newest) || !matches!(target, Target::State(_)) {
            return Ok(());
        }
        // A running daemon may have made it since.
        let again = size(target.checkpoint(report)?.as_deref());
        if self.chained > again {
            let message = "an older checkpoint than one in the chain was put in its place";
            let finding =
                Finding::new(Code::CheckpointInvalid, Location::file("checkpoint"), message);
            let finding = finding.severity(Severity::Warning);
            report
                .add_finding(finding.values(format!("a size of {} or more", self.chained), again));
        }
        Ok(())
    }

    /// How far signatures and expected heads reach, and what lies behind.
    pub(super) fn coverage(&mut self, trusted: Option<bool>, trust: &Trust, report: &mut Report) {
        let head = self.verifier.head();
        if trusted.is_none() {
            self.unsigned(trust, report);
        }
        let signed = self.signed.filter(|_| trusted == Some(true));
        // What a failed report was signed up to would only mislead.
        report.signed_to = signed.filter(|_| report.verdict() != Verdict::Failed);
        let covered = later(signed, self.covered);
        let Some(head) = head.filter(|_| trust.policy.is_some()) else { return };
        let first = covered.map_or(0, |covered| covered.seq.saturating_add(1));
        if first > head.seq {
            return;
        }
        let what = format!("records {first} to {}", head.seq);
        let why = "they came after the newest checkpoint or expected head: chained, and nothing \
                   outside vouches for them yet";
        // Where nobody signs, no later checkpoint will cover them either.
        let recent = covered.is_some_and(|covered| head.time.since(covered.time) <= TAIL_NS);
        if signed.is_none() || !recent {
            report.not_checked_decisive(what, why);
        } else {
            report.not_checked(what, why);
        }
    }

    /// There is no checkpoint: an error where there must be one.
    fn unsigned(&self, trust: &Trust, report: &mut Report) {
        let by_policy = !trust.keys().is_empty() && !trust.allows_unsigned();
        let due = self.join.as_ref().is_some_and(|join| {
            // The first one is signed right after its head is committed.
            join.head_count > 1 && (!join.keys.is_empty() || by_policy)
        });
        if due {
            let message = "the registry or the policy names a signing key, and there is no \
                           checkpoint";
            report.add_finding(Finding::new(
                Code::CheckpointInvalid,
                Location::file("checkpoint"),
                message,
            ));
        }
        if self.join.is_some() {
            let why = "nobody signed a checkpoint: who can write the registry can write it anew";
            report.not_checked_decisive("that the registry was not rewritten as a whole", why);
        }
        if self.covered.is_none() {
            let why = "nobody signed a checkpoint: who can write the files can write them \
                       anew; give --expect-head with a hash that you noted";
            report.not_checked_decisive("that the chain was not rewritten as a whole", why);
        }
    }
}

/// The newest of two heads.
fn later(a: Option<Head>, b: Option<Head>) -> Option<Head> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.seq >= a.seq { b } else { a }),
        (a, b) => a.or(b),
    }
}
