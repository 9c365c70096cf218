//! Anchors in Bitcoin, by a wallet and by calendars, on a real node.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod anchor;
mod calendar;
mod node;
mod proofs;
