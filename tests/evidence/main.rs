//! Evidence as others take it: statements by cosign, packets, the MCP server.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod cosign;
mod mcp;
mod packet;
