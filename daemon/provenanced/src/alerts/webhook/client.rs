//! One attempt to hand a message to the receiver.

use std::time::Duration;

use provenance_http::client;
use reqwest::{Client, StatusCode, Url, header};

use super::{AlertError, Message, Secret};

/// An attempt ends within this time, whatever the receiver does.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Webhook {
    client: Client,
    url: Url,
    secret: Secret,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeliveryOutcome {
    /// The receiver has it.
    Delivered,
    /// Not now; the receiver may have said when.
    Later(String, Option<Duration>),
    /// The receiver does not take this message, now or later.
    Refused(String),
    /// The receiver wants nothing any more (410).
    Gone,
}

impl Webhook {
    /// A receiver at `url`.
    ///
    /// # Errors
    /// [`AlertError::Client`].
    pub(crate) fn new(url: &str, secret: Secret) -> Result<Self, AlertError> {
        let failed = |error: &dyn std::fmt::Display| AlertError::Client(error.to_string());
        let url = Url::parse(url).map_err(|error| failed(&error))?;
        let encrypted = url.scheme() == "https";
        let client = client::client(encrypted, TIMEOUT)
            .map_err(|error| AlertError::Client(error.to_string()))?;
        Ok(Self { client, url, secret })
    }

    /// Sends a message at `now`, in seconds since 1970: the receiver may refuse
    /// what is old, so the time is this attempt's. Nothing but the answer's
    /// status and head is read.
    pub(crate) async fn send(&self, message: &Message, now: u64) -> DeliveryOutcome {
        let Some(signature) = self.secret.sign(&message.id, now, &message.body) else {
            return DeliveryOutcome::Later("it could not be signed".into(), None);
        };
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature)
            .body(message.body.clone());
        match request.send().await {
            Ok(answer) => {
                let after = answer.headers().get(header::RETRY_AFTER);
                let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
                evaluate_status(answer.status(), after.map(Duration::from_secs))
            }
            Err(error) => DeliveryOutcome::Later(client::causes(error), None),
        }
    }
}

/// What a status means (docs/operations.md, "Alerts").
fn evaluate_status(status: StatusCode, after: Option<Duration>) -> DeliveryOutcome {
    let said = || format!("the receiver answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => DeliveryOutcome::Delivered,
        410 => DeliveryOutcome::Gone,
        400 | 413 | 422 => DeliveryOutcome::Refused(said()),
        300..=399 => {
            DeliveryOutcome::Later(format!("{}: redirections are not followed", said()), None)
        }
        // All others may be over one day: a token is renewed, a path mended.
        _ => DeliveryOutcome::Later(said(), after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_judged_as_documented() {
        let evaluated = |status| evaluate_status(StatusCode::from_u16(status).unwrap(), None);
        assert_eq!(evaluated(200), DeliveryOutcome::Delivered);
        assert_eq!(evaluated(204), DeliveryOutcome::Delivered);
        assert_eq!(evaluated(410), DeliveryOutcome::Gone);
        for status in [400, 413, 422] {
            assert!(matches!(evaluated(status), DeliveryOutcome::Refused(_)), "{status}");
        }
        for status in [301, 308, 401, 403, 404, 408, 429, 500, 502, 503, 504] {
            assert!(matches!(evaluated(status), DeliveryOutcome::Later(..)), "{status}");
        }
    }
}
