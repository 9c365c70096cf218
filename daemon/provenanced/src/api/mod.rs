//! The HTTP API of certificates and packages (docs/certificates.md): whoever
//! reaches it reads; who has the token writes, over TLS or a Unix socket.
//!
//! Trust: who has the token can put events and certificates on record, under
//! the name of this appliance, and can change nothing that is there. The
//! authority's key stays in this process.

mod requests;
mod response;
mod routes;
mod state;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use hyper::{Request, body::Incoming};
use provenance_core::encoding::{digest::Digest, time::Timestamp};
use provenance_host::{
    config::{Api, Config, Tls},
    durable,
    secret::{self, Named},
    state_dir::StateDir,
};
use provenance_http::{
    listener,
    server::{self, Limits},
};
use tokio_rustls::rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tower_service::Service as _;

use crate::{error::ServiceError, ledger::Ledger, sd_notify, state_lock::lock};
use state::{AppState, READ_TIMEOUT};

/// Who may connect to the socket file: owner and group.
const SOCKET_MODE: u32 = 0o660;
/// The disk may take so long.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection makes room for others after this time.
const MAX_LIFETIME: Duration = Duration::from_secs(60);
/// A certificate chain is at most this long.
const MAX_CHAIN: u64 = 256 << 10;
/// A token has at least so many characters: it can be tried over the network.
const MIN_TOKEN: usize = 24;

/// Answers until `end`.
///
/// # Errors
/// [`ServiceError`]: another is at it, a secret is missing, or the address
/// cannot be listened at.
pub(crate) async fn run(
    settings: &Api,
    config: &Config,
    evidence: Ledger,
    now: impl Fn() -> Timestamp + Send + Sync + 'static,
    end: impl Future<Output = ()>,
) -> Result<(), ServiceError> {
    let state = StateDir::new(&config.state_dir);
    let _lock = lock(&state, "api.lock")?;
    let token = settings.token_file.as_deref().map(token).transpose()?;
    let tls = settings.tls.as_ref().map(tls).transpose()?;
    server::make_room(settings.max_connections);
    let what = format!("cannot listen at {}", settings.listen);
    let listener = listener::bind(&settings.listen, Some(SOCKET_MODE)).await;
    let listener = listener.map_err(ServiceError::io(what))?.with_tls(tls);
    match listener.address() {
        Some(address) => tracing::info!("answers at {address}"),
        None => tracing::info!("answers at {}", settings.listen),
    }
    let shared = Arc::new(AppState {
        config: config.clone(),
        state,
        evidence: Mutex::new(evidence),
        known: Mutex::default(),
        now: Box::new(now),
        token,
        private: listener.is_private(),
    });
    let router = routes::router(shared);
    let answer = move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move { router.call(request.map(Body::new)).await.unwrap_or_else(|never| match never {}) }
    };
    let connections = settings.max_connections;
    let limits = Limits {
        connections,
        read_timeout: READ_TIMEOUT,
        max_lifetime: MAX_LIFETIME,
        response_timeout: RESPONSE_TIMEOUT,
    };
    sd_notify::ready();
    server::serve(listener, limits, answer, end).await;
    sd_notify::stopping();
    Ok(())
}

fn token(place: &str) -> Result<Digest, ServiceError> {
    let named = Named { what: "token", setting: "api.token_file" };
    let (bytes, path) =
        secret::read(named, place).map_err(|error| ServiceError::Signer(error.into()))?;
    let token = bytes.trim_ascii();
    let plain = token.iter().all(u8::is_ascii_graphic);
    if token.len() < MIN_TOKEN || !plain {
        return Err(ServiceError::Request(format!(
            "{}: a token has {MIN_TOKEN} or more printable characters: `openssl rand -hex 32` \
             makes one",
            path.display()
        )));
    }
    Ok(Digest::sha256(token))
}

fn tls(settings: &Tls) -> Result<Arc<ServerConfig>, ServiceError> {
    let path = &settings.certificate;
    let bytes = durable::read_limited(path, MAX_CHAIN)
        .map_err(ServiceError::io(format!("cannot read {}", path.display())))?;
    let unfit = |what: String| ServiceError::Request(what);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| unfit(format!("{}: {error}", path.display())))?;
    let named = Named { what: "TLS key", setting: "api.tls_key" };
    let (key, path) =
        secret::read(named, &settings.key).map_err(|error| ServiceError::Signer(error.into()))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| unfit(format!("{} is no private key in PEM", path.display())))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    config.map(Arc::new).map_err(|error| unfit(format!("api.tls_certificate: {error}")))
}
