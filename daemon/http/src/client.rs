//! Clients of HTTP servers that the settings name, all under one rule: an end
//! to each attempt, no redirections, no proxies, encrypted where the address
//! says so.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up, for one because the machine has no certificates.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The certificates to trust cannot be read.
    #[error(
        "no certificates in PEM: write the CA's, from -----BEGIN CERTIFICATE----- on{}",
        .0.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
    )]
    Certificates(Option<String>),
    /// The client itself.
    #[error(transparent)]
    Build(#[from] reqwest::Error),
}

/// A client whose attempts end within `timeout`; an `encrypted` one speaks
/// HTTPS only.
///
/// # Errors
/// [`ClientError`].
pub fn client(encrypted: bool, timeout: Duration) -> Result<Client, ClientError> {
    let trusted = if encrypted { Trusted::Machine } else { Trusted::Nobody };
    let builder = builder(trusted)?.connect_timeout(CONNECT_TIMEOUT).timeout(timeout);
    Ok(builder.pool_max_idle_per_host(0).build()?)
}

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug)]
pub enum Trusted<'a> {
    /// Those of the machine's store (`SSL_CERT_FILE` names another).
    Machine,
    /// Those that these vouch for, in PEM.
    These(&'a [u8]),
    /// Nobody's: nothing is to be encrypted, and a machine without a store will
    /// do.
    Nobody,
}

/// A client under the rule but for its timeouts, which are still to be set. One
/// that trusts somebody speaks HTTPS only.
///
/// # Errors
/// [`ClientError`].
pub fn builder(trusted: Trusted<'_>) -> Result<ClientBuilder, ClientError> {
    let tls = tls(trusted)?;
    Ok(Client::builder()
        .redirect(Policy::none())
        // What is sent goes where the settings say, and nowhere else.
        .no_proxy()
        .user_agent(concat!("provenanced/", env!("CARGO_PKG_VERSION")))
        .https_only(!matches!(trusted, Trusted::Nobody))
        .tls_backend_preconfigured(tls))
}

/// What went wrong, with its causes, and without the address: it may hold what
/// is nobody's business.
pub fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

fn tls(trusted: Trusted<'_>) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match trusted {
        Trusted::Machine => config.with_platform_verifier()?,
        Trusted::These(pem) => config.with_root_certificates(roots(pem)?),
        Trusted::Nobody => config.with_root_certificates(RootCertStore::empty()),
    };
    Ok(config.with_no_client_auth())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| ClientError::Certificates(Some(error.to_string())))?;
        roots.add(certificate)?;
    }
    if roots.is_empty() { Err(ClientError::Certificates(None)) } else { Ok(roots) }
}
