//! The chain's records in a packet: section 2 over them as a part of a chain,
//! and what the registry says of them.

use std::io;

use provenance_core::{
    encoding::time::Day,
    record::chain::Body,
    report::{Code, Finding, Head, Location, Report},
    signing::checkpoint::{Checkpoint, Note},
    verify::chain::ChainVerifier,
};

use super::{
    VerifyError,
    registry::{Registry, Then},
    walk::Walk,
};
use crate::{
    cross_check::{compare_head, compare_segment},
    line_reader::for_each_line,
};

impl Walk<'_> {
    /// Steps 13.7.
    pub(super) fn chain(
        &mut self,
        registry: &mut Registry,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let max_gap = self.trust.policy.as_ref().and_then(|policy| policy.max_gap_s);
        let partial = self.manifest.chain.first.seq != 0;
        let mut verifier = ChainVerifier::new(partial, true).with_max_gap(max_gap);
        let (mut first, mut next, mut late) = (None::<Head>, 0, None);
        for at in 0..self.archive.entries.len() {
            let Some(entry) = self.archive.entries.get(at) else { break };
            let Some(name) = entry.name.strip_prefix("chain/").map(|_| entry.name.clone()) else {
                continue;
            };
            self.trust.stop.check()?;
            let Some(day) = day_of(&name) else { continue };
            verifier.begin_file(&name, Some(day));
            let mut content = self.archive.content(entry);
            let (mut line_number, mut count) = (0, 0);
            let (from, to) = (self.manifest.from, self.manifest.to);
            let read = for_each_line::<io::Error>(&mut content, |line| {
                line_number += 1;
                count += 1;
                if count % 4096 == 0 {
                    (self.progress)(self.records + count);
                }
                let Some(seen) = verifier.line(line, report) else { return Ok(()) };
                let head = seen.head;
                first.get_or_insert(head);
                if !(from..to).contains(&head.time) {
                    late.get_or_insert((name.clone(), line_number));
                }
                let is_tick = matches!(seen.body, Body::Tick(_));
                registry.facts.record(head.seq, head.time, is_tick);
                registry.page.record(head.time, &seen.body);
                let place = Location::file(&name).line(line_number);
                if let Body::Checkpoint { note } = &seen.body {
                    root(registry, note, place.clone().at_seq(head.seq), report);
                }
                while let Some(named) = registry.heads.get(next) {
                    match named.seq.cmp(&head.seq) {
                        std::cmp::Ordering::Greater => break,
                        std::cmp::Ordering::Equal => {
                            let named = (named.seq, named.hash, named.row);
                            compare_head(
                                named.0,
                                named.1,
                                named.2,
                                head.hash,
                                place.clone(),
                                report,
                            );
                        }
                        std::cmp::Ordering::Less => {}
                    }
                    next += 1;
                }
                Ok(())
            });
            self.records += count;
            if let Ok((torn, _)) = &read
                && *torn > 0
            {
                verifier.torn(*torn, report);
            }
            let sums = content.finish(read.map(|_| ()), report)?;
            self.hold(at, sums.as_ref(), report);
            let summary = verifier.end_file();
            if let Some((segment, row)) = registry.segments.get(&name)
                && within(&self.manifest.chain, segment.first_seq, segment.count)
            {
                compare_segment(segment, *row, &summary, report);
                registry.segments.remove(&name);
            }
        }
        verifier.finish(report);
        if let Some((name, line)) = late {
            let message = "a record's time is outside the packet's period";
            let place = Location::file(name).line(line);
            report.add_finding(Finding::new(Code::PacketMalformed, place, message));
        }
        report.head = verifier.head();
        self.ends(first, verifier.head(), report);
        self.complete(registry, report);
        Ok(())
    }

    /// The first and the last record are those of the manifest.
    fn ends(&self, first: Option<Head>, last: Option<Head>, report: &mut Report) {
        let chain = &self.manifest.chain;
        for (what, link, head) in [("first", chain.first, first), ("last", chain.last, last)] {
            if head.is_none_or(|head| (head.seq, head.hash) != (link.seq, link.hash)) {
                let message = format!("the {what} record of the period is not in the packet");
                let finding = Finding::new(Code::BundleChain, Location::seq(link.seq), message);
                let got = head.map_or_else(|| "nothing".into(), |head| head.hash.to_string());
                report.add_finding(finding.values(link.hash, got));
            }
        }
    }

    /// No record of the period that the registry knows was left out.
    fn complete(&self, registry: &Registry, report: &mut Report) {
        let chain = &self.manifest.chain;
        let (from, to) = (self.manifest.from, self.manifest.to);
        let cut = |seq: u64, row: u64, what: String, report: &mut Report| {
            let message = format!(
                "{what}, and the packet holds only records {} to {}",
                chain.first.seq, chain.last.seq
            );
            let place = Location::file(provenance_core::packet::REGISTRY).at_seq(row);
            let finding = Finding::new(Code::ChainTruncated, place, message);
            report.add_finding(finding.values(format!("record {seq}"), "nothing"));
        };
        // What was on record before the period's end is of the period.
        let behind = registry.heads.iter().filter(|named| named.seq > chain.last.seq);
        if let Some(named) = behind.filter(|named| named.time < to).max_by_key(|named| named.seq) {
            let what =
                format!("the registry named record {} of the chain in the period", named.seq);
            cut(named.seq, named.row, what, report);
        }
        for (name, (segment, row)) in &registry.segments {
            const DAY: i64 = 86_400_000_000_000;
            let last = segment.first_seq.saturating_add(segment.count.saturating_sub(1));
            let overlaps = segment.first_seq <= chain.last.seq && last >= chain.first.seq;
            let inside = day_of(name)
                .and_then(Day::start)
                .is_some_and(|start| start >= from && start.plus_nanos(DAY) <= to);
            let there = self.archive.find(name).is_some();
            if overlaps && !there || inside && !overlaps {
                let what = format!("the closed file {name} is of the period");
                cut(segment.first_seq, *row, what, report);
            }
        }
    }
}

fn within(
    chain: &provenance_core::statement::evidence::ChainRange,
    first: u64,
    count: u64,
) -> bool {
    let last = first.saturating_add(count.saturating_sub(1));
    first >= chain.first.seq && last <= chain.last.seq
}

/// Step 5.4: a checkpoint in the chain has the root that the registry had.
fn root(registry: &Registry, note: &str, place: Location, report: &mut Report) {
    let checkpoint = Note::parse(note).and_then(|note| Checkpoint::parse(note.text));
    let checkpoint = match checkpoint {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            report.add_finding(Finding::new(Code::CheckpointInvalid, place, error.to_string()));
            return;
        }
    };
    same_root(&checkpoint, registry, place, report);
}

/// Whether the registry had the root that a checkpoint signs.
pub(super) fn same_root(
    checkpoint: &Checkpoint,
    registry: &Registry,
    place: Location,
    report: &mut Report,
) {
    match registry.then(checkpoint.size) {
        Then::Root(root) if root == checkpoint.root => report.checked("checkpoints", 1),
        Then::Root(root) => {
            let message = "the registry is not the one that the checkpoint signs";
            let finding = Finding::new(Code::RegistryRoot, place, message);
            report.add_finding(finding.values(checkpoint.root, root));
        }
        Then::Beyond => {
            let message = "the registry ends before what the checkpoint signs";
            let finding = Finding::new(Code::RegistryRoot, place, message);
            report.add_finding(finding.values(checkpoint.size, registry.size));
        }
        Then::Forgotten => {
            report.not_checked_decisive("a checkpoint", "the registry is too long for it")
        }
    }
}

/// The day of `chain/YYYY/MM/DD.jsonl`.
fn day_of(name: &str) -> Option<Day> {
    let stem = name.strip_prefix("chain/")?.strip_suffix(".jsonl")?;
    let mut parts = stem.split('/');
    let day = Day {
        year: parts.next()?.parse().ok()?,
        month: parts.next()?.parse().ok()?,
        day: parts.next()?.parse().ok()?,
    };
    (day.start().is_some() && day.path() == stem).then_some(day)
}
