//! Where a server of ours listens.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

/// An address to listen at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listen {
    /// `127.0.0.1:9469`
    Tcp(SocketAddr),
    /// `unix:/run/msp-provenance/metrics.sock`
    Unix(PathBuf),
}

/// It is no address to listen at.
#[derive(Debug, thiserror::Error)]
#[error("\"127.0.0.1:9469\" or \"unix:/run/msp-provenance/metrics.sock\"")]
pub struct WrongListen;

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Listen {
    type Err = WrongListen;

    fn from_str(text: &str) -> Result<Self, WrongListen> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(WrongListen),
            None => text.parse().map(Self::Tcp).map_err(|_| WrongListen),
        }
    }
}

impl Listen {
    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike_and_only_loopback_is_local() {
        for (text, local) in [
            ("127.0.0.1:9469", true),
            ("127.9.9.9:1", true),
            ("[::1]:80", true),
            ("unix:/run/x.sock", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("192.0.2.1:80", false),
            ("[::ffff:127.0.0.1]:80", false),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.to_string().as_str(), listen.is_local()), (text, local));
        }
        for text in ["", "localhost:80", "127.0.0.1", "unix:", "unix:x.sock", "127.0.0.1:65536"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
