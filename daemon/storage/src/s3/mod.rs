//! A bucket with S3 Object Lock. Every request is one that other services than
//! Amazon's know too.

mod errors;
mod http;
mod sign;
#[cfg(feature = "write")]
mod write;
mod xml;

use std::{cmp::Ordering, collections::HashSet, io};

use provenance_core::encoding::time::Timestamp;
use reqwest::header::HeaderMap;
use tokio::runtime::Runtime;

use errors::Operation;
use http::{Http, S3Request, chunk};
#[cfg(feature = "write")]
pub use write::S3Writer;

use crate::{Access, Object, ReadStorage, Retention, StoreError, pace::Throttle};
use provenance_host::{config::S3, durable};
use provenance_http::client::Trusted;

const MAX_CA: u64 = 4 << 20;

/// A bucket to read from: nothing but GET is sent.
#[derive(Debug)]
pub struct S3Reader {
    http: Http,
    runtime: Runtime,
    settings: S3,
    pace: Throttle,
}

impl S3Reader {
    /// The bucket of these settings, by this access key, no faster than so many
    /// KiB a second.
    ///
    /// # Errors
    /// [`StoreError`]: no access key, no certificates.
    pub fn new(settings: &S3, access: &Access, kib_s: Option<u64>) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StoreError::io("cannot start"))?;
        let encrypted = settings.endpoint.as_ref().is_none_or(|url| !url.starts_with("http:"));
        let ca = settings.ca_file.as_ref().filter(|_| encrypted).map(|path| {
            let pem = durable::read_limited(path, MAX_CA);
            pem.map_err(StoreError::io(path.display().to_string()))
        });
        let ca = ca.transpose()?;
        let trusted = match &ca {
            Some(pem) => Trusted::These(pem),
            None if encrypted => Trusted::Machine,
            None => Trusted::Nobody,
        };
        let pace = Throttle::new(kib_s);
        let http = Http::new(settings, access.keys()?, trusted, pace.clone());
        let http = http.map_err(|error| match (error, &settings.ca_file) {
            (StoreError::Access(why), Some(path)) => {
                StoreError::Access(format!("{}: {why}", path.display()))
            }
            (error, _) => error,
        })?;
        Ok(Self { http, runtime, settings: settings.clone(), pace })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.settings.prefix)
    }

    /// A name as it is without the prefix of the settings.
    fn own(&self, key: &str) -> Option<String> {
        key.get(self.settings.prefix.len()..).map(str::to_owned)
    }

    fn place(&self, doing: &'static str) -> Operation {
        Operation { place: format!("s3://{}", self.settings.bucket), doing, key: None }
    }

    /// Asks a question about the bucket, or an object of it.
    fn ask<T>(
        &self,
        asked: &S3Request<'_>,
        at: &Operation,
        parse: impl Fn(&[u8]) -> Result<T, xml::Malformed>,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(self.http.read(asked, at, parse))
    }

    /// What keeps an object, where its answer does not say.
    fn retention(&self, key: &str, version: Option<&str>) -> Option<Retention> {
        let mut query = vec![("retention", String::new())];
        query.extend(version.map(|version| ("versionId", version.to_owned())));
        let asked = S3Request::get(Some(self.key(key)), query);
        match self.ask(&asked, &self.place("asking what keeps an object"), xml::retention) {
            Ok((mode, until)) => Some(lock(&mode, &until).unwrap_or(Retention::None)),
            // Some refuse the question for a bucket that has no Object Lock.
            Err(StoreError::NoLock(_) | StoreError::Missing(_) | StoreError::Refused { .. }) => {
                Some(Retention::None)
            }
            Err(_) => None,
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
const CIRCULAR_LISTING_MSG: &str = "its pages lead back to where they came from";

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

/// The lock of this mode and time; nothing, where they tell none.
fn lock(mode: &str, until: &str) -> Option<Retention> {
    let until = Timestamp::read(until)?;
    match mode {
        "COMPLIANCE" => Some(Retention::Compliance(until)),
        "GOVERNANCE" => Some(Retention::Governance(until)),
        _ => None,
    }
}

/// What an object's answer says of its lock; nothing, where the key may not ask.
fn lock_in(headers: &HeaderMap) -> Option<Retention> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    lock(text("x-amz-object-lock-mode")?, text("x-amz-object-lock-retain-until-date")?)
}

impl ReadStorage for S3Reader {
    fn name(&self) -> String {
        self.settings.url()
    }

    fn get(
        &mut self,
        key: &str,
        version: Option<&str>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Option<Retention>, StoreError> {
        let doing = Operation { key: Some(key.into()), ..self.place("reading an object") };
        let query = version.map(|version| ("versionId", version.to_owned()));
        let asked = S3Request::get(Some(self.key(key)), query.into_iter().collect());
        let lock = self.runtime.block_on(async {
            let mut answer = self.http.send(&asked, &doing).await?;
            while let Some(chunk) = chunk(&mut answer, &doing).await? {
                sink(&chunk).map_err(StoreError::io(key))?;
                self.pace.wait(chunk.len()).await;
            }
            Ok::<_, StoreError>(lock_in(answer.headers()))
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
        let mut marker = (!after.is_empty()).then(|| (self.key(after), None));
        let begin = marker.as_ref().map(|(key, _)| key.clone()).unwrap_or_default();
        let mut way = Way { key: begin, ..Way::default() };
        loop {
            let mut query = vec![("versions", String::new()), ("prefix", self.key(prefix))];
            if let Some((key, version)) = marker {
                query.push(("key-marker", key));
                query.extend(version.map(|version| ("version-id-marker", version)));
            }
            let page = self.ask(&S3Request::get(None, query), &doing, xml::versions)?;
            let mut objects = page.objects;
            for object in &mut objects {
                object.key = self.own(&object.key).unwrap_or_default();
            }
            // By name, the marks of a name before its versions.
            objects.sort_by(|a, b| a.key.cmp(&b.key).then(b.deleted.cmp(&a.deleted)));
            // Services differ in whether the marker itself is listed.
            for object in objects.into_iter().filter(|object| *object.key > *after) {
                if !each(object) {
                    return Ok(());
                }
            }
            let Some((key, version)) = page.next else { return Ok(()) };
            if !way.goes_on(&key, version.as_deref().unwrap_or_default()) {
                return Err(doing.unreachable(CIRCULAR_LISTING_MSG.into()));
            }
            marker = Some((key, version));
        }
    }

    fn folders(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let doing = self.place("listing the folders");
        let (mut folders, mut more) = (vec![], None);
        let mut way = Way::default();
        loop {
            let mut query = vec![("list-type", "2".to_owned()), ("delimiter", "/".to_owned())];
            query.push(("prefix", self.key(prefix)));
            query.extend(more.map(|more| ("continuation-token", more)));
            let (page, next) = self.ask(&S3Request::get(None, query), &doing, xml::folders)?;
            folders.extend(page.iter().filter_map(|name| self.own(name)));
            let Some(on) = next else { return Ok(folders) };
            if !way.goes_on("", &on) {
                return Err(doing.unreachable(CIRCULAR_LISTING_MSG.into()));
            }
            more = Some(on);
        }
    }
}
