//! The bodies of requests; unknown members are refused.

use std::collections::BTreeMap;

use provenance_core::{
    encoding::digest::Digest,
    registry::{SubjectKind, package::Status},
};
use serde::{Deserialize, Deserializer};

use super::response::ApiError;
use crate::{
    certificates::{self, SubjectKey},
    package_registry::Report,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issue {
    subject: String,
    name: String,
    #[serde(default, deserialize_with = "given")]
    version: Option<String>,
    public_key: String,
    #[serde(default, deserialize_with = "given")]
    artifact_sha256: Option<String>,
    #[serde(default, deserialize_with = "given")]
    days: Option<u64>,
    approved_by: String,
    place: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoke {
    pub(super) by: String,
    pub(super) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    #[serde(default, deserialize_with = "given")]
    id: Option<String>,
    event: String,
    package: String,
    version: String,
    who: String,
    #[serde(default)]
    details: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "given")]
    sha256: Option<String>,
    #[serde(default, deserialize_with = "given")]
    certificate: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    package: String,
    version: String,
    who: String,
    #[serde(default, deserialize_with = "given")]
    id: Option<String>,
    #[serde(default)]
    details: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetStatus {
    status: String,
    who: String,
    reason: String,
    #[serde(default, deserialize_with = "given")]
    id: Option<String>,
}

impl Issue {
    pub(super) fn request(self) -> Result<certificates::Request, ApiError> {
        let kind = SubjectKind::ALL.into_iter().find(|kind| kind.as_str() == self.subject);
        let kind = kind.filter(|kind| *kind != SubjectKind::Authority);
        let bad = |what: &str| ApiError::Bad(what.into());
        Ok(certificates::Request {
            subject: kind.ok_or_else(|| bad("subject: package, service or appliance"))?,
            name: self.name,
            version: self.version,
            key: SubjectKey::parse(self.public_key.as_bytes())
                .map_err(|why| ApiError::Bad(format!("public_key: {why}")))?,
            artifact_sha256: digest("artifact_sha256", self.artifact_sha256)?,
            days: self.days,
            approved_by: self.approved_by,
            place: self.place,
        })
    }
}

impl Event {
    pub(super) fn report(self) -> Result<Report, ApiError> {
        let Self { id, event, package, version, who, details, sha256, certificate } = self;
        let sha256 = digest("sha256", sha256)?;
        Ok(Report { id, event, package, version, who, details, sha256, certificate })
    }
}

impl Register {
    pub(super) fn report(self) -> Report {
        let Self { package, version, who, id, details } = self;
        let event = Status::Registered.event().into();
        Report { id, event, package, version, who, details, ..Report::default() }
    }
}

impl SetStatus {
    pub(super) fn report(self, package: String, version: String) -> Result<Report, ApiError> {
        let status = Status::parse(&self.status).filter(|status| *status != Status::Registered);
        let status = status
            .ok_or_else(|| ApiError::Bad("status: deprecated, unpublished or published".into()))?;
        let details = [("reason".into(), self.reason)].into();
        let (id, who, event) = (self.id, self.who, status.event().into());
        Ok(Report { id, event, package, version, who, details, ..Report::default() })
    }
}

/// A member that is there has a value: `null` is none.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(member: D) -> Result<Option<T>, D::Error> {
    T::deserialize(member).map(Some)
}

fn digest(name: &str, hex: Option<String>) -> Result<Option<Digest>, ApiError> {
    let Some(hex) = hex else { return Ok(None) };
    let digest = Digest::from_hex(hex.as_bytes());
    digest.map(Some).ok_or_else(|| ApiError::Bad(format!("{name}: 64 lower-case hex digits")))
}
