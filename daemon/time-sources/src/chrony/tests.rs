use proptest::prelude::*;
use provenance_core::record::time_attestation::State as Said;

use super::*;

/// Two seconds after the reference time of [`report`].
const NOW: i64 = 1_795_261_374_000_000_000;

/// A report as the probe wrote one, and what is in it changed.
fn report(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = concat!(
        r#"{"source_count":3,"sources":["#,
        r#"{"address":"10.99.1.2","auth":"nts","error_ns":6175,"mode":"client","name":"a.example","#,
        r#""offset_ns":-1502,"poll":6,"reach":255,"state":"selected","stratum":2},"#,
        r#"{"address":"10.99.2.2","auth":"nts","error_ns":7024,"mode":"client","name":"b.example","#,
        r#""offset_ns":-2147,"poll":-2,"reach":255,"state":"combined","stratum":2},"#,
        r#"{"address":"10.99.3.2","auth":"none","error_ns":6433,"mode":"client","name":"c.example","#,
        r#""offset_ns":4542726517,"poll":-2,"reach":255,"state":"falseticker","stratum":2}],"#,
        r#""tracking":{"frequency_ppb":-22,"last_offset_ns":-23,"leap":"normal","#,
        r#""ref_id":"0A630102","ref_time_ns":"1795261372000000000","rms_offset_ns":2443,"#,
        r#""root_delay_ns":10441,"root_dispersion_ns":1268,"skew_ppb":55,"stratum":3,"#,
        r#""system_offset_ns":-3284,"update_interval_ms":505},"v":1}"#,
        "\n",
    )
    .to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text.into_bytes()
}

fn judged(changes: &[(&str, &str)]) -> Source<'static> {
    claim(&report(changes), Timestamp::from_nanos(NOW))
}

fn detail_of(source: &Source<'_>) -> Value {
    Value::parse(source.detail.as_deref().unwrap()).unwrap()
}

fn rejected(changes: &[(&str, &str)]) -> String {
    match judged(changes).state {
        Said::Rejected(reason) => reason.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_becomes_a_claim_with_the_bound_of_the_format() {
    let source = judged(&[]);
    let Said::Ok(Claim::Interval { offset_ns, bound_ns, as_of }) = source.state else {
        panic!("{source:?}");
    };
    assert_eq!((source.src.as_ref(), offset_ns), ("ntp:chrony", -3284));
    assert_eq!(bound_ns, 1268 + 5221);
    assert_eq!(as_of, Timestamp::from_nanos(NOW));
    let text = String::from_utf8(detail_of(&source).encode()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"falsetickers":["c.example"],"holdover":false,"leap":"normal","nts":true,"#,
            r#""ref_id":"0A630102","root_delay_ns":10441,"root_dispersion_ns":1268,"#,
            r#""selectable":2,"sources":3,"stratum":3,"system_offset_ns":-3284,"#,
            r#""update_age_ms":1999}"#
        )
    );
}

#[test]
fn what_is_not_synchronised_to_another_clock_is_no_claim() {
    assert!(rejected(&[(r#""normal""#, r#""unsynchronised""#)]).contains("not synchronised"));
    for stratum in ["0", "16"] {
        let to = format!(r#""stratum":{stratum},"system"#);
        assert!(rejected(&[(r#""stratum":3,"system"#, &to)]).contains("stratum"));
    }
    assert!(rejected(&[("0A630102", "7F7F0101")]).contains("its own reference"));
    assert!(rejected(&[("10441", "-1")]).contains("negative"));
    // What it said is in the record all the same.
    assert!(judged(&[("0A630102", "7F7F0101")]).detail.is_some());
}

#[test]
fn without_a_selected_source_or_after_eight_intervals_it_holds_over() {
    let holdover = |changes: &[(&str, &str)], after: i64| {
        let source = claim(&report(changes), Timestamp::from_nanos(NOW + after * 1_000_000_000));
        assert!(matches!(source.state, Said::Ok(_)), "{source:?}");
        detail_of(&source).get("holdover") == Some(&Value::Bool(true))
    };
    let slow = r#""poll":6"#;
    assert!(!holdover(&[], 0));
    assert!(holdover(&[("selected", "unselectable")], 0));
    // The longest of the intervals counts: a burst at the start is no measure.
    assert!(!holdover(&[], 8 * 64 - 3));
    assert!(holdover(&[], 8 * 64));
    assert!(!holdover(&[(slow, r#""poll":-2"#)], 2));
    assert!(holdover(&[(slow, r#""poll":-2"#)], 3));
    assert!(!holdover(&[(slow, r#""poll":-2"#), (":505", ":64000")], 8 * 64 - 3));
    assert!(holdover(&[(r#""1795261372000000000""#, "0")], 0));
}

#[test]
fn authentication_is_told_where_it_is_known_and_of_all_in_use() {
    let nts = |changes: &[(&str, &str)]| detail_of(&judged(changes)).get("nts").cloned();
    assert_eq!(nts(&[]), Some(Value::Bool(true)));
    let second = r#""auth":"nts","error_ns":7024"#;
    assert_eq!(nts(&[(second, r#""auth":"symmetric","error_ns":7024"#)]), Some(Value::Bool(false)));
    assert_eq!(nts(&[(second, r#""error_ns":7024"#)]), None);
    assert_eq!(nts(&[("selected", "outlier"), ("combined", "outlier")]), None);
}

#[test]
fn what_is_not_the_report_is_rejected_with_the_place() {
    for (from, to) in [
        (r#""v":1"#, r#""v":2"#),
        (r#""v":1"#, r#""v":1,"w":1"#),
        (r#""v":1}"#, r#""v":1} "#),
        ("normal", "strange"),
        ("0A630102", "0a630102"),
        ("0A630102", "0A63010"),
        (r#""nts""#, r#""maybe""#),
        ("client", "server"),
        ("selected", "chosen"),
        ("a.example", "a example"),
        (r#""stratum":2"#, r#""stratum":-2"#),
        ("1268", "1268.5"),
        ("\n", ""),
    ] {
        assert!(rejected(&[(from, to)]).contains(" at byte "), "{from} {to}");
    }
    for bytes in [&b""[..], b"\n", b"{}\n", b"[]\n", b"null\n", b"\xff\n"] {
        assert!(matches!(claim(bytes, Timestamp::default()).state, Said::Rejected(_)));
    }
    let mut many = report(&[]);
    let text = String::from_utf8(many.clone()).unwrap();
    let end = text.find("},{").unwrap() + 2;
    let start = text.find('[').unwrap() + 1;
    let one = text[start..end].repeat(62);
    many.splice(start..start, one.into_bytes());
    assert!(matches!(claim(&many, Timestamp::default()).state, Said::Rejected(_)));
}

#[test]
fn numbers_at_the_end_of_their_range_overflow_nothing() {
    for number in
        ["\"9223372036854775807\"", "\"-9223372036854775807\"", "\"-9223372036854775808\""]
    {
        let source = judged(&[
            (r#""1795261372000000000""#, number),
            (r#""root_delay_ns":10441"#, r#""root_delay_ns":"9223372036854775807""#),
            (r#""root_dispersion_ns":1268"#, r#""root_dispersion_ns":"9223372036854775807""#),
            (r#""system_offset_ns":-3284"#, &format!(r#""system_offset_ns":{number}"#)),
            (r#""update_interval_ms":505"#, &format!(r#""update_interval_ms":{number}"#)),
            (r#""poll":6"#, r#""poll":9007199254740991"#),
            (r#""poll":-2"#, r#""poll":-9007199254740991"#),
        ]);
        let Said::Ok(Claim::Interval { bound_ns, .. }) = source.state else {
            panic!("{source:?}");
        };
        assert_eq!(bound_ns, i64::MAX);
    }
}

#[test]
fn how_the_probe_fails_says_whether_there_was_an_answer() {
    use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};
    let now = Timestamp::from_nanos(NOW);
    let ended = |code: i32, said: &str| {
        let (status, said) = (ExitStatus::from_raw(code << 8), said.to_owned());
        evaluate(Ok(Finished { status, output: report(&[]), said }), now).state
    };
    assert!(matches!(ended(0, ""), Said::Ok(_)));
    assert_eq!(ended(69, "chrony-probe: gone\nmore"), Said::Absent("chrony-probe: gone".into()));
    assert_eq!(ended(76, "odd"), Said::Rejected("odd".into()));
    assert_eq!(ended(1, "\x1b[31m"), Said::Absent("[31m".into()));
    assert_eq!(ended(1, ""), Said::Absent("chrony-probe: exit status: 1".into()));
    let Said::Absent(long) = ended(1, &"\u{e9}".repeat(5000)) else { panic!() };
    assert_eq!(long.chars().count(), MAX_SAID);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let source = claim(&bytes, Timestamp::from_nanos(NOW));
        prop_assert!(matches!(source.state, Said::Rejected(_)));
    }

    #[test]
    fn no_damaged_report_panics_or_claims_a_negative_bound(
        at: prop::sample::Index, byte: u8, cut: prop::sample::Index, now in 0..i64::MAX,
    ) {
        let mut bytes = report(&[]);
        *at.get_mut(&mut bytes) = byte;
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let source = claim(bytes, Timestamp::from_nanos(now));
            if let Said::Ok(Claim::Interval { bound_ns, .. }) = source.state {
                prop_assert!(bound_ns >= 0);
            }
            if let Some(detail) = &source.detail {
                prop_assert!(Value::parse(detail).is_ok());
            }
        }
    }
}
