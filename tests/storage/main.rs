//! Where records are kept: the registry's database, and stores of copies.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod registry_crash;
mod registry_worm;
mod store;
