//! Alerts on their way out: signed by Standard Webhooks
//! (https://www.standardwebhooks.com), kept in a durable outbox until the
//! receiver has them.
//!
//! Trust: the receiver is asked for nothing but a status; what else it answers
//! is not read. Who reads the secret can send alerts that look like ours.

mod backoff;
mod client;
pub(super) mod message;
mod secret;

pub use super::outbox::{MAX_FILES, Outbox, Placement, Progress};
pub use backoff::{MAX_BACKOFF, delay};
pub use client::{DeliveryOutcome, Webhook};
pub use message::{MAX_MESSAGE_FILE, Message};
pub use secret::Secret;

use provenance_host::secret::SecretError;

/// Why alerts cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What was read is no secret.
    #[error(
        "the webhook secret {0} is not of the form whsec_ and base64 of 24 to 64 bytes: write \
         the receiver's secret into it, or make one with `echo whsec_$(openssl rand -base64 32)`"
    )]
    Form(std::path::PathBuf),
    /// TLS could not be set up.
    #[error("no connection to the webhook can be made: {0}")]
    Client(String),
    /// The outbox could not be read or written.
    #[error("the outbox: {0}")]
    Outbox(#[from] std::io::Error),
}
