//! The settings under `[api]`.

use std::{os::unix::ffi::OsStrExt as _, path::PathBuf};

use provenance_core::encoding::{file_uri, json::Value};
use serde::{Deserialize, Serialize};

use super::{address::Listen, sources::Wrong};

/// Where packages and certificates can be asked for, and reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Api {
    pub listen: Listen,
    /// `credential:NAME` or a path: what lets somebody write; `None` nobody.
    pub token_file: Option<String>,
    /// Certificate chain and key of TLS.
    pub tls: Option<Tls>,
    /// So many connections there may be at once.
    pub max_connections: usize,
}

/// What a server shows of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// The certificate, and those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// `credential:NAME` or a path: its key, in PEM.
    pub key: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    listen: Option<String>,
    token_file: Option<String>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<String>,
    max_connections: usize,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: None,
            token_file: None,
            tls_certificate: None,
            tls_key: None,
            max_connections: 64,
        }
    }
}

impl File {
    pub(super) fn judge(self) -> Result<Option<Api>, Wrong> {
        let tls = match (self.tls_certificate, self.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            _ => return Err(("tls_key", "set both, tls_certificate and tls_key".into())),
        };
        let Some(text) = self.listen else {
            return match (self.token_file, tls) {
                (None, None) => Ok(None),
                _ => Err(("token_file", "there is no api.listen that it is for".into())),
            };
        };
        let listen: Listen = text.parse().map_err(|_| {
            ("listen", "\"127.0.0.1:8470\" or \"unix:/run/msp-provenance/api.sock\"".into())
        })?;
        if matches!(listen, Listen::Tcp(_)) && tls.is_none() && self.token_file.is_some() {
            let message = "a token is sent over TLS or a Unix socket only: set tls_certificate and \
                           tls_key, listen = \"unix:…\", or leave it out to answer readers only";
            return Err(("token_file", message.into()));
        }
        if matches!(listen, Listen::Unix(_)) && tls.is_some() {
            return Err(("tls_certificate", "a Unix socket needs no TLS".into()));
        }
        if !(1..=4_096).contains(&self.max_connections) {
            return Err(("max_connections", "1 to 4096".into()));
        }
        let (token_file, max_connections) = (self.token_file, self.max_connections);
        Ok(Some(Api { listen, token_file, tls, max_connections }))
    }
}

impl Api {
    pub(super) fn to_value(&self) -> Value {
        let certificate = |tls: &Tls| file_uri::encode(tls.certificate.as_os_str().as_bytes());
        Value::object([
            ("listen", self.listen.to_string().into()),
            ("max_connections", (self.max_connections as u64).into()),
        ])
        .with_some("token_file", self.token_file.as_deref())
        .with_some("tls_certificate", self.tls.as_ref().map(certificate))
        .with_some("tls_key", self.tls.as_ref().map(|tls| tls.key.as_str()))
    }
}
