//! Formats and verification of msp-provenance.
//!
//! Everything an auditor's verdict rests on is in this crate: the canonical
//! encoding, the record and its chain, the agreement rule for clocks, Merkle
//! proofs, signed notes, statements and the findings of a verification. It
//! has no I/O, no clock and no global state; `no_std` makes the compiler hold
//! that. `docs/format.md` states the same in prose with numbered steps.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod alert;
pub mod anchor;
pub mod bundle;
pub mod canon;
pub mod chain;
pub mod clock;
pub mod codes;
pub mod copies;
pub mod countersign;
pub mod coverage;
pub mod digest;
pub mod dsse;
pub mod export;
pub mod intoto;
pub mod key;
pub mod logs;
pub mod merkle;
pub mod nix;
pub mod note;
pub mod ots;
pub mod packet;
pub mod path;
pub mod proof;
pub mod publication;
pub mod record;
pub mod registry;
pub mod report;
pub mod scan;
pub mod sigstore;
pub mod slsa;
pub mod statement;
pub mod time;
pub mod verify;
