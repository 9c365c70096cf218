//! msp-provenance.
