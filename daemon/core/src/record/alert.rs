//! Alerts in the registry (docs/format.md §4): one record when a condition
//! begins, and one with the same id when it is over.

use alloc::{collections::BTreeMap, format, string::String};

use crate::{
    encoding::{digest::Digest, json::Value, time::Timestamp},
    report::Severity,
};

/// At most so many alerts are open at once.
pub const MAX_OPEN: usize = 1_024;
/// A message is at most this long.
pub const MAX_MESSAGE: usize = 4 << 10;
/// A subject is at most this long: the longest path, every byte escaped.
pub const MAX_SUBJECT: usize = 16 << 10;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $severity:ident;)*) => {
        /// What this version of the daemon raises alerts for. A record may
        /// hold another code: one of a later version.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum AlertCode { $($(#[$doc])* $name,)* }

        impl AlertCode {
            /// Every code, for the documentation's test.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as receivers see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How soon to look. Where a finding has the same code, it has the
            /// same severity.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    /// A time source disagrees with the others, or no majority agrees.
    ClockDisputed = "clock.disputed", Warning;
    /// The clock is off by more than the threshold, or it jumped.
    ClockAnomalous = "clock.anomalous", Warning;
    /// No source vouches for the clock.
    ClockUnsynchronised = "clock.unsynchronised", Warning;
    /// Fewer sources agree than the tier asks.
    ClockDegraded = "clock.degraded", Warning;
    /// A log that only grows became shorter.
    LogShrunk = "log.shrunk", Warning;
    /// No tick for over two intervals.
    ChainGap = "chain.gap", Warning;
    /// The state folder's disk is nearly full.
    DiskLow = "disk.low", Warning;
    /// Records cannot be written.
    RecordsUnwritable = "records.unwritable", Error;
    /// A verification of the evidence failed.
    VerifyFailed = "verify.failed", Error;
    /// No root came into a block for a day and a half.
    AnchorOverdue = "anchor.overdue", Error;
    /// An anchor's transaction waits for its block for hours.
    AnchorStuck = "anchor.stuck", Warning;
    /// The wallet that anchors has little left.
    WalletLow = "wallet.low", Warning;
    /// Nothing was copied into WORM storage for over a day.
    StoreOverdue = "store.overdue", Error;
    /// WORM storage does not keep what is put there.
    StoreUnlocked = "store.unlocked", Warning;
}

impl AlertCode {
    /// The code of that name.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

/// A record of kind `alert`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// 32 hex digits, the same in both records of an alert.
    pub id: String,
    /// What for: `clock.disputed`, …
    pub code: String,
    /// What it is about: a time source, a log, a part of the appliance.
    pub subject: String,
    /// `Warning` or `Error`.
    pub severity: Severity,
    /// For people.
    pub message: String,
    /// When the condition was first seen.
    pub since: Timestamp,
    /// When it was first seen to be over; `None` while it lasts.
    pub until: Option<Timestamp>,
    /// The log chain's last record when this was decided.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Alert {
    /// `raised` or `resolved`.
    pub fn state(&self) -> &'static str {
        if self.until.is_some() { "resolved" } else { "raised" }
    }

    /// The record's data.
    pub fn to_value(&self) -> Value {
        Value::object([
            ("alert", self.id.as_str().into()),
            ("code", self.code.as_str().into()),
            ("subject", self.subject.as_str().into()),
            ("severity", self.severity.as_str().into()),
            ("state", self.state().into()),
            ("message", self.message.as_str().into()),
            ("since", self.since.into()),
            ("seq", self.seq.into()),
            ("hash", self.hash.into()),
        ])
        .with_some("until", self.until)
    }

    /// Reads a record's data; members that do not belong to it are the
    /// caller's to find.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let text = |name: &str, limit: usize| {
            let text = value.get(name).and_then(Value::as_str);
            let text = text.filter(|text| text.len() <= limit).map(String::from);
            text.ok_or_else(|| format!("{name} is not a string of at most {limit} bytes"))
        };
        let time = |name: &str| {
            let time = value.get(name).and_then(Value::as_str);
            let time = time.and_then(|text| Timestamp::parse(text.as_bytes()));
            time.ok_or_else(|| format!("{name} is not a time"))
        };
        let seq = value.get("seq").and_then(Value::as_int).and_then(|seq| u64::try_from(seq).ok());
        let hash = value.get("hash").and_then(Value::as_str);
        let hash = hash.and_then(|text| Digest::from_hex(text.as_bytes()));
        let alert = Self {
            id: text("alert", 32)?,
            code: text("code", 64)?,
            subject: text("subject", MAX_SUBJECT)?,
            severity: match &*text("severity", 7)? {
                "warning" => Severity::Warning,
                "error" => Severity::Error,
                _ => return Err("severity is not warning or error".into()),
            },
            message: text("message", MAX_MESSAGE)?,
            since: time("since")?,
            until: match &*text("state", 8)? {
                "raised" => None,
                "resolved" => Some(time("until")?),
                _ => return Err("state is not raised or resolved".into()),
            },
            seq: seq.ok_or("seq is not a count")?,
            hash: hash.ok_or("hash is not a SHA-256 digest")?,
        };
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if alert.id.len() != 32 || !alert.id.bytes().all(hex) {
            return Err("alert is not 32 lower-case hex digits".into());
        }
        let part = |part: &str| {
            !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
        };
        if !alert.code.contains('.') || !alert.code.split('.').all(part) {
            return Err("code is not of lower-case words with dots between them".into());
        }
        Ok(alert)
    }
}

/// Which alerts are open, and whether each record fits (step 4.10).
#[derive(Debug, Default)]
pub struct OpenAlerts {
    open: BTreeMap<String, Alert>,
    overflowed: bool,
}

/// Why an alert does not follow from those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AlertOrderError {
    /// There is nothing to resolve.
    #[error("an alert is resolved that was never raised, or twice")]
    NotOpen,
    /// It is raised a second time.
    #[error("an alert is raised that is open already")]
    Open,
    /// What is resolved is not what was raised.
    #[error("an alert is resolved as another one than it was raised")]
    Other,
    /// Memory is bounded.
    #[error("over {MAX_OPEN} alerts are open at once")]
    TooMany,
}

impl OpenAlerts {
    /// Takes the next record.
    ///
    /// # Errors
    /// [`AlertOrderError`]: it does not follow from those before it.
    pub fn apply(&mut self, alert: Alert) -> Result<(), AlertOrderError> {
        let Some(raised) = self.open.get(&alert.id) else {
            if alert.until.is_some() {
                // Memory is bounded; what was not kept cannot be missed.
                if self.overflowed {
                    return Ok(());
                }
                return Err(AlertOrderError::NotOpen);
            }
            if self.open.len() >= MAX_OPEN {
                self.overflowed = true;
                return Err(AlertOrderError::TooMany);
            }
            self.open.insert(alert.id.clone(), alert);
            return Ok(());
        };
        if alert.until.is_none() {
            return Err(AlertOrderError::Open);
        }
        let of = |alert: &Alert| {
            (alert.code.clone(), alert.subject.clone(), alert.severity, alert.since)
        };
        if of(raised) != of(&alert) {
            return Err(AlertOrderError::Other);
        }
        self.open.remove(&alert.id);
        Ok(())
    }

    /// The open ones, each as it was raised.
    pub fn into_open(self) -> impl Iterator<Item = Alert> {
        self.open.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn raised(n: u64) -> Alert {
        Alert {
            id: format!("{n:032x}"),
            code: "clock.disputed".into(),
            subject: "gps:gpsd".into(),
            severity: Severity::Warning,
            message: "m".into(),
            since: Timestamp::from_nanos(5),
            until: None,
            seq: 7,
            hash: Digest::sha256(b"x"),
        }
    }

    fn resolved(n: u64) -> Alert {
        Alert { until: Some(Timestamp::from_nanos(9)), ..raised(n) }
    }

    #[test]
    fn a_resolution_needs_its_own_raising_before_it() {
        let mut open = OpenAlerts::default();
        assert!(open.apply(resolved(1)).is_err());
        for _ in 0..2 {
            open.apply(raised(1)).unwrap();
            assert!(open.apply(raised(1)).is_err(), "raised twice");
            open.apply(resolved(1)).unwrap();
            assert!(open.apply(resolved(1)).is_err(), "resolved twice");
        }
        open.apply(raised(2)).unwrap();
        open.apply(raised(3)).unwrap();
        for other in [
            Alert { code: "clock.anomalous".into(), ..resolved(2) },
            Alert { subject: "ntp:chrony".into(), ..resolved(2) },
            Alert { since: Timestamp::from_nanos(6), ..resolved(2) },
            Alert { severity: Severity::Error, ..resolved(2) },
        ] {
            assert!(open.apply(other).is_err());
        }
        open.apply(Alert { message: "over: m".into(), seq: 9, ..resolved(2) }).unwrap();
        assert_eq!(open.into_open().collect::<Vec<_>>(), [raised(3)]);
    }

    #[test]
    fn memory_is_bounded_and_said_to_be() {
        let mut open = OpenAlerts::default();
        let refused = (0..2_000).filter(|n| open.apply(raised(*n)).is_err()).count();
        assert_eq!(refused, 2_000 - MAX_OPEN);
        assert!(open.apply(resolved(1_999)).is_ok(), "it may have been raised");
        assert_eq!(open.into_open().count(), MAX_OPEN);
    }

    #[test]
    fn a_code_that_is_also_a_findings_has_its_severity() {
        use crate::report::codes::Code;
        let mut shared = 0;
        for alert in AlertCode::ALL {
            assert_eq!(AlertCode::find(alert.as_str()), Some(*alert));
            for code in Code::ALL.iter().filter(|code| code.as_str() == alert.as_str()) {
                assert_eq!(code.severity(), alert.severity(), "{code:?}");
                shared += 1;
            }
        }
        assert_eq!(shared, 6);
    }

    #[test]
    fn data_of_another_form_are_refused() {
        let good = raised(1).to_value();
        assert_eq!(Alert::read(&good), Ok(raised(1)));
        assert_eq!(Alert::read(&resolved(1).to_value()), Ok(resolved(1)));
        for (name, value) in [
            ("alert", Value::from("0123")),
            ("alert", "0123456789ABCDEF0123456789ABCDEF".into()),
            ("code", "clock".into()),
            ("code", "clock..x".into()),
            ("code", "Clock.x".into()),
            ("severity", "info".into()),
            ("state", "open".into()),
            ("state", "resolved".into()),
            ("since", "yesterday".into()),
            ("seq", Value::from("7")),
            ("seq", Value::from(-1_i64)),
            ("hash", "00".into()),
            ("subject", true.into()),
            ("message", "m".repeat(MAX_MESSAGE + 1).as_str().into()),
        ] {
            let bad = good.clone().with(name, value);
            assert!(Alert::read(&bad).is_err(), "{bad:?}");
        }
    }
}
