//! Packages, builds and inventories, and what others attest of them.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod packages;
mod sbom;
mod verify_package;
mod verify_store;
