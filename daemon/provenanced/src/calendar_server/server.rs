//! The calendar's protocol over HTTP/1.1, for whoever connects: bounded in
//! connections, sizes and time.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use provenance_core::{
    encoding::digest::from_hex,
    opentimestamps::{COMMITMENT, Commitment},
};
use provenance_http::{
    listener::Listener,
    server::{self, Limits},
};
use tokio::sync::oneshot;

use super::{
    committer::{Queue, Submission},
    lookup::{CommitmentLookup, CommitmentState},
};
use crate::error::ServiceError;

/// The longest digest, as stock calendars have it.
const MAX_DIGEST: usize = 64;
/// A request's head and body come within this time, and so does the next
/// request of a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The disk may take so long.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection makes room for others after this time.
const MAX_LIFETIME: Duration = Duration::from_secs(60);

/// What is the same for a long time, for a minute, and for moments.
const FOREVER: &str = "public, max-age=31536000";
const MINUTE: &str = "public, max-age=60";
const MOMENT: &str = "public, max-age=10";
const NO: &str = "no-store";

const ABOUT: &str = "An OpenTimestamps calendar of msp-provenance.\n\
    POST /digest, GET /timestamp/<commitment in hex>, GET /tip\n";

type Reply = Response<Full<Bytes>>;

pub(super) struct Calendar {
    queue: Queue,
    answers: Mutex<CommitmentLookup>,
}

/// Takes connections until `end`, and waits for those that are open.
pub(super) async fn serve(
    listener: Listener,
    connections: usize,
    calendar: Arc<Calendar>,
    end: impl Future<Output = ()>,
) {
    let limits = Limits {
        connections,
        read_timeout: READ_TIMEOUT,
        max_lifetime: MAX_LIFETIME,
        response_timeout: RESPONSE_TIMEOUT,
    };
    let answer = move |request| calendar.clone().respond(request);
    server::serve(listener, limits, answer, end).await;
}

impl Calendar {
    pub(super) fn new(queue: Queue, answers: CommitmentLookup) -> Self {
        Self { queue, answers: Mutex::new(answers) }
    }

    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::POST, "/digest") => self.accept_digest(request).await,
            (&Method::GET, "/tip") => self.tip().await,
            (&Method::GET, "/") => text(StatusCode::OK, MINUTE, ABOUT),
            (&Method::GET, path) => match path.strip_prefix("/timestamp/") {
                Some(hex) => self.timestamp(hex).await,
                None => text(StatusCode::NOT_FOUND, MINUTE, "not found"),
            },
            _ => text(StatusCode::NOT_FOUND, MINUTE, "not found"),
        }
    }

    async fn accept_digest(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let bad = |message| text(StatusCode::BAD_REQUEST, NO, message);
        match request.body().size_hint().exact() {
            None => return bad("invalid Content-Length"),
            Some(0) => return bad("no digest"),
            Some(length) if length > MAX_DIGEST as u64 => return bad("digest too long"),
            Some(_) => {}
        }
        let body = Limited::new(request.into_body(), MAX_DIGEST).collect();
        let digest = match tokio::time::timeout(READ_TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes().to_vec(),
            Ok(Err(_)) => return bad("the digest did not come whole"),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, NO, "the digest did not come"),
        };
        let (answer, answered) = oneshot::channel();
        if self.queue.try_send(Submission { digest, answer }).is_err() {
            return later();
        }
        match tokio::time::timeout(RESPONSE_TIMEOUT, answered).await {
            Ok(Ok(promise)) => octets(NO, promise),
            _ => later(),
        }
    }

    async fn timestamp(self: Arc<Self>, hex: &str) -> Reply {
        // Clients' hex may be of either case.
        let hex = hex.to_ascii_lowercase();
        if hex.is_empty() || from_hex(&hex).is_none() {
            let message = "commitment must be hex-encoded bytes";
            return text(StatusCode::BAD_REQUEST, FOREVER, message);
        }
        let unknown = || text(StatusCode::NOT_FOUND, MINUTE, "Not found");
        if hex.len() != COMMITMENT * 2 {
            return unknown();
        }
        let Some(commitment) = Commitment::from_hex(&hex) else { return unknown() };
        match self.look_up(move |answers| answers.state_of(&commitment)).await {
            Some(CommitmentState::Anchored(way)) => octets(FOREVER, way),
            Some(CommitmentState::Pending(why)) => text(StatusCode::NOT_FOUND, MINUTE, &why),
            Some(CommitmentState::Unknown) => unknown(),
            None => later(),
        }
    }

    async fn tip(self: Arc<Self>) -> Reply {
        match self.look_up(CommitmentLookup::tip).await {
            Some(Some(root)) => octets(MOMENT, root.0.to_vec()),
            Some(None) => reply(StatusCode::NO_CONTENT, MOMENT, None, Bytes::new()),
            None => later(),
        }
    }

    /// Reads the registry, beside the thread that serves everybody.
    async fn look_up<T: Send + 'static>(
        self: Arc<Self>,
        look: impl FnOnce(&mut CommitmentLookup) -> Result<T, ServiceError> + Send + 'static,
    ) -> Option<T> {
        let looked = tokio::task::spawn_blocking(move || {
            look(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match looked.await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => {
                tracing::error!("the registry cannot be asked: {error}");
                None
            }
            Err(_) => None,
        }
    }
}

fn octets(cache: &'static str, bytes: Vec<u8>) -> Reply {
    reply(StatusCode::OK, cache, Some("application/octet-stream"), bytes.into())
}

fn text(status: StatusCode, cache: &'static str, words: &str) -> Reply {
    reply(status, cache, Some("text/plain"), Bytes::copy_from_slice(words.as_bytes()))
}

/// It cannot be answered now; nothing was promised.
fn later() -> Reply {
    let mut reply = text(StatusCode::SERVICE_UNAVAILABLE, NO, "try again later");
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    reply
}

fn reply(
    status: StatusCode,
    cache: &'static str,
    kind: Option<&'static str>,
    body: Bytes,
) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    reply
}
