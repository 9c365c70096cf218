//! The registry's export in a packet: steps 4.2, 4.3 and 4.10 over its lines,
//! and what the other files are held against.

use std::{collections::BTreeMap, io};

use provenance_core::{
    encoding::{digest::Digest, time::Timestamp},
    packet::{self, Facts},
    registry::{Entry, KeyEntry, Segment},
    report::{Code, Finding, Location, Report},
    verify::{anchor_history::AnchorHistory, registry::RegistryVerifier},
};

use super::walk::Walk;
use crate::{VerifyError, line_reader::for_each_line, report_html::Page};

/// So many heads, closed files and keys are held against the chain. A packet
/// of many years has fewer.
const MAX_JOINED: usize = 200_000;

/// A record of the chain that the registry names.
pub(super) struct Named {
    pub(super) seq: u64,
    pub(super) hash: Digest,
    /// By which of its records.
    pub(super) row: u64,
    /// When that was written.
    pub(super) time: Timestamp,
}

/// What the export tells.
pub(super) struct Registry {
    pub(super) size: u64,
    pub(super) root: Digest,
    pub(super) facts: Facts,
    pub(super) page: Page,
    pub(super) keys: Vec<(KeyEntry, u64)>,
    /// By their place in the chain.
    pub(super) heads: Vec<Named>,
    pub(super) segments: BTreeMap<String, (Segment, u64)>,
    pub(super) anchors: AnchorHistory,
    /// The record of the period's newest bundle.
    pub(super) newest_bundle: Option<u64>,
    /// The root at each size from 1 on, as far as they are kept.
    pub(super) roots: Vec<Digest>,
    /// How many records are of certificates, packages and counter-signatures,
    /// whose own signatures are not judged here.
    pub(super) vouching: u64,
}

impl Walk<'_> {
    /// Step 13.5.
    pub(super) fn registry(&mut self, report: &mut Report) -> Result<Registry, VerifyError> {
        let mut verifier = RegistryVerifier::of_export();
        let mut registry = Registry {
            size: 0,
            root: verifier.tree().root(),
            facts: Facts::new(self.manifest.from, self.manifest.to),
            page: Page::new(self.manifest.from, self.manifest.to),
            keys: vec![],
            heads: vec![],
            segments: BTreeMap::new(),
            anchors: AnchorHistory::default(),
            newest_bundle: None,
            roots: vec![],
            vouching: 0,
        };
        let Some(at) = self.archive.find(packet::REGISTRY) else { return Ok(registry) };
        let Some(entry) = self.archive.entries.get(at) else { return Ok(registry) };
        let mut content = self.archive.content(entry);
        let mut dropped = 0u64;
        let mut lines = Report::new();
        let read = for_each_line::<io::Error>(&mut content, |line| {
            let row = verifier.tree().size();
            if let Some(seen) = verifier.line(line, &mut lines) {
                registry.facts.entry(seen.seq, seen.time, &seen.entry);
                registry.page.entry(seen.seq, seen.time, &seen.entry);
                dropped += u64::from(!registry.take(seen.time, seen.entry, row));
            }
            if registry.roots.len() < MAX_JOINED {
                registry.roots.push(verifier.tree().root());
            }
            Ok(())
        });
        report.absorb(lines);
        if matches!(read, Ok((torn, _)) if torn > 0) {
            let message = "there are bytes behind the last line's end";
            let place = Location::file(packet::REGISTRY);
            report.add_finding(Finding::new(Code::RegistryBroken, place, message));
        }
        let sums = content.finish(read.map(|_| ()), report)?;
        self.hold(at, sums.as_ref(), report);
        registry.facts.end_of_registry();
        registry.anchors = verifier.anchors().clone();
        registry.heads.sort_by_key(|named| (named.seq, named.row));
        (registry.size, registry.root) = (verifier.tree().size(), verifier.tree().root());
        if dropped > 0 || registry.facts.too_much {
            let why = "there are more heads, bundles or keys than a packet is checked for";
            report.not_checked_decisive("all that the registry names", why);
        }
        self.compare(&registry, verifier.identity(), report);
        Ok(registry)
    }

    fn compare(
        &self,
        registry: &Registry,
        identity: Option<(&str, &str, &str)>,
        report: &mut Report,
    ) {
        let manifest = &self.manifest;
        let place = || Location::file(packet::REGISTRY);
        if (registry.size, registry.root) != (manifest.size, manifest.root) {
            let message = "the registry's records are not those that the manifest names";
            let finding = Finding::new(Code::RegistryRoot, place(), message);
            let text = |size: u64, root: Digest| format!("{size} records, root {root}");
            let expected = text(manifest.size, manifest.root);
            report.add_finding(finding.values(expected, text(registry.size, registry.root)));
        }
        let expected = (&*manifest.chain.id, &*manifest.client, &*manifest.host);
        if identity.is_some_and(|identity| identity != expected) {
            let message = "the registry is of another chain, client or host than the manifest";
            report.add_finding(Finding::new(Code::RegistryBroken, place(), message));
        }
    }
}

/// What a tree of some size is held against.
pub(super) enum Then {
    /// The root that the registry had.
    Root(Digest),
    /// The registry never had so many records.
    Beyond,
    /// It is longer than what is kept of it.
    Forgotten,
}

impl Registry {
    /// What the registry was when it had `size` records.
    pub(super) fn then(&self, size: u64) -> Then {
        let before = size.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        match before.and_then(|at| self.roots.get(at)) {
            Some(root) => Then::Root(*root),
            None if size > self.size => Then::Beyond,
            None => Then::Forgotten,
        }
    }

    /// Keeps what the chain is held against; `false` where there is no room.
    fn take(&mut self, time: Timestamp, entry: Entry, row: u64) -> bool {
        let kept = self.heads.len().max(self.segments.len()).max(self.keys.len());
        let room = kept < MAX_JOINED;
        match entry {
            Entry::Head { seq, hash } if room => {
                self.heads.push(Named { seq, hash, row, time });
            }
            Entry::Alert(alert) if room => {
                self.heads.push(Named { seq: alert.seq, hash: alert.hash, row, time });
            }
            Entry::Segment(segment) if room => {
                self.segments.insert(segment.name.clone(), (segment, row));
            }
            Entry::Key(key) if room => self.keys.push((key, row)),
            Entry::Bundle(bundle) if self.facts.bundles.contains_key(&bundle.id) => {
                self.newest_bundle = Some(row);
            }
            Entry::Head { .. } | Entry::Alert(_) | Entry::Segment(_) | Entry::Key(_) => {
                return false;
            }
            Entry::Certificate(_) | Entry::Package(_) | Entry::Countersign(_) => self.vouching += 1,
            _ => {}
        }
        true
    }
}
