//! Formats and verification of msp-provenance.
//!
//! Everything an auditor's verdict rests on is in this crate: the canonical
//! encoding, the record and its chain, the agreement rule for clocks, Merkle
//! proofs, signed notes, statements and the findings of a verification. It
//! has no I/O, no clock and no global state; `no_std` makes the compiler hold
//! that. `docs/format.md` states the same in prose with numbered steps.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod bitcoin;
pub mod encoding;
pub mod journal_export;
pub mod merkle;
pub mod nix;
pub mod opentimestamps;
pub mod packet;
pub mod record;
pub mod registry;
pub mod report;
pub mod signing;
pub mod statement;
pub mod verify;
