//! Requests: signed, sent at most three times, and given up where the service
//! is silent. What comes back is bounded; redirections are not followed.

use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use provenance_core::encoding::{digest::Digest, time::Timestamp};
use provenance_host::config::S3;
use provenance_http::client::{self, Trusted};
use reqwest::{
    Body, Client, Method, Request, Response, Url,
    header::{HeaderName, HeaderValue},
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    errors::{Operation, refused},
    sign::{self, Signed},
    xml,
};
use crate::{StoreError, credentials::Keys, pace::Throttle};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// So long a service may be silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// So long an answer in XML takes as a whole.
const WHOLE: Duration = Duration::from_secs(300);
/// A service ends connections that nobody uses.
const IDLE: Duration = Duration::from_secs(15);
const ATTEMPTS: u32 = 3;
const BACK_OFF: Duration = Duration::from_millis(500);
/// An answer in XML is at most this long; a page has 1,000 names.
const MAX_XML: usize = 8 << 20;
/// So much of a refusal is read.
const MAX_REFUSAL: usize = 64 << 10;
/// All but what SigV4 leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path.
const IN_PATH: &AsciiSet = &ENCODED.remove(b'/');
/// Amazon's domains, by how their regions begin.
const DOMAINS: [(&str, &str); 3] =
    [("cn-", "amazonaws.com.cn"), ("eusc-", "amazonaws.eu"), ("", "amazonaws.com")];

/// What is asked of the bucket, or of an object in it.
pub(super) struct S3Request<'a> {
    pub(super) method: Method,
    /// The object's whole name.
    pub(super) key: Option<String>,
    pub(super) query: Vec<(&'static str, String)>,
    /// Names in lower case.
    pub(super) headers: Vec<(&'static str, String)>,
    /// What is sent, anew for each attempt, and its digest.
    pub(super) body: Option<(&'a (dyn Fn() -> Body + Sync), Digest)>,
}

impl S3Request<'_> {
    pub(super) fn get(key: Option<String>, query: Vec<(&'static str, String)>) -> Self {
        Self { method: Method::GET, key, query, headers: vec![], body: None }
    }
}

/// The way to a bucket.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    keys: Keys,
    /// The bucket's address.
    root: Url,
    region: String,
    pace: Throttle,
}

impl Http {
    pub(super) fn new(
        settings: &S3,
        keys: Keys,
        trusted: Trusted<'_>,
        pace: Throttle,
    ) -> Result<Self, StoreError> {
        let client = client::builder(trusted)
            .and_then(|builder| {
                let builder = builder.connect_timeout(CONNECT_TIMEOUT).pool_idle_timeout(IDLE);
                builder.build().map_err(client::ClientError::from)
            })
            .map_err(|error| StoreError::Access(error.to_string()))?;
        let region = settings.region.clone();
        let root = root(settings).ok_or_else(|| {
            let message = "endpoint: not an address that a bucket can be found at";
            StoreError::Access(message.into())
        })?;
        Ok(Self { client, keys, root, region, pace })
    }

    /// Sends a request and gives an answer whose body is still to be read.
    pub(super) async fn send(
        &self,
        asked: &S3Request<'_>,
        at: &Operation,
    ) -> Result<Response, StoreError> {
        tried(async || self.once(asked, at).await).await
    }

    /// Sends a request whose answer is XML, and reads that.
    pub(super) async fn read<T>(
        &self,
        asked: &S3Request<'_>,
        at: &Operation,
        parse: impl Fn(&[u8]) -> Result<T, xml::Malformed>,
    ) -> Result<T, StoreError> {
        tried(async || {
            let answer = self.once(asked, at).await?;
            let bytes = whole(answer, MAX_XML, at).await?;
            let wrong = |error| at.unreachable(format!("an answer that S3 does not give: {error}"));
            parse(&bytes).map_err(wrong)
        })
        .await
    }

    async fn once(&self, asked: &S3Request<'_>, at: &Operation) -> Result<Response, StoreError> {
        let request = self.request(asked, at).await?;
        self.pace.begin();
        let mut sent = std::pin::pin!(self.client.execute(request));
        let answer = loop {
            // A long body is no silence: what counts is when bytes last went.
            let due = self.pace.moved() + SILENCE_TIMEOUT;
            match timeout_at(due, sent.as_mut()).await {
                Ok(answer) => break answer,
                Err(_) if self.pace.moved() + SILENCE_TIMEOUT > Instant::now() => {}
                Err(_) => return Err(silent(at)),
            }
        };
        let answer = answer.map_err(|error| at.unreachable(client::causes(error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        // What cannot be read of a refusal leaves its status.
        let body = whole(answer, MAX_REFUSAL, at).await.unwrap_or_default();
        let (code, message) = xml::error(&body);
        Err(refused(status.as_u16(), &code, &message, at))
    }

    async fn request(&self, asked: &S3Request<'_>, at: &Operation) -> Result<Request, StoreError> {
        let denied = |why: &str| StoreError::Access(format!("{}: {why}", at.place));
        let now = now();
        let key = self.keys.at(now).await.map_err(|why| denied(&why))?;
        let url = self.url(asked).ok_or_else(|| at.missing())?;
        let (date, empty) = (sign::date(now), Digest::sha256(b""));
        let sha256 = asked.body.map_or(empty, |(_, sha256)| sha256).to_string();
        let mut headers = asked.headers.clone();
        headers.push(("host", host(&url)));
        headers.push(("x-amz-content-sha256", sha256.clone()));
        headers.push(("x-amz-date", date.clone()));
        if let Some(token) = &key.token {
            headers.push(("x-amz-security-token", token.to_string()));
        }
        headers.sort();
        let signed = Signed {
            method: asked.method.as_str(),
            path: url.path(),
            query: url.query().unwrap_or_default(),
            headers: &headers,
            sha256: &sha256,
        };
        let signature = sign::authorization(&key, &self.region, &date, &signed);
        let mut request = Request::new(asked.method.clone(), url);
        // hyper sets the host itself, from the address.
        let others = headers.iter().filter(|(name, _)| *name != "host");
        for (name, text) in others.chain([&(AUTHORIZATION_NAME, signature)]) {
            let value = HeaderValue::from_str(text);
            let mut value =
                value.map_err(|_| denied("the access key has characters no key has"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        *request.body_mut() = asked.body.map(|(body, _)| body());
        Ok(request)
    }

    /// The address of what is asked for; nothing where an address cannot name
    /// it, because of a `..` in it for one.
    fn url(&self, asked: &S3Request<'_>) -> Option<Url> {
        let mut url = self.root.clone();
        if let Some(key) = &asked.key {
            let base = url.path().trim_end_matches('/');
            let path = format!("{base}/{}", utf8_percent_encode(key, IN_PATH));
            url.set_path(&path);
            if url.path() != path {
                return None;
            }
        }
        let mut query = asked.query.clone();
        query.sort();
        let encode = |(name, value): &(&str, String)| {
            format!("{name}={}", utf8_percent_encode(value, ENCODED))
        };
        let query: Vec<String> = query.iter().map(encode).collect();
        url.set_query(Some(query.join("&")).filter(|query| !query.is_empty()).as_deref());
        Some(url)
    }
}

const AUTHORIZATION_NAME: &str = "authorization";

/// The bucket's address: a bucket in the path of an address, or in its host
/// name.
fn root(settings: &S3) -> Option<Url> {
    let S3 { bucket, region, .. } = settings;
    let endpoint = settings.endpoint.clone().unwrap_or_else(|| {
        let domain = DOMAINS.iter().find(|(begin, _)| region.starts_with(begin));
        let domain = domain.map_or("amazonaws.com", |(_, domain)| domain);
        format!("https://s3.{region}.{domain}")
    });
    let mut url = Url::parse(&endpoint).ok()?;
    url.set_query(None);
    let host = url.host_str()?.to_owned();
    // No certificate for all buckets is one for a name with further dots, and an
    // address in numbers has no names below it.
    let dotted = bucket.contains('.') && url.scheme() == "https";
    if settings.path_style || dotted || url.domain().is_none() {
        let path = format!("{}/{bucket}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    } else {
        url.set_host(Some(&format!("{bucket}.{host}"))).ok()?;
    }
    Some(url)
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn silent(at: &Operation) -> StoreError {
    at.unreachable(format!("nothing came within {} s", SILENCE_TIMEOUT.as_secs()))
}

/// The next bytes of an answer.
pub(super) async fn chunk(
    answer: &mut Response,
    at: &Operation,
) -> Result<Option<hyper::body::Bytes>, StoreError> {
    let chunk = timeout(SILENCE_TIMEOUT, answer.chunk()).await.map_err(|_| silent(at))?;
    chunk.map_err(|error| at.unreachable(client::causes(error)))
}

async fn whole(mut answer: Response, most: usize, at: &Operation) -> Result<Vec<u8>, StoreError> {
    let read = async {
        let mut bytes = vec![];
        while let Some(chunk) = chunk(&mut answer, at).await? {
            if bytes.len() + chunk.len() > most {
                return Err(at.unreachable(format!("an answer of over {} KiB", most >> 10)));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    timeout(WHOLE, read).await.unwrap_or_else(|_| Err(silent(at)))
}

/// Tries up to three times where there is no answer. Each request can be
/// repeated: at worst an object has one more version with the same content.
async fn tried<T>(once: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut attempt = 1;
    loop {
        match once().await {
            Err(StoreError::Unreachable { .. }) if attempt < ATTEMPTS => {}
            done => return done,
        }
        let wait = BACK_OFF * 2_u32.pow(attempt - 1);
        // Not all appliances at the same moment.
        let more = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
        tokio::time::sleep(wait + wait.mul_f64(more)).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests;
