//! A raw transaction: without its witness it is the same one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provenance_core::bitcoin::Transaction;

fuzz_target!(|bytes: &[u8]| {
    let Ok(transaction) = Transaction::parse(bytes) else { return };
    let stripped = Transaction::parse(transaction.stripped()).unwrap();
    assert!(!stripped.has_witness());
    assert_eq!((stripped.txid(), stripped.root()), (transaction.txid(), transaction.root()));
    if let Ok((root, at)) = transaction.placed_root() {
        assert_eq!(transaction.stripped()[at..at + 32], root.0);
    }
});
