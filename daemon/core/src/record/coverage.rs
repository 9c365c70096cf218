//! How many packages are vouched for, and how far: by whose names they have,
//! and by the kind of what vouches (docs/format.md §12).

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec,
};

use crate::encoding::json::Value;

/// What a package's level is called in a bill of materials.
pub const ATTESTATION: &str = "msp-provenance:attestation";
/// What the counts are called there.
pub const COVERAGE: &str = "msp-provenance:coverage";
/// So many ecosystems, and so many kinds, are told apart.
const MAX_ROWS: usize = 32;
const MAX_NAME: usize = 64;

/// How far a package is vouched for. In this order each is better than the
/// one before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Something that is said of it does not hold.
    Mismatch,
    /// Nothing is said of it.
    Absent,
    /// Something is said of it, and not shown to be said by whom it should be.
    Detected,
    /// It is vouched for by whom the auditor named.
    Verified,
}

impl Level {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Verified, Self::Detected, Self::Absent, Self::Mismatch];

    /// `verified`, `detected`, `absent` or `mismatch`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Absent => "absent",
            Self::Detected => "detected",
            Self::Verified => "verified",
        }
    }

    /// The level of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// How many packages are of each level.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts(BTreeMap<Level, u64>);

impl Counts {
    /// How many are of this level.
    pub fn get(&self, level: Level) -> u64 {
        self.0.get(&level).copied().unwrap_or(0)
    }

    /// How many there are.
    pub fn sum(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn add(&mut self, level: Level, count: u64) {
        let known = self.0.entry(level).or_default();
        *known = known.saturating_add(count);
    }
}

/// The best that each kind of what vouches comes to; what does not hold weighs
/// more.
pub fn by_kind<K: Ord>(judged: impl IntoIterator<Item = (K, Level)>) -> BTreeMap<K, Level> {
    let mut kinds = BTreeMap::new();
    for (kind, level) in judged {
        let known = kinds.entry(kind).or_insert(level);
        let worse = level == Level::Mismatch || *known == Level::Mismatch;
        *known = if worse { Level::Mismatch } else { level.max(*known) };
    }
    kinds
}

/// `count` of `of`, rounded down, so that 100 means all; `None` of nothing.
pub fn per_cent(count: u64, of: u64) -> Option<u64> {
    let share = u128::from(count).saturating_mul(100).checked_div(u128::from(of))?;
    u64::try_from(share).ok()
}

/// The counts over some packages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// By whose names they have: `npm`, `pypi`, `file`.
    pub ecosystems: BTreeMap<String, Counts>,
    /// By the kind of what vouches, such as `provenance`.
    pub kinds: BTreeMap<String, Counts>,
}

impl Coverage {
    /// Counts one more package.
    pub fn count<'a>(
        &mut self,
        ecosystem: &str,
        level: Level,
        kinds: impl IntoIterator<Item = (&'a str, Level)>,
    ) {
        self.ecosystems.entry(ecosystem.to_owned()).or_default().add(level, 1);
        for (kind, level) in kinds {
            self.kinds.entry(kind.to_owned()).or_default().add(level, 1);
        }
    }

    /// Over all ecosystems.
    pub fn all(&self) -> Counts {
        let mut all = Counts::default();
        for counts in self.ecosystems.values() {
            counts.0.iter().for_each(|(level, count)| all.add(*level, *count));
        }
        all
    }

    /// The table for people.
    pub fn text(&self) -> String {
        let all = self.all();
        let cell = |count: u64, of: u64| match per_cent(count, of) {
            Some(share) => format!("{count} ({share} %)"),
            None => count.to_string(),
        };
        let mut lines = vec![format!(
            "{:<20}{:>9}{:>14}{:>14}{:>14}{:>14}",
            "coverage", "packages", "verified", "detected", "absent", "mismatch"
        )];
        let row = |name: &str, counts: &Counts| {
            let sum = counts.sum();
            let cells = Level::ALL.map(|level| format!("{:>14}", cell(counts.get(level), sum)));
            format!("{name:<20}{sum:>9}{}", cells.concat())
        };
        lines.extend(self.ecosystems.iter().map(|(name, counts)| row(name, counts)));
        if self.ecosystems.len() > 1 {
            lines.push(row("all", &all));
        }
        for (kind, counts) in &self.kinds {
            let cells = Level::ALL.map(|level| match level {
                // Of no kind there is nothing: that is not counted by kinds.
                Level::Absent => String::new(),
                level => cell(counts.get(level), all.sum()),
            });
            let cells = cells.map(|cell| format!("{cell:>14}"));
            lines.push(format!("{kind:<20}{:>9}{}", "", cells.concat()));
        }
        lines.join("\n")
    }

    /// As it stands in records and documents: what is zero is left out.
    pub fn to_value(&self) -> Value {
        let counts = |counts: &Counts| {
            let some = counts.0.iter().filter(|(_, count)| **count > 0);
            Value::object(some.map(|(level, count)| (level.as_str(), (*count).into())))
        };
        let rows = |rows: &BTreeMap<String, Counts>| {
            Value::object(rows.iter().map(|(name, row)| (name.as_str(), counts(row))))
        };
        Value::object([("ecosystems", rows(&self.ecosystems)), ("kinds", rows(&self.kinds))])
    }

    /// Reads what [`Self::to_value`] gives, and nothing else.
    pub fn read(value: &Value) -> Option<Self> {
        let coverage =
            Self { ecosystems: rows(value.get("ecosystems")?)?, kinds: rows(value.get("kinds")?)? };
        (coverage.to_value() == *value).then_some(coverage)
    }
}

fn rows(value: &Value) -> Option<BTreeMap<String, Counts>> {
    let Value::Object(members) = value else { return None };
    let row = |(name, counts): (&_, &Value)| {
        let name: &crate::encoding::json::Name = name;
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = !name.as_str().is_empty()
            && name.as_str().len() <= MAX_NAME
            && name.as_str().bytes().all(plain);
        let Value::Object(counts) = counts else { return None };
        let count = |(level, count): (&crate::encoding::json::Name, &Value)| {
            Some((Level::of(level.as_str())?, u64::try_from(count.as_int()?).ok()?))
        };
        let counts = counts.iter().map(count).collect::<Option<_>>()?;
        fits.then(|| (name.as_str().to_string(), Counts(counts)))
    };
    (members.len() <= MAX_ROWS).then(|| members.iter().map(row).collect::<Option<_>>())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage() -> Coverage {
        let mut coverage = Coverage::default();
        coverage.count("npm", Level::Verified, [("provenance", Level::Verified)]);
        coverage.count("npm", Level::Absent, []);
        coverage.count("pypi", Level::Mismatch, [("publish", Level::Mismatch)]);
        coverage
    }

    #[test]
    fn it_survives_its_bytes_and_nothing_else_passes() {
        for coverage in [coverage(), Coverage::default()] {
            let bytes = coverage.to_value().encode();
            assert_eq!(Coverage::read(&Value::parse(&bytes).unwrap()), Some(coverage));
        }
        let text = String::from_utf8(coverage().to_value().encode()).unwrap();
        assert_eq!(
            text,
            "{\"ecosystems\":{\"npm\":{\"absent\":1,\"verified\":1},\"pypi\":{\"mismatch\":1}},\
             \"kinds\":{\"provenance\":{\"verified\":1},\"publish\":{\"mismatch\":1}}}"
        );
        for (from, to) in [
            ("\"absent\":1", "\"absent\":0"),
            ("\"absent\":1", "\"absent\":-1"),
            ("\"absent\"", "\"absent2\""),
            ("\"kinds\"", "\"kind\""),
            ("{\"ecosystems\"", "{\"a\":1,\"ecosystems\""),
            ("\"npm\"", "\"NPM\""),
            ("\"npm\"", "\"\""),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let value = Value::parse(changed.as_bytes()).unwrap();
            assert_eq!(Coverage::read(&value), None, "{changed}");
        }
        let mut many = Coverage::default();
        (0..33).for_each(|n| many.count(&format!("e{n}"), Level::Absent, []));
        assert_eq!(Coverage::read(&many.to_value()), None);
    }

    #[test]
    fn a_kind_is_as_good_as_its_best_unless_something_does_not_hold() {
        use Level::{Detected, Mismatch, Verified};
        let judged = [("a", Detected), ("a", Verified), ("b", Verified), ("b", Mismatch)];
        let kinds = by_kind(judged.into_iter().chain([("b", Verified), ("c", Detected)]));
        assert_eq!(kinds, [("a", Verified), ("b", Mismatch), ("c", Detected)].into());
        assert_eq!(coverage().all().sum(), 3);
        assert_eq!(coverage().all().get(Detected), 0);
    }

    #[test]
    fn a_hundred_per_cent_are_all() {
        assert_eq!(
            [per_cent(999, 1000), per_cent(3, 3), per_cent(0, 0)],
            [Some(99), Some(100), None]
        );
        assert_eq!(per_cent(u64::MAX, u64::MAX), Some(100));
    }
}
