//! The report of `chrony-probe`, version 1, read strictly: its members in
//! their order and no others.

use provenance_core::encoding::json_scanner::{ScanError, Scanner};

/// How many sources a report lists at most.
const MAX_SOURCES: usize = 64;
/// How long a name may be.
const MAX_NAME: usize = 255;

/// What the probe was told.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) source_count: u64,
    pub(super) sources: Vec<Server<'a>>,
    pub(super) tracking: Tracking<'a>,
}

/// What chronyd believes of the clock. Offsets are true time minus clock.
#[derive(Debug)]
pub(super) struct Tracking<'a> {
    pub(super) leap: &'a str,
    pub(super) ref_id: &'a str,
    pub(super) ref_time_ns: i64,
    pub(super) root_delay_ns: i64,
    pub(super) root_dispersion_ns: i64,
    pub(super) stratum: u64,
    pub(super) system_offset_ns: i64,
    pub(super) update_interval_ms: i64,
}

/// One of chronyd's own sources.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) auth: Option<&'a str>,
    pub(super) name: &'a str,
    poll: i64,
    pub(super) state: State,
}

/// What chronyd makes of a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Selected,
    Combined,
    Outlier,
    Falseticker,
    Jittery,
    Unselectable,
}

impl State {
    /// It takes part in what chronyd believes.
    pub(super) fn in_use(self) -> bool {
        matches!(self, Self::Selected | Self::Combined)
    }

    pub(super) fn selectable(self) -> bool {
        self.in_use() || self == Self::Outlier
    }
}

impl Server<'_> {
    /// The polling interval, at least a millisecond.
    pub(super) fn poll_ms(&self) -> i64 {
        match u32::try_from(self.poll) {
            Ok(poll) => 1000_i64.checked_shl(poll.min(24)).unwrap_or(i64::MAX),
            Err(_) => (1000 >> self.poll.unsigned_abs().min(10)).max(1),
        }
    }
}

impl<'a> Report<'a> {
    pub(super) fn read(line: &'a [u8]) -> Result<Self, ScanError> {
        // Of an empty or torn output one says what is missing.
        let Some(bytes) = line.strip_suffix(b"\n") else {
            return Err(ScanError { what: "no line feed at the end", at: line.len() });
        };
        let mut scan = Scanner::new(bytes);
        scan.open()?;
        let source_count = member(&mut scan, "source_count", Scanner::uint)?;
        scan.key("sources")?;
        let mut sources = Vec::new();
        scan.array(|scan| {
            if sources.len() == MAX_SOURCES {
                return scan.fail("too many sources");
            }
            sources.push(Server::read(scan)?);
            Ok(())
        })?;
        scan.key("tracking")?;
        let tracking = Tracking::read(&mut scan)?;
        if member(&mut scan, "v", Scanner::uint)? != 1 {
            return scan.fail("not version 1");
        }
        scan.close()?;
        scan.finish()?;
        Ok(Self { source_count, sources, tracking })
    }
}

impl<'a> Tracking<'a> {
    fn read(scan: &mut Scanner<'a>) -> Result<Self, ScanError> {
        scan.open()?;
        member(scan, "frequency_ppb", Scanner::wide_int)?;
        member(scan, "last_offset_ns", Scanner::wide_int)?;
        let leap = member(scan, "leap", Scanner::plain)?;
        if !["normal", "insert", "delete", "unsynchronised"].contains(&leap) {
            return scan.fail("an unknown leap status");
        }
        let ref_id = member(scan, "ref_id", Scanner::plain)?;
        if ref_id.len() != 8 || !ref_id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'A'..=b'F')) {
            return scan.fail("a reference id is 8 hex digits");
        }
        let ref_time_ns = member(scan, "ref_time_ns", Scanner::wide_int)?;
        member(scan, "rms_offset_ns", Scanner::wide_int)?;
        let root_delay_ns = member(scan, "root_delay_ns", Scanner::wide_int)?;
        let root_dispersion_ns = member(scan, "root_dispersion_ns", Scanner::wide_int)?;
        member(scan, "skew_ppb", Scanner::wide_int)?;
        let stratum = member(scan, "stratum", Scanner::uint)?;
        let system_offset_ns = member(scan, "system_offset_ns", Scanner::wide_int)?;
        let update_interval_ms = member(scan, "update_interval_ms", Scanner::wide_int)?;
        scan.close()?;
        Ok(Self {
            leap,
            ref_id,
            ref_time_ns,
            root_delay_ns,
            root_dispersion_ns,
            stratum,
            system_offset_ns,
            update_interval_ms,
        })
    }
}

impl<'a> Server<'a> {
    fn read(scan: &mut Scanner<'a>) -> Result<Self, ScanError> {
        scan.open()?;
        optional(scan, "address", Scanner::plain)?;
        let auth = optional(scan, "auth", Scanner::plain)?;
        if auth.is_some_and(|auth| !["none", "symmetric", "nts"].contains(&auth)) {
            return scan.fail("an unknown authentication");
        }
        optional(scan, "error_ns", Scanner::wide_int)?;
        if !["client", "peer", "ref"].contains(&member(scan, "mode", Scanner::plain)?) {
            return scan.fail("an unknown mode");
        }
        let name = member(scan, "name", Scanner::plain)?;
        if name.len() > MAX_NAME || !name.bytes().all(|c| c.is_ascii_graphic()) {
            return scan.fail("not a name");
        }
        optional(scan, "offset_ns", Scanner::wide_int)?;
        let poll = member(scan, "poll", Scanner::int)?;
        member(scan, "reach", Scanner::uint)?;
        let state = match member(scan, "state", Scanner::plain)? {
            "selected" => State::Selected,
            "combined" => State::Combined,
            "outlier" => State::Outlier,
            "falseticker" => State::Falseticker,
            "jittery" => State::Jittery,
            "unselectable" => State::Unselectable,
            _ => return scan.fail("an unknown state of a source"),
        };
        member(scan, "stratum", Scanner::uint)?;
        scan.close()?;
        Ok(Self { auth, name, poll, state })
    }
}

fn member<'a, T>(
    scan: &mut Scanner<'a>,
    name: &str,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<T, ScanError>,
) -> Result<T, ScanError> {
    scan.key(name)?;
    read(scan)
}

fn optional<'a, T>(
    scan: &mut Scanner<'a>,
    name: &str,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<T, ScanError>,
) -> Result<Option<T>, ScanError> {
    if scan.maybe_key(name) { read(scan).map(Some) } else { Ok(None) }
}
