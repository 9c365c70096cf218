//! Where time comes from besides the kernel. Each source gives an interval, or
//! says why it gives none; none may hold up a tick.
#![forbid(unsafe_code)]

pub mod chrony;
pub mod gps;
pub mod gpsd;
pub mod nmea;
pub mod poller;
