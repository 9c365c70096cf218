//! An access key, and until when it is valid.

use std::fmt;

use provenance_core::encoding::time::Timestamp;
use zeroize::Zeroizing;

/// An access key. What is secret in it is never shown, and wiped when it is
/// dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: Zeroizing<String>,
    /// Of a key that somebody has for a while.
    pub(crate) token: Option<Zeroizing<String>>,
    /// When it runs out.
    pub(crate) expires: Option<Timestamp>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AccessKey {
    pub(crate) fn new(
        id: String,
        secret: String,
        token: Option<String>,
        expires: Option<Timestamp>,
    ) -> Self {
        Self { id, secret: Zeroizing::new(secret), token: token.map(Zeroizing::new), expires }
    }
}
