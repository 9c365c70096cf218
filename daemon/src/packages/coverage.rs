//! How many packages are vouched for, by kind: counts and per cent.

use std::collections::BTreeMap;

use provenance_core::canon::Value;

use super::{Ecosystem, Kind, Level, outcome::Outcome};

/// The counts over some packages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    rows: BTreeMap<Ecosystem, BTreeMap<Level, u64>>,
    kinds: BTreeMap<Kind, BTreeMap<Level, u64>>,
}

impl Coverage {
    /// Counts.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut coverage = Self::default();
        for outcome in outcomes {
            let row = coverage.rows.entry(outcome.package.ecosystem).or_default();
            *row.entry(outcome.level).or_default() += 1;
            for (kind, level) in outcome.kinds() {
                *coverage.kinds.entry(kind).or_default().entry(level).or_default() += 1;
            }
        }
        coverage
    }

    /// How many packages there are.
    pub fn packages(&self) -> u64 {
        self.rows.values().flat_map(BTreeMap::values).sum()
    }

    /// How many are of this level, in one ecosystem or in all.
    pub fn count(&self, ecosystem: Option<Ecosystem>, level: Level) -> u64 {
        let rows = self.rows.iter().filter(|(of, _)| ecosystem.is_none_or(|it| it == **of));
        rows.filter_map(|(_, row)| row.get(&level)).sum()
    }

    /// The table for people.
    pub fn text(&self) -> String {
        let total = self.packages();
        let cell = |count: u64, of: u64| match per_cent(count, of) {
            Some(share) => format!("{count} ({share} %)"),
            None => count.to_string(),
        };
        let mut lines = vec![format!(
            "{:<20}{:>9}{:>14}{:>14}{:>14}{:>14}",
            "coverage", "packages", "verified", "detected", "absent", "mismatch"
        )];
        let row = |name: &str, of: Option<Ecosystem>| {
            let counts = Level::ALL.map(|level| self.count(of, level));
            let sum = counts.iter().sum();
            let cells = counts.map(|count| format!("{:>14}", cell(count, sum)));
            format!("{name:<20}{sum:>9}{}", cells.concat())
        };
        lines.extend(self.rows.keys().map(|of| row(of.as_str(), Some(*of))));
        if self.rows.len() > 1 {
            lines.push(row("all", None));
        }
        for (kind, counts) in &self.kinds {
            let of = |level| counts.get(&level).copied().unwrap_or(0);
            let each = [Level::Verified, Level::Detected].map(|level| cell(of(level), total));
            let bad = cell(of(Level::Mismatch), total);
            lines.push(format!(
                "{:<20}{:>9}{:>14}{:>14}{:>14}{bad:>14}",
                kind.as_str(),
                "",
                each[0],
                each[1],
                ""
            ));
        }
        lines.join("\n")
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        let total = self.packages();
        let share = |count: u64, of: u64| {
            Value::object([("count", count.into())]).with_some("per_cent", per_cent(count, of))
        };
        let levels = |of: Option<Ecosystem>| {
            let counts = Level::ALL.map(|level| (level.as_str(), self.count(of, level)));
            let sum: u64 = counts.iter().map(|(_, count)| count).sum();
            Value::object(counts.map(|(name, count)| (name, share(count, sum))))
        };
        let kinds = self.kinds.iter().map(|(kind, counts)| {
            let of = |level| share(counts.get(&level).copied().unwrap_or(0), total);
            let each = [Level::Verified, Level::Detected, Level::Mismatch];
            (kind.as_str(), Value::object(each.map(|level| (level.as_str(), of(level)))))
        });
        let rows = self.rows.keys().map(|of| (of.as_str(), levels(Some(*of))));
        Value::object([
            ("packages", total.into()),
            ("levels", levels(None)),
            ("ecosystems", Value::object(rows)),
            ("kinds", Value::object(kinds)),
        ])
    }
}

/// Rounded down, so that 100 means all.
fn per_cent(count: u64, of: u64) -> Option<u64> {
    count.saturating_mul(100).checked_div(of)
}
