//! Limits of reading a state folder beside its daemon.

use std::time::Duration;

/// How long a write that was met half-way may take, five times over.
pub(crate) const REREAD_DELAY: Duration = Duration::from_millis(50);
