//! `report.html` (docs/format.md §13): one page for people, made from what the
//! registry and the chain in a packet tell, so that a verifier makes it again.
//!
//! All that comes from records is hostile: it is escaped where it is written,
//! and what is kept of it is bounded.

mod charts;
mod clock;
mod coverage;
mod html;
mod page;
mod registry_summary;
mod sections;
mod software;
mod tables;

pub use page::{FORM, Page};

use provenance_core::{
    encoding::time::Timestamp,
    packet::{Facts, Manifest},
    record::chain::Body,
    registry::Entry,
};

use clock::Clock;
use coverage::TimeCoverage;
use registry_summary::RegistrySummary;

impl Page {
    /// Of the period from `from` up to `to`.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self {
            cover: TimeCoverage::new(from, to),
            clock: Clock::default(),
            told: RegistrySummary::new(from, to),
        }
    }

    /// The next record of the registry.
    pub fn entry(&mut self, seq: u64, time: Timestamp, entry: &Entry) {
        self.told.entry(seq, time, entry);
    }

    /// The next record of the chain in the period.
    pub fn record(&mut self, time: Timestamp, body: &Body<'_>) {
        self.cover.record(time, body);
        if let Body::Tick(tick) = body {
            self.clock.tick(time, &tick.clock);
        }
    }

    /// The page. Of `manifest` only what the period, the appliance, the chain
    /// and the registry are.
    pub fn render(&self, manifest: &Manifest, facts: &Facts) -> Vec<u8> {
        sections::page(self, manifest, facts).into_bytes()
    }

    /// Whether `bytes` are a page of this version's form.
    pub fn is_of_this_form(bytes: &[u8]) -> bool {
        let start = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
        start.windows(FORM.len()).any(|window| window == FORM.as_bytes())
    }
}

#[cfg(test)]
mod tests;
