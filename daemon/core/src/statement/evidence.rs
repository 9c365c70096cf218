//! `statement.json`: what an evidence bundle says of its artifacts, as an
//! in-toto Statement v1 in canonical JSON (docs/format.md §6).
//!
//! A subject's name is the artifact's path in the bundle's folder, so that
//! `jq -r '.subject[]|"\(.digest.sha256)  \(.name)"' statement.json |
//! sha256sum -c` checks all of them there.

use alloc::{string::String, vec::Vec};

pub use super::{ChainRange, Collector, Link, MAX_STATEMENT, Subject};
use super::{read_period, text};
use crate::{
    encoding::{
        json::Value,
        json_scanner::{ScanError, Scanner},
        time::Timestamp,
    },
    record::bundle_id::BundleId,
    statement,
};

/// The `predicateType` of our evidence; `cosign --type` takes it.
pub const PREDICATE_TYPE: &str = "https://msp-provenance.dev/evidence/v1";
/// The folder of a bundle that every subject is in, as its name begins.
pub const ARTIFACTS: &str = "artifacts/";

/// What a bundle says: these artifacts, and what they are evidence of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The artifacts, by name in byte order, none twice, at least one. A name
    /// is the artifact's path in the bundle, such as
    /// `artifacts/chain/2026-11-21.jsonl`; [`is_safe_name`] holds.
    pub subjects: Vec<Subject>,
    /// What they are evidence of.
    pub evidence: Evidence,
}

/// The predicate of type [`PREDICATE_TYPE`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The bundle this statement is in.
    pub bundle: BundleId,
    /// Whose appliance.
    pub client: String,
    /// Which appliance.
    pub host: String,
    /// The compliance tier in force.
    pub tier: String,
    /// The first instant the evidence covers.
    pub from: Timestamp,
    /// The instant the evidence covers no more; not before `from`.
    pub to: Timestamp,
    /// The controls the evidence is for, such as `164.312(b)`.
    pub controls: Vec<String>,
    /// Why the bundle was made.
    pub reason: String,
    /// The records of the log chain it covers.
    pub chain: ChainRange,
    /// The time attestation (docs/format.md §3) of the last of them, an
    /// object; `clock` reads and judges it.
    pub clock: Value,
    /// The program that made the bundle.
    pub collector: Collector,
    /// Whether the bundle is signed; where not, its signature files are absent.
    pub signed: bool,
}

/// Why bytes are no statement, or a statement cannot be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StatementError {
    /// Over [`MAX_STATEMENT`].
    #[error("a statement of {0} bytes is over the limit of 8 MiB; split the bundle")]
    TooLong(usize),
    /// Not of [`statement::STATEMENT_TYPE`] and [`PREDICATE_TYPE`].
    #[error("the statement's type is unknown to this program; use a newer provctl")]
    UnknownType,
    /// Not the one canonical form.
    #[error("not a statement in canonical form: {0}")]
    Malformed(#[from] ScanError),
    /// A name that could lead out of the bundle or deceive its reader.
    #[error("subject {0}: its name is no plain path under artifacts/")]
    UnsafeName(usize),
    /// A name repeated, or before its predecessor.
    #[error("subject {0}: its name is repeated or out of order")]
    Order(usize),
    /// Nothing is stated.
    #[error("the statement has no subject")]
    NoSubject,
}

impl Statement {
    /// The canonical bytes: what is signed.
    ///
    /// # Errors
    /// Where [`Self::parse`] would refuse them, so that nothing is signed
    /// that an auditor could not read.
    pub fn encode(&self) -> Result<Vec<u8>, StatementError> {
        let subjects = self.subjects.iter().map(|subject| (&*subject.name, subject.sha256));
        let bytes = statement::encode(PREDICATE_TYPE, self.evidence.to_value(), subjects);
        Self::parse(&bytes)?;
        Ok(bytes)
    }

    /// Reads exactly what [`Self::encode`] writes.
    ///
    /// # Errors
    /// [`StatementError`]; subjects are counted from 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_STATEMENT {
            return Err(StatementError::TooLong(bytes.len()));
        }
        let (evidence, subjects) = statement::parse(bytes, PREDICATE_TYPE, Evidence::read)?
            .ok_or(StatementError::UnknownType)?;
        check_names(&subjects)?;
        Ok(Self { subjects, evidence })
    }
}

/// Whether `name` is a plain relative path under `artifacts/`: no empty, `.`
/// or `..` part, no control character and no backslash (`sha256sum` would
/// escape it), no part over 255 bytes and all of it at most 4095.
pub fn is_safe_name(name: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    name.len() <= 4095
        && !name.contains(|c: char| c.is_control() || c == '\\')
        && name.strip_prefix(ARTIFACTS).is_some_and(|path| path.split('/').all(part))
}

impl Evidence {
    fn to_value(&self) -> Value {
        let controls: Vec<Value> = self.controls.iter().map(|c| c.as_str().into()).collect();
        Value::object([
            ("bundle", Value::Str(alloc::format!("{}", self.bundle))),
            ("chain", self.chain.to_value()),
            ("client", self.client.as_str().into()),
            ("clock", self.clock.clone()),
            ("collector", self.collector.to_value()),
            ("controls", controls.into()),
            ("host", self.host.as_str().into()),
            ("period", statement::period(self.from, self.to)),
            ("reason", self.reason.as_str().into()),
            ("signed", self.signed.into()),
            ("tier", self.tier.as_str().into()),
        ])
    }

    fn read(scan: &mut Scanner<'_>) -> Result<Self, ScanError> {
        scan.open()?;
        scan.key("bundle")?;
        let Ok(bundle) = scan.plain()?.parse() else { return scan.fail("not a bundle's id") };
        scan.key("chain")?;
        let chain = ChainRange::read(scan)?;
        let client = text(scan, "client")?;
        let clock = read_clock(scan)?;
        let collector = Collector::read(scan)?;
        scan.key("controls")?;
        let mut controls = Vec::new();
        scan.array(|scan| {
            controls.push(scan.string()?.into_owned());
            Ok(())
        })?;
        let host = text(scan, "host")?;
        let (from, to) = read_period(scan)?;
        let reason = text(scan, "reason")?;
        scan.key("signed")?;
        let signed = scan.boolean()?;
        let tier = text(scan, "tier")?;
        scan.close()?;
        let evidence = Self {
            bundle,
            client,
            host,
            tier,
            from,
            to,
            controls,
            reason,
            chain,
            clock,
            collector,
            signed,
        };
        Ok(evidence)
    }
}

fn read_clock(scan: &mut Scanner<'_>) -> Result<Value, ScanError> {
    scan.key("clock")?;
    let at = scan.position();
    let value = Value::parse(scan.value()?)?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(ScanError { what: "expected a time attestation", at }),
    }
}

fn check_names(subjects: &[Subject]) -> Result<(), StatementError> {
    if subjects.is_empty() {
        return Err(StatementError::NoSubject);
    }
    for (at, subject) in subjects.iter().enumerate() {
        if !is_safe_name(&subject.name) {
            return Err(StatementError::UnsafeName(at));
        }
    }
    match subjects.windows(2).position(|w| matches!(w, [a, b] if a.name >= b.name)) {
        Some(at) => Err(StatementError::Order(at + 1)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;
