//! A chain file: each record that is read is written alike, with its log
//! entries and its time attestation; a verdict is found for any of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{
    record::{self, Record, chain::Body},
    report::Report,
    verify::chain::ChainVerifier,
};

fuzz_target!(|bytes: &[u8]| {
    let mut report = Report::new();
    let mut verifier = ChainVerifier::new(bytes.len() % 2 == 0, true);
    verifier.begin_file("chain/2026/11/21.jsonl", None);
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = verifier.line(line, &mut report);
        let Ok(record) = Record::parse(line) else { continue };
        let Ok(body) = Body::read(&record) else { continue };
        if let Body::Tick(tick) = &body {
            let judged = tick.clock.recheck(record.time);
            // The shortcut of the recheck says what judging anew says.
            let again = provenance_core::record::time_attestation::judge(
                record.time,
                tick.clock.rule,
                tick.clock.step_ns,
                tick.clock.sources.clone(),
            );
            assert_eq!(judged.is_ok(), again == tick.clock);
        }
        if !matches!(body, Body::Unknown) {
            let data = body.to_value();
            let again = record::encode(record.kind, record.seq, record.prev, record.time, &data);
            assert_eq!(again, line);
        }
    }
    let _ = verifier.end_file();
    verifier.finish(&mut report);
    let _ = report.verdict();
});
