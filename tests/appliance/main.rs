//! The appliance at work: its daemon, its sources of time, its alerts, and what a
//! crash or a power cut leaves.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;

mod alerts;
mod chrony_fixture;
mod crash_faults;
mod crash_kill;
mod daemon;
mod daemon_days;
mod machine;
mod power_cut;
mod time_alarms;
mod time_ntp;
mod time_sources;
