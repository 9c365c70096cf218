//! Writing to a bucket.

use std::fs;

use base64ct::{Base64, Encoding as _};
use provenance_host::config::S3;
use reqwest::Method;

use super::{S3Reader, http::S3Request, sign, xml};
use crate::{Access, PutRequest, ReadStorage, StoreError, WriteStorage, upload_body::FilePart};

/// What one put takes at most (S3's own limit).
const MAX_PUT: u64 = 5 << 30;

/// A bucket to write to.
#[derive(Debug)]
pub struct S3Writer {
    reader: S3Reader,
}

impl S3Writer {
    /// The bucket of these settings, by this access key, no faster than so many
    /// KiB a second.
    ///
    /// # Errors
    /// [`StoreError`]: no access key, no certificates.
    pub fn new(settings: &S3, access: &Access, kib_s: Option<u64>) -> Result<Self, StoreError> {
        Ok(Self { reader: S3Reader::new(settings, access, kib_s)? })
    }
}

impl WriteStorage for S3Writer {
    fn reader(&mut self) -> &mut dyn ReadStorage {
        &mut self.reader
    }

    fn check(&mut self) -> Result<(), StoreError> {
        let reader = &self.reader;
        let about = |name| S3Request::get(None, vec![(name, String::new())]);
        let doing = reader.place("asking whether the bucket has Object Lock");
        let locks = reader.ask(&about("object-lock"), &doing, xml::has_lock)?;
        let doing = reader.place("asking whether the bucket has versions");
        if locks && reader.ask(&about("versioning"), &doing, xml::has_versions)? {
            return Ok(());
        }
        Err(StoreError::NoLock(doing.place))
    }

    fn put(&mut self, put: &PutRequest<'_>) -> Result<Option<String>, StoreError> {
        if put.bytes > MAX_PUT {
            return Err(StoreError::TooLarge(put.path.display().to_string()));
        }
        // Opened here too, so that a missing file is reported as missing.
        fs::File::open(put.path).map_err(StoreError::io(put.path.display().to_string()))?;
        let reader = &self.reader;
        let part = FilePart::new(put.path, put.from, put.bytes, &reader.pace);
        let body = || part.body();
        let asked = S3Request {
            method: Method::PUT,
            key: Some(reader.key(put.key)),
            query: vec![],
            headers: vec![
                ("content-length", put.bytes.to_string()),
                ("x-amz-checksum-sha256", Base64::encode_string(&put.sha256.0)),
                ("x-amz-object-lock-mode", "COMPLIANCE".into()),
                ("x-amz-object-lock-retain-until-date", sign::rfc3339(put.until)),
            ],
            body: Some((&body, put.sha256)),
        };
        let doing = reader.place("putting an object");
        let answer = reader.runtime.block_on(reader.http.send(&asked, &doing))?;
        let version = answer.headers().get("x-amz-version-id");
        Ok(version.and_then(|version| version.to_str().ok()).map(str::to_owned))
    }

    fn refuses_removal(&mut self, key: &str, version: Option<&str>) -> Result<bool, StoreError> {
        let Some(version) = version else { return Ok(false) };
        let reader = &self.reader;
        let asked = S3Request {
            method: Method::DELETE,
            ..S3Request::get(Some(reader.key(key)), vec![("versionId", version.to_owned())])
        };
        let doing = reader.place("trying to remove an object that is locked");
        match reader.runtime.block_on(reader.http.send(&asked, &doing)) {
            Ok(_) => Ok(false),
            Err(StoreError::Denied { .. } | StoreError::Refused { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
