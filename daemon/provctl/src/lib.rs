//! The auditor's program: its command line and its MCP server. It reads only:
//! no crate it depends on holds a key or writes a chain or a registry.
#![forbid(unsafe_code)]

pub mod cli;
pub mod mcp;
