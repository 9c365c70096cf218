//! Certificates by a local authority, the chronicle of packages, and their
//! HTTP API, with openssl and other clients as peers.

mod api;
mod certificates;
mod flow;
mod harness;

use crate::common::{peers, tls};
