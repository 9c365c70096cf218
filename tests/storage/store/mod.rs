//! Copies in WORM storage: a folder, and the bucket of a real Ceph RGW.

mod bucket;
mod folder;
mod harness;
mod liar;
mod s3;

use crate::common::peers;
