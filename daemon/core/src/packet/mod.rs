//! Compliance packets (docs/format.md §13): the manifest, and the files that
//! follow from the rest of a packet, so that a verifier can make them again.

mod derived_files;
mod manifest;
pub mod zip;

pub use derived_files::{Facts, controls, custody, population, reviews, verify_md};
pub use manifest::{MANIFEST, MAX_MANIFEST, Manifest, ManifestError, SIGNATURE, SIGSTORE};

use alloc::{format, string::String};

use crate::encoding::time::{Day, Timestamp};

/// The registry's records as lines.
pub const REGISTRY: &str = "registry.jsonl";
/// The checkpoint over them.
pub const CHECKPOINT: &str = "checkpoint";
/// Which evidence supports which control.
pub const CONTROLS: &str = "controls.csv";
/// Earlier exports.
pub const CUSTODY: &str = "custody.json";
/// Every day and bundle of the period, and a sample.
pub const POPULATION: &str = "population.json";
/// Who looked.
pub const REVIEWS: &str = "reviews.json";
/// How to verify with stock tools.
pub const VERIFY: &str = "VERIFY.md";
/// A page to read.
pub const REPORT: &str = "report.html";

/// What a packet is called.
pub fn file_name(client: &str, from: Timestamp, to: Timestamp) -> String {
    let text = |time: Timestamp| {
        let start = time.day().start() == Some(time);
        if start {
            return format!("{}", time.day());
        }
        let full = format!("{time}");
        let seconds = full.get(..19).unwrap_or_default().replace(':', "");
        // A fraction would be lost, and two periods would have one name.
        match full.get(20..29).map(|nanos| nanos.trim_end_matches('0')) {
            Some(nanos) if !nanos.is_empty() => format!("{seconds}.{nanos}Z"),
            _ => format!("{seconds}Z"),
        }
    };
    format!("MSP-{client}-{}-{}.zip", text(from), text(to))
}

/// Whether `name` is a plain relative path: no empty, `.` or `..` part, no
/// control character, no backslash and no colon, no part over 255 bytes and
/// all of it at most 4095.
pub fn is_safe_name(name: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    name.len() <= 4095
        && !name.contains(|c: char| c.is_control() || c == '\\')
        && name.split('/').all(part)
}

/// The UTC days that a period touches.
pub fn days(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Day> {
    const DAY: i64 = 86_400_000_000_000;
    let first = from.day().start().unwrap_or(from);
    core::iter::successors(Some(first), |start| Some(start.plus_nanos(DAY)))
        .take_while(move |start| *start < to)
        .map(Timestamp::day)
}

#[cfg(test)]
mod tests;
