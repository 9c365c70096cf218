//! What follows from the rest of a packet.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::days;
use crate::{
    encoding::{
        digest::Digest,
        json::Value,
        time::{Day, Timestamp},
    },
    record::coverage::Coverage,
    registry::{BundleEntry, Document, Entry, SbomEntry},
};

/// So many items of a kind are kept: more files do not fit into a packet.
const MAX_ITEMS: usize = 65_536;

/// What registry and chain tell of a period: both who makes and who verifies
/// a packet gather it in the same way.
#[derive(Clone, Debug)]
pub struct Facts {
    from: Timestamp,
    to: Timestamp,
    seqs: Option<(u64, u64)>,
    days: BTreeMap<Day, (u64, u64)>,
    /// Bundles whose period touches this one, by id, and whether their
    /// artifacts were removed.
    pub bundles: BTreeMap<String, (BundleEntry, bool)>,
    /// The documents that told of the system's software in the period, with the
    /// counts that are on record of them.
    pub sboms: BTreeMap<String, (Document, Option<Coverage>)>,
    before: Vec<(Document, Option<Coverage>)>,
    reviews: Vec<Value>,
    exports: Vec<Value>,
    /// Whether there was more than a packet can hold.
    pub too_much: bool,
}

impl Facts {
    /// Of the period from `from` up to `to`.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            to,
            seqs: None,
            days: days(from, to).map(|day| (day, (0, 0))).collect(),
            bundles: BTreeMap::new(),
            sboms: BTreeMap::new(),
            before: Vec::new(),
            reviews: Vec::new(),
            exports: Vec::new(),
            too_much: false,
        }
    }

    /// The next record of the registry.
    pub fn entry(&mut self, seq: u64, time: Timestamp, entry: &Entry) {
        let stamp = |value: Value| value.with("seq", seq).with("time", time);
        match entry {
            Entry::Bundle(bundle) if bundle.from < self.to && self.from <= bundle.to => {
                self.bundles.insert(bundle.id.clone(), (bundle.clone(), false));
            }
            Entry::Expire { bundle, .. } => {
                if let Some((_, expired)) = self.bundles.get_mut(bundle) {
                    *expired = true;
                }
            }
            Entry::Review { .. } if time >= self.from => self.reviews.push(stamp(entry.to_value())),
            Entry::Packet(_) => self.exports.push(stamp(entry.to_value())),
            // What was so when the period began was told before it.
            Entry::Sbom(sbom) if time < self.from => self.before = documents(sbom),
            Entry::Sbom(sbom) if time < self.to => self.documents(documents(sbom)),
            _ => {}
        }
        let counts = [self.bundles.len(), self.sboms.len(), self.reviews.len(), self.exports.len()];
        if counts.iter().any(|count| *count > MAX_ITEMS) {
            self.too_much = true;
            self.bundles.clear();
            self.sboms.clear();
            self.reviews.clear();
            self.exports.clear();
        }
    }

    /// The registry has been read.
    pub fn end_of_registry(&mut self) {
        let before = core::mem::take(&mut self.before);
        self.documents(before);
    }

    fn documents(&mut self, documents: Vec<(Document, Option<Coverage>)>) {
        for (document, coverage) in documents {
            self.sboms.insert(document.name.clone(), (document, coverage));
        }
    }

    /// The next record of the chain in the period.
    pub fn record(&mut self, seq: u64, time: Timestamp, is_tick: bool) {
        self.seqs = Some(self.seqs.map_or((seq, seq), |(first, _)| (first, seq)));
        // A clock that ran wild names at most as many days as there are.
        let (records, ticks) = self.days.entry(time.day()).or_default();
        *records += 1;
        *ticks += u64::from(is_tick);
    }
}

fn documents(sbom: &SbomEntry) -> Vec<(Document, Option<Coverage>)> {
    sbom.documents.iter().map(|document| (document.clone(), sbom.coverage.clone())).collect()
}

/// `population.json`: every day and every bundle of the period, the records
/// that no bundle holds, and the sample drawn by `seed`.
pub fn population(facts: &Facts, seed: &str, sample: u64) -> Vec<u8> {
    let days = facts.days.iter().map(|(day, (records, ticks))| {
        Value::object([
            ("day", day.to_string().as_str().into()),
            ("records", (*records).into()),
            ("ticks", (*ticks).into()),
        ])
    });
    let bundles = facts.bundles.values().map(|(bundle, expired)| {
        Value::object([
            ("artifacts", bundle.artifacts.into()),
            ("expired", (*expired).into()),
            ("first_seq", bundle.first_seq.into()),
            ("from", bundle.from.into()),
            ("id", bundle.id.as_str().into()),
            ("last_seq", bundle.last_seq.into()),
            ("to", bundle.to.into()),
        ])
    });
    let gaps = uncovered(facts).into_iter().map(|(first, last)| {
        Value::object([("first_seq", first.into()), ("last_seq", last.into())])
    });
    let drawn = draw(facts, seed, sample);
    let drawn = drawn.iter().map(|item| item.as_str().into());
    let mut bytes = Value::object([
        ("bundles", bundles.collect::<Vec<_>>().into()),
        ("days", days.collect::<Vec<_>>().into()),
        (
            "sample",
            Value::object([
                ("drawn", drawn.collect::<Vec<Value>>().into()),
                ("seed", seed.into()),
                ("size", sample.into()),
            ]),
        ),
        ("uncovered", gaps.collect::<Vec<_>>().into()),
    ])
    .encode();
    bytes.push(b'\n');
    bytes
}

/// The records of the period that are in no bundle, as runs.
fn uncovered(facts: &Facts) -> Vec<(u64, u64)> {
    let Some((first, last)) = facts.seqs else { return Vec::new() };
    let ranges: BTreeSet<(u64, u64)> =
        facts.bundles.values().map(|(bundle, _)| (bundle.first_seq, bundle.last_seq)).collect();
    let (mut due, mut gaps) = (first, Vec::new());
    for (from, to) in ranges {
        if from > due && due <= last {
            gaps.push((due, last.min(from - 1)));
        }
        due = due.max(to.saturating_add(1));
    }
    if due <= last {
        gaps.push((due, last));
    }
    gaps
}

/// The items with the smallest SHA-256 of seed, LF and item.
fn draw(facts: &Facts, seed: &str, sample: u64) -> Vec<String> {
    let days = facts.days.keys().map(|day| day.to_string());
    let items = facts.bundles.keys().cloned().chain(days);
    let mut ranked: Vec<(Digest, String)> =
        items.map(|item| (Digest::sha256(format!("{seed}\n{item}").as_bytes()), item)).collect();
    ranked.sort_by_key(|(rank, _)| rank.0);
    ranked.truncate(usize::try_from(sample).unwrap_or(usize::MAX));
    ranked.into_iter().map(|(_, item)| item).collect()
}

/// `reviews.json`: who looked at what since the period began.
pub fn reviews(facts: &Facts) -> Vec<u8> {
    list(&facts.reviews)
}

/// `custody.json`: every packet that was exported before this one.
pub fn custody(facts: &Facts) -> Vec<u8> {
    list(&facts.exports)
}

fn list(items: &[Value]) -> Vec<u8> {
    let mut bytes = Value::Array(items.to_vec()).encode();
    bytes.push(b'\n');
    bytes
}

/// `controls.csv`: the same in every packet of this version.
pub fn controls() -> &'static str {
    include_str!("controls.csv")
}

/// `VERIFY.md`: how to verify with stock tools, and what that leaves open.
pub fn verify_md(client: &str, host: &str, from: Timestamp, to: Timestamp, signed: bool) -> String {
    let text = include_str!("VERIFY.md")
        .replace("@CLIENT@", client)
        .replace("@HOST@", host)
        .replace("@FROM@", &from.to_string())
        .replace("@TO@", &to.to_string());
    let (keep, drop) = if signed { ("signed", "unsigned") } else { ("unsigned", "signed") };
    let mut out = String::new();
    let mut dropping = false;
    for line in text.lines() {
        match line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            Some(mark) if mark == drop => dropping = true,
            Some(mark) if mark == keep || mark == "end" => dropping = false,
            _ if !dropping => {
                out.push_str(line);
                out.push('\n');
            }
            _ => {}
        }
    }
    out
}
