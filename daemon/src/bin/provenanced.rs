//! The daemon and everything that writes or holds a key.
fn main() {}
