//! A Bitcoin node, asked by RPC. The crate's typed answers fail with some
//! nodes, so what is needed is read here, strictly and bounded.
//!
//! Trust: the node's blocks are its word; what was anchored in them is
//! verified by work (docs/threat-model.md). Its cookie changes at each start
//! and is read for each question.
#![forbid(unsafe_code)]

pub mod headers;
mod rpc;
pub mod time_source;

pub use rpc::{Node, NodeError};
