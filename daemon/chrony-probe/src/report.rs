// SPDX-License-Identifier: GPL-2.0-only
//! The report: canonical JSON (RFC 8785) of integers and strings, version 1.

use std::time::{SystemTime, UNIX_EPOCH};

use chrony_candm::{
    common::{ChronyAddr, ChronyFloat},
    reply::{AuthDataMode, SourceMode, SourceState, Tracking},
};

use crate::ask::{Answers, Source, text};

/// The largest integer that every JSON reader keeps exactly: 2^53 − 1.
const MAX_INT: i128 = (1 << 53) - 1;
/// chronyd's age of a source's last sample where there is none.
const NO_SAMPLE: u32 = u32::MAX;

/// The report without its LF.
pub(crate) fn encode(answers: &Answers) -> String {
    let sources: Vec<_> = answers.sources.iter().map(source).collect();
    object([
        ("source_count", Some(int(answers.source_count.into()))),
        ("sources", Some(format!("[{}]", sources.join(",")))),
        ("tracking", Some(tracking(&answers.tracking))),
        ("v", Some(int(1))),
    ])
}

fn tracking(said: &Tracking) -> String {
    let leap = match said.leap_status {
        0 => "normal",
        1 => "insert",
        2 => "delete",
        _ => "unsynchronised",
    };
    object([
        // chronyd: positive is a clock that runs too fast.
        ("frequency_ppb", Some(int(-scaled(said.freq_ppm, 1e3)))),
        // chronyd: positive is a clock ahead of its sources.
        ("last_offset_ns", Some(int(-scaled(said.last_offset, 1e9)))),
        ("leap", Some(string(leap))),
        ("ref_id", Some(string(&format!("{:08X}", said.ref_id)))),
        ("ref_time_ns", Some(int(since_epoch(said.ref_time)))),
        ("rms_offset_ns", Some(int(scaled(said.rms_offset, 1e9)))),
        ("root_delay_ns", Some(int(scaled(said.root_delay, 1e9)))),
        ("root_dispersion_ns", Some(int(scaled(said.root_dispersion, 1e9)))),
        ("skew_ppb", Some(int(scaled(said.skew_ppm, 1e3)))),
        ("stratum", Some(int(said.stratum.into()))),
        // chronyd: positive is a system clock behind the true time.
        ("system_offset_ns", Some(int(scaled(said.current_correction, 1e9)))),
        ("update_interval_ms", Some(int(scaled(said.last_update_interval, 1e3)))),
    ])
}

fn source(source: &Source) -> String {
    let data = &source.data;
    let reference = data.mode == SourceMode::Ref;
    let address = match data.ip_addr {
        ChronyAddr::V4(address) if !reference => Some(address.to_string()),
        ChronyAddr::V6(address) => Some(address.to_string()),
        _ => None,
    };
    let name = match (&source.name, &address, data.ip_addr) {
        (Some(name), ..) => name.clone(),
        (None, Some(address), _) => address.clone(),
        // A reference clock's four letters stand where its address would.
        (None, None, ChronyAddr::V4(letters)) => text(&letters.octets()),
        (None, None, _) => "?".into(),
    };
    let auth = match source.auth {
        Some(AuthDataMode::None) => Some("none"),
        Some(AuthDataMode::Symmetric) => Some("symmetric"),
        Some(AuthDataMode::Nts) => Some("nts"),
        None => None,
    };
    let mode = match data.mode {
        SourceMode::Client => "client",
        SourceMode::Peer => "peer",
        SourceMode::Ref => "ref",
    };
    let state = match data.state {
        SourceState::Selected => "selected",
        SourceState::Unselected => "combined",
        SourceState::Selectable => "outlier",
        SourceState::Falseticker => "falseticker",
        SourceState::Jittery => "jittery",
        SourceState::NonSelectable => "unselectable",
    };
    let sampled = data.since_sample != NO_SAMPLE;
    let measured = |float, sign| sampled.then(|| int(sign * scaled(float, 1e9)));
    object([
        ("address", address.as_deref().map(string)),
        ("auth", auth.map(string)),
        ("error_ns", measured(data.latest_meas_err, 1)),
        ("mode", Some(string(mode))),
        ("name", Some(string(&name))),
        // chronyd: positive is a clock ahead of the source.
        ("offset_ns", measured(data.latest_meas, -1)),
        ("poll", Some(int(data.poll.into()))),
        ("reach", Some(int(data.reachability.into()))),
        ("state", Some(string(state))),
        ("stratum", Some(int(data.stratum.into()))),
    ])
}

/// Members in their order; one without a value is left out.
fn object<const N: usize>(members: [(&str, Option<String>); N]) -> String {
    debug_assert!(members.is_sorted_by_key(|(name, _)| *name));
    let members = members.into_iter();
    let written = members.filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

/// All strings here need no escape.
fn string(text: &str) -> String {
    format!("\"{text}\"")
}

fn int(value: i128) -> String {
    if value.abs() > MAX_INT { format!("\"{value}\"") } else { value.to_string() }
}

/// A number of chronyd's in a smaller unit, rounded, and kept to 64 bits.
fn scaled(float: ChronyFloat, unit: f64) -> i128 {
    let value = (f64::from(float) * unit).round();
    #[allow(clippy::cast_possible_truncation)]
    let value = value as i64; // saturates; of no number it makes 0
    i128::from(value.max(-i64::MAX))
}

/// Kept to 64 bits, as [`scaled`] is.
fn since_epoch(time: SystemTime) -> i128 {
    let nanos = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos().try_into().unwrap_or(i128::MAX),
        Err(before) => -before.duration().as_nanos().try_into().unwrap_or(i128::MAX),
    };
    nanos.clamp(i128::from(-i64::MAX), i128::from(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_not_every_reader_keeps_are_strings() {
        assert_eq!(int(MAX_INT), "9007199254740991");
        assert_eq!(int(-MAX_INT - 1), "\"-9007199254740992\"");
        assert_eq!(scaled(ChronyFloat::from(1e300), 1e9), i128::from(i64::MAX));
        assert_eq!(scaled(ChronyFloat::from(-0.25), 1e9), -250_000_000);
        assert_eq!(since_epoch(UNIX_EPOCH), 0);
    }

    #[test]
    fn members_without_a_value_are_left_out() {
        let written = object([("a", Some(int(1))), ("b", None), ("c", Some(string("x")))]);
        assert_eq!(written, r#"{"a":1,"c":"x"}"#);
    }
}
