//! What an auditor runs: read-only, no key.
fn main() {}
