//! Who vouches for a folder or a file (docs/format.md §19): distinct trusted
//! keys are counted, and nothing else is.

use alloc::{
    boxed::Box,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::bundle::Trusted;
use crate::{
    encoding::digest::Digest,
    report::{Code, Finding, Location, Report},
    signing::{public_key::PublicKey, sigstore_bundle::SigstoreBundle},
    statement::countersignature::{CountersignError, Countersignature, Tree, lines},
};

/// What lies there, and what is asked of its signatures.
#[derive(Clone, Debug)]
pub struct RequestedCountersignature<'a> {
    /// Of what the digest is.
    pub tree: Tree,
    /// The digest of what lies there.
    pub sha256: Digest,
    /// The version that it should be, where that is asked.
    pub version: Option<&'a str>,
    /// Who must have asked for the signatures, where that is known.
    pub requester: Option<&'a PublicKey>,
    /// How many different keys must have signed.
    pub threshold: usize,
}

/// A trusted key that signed what lies there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vote {
    /// What the policy calls the key.
    pub name: String,
    /// Whether the key counts: one whose span has an end is undecided.
    pub counts: bool,
    /// What it signed.
    pub signed: Countersignature,
}

/// Steps 19.2 to 19.7: judges each line of the file of signatures, which is
/// called `name`, and gives for each trusted key that signed, by its
/// fingerprint, the first counter-signature.
pub fn judge(
    file: &[u8],
    name: &str,
    asked: &RequestedCountersignature<'_>,
    trusted: &[Trusted],
    report: &mut Report,
) -> BTreeMap<Digest, Vote> {
    let (mut votes, mut later) = (BTreeMap::new(), BTreeMap::new());
    for (number, line) in lines(file) {
        let place = Location::file(name).line(number);
        report.checked("countersignatures", 1);
        match look(line, asked, trusted, report) {
            Ok(Looked::Vote(key, vote)) => {
                votes.entry(key).or_insert(*vote);
            }
            Ok(Looked::Later(key, name)) => {
                later.insert(key, name);
            }
            Err((code, message, values)) => {
                let finding = Finding::new(code, place, message);
                report.add_finding(match values {
                    Some((expected, got)) => finding.values(expected, got),
                    None => finding,
                });
            }
        }
    }
    later.retain(|key, _| !votes.contains_key(key));
    conclude(&votes, &later, asked, trusted, report);
    votes
}

enum Looked {
    Vote(Digest, Box<Vote>),
    /// A trusted key signed a statement that a later version may know.
    Later(Digest, String),
}

type Refused = (Code, String, Option<(String, String)>);

fn look(
    line: Option<&[u8]>,
    asked: &RequestedCountersignature<'_>,
    trusted: &[Trusted],
    report: &mut Report,
) -> Result<Looked, Refused> {
    let refuse = |code, message: &str| Err((code, message.to_string(), None));
    let Some(line) = line else {
        return refuse(Code::CountersignMalformed, "the last line has no end");
    };
    let malformed = |error: String| (Code::CountersignMalformed, error, None);
    let bundle = SigstoreBundle::parse(line).map_err(|error| malformed(error.to_string()))?;
    let hint = bundle.key_hint();
    let spans: Vec<&Trusted> = trusted.iter().filter(|t| t.key.fingerprint() == hint).collect();
    // One key may stand there with several spans.
    let Some(key) = spans.iter().find(|t| t.until.is_none()).or(spans.first()) else {
        let message = format!("the key {hint} is not in the policy: this counts for nothing");
        return Err((Code::CountersignUntrusted, message, None));
    };
    report.checked("signatures", 1);
    let payload = bundle.verify(key.key.verifying_key(), &hint);
    let payload = payload.map_err(|error| (Code::CountersignSignature, error.to_string(), None))?;
    let signed = match Countersignature::parse(payload) {
        Ok(signed) => signed,
        // Only a trusted signature makes an unknown type a later one.
        Err(CountersignError::UnknownType) => return Ok(Looked::Later(hint, key.name.clone())),
        Err(error) => return Err(malformed(error.to_string())),
    };
    let request = &signed.request;
    if request.key == key.key || asked.requester == Some(&key.key) {
        return refuse(Code::CountersignSelf, "who asks for signatures cannot give one");
    }
    if asked.requester.is_some_and(|requester| *requester != request.key) {
        let message = "somebody else asked for this signature than the one named";
        let expected = asked.requester.map(|key| key.fingerprint().to_string());
        let got = request.key.fingerprint().to_string();
        return Err((Code::CountersignRequester, message.into(), expected.map(|e| (e, got))));
    }
    if (request.tree, request.subject.sha256) != (asked.tree, asked.sha256) {
        let values = |tree: Tree, sha256: Digest| format!("{} {sha256}", tree.as_str());
        let expected = values(request.tree, request.subject.sha256);
        let message = "what lies here is not what was signed";
        let got = values(asked.tree, asked.sha256);
        return Err((Code::CountersignAltered, message.into(), Some((expected, got))));
    }
    if let Some(version) = asked.version
        && request.version.as_deref() != Some(version)
    {
        let got = request.version.clone().unwrap_or_else(|| "none".into());
        let message = "this was signed as another version";
        return Err((Code::CountersignVersion, message.into(), Some((version.into(), got))));
    }
    let (name, counts) = (key.name.clone(), key.until.is_none());
    Ok(Looked::Vote(hint, Box::new(Vote { name, counts, signed })))
}

/// Step 19.7: enough, or not enough, or that cannot be told.
fn conclude(
    votes: &BTreeMap<Digest, Vote>,
    later: &BTreeMap<Digest, String>,
    asked: &RequestedCountersignature<'_>,
    trusted: &[Trusted],
    report: &mut Report,
) {
    let counted = votes.values().filter(|vote| vote.counts).count();
    report.checked("keys that count", counted as u64);
    let enough = counted >= asked.threshold;
    let short = votes.len() + later.len() < asked.threshold;
    let mut tell = |what: String, why: &str| {
        if enough || short {
            report.not_checked(what, why)
        } else {
            report.not_checked_decisive(what, why)
        }
    };
    for vote in votes.values().filter(|vote| !vote.counts) {
        let why = "its span in the policy has an end, and a counter-signature does not say for \
                   which registry records it was made: verify the evidence bundle that it is in";
        tell(format!("whether the key {} was still in use", vote.name), why);
    }
    for name in later.values() {
        let why = "it is of a type that this program does not know: use a newer provctl";
        tell(format!("what the key {name} signed"), why);
    }
    if short && trusted.is_empty() {
        report.not_checked_decisive(
            "whose signatures these are",
            "no policy names a key that may sign",
        );
    } else if short {
        let message = "too few different trusted keys signed what lies here";
        let finding = Finding::new(Code::CountersignFew, Location::default(), message);
        report.add_finding(finding.values(asked.threshold, counted));
    }
}

#[cfg(test)]
mod tests;
