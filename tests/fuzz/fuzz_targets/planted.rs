//! A crash on one input of 2^48, with a branch at each byte of it: who follows
//! coverage finds it in seconds, and who does not, never. The fuzzer must find
//! it, or its silence about the other targets means nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    for wanted in *b"\x9fevil\x91" {
        match rest {
            [first, tail @ ..] if *first == wanted => rest = tail,
            _ => return,
        }
    }
    panic!("the planted crash");
});
