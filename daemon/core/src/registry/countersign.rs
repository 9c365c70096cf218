//! The record of a counter-signature: all of what was signed, so that the
//! same key makes the same signature again from it.

use alloc::{boxed::Box, format, string::String};

use super::{EntryError, Members, wrong};
use crate::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    signing::public_key::PublicKey,
    statement::{
        Subject,
        countersignature::{Countersignature, Request, Tree},
    },
};

/// Somebody vouched for something; client and host are those of the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountersignEntry {
    /// Fingerprint of the key that signed.
    pub key: Digest,
    /// Digest of the statement that was signed.
    pub statement_sha256: Digest,
    /// What was asked.
    pub request: Box<Request>,
    /// Why it was signed.
    pub reason: Option<String>,
    /// Who signed.
    pub who: String,
    /// When, as the statement says.
    pub time: Timestamp,
}

impl CountersignEntry {
    /// What was signed, by the appliance of this registry.
    pub fn signed(&self, client: &str, host: &str) -> Countersignature {
        Countersignature {
            request: (*self.request).clone(),
            reason: self.reason.clone(),
            client: client.into(),
            host: host.into(),
            who: self.who.clone(),
            time: self.time,
        }
    }

    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        let spki = members.text("requester")?;
        let key = PublicKey::parse(&spki);
        let request = Request {
            author: members.text("author")?,
            key: key.map_err(|error| EntryError(format!("requester: {error}")))?,
            subject: Subject { name: members.text("name")?, sha256: members.digest("sha256")? },
            time: members.time("requested")?,
            tree: Tree::find(&members.text("tree")?).ok_or_else(|| wrong("tree", "nar or file"))?,
            version: members.maybe_text("version"),
        };
        Ok(Self {
            key: members.digest("key")?,
            statement_sha256: members.digest("statement_sha256")?,
            request: Box::new(request),
            reason: members.maybe_text("reason"),
            who: members.text("who")?,
            time: members.time("time")?,
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let request = &*self.request;
        Value::object([
            ("author", request.author.as_str().into()),
            ("key", self.key.into()),
            ("name", request.subject.name.as_str().into()),
            ("requested", request.time.into()),
            ("requester", request.key.spki_base64().into()),
            ("sha256", request.subject.sha256.into()),
            ("statement_sha256", self.statement_sha256.into()),
            ("time", self.time.into()),
            ("tree", request.tree.as_str().into()),
            ("who", self.who.as_str().into()),
        ])
        .with_some("reason", self.reason.as_deref())
        .with_some("version", request.version.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        registry::Entry,
        statement::countersignature::tests::{example, request},
    };

    #[test]
    fn it_survives_its_bytes_and_holds_all_of_what_was_signed() {
        let statement_sha256 = Digest::sha256(&example().encode().unwrap());
        let entry = CountersignEntry {
            key: Digest::sha256(b"k"),
            statement_sha256,
            request: Box::new(request()),
            reason: example().reason,
            who: "bert".into(),
            time: example().time,
        };
        assert_eq!(entry.signed("clinic-001", "gate-1"), example());
        let bare = CountersignEntry {
            reason: None,
            request: Box::new(Request { version: None, ..request() }),
            ..entry.clone()
        };
        for entry in [entry, bare] {
            let bytes = Entry::Countersign(entry.clone()).to_value().encode();
            assert_eq!(Entry::read("countersign", &bytes), Ok(Entry::Countersign(entry)));
            let text = String::from_utf8(bytes).unwrap();
            for (from, to) in
                [("{", "{\"a\":1,"), ("\"nar\"", "\"tar\""), ("\"who\"", "\"whom\""), ("MCow", "")]
            {
                let bad = text.replacen(from, to, 1);
                assert!(Entry::read("countersign", bad.as_bytes()).is_err(), "{bad}");
            }
        }
    }
}
