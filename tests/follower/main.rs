//! How logs and the journal are followed: growth, rotation, packing, every order of
//! events.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod harness;
mod journal;
mod logs;
mod logs_model;
mod logs_packed;
mod logs_rotation;
