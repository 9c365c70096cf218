//! Certificates by a local authority, the chronicle of packages, and their
//! HTTP API, with openssl and other clients as peers.
#![cfg(test)]

mod api;
mod certificates;
mod flow;
#[path = "../peers/mod.rs"]
mod peers;
#[path = "../tls/mod.rs"]
mod tls;
mod world;
