//! What an auditor finds: every manipulation, and nothing where nothing was changed.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod attack;
mod audit_journal;
mod audit_logs;
mod countersign;
mod harness;
mod verify_logs;
