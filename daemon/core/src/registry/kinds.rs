//! The names of kinds.

/// The kinds that the format names; a record of any other is from a later
/// version.
pub const KINDS: [&str; 18] = [
    "alert",
    "anchor",
    "batch",
    "bundle",
    "expire",
    "export",
    "genesis",
    "head",
    "key",
    "packet",
    "review",
    "sbom",
    "segment",
    "store",
    "verify",
    "certificate",
    "package",
    "countersign",
];
