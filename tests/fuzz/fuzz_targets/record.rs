//! The record's envelope: its two readers agree, and what is read whole is
//! written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::{
    encoding::json::Value,
    record::{self, Record},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::parse(bytes) else { return };
    let Ok(data) = Value::parse(record.data) else { return };
    let again = record::encode(record.kind, record.seq, record.prev, record.time, &data);
    assert_eq!(again, bytes);
    assert!(Value::parse(bytes).is_ok());
});
