//! What is written for auditors: `[sbom]` and `[packet]`.

use std::{os::unix::ffi::OsStrExt, path::PathBuf};

use provenance_core::encoding::{file_uri, json::Value};
use serde::{Deserialize, Serialize};

use super::sources::Wrong;

/// A format of the software bill of materials.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, Serialize)]
pub enum SbomFormat {
    /// SPDX 2.3 in JSON.
    #[serde(rename = "spdx-2.3")]
    Spdx,
    /// CycloneDX 1.6 in JSON.
    #[serde(rename = "cyclonedx-1.6")]
    CycloneDx,
}

/// A period that packets are made for; it begins at midnight UTC, on Monday,
/// on the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A UTC day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

/// The software bill of materials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sbom {
    /// The system that is told of.
    pub system: PathBuf,
    /// In which formats.
    pub formats: Vec<SbomFormat>,
    /// What `provctl verify-package --json` found, each time anew.
    pub package_reports: Vec<PathBuf>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packets {
    /// For each of these periods.
    pub every: Vec<Period>,
    /// How many items are drawn for the auditor.
    pub sample: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SbomFile {
    system: PathBuf,
    formats: Option<Vec<SbomFormat>>,
    package_reports: Vec<PathBuf>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PacketFile {
    every: Option<Vec<Period>>,
    sample: u64,
}

impl Default for SbomFile {
    fn default() -> Self {
        Self { system: "/run/current-system".into(), formats: None, package_reports: vec![] }
    }
}

impl Default for PacketFile {
    fn default() -> Self {
        Self { every: None, sample: 25 }
    }
}

impl SbomFile {
    pub(super) fn judge(self, tier: Vec<SbomFormat>) -> Sbom {
        Sbom {
            system: self.system,
            formats: once(self.formats.unwrap_or(tier)),
            package_reports: self.package_reports,
        }
    }
}

impl PacketFile {
    pub(super) fn judge(self, tier: Vec<Period>) -> Result<Packets, Wrong> {
        if !(1..=10_000).contains(&self.sample) {
            return Err(("sample", "1 to 10000 items".into()));
        }
        Ok(Packets { every: once(self.every.unwrap_or(tier)), sample: self.sample })
    }
}

fn once<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}

impl SbomFormat {
    /// As settings and records name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spdx => "spdx-2.3",
            Self::CycloneDx => "cyclonedx-1.6",
        }
    }
}

impl Period {
    /// As settings name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl Sbom {
    pub(super) fn to_value(&self) -> Value {
        let formats = self.formats.iter().map(|format| format.as_str().into()).collect();
        let encoded = |path: &PathBuf| file_uri::encode(path.as_os_str().as_bytes());
        let reports = self.package_reports.iter().map(|path| encoded(path).into()).collect();
        Value::object([
            ("system", encoded(&self.system).into()),
            ("formats", Value::Array(formats)),
            ("package_reports", Value::Array(reports)),
        ])
    }
}

impl Packets {
    pub(super) fn to_value(&self) -> Value {
        let every = self.every.iter().map(|period| period.as_str().into()).collect();
        Value::object([("every", Value::Array(every)), ("sample", self.sample.into())])
    }
}
