//! The settings under `[aggregate]`.

use std::net::SocketAddr;

use provenance_core::{encoding::json::Value, opentimestamps};
use serde::{Deserialize, Serialize};

use super::sources::Wrong;

/// How others' digests are taken and anchored with the registry's root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aggregate {
    /// Where submissions are taken.
    pub listen: SocketAddr,
    /// How clients reach it; promises name it.
    pub url: String,
    /// So long a submission waits for others at most, in milliseconds.
    pub batch_ms: u64,
    /// So many connections there may be at once.
    pub max_connections: usize,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    listen: Option<SocketAddr>,
    url: Option<String>,
    batch_ms: u64,
    max_connections: usize,
}

impl Default for File {
    fn default() -> Self {
        Self { listen: None, url: None, batch_ms: 500, max_connections: 512 }
    }
}

impl File {
    /// `by_calendars`: where others anchor our own root.
    pub(super) fn judge(self, by_calendars: bool) -> Result<Option<Aggregate>, Wrong> {
        let (listen, url) = match (self.listen, self.url) {
            (None, None) => return Ok(None),
            (Some(listen), Some(url)) => (listen, url),
            (Some(_), None) => {
                let message = "promises name the address that clients reach: set aggregate.url";
                return Err(("listen", message.into()));
            }
            (None, Some(_)) => return Err(("url", "set aggregate.listen too".into())),
        };
        // What it promises it keeps by a transaction of its own.
        if by_calendars {
            let message =
                "a calendar anchors by a node of its own: not with anchor.via = \"calendar\"";
            return Err(("listen", message.into()));
        }
        let named = ["http://", "https://"].iter().any(|scheme| {
            url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        });
        if !named || !opentimestamps::is_uri(&url) {
            let message = "\"https://calendar.example.org\": letters, digits and - . _ / : only";
            return Err(("url", message.into()));
        }
        // Clients give up after 5 seconds.
        if !(1..=2_000).contains(&self.batch_ms) {
            return Err(("batch_ms", "1 to 2000".into()));
        }
        if !(1..=opentimestamps::MAX_LEAVES).contains(&self.max_connections) {
            return Err(("max_connections", format!("1 to {}", opentimestamps::MAX_LEAVES)));
        }
        let Self { batch_ms, max_connections, .. } = self;
        Ok(Some(Aggregate { listen, url, batch_ms, max_connections }))
    }
}

impl Aggregate {
    pub(super) fn to_value(&self) -> Value {
        Value::object([
            ("batch_ms", self.batch_ms.into()),
            ("listen", self.listen.to_string().into()),
            ("max_connections", (self.max_connections as u64).into()),
            ("url", self.url.as_str().into()),
        ])
    }
}
