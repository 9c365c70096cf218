//! Streamable HTTP, for this machine only: each request is served by itself, and
//! a client that is gone ends the work.
//!
//! Trust: who may open the socket, or reach the loopback address, may ask. A page in
//! a browser may not: its Host or Origin is another.

use std::{convert::Infallible, future::Future, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    http::request::Parts,
};
use provenance_core::encoding::digest::to_hex;
use provenance_http::{
    listener::Listener,
    server::{self, Limits},
};
use rmcp::{
    model::RequestId,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use serde::Deserialize;

use super::{MAX_LINE, Server, in_flight::SESSION};

/// The one place that answers.
const PATH: &str = "/mcp";
const CONNECTIONS: usize = 64;
/// A request comes whole within this time; a connection waits so long for the next.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

type Reply = Response<BoxBody<Bytes, Infallible>>;

#[derive(Clone)]
struct Door {
    mcp: StreamableHttpService<Server, NeverSessionManager>,
    server: Server,
}

/// What is looked at before the library reads the whole.
#[derive(Deserialize)]
struct Glance {
    method: Option<String>,
    #[serde(default)]
    params: Option<Cancelled>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    request_id: Option<RequestId>,
}

impl Server {
    /// Serves this listener until `end`. It must be of this machine
    /// ([`provenance_host::config::address::Listen::is_local`]).
    pub(crate) async fn serve_http(self, listener: Listener, end: impl Future<Output = ()>) {
        let limit = self.limit;
        // A connection may begin a question as late as its lifetime allows.
        let max_lifetime = limit.saturating_add(Duration::from_secs(60));
        let response_timeout = limit.saturating_add(Duration::from_secs(5));
        let limits = Limits {
            connections: CONNECTIONS,
            read_timeout: READ_TIMEOUT,
            max_lifetime,
            response_timeout,
        };
        let config = config(&listener);
        let ending = config.cancellation_token.clone();
        let served = self.clone();
        let mcp = StreamableHttpService::new(
            move || Ok(served.clone()),
            NeverSessionManager::default().into(),
            config,
        );
        let door = Door { mcp, server: self };
        let end = async move {
            end.await;
            // Nobody waits for what is still being worked on.
            ending.cancel();
        };
        server::serve(listener, limits, move |request| door.clone().answer(request), end).await;
    }
}

/// Without sessions in memory, and held against DNS rebinding: a page can make
/// a browser ask under its own name, and not under ours.
fn config(listener: &Listener) -> StreamableHttpServerConfig {
    let names: Vec<String> = match listener.address() {
        // The names by which clients on this machine call it.
        Some(address) => [address.to_string(), format!("localhost:{}", address.port())].into(),
        // No browser opens a socket file. Where ssh forwards a port to it, one could.
        None => ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into(),
    };
    let origins: Vec<String> = match listener.address() {
        Some(_) => names.iter().map(|name| format!("http://{name}")).collect(),
        None => vec![],
    };
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_allowed_hosts(names)
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_max_request_body_bytes(MAX_LINE)
}

impl Door {
    async fn answer(self, request: Request<Incoming>) -> Reply {
        if request.uri().path() != PATH {
            return text(StatusCode::NOT_FOUND, "not found");
        }
        if request.method() != Method::POST {
            // Nothing is said here unasked, and no session is kept.
            let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "POST only");
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return reply;
        }
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MAX_LINE).collect();
        let body = match tokio::time::timeout(READ_TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "too long, or not whole"),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the request did not come"),
        };
        let after = after(&parts, &body);
        let request = Request::from_parts(parts, Full::new(body));
        let mut reply = self.mcp.handle(request).await;
        match after {
            Some(After::Named) if reply.status() == StatusCode::OK => {
                if let Some(name) = session() {
                    reply.headers_mut().insert(SESSION, name);
                }
            }
            // Only what was let in by the library cancels anything.
            Some(After::Cancelled(session, id)) if reply.status() == StatusCode::ACCEPTED => {
                self.server.flights.cancel(&session, id);
            }
            _ => {}
        }
        reply
    }
}

/// What follows a reply.
enum After {
    /// The client gets a name by which it can cancel.
    Named,
    Cancelled(String, RequestId),
}

/// What the library does not do for requests that are served by themselves.
fn after(parts: &Parts, body: &[u8]) -> Option<After> {
    let glance: Glance = serde_json::from_slice(body).ok()?;
    match glance.method?.as_str() {
        "initialize" => Some(After::Named),
        "notifications/cancelled" => {
            let session = parts.headers.get(SESSION)?.to_str().ok()?.to_owned();
            Some(After::Cancelled(session, glance.params?.request_id?))
        }
        _ => None,
    }
}

/// A name that nobody guesses.
fn session() -> Option<HeaderValue> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    HeaderValue::from_str(&to_hex(&bytes)).ok()
}

fn text(status: StatusCode, words: &'static str) -> Reply {
    let mut reply = Response::new(Full::from(words).boxed());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    reply
}
