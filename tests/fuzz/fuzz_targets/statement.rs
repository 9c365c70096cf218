//! An in-toto statement: what is read is written alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::statement::evidence::Statement;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::parse(bytes) {
        assert_eq!(statement.encode().as_deref(), Ok(bytes));
    }
});
