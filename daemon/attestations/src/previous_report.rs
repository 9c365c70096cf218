//! An earlier report of the same packages: nobody should be vouched for less
//! than before.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Level, Package};

/// A report is at most this long.
pub const MAX_REPORT: u64 = 256 << 20;

/// The levels that packages had, by their full names.
#[derive(Clone, Debug, Default)]
pub struct Previous(BTreeMap<String, Level>);

#[derive(Deserialize)]
struct Report {
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    ecosystem: String,
    name: String,
    level: String,
}

impl Previous {
    /// Reads the JSON of an earlier `verify-package`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let report: Report = serde_json::from_slice(bytes)
            .map_err(|error| format!("no report of verify-package --json: {error}"))?;
        let mut levels = BTreeMap::new();
        for entry in report.packages {
            let level = Level::of(&entry.level)
                .ok_or_else(|| format!("{}: no level \"{}\"", entry.name, entry.level))?;
            let name = format!("{}:{}", entry.ecosystem, entry.name);
            // Of several versions, the best that there was.
            let best = levels.entry(name).or_insert(level);
            *best = level.max(*best);
        }
        Ok(Self(levels))
    }

    /// What the package had, where that was better. That something did not
    /// hold is no level that could be lost.
    pub fn better(&self, package: &Package, now: Level) -> Option<Level> {
        let before = *self.0.get(&package.full_name())?;
        (before > now && before > Level::Absent).then_some(before)
    }
}
