//! The project itself: documentation, command line, modules, releases, architecture.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod cli;
mod docs;
mod house;
mod nix;
mod release;
