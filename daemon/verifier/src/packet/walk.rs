//! A packet's files, read in order.

use crate::Progress;
use crate::Source;
use crate::Trust;
use crate::packet::archive::Archive;
use provenance_core::packet::Manifest;

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
