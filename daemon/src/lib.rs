//! msp-provenance.

pub mod logs;
