//! Chain and registry side by side (docs/format.md, steps 4.5 to 4.7).

use provenance_core::{
    encoding::digest::Digest,
    registry::{KeyAction, KeyEntry, Segment},
    report::{Code, Finding, Head, Location, Report},
    signing::public_key::PublicKey,
    verify::{bundle::Trusted, chain::FileSummary},
};

/// The policy's keys, each only up to where these key events end its span.
pub fn bounded(policy: &[Trusted], events: &[(KeyEntry, u64)]) -> Vec<Trusted> {
    let until = |key: &PublicKey| {
        let ends = events.iter().filter_map(|(entry, row)| match entry.action {
            KeyAction::Revoke if entry.key == *key => Some(*row),
            KeyAction::Succeed if entry.succeeds == Some(key.fingerprint()) => Some(*row),
            _ => None,
        });
        ends.min()
    };
    let bounded = policy.iter().map(|trusted| {
        let ends = [trusted.until, until(&trusted.key)].into_iter().flatten().min();
        Trusted { until: ends, ..trusted.clone() }
    });
    bounded.collect()
}

/// Step 4.6: the registry's head is the chain's record of that number.
pub fn compare_head(
    seq: u64,
    hash: Digest,
    row: u64,
    got: Digest,
    place: Location,
    report: &mut Report,
) {
    report.checked("heads", 1);
    if hash != got {
        let message = format!(
            "record {seq} of the chain is not the one that registry record {row} names: the \
             chain was written anew from there or before"
        );
        let finding = Finding::new(Code::ChainForked, place.at_seq(seq), message);
        report.add_finding(finding.values(hash, got));
    }
}

/// Step 4.7: a closed file is what its segment says.
pub fn compare_segment(segment: &Segment, row: u64, summary: &FileSummary, report: &mut Report) {
    report.checked("closed files", 1);
    let mut differ = |what: &str, expected: String, got: String| {
        if expected != got {
            let message = format!("the file's {what} is not what registry record {row} says");
            let finding = Finding::new(Code::ChainForked, Location::file(&summary.name), message);
            report.add_finding(finding.values(expected, got));
        }
    };
    let hash =
        |head: Option<Head>| head.map_or_else(|| "nothing".into(), |head| head.hash.to_string());
    differ("length", segment.bytes.to_string(), summary.bytes.to_string());
    differ("number of records", segment.count.to_string(), summary.count.to_string());
    differ("first record", segment.first.to_string(), hash(summary.first));
    differ("last record", segment.last.to_string(), hash(summary.last));
    if let Some(sha256) = summary.sha256 {
        differ("digest", segment.sha256.to_string(), sha256.to_string());
    }
}
