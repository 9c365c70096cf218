//! `provctl verify-fleet`: every appliance's copies in a storage, several at a
//! time. What is wrong with one says nothing of another, and hides nothing of it.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Mutex, PoisonError},
};

use provenance_core::{
    encoding::json::Value,
    report::{Head, Verdict},
};
use provenance_storage::{ReadStorage, StoreError, replica::Appliance};
use provenance_verifier::Trust;

use crate::{error::AuditError, replica};

/// What came of one appliance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApplianceStatus {
    pub appliance: Appliance,
    /// The verdict, or why there is none.
    pub verdict: Result<Verdict, String>,
    /// How many findings of each code.
    pub findings: Vec<(&'static str, u64)>,
    /// What the verdict lacks, in words.
    pub not_checked: Vec<String>,
    /// The chain's last record.
    pub head: Option<Head>,
    /// How many bytes were read.
    pub bytes: u64,
}

/// What each appliance needs.
pub trait Fleet: Sync {
    /// Opens the storage, once for each thread.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open(&self) -> Result<Box<dyn ReadStorage>, StoreError>;

    /// Whom the auditor trusts for this appliance.
    ///
    /// # Errors
    /// [`AuditError`].
    fn trust(&self, appliance: &Appliance) -> Result<Trust, AuditError>;
}

/// Verifies each of the appliances, `threads` at a time, and gives them in
/// their order; `done` hears of each.
pub fn verify(
    fleet: &impl Fleet,
    appliances: Vec<Appliance>,
    scratch: &Path,
    threads: usize,
    done: &(dyn Fn() + Sync),
) -> Vec<ApplianceStatus> {
    let left = Mutex::new(VecDeque::from(appliances));
    let found = Mutex::new(vec![]);
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut bucket = None;
                while let Some(appliance) = next() {
                    let standing = one(fleet, &mut bucket, appliance, scratch);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(standing);
                    done();
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by(|a, b| a.appliance.cmp(&b.appliance));
    found
}

fn one(
    fleet: &impl Fleet,
    bucket: &mut Option<Box<dyn ReadStorage>>,
    appliance: Appliance,
    scratch: &Path,
) -> ApplianceStatus {
    let report = (|| {
        let trust = fleet.trust(&appliance)?;
        if bucket.is_none() {
            *bucket = Some(fleet.open().map_err(provenance_storage::replica::CopyError::from)?);
        }
        let Some(bucket) = bucket.as_deref_mut() else { return Err(AuditError::Stopped) };
        replica::verify(bucket, &appliance, &trust, scratch, &mut |_| {})
    })();
    match report {
        Ok(report) => ApplianceStatus {
            appliance,
            verdict: Ok(report.verdict()),
            findings: report.counts().map(|(code, count)| (code.as_str(), count)).collect(),
            not_checked: report
                .gaps()
                .iter()
                .filter(|gap| gap.decisive)
                .map(|gap| format!("{}: {}", gap.what, gap.why))
                .collect(),
            head: report.head,
            bytes: report.count_checked("bytes"),
        },
        Err(error) => ApplianceStatus {
            appliance,
            verdict: Err(error.to_string()),
            findings: vec![],
            not_checked: vec![],
            head: None,
            bytes: 0,
        },
    }
}

/// The verdict over all: `failed` where one is; `verified` where all are.
pub fn overall(standings: &[ApplianceStatus]) -> Verdict {
    let worst = standings.iter().map(|standing| match &standing.verdict {
        Ok(verdict) => *verdict,
        Err(_) => Verdict::Inconclusive,
    });
    worst.max().unwrap_or(Verdict::Inconclusive)
}

impl ApplianceStatus {
    /// `verified`, `failed`, `inconclusive`, or `unread` where it could not be
    /// read.
    pub fn verdict(&self) -> &'static str {
        self.verdict.as_ref().map_or("unread", |verdict| verdict.as_str())
    }

    pub fn to_value(&self) -> Value {
        let findings = self.findings.iter().map(|(code, count)| (*code, Value::from(*count)));
        let gaps = self.not_checked.iter().map(|gap| Value::from(gap.as_str()));
        Value::object([
            ("bytes", self.bytes.into()),
            ("chain", self.appliance.chain.as_str().into()),
            ("client", self.appliance.client.as_str().into()),
            ("findings", Value::object(findings)),
            ("host", self.appliance.host.as_str().into()),
            ("not_checked", Value::Array(gaps.collect())),
            ("verdict", self.verdict().into()),
        ])
        .with_some("error", self.verdict.as_ref().err().map(String::as_str))
        .with_some("head", self.head.map(|head| head.to_value()))
    }
}
