//! Which request does what.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use provenance_core::{
    encoding::{digest::Digest, json::Value},
    registry::package::{is_package, is_version},
};
use provenance_registry::{
    Reader,
    package_index::{self, CertificateState, IncrementalIndex, Version},
};
use serde::de::DeserializeOwned;

use super::{
    requests::{Event, Issue, Register, Revoke, SetStatus},
    response::{ApiError, ApiResponse, Outcome},
    state::{AppState, READ_TIMEOUT},
};
use crate::{
    certificates::{Authority, to_pem},
    ledger::Ledger,
    package_registry::{Chronicle, RecordedEvent},
};

/// A request's body is at most this long.
const MAX_BODY: usize = 64 << 10;
/// An answer lists so many at most; the next page begins behind the last.
const MAX_LISTED: usize = 1_000;
/// A package's name is no longer.
const MAX_AFTER: usize = 214;

/// What the API is, for programs.
const OPENAPI: &str = include_str!("openapi.json");

type SharedState = State<Arc<AppState>>;

pub(super) fn router(shared: Arc<AppState>) -> Router {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/v1/certificates/issue", post(issue))
        .route("/v1/certificates/verify/{id}", get(verify))
        .route("/v1/certificates/package/{*name}", get(of_package))
        .route("/v1/certificates/{id}", get(certificate))
        .route("/v1/certificates/{id}/revoke", post(revoke))
        .route("/chronicle/events", post(report))
        .route("/chronicle/events/{id}", get(event))
        .route("/chronicle/packages/{*rest}", get(events))
        .route("/registry/api/packages/register", post(register))
        .route("/registry/packages", get(packages))
        .route("/registry/packages/{*rest}", get(package).put(set_status))
        .fallback(async || ApiError::Missing("there is no such address: see /openapi.json"))
        .method_not_allowed_fallback(not_allowed)
        .with_state(shared)
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn not_allowed(request: Request) -> impl IntoResponse {
    let body = Value::object([("error", "not with this method: see /openapi.json".into())]);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // One route of the router's has what are two to a client.
    if let Some(rest) = request.uri().path().strip_prefix("/registry/packages/") {
        let status = rest.strip_suffix("/status").is_some_and(|rest| rest.contains('/'));
        let allowed = HeaderValue::from_static(if status { "PUT" } else { "GET,HEAD" });
        headers.insert(header::ALLOW, allowed);
    }
    (StatusCode::METHOD_NOT_ALLOWED, headers, body.encode())
}

async fn issue(State(us): SharedState, request: Request) -> Outcome {
    write(us, request, |us, evidence, body: Issue| {
        let request = body.request()?;
        let authority = Authority::open(&us.config, &us.state)?;
        let (seq, issued) = authority.issue(evidence, (us.now)(), &request)?;
        Ok(ApiResponse::created(&described(&CertificateState { issued, seq, revoked: None })?))
    })
    .await
}

async fn revoke(State(us): SharedState, Path(id): Path<String>, request: Request) -> Outcome {
    write(us, request, move |us, evidence, body: Revoke| {
        us.known(&evidence.reader()?, |all| known(all, &id))?;
        let authority = Authority::open(&us.config, &us.state)?;
        authority.revoke(evidence, (us.now)(), &id, (&body.by, &body.reason))?;
        let revoked = us.known(&evidence.reader()?, |all| known(all, &id))?;
        Ok(ApiResponse::ok(&described(&revoked)?))
    })
    .await
}

async fn certificate(State(us): SharedState, Path(id): Path<String>) -> Outcome {
    read(us, move |_, _, all| Ok(ApiResponse::ok(&described(&known(all, &id)?)?))).await
}

async fn verify(State(us): SharedState, Path(id): Path<String>) -> Outcome {
    read(us, move |us, _, all| {
        let CertificateState { issued, seq, revoked } = known(all, &id)?;
        let now = (us.now)();
        let state = match &revoked {
            Some(_) => "revoked",
            None if now < issued.not_before => "not_yet_valid",
            None if now > issued.not_after => "expired",
            None => "valid",
        };
        let value = Value::object([
            ("id", id.into()),
            ("state", state.into()),
            ("time", now.into()),
            ("registry_record", seq.into()),
            ("registry_size", all.size().into()),
            ("sha256", issued.sha256.into()),
        ]);
        Ok(ApiResponse::ok(&value.with_some("revoked_with", revoked.map(|revoked| revoked.seq))))
    })
    .await
}

async fn of_package(State(us): SharedState, Path(name): Path<String>) -> Outcome {
    read(us, move |_, _, all| {
        if !is_package(&name) {
            return Err(ApiError::Missing("no package is called so"));
        }
        let of = all.certificates().iter().filter(|known| known.issued.name == name);
        let all: Result<Vec<Value>, ApiError> = of.take(MAX_LISTED).map(described).collect();
        Ok(ApiResponse::ok(&Value::object([("certificates", all?.into())])))
    })
    .await
}

async fn report(State(us): SharedState, request: Request) -> Outcome {
    write(us, request, |us, evidence, body: Event| record(us, evidence, body.report()?)).await
}

async fn register(State(us): SharedState, request: Request) -> Outcome {
    write(us, request, |us, evidence, body: Register| record(us, evidence, body.report())).await
}

async fn set_status(State(us): SharedState, Path(rest): Path<String>, request: Request) -> Outcome {
    write(us, request, move |us, evidence, body: SetStatus| {
        let rest = rest.strip_suffix("/status").ok_or(ApiError::Missing("PUT …/status"))?;
        let (package, version) = split(rest)?;
        let version = version.ok_or(ApiError::Missing("which version?"))?;
        record(us, evidence, body.report(package, version)?)
    })
    .await
}

fn record(
    us: &AppState,
    evidence: &mut Ledger,
    report: crate::package_registry::Report,
) -> Outcome {
    let chronicle = Chronicle::open(&us.state)?;
    let mut known = us.known.lock().unwrap_or_else(PoisonError::into_inner);
    let recorded = chronicle.record(evidence, &mut known, (us.now)(), report)?;
    let RecordedEvent { entry, seq, status, before } = recorded;
    let value = entry.to_value().with("registry_record", seq).with("status", status.as_str());
    Ok(if before { ApiResponse::ok(&value) } else { ApiResponse::created(&value) })
}

async fn event(State(us): SharedState, Path(id): Path<String>) -> Outcome {
    read(us, move |_, reader, all| {
        let found = all.event(&id).map(|seq| package_index::event(reader, seq)).transpose()?;
        let unknown = ApiError::Missing("no event has this id");
        found.flatten().map(|event| ApiResponse::ok(&happened(&event))).ok_or(unknown)
    })
    .await
}

async fn events(
    State(us): SharedState,
    Path(rest): Path<String>,
    RawQuery(query): RawQuery,
) -> Outcome {
    read(us, move |_, reader, all| {
        let package = rest.strip_suffix("/events").ok_or(ApiError::Missing("GET …/events"))?;
        if !is_package(package) {
            return Err(ApiError::Missing("no package is called so"));
        }
        let page = Page::read(query.as_deref())?;
        let from = match &page.after {
            Some(after) => after.parse::<u64>().ok().and_then(|after| after.checked_add(1)),
            None => Some(0),
        };
        let from = from.ok_or_else(|| ApiError::Bad("after: a registry record's number".into()))?;
        let behind = all.events(package, from);
        let here = behind.get(..behind.len().min(page.limit)).unwrap_or_default();
        let mut found = vec![];
        for seq in here {
            found.extend(package_index::event(reader, *seq)?.iter().map(happened));
        }
        let next = here.last().copied().filter(|_| here.len() == page.limit);
        let value = Value::object([("events", found.into())]).with_some("next_after", next);
        Ok(ApiResponse::ok(&value))
    })
    .await
}

async fn packages(State(us): SharedState, RawQuery(query): RawQuery) -> Outcome {
    read(us, move |_, _, all| {
        let page = Page::read(query.as_deref())?;
        let after = page.after.unwrap_or_default();
        if after.len() > MAX_AFTER {
            return Err(ApiError::Bad("after: a package's name".into()));
        }
        let behind = all.versions().since(&after).filter(|((name, _), _)| *name != after);
        let mut packages = BTreeMap::<&str, Vec<Value>>::new();
        for ((package, number), version) in behind {
            let first = !packages.contains_key(package.as_str());
            if first && packages.len() > page.limit {
                break;
            }
            packages.entry(package).or_default().push(described_version(number, version));
        }
        let more = packages.len() > page.limit;
        let last = packages.keys().nth(page.limit.saturating_sub(1)).copied().filter(|_| more);
        let listed = packages.into_iter().take(page.limit).map(|(name, versions)| {
            Value::object([("package", name.into()), ("versions", versions.into())])
        });
        let listed = Value::Array(listed.collect());
        Ok(ApiResponse::ok(&Value::object([("packages", listed)]).with_some("next_after", last)))
    })
    .await
}

async fn package(State(us): SharedState, Path(rest): Path<String>) -> Outcome {
    read(us, move |_, _, all| {
        let (package, wanted) = split(&rest)?;
        let unknown = ApiError::Missing("no such package or version is on record");
        let of = all.versions().of(&package);
        let mut of = of.filter(|(number, _)| wanted.as_deref().is_none_or(|it| it == *number));
        if wanted.is_some() {
            let (number, version) = of.next().ok_or(unknown)?;
            let value = described_version(number, version).with("package", package.as_str());
            return Ok(ApiResponse::ok(&value));
        }
        let of: Vec<Value> =
            of.map(|(number, version)| described_version(number, version)).collect();
        if of.is_empty() {
            return Err(unknown);
        }
        Ok(ApiResponse::ok(&Value::object([
            ("package", package.as_str().into()),
            ("versions", of.into()),
        ])))
    })
    .await
}

/// `name`, `@scope/name`, each with or without `/version`.
fn split(rest: &str) -> Result<(String, Option<String>), ApiError> {
    let unknown = ApiError::Missing("no package or version is called so");
    if is_package(rest) {
        return Ok((rest.into(), None));
    }
    match rest.rsplit_once('/') {
        Some((package, version)) if is_package(package) && is_version(version) => {
            Ok((package.into(), Some(version.into())))
        }
        _ => Err(unknown),
    }
}

fn known(all: &IncrementalIndex, id: &str) -> Result<CertificateState, ApiError> {
    all.certificates()
        .get(id)
        .cloned()
        .ok_or(ApiError::Missing("no certificate on record has this id"))
}

fn described(known: &CertificateState) -> Result<Value, ApiError> {
    Ok(known.to_value().with("pem", to_pem(&known.issued.der)?))
}

fn described_version(number: &str, version: &Version) -> Value {
    Value::object([
        ("version", number.into()),
        ("status", version.status.as_str().into()),
        ("registry_record", version.seq.into()),
        ("time", version.time.into()),
    ])
    .with_some("certificate", version.certificate.as_deref())
    .with_some("sha256", version.sha256)
}

fn happened(event: &package_index::Event) -> Value {
    let value = event.entry.to_value();
    value.with("registry_record", event.seq).with("time", event.time)
}

/// `?after=…&limit=…`
struct Page {
    after: Option<String>,
    limit: usize,
}

impl Page {
    fn read(query: Option<&str>) -> Result<Self, ApiError> {
        let (mut after, mut limit) = (None, None);
        for (name, value) in form(query.unwrap_or_default())? {
            match name.as_str() {
                "after" if after.is_none() => after = Some(value),
                "limit" if limit.is_none() => {
                    let given = value.parse().ok().filter(|n| (1..=MAX_LISTED).contains(n));
                    limit = Some(given.ok_or_else(|| ApiError::Bad("limit: 1 to 1000".into()))?);
                }
                _ => return Err(ApiError::Bad("only `after` and `limit`, each once".into())),
            }
        }
        Ok(Self { after, limit: limit.unwrap_or(100) })
    }
}

/// The pairs of a query, decoded.
fn form(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    let bad = || ApiError::Bad("a query of percent-encoded NAME=VALUE".into());
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| bad())
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(bad)?;
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Answers from the registry, beside the thread that serves everybody.
async fn read(
    us: Arc<AppState>,
    look: impl FnOnce(&AppState, &Reader, &IncrementalIndex) -> Outcome + Send + 'static,
) -> Outcome {
    blocking(move || {
        let reader = Reader::open(&us.state.registry())?;
        us.known(&reader, |all| look(&us, &reader, all))
    })
    .await
}

/// Does what a body asks, if whoever asks may: one after the other.
async fn write<B: DeserializeOwned + Send + 'static>(
    us: Arc<AppState>,
    request: Request,
    act: impl FnOnce(&AppState, &mut Ledger, B) -> Outcome + Send + 'static,
) -> Outcome {
    us.lets(&request)?;
    let body = body(request).await?;
    // A list of the values would be read as well.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::Bad("the body is an object of JSON".into()));
    }
    let body: B =
        serde_json::from_slice(&body).map_err(|error| ApiError::Bad(error.to_string()))?;
    blocking(move || {
        let mut evidence = us.evidence.lock().unwrap_or_else(PoisonError::into_inner);
        act(&us, &mut evidence, body)
    })
    .await
}

async fn body(request: Request) -> Result<Bytes, ApiError> {
    let body = to_bytes(request.into_body(), MAX_BODY);
    match tokio::time::timeout(READ_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(ApiError::Bad("the body is over 64 KiB, or did not come whole".into())),
        Err(_) => Err(ApiError::Bad("the body did not come in time".into())),
    }
}

async fn blocking(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(ApiError::Broken("a request's work ended early".into())))
}

impl AppState {
    /// Looks at what the registry says of certificates and packages now.
    fn known<T>(
        &self,
        reader: &Reader,
        look: impl FnOnce(&IncrementalIndex) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.catch_up(reader)?;
        look(&known)
    }

    /// Who has the token, where nobody on the way can read it.
    fn lets(&self, request: &Request) -> Result<(), ApiError> {
        let Some(token) = self.token else {
            return Err(ApiError::Forbidden("nobody may write here: api.token_file is not set"));
        };
        if !self.private {
            return Err(ApiError::Forbidden("writing takes TLS or a Unix socket"));
        }
        let given = request.headers().get(header::AUTHORIZATION);
        // The scheme's name is in either case (RFC 9110, section 11.1).
        let given = given.and_then(|value| value.to_str().ok()?.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
        match given.map(|(_, token)| token) {
            Some(given) if Digest::sha256(given.as_bytes()) == token => Ok(()),
            _ => Err(ApiError::Unauthorised),
        }
    }
}
