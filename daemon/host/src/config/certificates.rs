//! The settings under `[certificates]`.

use provenance_core::encoding::json::Value;
use serde::{Deserialize, Serialize};

use super::sources::Wrong;

/// The local certificate authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    /// `credential:NAME` or a path.
    pub authority_key: String,
    /// For so many days a certificate is valid.
    pub days: u64,
    /// For so many days a revocation list is.
    pub crl_days: u64,
    /// The version of the rules by which certificates are approved.
    pub policy_version: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    authority_key: Option<String>,
    days: u64,
    crl_days: u64,
    policy_version: String,
}

impl Default for File {
    fn default() -> Self {
        Self { authority_key: None, days: 365, crl_days: 30, policy_version: "1".into() }
    }
}

impl File {
    pub(super) fn judge(self, signing_key: Option<&str>) -> Result<Option<Authority>, Wrong> {
        let Self { authority_key, days, crl_days, policy_version } = self;
        let Some(authority_key) = authority_key else { return Ok(None) };
        if signing_key == Some(&authority_key) {
            let message = "another key than signing_key: who issues certificates is the provider, \
                           not this appliance";
            return Err(("authority_key", message.into()));
        }
        if !(1..=3_653).contains(&days) {
            return Err(("days", "1 to 3653".into()));
        }
        if !(1..=366).contains(&crl_days) {
            return Err(("crl_days", "1 to 366".into()));
        }
        if policy_version.is_empty() || policy_version.len() > 64 {
            return Err(("policy_version", "1 to 64 bytes".into()));
        }
        Ok(Some(Authority { authority_key, days, crl_days, policy_version }))
    }
}

impl Authority {
    pub(super) fn to_value(&self) -> Value {
        Value::object([
            ("authority_key", self.authority_key.as_str().into()),
            ("crl_days", self.crl_days.into()),
            ("days", self.days.into()),
            ("policy_version", self.policy_version.as_str().into()),
        ])
    }
}
