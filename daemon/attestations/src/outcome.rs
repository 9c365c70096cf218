//! What evidence comes to, piece by piece and for a package as a whole.

use std::collections::{BTreeMap, BTreeSet};

use provenance_core::{
    encoding::json::Value,
    record::coverage::by_kind,
    report::{Code, Finding, Location, Severity},
};

use crate::{
    Claims, Kind, Level, Package, Proved,
    evidence::{Evidence, Malformed, Source},
    expectations::Rule,
};

/// What one piece of evidence comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// Where it is.
    pub source: Source,
    /// Its kind; `None` where it cannot be read.
    pub kind: Option<Kind>,
    /// How far it vouches; never *absent*.
    pub level: Level,
    /// What stands against it, or is missing.
    pub code: Option<Code>,
    /// The same in words.
    pub why: String,
    /// What is proved, where something is.
    pub proved: Option<Proved>,
    values: Option<(String, String)>,
    severity: Option<Severity>,
}

/// What all evidence about a package comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub package: Package,
    /// How far it is vouched for.
    pub level: Level,
    /// How far it should be; `None` where nobody said.
    pub required: Option<Level>,
    pub evidence: Vec<Judged>,
    /// How many of its files are verified, of how many.
    pub files: (usize, usize),
}

/// Who signed is another one, and the expected one signed as well: a remark.
pub(super) fn forgive(judged: &mut [Judged]) {
    let verified: BTreeSet<Option<Kind>> =
        judged.iter().filter(|it| it.level == Level::Verified).map(|it| it.kind).collect();
    for it in judged {
        if it.code == Some(Code::PackageIdentity) && verified.contains(&it.kind) {
            (it.level, it.severity) = (Level::Detected, Some(Severity::Info));
        }
    }
}

/// The level of one file: what does not hold weighs more than what does.
pub(super) fn level(judged: &[Judged], rule: Option<&Rule>) -> Level {
    let counts = |it: &&Judged| {
        rule.is_none_or(|rule| {
            rule.kinds.is_empty() || it.kind.is_some_and(|kind| rule.kinds.contains(&kind))
        })
    };
    if judged.iter().any(|it| it.level == Level::Mismatch) {
        return Level::Mismatch;
    }
    let best = judged.iter().filter(counts).map(|it| it.level).max();
    best.unwrap_or(if judged.is_empty() { Level::Absent } else { Level::Detected })
}

impl Judged {
    pub(super) fn new(piece: &Evidence, level: Level) -> Self {
        Self {
            source: piece.source.clone(),
            kind: Some(piece.kind),
            level,
            code: None,
            why: String::new(),
            proved: None,
            values: None,
            severity: None,
        }
    }

    pub(super) fn malformed(malformed: &Malformed) -> Self {
        Self {
            source: malformed.source.clone(),
            kind: None,
            level: Level::Mismatch,
            code: Some(Code::PackageMalformed),
            why: malformed.why.clone(),
            proved: None,
            values: None,
            severity: None,
        }
    }

    pub(super) fn code(mut self, code: Code, why: impl ToString) -> Self {
        (self.code, self.why) = (Some(code), why.to_string());
        self
    }

    pub(super) fn values(mut self, values: (String, String)) -> Self {
        self.values = Some(values);
        self
    }

    pub(super) fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    pub(super) fn mismatch(
        mut self,
        code: Code,
        why: impl ToString,
        values: (String, String),
    ) -> Self {
        self.level = Level::Mismatch;
        self.code(code, why).values(values)
    }

    pub(super) fn only(mut self, code: Code, why: impl ToString) -> Self {
        self.level = Level::Detected;
        self.code(code, why)
    }

    pub(super) fn finding(&self, package: &Package) -> Option<Finding> {
        let place = Location::file(self.source.file.clone()).line(self.source.number);
        let mut finding = Finding::new(self.code?, place, format!("{package}: {}", self.why));
        if let Some((expected, got)) = &self.values {
            finding = finding.values(expected, got);
        }
        if let Some(severity) = self.severity {
            finding = finding.severity(severity);
        }
        Some(finding)
    }

    fn to_value(&self) -> Value {
        let proved = self.proved.as_ref();
        Value::object([
            ("file", self.source.file.as_str().into()),
            ("number", self.source.number.into()),
            ("result", self.level.as_str().into()),
        ])
        .with_some("kind", self.kind.map(Kind::as_str))
        .with_some("code", self.code.map(Code::as_str))
        .with_some("why", (!self.why.is_empty()).then_some(self.why.as_str()))
        .with_some("signer", proved.and_then(|it| it.claims.as_ref()).map(Claims::to_value))
        .with_some("signed_at", proved.and_then(|it| it.at))
        .with_some("logged", proved.map(|it| it.logged))
    }
}

impl Outcome {
    /// The best that each kind of evidence comes to, or that it does not hold.
    pub fn kinds(&self) -> BTreeMap<Kind, Level> {
        by_kind(self.evidence.iter().filter_map(|judged| Some((judged.kind?, judged.level))))
    }

    pub fn to_value(&self) -> Value {
        let package = &self.package;
        let files = package.files.iter().map(|artifact| {
            Value::object([("digest", artifact.digests.to_string().into())])
                .with_some("file", artifact.file.as_deref())
        });
        Value::object([
            ("ecosystem", package.ecosystem.as_str().into()),
            ("name", package.name.as_str().into()),
            ("level", self.level.as_str().into()),
            ("files", Value::Array(files.collect())),
            ("files_verified", (self.files.0 as u64).into()),
            ("evidence", Value::Array(self.evidence.iter().map(Judged::to_value).collect())),
        ])
        .with_some("version", package.version.as_deref())
        .with_some("required", self.required.map(Level::as_str))
    }
}
