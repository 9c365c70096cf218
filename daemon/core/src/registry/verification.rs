//! The record of a verification that ran on the appliance itself.

use alloc::{collections::BTreeMap, string::String};

use super::{EntryError, Members};
use crate::encoding::{digest::Digest, json::Value};

/// A verification ran.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyEntry {
    /// Of what: `chain`.
    pub what: String,
    /// `verified`, `failed` or `inconclusive`.
    pub verdict: String,
    /// How many records of the log chain were read.
    pub records: u64,
    /// How many findings there were of each code.
    pub codes: BTreeMap<String, u64>,
    /// Digest of the policy that it was held against, where there was one.
    pub policy_sha256: Option<Digest>,
    /// Name and version of the program.
    pub software: String,
}

impl VerifyEntry {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, EntryError> {
        let codes = match members.0.get("codes") {
            Some(Value::Object(codes)) => codes
                .iter()
                .map(|(code, count)| {
                    let count = count.as_int().and_then(|count| u64::try_from(count).ok());
                    count.map(|count| (code.as_str().into(), count))
                })
                .collect::<Option<_>>(),
            _ => None,
        };
        let verdict = members.text("verdict")?;
        if !["verified", "failed", "inconclusive"].contains(&verdict.as_str()) {
            return Err(EntryError("verdict: verified, failed or inconclusive".into()));
        }
        Ok(Self {
            what: members.text("what")?,
            verdict,
            records: members.count("records")?,
            codes: codes.ok_or_else(|| EntryError("codes: an object of counts".into()))?,
            policy_sha256: match members.0.get("policy_sha256") {
                Some(_) => Some(members.digest("policy_sha256")?),
                None => None,
            },
            software: members.text("software")?,
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let codes = self.codes.iter().map(|(code, count)| (code.as_str(), (*count).into()));
        let codes = codes
            .fold(Value::object([]), |object, (code, count): (_, Value)| object.with(code, count));
        Value::object([
            ("codes", codes),
            ("records", self.records.into()),
            ("software", self.software.as_str().into()),
            ("verdict", self.verdict.as_str().into()),
            ("what", self.what.as_str().into()),
        ])
        .with_some("policy_sha256", self.policy_sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Entry;

    #[test]
    fn a_verification_survives_its_bytes_and_nothing_else_passes() {
        let entry = Entry::Verify(VerifyEntry {
            what: "chain".into(),
            verdict: "verified".into(),
            records: 7,
            codes: [("chain.gap".into(), 2)].into(),
            policy_sha256: Some(Digest::sha256(b"p")),
            software: "s".into(),
        });
        let bytes = entry.to_value().encode();
        assert_eq!(Entry::read("verify", &bytes), Ok(entry));
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [
            ("\"verified\"", "\"good\""),
            ("\"chain.gap\":2", "\"chain.gap\":\"2\""),
            ("\"chain.gap\":2", "\"chain.gap\":-2"),
            ("\"records\":7", "\"more\":1,\"records\":7"),
        ] {
            let bad = text.replace(from, to);
            assert!(Entry::read("verify", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
