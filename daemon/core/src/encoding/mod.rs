//! How things are written: canonical JSON and its scanner, digests, file names
//! and times.

pub mod digest;
pub mod file_uri;
pub mod json;
pub mod json_scanner;
pub mod time;
