//! A packet's files, read in order.

use provenance_core::packet::Manifest;

use crate::{Progress, Source, Trust, packet::archive::Archive};

/// A packet, and what lies beside it.
pub struct Packet<'a> {
    /// Its bytes.
    pub source: &'a dyn Source,
    /// What the proof beside it is called, or would be.
    pub proof_name: &'a str,
    /// The proof that its export is on record.
    pub proof: Option<&'a [u8]>,
}

pub(crate) struct Walk<'a> {
    pub(crate) archive: Archive<'a>,
    pub(crate) manifest: Manifest,
    pub(crate) trust: &'a Trust,
    /// Which files have been read.
    pub(crate) seen: Vec<bool>,
    pub(crate) progress: Progress<'a>,
    pub(crate) records: u64,
}
