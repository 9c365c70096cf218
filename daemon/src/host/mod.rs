//! What the machine gives: settings, clocks, files. Floor 1: imports only the
//! core.

pub mod chainfiles;
pub mod command;
pub mod config;
pub mod disk;
pub mod durable;
pub mod http1;
pub mod https;
pub mod listen;
pub mod policy;
pub mod secret;
pub mod systime;
pub mod unpack;
