//! Where the time comes from: each source is asked by a module of its own, and
//! says what it says as a [`provenance_core::clock::Source`].

pub mod chrony;
