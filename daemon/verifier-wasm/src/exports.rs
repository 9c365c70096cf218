//! What the page's script calls, and what this calls of it. The script writes
//! into memory that it was given the place of; nothing here follows a pointer.
#![allow(unsafe_code, reason = "names that WebAssembly exports and imports")]

use std::{cell::RefCell, io};

use provenance_verifier::Source;

use crate::{Beside, verify};

/// Who calls this asks for no more than a policy, a proof or headers take.
const MAX_ROOM: usize = 64 << 20;

thread_local! {
    static BESIDE: RefCell<Beside> = RefCell::default();
    static NAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[link(wasm_import_module = "page")]
unsafe extern "C" {
    /// Writes the packet's bytes at `at`; how many, or a negative number.
    safe fn read(at: f64, into: *mut u8, length: usize) -> i32;
    /// So many records have been read.
    safe fn progress(count: f64);
}

/// The packet where the browser has it.
struct Dropped {
    length: u64,
}

impl Source for Dropped {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        if at >= self.length {
            return Ok(0);
        }
        let length = into.len().min(1 << 20);
        let got = read(at as f64, into.as_mut_ptr(), length);
        let got = usize::try_from(got).ok().filter(|got| *got <= length);
        got.ok_or_else(|| io::Error::other("the browser cannot read the file"))
    }
}

/// Makes room for a file beside the packet (0: policy, 1: headers, 2: proof,
/// 3: the packet's name) and tells where; nowhere where it is too long.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn room(what: u32, length: usize) -> *mut u8 {
    if length > MAX_ROOM {
        return std::ptr::null_mut();
    }
    let mut bytes = vec![0; length];
    let place = bytes.as_mut_ptr();
    BESIDE.with_borrow_mut(|beside| match what {
        0 => beside.policy = Some(bytes),
        1 => beside.headers = Some(bytes),
        2 => beside.proof = Some(bytes),
        _ => NAME.set(bytes),
    });
    place
}

/// Judges a packet of so many bytes; how long the answer is.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn judge(length: f64) -> usize {
    let mut beside = BESIDE.take();
    beside.name = String::from_utf8_lossy(&NAME.take()).into_owned();
    let source = Dropped { length: length as u64 };
    let answer = verify(&source, beside, &mut |count| progress(count as f64));
    let length = answer.len();
    ANSWER.set(answer);
    length
}

/// Where the answer is.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn answer() -> *const u8 {
    ANSWER.with_borrow(|answer| answer.as_ptr())
}
