//! A bucket with S3 Object Lock, through the AWS SDK. Every request is one that
//! other services than Amazon's know too.

mod errors;

use std::{cmp::Ordering, collections::HashSet, fs, io, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Config, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    operation::get_object::GetObjectOutput,
    primitives::{ByteStream, DateTime},
    types::{
        BucketVersioningStatus, ObjectLockEnabled, ObjectLockMode, ObjectLockRetention,
        ObjectLockRetentionMode,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use base64ct::{Base64, Encoding as _};
use errors::{Doing, why};
use provenance_core::time::Timestamp;
use tokio::runtime::Runtime;

use super::{
    Access, Bucket, Lock, Object, Put, StoreError,
    body::{Pace, Part},
};
use crate::host::{config::S3, durable};

const CONNECT: Duration = Duration::from_secs(10);
/// So long a service may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(60);
/// What one put takes at most (S3's own limit).
const MAX_PUT: u64 = 5 << 30;
const MAX_CA: u64 = 4 << 20;

/// A bucket.
#[derive(Debug)]
pub struct S3Bucket {
    client: Client,
    runtime: Runtime,
    settings: S3,
    pace: Pace,
}

impl S3Bucket {
    /// The bucket of these settings, by this access key, no faster than so many
    /// KiB a second.
    ///
    /// # Errors
    /// [`StoreError`]: no access key, no certificates.
    pub fn new(settings: &S3, access: &Access, kib_s: Option<u64>) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StoreError::io("cannot start"))?;
        let mut trust = TrustStore::default();
        if let Some(path) = &settings.ca_file {
            let pem = durable::read_limited(path, MAX_CA);
            let pem = pem.map_err(StoreError::io(path.display().to_string()))?;
            trust = TrustStore::empty().with_pem_certificate(pem);
        }
        let tls = TlsContext::builder().with_trust_store(trust).build();
        let tls = tls.map_err(|error| StoreError::Access(error.to_string()))?;
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .build_https();
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER);
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .credentials_provider(access.provider()?)
            .http_client(http)
            .force_path_style(settings.path_style)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts.build())
            // A clock that is wrong is to be said, not worked around.
            .disable_clock_skew_correction(true)
            // Digests are our own affair: each put has one, each get is hashed.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        config.set_endpoint_url(settings.endpoint.clone());
        let client = Client::from_conf(config.build());
        Ok(Self { client, runtime, settings: settings.clone(), pace: Pace::new(kib_s) })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.settings.prefix)
    }

    fn place(&self, doing: &'static str) -> Doing {
        Doing { place: format!("s3://{}", self.settings.bucket), doing, key: None }
    }

    /// What keeps an object, where its answer does not say.
    fn retention(&self, key: &str, version: Option<&str>) -> Option<Lock> {
        let asked = self.client.get_object_retention().bucket(&self.settings.bucket);
        let asked = asked.key(self.key(key)).set_version_id(version.map(str::to_owned));
        let answer = self.runtime.block_on(asked.send());
        match answer {
            Ok(answer) => Some(lock_of(answer.retention.as_ref())),
            Err(error) => match why(error, &self.place("asking what keeps an object")) {
                // Some refuse the question for a bucket that has no Object Lock.
                StoreError::NoLock(_) | StoreError::Missing(_) | StoreError::Refused { .. } => {
                    Some(Lock::None)
                }
                _ => None,
            },
        }
    }
}

/// Where a listing went: a service that sends us over one place again would keep
/// us there for ever.
#[derive(Debug, Default)]
struct Way {
    key: String,
    /// What was gone on with since this key.
    marks: HashSet<String>,
}

/// What is said of a service that does so.
const CIRCLE: &str = "its pages lead back to where they came from";

impl Way {
    /// Whether the next page, from this key and mark on, is one not seen yet.
    fn goes_on(&mut self, key: &str, mark: &str) -> bool {
        match key.cmp(self.key.as_str()) {
            Ordering::Less => return false,
            Ordering::Greater => {
                key.clone_into(&mut self.key);
                self.marks.clear();
            }
            Ordering::Equal => {}
        }
        self.marks.insert(mark.to_owned())
    }
}

fn lock_of(retention: Option<&ObjectLockRetention>) -> Lock {
    let Some(retention) = retention else { return Lock::None };
    match (&retention.mode, &retention.retain_until_date) {
        (Some(ObjectLockRetentionMode::Compliance), Some(until)) => Lock::Compliance(time(until)),
        (Some(ObjectLockRetentionMode::Governance), Some(until)) => Lock::Governance(time(until)),
        _ => Lock::None,
    }
}

/// What an object's answer says of its lock; nothing, where the key may not ask.
fn lock_in(answer: &GetObjectOutput) -> Option<Lock> {
    let until = time(answer.object_lock_retain_until_date.as_ref()?);
    match answer.object_lock_mode.as_ref()? {
        ObjectLockMode::Compliance => Some(Lock::Compliance(until)),
        ObjectLockMode::Governance => Some(Lock::Governance(until)),
        _ => None,
    }
}

fn time(at: &DateTime) -> Timestamp {
    Timestamp::from_nanos(at.secs().saturating_mul(1_000_000_000))
}

impl Bucket for S3Bucket {
    fn name(&self) -> String {
        self.settings.url()
    }

    fn check(&mut self) -> Result<(), StoreError> {
        let bucket = || self.settings.bucket.clone();
        let no_lock = || StoreError::NoLock(format!("s3://{}", self.settings.bucket));
        let doing = self.place("asking whether the bucket has Object Lock");
        let lock = self.client.get_object_lock_configuration().bucket(bucket()).send();
        let lock = self.runtime.block_on(lock).map_err(|error| why(error, &doing))?;
        let lock = lock.object_lock_configuration.and_then(|lock| lock.object_lock_enabled);
        if lock != Some(ObjectLockEnabled::Enabled) {
            return Err(no_lock());
        }
        let doing = self.place("asking whether the bucket has versions");
        let versions = self.client.get_bucket_versioning().bucket(bucket()).send();
        let versions = self.runtime.block_on(versions).map_err(|error| why(error, &doing))?;
        match versions.status {
            Some(BucketVersioningStatus::Enabled) => Ok(()),
            _ => Err(no_lock()),
        }
    }

    fn put(&mut self, put: &Put<'_>) -> Result<Option<String>, StoreError> {
        if put.bytes > MAX_PUT {
            return Err(StoreError::TooLarge(put.path.display().to_string()));
        }
        // Opened here too, so that what is not there is told as that.
        fs::File::open(put.path).map_err(StoreError::io(put.path.display().to_string()))?;
        let part = Part::new(put.path, put.from, put.bytes, &self.pace);
        let until = DateTime::from_secs(put.until.nanos().div_euclid(1_000_000_000));
        let asked = self
            .client
            .put_object()
            .bucket(&self.settings.bucket)
            .key(self.key(put.key))
            .content_length(i64::try_from(put.bytes).unwrap_or(i64::MAX))
            .checksum_sha256(Base64::encode_string(&put.sha256.0))
            .object_lock_mode(ObjectLockMode::Compliance)
            .object_lock_retain_until_date(until)
            .body(ByteStream::new(part.body()));
        let doing = self.place("putting an object");
        let answer = self.runtime.block_on(asked.send());
        Ok(answer.map_err(|error| why(error, &doing))?.version_id)
    }

    fn get(
        &mut self,
        key: &str,
        version: Option<&str>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Option<Lock>, StoreError> {
        let doing = Doing { key: Some(key.into()), ..self.place("reading an object") };
        let asked = self.client.get_object().bucket(&self.settings.bucket);
        let asked = asked.key(self.key(key)).set_version_id(version.map(str::to_owned));
        let lock = self.runtime.block_on(async {
            let mut answer = asked.send().await.map_err(|error| why(error, &doing))?;
            while let Some(chunk) = answer.body.next().await {
                let chunk = chunk.map_err(|error| doing.unreachable(error.to_string()))?;
                sink(&chunk).map_err(StoreError::io(key))?;
                self.pace.wait(chunk.len()).await;
            }
            Ok::<_, StoreError>(lock_in(&answer))
        })?;
        // Without the right to ask, an answer leaves these out as it does
        // where there is no lock.
        Ok(lock.or_else(|| self.retention(key, version)))
    }

    fn list(
        &mut self,
        prefix: &str,
        after: &str,
        each: &mut dyn FnMut(Object) -> bool,
    ) -> Result<(), StoreError> {
        let doing = self.place("listing the objects");
        let own = self.settings.prefix.len();
        let mut marker = (!after.is_empty()).then(|| self.key(after));
        let mut version = None::<String>;
        let mut way = Way { key: marker.clone().unwrap_or_default(), ..Way::default() };
        loop {
            let asked = self.client.list_object_versions().bucket(&self.settings.bucket);
            let asked = asked.prefix(self.key(prefix)).set_key_marker(marker.take());
            let asked = asked.set_version_id_marker(version.take());
            let page = self.runtime.block_on(asked.send()).map_err(|error| why(error, &doing))?;
            let named = |key: Option<&str>| key.and_then(|key| key.get(own..)).map(str::to_owned);
            let objects = page.versions().iter().map(|object| Object {
                key: named(object.key()).unwrap_or_default(),
                version: object.version_id().map(str::to_owned),
                bytes: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                tag: object.e_tag().unwrap_or_default().to_owned(),
                deleted: false,
            });
            let marks = page.delete_markers().iter().map(|mark| Object {
                key: named(mark.key()).unwrap_or_default(),
                version: mark.version_id().map(str::to_owned),
                bytes: 0,
                tag: String::new(),
                deleted: true,
            });
            // Two lists, each by name: the marks of a name before its versions.
            let mut objects: Vec<Object> = marks.chain(objects).collect();
            objects.sort_by(|a, b| a.key.cmp(&b.key));
            // Services differ in whether the marker itself is listed.
            let behind = objects.into_iter().filter(|object| *object.key > *after);
            for object in behind {
                if !each(object) {
                    return Ok(());
                }
            }
            let next = page.next_key_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) || next.is_none() {
                return Ok(());
            }
            (marker, version) = (next, page.next_version_id_marker().map(str::to_owned));
            let on = (marker.as_deref().unwrap_or_default(), version.as_deref());
            if !way.goes_on(on.0, on.1.unwrap_or_default()) {
                return Err(doing.unreachable(CIRCLE.into()));
            }
        }
    }

    fn folders(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let doing = self.place("listing the folders");
        let own = self.settings.prefix.len();
        let (mut folders, mut more) = (vec![], None);
        let mut way = Way::default();
        loop {
            let asked = self.client.list_objects_v2().bucket(&self.settings.bucket);
            let asked = asked.prefix(self.key(prefix)).delimiter("/").set_continuation_token(more);
            let page = self.runtime.block_on(asked.send()).map_err(|error| why(error, &doing))?;
            let names = page.common_prefixes().iter().filter_map(|common| common.prefix());
            folders.extend(names.filter_map(|name| name.get(own..)).map(str::to_owned));
            more = page.next_continuation_token().map(str::to_owned);
            let Some(on) = more.as_deref().filter(|_| page.is_truncated() == Some(true)) else {
                return Ok(folders);
            };
            if !way.goes_on("", on) {
                return Err(doing.unreachable(CIRCLE.into()));
            }
        }
    }

    fn refuses_removal(&mut self, key: &str, version: Option<&str>) -> Result<bool, StoreError> {
        let Some(version) = version else { return Ok(false) };
        let asked = self.client.delete_object().bucket(&self.settings.bucket);
        let asked = asked.key(self.key(key)).version_id(version);
        let doing = self.place("trying to remove an object that is locked");
        match self.runtime.block_on(asked.send()) {
            Ok(_) => Ok(false),
            Err(error) => match why(error, &doing) {
                StoreError::Denied { .. } | StoreError::Refused { .. } => Ok(true),
                error => Err(error),
            },
        }
    }
}
