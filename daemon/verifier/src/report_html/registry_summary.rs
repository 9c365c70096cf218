//! What the registry tells a reader: verifications, alerts, anchors, reviews,
//! exports, keys and software.

use std::collections::{BTreeMap, VecDeque};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    record::{alert::Alert, coverage::Coverage},
    registry::{AnchorStep, CertificateEntry, Entry, KeyAction, PacketEntry, VerifyEntry},
};

use super::html::named;

/// So many of a kind are kept, the latest.
const MAX: usize = 1_000;

/// The newest of a kind, and how many there were.
#[derive(Clone, Debug)]
pub(super) struct Latest<T> {
    pub(super) items: VecDeque<T>,
    pub(super) count: u64,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), count: 0 }
    }
}

impl<T> Latest<T> {
    fn push(&mut self, item: T) {
        if self.items.len() == MAX {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.count += 1;
    }

    /// How many there were, those that are not kept too.
    pub(super) fn all(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }
}

/// An anchor as its last record has it.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    pub(super) size: u64,
    pub(super) state: &'static str,
    pub(super) since: Timestamp,
    pub(super) network: String,
    pub(super) txid: Option<String>,
    pub(super) height: Option<u32>,
}

/// An inventory of software.
#[derive(Clone, Debug)]
pub(super) struct Inventory {
    pub(super) time: Timestamp,
    pub(super) system: String,
    pub(super) source: String,
    pub(super) packages: u64,
    coverage: Option<Box<Coverage>>,
}

impl Inventory {
    /// How many of its packages are vouched for, where that was looked at.
    pub(super) fn covered(&self) -> Option<&Coverage> {
        self.coverage.as_deref()
    }
}

/// Without the certificate itself, which the page does not show.
fn bare(entry: &CertificateEntry) -> CertificateEntry {
    let mut entry = entry.clone();
    if let CertificateEntry::Issued(issued) = &mut entry {
        issued.der = vec![];
    }
    entry
}

/// A review: who, what, outcome.
pub(super) type Review = (Timestamp, [String; 3]);

/// What the registry tells.
#[derive(Clone, Debug)]
pub(super) struct RegistrySummary {
    from: Timestamp,
    to: Timestamp,
    /// The last verification on record.
    pub(super) verified: Option<(Timestamp, VerifyEntry)>,
    /// How many in the period ended so: verified, inconclusive, failed.
    pub(super) verdicts: [u64; 3],
    /// Alerts of the period by id, whether they are over or not.
    pub(super) alerts: BTreeMap<String, Alert>,
    pub(super) alerts_dropped: u64,
    /// By the size of the tree.
    pub(super) anchors: BTreeMap<u64, Anchor>,
    /// Where in the registry each bundle of the period lies.
    pub(super) bundles: BTreeMap<String, u64>,
    pub(super) reviews: Latest<Review>,
    pub(super) exports: Latest<(Timestamp, PacketEntry)>,
    /// Name, fingerprint, what happened, when.
    pub(super) keys: Latest<(String, Digest, KeyAction, Timestamp)>,
    pub(super) sboms: Latest<Inventory>,
    pub(super) certificates: Latest<(Timestamp, CertificateEntry)>,
    /// Event, package, version, who says so.
    pub(super) packages: Latest<(Timestamp, [String; 4])>,
    /// What, who signed, who asked, why.
    pub(super) countersigned: Latest<(Timestamp, [String; 4])>,
}

impl RegistrySummary {
    pub(super) fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from,
            to,
            verified: None,
            verdicts: [0; 3],
            alerts: BTreeMap::new(),
            alerts_dropped: 0,
            anchors: BTreeMap::new(),
            bundles: BTreeMap::new(),
            reviews: Latest::default(),
            exports: Latest::default(),
            keys: Latest::default(),
            sboms: Latest::default(),
            certificates: Latest::default(),
            packages: Latest::default(),
            countersigned: Latest::default(),
        }
    }

    pub(super) fn entry(&mut self, seq: u64, time: Timestamp, entry: &Entry) {
        match entry {
            Entry::Verify(verify) => {
                if (self.from..self.to).contains(&time) {
                    let words = ["verified", "inconclusive", "failed"];
                    let at = words.iter().position(|word| *word == verify.verdict);
                    if let Some(count) = at.and_then(|at| self.verdicts.get_mut(at)) {
                        *count += 1;
                    }
                }
                self.verified = Some((time, verify.clone()));
            }
            Entry::Alert(alert) => self.alert(alert),
            Entry::Bundle(bundle)
                if bundle.from < self.to
                    && self.from <= bundle.to
                    && self.bundles.len() < MAX * 64 =>
            {
                self.bundles.insert(bundle.id.clone(), seq);
            }
            Entry::Anchor(anchor) => {
                if self.anchors.len() >= MAX && !self.anchors.contains_key(&anchor.size) {
                    self.anchors.pop_first();
                }
                let known = self.anchors.entry(anchor.size).or_insert_with(|| Anchor {
                    size: anchor.size,
                    state: "",
                    since: time,
                    network: String::new(),
                    txid: None,
                    height: None,
                });
                (known.state, known.since) = (anchor.step.state(), time);
                known.take(&anchor.step);
            }
            Entry::Review { what, who, outcome } if time >= self.from => {
                self.reviews.push((time, [who.clone(), what.clone(), outcome.clone()]));
            }
            Entry::Packet(packet) => self.exports.push((time, packet.clone())),
            Entry::Key(key) => {
                self.keys.push((key.name.clone(), key.key.fingerprint(), key.action, time));
            }
            Entry::Sbom(sbom) if time < self.to => {
                self.sboms.push(Inventory {
                    time,
                    system: sbom.system.clone(),
                    source: sbom.source.clone(),
                    packages: sbom.packages,
                    coverage: sbom.coverage.clone().map(Box::new),
                });
            }
            Entry::Certificate(entry) => self.certificates.push((time, bare(entry))),
            Entry::Package(entry) if time >= self.from => {
                let words = [&entry.event, &entry.package, &entry.version, &entry.who];
                self.packages.push((time, words.map(Clone::clone)));
            }
            Entry::Countersign(entry) => {
                let asked = &entry.request;
                let what = named(&asked.subject.name, asked.version.as_deref());
                let why = entry.reason.clone().unwrap_or_default();
                let words = [what, entry.who.clone(), asked.author.clone(), why];
                self.countersigned.push((time, words));
            }
            _ => {}
        }
    }

    /// Those that are open, or were in the period.
    fn alert(&mut self, alert: &Alert) {
        if alert.until.is_some_and(|until| until < self.from) || alert.since >= self.to {
            self.alerts.remove(&alert.id);
            return;
        }
        if self.alerts.len() >= MAX && !self.alerts.contains_key(&alert.id) {
            // Those that are over make room first.
            let over = self.alerts.iter().find(|(_, known)| known.until.is_some());
            let over = over.map(|(id, _)| id.clone());
            self.alerts_dropped += 1;
            match over {
                Some(id) => self.alerts.remove(&id),
                None => return,
            };
        }
        self.alerts.insert(alert.id.clone(), alert.clone());
    }

    /// The anchor that covers the record `seq`: the first that is in a block,
    /// else the first that is under way.
    pub(super) fn anchor_of(&self, seq: u64) -> Option<&Anchor> {
        let over = || self.anchors.range(seq.saturating_add(1)..).map(|(_, anchor)| anchor);
        over().find(|anchor| anchor.in_block()).or_else(|| over().find(|a| a.state != "failed"))
    }
}

impl Anchor {
    pub(super) fn in_block(&self) -> bool {
        matches!(self.state, "mined" | "final" | "attested")
    }

    fn take(&mut self, step: &AnchorStep) {
        match step {
            AnchorStep::Intended { network, .. } => self.network.clone_from(network),
            AnchorStep::Signed(signed) => self.txid = Some(signed.txid.to_hex()),
            AnchorStep::Replaced { by, .. } => self.txid = Some(by.txid.to_hex()),
            AnchorStep::Mined { txid, height, .. } => {
                (self.txid, self.height) = (Some(txid.to_hex()), Some(*height));
            }
            AnchorStep::Final { txid, proof, .. } => {
                (self.txid, self.height) = (Some(txid.to_hex()), Some(proof.height));
            }
            AnchorStep::Reorged { .. } | AnchorStep::Promised { .. } => self.height = None,
            AnchorStep::Broadcast { txid } => self.txid = Some(txid.to_hex()),
            AnchorStep::Attested { height, .. } => self.height = Some(*height),
            AnchorStep::Failed { .. } => {}
        }
    }
}
