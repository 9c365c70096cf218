//! Clients of HTTP servers that the settings name, all under one rule: an end
//! to each attempt, no redirections, no proxies, encrypted where the address
//! says so.

use std::{net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Client, Url, redirect::Policy};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client whose attempts end within `timeout`; an `encrypted` one speaks
/// HTTPS only.
///
/// # Errors
/// Why there can be none, in words.
pub fn client(encrypted: bool, timeout: Duration) -> Result<Client, String> {
    let tls = tls(encrypted).map_err(|error| error.to_string())?;
    Client::builder()
        .redirect(Policy::none())
        // What is sent goes where the settings say, and nowhere else.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("provenanced/", env!("CARGO_PKG_VERSION")))
        .https_only(encrypted)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| error.to_string())
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

/// Judges an address of the settings. What is sent names the client's
/// evidence and crosses the network: encrypted, or not at all. On the machine
/// itself there is nobody on the way.
///
/// # Errors
/// What is wrong with it.
pub fn judge(url: &str) -> Result<(), &'static str> {
    const FORM: &str = "an https:// address, such as \"https://alerts.example.org/provenance\"";
    let url = Url::parse(url).map_err(|_| FORM)?;
    let host = url.host_str().ok_or(FORM)?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("no user, password or fragment: the settings are no place for a secret");
    }
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if here => Ok(()),
        "http" => Err("http:// only to this machine (127.0.0.1, [::1], localhost); use https://"),
        _ => Err(FORM),
    }
}

/// Certificates are judged by the machine's store (`SSL_CERT_FILE` names
/// another). Where nothing is to be encrypted nobody is trusted, and a machine
/// without a store will do.
fn tls(encrypted: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match encrypted {
        true => config.with_platform_verifier()?,
        false => config.with_root_certificates(RootCertStore::empty()),
    };
    Ok(config.with_no_client_auth())
}
