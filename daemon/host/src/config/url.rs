//! Addresses that the settings name.

use std::net::IpAddr;

use url::Url;

/// Validates an address of the settings. What is sent names the client's
/// evidence and crosses the network: encrypted, or not at all. On the machine
/// itself there is nobody on the way.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn validate(url: &str) -> Result<(), &'static str> {
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
