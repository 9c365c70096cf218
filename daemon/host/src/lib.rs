//! The machine that the programs run on: settings, clock, durable files, the state
//! folder and child processes.

pub mod chain_files;
pub mod child_process;
pub mod clock;
pub mod config;
pub mod decompress;
pub mod disk_space;
pub mod durable;
pub mod secret;
pub mod state_dir;
