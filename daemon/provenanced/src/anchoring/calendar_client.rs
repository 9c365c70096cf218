//! A client of OpenTimestamps calendars (docs/format.md §7, "Calendars").
//!
//! Trust: a calendar is trusted with nothing. It learns 32 bytes that tell
//! nothing; what it answers is read as from anybody, and shows by itself
//! whether it leads to a block.

use std::time::Duration;

use provenance_core::{
    encoding::digest::{Digest, to_hex},
    opentimestamps::MAX_ANSWER,
};
use reqwest::{Client, Method, Response, StatusCode};

use provenance_http::client;

const TIMEOUT: Duration = Duration::from_secs(20);
/// So much of a refusal is shown.
const MAX_SAID: usize = 160;
const ACCEPT: &str = "application/vnd.opentimestamps.v1";

/// Why a calendar gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("the calendar {url}: {why}")]
pub struct CalendarError {
    pub url: String,
    pub why: String,
    /// It did not answer at all, or not to the end.
    pub silent: bool,
}

/// What a calendar says of a commitment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CalendarReply {
    /// What follows from it, as sent; nothing of it was checked.
    Answer(Vec<u8>),
    /// Nothing yet, and why.
    Pending(String),
}

#[derive(Clone, Debug)]
pub struct Calendar {
    client: Client,
    url: String,
}

impl Calendar {
    /// The calendar at `url`.
    ///
    /// # Errors
    /// [`CalendarError`]: this machine can speak to none.
    pub(crate) fn new(url: &str) -> Result<Self, CalendarError> {
        let client = client::client(url.starts_with("https:"), TIMEOUT);
        let client = client.map_err(|why| CalendarError {
            url: url.into(),
            why: why.to_string(),
            silent: true,
        })?;
        Ok(Self { client, url: url.into() })
    }

    /// Submits a digest; gives the promise as sent.
    ///
    /// # Errors
    /// [`CalendarError`].
    pub(crate) async fn submit(&self, digest: &Digest) -> Result<Vec<u8>, CalendarError> {
        let (status, body) = self.request(Method::POST, "digest", digest.0.to_vec()).await?;
        match status {
            StatusCode::OK => Ok(body),
            status => Err(self.failed(said(status, &body))),
        }
    }

    /// Asks what became of a commitment.
    ///
    /// # Errors
    /// [`CalendarError`].
    pub(crate) async fn fetch(&self, commitment: &[u8]) -> Result<CalendarReply, CalendarError> {
        let path = format!("timestamp/{}", to_hex(commitment));
        let (status, body) = self.request(Method::GET, &path, vec![]).await?;
        match status {
            StatusCode::OK => Ok(CalendarReply::Answer(body)),
            StatusCode::NOT_FOUND => Ok(CalendarReply::Pending(said(status, &body))),
            status => Err(self.failed(said(status, &body))),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>), CalendarError> {
        let url = format!("{}/{path}", self.url.trim_end_matches('/'));
        let request = self.client.request(method, url).header("Accept", ACCEPT).body(body);
        let failed = |error| {
            let why = client::causes(error);
            CalendarError { silent: true, ..self.failed(why) }
        };
        let mut response: Response = request.send().await.map_err(failed)?;
        let mut bytes = vec![];
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(self.failed(format!("an answer of over {MAX_ANSWER} bytes")));
            }
        }
        Ok((response.status(), bytes))
    }

    fn failed(&self, why: String) -> CalendarError {
        CalendarError { url: self.url.clone(), why, silent: false }
    }
}

/// Its words, in the characters that no terminal minds.
fn said(status: StatusCode, body: &[u8]) -> String {
    let plain = |byte: &u8| match byte {
        b' ' | b'#' | b'-' | b'.' | b',' | b';' => char::from(*byte),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte),
        _ => '_',
    };
    let words: String = body.iter().take(MAX_SAID).map(plain).collect();
    format!("{} {words}", status.as_u16())
}
