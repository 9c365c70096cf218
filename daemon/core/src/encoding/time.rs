//! Points in time: RFC 3339 in UTC with nine fractional digits, and nothing
//! else, such as `2026-11-21T04:20:00.000000000Z`.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// Nanoseconds since 1970-01-01T00:00:00Z, between 1970 and 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// A day of the Gregorian calendar in UTC: the name of a chain file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day {
    /// 1970 to 2262.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// One moment, by both clocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Now {
    /// The system clock (CLOCK_REALTIME).
    pub time: Timestamp,
    /// CLOCK_BOOTTIME in milliseconds: it runs through a suspend, and nobody
    /// can set it.
    pub up_ms: u64,
    /// The kernel's boot id: another one means another boot.
    pub boot: String,
}

impl Timestamp {
    /// Length of the text form in bytes.
    pub const LEN: usize = 30;

    /// From nanoseconds since the epoch; a time before it becomes the epoch.
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos.max(0))
    }

    /// Nanoseconds since the epoch.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// This time moved by `nanos`, kept inside the range that can be written.
    pub fn plus_nanos(self, nanos: i64) -> Self {
        Self::from_nanos(self.0.saturating_add(nanos))
    }

    /// `self − earlier` in nanoseconds.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The UTC day this time falls into.
    pub fn day(self) -> Day {
        civil(self.0.div_euclid(NANOS * DAY))
    }

    /// Reads RFC 3339 in UTC, with none to nine digits of a fraction: as others
    /// write it.
    pub fn read(text: &str) -> Option<Self> {
        let rest = text.strip_suffix('Z')?;
        let (seconds, fraction) = rest.split_once('.').unwrap_or((rest, ""));
        let whole = (fraction.len() <= 9).then(|| format!("{seconds}.{fraction:0<9}Z"))?;
        Self::parse(whole.as_bytes())
    }

    /// Reads exactly the 30-byte form; anything else is `None`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; Self::LEN] = text.try_into().ok()?;
        let [
            y1,
            y2,
            y3,
            y4,
            b'-',
            mo1,
            mo2,
            b'-',
            d1,
            d2,
            b'T',
            h1,
            h2,
            b':',
            mi1,
            mi2,
            b':',
            s1,
            s2,
            b'.',
            fraction @ ..,
            b'Z',
        ] = text
        else {
            return None;
        };
        // Whether all are digits is asked once, not at each.
        let mut bad = false;
        let mut number = |digits: &[u8]| {
            digits.iter().fold(0_i64, |sum, digit| {
                let digit = digit.wrapping_sub(b'0');
                bad |= digit > 9;
                sum * 10 + i64::from(digit)
            })
        };
        let year = number(&[*y1, *y2, *y3, *y4]);
        let (month, day) = (number(&[*mo1, *mo2]), number(&[*d1, *d2]));
        let (hour, minute, second) =
            (number(&[*h1, *h2]), number(&[*mi1, *mi2]), number(&[*s1, *s2]));
        let fraction = number(fraction);
        if bad || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days(year, month, day)?;
        let seconds = days * DAY + hour * 3600 + minute * 60 + second;
        seconds.checked_mul(NANOS)?.checked_add(fraction).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, fraction) = (self.0.div_euclid(NANOS), self.0.rem_euclid(NANOS));
        let of_day = seconds.rem_euclid(DAY);
        let Day { year, month, day } = self.day();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{fraction:09}Z",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60
        )
    }
}

impl Day {
    /// `2026/11/21`: the folders and the stem of a chain file's name.
    pub fn path(self) -> String {
        alloc::format!("{:04}/{:02}/{:02}", self.year, self.month, self.day)
    }

    /// `20261121`, as in a bundle's id.
    pub fn compact(self) -> String {
        alloc::format!("{:04}{:02}{:02}", self.year, self.month, self.day)
    }

    /// The first instant of the day; `None` for a day that is in no calendar.
    pub fn start(self) -> Option<Timestamp> {
        let days = days(self.year.into(), self.month.into(), self.day.into())?;
        days.checked_mul(DAY * NANOS).map(Timestamp)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A span of nanoseconds for people: `1.5 s`, `250 ms`, `12 µs`.
pub fn human_span(nanos: i64) -> String {
    let scaled = |unit: i64, name: &str| {
        let (whole, tenth) = (nanos / unit, (nanos % unit).abs() * 10 / unit);
        match tenth {
            0 => alloc::format!("{whole} {name}"),
            _ => alloc::format!("{whole}.{tenth} {name}"),
        }
    };
    match nanos.unsigned_abs() {
        0..1_000 => nanos.to_string() + " ns",
        1_000..1_000_000 => scaled(1_000, "µs"),
        1_000_000..1_000_000_000 => scaled(1_000_000, "ms"),
        _ => scaled(NANOS, "s"),
    }
}

/// Days since 1970-01-01 of a date that exists, 1970 to 2262.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..=2262).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // March-based years put the leap day last (H. Hinnant, "chrono-compatible
    // low-level date algorithms").
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468)
}

fn civil(days: i64) -> Day {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // The range of `Timestamp` keeps each of these in its type.
    Day {
        year: u16::try_from(year).unwrap_or(u16::MAX),
        month: u8::try_from(month).unwrap_or(u8::MAX),
        day: u8::try_from(of_year - (153 * m + 2) / 5 + 1).unwrap_or(u8::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_read_and_write_alike() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00.000000000Z", 0),
            ("2000-02-29T23:59:59.999999999Z", 951_868_799_999_999_999),
            ("2026-11-21T04:20:00.000000001Z", 1_795_234_800_000_000_001),
        ] {
            let time = Timestamp::parse(text.as_bytes()).unwrap();
            assert_eq!((time.nanos(), time.to_string()), (nanos, text.into()));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "2026-11-21T04:20:00Z",
            "2026-11-21T04:20:00.000000000z",
            "2026-11-21 04:20:00.000000000Z",
            "2026-02-29T00:00:00.000000000Z",
            "2026-11-31T00:00:00.000000000Z",
            "2026-00-01T00:00:00.000000000Z",
            "2026-11-21T24:00:00.000000000Z",
            "2026-11-21T23:59:60.000000000Z",
            "1969-12-31T23:59:59.999999999Z",
            "2262-12-31T00:00:00.000000000Z",
            "+026-11-21T04:20:00.000000000Z",
            "",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_survives_its_text(nanos in 0..i64::MAX) {
            let time = Timestamp::from_nanos(nanos);
            let text = time.to_string();
            prop_assert_eq!(text.len(), Timestamp::LEN);
            prop_assert_eq!(Timestamp::parse(text.as_bytes()), Some(time));
            let start = time.day().start().unwrap();
            prop_assert!(start <= time && time.since(start) < DAY * NANOS);
        }
    }
}
