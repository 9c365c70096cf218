//! Which packets fell due: the last whole day, week and month, where none of
//! that period is on record.

use provenance_core::{
    encoding::time::{Day, Timestamp},
    packet,
    registry::Entry,
};
use provenance_host::{
    config::{Config, Period},
    durable,
    state_dir::StateDir,
};
use provenance_registry::Reader;

use super::{PacketOutput, Progress, Request, make};
use crate::{
    error::ServiceError,
    ledger::{Ledger, read_entry},
};

const DAY: i64 = 86_400_000_000_000;

/// Makes every packet that fell due, in `packets/` of the state folder. A
/// period without a record gives none.
///
/// # Errors
/// [`ServiceError`].
pub(crate) fn make_due(
    config: &Config,
    state: &StateDir,
    evidence: &mut Ledger,
    now: Timestamp,
    who: &str,
    progress: Progress<'_>,
) -> Result<Vec<PacketOutput>, ServiceError> {
    let mut made = vec![];
    for period in &config.packet.every {
        let Some((from, to)) = last_whole(*period, now) else { continue };
        let known = is_recorded(&evidence.reader()?, from, to)?;
        let out = state.packets().join(packet::file_name(&config.client, from, to));
        if known {
            continue;
        }
        durable::create_dirs(&state.packets()).map_err(ServiceError::io("cannot make packets/"))?;
        // Published and not recorded: a crash came between. It is made again.
        if out.exists() {
            std::fs::remove_file(&out).map_err(ServiceError::io("cannot replace a packet"))?;
        }
        let request = Request { from, to, out, seed: None, who: who.into() };
        match make(config, state, evidence, now, &request, progress) {
            Ok(packet) => made.push(packet),
            Err(ServiceError::Empty(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

/// Whether a packet of this period is on record.
fn is_recorded(reader: &Reader, from: Timestamp, to: Timestamp) -> Result<bool, ServiceError> {
    for row in reader.rows_of_kind("packet", 0) {
        if let Some(Entry::Packet(packet)) = read_entry(&row?.body)
            && (packet.from, packet.to) == (from, to)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last period of its kind that is over.
pub(crate) fn last_whole(period: Period, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let today = now.day().start()?;
    let first = |day: Day| Day { day: 1, ..day }.start();
    Some(match period {
        Period::Day => (today.plus_nanos(-DAY), today),
        Period::Week => {
            // 1970-01-01 was a Thursday.
            let weekday = (today.nanos().div_euclid(DAY) + 3).rem_euclid(7);
            let monday = today.plus_nanos(-weekday * DAY);
            (monday.plus_nanos(-7 * DAY), monday)
        }
        Period::Month => {
            let this = first(now.day())?;
            (first(this.plus_nanos(-DAY).day())?, this)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_periods_end_at_or_before_now() {
        let of = |period, now: &str| {
            let now = Timestamp::parse(format!("{now}.000000000Z").as_bytes()).unwrap();
            let (from, to) = last_whole(period, now).unwrap();
            assert!(from < to && to <= now);
            format!("{} {}", from.day(), to.day())
        };
        // 2026-11-21 is a Saturday.
        assert_eq!(of(Period::Day, "2026-11-21T23:59:59"), "2026-11-20 2026-11-21");
        assert_eq!(of(Period::Week, "2026-11-21T00:00:00"), "2026-11-09 2026-11-16");
        assert_eq!(of(Period::Week, "2026-11-23T00:00:00"), "2026-11-16 2026-11-23");
        assert_eq!(of(Period::Week, "2026-11-22T23:00:00"), "2026-11-09 2026-11-16");
        assert_eq!(of(Period::Month, "2027-01-01T00:00:00"), "2026-12-01 2027-01-01");
        assert_eq!(of(Period::Month, "2028-03-31T12:00:00"), "2028-02-01 2028-03-01");
    }
}
