//! What the page is made of.

use crate::report_html::{clock::Clock, coverage::TimeCoverage, registry_summary::RegistrySummary};

/// The form of the page; a page of another form cannot be made again.
pub const FORM: &str = "<meta name=\"generator\" content=\"msp-provenance report 2\">";

/// What the page is made of, gathered record by record.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) cover: TimeCoverage,
    pub(super) clock: Clock,
    pub(super) told: RegistrySummary,
}
