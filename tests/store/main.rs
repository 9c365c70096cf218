//! Copies in WORM storage: a folder, and the bucket of a real Ceph RGW.
#![cfg(test)]

#[path = "../peers/mod.rs"]
mod peers;

mod bucket;
mod folder;
mod liar;
mod world;
