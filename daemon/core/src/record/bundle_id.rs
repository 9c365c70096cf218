//! The id of an evidence bundle, which is also its folder's name.

use core::{fmt, str::FromStr};

use crate::encoding::time::Day;

/// A bundle's id: `EB-YYYYMMDD-NNNN`, numbered from 0001 on each UTC day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BundleId {
    day: Day,
    number: u16,
}

impl BundleId {
    /// The `number`th bundle of `day`; from 1 to 9999.
    pub fn new(day: Day, number: u16) -> Option<Self> {
        day.start()?;
        (1..=9999).contains(&number).then_some(Self { day, number })
    }

    /// The UTC day the bundle was made on.
    pub fn day(self) -> Day {
        self.day
    }

    /// Its number on that day, from 1.
    pub fn number(self) -> u16 {
        self.number
    }

    /// The next of the same day, while there are numbers.
    pub fn next(self) -> Option<Self> {
        Self::new(self.day, self.number.saturating_add(1))
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EB-{}-{:04}", self.day.compact(), self.number)
    }
}

/// A text that is no bundle's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a bundle's id; it looks like EB-20261121-0001")]
pub struct NotABundleId;

impl FromStr for BundleId {
    type Err = NotABundleId;

    fn from_str(text: &str) -> Result<Self, NotABundleId> {
        let digits = |range| {
            let digits = text.get(range).filter(|s: &&str| s.bytes().all(|c| c.is_ascii_digit()));
            digits.and_then(|digits| digits.parse::<u16>().ok())
        };
        let id = || {
            let day = Day {
                year: digits(3..7)?,
                month: digits(7..9)?.try_into().ok()?,
                day: digits(9..11)?.try_into().ok()?,
            };
            (text.len() == 16 && text.starts_with("EB-") && text.get(11..12) == Some("-"))
                .then(|| Self::new(day, digits(12..16)?))?
        };
        id().ok_or(NotABundleId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn an_id_names_a_day_that_exists_and_a_number_from_1() {
        let id: BundleId = "EB-20261121-0042".parse().unwrap();
        assert_eq!((id.day().to_string(), id.number()), ("2026-11-21".into(), 42));
        assert_eq!(id.next().unwrap().to_string(), "EB-20261121-0043");
        assert_eq!("EB-20261121-9999".parse::<BundleId>().unwrap().next(), None);
        for bad in [
            "",
            "EB-20261121-0000",
            "EB-20260230-0001",
            "EB-20261121-00010",
            "EB-20261121-001",
            "EB-20261121_0001",
            "eb-20261121-0001",
            "EB-2026112\u{e9}-001",
            "EB-20261121-+001",
            "EB-20261121-0001/..",
        ] {
            assert_eq!(bad.parse::<BundleId>(), Err(NotABundleId), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_reads_as_an_id_is_written_alike(text in "(EB|.{2})-?[0-9.]{8}-?.{0,5}") {
            if let Ok(id) = text.parse::<BundleId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
