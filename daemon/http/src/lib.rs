//! HTTP for msp-provenance: a listener and a server bounded in connections, heads
//! and time, and a client that follows no redirect and uses no proxy.
#![forbid(unsafe_code)]

pub mod client;
pub mod listener;
pub mod server;
