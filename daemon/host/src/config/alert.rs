//! The settings under `[alert]`.

use provenance_core::encoding::json::Value;
use serde::{Deserialize, Serialize};

/// Who is told, and from when on a disk is nearly full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// Where alerts are sent to; `None` records them only.
    pub webhook: Option<Webhook>,
    /// Less room than this, in percent, is an alert; 0 for none.
    pub disk_low_percent: u8,
}

/// A receiver of alerts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// `https://…`, or `http://` on this machine.
    pub url: String,
    /// `credential:NAME` or a path.
    pub secret_file: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) webhook: Option<String>,
    pub(super) secret_file: Option<String>,
    pub(super) disk_low_percent: u8,
}

impl Default for File {
    fn default() -> Self {
        Self { webhook: None, secret_file: None, disk_low_percent: 10 }
    }
}

/// What is wrong: the key and why.
type Wrong = (&'static str, String);

impl File {
    pub(super) fn judge(self) -> Result<Alert, Wrong> {
        if self.disk_low_percent > 90 {
            return Err(("disk_low_percent", "0 to 90; 0 for no alert".into()));
        }
        let webhook = match (self.webhook, self.secret_file) {
            (None, None) => None,
            (Some(url), Some(secret_file)) => {
                super::url::validate(&url).map_err(|message| ("webhook", message.into()))?;
                Some(Webhook { url, secret_file })
            }
            (Some(_), None) => {
                let message = "a webhook is signed: set secret_file to the file with its secret";
                return Err(("webhook", message.into()));
            }
            (None, Some(_)) => {
                return Err(("secret_file", "there is no webhook that it would sign".into()));
            }
        };
        Ok(Alert { webhook, disk_low_percent: self.disk_low_percent })
    }
}

impl Alert {
    pub(super) fn to_value(&self) -> Value {
        let webhook = self.webhook.as_ref();
        Value::object([("disk_low_percent", u32::from(self.disk_low_percent).into())])
            .with_some("webhook", webhook.map(|hook| hook.url.as_str()))
            .with_some("secret_file", webhook.map(|hook| hook.secret_file.as_str()))
    }
}
