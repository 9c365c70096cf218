//! The registry, record by record (docs/format.md §4, steps 4.1 to 4.5 and 4.10, and
//! of §7 those of the records).

use alloc::{
    collections::VecDeque,
    format,
    string::{String, ToString},
};

use super::anchor_history::AnchorHistory;
use crate::{
    encoding::{digest::Digest, time::Timestamp},
    merkle::{Frontier, Node, frontier_nodes, leaf_hash},
    opentimestamps::Commitment,
    record::{Record, RecordError, alert::OpenAlerts},
    registry::{AnchorStep, Entry, KINDS},
    report::{Code, Finding, Location, Report},
};

/// The file's name in places.
pub const FILE: &str = "registry.db";
/// The name of an export of it.
pub const EXPORT: &str = "registry.jsonl";

/// A record that was read, whatever was found about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedEntry {
    /// Its place.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// Its time.
    pub time: Timestamp,
    /// What it holds.
    pub entry: Entry,
}

/// Verifies the registry's records in their order, in constant memory.
#[derive(Debug, Default)]
pub struct RegistryVerifier {
    frontier: Frontier,
    prev: Option<Digest>,
    identity: Option<(String, String, String)>,
    alerts: OpenAlerts,
    anchors: AnchorHistory,
    /// The record of the last batch.
    batch: Option<u64>,
    exported: bool,
    recent: Recent,
}

/// What is known of the tree besides what grows here.
trait Tree {
    /// A complete node, whose hash was computed.
    fn node(&mut self, node: Node, computed: Digest) -> Option<Digest>;
    /// The root of the first `size` records.
    fn root_at(&mut self, size: u64) -> Option<Digest>;
}

/// The nodes as a registry stores them.
struct Stored<F>(F);

impl<F: FnMut(Node) -> Option<Digest>> Tree for Stored<F> {
    fn node(&mut self, node: Node, _: Digest) -> Option<Digest> {
        (self.0)(node)
    }

    fn root_at(&mut self, size: u64) -> Option<Digest> {
        let subtrees = frontier_nodes(size).map(&mut self.0).collect::<Option<_>>()?;
        Frontier::from_subtrees(size, subtrees).map(|tree| tree.root())
    }
}

/// The last few trees of an export, which stores none. An anchor is of the
/// tree just before its record, or of one a few records before it.
#[derive(Debug, Default)]
struct Recent(VecDeque<Frontier>);

const RECENT: usize = 64;

impl Recent {
    fn push(&mut self, tree: &Frontier) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(tree.clone());
    }
}

impl Tree for Recent {
    fn node(&mut self, _: Node, computed: Digest) -> Option<Digest> {
        Some(computed)
    }

    fn root_at(&mut self, size: u64) -> Option<Digest> {
        self.0.iter().rev().find(|tree| tree.size() == size).map(Frontier::root)
    }
}

impl RegistryVerifier {
    /// A verifier that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A verifier of an export: bodies only, one a line.
    pub fn of_export() -> Self {
        Self { exported: true, ..Self::default() }
    }

    /// The next line of an export.
    pub fn line(&mut self, body: &[u8], report: &mut Report) -> Option<VerifiedEntry> {
        let (number, hash) = (self.frontier.size(), Digest::sha256(body));
        let mut tree = core::mem::take(&mut self.recent);
        tree.push(&self.frontier);
        let seen = self.next(number, &hash.0, body, &mut tree, report);
        self.recent = tree;
        seen
    }

    /// The next row as it is stored: its number, its hash, its body. Each node
    /// of the tree that it completes is held against what `stored` has.
    pub fn row(
        &mut self,
        row: (u64, &[u8], &[u8]),
        stored: impl FnMut(Node) -> Option<Digest>,
        report: &mut Report,
    ) -> Option<VerifiedEntry> {
        self.next(row.0, row.1, row.2, &mut Stored(stored), report)
    }

    fn next(
        &mut self,
        number: u64,
        hash: &[u8],
        body: &[u8],
        tree: &mut impl Tree,
        report: &mut Report,
    ) -> Option<VerifiedEntry> {
        report.checked("registry records", 1);
        let due = self.frontier.size();
        let place = Location::file(if self.exported { EXPORT } else { FILE }).at_seq(number);
        let broken = |message: &str| Finding::new(Code::RegistryBroken, place.clone(), message);
        if number != due {
            let message = "rows are missing or added here";
            report.add_finding(broken(message).values(due, number));
        }
        let computed = Digest::sha256(body);
        if computed.0[..] != *hash {
            let message = "the stored hash is not that of the body";
            report.add_finding(
                broken(message).values(computed, crate::encoding::digest::to_hex(hash)),
            );
        }
        let prev = self.prev.replace(computed).unwrap_or(Digest::ZERO);
        self.grow(body, &place, tree, report);
        let record = match Record::parse(body) {
            Ok(record) => record,
            Err(error) => {
                report.add_finding(Finding::new(code(&error), place, error.to_string()));
                return None;
            }
        };
        if record.seq != due {
            report.add_finding(broken("the record is of another place").values(due, record.seq));
        }
        if record.prev != prev {
            let message = "this record was not appended to the one before it: one of the two \
                           was changed, or records between them were removed or added";
            report.add_finding(broken(message).values(record.prev, prev));
        }
        self.content(&record, computed, place, tree, report)
    }

    /// The anchors on record.
    pub fn anchors(&self) -> &AnchorHistory {
        &self.anchors
    }

    /// How many records, and the root over them.
    pub fn tree(&self) -> &Frontier {
        &self.frontier
    }

    /// The log chain's id, client and host, from record 0.
    pub fn identity(&self) -> Option<(&str, &str, &str)> {
        self.identity.as_ref().map(|(chain, client, host)| (&**chain, &**client, &**host))
    }

    fn grow(&mut self, body: &[u8], place: &Location, tree: &mut impl Tree, report: &mut Report) {
        self.frontier.push(leaf_hash(body), |node, hash| {
            let found = tree.node(node, hash);
            if found != Some(hash) {
                let message = format!(
                    "the stored node {} of level {} is another one",
                    node.index, node.level
                );
                let finding = Finding::new(Code::RegistryRoot, place.clone(), message);
                let text = found.map_or_else(|| "nothing".into(), |found| found.to_string());
                report.add_finding(finding.values(hash, text));
            }
        });
    }

    fn content(
        &mut self,
        record: &Record<'_>,
        hash: Digest,
        place: Location,
        tree: &mut impl Tree,
        report: &mut Report,
    ) -> Option<VerifiedEntry> {
        if !KINDS.contains(&record.kind) {
            let why = "this version does not know that kind of record; use a newer provctl";
            let what = format!("registry record {} of kind {}", record.seq, record.kind);
            report.not_checked_decisive(what, why);
        }
        let entry = match Entry::read(record.kind, record.data) {
            Ok(entry) => entry,
            Err(error) => {
                report.add_finding(Finding::new(Code::RecordMalformed, place, error.to_string()));
                return None;
            }
        };
        if let Entry::Alert(alert) = &entry {
            report.checked("alerts", 1);
            if let Err(message) = self.alerts.apply(alert.clone()) {
                report.add_finding(Finding::new(
                    Code::RegistryBroken,
                    place.clone(),
                    message.to_string(),
                ));
            }
        }
        if let Entry::Anchor(anchor) = &entry {
            let row = self.frontier.size().saturating_sub(1);
            let intended = matches!(anchor.step, AnchorStep::Intended { .. });
            let root = tree.root_at(anchor.size);
            if intended && self.exported && root.is_none() && anchor.size <= row {
                let what = format!("the root of the first {} registry records", anchor.size);
                report
                    .not_checked_decisive(what, "an export keeps no tree: verify the state folder");
                self.anchors.apply((row, anchor), |_| Some(anchor.root), &place, report);
            } else {
                self.anchors.apply((row, anchor), |_| root, &place, report);
            }
        }
        if let Entry::Batch(Commitment { after, .. }) = &entry {
            report.checked("batches", 1);
            // Else another record would be found for the commitment.
            let row = self.frontier.size().saturating_sub(1);
            if *after > row || self.batch.replace(row).is_some_and(|last| *after <= last) {
                let message = "the batch names a place that is not its own";
                report.add_finding(Finding::new(Code::RegistryBroken, place.clone(), message));
            }
        }
        let first = self.frontier.size() == 1;
        if first != matches!(entry, Entry::Genesis { .. }) {
            let message = "record 0, and no other, is of kind genesis";
            report.add_finding(Finding::new(Code::RegistryBroken, place, message));
        }
        if let Entry::Genesis { chain, client, host, .. } = &entry {
            self.identity.get_or_insert((chain.clone(), client.clone(), host.clone()));
        }
        Some(VerifiedEntry { seq: record.seq, hash, time: record.time, entry })
    }
}

fn code(error: &RecordError) -> Code {
    match error {
        RecordError::NonCanonical(_) => Code::RecordNoncanonical,
        _ => Code::RecordMalformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encoding::json::Value, record};
    use alloc::{collections::BTreeMap, vec, vec::Vec};

    struct Table {
        rows: Vec<(u64, Vec<u8>, Vec<u8>)>,
        nodes: BTreeMap<Node, Digest>,
    }

    fn table(count: u64) -> Table {
        let (mut rows, mut nodes) = (vec![], BTreeMap::new());
        let (mut frontier, mut prev) = (Frontier::new(), Digest::ZERO);
        let text = |text: &str| Value::from(text);
        for seq in 0..count {
            let (kind, data) = match seq {
                0 => {
                    let names = ["chain", "client", "host", "machine", "software"];
                    ("genesis", Value::object(names.map(|name| (name, text(name)))))
                }
                _ => {
                    let hash = Digest::sha256(&seq.to_be_bytes());
                    ("head", Entry::Head { seq, hash }.to_value())
                }
            };
            let body = record::encode(kind, seq, prev, Timestamp::from_nanos(1), &data);
            prev = Digest::sha256(&body);
            frontier.push(leaf_hash(&body), |node, hash| {
                nodes.insert(node, hash);
            });
            rows.push((seq, prev.0.to_vec(), body));
        }
        Table { rows, nodes }
    }

    fn codes(table: &Table) -> Vec<&'static str> {
        let (mut verifier, mut report) = (RegistryVerifier::new(), Report::new());
        for (seq, hash, body) in &table.rows {
            let stored = |node| table.nodes.get(&node).copied();
            verifier.row((*seq, hash, body), stored, &mut report);
        }
        report.counts().map(|(code, _)| code.as_str()).collect()
    }

    #[test]
    fn a_good_registry_has_no_finding_and_each_change_has() {
        assert_eq!(codes(&table(9)), Vec::<&str>::new());
        let mut removed = table(9);
        removed.rows.remove(4);
        assert!(codes(&removed).contains(&"registry.broken"));
        let mut hash = table(9);
        hash.rows[4].1[0] ^= 1;
        assert_eq!(codes(&hash), ["registry.broken"]);
        let mut node = table(9);
        node.nodes.get_mut(&Node { level: 1, index: 2 }).unwrap().0[0] ^= 1;
        assert_eq!(codes(&node), ["registry.root"]);
        let mut renumbered = table(9);
        renumbered.rows[8].0 = 9;
        assert_eq!(codes(&renumbered), ["registry.broken"]);
    }

    #[test]
    fn a_resolution_of_an_alert_that_was_never_raised_is_found() {
        let mut table = table(3);
        let alert = crate::record::alert::Alert {
            id: "0123456789abcdef0123456789abcdef".into(),
            code: "later.code".into(),
            subject: "s".into(),
            severity: crate::report::Severity::Error,
            message: "m".into(),
            since: Timestamp::from_nanos(1),
            until: None,
            seq: 1,
            hash: Digest::sha256(b"x"),
        };
        let over =
            crate::record::alert::Alert { until: Some(Timestamp::from_nanos(1)), ..alert.clone() };
        let mut push = |alert: &crate::record::alert::Alert| {
            let (seq, prev) =
                (table.rows.len() as u64, Digest::sha256(&table.rows.last().unwrap().2));
            let data = Entry::Alert(alert.clone()).to_value();
            let body = record::encode("alert", seq, prev, Timestamp::from_nanos(1), &data);
            table.rows.push((seq, Digest::sha256(&body).0.to_vec(), body));
            let mut frontier = Frontier::new();
            table.nodes.clear();
            for (.., body) in &table.rows {
                frontier.push(leaf_hash(body), |node, hash| {
                    table.nodes.insert(node, hash);
                });
            }
            codes(&table)
        };
        assert_eq!(push(&alert), Vec::<&str>::new());
        assert_eq!(push(&over), Vec::<&str>::new());
        assert_eq!(push(&over), ["registry.broken"]);
    }

    #[test]
    fn each_changed_byte_of_a_body_is_found_even_with_its_hash_made_new() {
        let good = table(5);
        for at in 0..good.rows[3].2.len() {
            let mut bad = table(5);
            bad.rows[3].2[at] ^= 1;
            bad.rows[3].1 = Digest::sha256(&bad.rows[3].2).0.to_vec();
            assert!(codes(&bad).contains(&"registry.root"), "{at}");
            assert!(codes(&bad).contains(&"registry.broken"), "{at}");
        }
    }
}
