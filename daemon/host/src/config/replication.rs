//! The settings under `[store]`: where copies go.

use std::path::PathBuf;

use provenance_core::encoding::{file_uri, json::Value};
use serde::{Deserialize, Serialize};

use super::sources::Wrong;

/// HIPAA keeps documentation six years (45 CFR 164.316(b)(2)(i)).
const SIX_YEARS: u64 = 2_192;
/// A hundred years: no slip of the finger locks for longer.
const MAX_DAYS: u64 = 36_525;

/// Where copies go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// A folder of this machine.
    pub local: Option<PathBuf>,
    /// Storage with S3 Object Lock.
    pub s3: Option<S3>,
    /// Days for which nobody can remove a bundle's artifacts there.
    pub retain_days: u64,
    /// Days for which nobody can remove anything else there.
    pub document_days: u64,
    /// So many KiB a second at most, both ways; `None` without a limit.
    pub max_kib_s: Option<u64>,
}

/// A bucket and the way to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3 {
    /// The service's address; `None`: Amazon's of the region.
    pub endpoint: Option<String>,
    /// A bucket with versions and Object Lock.
    pub bucket: String,
    /// What every object's name begins with: empty, or ending with `/`.
    pub prefix: String,
    /// The bucket's region.
    pub region: String,
    /// Where the access key is, as [`crate::secret::read`] takes it;
    /// `None`: what the machine's instance role gives.
    pub credentials_file: Option<String>,
    /// Certificates that the service's is judged by, instead of the machine's.
    pub ca_file: Option<PathBuf>,
    /// The bucket in the path of an address, and not in its host name.
    pub path_style: bool,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    local: Option<PathBuf>,
    max_kib_s: Option<u64>,
    s3: Option<S3File>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct S3File {
    endpoint: Option<String>,
    bucket: String,
    #[serde(default)]
    prefix: String,
    #[serde(default = "default_region")]
    region: String,
    credentials_file: Option<String>,
    ca_file: Option<PathBuf>,
    path_style: Option<bool>,
    #[serde(default = "default_mode")]
    mode: String,
    retain_days: Option<u64>,
    document_days: Option<u64>,
}

fn default_region() -> String {
    "us-east-1".into()
}

fn default_mode() -> String {
    "COMPLIANCE".into()
}

impl File {
    /// `bundle_days` is how long the appliance itself keeps bundles.
    pub(super) fn judge(self, bundle_days: u64) -> Result<Option<Store>, Wrong> {
        if self.local.is_none() && self.s3.is_none() {
            return Ok(None);
        }
        if let Some(local) = &self.local
            && !local.is_absolute()
        {
            return Err(("local", "the path of a folder, from / on".into()));
        }
        if self.max_kib_s == Some(0) {
            return Err(("max_kib_s", "1 or more KiB a second".into()));
        }
        let days = self.s3.as_ref().map(|s3| (s3.retain_days, s3.document_days));
        let (retain, document) = days.unwrap_or_default();
        let retain_days = retain.unwrap_or(bundle_days);
        let document_days = document.unwrap_or(SIX_YEARS.max(retain_days));
        for (key, days) in [("retain_days", retain_days), ("document_days", document_days)] {
            if !(1..=MAX_DAYS).contains(&days) {
                return Err((key, format!("1 to {MAX_DAYS} days")));
            }
        }
        Ok(Some(Store {
            local: self.local,
            s3: self.s3.map(S3File::judge).transpose()?,
            retain_days,
            document_days,
            max_kib_s: self.max_kib_s,
        }))
    }
}

impl S3File {
    fn judge(self) -> Result<S3, Wrong> {
        if self.mode != "COMPLIANCE" {
            let message = "COMPLIANCE only: what an administrator could remove proves nothing";
            return Err(("mode", message.into()));
        }
        let (endpoint, path_style) = (self.endpoint, self.path_style);
        let s3 = S3::new(endpoint, self.bucket, &self.prefix, self.region, path_style)?;
        Ok(S3 { credentials_file: self.credentials_file, ca_file: self.ca_file, ..s3 })
    }
}

impl S3 {
    /// A bucket, by the names of the settings.
    ///
    /// # Errors
    /// The setting that makes no sense, and why.
    pub fn new(
        endpoint: Option<String>,
        bucket: String,
        prefix: &str,
        region: String,
        path_style: Option<bool>,
    ) -> Result<Self, (&'static str, String)> {
        if let Some(url) = &endpoint {
            super::url::validate(url)
                .map_err(|message| ("endpoint", format!("{url}: {message}")))?;
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
            let message = "3 to 63 lower-case letters, digits, `-` and `.`";
            return Err(("bucket", format!("{bucket:?}: {message}")));
        }
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if region.is_empty() || region.len() > 64 || !region.chars().all(named) {
            return Err(("region", "letters, digits and `-`, such as us-east-1".into()));
        }
        let prefix = prefix.trim_end_matches('/');
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let parts = || prefix.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if prefix.len() > 256 || !prefix.chars().all(safe) || !prefix.is_empty() && !parts() {
            let message = "letters, digits, `-`, `_`, `.` and `/`, no empty part";
            return Err(("prefix", message.into()));
        }
        // A host name of its own for each bucket is what Amazon has; a server
        // of one's own seldom has the names and certificates for it.
        let path_style = path_style.unwrap_or(endpoint.is_some());
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self {
            endpoint,
            bucket,
            prefix,
            region,
            credentials_file: None,
            ca_file: None,
            path_style,
        })
    }

    /// What this is called where copies are spoken of.
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

impl Store {
    pub(super) fn to_value(&self) -> Value {
        let encode = |path: &std::path::Path| {
            file_uri::encode(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
        };
        let s3 = self.s3.as_ref().map(|s3| {
            Value::object([
                ("bucket", s3.bucket.as_str().into()),
                ("path_style", s3.path_style.into()),
                ("prefix", s3.prefix.as_str().into()),
                ("region", s3.region.as_str().into()),
            ])
            .with_some("ca_file", s3.ca_file.as_deref().map(encode).as_deref())
            .with_some("credentials_file", s3.credentials_file.as_deref())
            .with_some("endpoint", s3.endpoint.as_deref())
        });
        Value::object([
            ("document_days", self.document_days.into()),
            ("retain_days", self.retain_days.into()),
        ])
        .with_some("local", self.local.as_deref().map(encode).as_deref())
        .with_some("max_kib_s", self.max_kib_s)
        .with_some("s3", s3)
    }
}
