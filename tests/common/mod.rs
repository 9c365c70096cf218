//! What the test programs share.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod bitcoind;
pub(crate) mod docs_schema;
pub(crate) mod files;
pub(crate) mod full_disk;
pub(crate) mod journal;
pub(crate) mod own_process;
pub(crate) mod peers;
pub(crate) mod programs;
pub(crate) mod settings;
pub(crate) mod stalls;
pub(crate) mod test_appliance;
pub(crate) mod tls;
pub(crate) mod wait;
