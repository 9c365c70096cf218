//! Random bytes from the system.

use std::io;

use crate::error::ServiceError;

/// Fills `bytes` with bytes that cannot be guessed.
///
/// # Errors
/// [`ServiceError::Io`] where the system gives none.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), ServiceError> {
    getrandom::fill(bytes).map_err(|error| {
        ServiceError::io("the system gives no random bytes")(io::Error::other(error.to_string()))
    })
}
