//! How much a finding weighs.

/// What a finding does to the verdict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Nothing: a fact worth knowing.
    Info,
    /// Nothing: the record is intact, but what it records is not in order.
    Warning,
    /// The verdict is `failed`.
    Error,
}

impl Severity {
    /// `info`, `warning` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
