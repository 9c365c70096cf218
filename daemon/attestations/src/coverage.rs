//! How many packages are vouched for, by kind: counts and per cent.

use provenance_core::{
    encoding::json::Value,
    record::coverage::{Counts, Coverage, per_cent},
};

use crate::{Level, outcome::Outcome};

pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Coverage {
    let mut coverage = Coverage::default();
    for outcome in outcomes {
        let kinds = outcome.kinds();
        let kinds = kinds.iter().map(|(kind, level)| (kind.as_str(), *level));
        coverage.count(outcome.package.ecosystem.as_str(), outcome.level, kinds);
    }
    coverage
}

pub fn to_value(coverage: &Coverage) -> Value {
    let all = coverage.all();
    let shares = |counts: &Counts, of: u64, levels: &[Level]| {
        Value::object(levels.iter().map(|level| {
            let count = counts.get(*level);
            let value = Value::object([("count", count.into())]);
            (level.as_str(), value.with_some("per_cent", per_cent(count, of)))
        }))
    };
    let kinds = coverage.kinds.iter().map(|(kind, counts)| {
        let levels = [Level::Verified, Level::Detected, Level::Mismatch];
        (kind.as_str(), shares(counts, all.sum(), &levels))
    });
    let rows = coverage.ecosystems.iter();
    let rows = rows.map(|(of, counts)| (of.as_str(), shares(counts, counts.sum(), &Level::ALL)));
    Value::object([
        ("packages", all.sum().into()),
        ("levels", shares(&all, all.sum(), &Level::ALL)),
        ("ecosystems", Value::object(rows)),
        ("kinds", Value::object(kinds)),
    ])
}
