//! Chain and registry side by side (docs/format.md, steps 4.6 to 5.4): the
//! registry is walked just ahead of the chain, so that each head, closed file
//! and checkpoint is held against the other side in constant memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use provenance_core::{
    encoding::digest::Digest,
    merkle::Frontier,
    registry::{BundleEntry, Document, Entry, KeyEntry, Segment},
    report::{Code, Finding, Head, Location, Report},
    signing::checkpoint::{Checkpoint, Note},
    verify::{
        anchor_history::AnchorHistory,
        bundle::Trusted,
        chain::FileSummary,
        registry::{FILE, RegistryVerifier},
    },
};
use provenance_registry::{
    Rows,
    reader::{Reader, RegistryError},
};
use provenance_verifier::cross_check::{bounded, compare_head, compare_segment};

use super::package_events::Packages;

/// Roots and chain hashes that are remembered: two processes may commit heads
/// and checkpoints a little out of order.
const RECENT: usize = 4_096;

/// A head that is expected in the chain.
#[derive(Clone, Copy, Debug)]
struct Expected {
    seq: u64,
    hash: Digest,
    row: u64,
}

/// The registry being walked.
pub(super) struct RegistryCursor<'a> {
    reader: &'a Reader,
    /// Rows from this number on were appended after the audit began, and so
    /// may name what was not read. They count for checkpoints only.
    cut: u64,
    verifier: RegistryVerifier,
    rows: Rows<'a>,
    next: u64,
    done: bool,
    /// Why the registry could not be read, where that is no damage.
    pub trouble: Option<RegistryError>,
    /// The first record that is verified: heads before it are not in view.
    from: Option<u64>,
    heads: VecDeque<Expected>,
    /// The chain's newest records, each with its file and line.
    recent: VecDeque<(Head, usize, u64)>,
    /// The names of the chain's files, in their order.
    names: Vec<String>,
    /// Heads whose record is too far back to be remembered.
    pub stragglers: Vec<(u64, Digest, u64)>,
    /// Roots of the newest sizes.
    roots: VecDeque<(u64, Digest)>,
    segments: BTreeMap<String, (Segment, u64)>,
    files: BTreeMap<String, FileSummary>,
    /// The size that the newest checkpoint signs.
    signed_size: u64,
    /// The last head that it covers.
    pub signed_head: Option<u64>,
    /// How many heads there are.
    pub head_count: u64,
    /// Every key event, in order, with its record's number.
    pub keys: Vec<(KeyEntry, u64)>,
    /// Every bundle on record; the newest entry of an id counts.
    pub bundles: BTreeMap<String, (BundleEntry, u64)>,
    /// Bundles made since the audit began.
    pub later_bundles: BTreeSet<String>,
    /// Every inventory's document on record, by name, with its record.
    pub documents: BTreeMap<String, (Document, u64)>,
    /// Documents recorded since the audit began.
    pub later_documents: BTreeSet<String>,
    /// Certificates and packages on record.
    pub packages: Packages,
    /// Bundles whose artifacts were removed.
    pub expired: BTreeMap<String, u64>,
}

impl<'a> RegistryCursor<'a> {
    pub(super) fn new(reader: &'a Reader, cut: u64, signed_size: u64) -> Self {
        Self {
            reader,
            cut,
            verifier: RegistryVerifier::new(),
            rows: reader.rows(0),
            next: 0,
            done: false,
            trouble: None,
            from: None,
            heads: VecDeque::new(),
            recent: VecDeque::new(),
            names: vec![],
            stragglers: vec![],
            roots: VecDeque::new(),
            segments: BTreeMap::new(),
            files: BTreeMap::new(),
            signed_size,
            signed_head: None,
            head_count: 0,
            keys: vec![],
            bundles: BTreeMap::new(),
            later_bundles: BTreeSet::new(),
            documents: BTreeMap::new(),
            later_documents: BTreeSet::new(),
            packages: Packages::default(),
            expired: BTreeMap::new(),
        }
    }

    /// The tree over what has been walked.
    pub(super) fn tree(&self) -> &Frontier {
        self.verifier.tree()
    }

    /// The chain's id, client and host, from the registry's record 0.
    pub(super) fn identity(&self) -> Option<(&str, &str, &str)> {
        self.verifier.identity()
    }

    /// The anchors on record.
    pub(super) fn anchors(&self) -> &AnchorHistory {
        self.verifier.anchors()
    }

    /// The root of the first `size` records, where there are so many.
    pub(super) fn root_at(&self, size: u64) -> Option<Digest> {
        // The stored nodes have been held against the records.
        let walked = size <= self.tree().size();
        walked.then(|| self.reader.root_at(size).ok()).flatten()
    }

    /// The next file of the chain.
    pub(super) fn begin_file(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    /// The next record of the chain, on this line of its file.
    pub(super) fn record(&mut self, head: Head, line: u64, report: &mut Report) {
        self.from.get_or_insert(head.seq);
        self.recent.push_back((head, self.names.len().saturating_sub(1), line));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        loop {
            match self.heads.front() {
                Some(expected) if expected.seq > head.seq => return,
                Some(expected) => {
                    let expected = *expected;
                    self.heads.pop_front();
                    self.compare(expected, report);
                }
                None if self.done || self.next >= self.cut => return,
                None => self.advance(report),
            }
        }
    }

    /// A checkpoint in the chain: its root is the tree's at that size.
    pub(super) fn checkpoint(&mut self, note: &str, place: Location, report: &mut Report) {
        let checkpoint = Note::parse(note).and_then(|note| Checkpoint::parse(note.text));
        match checkpoint {
            Ok(checkpoint) => self.check_root(&checkpoint, place, report),
            Err(error) => {
                report.add_finding(Finding::new(Code::CheckpointInvalid, place, error.to_string()));
            }
        }
    }

    /// Whether the registry had this root at this size.
    pub(super) fn check_root(
        &mut self,
        checkpoint: &Checkpoint,
        place: Location,
        report: &mut Report,
    ) {
        while self.tree().size() < checkpoint.size && !self.done {
            self.advance(report);
        }
        report.checked("checkpoints", 1);
        if let Some((_, client, host)) = self.identity()
            && checkpoint.origin != Checkpoint::origin(client, host)
        {
            let message = format!("the checkpoint is of {}", checkpoint.origin);
            report.add_finding(Finding::new(Code::CheckpointInvalid, place.clone(), message));
        }
        let size = self.tree().size();
        if size < checkpoint.size {
            let message =
                "the registry ends before what the checkpoint signs: records were cut off";
            let finding = Finding::new(Code::RegistryRoot, place, message);
            report.add_finding(finding.values(checkpoint.size, size));
            return;
        }
        let known = self.roots.iter().rev().find(|(size, _)| *size == checkpoint.size);
        let root = match known {
            Some((_, root)) => *root,
            // The stored nodes have been held against the records.
            None => match self.reader.root_at(checkpoint.size) {
                Ok(root) => root,
                Err(error) => return self.unreadable(error, report),
            },
        };
        if root != checkpoint.root {
            let message = "the registry is not the one that the checkpoint signs";
            let finding = Finding::new(Code::RegistryRoot, place, message);
            report.add_finding(finding.values(checkpoint.root, root));
        }
    }

    /// The policy's keys, each only up to where the registry says that it was
    /// revoked or that another took its place.
    pub(super) fn trusted(&self, policy: &[Trusted]) -> Vec<Trusted> {
        bounded(policy, &self.keys)
    }

    /// A file of the chain has been read to its end.
    pub(super) fn file(&mut self, summary: FileSummary, report: &mut Report) {
        match self.segments.remove(&summary.name) {
            Some((segment, row)) => compare_segment(&segment, row, &summary, report),
            None => {
                self.files.insert(summary.name.clone(), summary);
            }
        }
    }

    /// The chain has been read; the rest of the registry is walked. Where the
    /// whole chain was read, heads behind its end show that it was cut.
    pub(super) fn finish(&mut self, head: Option<Head>, whole: bool, report: &mut Report) {
        loop {
            while let Some(expected) = self.heads.pop_front() {
                if head.is_some_and(|head| expected.seq <= head.seq) {
                    self.compare(expected, report);
                } else if whole {
                    let message = "the chain ends before a record that the registry names: \
                                   records were cut off";
                    let place = Location::file(FILE).at_seq(expected.row);
                    let finding = Finding::new(Code::ChainTruncated, place, message);
                    let got = head.map_or_else(|| "nothing".into(), |head| head.seq.to_string());
                    report.add_finding(finding.values(format!("record {}", expected.seq), got));
                }
            }
            if self.done || self.next >= self.cut {
                break;
            }
            self.advance(report);
        }
        for (name, (segment, row)) in std::mem::take(&mut self.segments) {
            if whole {
                let message = format!("the closed file {name} is not there");
                let place = Location::file(FILE).at_seq(row);
                let finding = Finding::new(Code::ChainTruncated, place, message);
                report.add_finding(finding.values(segment.sha256, "nothing"));
            }
        }
    }

    /// Reads and verifies the next row.
    fn advance(&mut self, report: &mut Report) {
        let row = match self.rows.next() {
            Some(Ok(row)) => row,
            Some(Err(error)) => return self.unreadable(error, report),
            None => {
                self.done = true;
                return;
            }
        };
        self.next = row.seq.saturating_add(1);
        let mut trouble = None;
        let stored = |node| match self.reader.stored_node(node) {
            Ok(hash) => hash,
            Err(error) => {
                trouble = Some(error).filter(|error| !error.is_damage()).or(trouble.take());
                None
            }
        };
        let number = self.tree().size();
        let seen = self.verifier.row((row.seq, &row.hash, &row.body), stored, report);
        if let Some(error) = trouble {
            return self.unreadable(error, report);
        }
        let root = (self.tree().size(), self.tree().root());
        self.roots.push_back(root);
        if self.roots.len() > RECENT {
            self.roots.pop_front();
        }
        match seen.map(|seen| seen.entry) {
            Some(Entry::Key(key)) => self.keys.push((key, number)),
            // Recorded before the artifacts go, so it counts whenever it is seen.
            Some(Entry::Expire { bundle, .. }) => {
                self.expired.insert(bundle, number);
            }
            Some(Entry::Bundle(bundle)) if row.seq >= self.cut => {
                self.later_bundles.insert(bundle.id);
            }
            Some(Entry::Sbom(sbom)) if row.seq >= self.cut => {
                self.later_documents.extend(sbom.documents.into_iter().map(|it| it.name));
            }
            _ if row.seq >= self.cut => {}
            Some(Entry::Sbom(sbom)) => {
                let named = sbom.documents.into_iter().map(|it| (it.name.clone(), (it, number)));
                self.documents.extend(named);
            }
            Some(Entry::Head { seq, hash }) => {
                self.heads.push_back(Expected { seq, hash, row: number });
                self.head_count += 1;
                if number < self.signed_size {
                    self.signed_head = self.signed_head.max(Some(seq));
                }
            }
            // The record that an alert rests on is the chain's own, as a head is.
            Some(Entry::Alert(alert)) => {
                self.heads.push_back(Expected { seq: alert.seq, hash: alert.hash, row: number });
            }
            Some(Entry::Certificate(entry)) => self.packages.certificate(entry, number, report),
            Some(Entry::Package(entry)) => self.packages.package(entry, number, report),
            Some(Entry::Segment(segment)) => self.segment(segment, number, report),
            Some(Entry::Bundle(bundle)) => {
                self.bundles.insert(bundle.id.clone(), (bundle, number));
            }
            _ => {}
        }
    }

    /// Walks what was appended since the audit began.
    pub(super) fn catch_up(&mut self, report: &mut Report) {
        self.done = self.trouble.is_some();
        while !self.done {
            self.advance(report);
        }
    }

    fn segment(&mut self, segment: Segment, row: u64, report: &mut Report) {
        match self.files.remove(&segment.name) {
            Some(summary) => compare_segment(&segment, row, &summary, report),
            None => {
                self.segments.insert(segment.name.clone(), (segment, row));
            }
        }
    }

    fn compare(&mut self, expected: Expected, report: &mut Report) {
        if self.from.is_none_or(|from| expected.seq < from) {
            return;
        }
        match self.recent.iter().rev().find(|(head, ..)| head.seq == expected.seq) {
            Some((head, file, line)) => {
                let name = self.names.get(*file).map(String::as_str).unwrap_or_default();
                let place = Location::file(name).line(*line);
                compare_head(expected.seq, expected.hash, expected.row, head.hash, place, report);
            }
            None => self.stragglers.push((expected.seq, expected.hash, expected.row)),
        }
    }

    /// What SQLite cannot read any more is damage, not a reason to say nothing;
    /// a lock or a disk says nothing about the rows.
    fn unreadable(&mut self, error: RegistryError, report: &mut Report) {
        self.done = true;
        if error.is_damage() {
            let message = format!("the rest of the registry cannot be read: {error}");
            report.add_finding(Finding::new(Code::RegistryBroken, Location::file(FILE), message));
        } else {
            self.trouble = Some(error);
        }
    }
}
