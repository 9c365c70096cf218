//! What is sent: an alert's record as a Standard Webhooks payload.

use provenance_core::{
    encoding::{json::Value, time::Timestamp},
    record::alert::Alert,
};

/// A message is at most this long: a record's strings, and room.
pub const MAX_MESSAGE_FILE: u64 = 128 << 10;

/// A message: its id, and the body as it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The same at each attempt, so that a receiver sees it once.
    pub id: String,
    pub body: Vec<u8>,
}

impl Message {
    /// The message of an alert's record. `registry` is the record's number;
    /// `None` where it could not be written yet.
    pub(crate) fn new(
        client: &str,
        host: &str,
        alert: &Alert,
        time: Timestamp,
        registry: Option<u64>,
    ) -> Self {
        let id = format!("{}-{}", alert.id, alert.state());
        let data = alert
            .to_value()
            .with("client", client)
            .with("host", host)
            .with_some("registry_seq", registry);
        let kind = format!("provenance.alert.{}", alert.state());
        let body = Value::object([
            ("id", id.as_str().into()),
            ("type", kind.into()),
            ("timestamp", time.into()),
            ("data", data),
        ]);
        Self { id, body: body.encode() }
    }

    /// A message as its body holds it; `None` where that is none.
    pub(crate) fn parse(body: Vec<u8>) -> Option<Self> {
        let value = Value::parse(&body).ok()?;
        let id = value.get("id")?.as_str()?;
        // It becomes a header.
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = !id.is_empty() && id.len() <= 64 && id.bytes().all(plain);
        fits.then(|| Self { id: id.into(), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use provenance_core::{encoding::digest::Digest, report::Severity};

    #[test]
    fn a_message_is_what_the_page_says_and_reads_back() {
        let t = Timestamp::from_nanos(5);
        let alert = Alert {
            id: "0123456789abcdef0123456789abcdef".into(),
            code: "log.shrunk".into(),
            subject: "file:/var/log/a".into(),
            severity: Severity::Warning,
            message: "m \"quoted\"".into(),
            since: t,
            until: Some(t),
            seq: 4,
            hash: Digest::ZERO,
        };
        let message = Message::new("c", "h", &alert, t, Some(7));
        let value: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(value["id"], "0123456789abcdef0123456789abcdef-resolved");
        assert_eq!(value["type"], "provenance.alert.resolved");
        assert_eq!((&value["data"]["registry_seq"], &value["data"]["seq"]), (&7.into(), &4.into()));
        assert_eq!((&value["data"]["client"], &value["data"]["host"]), (&"c".into(), &"h".into()));
        assert_eq!(Message::parse(message.body.clone()), Some(message));
        for bad in
            ["", "{}", "[]", "{\"id\":\"a\\nb\"}", "{\"id\":\"\"}", "{\"id\":7}", "{\"id\": \"a\"}"]
        {
            assert_eq!(Message::parse(bad.into()), None, "{bad}");
        }
    }
}
